// Internet checksums against a sum of single bytes, and updates against full sums. TCP.md 6.5.
#include "base/bytes.h"
#include "pkt/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint16_t reference(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

static uint16_t computed(const uint8_t *p, size_t len)
{
	return checksum_finish(checksum_add(0, p, len));
}

static void fill_random(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(random() >> 7);
}

static void rfc1071_example(void **state)
{
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(computed(data, sizeof(data)), (uint16_t)~0xddf2);
}

static void every_length_and_alignment(void **state)
{
	uint8_t data[400];

	(void)state;
	fill_random(data, sizeof(data));
	for (size_t at = 0; at < 16; at++)
		for (size_t len = 0; len <= 320; len++)
			assert_int_equal(computed(data + at, len), reference(data + at, len));
}

static void extremes(void **state)
{
	static uint8_t data[65535];

	(void)state;
	assert_int_equal(computed(data, sizeof(data)), 0xffff);
	memset(data, 0xff, sizeof(data));
	for (size_t len = 65500; len <= sizeof(data); len++)
		assert_int_equal(computed(data, len), reference(data, len));
	assert_int_equal(computed(data, 65534), 0x0000);
	fill_random(data, sizeof(data));
	assert_int_equal(computed(data, sizeof(data)), reference(data, sizeof(data)));
}

static void chained(void **state)
{
	uint8_t data[101];

	(void)state;
	fill_random(data, sizeof(data));
	for (size_t cut = 0; cut < sizeof(data); cut += 2) {
		uint64_t sum = checksum_add(0, data, cut);

		sum = checksum_add(sum, data + cut, sizeof(data) - cut);
		assert_int_equal(checksum_finish(sum), reference(data, sizeof(data)));
	}
}

// The case RFC 1624 was written for: equation 3 gives 0x0000 where RFC 1141 gave 0xffff.
static void t6_5_rfc1624_example(void **state)
{
	(void)state;
	assert_int_equal(checksum_update16(0xdd2f, 0x5555, 0x3285), 0x0000);
	assert_int_equal(checksum_update32(0xdd2f, 0x00005555, 0x00003285), 0x0000);
	assert_int_equal(checksum_update32(0xdd2f, 0x55550000, 0x32850000), 0x0000);
	// And back again.
	assert_int_equal(checksum_update16(0x0000, 0x3285, 0x5555), 0xdd2f);
}

// Any 16-bit field in front of a sum that takes every value once.
static void t6_5_update16_all_values(void **state)
{
	static const uint16_t values[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1234};
	uint8_t data[6] = {0x01, 0x00}; // never all zero, as no packet is

	(void)state;
	for (uint32_t rest = 0; rest <= 0xffff; rest++) {
		const uint16_t from = values[rest % 7], to = values[rest / 7 % 7];
		uint16_t checksum;

		be16_put(data + 2, (uint16_t)rest);
		be16_put(data + 4, from);
		checksum = reference(data, sizeof(data));
		be16_put(data + 4, to);
		assert_int_equal(
			checksum_update16(checksum, from, to), reference(data, sizeof(data)));
	}
}

// Half of the values are all zeros or all ones, where the two zeros of the arithmetic meet.
static uint32_t extreme_value(void)
{
	static const uint32_t extremes32[] = {0, UINT32_MAX, 0x0000ffff, 0xffff0000, 1, 0xff000000};
	uint32_t pick = (uint32_t)random();

	return pick & 1 ? extremes32[pick / 2 % 6] : (uint32_t)random() << 1;
}

static void t6_5_update32_any_offset(void **state)
{
	uint8_t data[40];

	(void)state;
	for (int round = 0; round < 200000; round++) {
		unsigned at = (unsigned)random() % (sizeof(data) - 4);
		uint32_t from = extreme_value(), to = extreme_value();
		uint16_t checksum;

		if (round % 16 == 0) {
			fill_random(data, sizeof(data));
			data[0] |= 1;
		}
		be32_put(data + at, from);
		checksum = reference(data, sizeof(data));
		be32_put(data + at, to);
		if (reference(data, sizeof(data)) == 0xffff)
			continue; // all zero: no packet is
		assert_int_equal(checksum_update32_at(checksum, at, from, to),
			reference(data, sizeof(data)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc1071_example),
		cmocka_unit_test(every_length_and_alignment),
		cmocka_unit_test(extremes),
		cmocka_unit_test(chained),
		cmocka_unit_test(t6_5_rfc1624_example),
		cmocka_unit_test(t6_5_update16_all_values),
		cmocka_unit_test(t6_5_update32_any_offset),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
