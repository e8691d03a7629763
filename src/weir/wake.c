#include "weir/wake.h"

#include <dirent.h>
#include <linux/if_packet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif

static int domain_of(int fd)
{
	int domain = -1;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 ? domain : -1;
}

static bool is_bound_to(int fd, int ifindex)
{
	struct sockaddr_ll address = {0};
	socklen_t size = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	       address.sll_ifindex == ifindex;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

// Collects the sockets of `domain`; descriptors are given in the order of opening.
static void collect(struct wake *wake, int domain)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	wake->count = 0;
	while (folder && (entry = readdir(folder)) && wake->count < WAKE_MAX) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (entry->d_name[0] != '.' && domain_of(fd) == domain)
			wake->fds[wake->count++] = fd;
	}
	if (folder)
		closedir(folder);
	qsort(wake->fds, wake->count, sizeof(wake->fds[0]), compare);
}

void wake_find_packet(struct wake *wake, int ifindex)
{
	struct wake all;

	wake->count = 0;
	collect(&all, AF_PACKET);
	for (unsigned i = 0; i < all.count; i++) {
		if (is_bound_to(all.fds[i], ifindex))
			wake->fds[wake->count++] = all.fds[i];
	}
}

static bool is_known(int fd, const struct wake *const *known, unsigned known_count)
{
	for (unsigned i = 0; i < known_count; i++) {
		for (unsigned j = 0; j < known[i]->count; j++) {
			if (known[i]->fds[j] == fd)
				return true;
		}
	}
	return false;
}

void wake_find_xdp(struct wake *wake, const struct wake *const *known, unsigned known_count)
{
	struct wake all;

	wake->count = 0;
	collect(&all, AF_XDP);
	for (unsigned i = 0; i < all.count; i++) {
		if (!is_known(all.fds[i], known, known_count))
			wake->fds[wake->count++] = all.fds[i];
	}
}
