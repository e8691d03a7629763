// Proves: M3 (keys from the cluster secret and the epoch), M4, TCP.md 10 line 1.
#include "fixture.h"

#include "base/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void m4_counter_and_epoch(void **state)
{
	(void)state;
	assert_true(KEYRING_TICK_NS == 16ULL * 1000 * 1000 * 1000);
	assert_int_equal(keyring_epoch(0), 0);
	assert_int_equal(keyring_epoch(1), 0);
	assert_int_equal(keyring_epoch(2), 1);
	assert_int_equal(keyring_epoch(UINT32_MAX), KEYRING_EPOCH_MAX);
	// The epoch before 0 has the other parity, or the wrap of the counter would break cookies.
	assert_int_equal(KEYRING_EPOCH_MAX & 1, 1);
}

static void t10_secret_of_at_least_128_bits(void **state)
{
	uint8_t secret[KEYRING_SECRET_BYTES_MAX + 1] = {1};
	struct epoch_keys keys;

	(void)state;
	assert_int_equal(keyring_derive(&keys, secret, 15, 1), -ERR_RANGE);
	assert_int_equal(keyring_derive(&keys, secret, 16, 1), 0);
	assert_int_equal(keyring_derive(&keys, secret, 64, 1), 0);
	assert_int_equal(keyring_derive(&keys, secret, 65, 1), -ERR_RANGE);
}

static int equal(struct siphash_key a, struct siphash_key b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static void m3_key_per_epoch_label_and_secret(void **state)
{
	uint8_t other[SECRET_LEN];
	struct epoch_keys a, again, next, another;

	(void)state;
	memcpy(other, SECRET, SECRET_LEN);
	other[SECRET_LEN - 1] ^= 1;
	assert_int_equal(keyring_derive(&a, SECRET, SECRET_LEN, 7), 0);
	assert_int_equal(keyring_derive(&again, SECRET, SECRET_LEN, 7), 0);
	assert_int_equal(keyring_derive(&next, SECRET, SECRET_LEN, 8), 0);
	assert_int_equal(keyring_derive(&another, other, SECRET_LEN, 7), 0);
	assert_int_equal(a.epoch, 7);
	assert_true(equal(a.cookie, again.cookie) && equal(a.msyn, again.msyn));
	assert_false(equal(a.cookie, a.msyn));
	assert_false(equal(a.cookie, next.cookie) || equal(a.msyn, next.msyn));
	assert_false(equal(a.cookie, another.cookie) || equal(a.msyn, another.msyn));
}

static void ring_keeps_four_epochs(void **state)
{
	struct keyring ring = {0};

	(void)state;
	assert_null(keyring_get(&ring, 0)); // an empty slot is not epoch 0
	for (uint32_t epoch = 10; epoch < 15; epoch++) {
		struct epoch_keys keys = fixture_keys(epoch);

		keyring_put(&ring, &keys);
	}
	assert_null(keyring_get(&ring, 10)); // 14 took its slot
	for (uint32_t epoch = 11; epoch < 15; epoch++) {
		assert_non_null(keyring_get(&ring, epoch));
		assert_int_equal(keyring_get(&ring, epoch)->epoch, epoch);
	}
	assert_null(keyring_get(&ring, 15));
}

static void wipe_leaves_nothing(void **state)
{
	const struct epoch_keys zero = {0};
	struct epoch_keys keys = fixture_keys(3);

	(void)state;
	keyring_wipe(&keys);
	assert_memory_equal(&keys, &zero, sizeof(keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(m4_counter_and_epoch),
		cmocka_unit_test(t10_secret_of_at_least_128_bits),
		cmocka_unit_test(m3_key_per_epoch_label_and_secret),
		cmocka_unit_test(ring_keeps_four_epochs),
		cmocka_unit_test(wipe_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
