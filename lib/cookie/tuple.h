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
	uint64_t words[TUPLE_WORDS_IP6][TUPLES_MAX];
	unsigned count, word_count;
};

// Adds the message `bytes` of TUPLE_WORDS_IP4 or _IP6 words.
static inline void tuple_lanes_add(
	struct tuple_lanes *lanes, const uint8_t *bytes, unsigned word_count)
{
	unsigned lane = lanes->count++;

	for (unsigned i = 0; i < word_count; i++)
		memcpy(&lanes->words[i][lane], bytes + 8 * i, 8);
	lanes->word_count = word_count;
}

// The same message as the one added last, with another `extra`.
static inline void tuple_lanes_add_extra(struct tuple_lanes *lanes, uint32_t extra)
{
	unsigned lane = lanes->count++, last = lanes->word_count - 1;

	for (unsigned i = 0; i < last; i++)
		lanes->words[i][lane] = lanes->words[i][lane - 1];
	lanes->words[last][lane] =
		(uint32_t)lanes->words[last][lane - 1] | (uint64_t)__builtin_bswap32(extra) << 32;
}

// Their hashes, of at least one; afterwards there are none.
void tuple_lanes_hash(
	struct siphash_key key, struct tuple_lanes *lanes, uint64_t hashes[TUPLES_MAX]);

// True where both addresses are IPv4.
static inline bool tuple_is_ip4(const struct tuple *tuple)
{
	return addr_is_ip4(&tuple->src) && addr_is_ip4(&tuple->dst);
}
