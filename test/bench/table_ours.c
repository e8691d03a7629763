// The flow table as the engine uses it: the burst's hashes in lanes, the buckets fetched for all of
// it, then the entries, then each flow.
#include "table_side.h"

#include "base/check.h"
#include "flow/table.h"

#include <stdlib.h>
#include <string.h>

struct ours {
	void *memory;
	size_t bytes;
	uint32_t capacity;
	struct flow_table *table;
	uint64_t sum;
};

static const struct siphash_key hash_key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};

static void *create(uint32_t capacity, bool huge)
{
	struct ours *ours = calloc(1, sizeof(*ours));

	CHECK(ours != NULL);
	ours->capacity = capacity;
	ours->bytes = flow_table_bytes(capacity);
	ours->memory = pages_map(ours->bytes, huge);
	ours->table = flow_table_init(ours->memory, capacity);
	return ours;
}

static void destroy(void *table)
{
	struct ours *ours = table;

	pages_unmap(ours->memory, ours->bytes);
	free(ours);
}

static void clear(void *table)
{
	struct ours *ours = table;

	memset(ours->memory, 0, ours->bytes);
	ours->table = flow_table_init(ours->memory, ours->capacity);
}

static void hash_and_fetch(const struct ours *ours, const struct burst *burst, uint64_t *hashes)
{
	const struct flow_key *keys[BURST];

	for (unsigned i = 0; i < BURST; i++)
		keys[i] = &burst->keys[i];
	for (unsigned i = 0; i < BURST; i += FLOW_KEYS_MAX)
		flow_key_hashes(hash_key, keys + i, FLOW_KEYS_MAX, hashes + i);
	for (unsigned i = 0; i < BURST; i++)
		flow_table_prefetch(ours->table, hashes[i]);
}

static unsigned lookup(void *table, struct burst *burst)
{
	struct ours *ours = table;
	uint64_t hashes[BURST];
	struct flow *guesses[BURST];
	unsigned found = 0, elsewhere_count = 0, elsewhere[BURST];

	hash_and_fetch(ours, burst, hashes);
	for (unsigned i = 0; i < BURST; i++) {
		bool later;

		guesses[i] = flow_table_guess(ours->table, hashes[i], &later);
		elsewhere[elsewhere_count] = i;
		elsewhere_count += later;
	}
	for (unsigned i = 0; i < elsewhere_count; i++)
		guesses[elsewhere[i]] =
			flow_table_guess_elsewhere(ours->table, hashes[elsewhere[i]]);
	for (unsigned i = 0; i < BURST; i++) {
		const struct flow *flow = flow_table_find_guessed(
			ours->table, &burst->keys[i], hashes[i], guesses[i]);

		if (flow == NULL)
			continue;
		found++;
		ours->sum += flow->translation.d;
	}
	return found;
}

static unsigned insert(void *table, struct burst *burst)
{
	struct ours *ours = table;
	uint64_t hashes[BURST];
	unsigned inserted = 0;

	hash_and_fetch(ours, burst, hashes);
	for (unsigned i = 0; i < BURST; i++) {
		struct flow *flow = flow_table_find(ours->table, &burst->keys[i], hashes[i]);

		if (flow == NULL)
			flow = flow_table_insert(ours->table, &burst->keys[i], hashes[i]);
		if (flow != NULL) {
			flow->translation.d = burst->keys4[i].outer;
			inserted++;
		}
		burst->stamps[i + 1] = stamp();
	}
	return inserted;
}

static uint64_t sum(const void *table)
{
	return ((const struct ours *)table)->sum;
}

static size_t bytes(const void *table)
{
	return ((const struct ours *)table)->bytes;
}

static bool on_huge_pages(const void *table)
{
	return pages_are_huge(((const struct ours *)table)->memory);
}

const struct table_side table_ours = {
	.name = "weir",
	.create = create,
	.destroy = destroy,
	.clear = clear,
	.lookup = lookup,
	.insert = insert,
	.sum = sum,
	.bytes = bytes,
	.on_huge_pages = on_huge_pages,
};
