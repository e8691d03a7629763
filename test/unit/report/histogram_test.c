// Proves: of `weir replay`, that a value is counted where it belongs, and quantiles are right to
// the width of a cell.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "weir/replay/histogram.h"

#include <stdlib.h>

static struct histogram *make(void)
{
	struct histogram *histogram = calloc(1, sizeof(*histogram));

	assert_non_null(histogram);
	return histogram;
}

static void cells_follow_each_other(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 2 < HISTOGRAM_CELLS; i++)
		assert_true(histogram_low(i) < histogram_low(i + 1));
	assert_int_equal(histogram_low(0), 0);
	assert_int_equal(histogram_low(2 * HISTOGRAM_PARTS), 2 * HISTOGRAM_PARTS);
}

static void value_is_in_its_cell(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < HISTOGRAM_CELLS; i++) {
		struct histogram *histogram = make();

		histogram_add(histogram, histogram_low(i), 1);
		histogram_add(histogram, histogram_low(i + 1) - 1, 1);
		assert_int_equal(histogram->cells[i], 2);
		free(histogram);
	}
}

static void largest_value_is_counted(void **state)
{
	struct histogram *histogram = make();

	(void)state;
	histogram_add(histogram, UINT64_MAX, 3);
	assert_int_equal(histogram->cells[HISTOGRAM_CELLS - 1], 3);
	free(histogram);
}

static void quantiles(void **state)
{
	struct histogram *histogram = make();

	(void)state;
	assert_true(histogram_quantile(histogram, 0.5) == 0);
	for (uint64_t value = 1; value <= 10000; value++)
		histogram_add(histogram, value, 1);
	assert_in_range((uint64_t)histogram_quantile(histogram, 0.5), 4850, 5150);
	assert_in_range((uint64_t)histogram_quantile(histogram, 0.99), 9600, 10200);
	assert_in_range((uint64_t)histogram_quantile(histogram, 0), 1, 1);
	free(histogram);
}

static void times_weigh(void **state)
{
	struct histogram *histogram = make();

	(void)state;
	histogram_add(histogram, 10, 99);
	histogram_add(histogram, 1000000, 1);
	assert_int_equal((int)histogram_quantile(histogram, 0.99), 10);
	assert_in_range((uint64_t)histogram_quantile(histogram, 0.999), 970000, 1030000);
	free(histogram);
}

static void below(void **state)
{
	struct histogram *histogram = make();

	(void)state;
	for (uint64_t value = 0; value < 4096; value++)
		histogram_add(histogram, value, 1);
	for (unsigned value = 0; value <= 4096; value += 7)
		assert_in_range((uint64_t)(histogram_below(histogram, value) + 0.5), value, value);
	free(histogram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_follow_each_other),
		cmocka_unit_test(value_is_in_its_cell),
		cmocka_unit_test(largest_value_is_counted),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(times_weigh),
		cmocka_unit_test(below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
