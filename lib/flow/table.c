// The flow table.
//
// Memory, in this order, every part on a cache-line boundary:
//
//	struct flow_table   one line
//	buckets             a power of two; one line each: 8 tags and 8 marks of 16 bits, 8 indices
//	entries             `capacity` flows, two lines each
//
// A flow hangs in one of two buckets, both computed from its hash: in the first, until FIRST_FULL
// of its slots are taken, then in the emptier one. There are at least twice as many slots as
// entries, so a bucket holds 4 on average at most, and that both buckets of a hash are full
// practically never happens. A bucket counts the flows that would have hung in it: where it says
// none, what is not in it is nowhere, and a search for what is not there ends with one line. That
// holds for 9 of 10 in a table that was just filled, and for 6 of 10 in a full one whose flows come
// and go; of their flows 5 and 15 of 100 hang in their second bucket. Nothing is ever displaced: an
// insert writes one slot, a remove clears one, a find reads at most two bucket lines and then only
// entries whose tag and mark match (a wrong one in 2^32 / 8 looks). Whoever does not know the hash
// key cannot aim at a bucket, and even full buckets only make inserts fail, never walks longer.
//
// A slot's tag are the 16 bits of the hash's low half above those of the first bucket; it is never
// 0, so 0 marks a free slot. Its mark are bits 32-47. A digest (key.h) has the first as they are
// and the second mixed with the incarnation: its tag says which entry it may mean, and with that
// entry's incarnation its mark is checked. From 2^16 buckets on, place, tag and mark together are
// all of the 48 bits a digest has, so no key is hashed to find it; in smaller tables the entry's
// key is.
//
// Life of an entry: never used (index >= high_water, its pages untouched) -> in use -> free, on a
// list through `opening`, with FREE_MARK in a key byte that is 0 in every real key -> in use ...
// The list is last-in first-out, so a small table's worth of flows stays in few pages.
#include "flow/table.h"

#include "base/check.h"

#include <string.h>

#define BUCKET_SLOTS 8
#define FIRST_FULL   6
#define INDEX_BITS   27
#define INDEX_MASK   ((1u << INDEX_BITS) - 1)
#define AWAY_MAX     (UINT32_MAX >> INDEX_BITS) // once so many, for good
#define FREE_MARK    0xff
#define TAG_BITS     16
#define LANES	     0x0101010101010101u // one bit per byte

typedef uint16_t tag_vector __attribute__((vector_size(2 * BUCKET_SLOTS)));
typedef uint8_t lane_vector __attribute__((vector_size(BUCKET_SLOTS)));

struct bucket {
	tag_vector tags; // 0: slot is free
	tag_vector marks;
	// Of entries, in the low INDEX_BITS. Above them, in the first: how many flows hang in their
	// second bucket because this is their first.
	uint32_t index[BUCKET_SLOTS];
} CPU_ALIGNED;
_Static_assert(sizeof(struct bucket) == CPU_CACHE_LINE_BYTES, "one line per probe");
_Static_assert(FLOW_TABLE_CAPACITY_MAX - 1 <= INDEX_MASK, "an index fits");
_Static_assert(2 * BUCKET_SLOTS == FLOW_TABLE_CANDIDATES, "candidates are two buckets");

struct flow_table {
	struct bucket *buckets;
	struct flow *entries;
	uint32_t bucket_mask;
	uint32_t bucket_bits;
	uint32_t capacity;
	uint32_t count;	     // entries in use
	uint32_t high_water; // entries ever used
	uint32_t inserts;    // ever, modulo 2^32
	uint32_t free;	     // first free entry below high_water, or FLOW_NONE
} CPU_ALIGNED;
_Static_assert(sizeof(struct flow_table) == CPU_CACHE_LINE_BYTES, "one line");

// Where a hash may hang.
struct place {
	uint32_t first;
	uint32_t second;
	uint16_t tag;
	uint16_t mark;
};

static uint32_t bucket_count(uint32_t capacity)
{
	uint32_t buckets = 2;

	while (buckets * (BUCKET_SLOTS / 2) < capacity)
		buckets *= 2;
	return buckets;
}

