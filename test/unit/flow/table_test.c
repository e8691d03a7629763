// The flow table against a plain array that remembers what is in it.
#include "base/check.h"
#include "flow/table.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct siphash_key hash_key = {{0x1122334455667788, 0x99aabbccddeeff00}};

struct fixture {
	void *memory;
	size_t bytes;
	struct flow_table *table;
};

static struct fixture table_new(uint32_t capacity)
{
	size_t bytes = flow_table_bytes(capacity);
	struct fixture f = {.bytes = bytes, .memory = aligned_alloc(CPU_CACHE_LINE_BYTES, bytes)};

	assert_non_null(f.memory);
	memset(f.memory, 0, bytes);
	f.table = flow_table_init(f.memory, capacity);
	return f;
}

static struct flow_key key_of(uint32_t number)
{
	struct flow_key key = {.protocol = PROTOCOL_TCP, .inner_port = 80};

	memcpy(key.outer.b, &number, sizeof(number));
	return key;
}

static uint64_t hash_of(const struct flow_key *key)
{
	return flow_key_hash(hash_key, key);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void insert_find_remove(void **state)
{
	struct fixture f = table_new(10);
	struct flow_key key = key_of(1), other = key_of(2);
	struct flow *flow;

	(void)state;
	assert_null(flow_table_find(f.table, &key, hash_of(&key)));
	flow = flow_table_insert(f.table, &key, hash_of(&key));
	assert_non_null(flow);
	assert_true(flow_key_equal(&flow->key, &key));
	assert_ptr_equal(flow_table_find(f.table, &key, hash_of(&key)), flow);
	assert_null(flow_table_find(f.table, &other, hash_of(&other)));
	assert_null(flow_table_find(f.table, &other, hash_of(&key))); // same place and tag
	assert_int_equal(flow_table_count(f.table), 1);
	assert_int_equal(flow_table_capacity(f.table), 10);
	flow_table_prefetch(f.table, hash_of(&key));
	flow_table_remove(f.table, flow, hash_of(&key));
	assert_null(flow_table_find(f.table, &key, hash_of(&key)));
	assert_int_equal(flow_table_count(f.table), 0);
	free(f.memory);
}

static void entries_come_zeroed(void **state)
{
	static const struct flow zero;
	struct fixture f = table_new(1);
	struct flow_key key = key_of(7);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct flow *flow = flow_table_insert(f.table, &key, hash_of(&key));
		struct flow rest;

		assert_non_null(flow);
		rest = *flow;
		memset(&rest.key, 0, sizeof(rest.key));
		assert_memory_equal(&rest, &zero, sizeof(zero));
		memset((uint8_t *)flow + sizeof(flow->key), 0xa5,
			sizeof(*flow) - sizeof(flow->key));
		flow_table_remove(f.table, flow, hash_of(&key));
	}
	free(f.memory);
}

static void handles(void **state)
{
	struct fixture f = table_new(100);
	struct flow *flows[10];

	(void)state;
	assert_int_equal(flow_table_high_water(f.table), 0);
	assert_null(flow_table_at(f.table, 0));
	for (uint32_t i = 0; i < ARRAY_LEN(flows); i++) {
		struct flow_key key = key_of(i);

		flows[i] = flow_table_insert(f.table, &key, hash_of(&key));
		assert_ptr_equal(
			flow_table_at(f.table, flow_table_index(f.table, flows[i])), flows[i]);
	}
	assert_int_equal(flow_table_high_water(f.table), 10);
	flow_table_remove(f.table, flows[4], hash_of(&flows[4]->key));
	assert_null(flow_table_at(f.table, flow_table_index(f.table, flows[4])));
	assert_null(flow_table_at(f.table, 10));
	assert_null(flow_table_at(f.table, FLOW_NONE));
	assert_int_equal(flow_table_high_water(f.table), 10);
	assert_non_null(flow_table_insert(f.table, &(struct flow_key){0}, 5)); // takes the free one
	assert_int_equal(flow_table_high_water(f.table), 10);
	free(f.memory);
}

