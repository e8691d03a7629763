// Addresses and ports as a cookie hashes them: from the client's (SYN sender's) point of view.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/siphash.h"

#include <stdbool.h>
#include <stdint.h>

struct tuple {
	struct addr src;
	struct addr dst;
	uint16_t sport; // host order
	uint16_t dport;
};

// Message bytes of the keyed hash: IPv4 4+4+2+2, IPv6 16+16+2+2, all big-endian, then `extra`
// (e.g. the ISN). An IPv4 tuple plus ISN is exactly 16 bytes. Returns the length.
#define TUPLE_BYTES_MAX (36 + 8)
unsigned tuple_bytes(uint8_t out[TUPLE_BYTES_MAX], const struct tuple *tuple, uint32_t extra);

// SipHash-2-4 of these bytes.
uint64_t tuple_hash(struct siphash_key key, const struct tuple *tuple, uint32_t extra);

// SipHash-2-4 of up to TUPLES_MAX such messages of one family at once, for less than one by one.
// They are laid out for siphash24_words().
#define TUPLES_MAX	SIPHASH_LANES
#define TUPLES_FEW	4 // fewer are cheaper one by one
#define TUPLE_WORDS_IP4 2
#define TUPLE_WORDS_IP6 5
struct tuple_lanes {
	unsigned count, word_count;
	uint64_t words[TUPLE_WORDS_IP6][TUPLES_MAX];
};

static inline void tuple_lanes_init(struct tuple_lanes *lanes, bool ip4)
{
	lanes->count = 0;
	lanes->word_count = ip4 ? TUPLE_WORDS_IP4 : TUPLE_WORDS_IP6;
}

// Adds the message `bytes`.
static inline void tuple_lanes_add(struct tuple_lanes *lanes, const uint8_t *bytes)
{
	unsigned lane = lanes->count++;

	memcpy(&lanes->words[0][lane], bytes, 8);
	memcpy(&lanes->words[1][lane], bytes + 8, 8);
	if (lanes->word_count == TUPLE_WORDS_IP4)
		return;
	for (unsigned i = TUPLE_WORDS_IP4; i < TUPLE_WORDS_IP6; i++)
		memcpy(&lanes->words[i][lane], bytes + 8 * i, 8);
}

// Adds it twice, first as it is and then with another `extra`.
static inline void tuple_lanes_add_two(
	struct tuple_lanes *lanes, const uint8_t *bytes, uint32_t extra)
{
	uint64_t *last = &lanes->words[lanes->word_count - 1][lanes->count + 1];

	tuple_lanes_add(lanes, bytes);
	tuple_lanes_add(lanes, bytes);
	*last = (uint32_t)*last | (uint64_t)__builtin_bswap32(extra) << 32;
}

// Their hashes, of at least one; afterwards there are none.
void tuple_lanes_hash(
	struct siphash_key key, struct tuple_lanes *lanes, uint64_t hashes[TUPLES_MAX]);

// True where both addresses are IPv4.
static inline bool tuple_is_ip4(const struct tuple *tuple)
{
	return addr_is_ip4(&tuple->src) && addr_is_ip4(&tuple->dst);
}
