#include "cookie/tuple.h"

#include "base/bytes.h"

#include <string.h>

#define IP4_AT 12 // of the four bytes in ::ffff:a.b.c.d

bool tuple_is_ip4(const struct tuple *tuple)
{
	return addr_is_ip4(&tuple->src) && addr_is_ip4(&tuple->dst);
}

unsigned tuple_bytes(uint8_t out[TUPLE_BYTES_MAX], const struct tuple *tuple, uint32_t extra)
{
	unsigned skip = tuple_is_ip4(tuple) ? IP4_AT : 0;
	unsigned len = ADDR_BYTES - skip;
	uint8_t *p = out;

	memcpy(p, tuple->src.b + skip, len);
	memcpy(p + len, tuple->dst.b + skip, len);
	p += 2 * len;
	be16_put(p, tuple->sport);
	be16_put(p + 2, tuple->dport);
	be32_put(p + 4, extra);
	return 2 * len + 8;
}

uint64_t tuple_hash(struct siphash_key key, const struct tuple *tuple, uint32_t extra)
{
	uint8_t bytes[TUPLE_BYTES_MAX];
	unsigned len = tuple_bytes(bytes, tuple, extra);

	return siphash24(key, bytes, len);
}
