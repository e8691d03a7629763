// Proves: TCP.md 1.6: what a guess is worth. Quick: 10^6 forged ACKs; full (WEIR_TEST_SIZE): 10^8
// and every value of one MAC. The numbers drawn are the same in every run.
#include "fixture.h"

#include "cookie/msyn.h"
#include "cookie/syncookie.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define TICK 1000u

// Accepted ones among `tries` ACKs with random numbers, from random tuples.
static unsigned accepted(unsigned tries, bool timestamps)
{
	const struct keyring ring = fixture_ring(TICK);
	struct tuple tuple = fixture_tuple(4);
	uint64_t random = 1;
	unsigned count = 0;

	for (unsigned i = 0; i < tries; i++) {
		struct agreed agreed = {.timestamps = timestamps};
		uint64_t a = fixture_random(&random), b = fixture_random(&random);

		tuple.sport = (uint16_t)b;
		count += syncookie_check(&ring, TICK, &tuple, (uint32_t)a, (uint32_t)(a >> 32),
			(uint32_t)(b >> 32), &agreed);
	}
	return count;
}

// Bounds of the Poisson distribution beyond which lies less than 10^-6 on each side.
static void t1_6_forged_acks_without_timestamps(void **state)
{
	(void)state;
	if (fixture_full())
		assert_in_range(accepted(100 * 1000 * 1000, false), 0, 21); // mean 5.96
	else
		assert_in_range(accepted(1000 * 1000, false), 0, 3); // mean 0.06
}

static void t1_6_forged_acks_with_timestamps(void **state)
{
	(void)state;
	if (fixture_full())
		assert_in_range(accepted(100 * 1000 * 1000, true), 0, 6); // mean 0.37
	else
		assert_in_range(accepted(1000 * 1000, true), 0, 2); // mean 0.004
}

// One value of the MAC is right, for any option bits: neither none (a MAC that is never checked
// against what was made) nor two.
static void t1_6_exactly_one_mac(void **state)
{
	const struct keyring ring = fixture_ring(TICK);
	const struct tuple tuple = fixture_tuple(6);
	const unsigned step = fixture_full() ? 1 : 16;
	const struct agreed offer = {.mss = 1440, .wscale = 7};
	const struct syncookie cookie =
		syncookie_make(keyring_get(&ring, keyring_epoch(TICK)), &tuple, 1, &offer, 0);
	unsigned count = 0;

	(void)state;
	for (uint32_t mac = cookie.seq % step; mac < 1u << 24; mac += step) {
		struct agreed agreed = {0};

		count += syncookie_check(
			&ring, TICK, &tuple, 1, (cookie.seq & 0xff000000) | mac, 0, &agreed);
	}
	assert_int_equal(count, 1);
}

// 16 owners: 16/8192 of the guesses name one. A routing hint, never a permission.
static void t1_6_msyn_is_a_hint(void **state)
{
	const struct keyring ring = fixture_ring(TICK);
	struct tuple tuple = fixture_tuple(4);
	uint64_t random = 2;
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < 1000 * 1000; i++) {
		uint64_t a = fixture_random(&random);
		uint16_t id;

		tuple.dport = (uint16_t)(a >> 32);
		if (msyn_decode(&ring, &tuple, (uint32_t)a, TICK, 15, &id) == 0) {
			assert_true(id <= 15);
			count++;
		}
	}
	assert_in_range(count, 1953 - 5 * 45, 1953 + 5 * 45);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_6_forged_acks_without_timestamps),
		cmocka_unit_test(t1_6_forged_acks_with_timestamps),
		cmocka_unit_test(t1_6_exactly_one_mac),
		cmocka_unit_test(t1_6_msyn_is_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
