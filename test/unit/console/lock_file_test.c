// A lock is one holder's, tells who that is, and leaves no file behind.
#include "weir/lock_file.h"

#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/lock-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/lock", folder);
	return 0;
}

// Fails where a test left its file.
static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void one_holder_who_is_named(void **state)
{
	struct lock_file first = LOCK_FILE_NONE, second = LOCK_FILE_NONE;
	char holder[LOCK_FILE_HOLDER_BYTES], expected[LOCK_FILE_HOLDER_BYTES];

	assert_int_equal(lock_file_take(&first, path, "pop-a", holder), 0);
	assert_int_equal(lock_file_take(&second, path, "pop-b", holder), -ERR_EXISTS);
	snprintf(expected, sizeof(expected), "pid %d, node pop-a", (int)getpid());
	assert_string_equal(holder, expected);
	assert_int_equal(second.fd, -1);
	lock_file_release(&second);
	assert_int_equal(access(path, F_OK), 0);
	lock_file_release(&first);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(lock_file_take(&second, path, NULL, holder), 0);
	assert_int_equal(lock_file_take(&first, path, NULL, holder), -ERR_EXISTS);
	snprintf(expected, sizeof(expected), "pid %d", (int)getpid());
	assert_string_equal(holder, expected);
	lock_file_release(&second);
	(void)state;
}

// The file of a killed process stays, its lock does not; nor does its longer text.
static void a_dead_holder_holds_nothing(void **state)
{
	struct lock_file lock = LOCK_FILE_NONE, other = LOCK_FILE_NONE;
	char holder[LOCK_FILE_HOLDER_BYTES];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int error = lock_file_take(&lock, path, "a-long-name-of-a-node", holder);

		_exit(error ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(lock_file_take(&lock, path, "b", holder), 0);
	assert_int_equal(lock_file_take(&other, path, "c", holder), -ERR_EXISTS);
	assert_non_null(strstr(holder, ", node b"));
	assert_null(strstr(holder, "node b-"));
	lock_file_release(&lock);
	(void)state;
}

// A file that lost its name meanwhile is not the other's to remove.
static void only_its_own_file_is_removed(void **state)
{
	struct lock_file first = LOCK_FILE_NONE, second = LOCK_FILE_NONE;
	char holder[LOCK_FILE_HOLDER_BYTES];

	assert_int_equal(lock_file_take(&first, path, "a", holder), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(lock_file_take(&second, path, "b", holder), 0);
	lock_file_release(&first);
	assert_int_equal(access(path, F_OK), 0);
	lock_file_release(&second);
	lock_file_release(&second);
	assert_int_equal(access(path, F_OK), -1);
	(void)state;
}

static void a_link_is_refused(void **state)
{
	struct lock_file lock = LOCK_FILE_NONE;
	char holder[LOCK_FILE_HOLDER_BYTES], target[80];

	snprintf(target, sizeof(target), "%s/target", folder);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(lock_file_take(&lock, path, "a", holder), -ERR_MISSING);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(access(target, F_OK), -1);
	assert_int_equal(unlink(path), 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_holder_who_is_named),
		cmocka_unit_test(a_dead_holder_holds_nothing),
		cmocka_unit_test(only_its_own_file_is_removed),
		cmocka_unit_test(a_link_is_refused),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
