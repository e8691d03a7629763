// Links. The kernel tells of changes over netlink; what a port's link is now is then asked, so that
// a lost message costs a second at most (the loop's timer asks, too). With follow_link, the partner
// of a port that lost its link is set down, so that routers on both sides see the wire as cut, and
// up again when the link is back. Only links this process has set down are ever set up. A link that
// was set up gets LINK_GRACE_NS to come up before its partner follows it down again.
#include "weir/control_internal.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/port.h"

#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>

#define LINK_GRACE_NS 5000000000ULL

static int ask_flags(const struct node *node, const char *interface, struct ifreq *request)
{
	memset(request, 0, sizeof(*request));
	strncpy(request->ifr_name, interface, IFNAMSIZ - 1);
	return ioctl(node->control->link_socket, SIOCGIFFLAGS, request);
}

static bool ask_link(const struct node *node, const struct port *port)
{
	const char *interface = port_interface(port);
	struct rte_eth_link link = {0};
	struct ifreq request;

	if (port_is_gone(port))
		return false;
	if (interface)
		return ask_flags(node, interface, &request) == 0 &&
		       (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

bool port_is_gone(const struct port *port)
{
	const char *interface = port_interface(port);

	return interface && (int)if_nametoindex(interface) != port->ifindex;
}

static int set_link(const struct node *node, const struct port *port, bool up)
{
	const char *interface = port_interface(port);
	struct ifreq request;

	if (!interface)
		return up ? rte_eth_dev_set_link_up(port->id) : rte_eth_dev_set_link_down(port->id);
	if (ask_flags(node, interface, &request))
		return -1;
	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
	return ioctl(node->control->link_socket, SIOCSIFFLAGS, &request);
}

static void force(const struct node *node, struct port *port, bool down)
{
	if (port->link_forced_down == down)
		return;
	if (set_link(node, port, !down)) {
		log_warning("port %s: follow_link cannot set its link %s", port->config->name,
			down ? "down" : "up");
		return;
	}
	port->link_forced_down = down;
	port->link_grace_ns = down ? 0 : node_now_ns() + LINK_GRACE_NS;
	log_info("port %s is set %s because its partner is", port->config->name,
		down ? "down" : "up");
}

// A port set down by us has no link of its own to follow.
static void follow(const struct node *node)
{
	uint64_t now_ns = node_now_ns();

	for (unsigned i = 0; i < node->port_count; i++) {
		struct port *port = &node->ports[i];
		bool waits = !port->link && now_ns < port->link_grace_ns;

		if (!port->link_forced_down && !waits)
			force(node, &node->ports[port->peer], !port->link);
	}
}

void links_refresh(struct node *node)
{
	for (unsigned i = 0; i < node->device_count; i++) {
		struct port *port = &node->ports[i];
		bool link = ask_link(node, port);

		if (link != port->link)
			log_write(link ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "port %s link=%s",
				port->config->name, link ? "up" : "down");
		if (link != port->link && port_is_gone(port))
			log_error("port %s: interface %s is gone or was made anew: restart weir "
				  "once it is "
				  "there",
				port->config->name, port_interface(port));
		port->link = link;
		if (link)
			port->link_grace_ns = 0;
	}
	if (node->config->follow_link)
		follow(node);
}

static void on_change(evutil_socket_t fd, short what, void *argument)
{
	char ignored[8192];

	(void)what;
	while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0) {
	}
	links_refresh(argument);
}

int links_start(struct node *node)
{
	struct control *control = node->control;
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

	control->link_socket =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (control->link_socket < 0 ||
		bind(control->link_socket, (struct sockaddr *)&address, sizeof(address)))
		return -ERR_MISSING;
	control->links = event_new(
		node->events, control->link_socket, EV_READ | EV_PERSIST, on_change, node);
	if (!control->links || event_add(control->links, NULL))
		return -ERR_MEMORY;
	links_refresh(node);
	for (unsigned i = 0; i < node->device_count; i++) {
		if (!node->ports[i].link)
			log_warning("port %s has no link", node->ports[i].config->name);
	}
	return 0;
}

void links_stop(struct node *node)
{
	struct control *control = node->control;

	for (unsigned i = 0; control->link_socket >= 0 && i < node->port_count; i++)
		force(node, &node->ports[i], false);
	if (control->links)
		event_free(control->links);
	if (control->link_socket >= 0)
		close(control->link_socket);
	control->links = NULL;
	control->link_socket = -1;
}

bool control_link_up(const struct node *node, unsigned port)
{
	return node->ports[port].link;
}
