#include "weir/runtime.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// Makes every folder on the way to `path`, the last one for this user only.
static int make_folders(const char *path)
{
	char part[CONFIG_TEXT_BYTES];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -ERR_MISSING;
		*slash = '/';
	}
	if (mkdir(part, 0700) && errno != EEXIST)
		return -ERR_MISSING;
	return chmod(part, 0700) ? -ERR_MISSING : 0;
}

static int read_pid(int file)
{
	char text[32] = "";

	return pread(file, text, sizeof(text) - 1, 0) > 0 ? (int)strtol(text, NULL, 10) : 0;
}

static int write_pid(int file)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return ftruncate(file, 0) || pwrite(file, text, (size_t)len, 0) != len ? -ERR_MISSING : 0;
}

int runtime_claim(struct node *node)
{
	const char *folder = node->config->runtime;
	char path[NODE_PATH_BYTES];

	if (make_folders(folder)) {
		log_error("the runtime folder %s cannot be made: %s", folder, strerror(errno));
		return -ERR_MISSING;
	}
	node->lock_fd = open(node_path(node, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (node->lock_fd < 0) {
		log_error("the lock %s cannot be opened: %s", path, strerror(errno));
		return -ERR_MISSING;
	}
	if (flock(node->lock_fd, LOCK_EX | LOCK_NB)) {
		log_error("another weir (pid %d) runs in %s: stop it, or give this one its own "
			  "`runtime'",
			read_pid(node->lock_fd), folder);
		close(node->lock_fd);
		node->lock_fd = -1;
		return -ERR_EXISTS;
	}
	if (write_pid(node->lock_fd)) {
		log_error("the lock %s cannot be written: %s", path, strerror(errno));
		runtime_release(node);
		return -ERR_MISSING;
	}
	return 0;
}

// The file stays: removing it would let a third process lock a name that a second one still holds.
void runtime_release(struct node *node)
{
	close(node->lock_fd);
	node->lock_fd = -1;
}