// To the last entry, at the highest load a bucket array gets (a capacity that is a power of two)
// and others.
static void fills_to_capacity(void **state)
{
	static const uint32_t capacities[] = {1, 2, 3, 8, 9, 100, 1000, 65536, 100000, 1u << 18};

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(capacities); c++) {
		uint32_t capacity = capacities[c];
		struct fixture f = table_new(capacity);
		struct flow_key one_more = key_of(capacity);

		for (uint32_t i = 0; i < capacity; i++) {
			struct flow_key key = key_of(i);

			assert_non_null(flow_table_insert(f.table, &key, hash_of(&key)));
		}
		assert_int_equal(flow_table_count(f.table), capacity);
		assert_null(flow_table_insert(f.table, &one_more, hash_of(&one_more)));
		for (uint32_t i = 0; i < capacity; i++) {
			struct flow_key key = key_of(i);
			struct flow *flow = flow_table_find(f.table, &key, hash_of(&key));

			assert_non_null(flow);
			assert_true(flow_key_equal(&flow->key, &key));
		}
		free(f.memory);
	}
}

// Full, with flows that come and go: what fits after a long time is what fits at first.
static void stays_full_under_churn(void **state)
{
	enum { CAPACITY = 4096 };
	struct fixture f = table_new(CAPACITY);
	uint32_t held[CAPACITY];
	uint32_t next = 0;
	uint64_t seed = 42;

	(void)state;
	for (; next < CAPACITY; next++) {
		struct flow_key key = key_of(next);

		held[next] = next;
		assert_non_null(flow_table_insert(f.table, &key, hash_of(&key)));
	}
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t *place = &held[random_next(&seed) % CAPACITY];
		struct flow_key old = key_of(*place), new = key_of(next);

		flow_table_remove(
			f.table, flow_table_find(f.table, &old, hash_of(&old)), hash_of(&old));
		assert_non_null(flow_table_insert(f.table, &new, hash_of(&new)));
		*place = next++;
	}
	assert_int_equal(flow_table_count(f.table), CAPACITY);
	assert_int_equal(flow_table_high_water(f.table), CAPACITY);
	free(f.memory);
}

// 10^6 random operations. model[number]: its flow, NULL where it is not in the table.
static void random_operations(void **state)
{
	enum { NUMBERS = 3000, CAPACITY = 2000 };
	static struct flow *model[NUMBERS];
	struct fixture f = table_new(CAPACITY);
	uint64_t seed = 0x1234567;
	uint32_t count = 0;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		uint32_t number = (uint32_t)(random_next(&seed) % NUMBERS);
		struct flow_key key = key_of(number);
		uint64_t hash = hash_of(&key);
		struct flow *flow = flow_table_find(f.table, &key, hash);

		assert_ptr_equal(flow, model[number]);
		if (flow != NULL) {
			assert_int_equal(flow->isn_client, number);
			if (random_next(&seed) % 4 == 0)
				continue;
			flow_table_remove(f.table, flow, hash);
			model[number] = NULL;
			count--;
		} else {
			flow = flow_table_insert(f.table, &key, hash);
			assert_int_equal(flow != NULL, count < CAPACITY);
			if (flow == NULL)
				continue;
			flow->isn_client = number;
			model[number] = flow;
			count++;
		}
		assert_int_equal(flow_table_count(f.table), count);
	}
	for (uint32_t index = 0; index < CAPACITY; index++) {
		struct flow *flow = flow_table_at(f.table, index);

		if (flow != NULL) {
			assert_ptr_equal(model[flow->isn_client], flow);
			count--;
		}
	}
	assert_int_equal(count, 0);
	free(f.memory);
}

static struct flow *guess(const struct flow_table *table, uint64_t hash)
{
	bool elsewhere;
	struct flow *flow = flow_table_guess(table, hash, &elsewhere);

	assert_true(flow == NULL || !elsewhere);
	return elsewhere ? flow_table_guess_elsewhere(table, hash) : flow;
}

