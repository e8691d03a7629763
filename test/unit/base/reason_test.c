// Drop reasons: each has a name and a sentence of its own.
#include "base/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void unique(void **state)
{
	(void)state;
	for (int i = 0; i < REASON_COUNT; i++) {
		assert_true(strlen(reason_name(i)) > 0);
		assert_true(strlen(reason_text(i)) > 0);
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(reason_name(i), reason_name(k));
			assert_string_not_equal(reason_text(i), reason_text(k));
		}
	}
}

static void well_known(void **state)
{
	(void)state;
	assert_string_equal(reason_name(REASON_NONE), "none");
	assert_string_equal(reason_name(REASON_bad_checksum), "bad_checksum");
	assert_string_equal(reason_name(REASON_stopped), "stopped");
	assert_string_equal(reason_name(REASON_COUNT), "unknown");
	assert_string_equal(reason_name((enum reason) - 1), "unknown");
	assert_true(strlen(reason_text(REASON_COUNT)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unique),
		cmocka_unit_test(well_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
