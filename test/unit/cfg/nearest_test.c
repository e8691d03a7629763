#include "cfg/nearest.h"

#include "cfg/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void slips_of_the_hand_are_near(void **state)
{
	static const char *const slips[] = {
		"worker", "wrokers", "workerss", "wokers", "xorkers", "workesr"};

	for (unsigned i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
		struct nearest nearest = nearest_start(slips[i]);

		assert_true(nearest_offer(&nearest, "workers"));
		assert_string_equal(nearest.best, "workers");
	}
	(void)state;
}

static void other_words_are_not(void **state)
{
	struct nearest nearest = nearest_start("on");

	assert_false(nearest_offer(&nearest, "off"));
	nearest = nearest_start("workers");
	assert_false(nearest_offer(&nearest, "woodwork"));
	assert_false(nearest_offer(&nearest, ""));
	assert_null(nearest.best);
	(void)state;
}

static void the_nearest_stays(void **state)
{
	struct nearest nearest = nearest_start("inside");

	assert_true(nearest_offer(&nearest, "outsde") || nearest.best == NULL);
	assert_true(nearest_offer(&nearest, "insid"));
	assert_false(nearest_offer(&nearest, "insi"));
	assert_string_equal(nearest.best, "insid");
	(void)state;
}

static void long_words_are_refused(void **state)
{
	char word[200];
	struct nearest nearest;

	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	nearest = nearest_start(word);
	assert_false(nearest_offer(&nearest, word));
	(void)state;
}

static void a_key_of_another_group_is_named_in_full(void **state)
{
	assert_string_equal(schema_nearest(KEY_NONE, "workers"), "eal.workers");
	assert_string_equal(schema_nearest(KEY_EAL, "wrokers"), "workers");
	assert_null(schema_nearest(KEY_EAL, "elephants"));
	(void)state;
}

// The enum and the table must agree, and a list's keys follow it: elements are sliced that way.
static void the_table_is_complete(void **state)
{
	for (enum key key = 0; key < KEY_COUNT; key++) {
		const char *dot;

		assert_non_null(schema[key].path);
		assert_non_null(schema[key].doc);
		dot = strrchr(schema[key].path, '.');
		if (dot != NULL) {
			char parent[64];
			enum key holder = key;

			snprintf(parent, sizeof(parent), "%.*s", (int)(dot - schema[key].path),
				schema[key].path);
			while (holder > 0 && strcmp(schema[holder].path, parent) != 0)
				holder--;
			assert_string_equal(schema[holder].path, parent);
			assert_true(schema_end(holder) > key);
			assert_int_equal(schema_child(holder, dot + 1), key);
		}
		if (schema[key].type == TYPE_LIST)
			assert_string_equal(schema_name(key + 1), "name");
		if (schema[key].type == TYPE_CHOICE && schema[key].initial != NULL)
			assert_true(choice_find(schema[key].choices, schema[key].initial) >= 0);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips_of_the_hand_are_near),
		cmocka_unit_test(other_words_are_not),
		cmocka_unit_test(the_nearest_stays),
		cmocka_unit_test(long_words_are_refused),
		cmocka_unit_test(a_key_of_another_group_is_named_in_full),
		cmocka_unit_test(the_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
