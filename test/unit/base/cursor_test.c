// The cursor: what is written is read back, and the first error stays.
#include "base/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void round_trip(void **state)
{
	static const uint8_t wire[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
		0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 'a', 'b', 'c'};
	uint8_t out[sizeof(wire)];
	struct cursor c = cursor_write(out, sizeof(out));

	(void)state;
	cursor_put8(&c, 0x01);
	cursor_put16(&c, 0x0203);
	cursor_put32(&c, 0x04050607);
	cursor_put64(&c, 0x08090a0b0c0d0e0f);
	cursor_put(&c, "abc", 3);
	assert_false(c.failed);
	assert_int_equal(cursor_left(&c), 0);
	assert_memory_equal(out, wire, sizeof(wire));

	c = cursor_read(wire, sizeof(wire));
	assert_int_equal(cursor_get8(&c), 0x01);
	assert_int_equal(cursor_get16(&c), 0x0203);
	assert_int_equal(cursor_get32(&c), 0x04050607);
	assert_true(cursor_get64(&c) == 0x08090a0b0c0d0e0f);
	assert_int_equal(cursor_left(&c), 3);
	assert_ptr_equal(cursor_take(&c, 3), wire + 15);
	assert_false(c.failed);
}

static void read_error_is_sticky(void **state)
{
	static const uint8_t wire[3] = {0xff, 0xff, 0xff};
	struct cursor c = cursor_read(wire, sizeof(wire));

	(void)state;
	assert_int_equal(cursor_get32(&c), 0);
	assert_true(c.failed);
	// One byte would be there, but the walk is lost.
	assert_int_equal(cursor_get8(&c), 0);
	assert_int_equal(cursor_get16(&c), 0);
	assert_true(cursor_get64(&c) == 0);
	assert_null(cursor_take(&c, 0));
	assert_int_equal(cursor_left(&c), 0);
	assert_true(c.failed);
}

static void take_bounds(void **state)
{
	static const uint8_t wire[3];
	struct cursor c = cursor_read(wire, sizeof(wire));

	(void)state;
	assert_non_null(cursor_take(&c, 0));
	assert_null(cursor_take(&c, SIZE_MAX));
	assert_true(c.failed);
	c = cursor_read(wire, sizeof(wire));
	assert_null(cursor_take(&c, 4));
	c = cursor_read(NULL, 0);
	assert_int_equal(cursor_get8(&c), 0);
	assert_true(c.failed);
}

static void write_error_is_sticky(void **state)
{
	uint8_t out[4] = {0x55, 0x55, 0x55, 0x55};
	static const uint8_t untouched[4] = {0x55, 0x55, 0x55, 0x55};
	struct cursor c = cursor_write(out, 3);

	(void)state;
	cursor_put32(&c, 0);
	assert_true(c.failed);
	cursor_put8(&c, 0);
	cursor_put16(&c, 0);
	cursor_put64(&c, 0);
	cursor_put(&c, "x", 1);
	assert_memory_equal(out, untouched, sizeof(out));
	c = cursor_write(out, 3);
	cursor_put(&c, NULL, 0);
	assert_false(c.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(read_error_is_sticky),
		cmocka_unit_test(take_bounds),
		cmocka_unit_test(write_error_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
