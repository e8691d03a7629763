// Flows per source prefix: exact counts, bounded memory, keyed table (DESIGN "limits").
#pragma once

#include "base/addr.h"
#include "base/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix_limit;

#define PREFIX_LIMIT_ENTRIES_MAX (1u << 30)

// `entries`: how many prefixes with at least one flow can be counted at once (1..._MAX). A prefix
// that finds no room is refused: nothing goes uncounted. `memory` (8-byte aligned) arrives zeroed.
size_t prefix_limit_bytes(uint32_t entries);
struct prefix_limit *prefix_limit_init(void *memory, uint32_t entries, struct siphash_key key);

// Counts one flow of `addr`'s prefix (bits4 or bits6 leading bits of the address) unless it has
// `max` already. False where refused.
bool prefix_limit_take(struct prefix_limit *limit, const struct addr *addr, unsigned bits4,
	unsigned bits6, uint32_t max);

// Gives one back. The prefix must have been taken with the same bits.
void prefix_limit_give(
	struct prefix_limit *limit, const struct addr *addr, unsigned bits4, unsigned bits6);

// Flows counted now for addr's prefix.
uint32_t prefix_limit_count(
	struct prefix_limit *limit, const struct addr *addr, unsigned bits4, unsigned bits6);
