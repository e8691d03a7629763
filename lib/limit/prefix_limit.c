// Flows per source prefix.
//
// One array of slots of 12 bytes, three for every two `entries`, so it is never more than two
// thirds full; linear probing from a keyed hash, round the end of the array. A slot with count 0 is
// empty. Removal moves later members of the run back into the gap (no tombstones), so a look-up
// ends at the first empty slot, after PROBES_MAX slots at the latest: a prefix that would lie
// further away is refused. Moving back only ever brings a prefix nearer to its home, so what was
// found stays found. In a full table a look-up reads 2 slots on average where the prefix is there
// and 5 where it is not, and the longest run of one with 2^27 entries has about 300; one as long
// as PROBES_MAX comes with a chance of 10^-24.
//
// A slot does not say whose it is: the 64 bits of the hash do. All that tells counts apart goes
// into it: the prefix, its length (a reload that changes it must not mix the old counts with the
// new ones), and whether the clients proved their addresses. Two prefixes with the same hash would
// have one count, and with it one limit: they would reach it sooner, and nothing would go
// uncounted. A prefix that comes to a million others meets that with a chance of 2^-44, and whoever
// does not know the key cannot look for such a pair.
//
// What is given back is collected, because connections end by the dozen and hashing eight prefixes
// costs little more than one, as do the misses of their slots when they overlap; whatever looks at
// a count takes off first what was collected.
#include "limit/prefix_limit.h"

#include "base/check.h"
#include "base/cpu.h"

#define PROBES_MAX 1024

struct slot {
	uint32_t place; // upper half of the hash, which says where its home is
	uint32_t mark;	// lower half
	uint32_t count; // flows; 0: empty
};
_Static_assert(sizeof(struct slot) == 12, "18 bytes for each entry");

// What is hashed.
struct hashed {
	struct addr prefix;
	uint8_t bits; // of the 16-byte form
	uint8_t proven;
};
_Static_assert(sizeof(struct hashed) == ADDR_BYTES + 2, "no byte of it is unknown");

struct prefix_limit {
	struct siphash_key key;
	uint32_t entries;
	uint32_t used; // slots with count > 0
	uint32_t slot_count;
	uint32_t given_count;
	struct hashed given[SIPHASH_LANES]; // not taken off yet
	struct slot slots[];
};

// More slots than entries: a run has an end.
static uint32_t slots_for(uint32_t entries)
{
	return entries + (entries + 1) / 2;
}

size_t prefix_limit_bytes(uint32_t entries)
{
	return sizeof(struct prefix_limit) + (size_t)slots_for(entries) * sizeof(struct slot);
}

struct prefix_limit *prefix_limit_init(void *memory, uint32_t entries, struct siphash_key key)
{
	struct prefix_limit *limit = memory;

	CHECK(entries >= 1 && entries <= PREFIX_LIMIT_ENTRIES_MAX);
	limit->key = key;
	limit->entries = entries;
	limit->used = 0;
	limit->slot_count = slots_for(entries);
	limit->given_count = 0;
	return limit;
}

// In its place, word by word: a copy would wait for the words to leave the processor's store
// buffer.
static void hashed_set(struct hashed *hashed, const struct prefix_source *source)
{
	hashed->bits = addr_is_ip4(source->addr) ? (uint8_t)(96 + source->bits4) : source->bits6;
	hashed->prefix = addr_mask(source->addr, hashed->bits);
	hashed->proven = source->proven;
}

// As a slot with nothing counted.
static struct slot slot_of_hash(uint64_t hash)
{
	return (struct slot){.place = (uint32_t)(hash >> 32), .mark = (uint32_t)hash};
}

static uint32_t slot_home(const struct prefix_limit *limit, const struct slot *slot)
{
	return (uint32_t)((uint64_t)slot->place * limit->slot_count >> 32);
}

static uint32_t slot_behind(const struct prefix_limit *limit, uint32_t index)
{
	return index + 1 == limit->slot_count ? 0 : index + 1;
}

// Slots from one to the other, round the end.
static uint32_t slot_way(const struct prefix_limit *limit, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + (limit->slot_count - from);
}

static bool slot_is(const struct slot *slot, const struct slot *wanted)
{
	return slot->place == wanted->place && slot->mark == wanted->mark;
}

// Index of the slot that has the prefix, or of the empty one where it belongs; UINT32_MAX where
// neither is near enough.
static uint32_t slot_find(const struct prefix_limit *limit, const struct slot *wanted)
{
	uint32_t index = slot_home(limit, wanted);

	for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
		const struct slot *slot = &limit->slots[index];

		if (slot->count == 0 || slot_is(slot, wanted))
			return index;
		index = slot_behind(limit, index);
	}
	return UINT32_MAX;
}

// Empties a slot and closes the gap: a later slot of the run may move into it unless its home lies
// between the gap (exclusive) and itself.
static void slot_remove(struct prefix_limit *limit, uint32_t gap)
{
	for (uint32_t index = slot_behind(limit, gap); limit->slots[index].count != 0;
		index = slot_behind(limit, index)) {
		uint32_t home = slot_home(limit, &limit->slots[index]);

		if (slot_way(limit, home, index) >= slot_way(limit, gap, index)) {
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
		const struct hashed *given = &limit->given[limit->given_count - 1];
		struct slot wanted = slot_of_hash(siphash13(limit->key, given, sizeof(*given)));

		take_off(limit, &wanted);
	}
}

static void take_off_lanes(struct prefix_limit *limit)
{
	const void *given[SIPHASH_LANES];
	uint64_t hashes[SIPHASH_LANES];
	struct slot wanted[SIPHASH_LANES];

	for (unsigned i = 0; i < SIPHASH_LANES; i++)
		given[i] = &limit->given[i];
	siphash13_lanes(limit->key, given, sizeof(struct hashed), hashes);
	for (unsigned i = 0; i < SIPHASH_LANES; i++) {
		wanted[i] = slot_of_hash(hashes[i]);
		cpu_prefetch(&limit->slots[slot_home(limit, &wanted[i])]);
	}
	for (unsigned i = 0; i < SIPHASH_LANES; i++)
		take_off(limit, &wanted[i]);
	limit->given_count = 0;
}

void prefix_limit_give(struct prefix_limit *limit, const struct prefix_source *source)
{
	hashed_set(&limit->given[limit->given_count++], source);
	if (limit->given_count == SIPHASH_LANES)
		take_off_lanes(limit);
}

// Where the prefix counts, or would: UINT32_MAX where nowhere. What was given back counts by then.
static uint32_t slot_of(
	struct prefix_limit *limit, struct slot *wanted, const struct prefix_source *source)
{
	struct hashed hashed;

	take_off_given(limit);
	hashed_set(&hashed, source);
	*wanted = slot_of_hash(siphash13(limit->key, &hashed, sizeof(hashed)));
	return slot_find(limit, wanted);
}

bool prefix_limit_take(struct prefix_limit *limit, const struct prefix_source *source, uint32_t max)
{
	struct slot wanted;
	uint32_t index = slot_of(limit, &wanted, source);

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

uint32_t prefix_limit_count(struct prefix_limit *limit, const struct prefix_source *source)
{
	struct slot wanted;
	uint32_t index = slot_of(limit, &wanted, source);

	return index == UINT32_MAX ? 0 : limit->slots[index].count;
}
