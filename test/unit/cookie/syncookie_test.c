// Proves: P1 (the cookie encodes what is needed later), TCP.md 1.4-1.8, 2.2, 10.
#include "fixture.h"

#include "base/check.h"
#include "cookie/syncookie.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define ISN   0xfffffff0u
#define CLOCK 0x89abcdefu
#define TICK  1000u // first half of epoch 500

// What the ACK says that answers `cookie`.
static bool check(struct syncookie cookie, uint32_t tick, const struct tuple *tuple,
	bool timestamps, struct agreed *agreed)
{
	struct keyring ring = fixture_ring(tick);

	memset(agreed, 0xee, sizeof(*agreed));
	agreed->timestamps = timestamps;
	return syncookie_check(&ring, tick, tuple, ISN, cookie.seq, cookie.tsval, agreed);
}

static struct syncookie make(uint32_t tick, const struct tuple *tuple, struct agreed agreed)
{
	struct epoch_keys keys = fixture_keys(keyring_epoch(tick));

	return syncookie_make(&keys, tuple, ISN, &agreed, CLOCK);
}

static void t1_4_repeated_syn_gets_the_same_cookie(void **state)
{
	const struct agreed offer = {.mss = 1460, .wscale = 7, .sack = true};
	struct agreed back;

	(void)state;
	for
		FAMILIES(family)
		{
			const struct tuple tuple = fixture_tuple(family);
			struct syncookie first = make(TICK, &tuple, offer);

			// The second half of the epoch, 16 s later, says the same.
			assert_int_equal(make(TICK + 1, &tuple, offer).seq, first.seq);
			// In the next epoch it is another one, and both verify.
			struct syncookie later = make(TICK + 2, &tuple, offer);

			assert_int_not_equal(later.seq, first.seq);
			assert_true(check(first, TICK + 2, &tuple, false, &back));
			assert_true(check(later, TICK + 2, &tuple, false, &back));
		}
}

// A cookie of an epoch with ticks 0 and 1 is good from one tick before it to one tick after.
static void epoch_edges(uint32_t epoch_tick, bool timestamps)
{
	const struct agreed offer = {.mss = 1460, .wscale = 7, .timestamps = timestamps};
	const struct tuple tuple = fixture_tuple(timestamps ? 6 : 4);
	struct agreed back;

	for (uint32_t half = 0; half < 2; half++) {
		struct syncookie cookie = make(epoch_tick + half, &tuple, offer);

		for (int32_t at = -4; at <= 5; at++)
			assert_int_equal(check(cookie, epoch_tick + at, &tuple, timestamps, &back),
				at >= -1 && at <= 2);
	}
}

static void t1_5_validity_at_each_epoch_edge(void **state)
{
	(void)state;
	epoch_edges(TICK, false);
	epoch_edges(TICK, true);
	epoch_edges(TICK + 2, false); // the other parity
	epoch_edges(TICK + 2, true);
}

static void t1_5_counter_wrap(void **state)
{
	(void)state;
	epoch_edges(0, false);
	epoch_edges(UINT32_MAX - 1, false);
	epoch_edges(UINT32_MAX - 1, true);
}

static void t1_5_missing_key_is_a_drop(void **state)
{
	const struct tuple tuple = fixture_tuple(4);
	struct syncookie cookie = make(TICK, &tuple, (struct agreed){.mss = 1460});
	struct epoch_keys keys = fixture_keys(keyring_epoch(TICK));
	struct keyring ring = {0};
	struct agreed back = {0};

	(void)state;
	assert_false(syncookie_check(&ring, TICK, &tuple, ISN, cookie.seq, 0, &back));
	keyring_put(&ring, &keys);
	assert_true(syncookie_check(&ring, TICK, &tuple, ISN, cookie.seq, 0, &back));
}

static void t1_6_layout_without_timestamps(void **state)
{
	(void)state;
	for
		FAMILIES(family)
		{
			const struct tuple tuple = fixture_tuple(family);
			const struct epoch_keys keys = fixture_keys(keyring_epoch(TICK));
			const uint64_t h = tuple_hash(keys.cookie, &tuple, ISN);
			struct agreed offer = {.mss = 1360, .wscale = 9, .sack = true, .ecn = true};
			struct syncookie cookie = make(TICK, &tuple, offer);

			assert_int_equal(cookie.seq >> 31, keys.epoch & 1);
			const uint32_t options = 2 << 5 | 1 << 4 | 9;
			const uint64_t mac = h + options * (h >> 32 | 1);

			assert_int_equal(cookie.seq & 0xffffff, mac & 0xffffff);
			assert_int_equal((cookie.seq >> 24 ^ h >> 24) & 0x7f, options);
			assert_int_equal(cookie.tsval, 0);
			assert_int_equal(
				make(TICK + 2, &tuple, offer).seq >> 31, (keys.epoch & 1) ^ 1);
		}
}

