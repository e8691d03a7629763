// Rates per prefix and in total, for events an attacker causes (bad ACKs, resets, challenges):
// a fixed array of buckets indexed by a keyed hash of the prefix, refilled by the caller's clock.
#pragma once

#include "base/addr.h"
#include "base/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

#define RATE_LIMIT_BUCKETS 65536

// `memory` (8-byte aligned) arrives zeroed.
size_t rate_limit_bytes(void);
struct rate_limit *rate_limit_init(void *memory, struct siphash_key key);

// May another event of this prefix be tried now? While fewer than `total_per_s` events were counted
// in the running second, a prefix may have `prefix_per_s` of them; above, only one, so that whoever
// guesses is cut off first and a newcomer still gets his try (TCP.md 1.6). Does not count.
bool rate_limit_allows(struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6, uint32_t prefix_per_s, uint32_t total_per_s);

// Counts one event.
void rate_limit_count(struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6);
