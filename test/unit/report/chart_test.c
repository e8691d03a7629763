// Proves: of `weir replay`, that its charts have round ticks and readable numbers.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "weir/replay/chart.h"

static void numbers(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {{0, "0"}, {7, "7"}, {0.25, "0.25"}, {12.34, "12.3"}, {999, "999"},
		{999.9, "1.00 k"}, {1000, "1 k"}, {1234, "1.23 k"}, {123456, "123 k"}, {5e6, "5 M"},
		{1.5e9, "1.50 G"}};
	char text[CHART_NUMBER_BYTES];

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(chart_number(rows[i].value, text), rows[i].text);
}

static void times(void **state)
{
	char text[CHART_NUMBER_BYTES];

	(void)state;
	assert_string_equal(chart_time(850, text), "850 ns");
	assert_string_equal(chart_time(1250, text), "1.25 \u00b5s");
	assert_string_equal(chart_time(2e6, text), "2 ms");
	assert_string_equal(chart_time(3e9, text), "3 s");
}

static void ticks(void **state)
{
	(void)state;
	assert_true(chart_step(10, 5) == 2);
	assert_true(chart_step(11, 5) == 5);
	assert_true(chart_step(26, 5) == 10);
	assert_true(chart_step(100, 100) == 1);
}

static void places(void **state)
{
	struct chart chart = {
		.width = 100, .height = 50, .left = 10, .right = 10, .x_high = 4, .y_high = 2};

	(void)state;
	assert_true(chart_x(&chart, 0) == 10 && chart_x(&chart, 4) == 90);
	assert_true(
		chart_y(&chart, 0) == 50 && chart_y(&chart, 1) == 25 && chart_y(&chart, 2) == 0);
	chart.x_log = 1;
	chart.x_low = 1;
	chart.x_high = 16;
	assert_int_equal((int)(chart_x(&chart, 4) + 0.5), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(times),
		cmocka_unit_test(ticks),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
