// Flows per source prefix: exact counts, bounded memory, keyed table (DESIGN "limits").
#pragma once

#include "base/addr.h"
#include "base/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix_limit;

#define PREFIX_LIMIT_ENTRIES_MAX (1u << 30)

// Whose flows: of `proven` clients they are counted apart from those of others, of which the
// address is nothing but what somebody wrote into a packet.
struct prefix_source {
	const struct addr *addr;
	uint8_t bits4, bits6; // leading bits of the address that are its prefix, by family
	bool proven;
};

// `entries`: how many prefixes with at least one flow can be counted at once (1..._MAX), those of
// proven clients and of others together. A prefix that finds no room is refused: nothing goes
// uncounted. `memory` (8-byte aligned) arrives zeroed.
size_t prefix_limit_bytes(uint32_t entries);
struct prefix_limit *prefix_limit_init(void *memory, uint32_t entries, struct siphash_key key);

// Counts one flow of the source's prefix unless it has `max` already. False where refused.
bool prefix_limit_take(
	struct prefix_limit *limit, const struct prefix_source *source, uint32_t max);

// Gives one back. It must have been taken with the same bits and as `proven` as now.
void prefix_limit_give(struct prefix_limit *limit, const struct prefix_source *source);

// Flows counted now for the source's prefix.
uint32_t prefix_limit_count(struct prefix_limit *limit, const struct prefix_source *source);
