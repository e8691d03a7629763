// Flows per prefix: exact, bounded, and right after removals.
#include "base/check.h"
#include "limit/prefix_limit.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct siphash_key key = {{3, 4}};

static struct prefix_limit *limit_new(uint32_t entries)
{
	void *memory = calloc(1, prefix_limit_bytes(entries));

	assert_non_null(memory);
	return prefix_limit_init(memory, entries, key);
}

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return addr;
}

static struct prefix_source source_at(const struct addr *addr)
{
	return (struct prefix_source){.addr = addr, .bits4 = 24, .bits6 = 56, .proven = true};
}

static bool take_at(struct prefix_limit *limit, const struct addr *addr, uint32_t max)
{
	struct prefix_source source = source_at(addr);

	return prefix_limit_take(limit, &source, max);
}

static void give_at(struct prefix_limit *limit, const struct addr *addr)
{
	struct prefix_source source = source_at(addr);

	prefix_limit_give(limit, &source);
}

static uint32_t count_at(struct prefix_limit *limit, const struct addr *addr)
{
	struct prefix_source source = source_at(addr);

	return prefix_limit_count(limit, &source);
}

static bool take(struct prefix_limit *limit, const char *text, uint32_t max)
{
	struct addr addr = address(text);

	return take_at(limit, &addr, max);
}

static void give(struct prefix_limit *limit, const char *text)
{
	struct addr addr = address(text);

	give_at(limit, &addr);
}

static uint32_t count(struct prefix_limit *limit, const char *text)
{
	struct addr addr = address(text);

	return count_at(limit, &addr);
}

static void counts_to_the_limit(void **state)
{
	struct prefix_limit *limit = limit_new(10);

	(void)state;
	assert_int_equal(count(limit, "192.0.2.1"), 0);
	assert_true(take(limit, "192.0.2.1", 3));
	assert_true(take(limit, "192.0.2.255", 3));
	assert_true(take(limit, "192.0.2.1", 3));
	assert_false(take(limit, "192.0.2.7", 3));
	assert_int_equal(count(limit, "192.0.2.99"), 3);
	assert_int_equal(count(limit, "192.0.3.1"), 0);
	assert_true(take(limit, "192.0.3.1", 3));
	give(limit, "192.0.2.1");
	assert_true(take(limit, "192.0.2.7", 3));
	assert_false(take(limit, "192.0.2.7", 3));
	assert_true(take(limit, "192.0.2.7", 4)); // a limit raised at run time
	assert_false(take(limit, "203.0.113.1", 0));
	assert_int_equal(count(limit, "203.0.113.1"), 0);
	free(limit);
}

static void families_have_their_own_length(void **state)
{
	struct prefix_limit *limit = limit_new(10);

	(void)state;
	assert_true(take(limit, "2001:db8:1:200::1", 9));
	assert_true(take(limit, "2001:db8:1:2ff:ffff::", 9)); // the same /56
	assert_true(take(limit, "2001:db8:1:300::1", 9));
	assert_int_equal(count(limit, "2001:db8:1:2aa::"), 2);
	assert_int_equal(count(limit, "2001:db8:1:3aa::"), 1);
	assert_int_equal(count(limit, "192.0.2.1"), 0);
	free(limit);
}

static bool take_bits(struct prefix_limit *limit, const struct addr *addr, uint8_t bits4)
{
	struct prefix_source source = {.addr = addr, .bits4 = bits4, .bits6 = 56};

	return prefix_limit_take(limit, &source, 9);
}

static uint32_t count_bits(struct prefix_limit *limit, const struct addr *addr, uint8_t bits4)
{
	struct prefix_source source = {.addr = addr, .bits4 = bits4, .bits6 = 56};

	return prefix_limit_count(limit, &source);
}

static void lengths_do_not_mix(void **state)
{
	struct prefix_limit *limit = limit_new(10);
	struct addr addr = address("10.0.0.0");

	(void)state;
	assert_true(take_bits(limit, &addr, 24));
	assert_true(take_bits(limit, &addr, 8));
	assert_true(take_bits(limit, &addr, 8));
	assert_true(take_bits(limit, &addr, 0));
	assert_int_equal(count_bits(limit, &addr, 24), 1);
	assert_int_equal(count_bits(limit, &addr, 8), 2);
	assert_int_equal(count_bits(limit, &addr, 0), 1);
	assert_int_equal(count_bits(limit, &addr, 32), 0);
	free(limit);
}

// What is counted under an address anybody may have written takes nothing from its owner.
static void proven_and_claimed_do_not_mix(void **state)
{
	struct prefix_limit *limit = limit_new(10);
	struct addr addr = address("192.0.2.1");
	struct prefix_source proven = source_at(&addr), claimed = proven;

	(void)state;
	claimed.proven = false;
	for (unsigned i = 0; i < 3; i++)
		assert_true(prefix_limit_take(limit, &claimed, 3));
	assert_false(prefix_limit_take(limit, &claimed, 3));
	assert_true(prefix_limit_take(limit, &proven, 3));
	assert_int_equal(prefix_limit_count(limit, &claimed), 3);
	assert_int_equal(prefix_limit_count(limit, &proven), 1);
	prefix_limit_give(limit, &claimed);
	assert_int_equal(prefix_limit_count(limit, &claimed), 2);
	assert_int_equal(prefix_limit_count(limit, &proven), 1);
	free(limit);
}

