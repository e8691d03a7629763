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

// Counts one event of the prefix that was asked about last.
void rate_limit_count(struct rate_limit *limit);
