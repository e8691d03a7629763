// Flows per source prefix.
//
// One array of slots, a power of two and at least twice `entries`, so it is never more than half
// full; linear probing from a keyed hash of the prefix. A slot with count 0 is empty. Removal moves
// later members of the run back into the gap (no tombstones), so a look-up ends at the first empty
// slot, after PROBES_MAX slots at the latest: a prefix that would lie further away is refused.
// Moving back only ever brings a prefix nearer to its home, so what was found stays found.
//
// What is given back is collected, because connections end by the dozen and hashing four prefixes
// costs little more than one; whatever looks at a count takes off first what was collected.
#include "limit/prefix_limit.h"

#include "base/check.h"

#include <string.h>

#define PROBES_MAX 128

// The prefix length is part of the key: a reload that changes it must not mix the old counts with
// the new ones.
struct slot {
	struct addr prefix;
	uint32_t count; // flows; 0: empty
	uint32_t home;	// hash: home slot = home & mask
	uint32_t bits;	// of the 16-byte form
	uint32_t spare;
};
_Static_assert(sizeof(struct slot) == 32, "two slots per cache line");

struct prefix_limit {
	struct siphash_key key;
	uint32_t entries;
	uint32_t used; // slots with count > 0
	uint32_t mask;
	uint32_t given_count;
	struct slot given[SIPHASH_LANES]; // not taken off yet
	struct slot slots[];
};

static uint32_t slot_count(uint32_t entries)
{
	uint32_t slots = 2;

	while (slots / 2 < entries)
		slots *= 2;
	return slots;
}

size_t prefix_limit_bytes(uint32_t entries)
{
	return sizeof(struct prefix_limit) + (size_t)slot_count(entries) * sizeof(struct slot);
}

struct prefix_limit *prefix_limit_init(void *memory, uint32_t entries, struct siphash_key key)
{
	struct prefix_limit *limit = memory;

	CHECK(entries >= 1 && entries <= PREFIX_LIMIT_ENTRIES_MAX);
	limit->key = key;
	limit->entries = entries;
	limit->used = 0;
	limit->mask = slot_count(entries) - 1;
	limit->given_count = 0;
	return limit;
}

// Makes the slot, with count 0 and without its home, that stands for addr's prefix. In its place,
// word by word: a copy would wait for the words to leave the processor's store buffer.
static void slot_start(struct slot *slot, const struct addr *addr, unsigned bits4, unsigned bits6)
{
	slot->bits = addr_is_ip4(addr) ? 96 + bits4 : bits6;
	slot->prefix = addr_mask(addr, slot->bits);
	slot->count = 0;
	slot->spare = 0;
}

static void slot_hash(struct slot *slot, const struct prefix_limit *limit)
{
	slot->home = (uint32_t)siphash13(limit->key, &slot->prefix, sizeof(slot->prefix));
}

static bool slot_is(const struct slot *slot, const struct slot *wanted)
{
	return slot->home == wanted->home && slot->bits == wanted->bits &&
	       addr_equal(&slot->prefix, &wanted->prefix);
}

// Index of the slot that has the prefix, or of the empty one where it belongs; UINT32_MAX where
// neither is near enough.
static uint32_t slot_find(const struct prefix_limit *limit, const struct slot *wanted)
{
	for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
		uint32_t index = (wanted->home + probe) & limit->mask;
		const struct slot *slot = &limit->slots[index];

		if (slot->count == 0 || slot_is(slot, wanted))
			return index;
	}
	return UINT32_MAX;
}

// Empties a slot and closes the gap: a later slot of the run may move into it unless its home lies
// between the gap (exclusive) and itself.
static void slot_remove(struct prefix_limit *limit, uint32_t gap)
{
	for (uint32_t index = (gap + 1) & limit->mask; limit->slots[index].count != 0;
		index = (index + 1) & limit->mask) {
		uint32_t from_home = (index - limit->slots[index].home) & limit->mask;
		uint32_t from_gap = (index - gap) & limit->mask;

		if (from_home >= from_gap) {
			limit->slots[gap] = limit->slots[index];
			gap = index;
		}
	}
	limit->slots[gap].count = 0;
	limit->used--;
}

static void take_off(struct prefix_limit *limit, const struct slot *wanted)
{
	uint32_t index = slot_find(limit, wanted);

	CHECK(index != UINT32_MAX && limit->slots[index].count > 0);
	if (limit->slots[index].count == 1)
		slot_remove(limit, index);
	else
		limit->slots[index].count--;
}

static void take_off_given(struct prefix_limit *limit)
{
	for (; limit->given_count > 0; limit->given_count--) {
		struct slot *slot = &limit->given[limit->given_count - 1];

		slot_hash(slot, limit);
		take_off(limit, slot);
	}
}

static void take_off_lanes(struct prefix_limit *limit)
{
	const void *prefixes[SIPHASH_LANES];
	uint64_t hashes[SIPHASH_LANES];

	for (unsigned i = 0; i < SIPHASH_LANES; i++)
		prefixes[i] = &limit->given[i].prefix;
	siphash13_lanes(limit->key, prefixes, sizeof(struct addr), hashes);
	for (unsigned i = 0; i < SIPHASH_LANES; i++) {
		limit->given[i].home = (uint32_t)hashes[i];
		take_off(limit, &limit->given[i]);
	}
	limit->given_count = 0;
}

void prefix_limit_give(
	struct prefix_limit *limit, const struct addr *addr, unsigned bits4, unsigned bits6)
{
	slot_start(&limit->given[limit->given_count++], addr, bits4, bits6);
	if (limit->given_count == SIPHASH_LANES)
		take_off_lanes(limit);
}

// Where the prefix counts, or would: UINT32_MAX where nowhere. What was given back counts by then.
static uint32_t slot_of(struct prefix_limit *limit, struct slot *wanted, const struct addr *addr,
	unsigned bits4, unsigned bits6)
{
	take_off_given(limit);
	slot_start(wanted, addr, bits4, bits6);
	slot_hash(wanted, limit);
	return slot_find(limit, wanted);
}

bool prefix_limit_take(struct prefix_limit *limit, const struct addr *addr, unsigned bits4,
	unsigned bits6, uint32_t max)
{
	struct slot wanted;
	uint32_t index = slot_of(limit, &wanted, addr, bits4, bits6);

	if (index == UINT32_MAX || limit->slots[index].count >= max)
		return false;
	if (limit->slots[index].count == 0) {
		if (limit->used == limit->entries)
			return false;
		limit->slots[index] = wanted;
		limit->used++;
	}
	limit->slots[index].count++;
	return true;
}

uint32_t prefix_limit_count(
	struct prefix_limit *limit, const struct addr *addr, unsigned bits4, unsigned bits6)
{
	struct slot wanted;
	uint32_t index = slot_of(limit, &wanted, addr, bits4, bits6);

	return index == UINT32_MAX ? 0 : limit->slots[index].count;
}
