// The flow table of one worker: fixed capacity, keyed hash, bounded probes, no allocation.
#pragma once

#include "flow/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_table;

#define FLOW_TABLE_CAPACITY_MAX (1u << 27)

// Bytes of memory a table of `capacity` flows (1..FLOW_TABLE_CAPACITY_MAX) takes.
size_t flow_table_bytes(uint32_t capacity);

// Makes a table in `memory`: flow_table_bytes(capacity) bytes, cache-line aligned, zeroed (fresh
// pages from the kernel are), which the caller keeps and frees. Touches no page per flow: pages
// come as flows do.
struct flow_table *flow_table_init(void *memory, uint32_t capacity);

// The flow with this key, or NULL. `hash` = flow_key_hash(key).
struct flow *flow_table_find(struct flow_table *table, const struct flow_key *key, uint64_t hash);

// The flow a digest names (flow_digest() with this table's hash key `hash_key`), or NULL.
struct flow *flow_table_find_digest(
	struct flow_table *table, struct siphash_key hash_key, uint64_t digest);

// Prefetches what flow_table_find() will touch first: one line.
void flow_table_prefetch(const struct flow_table *table, uint64_t hash);
// Then, when that has arrived: the entries it, or a digest, may mean.
void flow_table_prefetch_entry(const struct flow_table *table, uint64_t hash);

// The same for who looks for one flow: the entry that most likely is his; NULL: none may be, unless
// `elsewhere` says that it may be where one line more is being fetched from: then, behind the rest
// of the burst, flow_table_guess_elsewhere() says which. A guess is good for
// flow_table_find_guessed() whatever happens to the table until then: an entry in use has the key
// of no other, one that is free has nobody's.
struct flow *flow_table_guess(const struct flow_table *table, uint64_t hash, bool *elsewhere);
struct flow *flow_table_guess_elsewhere(const struct flow_table *table, uint64_t hash);
struct flow *flow_table_find_guessed(
	struct flow_table *table, const struct flow_key *key, uint64_t hash, struct flow *guess);

// Takes a free entry, sets its key, zeroes the rest, links it. NULL where the table, or both
// buckets of the hash, are full. The key must not be present.
struct flow *flow_table_insert(struct flow_table *table, const struct flow_key *key, uint64_t hash);

// Unlinks and frees an entry.
void flow_table_remove(struct flow_table *table, struct flow *flow, uint64_t hash);

// How many were ever inserted, modulo 2^32: while that stays the same, what was not there is not
// there.
uint32_t flow_table_inserts(const struct flow_table *table);
uint32_t flow_table_count(const struct flow_table *table);
uint32_t flow_table_capacity(const struct flow_table *table);

// Index of an entry, for handles; and back: NULL where the entry is free or outside the range.
uint32_t flow_table_index(const struct flow_table *table, const struct flow *flow);
struct flow *flow_table_at(struct flow_table *table, uint32_t index);

// For scans (ageing, eviction, dumps): entries with an index >= this were never used.
uint32_t flow_table_high_water(const struct flow_table *table);

// For eviction when an insert found both buckets of `hash` full: the entries in those buckets, at
// most FLOW_TABLE_CANDIDATES. Returns how many.
#define FLOW_TABLE_CANDIDATES 16
unsigned flow_table_candidates(
	struct flow_table *table, uint64_t hash, struct flow *out[FLOW_TABLE_CANDIDATES]);
