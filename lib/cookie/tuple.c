#include "cookie/tuple.h"

#include "base/bytes.h"
#include "base/check.h"

#include <string.h>

#define IP4_AT 12 // of the four bytes in ::ffff:a.b.c.d

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

void tuple_lanes_hash(
	struct siphash_key key, struct tuple_lanes *lanes, uint64_t hashes[TUPLES_MAX])
{
	for (unsigned lane = lanes->count; lane < TUPLES_MAX; lane++)
		for (unsigned i = 0; i < lanes->word_count; i++)
			lanes->words[i][lane] = lanes->words[i][0]; // one more costs nothing
	siphash24_words(key, lanes->words, lanes->word_count, hashes);
	lanes->count = 0;
}
