#include "weir/runtime.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_TRIES 4

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

// Removes the files of DPDK/PREFIX and the two folders; nothing below, and nothing beside.
static void remove_dpdk(const struct node *node)
{
	char path[NODE_PATH_BYTES];
	int parent = open(node_path(node, "dpdk", path), O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *prefix = node->config->node;
	int fd = openat(parent, prefix, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;

	for (struct dirent *entry; folder && (entry = readdir(folder));)
		unlinkat(fd, entry->d_name, 0); // refuses folders
	if (folder)
		closedir(folder);
	if (parent < 0)
		return;
	unlinkat(parent, prefix, AT_REMOVEDIR);
	close(parent);
	rmdir(path);
}

// What this process made, or one that was killed left behind. The socket is the console's, which
// removes it, too, when it ends in order.
static void remove_files(const struct node *node)
{
	char path[NODE_PATH_BYTES];

	unlink(node_path(node, "console.sock", path));
	remove_dpdk(node);
}

int runtime_claim(struct node *node)
{
	const char *folder = node->config->runtime;
	char holder[LOCK_FILE_HOLDER_BYTES], path[NODE_PATH_BYTES];
	int error = -ERR_MISSING;

	node_path(node, "lock", path);
	// A node that ends removes the folder with its lock.
	for (unsigned tries = 0; tries < FOLDER_TRIES; tries++) {
		if (make_folders(folder) == 0)
			error = lock_file_take(&node->lock, path, NULL, holder);
		if (error != -ERR_MISSING || errno != ENOENT)
			break;
	}
	if (error == -ERR_EXISTS)
		log_error("another weir (%s) runs in %s: stop it, or give this one its own "
			  "`runtime'",
			holder, folder);
	else if (error)
		log_error("the runtime folder %s cannot be made or locked: %s%s", folder,
			strerror(errno),
			errno == EPERM || errno == EACCES
				? ": run weir as root, or give it a `runtime' of your own"
				: "");
	else
		remove_files(node);
	return error;
}

void runtime_release(struct node *node)
{
	char path[NODE_PATH_BYTES];

	remove_files(node);
	// After a failed start there is something to read in it.
	if (node->ended_well && strcmp(node->config->log_to, "auto") == 0)
		unlink(node_path(node, "log", path));
	lock_file_release(&node->lock);
	rmdir(node->config->runtime); // stays with what others put there, such as captures
}
