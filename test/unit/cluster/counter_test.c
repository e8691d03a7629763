// The cluster counter: follows those that are a little ahead, slowly; nobody else; and never goes
// back. Proves: M4, RELIABILITY 14 (the counter's part).
#include "cluster/counter.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define S     1000000000ULL
#define START (1000000 * S)
#define NOW   (50 * S)

static struct cluster_counter fresh(void)
{
	struct cluster_counter clock;

	counter_start(&clock, NOW, START);
	return clock;
}

static void runs_as_the_clock_does(void **state)
{
	struct cluster_counter clock = fresh();

	(void)state;
	assert_int_equal(counter_value_ns(&clock, NOW), START);
	assert_int_equal(counter_value_ns(&clock, NOW + 7), START + 7);
	assert_true(counter_observe(&clock, NOW + S, 0, START)); // behind: nothing
	assert_int_equal(counter_value_ns(&clock, NOW + 2 * S), START + 2 * S);
}

static void follows_by_a_tenth(void **state)
{
	struct cluster_counter clock = fresh();

	(void)state;
	assert_true(counter_observe(&clock, NOW, 3, START + S));
	assert_int_equal(counter_value_ns(&clock, NOW + 5 * S), START + 5 * S + S / 2);
	// 10 s later it has caught up, and goes no further.
	assert_int_equal(counter_value_ns(&clock, NOW + 10 * S), START + 11 * S);
	assert_int_equal(counter_value_ns(&clock, NOW + 20 * S), START + 21 * S);
}

static void ignores_what_is_far_ahead(void **state)
{
	static const uint64_t leads[] = {COUNTER_NEAR_NS + 1, 3600 * S, UINT64_MAX - START};
	struct cluster_counter clock = fresh();

	(void)state;
	for (unsigned i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
		assert_false(counter_observe(&clock, NOW, 0, START + leads[i]));
		assert_int_equal(counter_value_ns(&clock, NOW + S), START + S);
	}
	assert_true(counter_observe(&clock, NOW, 0, START + COUNTER_NEAR_NS));
	assert_int_equal(counter_value_ns(&clock, NOW + S), START + S + S / 10);
	// It runs away: from now on it is ignored.
	assert_false(counter_observe(&clock, NOW + S, 0, START + 20 * S));
	assert_int_equal(counter_value_ns(&clock, NOW + 2 * S), START + 2 * S + S / 10);
}

static void forgets_who_is_gone(void **state)
{
	struct cluster_counter clock = fresh();

	(void)state;
	assert_true(counter_observe(&clock, NOW, 0, START + 2 * S));
	assert_true(counter_observe(&clock, NOW, 1, START + S));
	counter_forget(&clock, NOW + 5 * S, 0);
	assert_int_equal(counter_value_ns(&clock, NOW + 5 * S), START + 5 * S + S / 2);
	assert_int_equal(counter_value_ns(&clock, NOW + 60 * S), START + 61 * S);
}

static void joins_forwards_at_once(void **state)
{
	struct cluster_counter clock = fresh();

	(void)state;
	assert_true(counter_join(&clock, NOW, START + 3600 * S));
	assert_int_equal(counter_value_ns(&clock, NOW), START + 3600 * S);
}

static void waits_at_half_speed_for_those_behind(void **state)
{
	struct cluster_counter clock = fresh();
	uint64_t theirs = START - 100 * S, last = START;
	unsigned seconds = 0;

	(void)state;
	while (!counter_join(&clock, NOW + seconds * S, theirs + seconds * S)) {
		uint64_t own;

		seconds++;
		own = counter_value_ns(&clock, NOW + seconds * S);
		assert_int_equal(own, last + S / 2);
		last = own;
	}
	assert_int_equal(seconds, 168); // (100 - 16) s at half speed
	assert_true(counter_is_near(last, theirs + seconds * S));
	assert_int_equal(counter_value_ns(&clock, NOW + (seconds + 1) * S), last + S);
}

static void never_goes_back_or_too_fast(void **state)
{
	struct cluster_counter clock = fresh();
	uint64_t now = NOW, last = START;
	uint32_t random = 1;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t elapsed = (random = random * 1664525 + 1013904223) >> 4;
		uint64_t value;
		int64_t off = (int64_t)(int32_t)(random * 2654435761u) * 20;

		now += elapsed;
		value = counter_value_ns(&clock, now);
		assert_in_range(value - last, (elapsed - 1) / 2, elapsed + elapsed / 10 + 1);
		if (random >> 28 & 1)
			counter_observe(&clock, now, random >> 24 & 7, value + off);
		else if (off < 0)
			counter_join(&clock, now, value + off);
		assert_int_equal(counter_value_ns(&clock, now), value);
		last = value;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_as_the_clock_does),
		cmocka_unit_test(follows_by_a_tenth),
		cmocka_unit_test(ignores_what_is_far_ahead),
		cmocka_unit_test(forgets_who_is_gone),
		cmocka_unit_test(joins_forwards_at_once),
		cmocka_unit_test(waits_at_half_speed_for_those_behind),
		cmocka_unit_test(never_goes_back_or_too_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
