// Proves: M2, M3, M5, M9 (the difference gives the ISN back), M11; TCP.md 1.10.
#include "fixture.h"

#include "base/error.h"
#include "base/serial.h"
#include "cookie/msyn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define ISN  0xfffffff0u
#define TICK 1000u

static uint32_t make(uint32_t tick, const struct tuple *tuple, uint32_t isn, uint16_t id)
{
	struct epoch_keys keys = fixture_keys(keyring_epoch(tick));

	return msyn_make(&keys, tuple, isn, tick, id);
}

static int decode(uint32_t cookie, uint32_t tick, const struct tuple *tuple, uint16_t *id)
{
	struct keyring ring = fixture_ring(tick);

	return msyn_decode(&ring, tuple, cookie, tick, 8191, id);
}

// M2: 17 bits of the ISN, T0, (Hash13 + ID) mod 2^13.
static void msyn_cookie_layout(void **state)
{
	(void)state;
	for
		FAMILIES(family)
	for (uint32_t tick = TICK; tick < TICK + 8; tick++) {
		const struct tuple tuple = fixture_tuple(family);
		const struct epoch_keys keys = fixture_keys(tick / 2);
		uint32_t extra = (ISN >> 15) << 4 | tick % 4;
		uint32_t hash = tuple_hash(keys.msyn, &tuple, extra) & 0x1fff;

		for (unsigned id = 0; id < 8192; id += 13) {
			uint32_t cookie = make(tick, &tuple, ISN, (uint16_t)id);

			assert_int_equal(cookie >> 15, ISN >> 15);
			assert_int_equal(cookie >> 13 & 3, tick % 4);
			assert_int_equal(cookie & 0x1fff, (hash + id) % 8192);
		}
	}
}

// M3: the hash takes every field, the 17 bits and the time, and not the 15 low bits.
static void m3_what_the_hash_is_over(void **state)
{
	const struct tuple tuple = fixture_tuple(4);
	struct tuple other = tuple;
	const uint32_t cookie = make(TICK, &tuple, ISN, 3);

	(void)state;
	other.sport++;
	assert_int_not_equal(make(TICK, &other, ISN, 3), cookie);
	assert_int_equal(make(TICK, &tuple, ISN ^ 0x7fff, 3), cookie);
	assert_int_not_equal(make(TICK, &tuple, ISN ^ 0x8000, 3) ^ 0x8000, cookie);
	// Four ticks on T0 is the same again: only the key differs.
	assert_int_equal(make(TICK + 4, &tuple, ISN, 3) >> 13, cookie >> 13);
	assert_int_not_equal(make(TICK + 4, &tuple, ISN, 3), cookie);
}

static void m5_every_id_comes_back(void **state)
{
	const struct keyring ring = fixture_ring(TICK);

	(void)state;
	for
		FAMILIES(family)
	for (unsigned id = 0; id < 8192; id++) {
		const struct tuple tuple = fixture_tuple(family);
		uint16_t found = 0xffff;
		uint32_t cookie = make(TICK, &tuple, ISN - id * 77777, (uint16_t)id);

		assert_int_equal(msyn_decode(&ring, &tuple, cookie, TICK, 8191, &found), 0);
		assert_int_equal(found, id);
	}
}

static void m5_id_above_max_is_dropped(void **state)
{
	const struct keyring ring = fixture_ring(TICK);
	const struct tuple tuple = fixture_tuple(4);
	uint16_t id = 0xffff;

	(void)state;
	assert_int_equal(msyn_decode(&ring, &tuple, make(TICK, &tuple, ISN, 15), TICK, 15, &id), 0);
	assert_int_equal(id, 15);
	assert_int_equal(msyn_decode(&ring, &tuple, make(TICK, &tuple, ISN, 16), TICK, 15, &id),
		-ERR_MISSING);
	assert_int_equal(msyn_decode(&ring, &tuple, make(TICK, &tuple, ISN, 0), TICK, 0, &id), 0);
	assert_int_equal(msyn_decode(&ring, &tuple, make(TICK, &tuple, ISN, 8191), TICK, 0, &id),
		-ERR_MISSING);
}

static void m5_missing_key_is_a_drop(void **state)
{
	const struct keyring ring = {0};
	const struct tuple tuple = fixture_tuple(4);
	uint16_t id;

	(void)state;
	assert_int_equal(msyn_decode(&ring, &tuple, make(TICK, &tuple, ISN, 1), TICK, 8191, &id),
		-ERR_MISSING);
}

// The window is two ticks back to one ahead. Outside T0 names another tick, whose key gives other
// ids: over many tuples only chance finds the right one.
static void decode_window(uint32_t tick)
{
	for (int32_t ahead = -4; ahead <= 5; ahead++) {
		unsigned right = 0;

		for (unsigned i = 0; i < 1000; i++) {
			struct tuple tuple = fixture_tuple(i % 2 ? 4 : 6);
			uint16_t id = 0xffff;

			tuple.sport = (uint16_t)i;
			right += decode(make(tick, &tuple, ISN, 5), tick + ahead, &tuple, &id) ==
					 0 &&
				 id == 5;
		}
		if (ahead >= -1 && ahead <= 2)
			assert_int_equal(right, 1000);
		else
			assert_in_range(right, 0, 4); // mean 1000/8192
	}
}