size_t flow_table_bytes(uint32_t capacity)
{
	return sizeof(struct flow_table) + bucket_count(capacity) * sizeof(struct bucket) +
	       capacity * sizeof(struct flow);
}

struct flow_table *flow_table_init(void *memory, uint32_t capacity)
{
	struct flow_table *table = memory;
	uint32_t buckets = bucket_count(capacity);

	CHECK(capacity >= 1 && capacity <= FLOW_TABLE_CAPACITY_MAX);
	CHECK((uintptr_t)memory % CPU_CACHE_LINE_BYTES == 0);
	table->buckets = (struct bucket *)(table + 1);
	table->entries = (struct flow *)(table->buckets + buckets);
	table->bucket_mask = buckets - 1;
	table->bucket_bits = (uint32_t)__builtin_ctz(buckets);
	table->capacity = capacity;
	table->count = 0;
	table->high_water = 0;
	table->inserts = 0;
	table->free = FLOW_NONE;
	return table;
}

static struct place place_of(const struct flow_table *table, uint64_t hash)
{
	// A multiplication spreads the low half of the hash once more, so that the second bucket is
	// not a fixed way from the first. The mark stays out of it: a digest has another one.
	uint32_t offset =
		(uint32_t)(((uint32_t)hash * 0x9e3779b97f4a7c15u) >> 32) & table->bucket_mask;
	uint32_t first = (uint32_t)hash & table->bucket_mask;
	uint16_t tag = (uint16_t)((uint32_t)hash >> table->bucket_bits);

	return (struct place){
		.first = first,
		.second = first ^ (offset == 0 ? 1 : offset),
		.tag = tag == 0 ? 1 : tag,
		.mark = (uint16_t)(hash >> 32),
	};
}

// One bit (bit 0 of byte i) for each slot i whose tag is `tag`.
static uint64_t bucket_match(const struct bucket *bucket, uint16_t tag)
{
	lane_vector equal = __builtin_convertvector(bucket->tags == tag, lane_vector);
	uint64_t lanes;

	memcpy(&lanes, &equal, sizeof(lanes));
	return lanes & LANES;
}

// The same for each slot whose mark fits, too.
static uint64_t bucket_match_both(const struct bucket *bucket, uint16_t tag, uint16_t mark)
{
	lane_vector equal = __builtin_convertvector(
		(bucket->tags == tag) & (bucket->marks == mark), lane_vector);
	uint64_t lanes;

	memcpy(&lanes, &equal, sizeof(lanes));
	return lanes & LANES;
}

static unsigned lane_first(uint64_t lanes)
{
	return (unsigned)__builtin_ctzll(lanes) / 8;
}

static unsigned bucket_room(const struct bucket *bucket)
{
	return (unsigned)(bucket_match(bucket, 0) * LANES >> 56); // a sum of the lanes
}

static struct flow *bucket_entry(
	const struct flow_table *table, const struct bucket *bucket, unsigned slot)
{
	return &table->entries[bucket->index[slot] & INDEX_MASK];
}

static uint32_t bucket_away(const struct bucket *bucket)
{
	return bucket->index[0] >> INDEX_BITS;
}

static void bucket_set_away(struct bucket *bucket, uint32_t away)
{
	bucket->index[0] = (bucket->index[0] & INDEX_MASK) | away << INDEX_BITS;
}

static struct flow *bucket_find(const struct flow_table *table, const struct bucket *bucket,
	const struct flow_key *key, const struct place *place)
{
	uint64_t lanes = bucket_match_both(bucket, place->tag, place->mark);

	for (; lanes != 0; lanes &= lanes - 1) {
		struct flow *flow = bucket_entry(table, bucket, lane_first(lanes));

		if (flow_key_equal(&flow->key, key))
			return flow;
	}
	return NULL;
}

struct flow *flow_table_find(struct flow_table *table, const struct flow_key *key, uint64_t hash)
{
	struct place place = place_of(table, hash);
	const struct bucket *first = &table->buckets[place.first];
	struct flow *flow = bucket_find(table, first, key, &place);

