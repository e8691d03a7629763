// A file is removed while its lock is held. Who opened it before and locks it afterwards has locked
// a name that is gone: whoever got a lock looks whether the file is still the one of that name, and
// else begins anew.
#include "weir/lock_file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// "12 pop-a\n" becomes "pid 12, node pop-a". A holder that has not written yet has no name.
static void describe(int fd, char holder[LOCK_FILE_HOLDER_BYTES])
{
	char text[LOCK_FILE_HOLDER_BYTES - 16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0) {
		snprintf(holder, LOCK_FILE_HOLDER_BYTES, "just starting");
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	char *blank = strchr(text, ' ');
	if (blank)
		*blank = '\0';
	snprintf(holder, LOCK_FILE_HOLDER_BYTES, "pid %s%s%s", text, blank ? ", node " : "",
		blank ? blank + 1 : "");
}

static int write_holder(int fd, const char *name)
{
	char text[LOCK_FILE_HOLDER_BYTES];
	int len = snprintf(
		text, sizeof(text), "%d%s%s\n", (int)getpid(), name ? " " : "", name ? name : "");

	return ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len ? -ERR_MISSING : 0;
}

static bool is_named(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

// A lock on a file, which may have lost its name meanwhile; or -ERR_*.
static int open_locked(const char *path, char holder[LOCK_FILE_HOLDER_BYTES])
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -ERR_MISSING;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	int saved = errno;
	if (saved == EWOULDBLOCK)
		describe(fd, holder);
	close(fd);
	errno = saved;
	return saved == EWOULDBLOCK ? -ERR_EXISTS : -ERR_MISSING;
}

int lock_file_take(struct lock_file *lock, const char *path, const char *name,
	char holder[LOCK_FILE_HOLDER_BYTES])
{
	int fd;

	lock->fd = -1;
	snprintf(lock->path, sizeof(lock->path), "%s", path);
	while ((fd = open_locked(lock->path, holder)) >= 0) {
		if (is_named(fd, lock->path))
			break;
		close(fd);
	}
	if (fd < 0)
		return fd;
	lock->fd = fd;
	if (write_holder(fd, name) == 0)
		return 0;
	int saved = errno;
	lock_file_release(lock);
	errno = saved;
	return -ERR_MISSING;
}

void lock_file_release(struct lock_file *lock)
{
	if (lock->fd < 0)
		return;
	if (is_named(lock->fd, lock->path))
		unlink(lock->path);
	close(lock->fd);
	lock->fd = -1;
}