// A full table sends few to their second bucket, and an empty one nobody, whatever was in it.
static void few_look_twice(void **state)
{
	enum { NUMBERS = 4096, TURNS = 5 };
	struct fixture f = table_new(NUMBERS);
	unsigned twice = 0;

	(void)state;
	for (uint32_t i = 0; i < TURNS * NUMBERS; i++) {
		struct flow_key gone = key_of(i - NUMBERS), key = key_of(i);

		if (i >= NUMBERS)
			flow_table_remove(f.table, flow_table_find(f.table, &gone, hash_of(&gone)),
				hash_of(&gone));
		assert_non_null(flow_table_insert(f.table, &key, hash_of(&key)));
	}
	for (uint32_t i = 0; i < NUMBERS; i++) {
		struct flow_key absent = key_of((TURNS + 1) * NUMBERS + i);
		bool elsewhere;

		flow_table_guess(f.table, hash_of(&absent), &elsewhere);
		twice += elsewhere;
	}
	assert_in_range(twice, NUMBERS / 20, NUMBERS / 2);
	for (uint32_t i = (TURNS - 1) * NUMBERS; i < TURNS * NUMBERS; i++) {
		struct flow_key key = key_of(i);

		flow_table_remove(
			f.table, flow_table_find(f.table, &key, hash_of(&key)), hash_of(&key));
	}
	for (uint32_t i = 0; i < TURNS * NUMBERS; i++) {
		struct flow_key key = key_of(i);
		bool elsewhere;

		assert_null(flow_table_guess(f.table, hash_of(&key), &elsewhere));
		assert_false(elsewhere);
	}
	free(f.memory);
}

// A guess is good whatever has happened since: 64 of them between random inserts and removals.
static void guesses_outlive_changes(void **state)
{
	enum { NUMBERS = 300, GUESSES = 64 };
	struct fixture f = table_new(NUMBERS);
	uint64_t seed = 0x1234567;
	unsigned right = 0, stale = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct flow *guesses[GUESSES];
		uint32_t numbers[GUESSES];

		for (unsigned i = 0; i < GUESSES; i++) {
			struct flow_key key = key_of(numbers[i] = random_next(&seed) % NUMBERS);

			guesses[i] = guess(f.table, hash_of(&key));
		}
		for (unsigned i = 0; i < GUESSES; i++) {
			struct flow_key key = key_of(numbers[i]), some;
			uint64_t hash = hash_of(&key);
			struct flow *flow = flow_table_find(f.table, &key, hash);

			assert_ptr_equal(
				flow_table_find_guessed(f.table, &key, hash, guesses[i]), flow);
			assert_ptr_equal(flow_table_find_guessed(f.table, &key, hash, NULL), flow);
			right += flow != NULL && flow == guesses[i];
			stale += guesses[i] != flow;
			some = key_of(random_next(&seed) % NUMBERS);
			hash = hash_of(&some);
			flow = flow_table_find(f.table, &some, hash);
			if (flow != NULL)
				flow_table_remove(f.table, flow, hash);
			else
				assert_non_null(flow_table_insert(f.table, &some, hash));
		}
	}
	assert_true(right > 100000 && stale > 100000);
	free(f.memory);
}

// Hashes that share both buckets (and, for every second one, the tag): 16 fit, the rest is refused
// and found nowhere, and the candidates are exactly those 16.
static void both_buckets_full(void **state)
{
	struct fixture f = table_new(1000);
	struct flow *flows[FLOW_TABLE_CANDIDATES], *list[FLOW_TABLE_CANDIDATES];
	uint64_t hash = 0x123456789abcdef;
	struct flow_key key = key_of(100);

	(void)state;
	assert_int_equal(flow_table_candidates(f.table, hash, list), 0);
	for (uint32_t i = 0; i < FLOW_TABLE_CANDIDATES; i++) {
		struct flow_key one = key_of(i);

		flows[i] = flow_table_insert(f.table, &one, hash);
		assert_non_null(flows[i]);
	}
	assert_null(flow_table_insert(f.table, &key, hash));
	assert_null(flow_table_find(f.table, &key, hash));
	assert_int_equal(flow_table_candidates(f.table, hash, list), FLOW_TABLE_CANDIDATES);
	for (uint32_t i = 0; i < FLOW_TABLE_CANDIDATES; i++) {
		bool listed = false;

		for (uint32_t j = 0; j < FLOW_TABLE_CANDIDATES; j++)
			listed = listed || list[j] == flows[i];
		assert_true(listed);
		assert_ptr_equal(flow_table_find(f.table, &flows[i]->key, hash), flows[i]);
	}
	flow_table_remove(f.table, flows[9], hash);
	assert_int_equal(flow_table_candidates(f.table, hash, list), FLOW_TABLE_CANDIDATES - 1);
	assert_non_null(flow_table_insert(f.table, &key, hash));
	assert_null(flow_table_insert(f.table, &(struct flow_key){0}, hash));
	free(f.memory);
}