	if (flow != NULL || bucket_away(first) == 0)
		return flow;
	return bucket_find(table, &table->buckets[place.second], key, &place);
}

void flow_table_prefetch(const struct flow_table *table, uint64_t hash)
{
	cpu_prefetch(&table->buckets[(uint32_t)hash & table->bucket_mask]);
}

static void bucket_prefetch_entries(
	const struct flow_table *table, const struct bucket *bucket, uint16_t tag)
{
	uint64_t lanes = bucket_match(bucket, tag);

	for (; lanes != 0; lanes &= lanes - 1)
		flow_prefetch(bucket_entry(table, bucket, lane_first(lanes)));
}

void flow_table_prefetch_entry(const struct flow_table *table, uint64_t hash)
{
	struct place place = place_of(table, hash);
	const struct bucket *first = &table->buckets[place.first];

	bucket_prefetch_entries(table, first, place.tag);
	if (bucket_away(first) != 0)
		cpu_prefetch(&table->buckets[place.second]);
}

static struct flow *bucket_guess(
	const struct flow_table *table, const struct bucket *bucket, const struct place *place)
{
	uint64_t lanes = bucket_match_both(bucket, place->tag, place->mark);
	struct flow *flow;

	if (lanes == 0)
		return NULL;
	flow = bucket_entry(table, bucket, lane_first(lanes));
	cpu_prefetch(flow);
	return flow;
}

struct flow *flow_table_guess(const struct flow_table *table, uint64_t hash, bool *elsewhere)
{
	struct place place = place_of(table, hash);
	const struct bucket *first = &table->buckets[place.first];
	struct flow *flow = bucket_guess(table, first, &place);

	*elsewhere = flow == NULL && bucket_away(first) != 0;
	if (*elsewhere)
		cpu_prefetch(&table->buckets[place.second]);
	return flow;
}

struct flow *flow_table_guess_elsewhere(const struct flow_table *table, uint64_t hash)
{
	struct place place = place_of(table, hash);

	return bucket_guess(table, &table->buckets[place.second], &place);
}

struct flow *flow_table_find_guessed(
	struct flow_table *table, const struct flow_key *key, uint64_t hash, struct flow *guess)
{
	if (guess != NULL && flow_key_equal(&guess->key, key))
		return guess;
	return flow_table_find(table, key, hash);
}

static struct flow *entry_take(struct flow_table *table)
{
	struct flow *flow;

	if (table->free != FLOW_NONE) {
		flow = &table->entries[table->free];
		table->free = flow->opening;
	} else {
		flow = &table->entries[table->high_water];
		table->high_water++;
	}
	table->count++;
	return flow;
}

static struct bucket *bucket_for(
	const struct flow_table *table, struct bucket *first, const struct place *place)
{
	struct bucket *second = &table->buckets[place->second];
	unsigned room = bucket_room(first);

	if (room > BUCKET_SLOTS - FIRST_FULL || bucket_room(second) <= room)
		return first;
	return second;
}

struct flow *flow_table_insert(struct flow_table *table, const struct flow_key *key, uint64_t hash)
{
	struct place place = place_of(table, hash);
	struct bucket *first = &table->buckets[place.first];
	struct bucket *bucket = bucket_for(table, first, &place);
	struct flow *flow;
	unsigned slot;

	if (table->count == table->capacity || bucket_room(bucket) == 0)
		return NULL;
	if (bucket != first && bucket_away(first) < AWAY_MAX)
		bucket_set_away(first, bucket_away(first) + 1);
	flow = entry_take(table);
	flow->key = *key;
	// Of constant lengths short enough for plain stores: with one of 128 gcc takes `rep stos`.
	memset(&flow->translation, 0, CPU_CACHE_LINE_BYTES - sizeof(flow->key));
	memset((uint8_t *)flow + CPU_CACHE_LINE_BYTES, 0, CPU_CACHE_LINE_BYTES);
	slot = lane_first(bucket_match(bucket, 0));
	bucket->tags[slot] = place.tag;
	bucket->marks[slot] = place.mark;
	bucket->index[slot] = (bucket->index[slot] & ~INDEX_MASK) | flow_table_index(table, flow);
	table->inserts++;
	return flow;
}

