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

void tuple_messages_hash(
	struct siphash_key key, const struct tuple_messages *messages, uint64_t *hashes)
{
	const void *lanes[TUPLES_MAX];
	uint64_t all[TUPLES_MAX];
	unsigned count = messages->count, len = messages->lens[0];
	bool alike = true; // one family

	CHECK(count <= TUPLES_MAX);
	for (unsigned i = 1; i < count; i++)
		alike = alike && messages->lens[i] == len;
	if (!alike || count < TUPLES_MAX / 2) {
		for (unsigned i = 0; i < count; i++)
			hashes[i] = siphash24(key, messages->bytes[i], messages->lens[i]);
		return;
	}
	for (unsigned i = 0; i < TUPLES_MAX; i++)
		lanes[i] = messages->bytes[i < count ? i : 0]; // asked for twice costs nothing
	siphash24_lanes(key, lanes, len, all);
	memcpy(hashes, all, count * sizeof(*hashes));
}

void tuple_hashes(struct siphash_key key, const struct tuple *tuples, const uint32_t *extras,
	unsigned count, uint64_t *hashes)
{
	struct tuple_messages messages;

	CHECK(count <= TUPLES_MAX);
	messages.count = count;
	messages.lens[0] = 0;
	for (unsigned i = 0; i < count; i++)
		messages.lens[i] = tuple_bytes(messages.bytes[i], &tuples[i], extras[i]);
	tuple_messages_hash(key, &messages, hashes);
}