// Each flow of a full table by its digest; not with another incarnation or of another flow, nor
// once it is gone.
static void each_is_found_by_digest(uint32_t capacity)
{
	struct fixture f = table_new(capacity);

	for (uint32_t i = 0; i < capacity; i++) {
		struct flow_key key = key_of(i);

		flow_table_insert(f.table, &key, hash_of(&key))->incarnation = i << 12 | 7;
	}
	for (uint32_t i = 0; i < capacity; i++) {
		struct flow_key key = key_of(i);
		uint64_t hash = hash_of(&key), digest = flow_digest(hash, i << 12 | 7);
		struct flow *flow = flow_table_find(f.table, &key, hash);

		assert_ptr_equal(flow_table_find_digest(f.table, hash_key, digest), flow);
		assert_null(flow_table_find_digest(
			f.table, hash_key, flow_digest(hash, (i + 1) << 12 | 7)));
		key = key_of(capacity + i);
		assert_null(flow_table_find_digest(
			f.table, hash_key, flow_digest(hash_of(&key), i << 12 | 7)));
		flow_table_remove(f.table, flow, hash);
		assert_null(flow_table_find_digest(f.table, hash_key, digest));
	}
	free(f.memory);
}

// A small table hashes the key of what a digest may mean, a large one has all of its bits.
static void found_by_digest(void **state)
{
	(void)state;
	each_is_found_by_digest(4096);
	each_is_found_by_digest(1 << 18);
}

// What the bucket of a small table does not say of a digest, the key does.
static void small_tables_ask_the_key(void **state)
{
	static const struct siphash_key other = {{1, 2}};
	struct fixture f = table_new(64);
	struct flow_key key = key_of(1);
	uint64_t hash = hash_of(&key);

	(void)state;
	assert_non_null(flow_table_insert(f.table, &key, hash));
	assert_non_null(flow_table_find_digest(f.table, hash_key, flow_digest(hash, 0)));
	assert_null(flow_table_find_digest(f.table, other, flow_digest(hash, 0)));
	free(f.memory);
}

// Hashes whose second bucket and tag computations hit their special cases.
static void extreme_hashes(void **state)
{
	static const uint64_t hashes[] = {0, 1, UINT64_MAX, 0xffffffff, 0xffffffff00000000,
		0x0001000000000000, 0x8000000000000000};

	(void)state;
	for (uint32_t capacity = 1; capacity <= 64; capacity *= 8)
		for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
			struct fixture f = table_new(capacity);
			struct flow_key key = key_of(1), other = key_of(2);
			struct flow *flow = flow_table_insert(f.table, &key, hashes[i]);

			assert_non_null(flow);
			assert_ptr_equal(flow_table_find(f.table, &key, hashes[i]), flow);
			assert_null(flow_table_find(f.table, &other, hashes[i]));
			flow_table_remove(f.table, flow, hashes[i]);
			assert_null(flow_table_find(f.table, &key, hashes[i]));
			free(f.memory);
		}
}

static void memory_is_what_was_said(void **state)
{
	(void)state;
	// 128 bytes per flow, at most 32 of bucket, and the head.
	assert_int_equal(flow_table_bytes(65536), 64 + 65536 * (128 + 16));
	assert_in_range(flow_table_bytes(100000), 100000 * (128 + 16), 64 + 100000 * (128 + 32));
	assert_int_equal(
		flow_table_bytes(FLOW_TABLE_CAPACITY_MAX), 64 + ((size_t)128 + 16) * (1u << 27));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(insert_find_remove),
		cmocka_unit_test(entries_come_zeroed),
		cmocka_unit_test(handles),
		cmocka_unit_test(fills_to_capacity),
		cmocka_unit_test(stays_full_under_churn),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(few_look_twice),
		cmocka_unit_test(guesses_outlive_changes),
		cmocka_unit_test(both_buckets_full),
		cmocka_unit_test(found_by_digest),
		cmocka_unit_test(small_tables_ask_the_key),
		cmocka_unit_test(extreme_hashes),
		cmocka_unit_test(memory_is_what_was_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
