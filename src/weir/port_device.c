// One device: from the device string to a started DPDK port. Everything that can be known
// beforehand is asked first, because DPDK's drivers answer most mistakes with a bare -1.
#include "weir/port_internal.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/node.h"
#include "weir/worker.h"
#include "weir/interface.h"
#include "weir/xdp.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#define ARGUMENT_BYTES 512
#define KERNEL_FRAMES  2048 // of an af_packet ring
#define BLOCK_FRAMES   32   // of one block of it: a whole number of pages for any frame size
#define XDP_ROOM_BYTES 3584 // longest frame in one page of an af_xdp buffer
#define RING_SLOTS     1024

static int check_interface(const struct port *port)
{
	const char *name = port->config->name;

	if (strlen(port->target) >= IF_NAMESIZE || !if_nametoindex(port->target)) {
		log_error("port %s: there is no interface \"%s\" here: see `ip link'", name,
			port->target);
		return -ERR_MISSING;
	}
	int file = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (file < 0) {
		log_error("port %s: %s needs CAP_NET_RAW and CAP_NET_ADMIN: run as root, or give "
			  "the program these capabilities (%s)",
			name, port->config->device, strerror(errno));
		return -ERR_MISSING;
	}
	close(file);
	return 0;
}

static int take_interface(const struct node *node, struct port *port)
{
	char holder[LOCK_FILE_HOLDER_BYTES];
	int error = interface_take(&port->interface, port->target, node->config->node, holder);

	if (error == -ERR_EXISTS)
		log_error("port %s: %s is in use by another weir (%s): end that one, or name "
			  "another interface",
			port->config->name, port->target, holder);
	else if (error)
		log_error("port %s: %s cannot be locked in %s: %s: run as the user who owns it",
			port->config->name, port->target, INTERFACE_LOCKS, strerror(errno));
	return error;
}

static int check_xdp(const struct port *port)
{
	// libxdp's dispatcher wants a bpf file system, and would outlive xdp_detach() there.
	setenv("LIBXDP_SKIP_DISPATCHER", "1", 1);
	if (port_room_bytes(port) > XDP_ROOM_BYTES) {
		log_error("port %s: af_xdp carries an MTU of at most %u: use af_packet for %u",
			port->config->name, 2048 - PORT_ETHER_BYTES - 128, port->config->mtu);
		return -ERR_RANGE;
	}
	if (xdp_detach((int)if_nametoindex(port->target))) {
		log_error("port %s: the XDP program on %s cannot be replaced: %s",
			port->config->name, port->target, strerror(errno));
		return -ERR_MISSING;
	}
	return 0;
}

// The file of pcap:FILE[,loop] into `path`; true where it is read again and again.
static bool pcap_file(const struct port *port, char *path, size_t size)
{
	size_t len = strlen(port->target);
	bool loop = len > 5 && strcmp(port->target + len - 5, ",loop") == 0;

	snprintf(path, size, "%.*s", (int)(loop ? len - 5 : len), port->target);
	return loop;
}

static int check_pcap(const struct port *port)
{
	char path[CONFIG_TEXT_BYTES];

	pcap_file(port, path, sizeof(path));
	if (access(path, R_OK) == 0)
		return 0;
	log_error("port %s: %s cannot be read: %s", port->config->name, path, strerror(errno));
	return -ERR_MISSING;
}

// Whether somebody listens on a memif's socket: then we connect, else we listen. The greeting is
// awaited, because a driver that cannot deliver it does not survive that. A socket that an earlier
// run left is removed, because ours cannot bind to it.
static bool memif_has_server(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = 1};
	struct stat status;
	char greeting[256];

	if (strlen(path) >= sizeof(address.sun_path) || stat(path, &status) ||
		!S_ISSOCK(status.st_mode))
		return false;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int file = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (file < 0)
		return false;
	int rc = connect(file, (struct sockaddr *)&address, sizeof(address));
	if (rc && errno == ECONNREFUSED)
		unlink(path);
	setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (rc == 0 && recv(file, greeting, sizeof(greeting), 0) < 0)
		log_warning("port on %s: its listener does not answer", path);
	close(file);
	return rc == 0;
}

int port_device_check(const struct port *port)
{
	if (port->kind == PORT_AF_PACKET || port->kind == PORT_AF_XDP)
		return check_interface(port);
	return port->kind == PORT_PCAP ? check_pcap(port) : 0;
}