static void t1_10_decode_window_of_four_ticks(void **state)
{
	(void)state;
	for (uint32_t tick = TICK; tick < TICK + 4; tick++)
		decode_window(tick);
}

static void t1_10_decode_window_at_counter_wrap(void **state)
{
	(void)state;
	decode_window(0);
	decode_window(1);
	decode_window(UINT32_MAX);
	decode_window(UINT32_MAX - 1);
}

// A retransmitted SYN within the tick carries the identical ISN; in the next one another.
static void t1_10_same_tick_same_isn(void **state)
{
	const struct tuple tuple = fixture_tuple(6);

	(void)state;
	assert_int_equal(make(TICK, &tuple, ISN, 5), make(TICK, &tuple, ISN, 5));
	assert_int_not_equal(make(TICK, &tuple, ISN, 5), make(TICK + 1, &tuple, ISN, 5));
}

// The id that gives the cookie of (tick, tuple, isn) the low 13 bits `low`.
static uint16_t id_for_low(uint32_t tick, const struct tuple *tuple, uint32_t isn, uint32_t low)
{
	return (uint16_t)((low - make(tick, tuple, isn, 0)) & 0x1fff);
}

// Whatever the hash is, 2^15 above the client's last number is above all the client used, and 2^16
// above it is above all the server saw (the client's plus the old e).
static void m11_fast_reincarnation(void **state)
{
	uint64_t random = 3;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		const struct tuple tuple = fixture_tuple(i % 2 ? 4 : 6);
		uint64_t r = fixture_random(&random);
		uint32_t isn = (uint32_t)r;
		uint32_t e = make(TICK + (r >> 32 & 7), &tuple, isn, r >> 40 & 0x1fff) - isn;
		uint32_t last = isn + (uint32_t)fixture_random(&random) % 1000000;
		uint32_t near = make(TICK + 8, &tuple, last + (1u << 15), r >> 50 & 0x1fff);
		uint32_t far = make(TICK + 8, &tuple, last + (1u << 16), r >> 50 & 0x1fff);

		assert_true(serial_after(near, last));
		assert_true(serial_after(far, last + e));
	}
}

// The bounds are tight. One less than 2^15, all low bits of the ISN set and those of the cookie
// clear: the new cookie is the client's last number itself.
static void m11_edge_of_2_15(void **state)
{
	const struct tuple tuple = fixture_tuple(4);
	const uint32_t isn = 0x12347fff, tick = 4; // T0 = 0
	uint32_t cookie = make(tick, &tuple, isn, id_for_low(tick, &tuple, isn, 0));

	(void)state;
	assert_int_equal(cookie, isn - 0x7fff);
	assert_false(serial_after(cookie, isn - ((1u << 15) - 1)));
	assert_true(serial_after(cookie, isn - (1u << 15)));
}

// With 2^15 the server may have seen more: the old cookie raised its ISN by 2^15 - 1.
static void m11_edge_of_2_16(void **state)
{
	const struct tuple tuple = fixture_tuple(4);
	const uint32_t old_isn = 0x12340000, old_tick = 3; // T0 = 3
	uint32_t old =
		make(old_tick, &tuple, old_isn, id_for_low(old_tick, &tuple, old_isn, 0x1fff));
	uint32_t e = old - old_isn;
	uint32_t last = old_isn + 0x7fff;

	(void)state;
	assert_int_equal(e, 0x7fff);
	for (uint32_t gap = 1u << 15; gap <= 1u << 16; gap += 1u << 15) {
		uint32_t isn = last + gap;
		uint32_t cookie = make(4, &tuple, isn, id_for_low(4, &tuple, isn, 0));

		assert_true(serial_after(cookie, last));
		assert_int_equal(serial_after(cookie, last + e), gap == 1u << 16);
	}
}

static void m9_difference_gives_the_isn_back(void **state)
{
	const struct tuple tuple = fixture_tuple(6);
	uint32_t cookie = make(TICK, &tuple, ISN, 5);
	uint32_t e = cookie - ISN;

	(void)state;
	assert_int_equal((uint32_t)(cookie + 1 - e), (uint32_t)(ISN + 1));
	assert_in_range(e + (1u << 15), 1, (1u << 16) - 1); // |e| < 2^15
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msyn_cookie_layout),
		cmocka_unit_test(m3_what_the_hash_is_over),
		cmocka_unit_test(m5_every_id_comes_back),
		cmocka_unit_test(m5_id_above_max_is_dropped),
		cmocka_unit_test(m5_missing_key_is_a_drop),
		cmocka_unit_test(t1_10_decode_window_of_four_ticks),
		cmocka_unit_test(t1_10_decode_window_at_counter_wrap),
		cmocka_unit_test(t1_10_same_tick_same_isn),
		cmocka_unit_test(m11_fast_reincarnation),
		cmocka_unit_test(m11_edge_of_2_15),
		cmocka_unit_test(m11_edge_of_2_16),
		cmocka_unit_test(m9_difference_gives_the_isn_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
