// Rates per prefix and in total (TCP.md 1.6).
#include "limit/rate_limit.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#define S 1000000000u // nanoseconds

static const struct siphash_key key = {{5, 6}};

static struct rate_limit *limit_new(void)
{
	void *memory = calloc(1, rate_limit_bytes());

	assert_non_null(memory);
	return rate_limit_init(memory, key);
}

static struct addr numbered(uint32_t number)
{
	uint8_t ip[4] = {(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number, 9};

	return addr_from_ip4(ip);
}

// Tries an event and counts it where allowed.
static bool event(struct rate_limit *limit, uint64_t now_ns, uint32_t prefix, uint32_t prefix_per_s,
	uint32_t total_per_s)
{
	struct addr addr = numbered(prefix);
	bool allowed = rate_limit_allows(limit, now_ns, &addr, 24, 56, prefix_per_s, total_per_s);

	if (allowed)
		rate_limit_count(limit, now_ns, &addr, 24, 56);
	return allowed;
}

static void asking_does_not_count(void **state)
{
	struct rate_limit *limit = limit_new();
	struct addr addr = numbered(1);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_true(rate_limit_allows(limit, 5 * (uint64_t)S, &addr, 24, 56, 1, 1));
	rate_limit_count(limit, 5 * (uint64_t)S, &addr, 24, 56);
	assert_false(rate_limit_allows(limit, 5 * (uint64_t)S, &addr, 24, 56, 1, 10));
	free(limit);
}

static void a_prefix_has_its_rate_each_second(void **state)
{
	struct rate_limit *limit = limit_new();

	(void)state;
	for (uint64_t second = 0; second < 5; second++) {
		for (unsigned i = 0; i < 10; i++)
			assert_true(event(limit, second * S + i * 1000, 1, 10, 1000));
		assert_false(event(limit, second * S + S - 1, 1, 10, 1000));
		assert_true(event(limit, second * S + S - 1, 2, 10, 1000)); // another prefix
	}
	assert_true(event(limit, 1000 * (uint64_t)S, 1, 10, 1000));
	free(limit);
}

// Above the total, whoever had a try is cut off, and a newcomer still gets his.
static void above_the_total_newcomers_get_one(void **state)
{
	struct rate_limit *limit = limit_new();
	const uint64_t now_ns = 7 * (uint64_t)S;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		assert_true(event(limit, now_ns, 1, 100, 20));
	assert_false(event(limit, now_ns, 1, 100, 20));
	for (uint32_t prefix = 2; prefix < 12; prefix++) {
		assert_true(event(limit, now_ns, prefix, 100, 20));
		assert_false(event(limit, now_ns, prefix, 100, 20));
	}
	assert_true(event(limit, now_ns + S, 1, 100, 20)); // the next second
	assert_true(event(limit, now_ns + S, 1, 100, 20));
	free(limit);
}

static void zero_allows_nothing(void **state)
{
	struct rate_limit *limit = limit_new();

	(void)state;
	assert_false(event(limit, S, 1, 0, 20));
	assert_false(event(limit, S, 1, 0, 0));
	free(limit);
}

static void addresses_share_their_prefix(void **state)
{
	struct rate_limit *limit = limit_new();
	struct addr a, b, c;

	(void)state;
	assert_int_equal(addr_parse(&a, "2001:db8:0:100::1"), 0);
	assert_int_equal(addr_parse(&b, "2001:db8:0:1ff::2"), 0);
	assert_int_equal(addr_parse(&c, "2001:db8:0:200::1"), 0);
	rate_limit_count(limit, S, &a, 24, 56);
	assert_false(rate_limit_allows(limit, S, &b, 24, 56, 1, 100));
	assert_true(rate_limit_allows(limit, S, &c, 24, 56, 1, 100));
	free(limit);
}

// A tenth of the buckets in use costs a tenth of the newcomers their try, no more.
static void buckets_are_spread(void **state)
{
	struct rate_limit *limit = limit_new();
	unsigned refused = 0;

	(void)state;
	for (uint32_t prefix = 0; prefix < 6554; prefix++)
		event(limit, S, prefix, 1, UINT32_MAX);
	for (uint32_t prefix = 100000; prefix < 110000; prefix++) {
		struct addr addr = numbered(prefix);

		refused += !rate_limit_allows(limit, S, &addr, 24, 56, 1, UINT32_MAX);
	}
	assert_in_range(refused, 500, 1400); // a tenth of the buckets is taken
	free(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asking_does_not_count),
		cmocka_unit_test(a_prefix_has_its_rate_each_second),
		cmocka_unit_test(above_the_total_newcomers_get_one),
		cmocka_unit_test(zero_allows_nothing),
		cmocka_unit_test(addresses_share_their_prefix),
		cmocka_unit_test(buckets_are_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
