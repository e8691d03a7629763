// Walks bad/ and good/. A broken file names the errors it must cause, one comment each:
//	# expect: SUBSTRING
// and no others may come; `# set: PATH=VALUE` in either kind is given as a --set.
#include "text.h"

#include <dirent.h>

#define MARKS_MAX 16

struct marks {
	char *list[MARKS_MAX];
	unsigned count;
};

static void marks_collect(struct marks *marks, const char *text, const char *mark)
{
	marks->count = 0;
	while ((text = strstr(text, mark)) != NULL) {
		text += strlen(mark);
		assert_true(marks->count < MARKS_MAX);
		marks->list[marks->count] = strndup(text, strcspn(text, "\n"));
		assert_non_null(marks->list[marks->count]);
		marks->count++;
	}
}

static void marks_free(struct marks *marks)
{
	for (unsigned i = 0; i < marks->count; i++)
		free(marks->list[i]);
}

static bool is_expected(const char *text, const struct marks *expected)
{
	for (unsigned i = 0; i < expected->count; i++)
		if (strstr(text, expected->list[i]) != NULL)
			return true;
	return false;
}

static bool has_error(const struct config_errors *errors, const char *part)
{
	for (unsigned i = 0; i < errors->count; i++)
		if (strstr(errors->list[i].text, part) != NULL)
			return true;
	return false;
}

static bool errors_agree(const struct config_errors *errors, const struct marks *expected)
{
	bool agree = expected->count > 0 && errors->count == expected->count;

	for (unsigned i = 0; i < expected->count; i++)
		agree = agree && has_error(errors, expected->list[i]);
	for (unsigned i = 0; i < errors->count; i++)
		agree = agree && is_expected(errors->list[i].text, expected);
	return agree;
}

// Returns whether the file behaves; says what it did where it does not.
static bool run_file(const char *path, const char *name, bool good)
{
	char *text = text_read(path);
	struct config_errors errors;
	struct marks expected, sets;
	struct config *config;
	bool behaves;

	marks_collect(&expected, text, "# expect: ");
	marks_collect(&sets, text, "# set: ");
	config = config_parse(name, text, (const char *const *)sets.list, sets.count, &errors);
	behaves = good ? config != NULL && errors.count == 0
		       : config == NULL && errors_agree(&errors, &expected);
	if (!behaves) {
		print_error("%s: %s\n", name, config ? "accepted" : "refused:");
		errors_print(&errors);
	}
	config_free(config);
	config_errors_free(&errors);
	marks_free(&expected);
	marks_free(&sets);
	free(text);
	return behaves;
}

static unsigned run_folder(const char *folder, bool good)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned files = 0;
	unsigned failed = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[4096];

		if (strstr(entry->d_name, ".cfg") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		failed += !run_file(path, entry->d_name, good);
		files++;
	}
	closedir(dir);
	assert_int_equal(failed, 0);
	return files;
}

static void broken_files_are_refused_for_the_right_reasons(void **state)
{
	assert_true(run_folder(CFG_TEST_FOLDER "/bad", false) >= 60);
	(void)state;
}

static void good_files_are_accepted(void **state)
{
	assert_true(run_folder(CFG_TEST_FOLDER "/good", true) >= 10);
	assert_true(run_folder(CFG_CONF_FOLDER, true) >= 2);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_files_are_refused_for_the_right_reasons),
		cmocka_unit_test(good_files_are_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