// What must be ours before the driver touches it.
static int take_device(const struct node *node, struct port *port)
{
	int error = 0;

	if (port->kind == PORT_AF_PACKET || port->kind == PORT_AF_XDP)
		error = take_interface(node, port);
	if (!error && port->kind == PORT_AF_XDP)
		error = check_xdp(port);
	return error;
}

// Driver arguments of a virtual device.
static void vdev_arguments(const struct port *port, char *out)
{
	char path[CONFIG_TEXT_BYTES];
	uint32_t room = port_room_bytes(port);

	switch (port->kind) {
	case PORT_AF_PACKET:
		snprintf(out, ARGUMENT_BYTES,
			"iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,qdisc_bypass=1",
			port->target, port->pollers, BLOCK_FRAMES * room, room,
			room > 2048 ? KERNEL_FRAMES / 4 : KERNEL_FRAMES);
		break;
	case PORT_AF_XDP:
		snprintf(out, ARGUMENT_BYTES, "iface=%s,start_queue=0,queue_count=1,busy_budget=0",
			port->target);
		break;
	case PORT_MEMIF:
		// The driver knows rings of up to 2^14 slots; 2^10 matches PORT_DESCRIPTORS.
		snprintf(out, ARGUMENT_BYTES,
			"role=%s,socket=%s,socket-abstract=no,rsize=10,bsize=%u",
			memif_has_server(port->target) ? "client" : "server", port->target, room);
		break;
	case PORT_PCAP:
		snprintf(out, ARGUMENT_BYTES, "infinite_rx=%d,rx_pcap=%s",
			pcap_file(port, path, sizeof(path)), "");
		strncat(out, path, ARGUMENT_BYTES - strlen(out) - 1);
		break;
	case PORT_NULL:
		// Nothing arrives and everything leaves: a hole, not a generator.
		snprintf(out, ARGUMENT_BYTES, "no-rx=1");
		break;
	case PORT_TAP:
		snprintf(out, ARGUMENT_BYTES, "iface=%s", port->target);
		break;
	case PORT_RING: // made by make_ring()
	case PORT_PCI:
		out[0] = '\0';
		break;
	}
}

static const char *vdev_driver(enum port_kind kind)
{
	static const char *const names[] = {[PORT_AF_PACKET] = "net_af_packet",
		[PORT_AF_XDP] = "net_af_xdp",
		[PORT_MEMIF] = "net_memif",
		[PORT_RING] = "net_ring",
		[PORT_PCAP] = "net_pcap",
		[PORT_NULL] = "net_null",
		[PORT_TAP] = "net_tap"};

	return names[kind];
}

static struct rte_ring *find_ring(const char *direction, const struct port *port)
{
	char name[RTE_RING_NAMESIZE];

	if ((size_t)snprintf(name, sizeof(name), "%s-%s", direction, port->target) >= sizeof(name))
		return NULL;
	struct rte_ring *ring = rte_ring_lookup(name);
	return ring ? ring : rte_ring_create(name, RING_SLOTS, (int)rte_socket_id(), 0);
}

// Two ports with one name are the ends of one cable; a single one is looped to itself.
static int make_ring(const struct node *node, struct port *port)
{
	const struct port *other = NULL;

	for (unsigned i = 0; i < node->device_count; i++) {
		const struct port *p = &node->ports[i];

		if (p != port && p->kind == PORT_RING && strcmp(p->target, port->target) == 0)
			other = p;
	}
	struct rte_ring *rx = find_ring(other && port < other ? "b" : "a", port);
	struct rte_ring *tx = find_ring(other && port < other ? "a" : other ? "b" : "a", port);
	int id = rx && tx ? rte_eth_from_rings(port->vdev, &rx, 1, &tx, 1, rte_socket_id()) : -1;
	if (id < 0)
		return -ENOMEM;
	port->id = (uint16_t)id;
	return 0;
}

static int make_device(struct node *node, struct port *port)
{
	char arguments[ARGUMENT_BYTES];
	const char *name = port->target;
	int error = 0;

	if (port->kind != PORT_PCI) {
		vdev_arguments(port, arguments);
		snprintf(port->vdev, sizeof(port->vdev), "%s%u", vdev_driver(port->kind),
			(unsigned)(port - node->ports));
		name = port->vdev;
		error = port->kind == PORT_RING ? make_ring(node, port)
						: rte_vdev_init(name, arguments);
	}
	if (!error && port->kind != PORT_RING)
		error = rte_eth_dev_get_port_by_name(name, &port->id);
	if (error && port->kind == PORT_PCI)
		log_error("port %s: no DPDK device at PCI address %s: is it bound to vfio-pci (see "
			  "`dpdk-devbind.py --status')?",
			port->config->name, port->target);
	else if (error)
		log_error("port %s: %s cannot be opened: %s", port->config->name,
			port->config->device, strerror(-error));
	return error;
}

