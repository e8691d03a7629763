// Proves: TCP.md 1.8: no linear relation over GF(2) between what an attacker chooses and the cookie
// (a CRC or a Toeplitz hash in its place would be solved from a few dozen samples).
//
// Each sample is one row: input bits, output bits, and a constant one. A relation between the
// columns, output bits among them, shows as a rank below the number of columns. Random columns have
// full rank after a few rows more than columns.
#include "fixture.h"

#include "cookie/msyn.h"
#include "cookie/syncookie.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define SAMPLES 400
#define TICK	1000u

// Maps an ISN to bits to be examined.
typedef uint32_t (*function)(uint32_t isn);

static uint32_t crc32_of(uint32_t isn)
{
	const struct tuple tuple = fixture_tuple(4);
	uint8_t bytes[TUPLE_BYTES_MAX];
	unsigned len = tuple_bytes(bytes, &tuple, isn);
	uint32_t crc = 0xffffffff;

	for (unsigned i = 0; i < len * 8; i++) {
		crc ^= bytes[i / 8] >> i % 8 & 1;
		crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static uint32_t cookie_of(uint32_t isn, bool timestamps)
{
	const struct agreed offer = {.mss = 1460, .wscale = 7, .timestamps = timestamps};
	const struct epoch_keys keys = fixture_keys(keyring_epoch(TICK));
	const struct tuple tuple = fixture_tuple(4);

	return syncookie_make(&keys, &tuple, isn, &offer, 0).seq;
}

static uint32_t plain_cookie(uint32_t isn)
{
	return cookie_of(isn, false);
}

static uint32_t timestamps_cookie(uint32_t isn)
{
	return cookie_of(isn, true);
}

// Its hash sees 17 bits of an ISN: give it those that vary.
static uint32_t msyn_cookie(uint32_t isn)
{
	const struct epoch_keys keys = fixture_keys(keyring_epoch(TICK));
	const struct tuple tuple = fixture_tuple(4);

	return msyn_make(&keys, &tuple, isn << 15, TICK, 0);
}

// Columns missing to full rank, with `in` input bits and the `out` low output bits.
static unsigned relations(function f, unsigned in, unsigned out)
{
	uint64_t pivot[64] = {0};
	uint64_t random = 4;
	unsigned columns = in + out + 1, rank = 0;

	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t input = fixture_random(&random) & ((1ULL << in) - 1);
		uint64_t output = f((uint32_t)input) & ((1ULL << out) - 1);
		uint64_t row = input | output << in | 1ULL << (in + out);

		while (row != 0 && pivot[__builtin_ctzll(row)] != 0)
			row ^= pivot[__builtin_ctzll(row)];
		if (row != 0) {
			pivot[__builtin_ctzll(row)] = row;
			rank++;
		}
	}
	return columns - rank;
}

static void t1_8_cookies_have_no_linear_relation(void **state)
{
	(void)state;
	assert_int_equal(relations(plain_cookie, 32, 31), 0);
	assert_int_equal(relations(timestamps_cookie, 32, 31), 0);
	assert_int_equal(relations(msyn_cookie, 17, 13), 0);
}

// The control: the method finds all relations of a linear function.
static void crc32_is_found_out(void **state)
{
	(void)state;
	assert_int_equal(relations(crc32_of, 32, 31), 31);
	assert_int_equal(relations(crc32_of, 32, 13), 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_8_cookies_have_no_linear_relation),
		cmocka_unit_test(crc32_is_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
