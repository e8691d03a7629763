// Rates per prefix and in total, for events an attacker causes (bad ACKs, resets, challenges):
// a fixed array of counts indexed by a keyed hash of the prefix, each of one second of the caller's
// clock.
#pragma once

#include "base/addr.h"
#include "base/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

// `memory` (cache line aligned) arrives zeroed.
size_t rate_limit_bytes(void);
struct rate_limit *rate_limit_init(void *memory, struct siphash_key key);

// May another event of this prefix be tried now? While fewer than `total_per_s` events were counted
// in the running second, a prefix may have `prefix_per_s` of them; above, a quarter of that
// (rounded up), so that whoever guesses is cut off and a newcomer still gets his try (TCP.md 1.6).
// Does not count.
bool rate_limit_allows(struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6, uint64_t prefix_per_s, uint64_t total_per_s);

// In two steps: what is hashed of an address in the second of `now_ns`, and the question itself.
uint64_t rate_limit_hash(const struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6);
bool rate_limit_allows_hash(struct rate_limit *limit, uint64_t now_ns, uint64_t hash,
	uint64_t prefix_per_s, uint64_t total_per_s);

// Several addresses, 1..RATE_LIMIT_MANY at once, for less than one by one; their counts are
// prefetched.
#define RATE_LIMIT_MANY SIPHASH_LANES
struct rate_limit_many {
	const struct addr *addrs[RATE_LIMIT_MANY];
	unsigned count;
	uint8_t bits4, bits6;
};
void rate_limit_hashes(const struct rate_limit *limit, uint64_t now_ns,
	const struct rate_limit_many *many, uint64_t hashes[RATE_LIMIT_MANY]);

// What rate_limit_allows_hash() would say now, for who only wants to know whether to prepare for
// it.
bool rate_limit_seems_to_allow(const struct rate_limit *limit, uint64_t now_ns, uint64_t hash,
	uint64_t prefix_per_s, uint64_t total_per_s);

// Counts one event of the prefix that was asked about last.
void rate_limit_count(struct rate_limit *limit);
