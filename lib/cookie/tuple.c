#include "cookie/tuple.h"

#include "base/bytes.h"
#include "base/check.h"

#include <string.h>

#define IP4_AT 12 // of the four bytes in ::ffff:a.b.c.d

bool tuple_is_ip4(const struct tuple *tuple)
{
	return addr_is_ip4(&tuple->src) && addr_is_ip4(&tuple->dst);
}

unsigned tuple_bytes(uint8_t out[TUPLE_BYTES_MAX], const struct tuple *tuple, uint32_t extra)
{
	uint8_t *p = out;

	if (tuple_is_ip4(tuple)) {
		memcpy(p, tuple->src.b + IP4_AT, 4);
		memcpy(p + 4, tuple->dst.b + IP4_AT, 4);
		p += 8;
	} else {
		memcpy(p, tuple->src.b, ADDR_BYTES);
		memcpy(p + ADDR_BYTES, tuple->dst.b, ADDR_BYTES);
		p += 2 * ADDR_BYTES;
	}
	be32_put(p, (uint32_t)tuple->sport << 16 | tuple->dport);
	be32_put(p + 4, extra);
	return (unsigned)(p + 8 - out);
}

uint64_t tuple_hash(struct siphash_key key, const struct tuple *tuple, uint32_t extra)
{
	uint8_t bytes[TUPLE_BYTES_MAX];
	unsigned len = tuple_bytes(bytes, tuple, extra);

	return siphash24(key, bytes, len);
}

void tuple_hashes(struct siphash_key key, const struct tuple *tuples, const uint32_t *extras,
	unsigned count, uint64_t *hashes)
{
	uint8_t bytes[TUPLES_MAX][TUPLE_BYTES_MAX];
	const void *lanes[TUPLES_MAX];
	uint64_t all[TUPLES_MAX];
	unsigned len = 0;
	bool alike = true; // one family

	CHECK(count <= TUPLES_MAX);
	for (unsigned i = 0; i < count; i++) {
		unsigned own = tuple_bytes(bytes[i], &tuples[i], extras[i]);

		alike = alike && (i == 0 || own == len);
		len = own;
	}
	if (!alike || count < TUPLES_MAX / 2) {
		for (unsigned i = 0; i < count; i++)
			hashes[i] = tuple_hash(key, &tuples[i], extras[i]);
		return;
	}
	for (unsigned i = 0; i < TUPLES_MAX; i++)
		lanes[i] = bytes[i < count ? i : 0]; // what is asked for twice costs nothing
	siphash24_lanes(key, lanes, len, all);
	memcpy(hashes, all, count * sizeof(*hashes));
}