static bool bucket_unlink(struct bucket *bucket, uint16_t tag, uint32_t index)
{
	uint64_t lanes = bucket_match(bucket, tag);

	for (; lanes != 0; lanes &= lanes - 1) {
		unsigned slot = lane_first(lanes);

		if ((bucket->index[slot] & INDEX_MASK) == index) {
			bucket->tags[slot] = 0;
			return true;
		}
	}
	return false;
}

void flow_table_remove(struct flow_table *table, struct flow *flow, uint64_t hash)
{
	struct place place = place_of(table, hash);
	struct bucket *first = &table->buckets[place.first];
	uint32_t index = flow_table_index(table, flow);

	if (!bucket_unlink(first, place.tag, index)) {
		CHECK(bucket_unlink(&table->buckets[place.second], place.tag, index));
		if (bucket_away(first) < AWAY_MAX)
			bucket_set_away(first, bucket_away(first) - 1);
	}
	flow->key.zero[0] = FREE_MARK;
	flow->opening = table->free;
	table->free = index;
	table->count--;
}

uint32_t flow_table_inserts(const struct flow_table *table)
{
	return table->inserts;
}

uint32_t flow_table_count(const struct flow_table *table)
{
	return table->count;
}

uint32_t flow_table_capacity(const struct flow_table *table)
{
	return table->capacity;
}

uint32_t flow_table_index(const struct flow_table *table, const struct flow *flow)
{
	return (uint32_t)(flow - table->entries);
}

struct flow *flow_table_at(struct flow_table *table, uint32_t index)
{
	struct flow *flow;

	if (index >= table->high_water)
		return NULL;
	flow = &table->entries[index];
	return flow->key.zero[0] == FREE_MARK ? NULL : flow;
}

uint32_t flow_table_high_water(const struct flow_table *table)
{
	return table->high_water;
}

static unsigned bucket_entries(
	struct flow_table *table, const struct bucket *bucket, struct flow **out)
{
	unsigned count = 0;

	for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
		if (bucket->tags[slot] != 0)
			out[count++] = bucket_entry(table, bucket, slot);
	return count;
}

// Is this the entry's flow? Its tag is the digest's, and its mark is, with its incarnation.
static bool digest_fits(const struct flow_table *table, const struct flow *flow, uint16_t mark,
	struct siphash_key hash_key, uint64_t digest)
{
	uint64_t hash = flow_digest(digest, flow->incarnation);

	if ((uint16_t)(hash >> 32) != mark)
		return false;
	return table->bucket_bits + TAG_BITS >= 32 ||
	       flow_digest(flow_key_hash(hash_key, &flow->key), 0) == hash;
}

static struct flow *bucket_find_digest(const struct flow_table *table, const struct bucket *bucket,
	uint16_t tag, struct siphash_key hash_key, uint64_t digest)
{
	uint64_t lanes = bucket_match(bucket, tag);

	for (; lanes != 0; lanes &= lanes - 1) {
		unsigned slot = lane_first(lanes);
		struct flow *flow = bucket_entry(table, bucket, slot);

		if (digest_fits(table, flow, bucket->marks[slot], hash_key, digest))
			return flow;
	}
	return NULL;
}

struct flow *flow_table_find_digest(
	struct flow_table *table, struct siphash_key hash_key, uint64_t digest)
{
	struct place place = place_of(table, digest);
	const struct bucket *first = &table->buckets[place.first];
	struct flow *flow = bucket_find_digest(table, first, place.tag, hash_key, digest);

	if (flow != NULL || bucket_away(first) == 0)
		return flow;
	return bucket_find_digest(
		table, &table->buckets[place.second], place.tag, hash_key, digest);
}

unsigned flow_table_candidates(
	struct flow_table *table, uint64_t hash, struct flow *out[FLOW_TABLE_CANDIDATES])
{
	struct place place = place_of(table, hash);
	unsigned count = bucket_entries(table, &table->buckets[place.first], out);

	return count + bucket_entries(table, &table->buckets[place.second], out + count);
}
