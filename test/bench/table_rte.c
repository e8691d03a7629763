// DPDK's rte_hash: keys of 16 bytes, CRC32C, a data pointer to a state of one cache line. Its
// memory comes from a heap of our own, on pages of the wanted size.
#include "table_side.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_malloc.h>

#define SLOT_BYTES_MOST 96 // of a table, keys included: about 41 are used
#define HEAP_SPARE	((size_t)8 << 20)
#define PAGE_BYTES	4096

struct state {
	uint32_t d;
	uint8_t rest[60];
} __attribute__((aligned(64)));

struct rte_side {
	char heap[32];
	void *heap_memory;
	size_t heap_bytes;
	size_t table_bytes;
	struct rte_hash *hash;
	struct state *states;
	uint32_t capacity;
	uint32_t used; // states
	uint64_t sum;
};

static int make_heap(struct rte_side *side, bool huge)
{
	static unsigned number;

	snprintf(side->heap, sizeof(side->heap), "tables%u", number++);
	side->heap_bytes = pages_round((size_t)side->capacity * SLOT_BYTES_MOST + HEAP_SPARE);
	side->heap_memory = pages_map(side->heap_bytes, huge);
	CHECK(rte_malloc_heap_create(side->heap) == 0);
	CHECK(rte_malloc_heap_memory_add(side->heap, side->heap_memory, side->heap_bytes, NULL,
		      (unsigned)(side->heap_bytes / PAGE_BYTES), PAGE_BYTES) == 0);
	return rte_malloc_heap_get_socket(side->heap);
}

static void *create(uint32_t capacity, bool huge)
{
	struct rte_side *side = calloc(1, sizeof(*side));
	struct rte_malloc_socket_stats stats;
	struct rte_hash_parameters parameters = {
		.entries = capacity, .key_len = sizeof(struct key4), .hash_func = rte_hash_crc};

	CHECK(side != NULL);
	side->capacity = capacity;
	parameters.socket_id = make_heap(side, huge);
	parameters.name = side->heap;
	side->hash = rte_hash_create(&parameters);
	CHECK(side->hash != NULL);
	CHECK(rte_malloc_get_socket_stats(parameters.socket_id, &stats) == 0);
	side->table_bytes = stats.heap_allocsz_bytes;
	side->states = pages_map((size_t)capacity * sizeof(*side->states), huge);
	return side;
}

static void destroy(void *table)
{
	struct rte_side *side = table;

	rte_hash_free(side->hash);
	rte_malloc_heap_memory_remove(side->heap, side->heap_memory, side->heap_bytes);
	rte_malloc_heap_destroy(side->heap);
	pages_unmap(side->heap_memory, side->heap_bytes);
	pages_unmap(side->states, (size_t)side->capacity * sizeof(*side->states));
	free(side);
}

static void clear(void *table)
{
	struct rte_side *side = table;

	rte_hash_reset(side->hash);
	side->used = 0;
}

static unsigned lookup(void *table, struct burst *burst)
{
	struct rte_side *side = table;
	const void *keys[BURST];
	void *states[BURST];
	uint64_t hits = 0;

	for (unsigned i = 0; i < BURST; i++)
		keys[i] = &burst->keys4[i];
	rte_hash_lookup_bulk_data(side->hash, keys, BURST, &hits, states);
	for (uint64_t left = hits; left != 0; left &= left - 1)
		side->sum += ((const struct state *)states[__builtin_ctzll(left)])->d;
	return (unsigned)__builtin_popcountll(hits);
}

static unsigned insert(void *table, struct burst *burst)
{
	struct rte_side *side = table;
	unsigned inserted = 0;

	for (unsigned i = 0; i < BURST; i++) {
		if (side->used < side->capacity) {
			struct state *state = &side->states[side->used];

			memset(state, 0, sizeof(*state));
			state->d = burst->keys4[i].outer;
			if (rte_hash_add_key_data(side->hash, &burst->keys4[i], state) == 0) {
				side->used++;
				inserted++;
			}
		}
		burst->stamps[i + 1] = stamp();
	}
	return inserted;
}

static uint64_t sum(const void *table)
{
	return ((const struct rte_side *)table)->sum;
}

static size_t bytes(const void *table)
{
	const struct rte_side *side = table;

	return side->table_bytes + (size_t)side->capacity * sizeof(*side->states);
}

static bool on_huge_pages(const void *table)
{
	return pages_are_huge(((const struct rte_side *)table)->heap_memory);
}

const struct table_side table_rte = {
	.name = "rte_hash",
	.create = create,
	.destroy = destroy,
	.clear = clear,
	.lookup = lookup,
	.insert = insert,
	.sum = sum,
	.bytes = bytes,
	.on_huge_pages = on_huge_pages,
};