// Queues: one for each worker where the device has as many.
static void choose_queues(
	const struct node *node, struct port *port, const struct rte_eth_dev_info *info)
{
	unsigned index = (unsigned)(port - node->ports);
	uint16_t workers = (uint16_t)port->pollers;

	port->rx_queues = RTE_MIN(workers, info->max_rx_queues);
	port->tx_queues = info->max_tx_queues >= workers ? workers : 1;
	port->tx_worker = index % workers;
	port->rx_worker = port->rx_queues < workers ? index % workers : 0;
}

static int configure(const struct port *port, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = {0};

	conf.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	if (port->kind == PORT_PCI)
		conf.rxmode.mtu = port->config->mtu;
	// Each worker's packets come from the one pool and are never shared.
	if (port->rx_queues > 1 && port->kind == PORT_PCI) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info->flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	}
	return rte_eth_dev_configure(port->id, port->rx_queues, port->tx_queues, &conf);
}

static int set_up_queues(const struct port *port)
{
	uint16_t rx = PORT_DESCRIPTORS, tx = PORT_DESCRIPTORS;
	int socket = (int)rte_socket_id();
	int error = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);

	for (uint16_t q = 0; !error && q < port->rx_queues; q++)
		error = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned)socket, NULL, port->pool);
	for (uint16_t q = 0; !error && q < port->tx_queues; q++)
		error = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned)socket, NULL);
	return error;
}

// A wire takes every frame. Devices without the switch do so anyway.
static void hear_all(struct port *port)
{
	if (port->interface.claim.fd >= 0)
		port->promiscuous = interface_hear_all(&port->interface, port->target) == 0;
	else
		port->promiscuous = rte_eth_promiscuous_get(port->id) == 0 &&
				    rte_eth_promiscuous_enable(port->id) == 0;
}

// Sockets to wait on, if there is one for each receive queue.
static void find_wake(const struct node *node, struct port *port)
{
	const struct wake *known[CONFIG_PORTS_MAX];
	unsigned before = (unsigned)(port - node->ports);

	port->wake.count = 0;
	for (unsigned i = 0; i < before; i++)
		known[i] = &node->ports[i].wake;
	if (port->kind == PORT_AF_PACKET)
		wake_find_packet(&port->wake, (int)if_nametoindex(port->target));
	else if (port->kind == PORT_AF_XDP)
		wake_find_xdp(&port->wake, known, before);
	if (port->wake.count != port->rx_queues)
		port->wake.count = 0;
}

static const char *port_side_name(const struct port *port)
{
	if (port->config->side == SIDE_SYNC)
		return "sync";
	return port->config->side == SIDE_OUTSIDE ? "outside" : "inside";
}

int port_device_start(struct node *node, struct port *port)
{
	struct rte_eth_dev_info info;
	int error = take_device(node, port);

	if (!error)
		error = make_device(node, port);
	if (error) {
		interface_release(&port->interface);
		return -ERR_MISSING;
	}
	port->opened = true;
	error = rte_eth_dev_info_get(port->id, &info);
	if (!error) {
		choose_queues(node, port, &info);
		error = configure(port, &info);
	}
	if (!error)
		error = set_up_queues(port);
	if (!error)
		error = rte_eth_dev_start(port->id);
	if (error) {
		log_error("port %s: %s does not start: %s", port->config->name,
			port->config->device, strerror(-error));
		port_device_stop(port);
		return -ERR_MISSING;
	}
	port->started = true;
	hear_all(port);
	find_wake(node, port);
	log_info("port %s is open device=%s side=%s mtu=%u rx_queues=%u tx_queues=%u",
		port->config->name, port->config->device, port_side_name(port), port->config->mtu,
		port->rx_queues, port->tx_queues);
	return 0;
}

void port_device_stop(struct port *port)
{
	if (port->promiscuous && port->interface.claim.fd < 0)
		rte_eth_promiscuous_disable(port->id);
	if (port->started)
		rte_eth_dev_stop(port->id);
	if (port->opened)
		rte_eth_dev_close(port->id);
	if (port->kind == PORT_AF_XDP && port->opened)
		xdp_detach((int)if_nametoindex(port->target));
	interface_release(&port->interface);
	port->promiscuous = port->started = port->opened = false;
}
