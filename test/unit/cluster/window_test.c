// Proves: RELIABILITY 5 line 4 (a replay window of at least 1024 records).
#include "cluster/window.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static bool use(struct window *window, uint64_t counter)
{
	if (!window_is_fresh(window, counter))
		return false;
	window_mark(window, counter);
	return true;
}

static void every_counter_once(void **state)
{
	struct window window = {0};

	(void)state;
	assert_true(WINDOW_RECORDS >= 1024);
	assert_false(window_is_fresh(&window, 0));
	for (uint64_t i = 1; i < 10000; i++) {
		assert_true(use(&window, i));
		assert_false(window_is_fresh(&window, i));
		assert_false(window_is_fresh(&window, 0));
	}
}

static void behind_the_window(void **state)
{
	const uint64_t base = 1000000;
	struct window window = {0};

	(void)state;
	for (uint64_t at = base; at < base + 128; at++) { // any place within a word
		memset(&window, 0, sizeof(window));
		assert_true(use(&window, at));
		assert_true(window_is_fresh(&window, at - WINDOW_RECORDS + 1));
		assert_false(window_is_fresh(&window, at - WINDOW_RECORDS));
		assert_false(window_is_fresh(&window, 1));
		for (uint64_t back = WINDOW_RECORDS - 1; back > 0; back--)
			assert_true(use(&window, at - back));
		for (uint64_t back = 0; back < WINDOW_RECORDS; back++)
			assert_false(window_is_fresh(&window, at - back));
	}
}

// Against a plain list of what was used.
static void like_a_list(void **state)
{
	static uint8_t used[400000];
	struct window window = {0};
	uint64_t highest = 0, random = 7;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t counter, step;
		bool fresh;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		step = (random >> 40) % (i % 1000 == 0 ? 5000 : 2200);
		counter = highest + 3 > step ? highest + 3 - step : 0;
		if (i % 1000 == 0)
			counter = highest + step; // a leap, over the whole ring at times
		if (counter >= sizeof(used))
			break;
		fresh = counter > 0 && used[counter] == 0 &&
			(counter > highest || highest - counter < WINDOW_RECORDS);
		assert_int_equal(use(&window, counter), fresh);
		used[counter] = 1;
		if (counter > highest)
			highest = counter;
	}
	assert_true(highest > 50 * WINDOW_RECORDS);
}

static void leaps(void **state)
{
	struct window window = {0};

	(void)state;
	for (uint64_t i = 1; i <= WINDOW_RECORDS; i++)
		assert_true(use(&window, i));
	// Exactly a ring, more than a ring, and to the end of numbers: no old bit shows through.
	assert_true(use(&window, 1 + WINDOW_WORDS * 64));
	assert_true(use(&window, 1 + 2 * WINDOW_WORDS * 64 + 63));
	assert_true(window_is_fresh(&window, 2 * WINDOW_WORDS * 64 + 63));
	assert_true(use(&window, UINT64_MAX));
	assert_true(window_is_fresh(&window, UINT64_MAX - 1));
	assert_false(use(&window, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_once),
		cmocka_unit_test(behind_the_window),
		cmocka_unit_test(like_a_list),
		cmocka_unit_test(leaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