static struct addr numbered(uint32_t number)
{
	uint8_t ip[4] = {(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number, 1};

	return addr_from_ip4(ip);
}

// As many prefixes as it was made for, and not one more.
static void refuses_when_full(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 64, 1000, 65536};

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		struct prefix_limit *limit = limit_new(sizes[s]);
		struct addr one_more = numbered(sizes[s]), first = numbered(0);

		for (uint32_t i = 0; i < sizes[s]; i++) {
			struct addr addr = numbered(i);

			assert_true(take_at(limit, &addr, 5));
		}
		assert_false(take_at(limit, &one_more, 5));
		assert_int_equal(count_at(limit, &one_more), 0);
		assert_true(take_at(limit, &first, 5)); // known: still counted
		give_at(limit, &first);
		give_at(limit, &first);
		assert_true(take_at(limit, &one_more, 5));
		free(limit);
	}
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

// Prefixes come and go; after every step all counts are right, so a removal breaks no run.
static void random_operations(void **state)
{
	enum { NUMBERS = 100, ENTRIES = 64, MAX = 3 };
	struct prefix_limit *limit = limit_new(ENTRIES);
	uint32_t model[NUMBERS] = {0};
	uint32_t used = 0;
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 30000; i++) {
		uint32_t number = (uint32_t)(random_next(&seed) % NUMBERS);
		struct addr addr = numbered(number);

		if (random_next(&seed) % 2) {
			bool room = model[number] > 0 || used < ENTRIES;
			bool fits = model[number] < MAX && room;

			assert_int_equal(take_at(limit, &addr, MAX), fits);
			used += fits && model[number] == 0;
			model[number] += fits;
		} else if (model[number] > 0) {
			give_at(limit, &addr);
			model[number]--;
			used -= model[number] == 0;
		}
		for (uint32_t n = 0; n < NUMBERS; n++) {
			addr = numbered(n);
			assert_int_equal(count_at(limit, &addr), model[n]);
		}
	}
	free(limit);
}

// What is given back while nobody looks is gone when somebody does: of one prefix and of many, down
// to the last one, after which there is room again.
static void given_back_unseen(void **state)
{
	enum { PREFIXES = 11, EACH = 3 };
	struct prefix_limit *limit = limit_new(PREFIXES);
	struct addr one_more = numbered(PREFIXES);

	(void)state;
	for (uint32_t i = 0; i < PREFIXES * EACH; i++) {
		struct addr addr = numbered(i % PREFIXES);

		assert_true(take_at(limit, &addr, EACH));
	}
	assert_false(take_at(limit, &one_more, EACH));
	for (uint32_t i = 0; i < PREFIXES * (EACH - 1); i++) {
		struct addr addr = numbered(i % PREFIXES);

		give_at(limit, &addr);
	}
	for (uint32_t i = 0; i < PREFIXES; i++) {
		struct addr addr = numbered(i);

		assert_int_equal(count_at(limit, &addr), 1);
	}
	for (uint32_t i = 0; i < PREFIXES; i++) {
		struct addr addr = numbered(i);

		give_at(limit, &addr);
	}
	assert_true(take_at(limit, &one_more, EACH));
	free(limit);
}

// Both kinds of a prefix that comes at random, one flow each: number 2 n and 2 n + 1 differ in
// that.
static struct prefix_source drawn(uint32_t number, struct addr *addr)
{
	uint64_t random[2] = {siphash13(key, &(uint32_t){number / 2}, sizeof(number)), number / 2};

	memcpy(addr->b, random, ADDR_BYTES);
	return (struct prefix_source){
		.addr = addr, .bits4 = 32, .bits6 = 128, .proven = number % 2 == 1};
}

// As many as it was made for, twice over: every one finds its place, none of those that are gone
// stands in the way of another, and what stays is found.
static void whole_capacity_of_random_prefixes(void **state)
{
	enum { ENTRIES = 1 << 18 };
	struct prefix_limit *limit = limit_new(ENTRIES);
	struct addr addr;

	(void)state;
	assert_true(prefix_limit_bytes(ENTRIES) <= 18 * (ENTRIES + 64));
	for (uint32_t i = 0; i < ENTRIES; i++) {
		struct prefix_source source = drawn(i, &addr);

		assert_true(prefix_limit_take(limit, &source, 1));
	}
	for (uint32_t i = 0; i < ENTRIES; i++) {
		struct prefix_source gone = drawn(i, &addr);

		prefix_limit_give(limit, &gone);
		struct prefix_source source = drawn(ENTRIES + i, &addr);
		assert_true(prefix_limit_take(limit, &source, 1));
		source = drawn(2 * ENTRIES + i, &addr);
		assert_false(prefix_limit_take(limit, &source, 1));
	}
	for (uint32_t i = 0; i < 3 * ENTRIES; i++) {
		struct prefix_source source = drawn(i, &addr);

		assert_int_equal(
			prefix_limit_count(limit, &source), i >= ENTRIES && i < 2 * ENTRIES);
	}
	free(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_to_the_limit),
		cmocka_unit_test(families_have_their_own_length),
		cmocka_unit_test(lengths_do_not_mix),
		cmocka_unit_test(proven_and_claimed_do_not_mix),
		cmocka_unit_test(refuses_when_full),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(given_back_unseen),
		cmocka_unit_test(whole_capacity_of_random_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
