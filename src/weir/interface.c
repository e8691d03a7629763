// Abstract socket names belong to the network namespace, as interfaces do, so that one name per
// interface is exactly as unique as the interface.
#include "weir/interface.h"

#include "base/error.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int interface_take(struct interface *interface, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	// The first byte stays 0: an abstract name.
	int len = snprintf(
		address.sun_path + 1, sizeof(address.sun_path) - 1, "weir-interface-%s", name);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);

	interface->hearing = -1;
	interface->claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (interface->claim < 0)
		return -ERR_MISSING;
	if (bind(interface->claim, (struct sockaddr *)&address, size) == 0)
		return 0;
	int error = errno == EADDRINUSE ? -ERR_EXISTS : -ERR_MISSING;
	interface_release(interface);
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
	if (interface->claim >= 0)
		close(interface->claim);
	*interface = (struct interface)INTERFACE_NONE;
}