static void t1_6_layout_with_timestamps(void **state)
{
	(void)state;
	for
		FAMILIES(family)
		{
			const struct tuple tuple = fixture_tuple(family);
			const struct epoch_keys keys = fixture_keys(keyring_epoch(TICK));
			const uint64_t h = tuple_hash(keys.cookie, &tuple, ISN);
			struct agreed offer = {.mss = 9000,
				.wscale = 9,
				.sack = true,
				.timestamps = true,
				.ecn = true};
			struct syncookie cookie = make(TICK, &tuple, offer);

			assert_int_equal(cookie.seq >> 31, keys.epoch & 1);
			const uint32_t options = 7 << 6 | 9 << 2 | 1 << 1 | 1;
			const uint64_t mac = (h >> 32) + options * (h | 1);

			assert_int_equal(cookie.seq & 0xfffffff, mac & 0xfffffff);
			assert_int_equal((cookie.seq >> 28 ^ h >> 60) & 7, 7);
			assert_int_equal((cookie.tsval ^ h >> 24) & 63, 9 << 2 | 1 << 1 | 1);
			assert_int_equal(cookie.tsval >> 6, CLOCK >> 6);
		}
}

static void round_trip(const struct tuple *tuple, struct agreed offer)
{
	struct agreed back;

	assert_true(check(make(TICK, tuple, offer), TICK, tuple, offer.timestamps, &back));
	assert_int_equal(back.mss, offer.mss);
	assert_int_equal(back.wscale, offer.wscale);
	assert_int_equal(back.sack, offer.sack);
	assert_int_equal(back.timestamps, offer.timestamps);
	assert_int_equal(back.ecn, offer.ecn && offer.timestamps);
}

// Every combination; shift 0 and "no window scaling" (15) stay apart (TCP.md 10).
static void t1_6_every_combination_comes_back(void **state)
{
	static const uint16_t mss[] = {
		216, 536, 1220, 1280, 1360, 1380, 1400, 1440, 1460, 8940, 8960};

	(void)state;
	for
		FAMILIES(family)
	for (unsigned i = 0; i < ARRAY_LEN(mss) * 128; i++) {
		const struct tuple tuple = fixture_tuple(family);
		struct agreed offer = {.mss = mss[i / 128],
			.wscale = i % 16,
			.sack = i >> 4 & 1,
			.timestamps = i >> 5 & 1,
			.ecn = i >> 6 & 1};

		if (syncookie_mss(offer.mss, family, offer.timestamps) == offer.mss)
			round_trip(&tuple, offer);
	}
}

static void t1_6_wrong_parity(void **state)
{
	(void)state;
	for (int timestamps = 0; timestamps < 2; timestamps++) {
		const struct agreed offer = {.mss = 1460, .timestamps = timestamps};
		const struct tuple tuple = fixture_tuple(4);
		struct syncookie cookie = make(TICK, &tuple, offer);
		struct agreed back;

		cookie.seq ^= 1u << 31;
		for (uint32_t tick = TICK - 3; tick <= TICK + 4; tick++)
			assert_false(check(cookie, tick, &tuple, timestamps, &back));
	}
}

static void t1_6_every_mac_bit_counts(void **state)
{
	(void)state;
	for (int timestamps = 0; timestamps < 2; timestamps++) {
		const struct agreed offer = {.mss = 1460, .wscale = 7, .timestamps = timestamps};
		const struct tuple tuple = fixture_tuple(4);
		struct agreed back;

		for (int bit = 0; bit < (timestamps ? 28 : 24); bit++) {
			struct syncookie cookie = make(TICK, &tuple, offer);

			cookie.seq ^= 1u << bit;
			assert_false(check(cookie, TICK, &tuple, timestamps, &back));
		}
		// The other layout is another cookie.
		assert_false(check(make(TICK, &tuple, offer), TICK, &tuple, !timestamps, &back));
	}
}

// Whoever holds a cookie cannot make it say other options, and an echo of a later timestamp, whose
// low bits are anything, is no cookie (a node that lost its state must not read options from it).
static void t1_6_every_option_bit_counts(void **state)
{
	(void)state;
	for (int timestamps = 0; timestamps < 2; timestamps++) {
		const struct agreed offer = {.mss = 1460, .wscale = 7, .timestamps = timestamps};
		const struct tuple tuple = fixture_tuple(6);
		const struct syncookie good = make(TICK, &tuple, offer);
		struct agreed back;

		for (int bit = timestamps ? 28 : 24; bit < 31; bit++) {
			struct syncookie cookie = good;

			cookie.seq ^= 1u << bit;
			assert_false(check(cookie, TICK, &tuple, timestamps, &back));
		}
		for (uint32_t low = 0; low < 1u << SYNCOOKIE_TSVAL_BITS; low++) {
			struct syncookie cookie = good;

			cookie.tsval ^= low;
			assert_int_equal(check(cookie, TICK, &tuple, timestamps, &back),
				!timestamps || low == 0);
		}
	}
}

