#include "weir/xdp.h"

#include "base/check.h"
#include "weir/node.h"
#include "weir/port.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// RTM_SETLINK with IFLA_XDP { IFLA_XDP_FD = -1, IFLA_XDP_FLAGS = mode }.
struct detach_request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	struct rtattr xdp;
	struct rtattr fd_header;
	int fd;
	struct rtattr flags_header;
	uint32_t flags;
};
_Static_assert(sizeof(struct detach_request) == 16 + 16 + 4 + 8 + 8, "no padding: sent as is");

struct detach_answer {
	struct nlmsghdr header;
	struct nlmsgerr error;
};

// Only async-signal-safe calls: crash handlers come here.
static int detach_mode(int netlink, int ifindex, uint32_t mode)
{
	struct detach_request request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_SETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.link = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex},
		.xdp = {.rta_len = 20, .rta_type = IFLA_XDP | NLA_F_NESTED},
		.fd_header = {.rta_len = 8, .rta_type = IFLA_XDP_FD},
		.fd = -1,
		.flags_header = {.rta_len = 8, .rta_type = IFLA_XDP_FLAGS},
		.flags = mode,
	};
	struct detach_answer answer;

	if (send(netlink, &request, sizeof(request), 0) < 0)
		return -1;
	ssize_t got = recv(netlink, &answer, sizeof(answer), 0);
	if (got < (ssize_t)sizeof(answer) || answer.header.nlmsg_type != NLMSG_ERROR)
		return -1;
	errno = -answer.error.error;
	return answer.error.error ? -1 : 0;
}

int xdp_detach(int ifindex)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (netlink < 0)
		return -1;
	int native = detach_mode(netlink, ifindex, XDP_FLAGS_DRV_MODE);
	int generic = detach_mode(netlink, ifindex, XDP_FLAGS_SKB_MODE);
	close(netlink);
	return native && generic ? -1 : 0;
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static int guarded[CONFIG_PORTS_MAX]; // interfaces; 0: none

static void on_crash(int number)
{
	for (unsigned i = 0; i < ARRAY_LEN(guarded); i++) {
		if (guarded[i])
			xdp_detach(guarded[i]);
	}
	raise(number); // SA_RESETHAND: now it kills
}

void xdp_guard(const struct node *node)
{
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND};
	bool any = false;

	for (unsigned i = 0; i < node->device_count; i++) {
		bool is_xdp = node->ports[i].kind == PORT_AF_XDP;

		guarded[i] = is_xdp ? node->ports[i].ifindex : 0;
		any |= is_xdp;
	}
	for (unsigned i = 0; any && i < ARRAY_LEN(crashes); i++)
		sigaction(crashes[i], &action, NULL);
}

void xdp_unguard(void)
{
	memset(guarded, 0, sizeof(guarded));
}
