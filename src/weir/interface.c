// The lock of an interface is named after its network namespace and its number there: the same for
// every node that could take it, and different for one that only has the same name. The folder is
// ours alone, so that nobody else can hold a lock to keep Weir from starting.
#include "weir/interface.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMESPACE    "/proc/self/ns/net"
#define FOLDER_TRIES 4

// 0, or -ERR_MISSING with errno where the folder cannot be made, or is another's.
static int make_folder(void)
{
	struct stat folder;

	if ((mkdir("/run/weir", 0755) && errno != EEXIST) ||
		(mkdir(INTERFACE_LOCKS, 0700) && errno != EEXIST) ||
		lstat(INTERFACE_LOCKS, &folder))
		return -ERR_MISSING;
	if (S_ISDIR(folder.st_mode) && folder.st_uid == geteuid() && !(folder.st_mode & 077))
		return 0;
	errno = EPERM;
	return -ERR_MISSING;
}

int interface_take(struct interface *interface, const char *name, const char *node,
	char holder[LOCK_FILE_HOLDER_BYTES])
{
	unsigned index = if_nametoindex(name);
	char path[LOCK_FILE_PATH_BYTES];
	struct stat space;
	int error = -ERR_MISSING;

	*interface = (struct interface)INTERFACE_NONE;
	if (index == 0 || stat(NAMESPACE, &space))
		return -ERR_MISSING;
	snprintf(path, sizeof(path), "%s/%llu-%u", INTERFACE_LOCKS,
		(unsigned long long)space.st_ino, index);
	// A node that ends removes the folder with its last lock.
	for (unsigned tries = 0; tries < FOLDER_TRIES; tries++) {
		if (make_folder() == 0)
			error = lock_file_take(&interface->claim, path, node, holder);
		if (error != -ERR_MISSING || errno != ENOENT)
			break;
	}
	return error;
}

int interface_hear_all(struct interface *interface, const char *name)
{
	struct packet_mreq membership = {
		.mr_ifindex = (int)if_nametoindex(name), .mr_type = PACKET_MR_PROMISC};

	// Protocol 0: the socket itself receives nothing.
	interface->hearing = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (interface->hearing >= 0 &&
		setsockopt(interface->hearing, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership,
			sizeof(membership)) == 0)
		return 0;
	return -ERR_MISSING;
}

void interface_release(struct interface *interface)
{
	if (interface->hearing >= 0)
		close(interface->hearing);
	if (interface->claim.fd >= 0) {
		lock_file_release(&interface->claim);
		rmdir(INTERFACE_LOCKS); // stays while there are others
	}
	*interface = (struct interface)INTERFACE_NONE;
}