static void t1_6_bound_to_tuple_and_isn(void **state)
{
	(void)state;
	for
		FAMILIES(family)
		{
			const struct tuple tuple = fixture_tuple(family);
			struct syncookie cookie = make(TICK, &tuple, (struct agreed){.mss = 1460});
			struct keyring ring = fixture_ring(TICK);
			struct tuple other = tuple;
			struct agreed back = {0};

			assert_true(
				syncookie_check(&ring, TICK, &tuple, ISN, cookie.seq, 0, &back));
			assert_false(syncookie_check(
				&ring, TICK, &tuple, ISN + 1, cookie.seq, 0, &back));
			other.sport++;
			assert_false(
				syncookie_check(&ring, TICK, &other, ISN, cookie.seq, 0, &back));
		}
}

// How far the chi square of `values` counts lies from that of an even distribution: the square of
// the number of standard deviations.
static double chi_square_score(const unsigned *counts, unsigned values, unsigned total)
{
	double expected = (double)total / values, sum = 0;

	for (unsigned i = 0; i < values; i++)
		sum += (counts[i] - expected) * (counts[i] - expected) / expected;
	return (sum - (values - 1)) * (sum - (values - 1)) / (2.0 * (values - 1));
}

// The same options for many tuples: whoever sees only cookies learns nothing of them.
static void t1_8_options_are_not_in_clear(void **state)
{
	enum { TUPLES = 128 * 200 };

	(void)state;
	for (int timestamps = 0; timestamps < 2; timestamps++) {
		const struct agreed offer = {
			.mss = 1460, .wscale = 7, .sack = true, .timestamps = timestamps};
		unsigned high[128] = {0}, low[64] = {0};

		for (unsigned i = 0; i < TUPLES; i++) {
			struct tuple tuple = fixture_tuple(i % 2 ? 4 : 6);

			tuple.sport = (uint16_t)i;
			struct syncookie cookie = make(TICK, &tuple, offer);

			high[cookie.seq >> 24 & 127]++;
			low[cookie.tsval & 63]++;
		}
		// 25: five standard deviations.
		assert_true(chi_square_score(high, 128, TUPLES) < 25);
		if (timestamps)
			assert_true(chi_square_score(low, 64, TUPLES) < 25);
		else // the control: all in one place
			assert_true(chi_square_score(low, 64, TUPLES) > 1000000);
	}
}

static void t2_2_mss_is_rounded_down(void **state)
{
	// {offer, IPv4, IPv4 with timestamps, IPv6, IPv6 with timestamps}
	static const uint16_t rows[][5] = {
		{0, 536, 536, 1220, 1220}, // absent
		{1, 216, 216, 216, 216},   // floor
		{215, 216, 216, 216, 216},
		{216, 216, 216, 216, 216},
		{535, 216, 216, 216, 216},
		{536, 536, 536, 216, 216},
		{1219, 536, 536, 216, 216},
		{1220, 536, 1220, 1220, 1220},
		{1280, 536, 1220, 1220, 1280},
		{1359, 536, 1220, 1220, 1280},
		{1360, 1360, 1360, 1360, 1360},
		{1380, 1360, 1360, 1360, 1380},
		{1400, 1360, 1400, 1360, 1400},
		{1439, 1360, 1400, 1360, 1400},
		{1440, 1360, 1440, 1440, 1440},
		{1452, 1360, 1440, 1440, 1440}, // PPPoE
		{1460, 1460, 1460, 1440, 1440},
		{8939, 1460, 1460, 1440, 1440},
		{8940, 1460, 1460, 1440, 8940},
		{8960, 1460, 8960, 1440, 8940},
		{65535, 1460, 8960, 1440, 8940},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(syncookie_mss(rows[i][0], 4, false), rows[i][1]);
		assert_int_equal(syncookie_mss(rows[i][0], 4, true), rows[i][2]);
		assert_int_equal(syncookie_mss(rows[i][0], 6, false), rows[i][3]);
		assert_int_equal(syncookie_mss(rows[i][0], 6, true), rows[i][4]);
	}
}

static void t2_2_never_up_except_to_the_floor(void **state)
{
	(void)state;
	for (unsigned mss = 1; mss <= UINT16_MAX; mss++)
		for (int i = 0; i < 4; i++) {
			uint16_t rounded = syncookie_mss((uint16_t)mss, i < 2 ? 4 : 6, i % 2);

			assert_true(rounded <= mss || rounded == 216);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_4_repeated_syn_gets_the_same_cookie),
		cmocka_unit_test(t1_5_validity_at_each_epoch_edge),
		cmocka_unit_test(t1_5_counter_wrap),
		cmocka_unit_test(t1_5_missing_key_is_a_drop),
		cmocka_unit_test(t1_6_layout_without_timestamps),
		cmocka_unit_test(t1_6_layout_with_timestamps),
		cmocka_unit_test(t1_6_every_combination_comes_back),
		cmocka_unit_test(t1_6_wrong_parity),
		cmocka_unit_test(t1_6_every_mac_bit_counts),
		cmocka_unit_test(t1_6_every_option_bit_counts),
		cmocka_unit_test(t1_6_bound_to_tuple_and_isn),
		cmocka_unit_test(t1_8_options_are_not_in_clear),
		cmocka_unit_test(t2_2_mss_is_rounded_down),
		cmocka_unit_test(t2_2_never_up_except_to_the_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
