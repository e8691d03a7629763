// Which ports there are: device strings, pairs, and the one pool all packets live in. Made by the
// main thread before workers run; afterwards only the link fields change, by the control core.
#include "weir/port.h"

#include "base/error.h"
#include "common/log.h"
#include "flow/key.h"
#include "weir/node.h"
#include "weir/packet_pool.h"
#include "weir/port_internal.h"
#include "weir/worker.h"
#include "weir/xdp.h"

#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define POOL_CACHE	   256 // buffers kept by each worker
#define POOL_SHARE_PERCENT 80  // of eal.memory_mb; the rest is DPDK's own
#define POOL_SPARE	   1024
#define SYNC_BUFFERS	   (2 * PORT_DESCRIPTORS + POOL_SPARE) // of the sync port
#define PAGE_BYTES	   4096
// What is left of a page behind DPDK's header of a pool's element, one cache line, and the mbuf.
#define XDP_DATA_BYTES (PAGE_BYTES - RTE_CACHE_LINE_SIZE - sizeof(struct rte_mbuf))

struct kind_name {
	const char *prefix;
	enum port_kind kind;
	bool has_target;
};

static const struct kind_name kinds[] = {
	{"pci", PORT_PCI, true},
	{"af_packet", PORT_AF_PACKET, true},
	{"af_xdp", PORT_AF_XDP, true},
	{"memif", PORT_MEMIF, true},
	{"ring", PORT_RING, true},
	{"pcap", PORT_PCAP, true},
	{"null", PORT_NULL, false},
	{"tap", PORT_TAP, true},
};

static const struct kind_name *find_kind(const char *device, size_t len)
{
	for (unsigned i = 0; i < RTE_DIM(kinds); i++) {
		if (strlen(kinds[i].prefix) == len && memcmp(kinds[i].prefix, device, len) == 0)
			return &kinds[i];
	}
	return NULL;
}

int port_parse(struct port *port, const struct config_port *config)
{
	size_t len = strcspn(config->device, ":");
	const struct kind_name *kind = find_kind(config->device, len);
	const char *target = config->device[len] == ':' ? config->device + len + 1 : "";

	if (!kind || kind->has_target != (*target != '\0'))
		return -ERR_MALFORMED;
	*port = (struct port){
		.config = config,
		.kind = kind->kind,
		.target = target,
		.frame_bytes = config->mtu + PORT_ETHER_BYTES,
	};
	return 0;
}

const char *port_interface(const struct port *port)
{
	bool is_kernel =
		port->kind == PORT_AF_PACKET || port->kind == PORT_AF_XDP || port->kind == PORT_TAP;

	return is_kernel ? port->target : NULL;
}

uint32_t port_room_bytes(const struct port *port)
{
	// A kernel ring's frame begins with its own header and what the driver reserves.
	const uint32_t kernel_bytes = 128;

	return RTE_ALIGN_CEIL(port->config->mtu + PORT_ETHER_BYTES + kernel_bytes, 2048);
}

// The n-th port of a side, or NULL.
static struct port *nth_port(const struct node *node, uint8_t side, unsigned n)
{
	for (unsigned i = 0; i < node->port_count; i++) {
		if (node->ports[i].config->side == side && n-- == 0)
			return &node->ports[i];
	}
	return NULL;
}

// The n-th outside port pairs with the n-th inside port.
static int pair_ports(struct node *node)
{
	for (unsigned n = 0;; n++) {
		struct port *outside = nth_port(node, SIDE_OUTSIDE, n);
		struct port *inside = nth_port(node, SIDE_INSIDE, n);

		if (!outside && !inside)
			return 0;
		if (!outside || !inside) {
			log_error("port %s has no partner: there must be as many outside as inside "
				  "ports",
				(outside ? outside : inside)->config->name);
			return -ERR_MISSING;
		}
		outside->peer = (unsigned)(inside - node->ports);
		inside->peer = (unsigned)(outside - node->ports);
	}
}

// Two ports on one device would each take half of its packets. The two ends of a ring are two.
static int refuse_twice(const struct node *node)
{
	for (unsigned i = 0; i < node->device_count; i++) {
		for (unsigned j = i + 1; j < node->device_count; j++) {
			const struct port *a = &node->ports[i], *b = &node->ports[j];

			if (a->kind == PORT_RING || a->kind == PORT_NULL || a->kind == PORT_PCAP)
				continue;
			if (strcmp(a->target, b->target) == 0) {
				log_error("ports %s and %s use the same device %s", a->config->name,
					b->config->name, a->target);
				return -ERR_EXISTS;
			}
		}
	}
	return 0;
}

static const struct config_port *port_config(const struct node *node, unsigned index)
{
	return index < node->port_count ? &node->config->ports[index] : &node->config->cluster.port;
}

static int prepare_port(struct node *node, unsigned index)
{
	const struct config_port *config = port_config(node, index);
	struct port *port = &node->ports[index];

	if (port_parse(port, config)) {
		log_error("port %s: \"%s\" is no device: pci:ADDRESS af_packet:IF af_xdp:IF "
			  "memif:SOCKET ring:NAME pcap:FILE[,loop] null tap:IF",
			config->name, config->device);
		return -ERR_MALFORMED;
	}
	port->interface = (struct interface)INTERFACE_NONE;
	port->peer = index;
	port->pollers = index < node->port_count ? node->config->eal.workers : 1;
	return 0;
}

int ports_prepare(struct node *node)
{
	const struct config *config = node->config;

	node->ports = calloc(config->port_count + 1, sizeof(*node->ports));
	if (!node->ports)
		return -ERR_MEMORY;
	node->port_count = node->device_count = config->port_count;
	if (config->cluster.enabled && config->cluster.transport == TRANSPORT_PORT)
		node->sync_port = &node->ports[node->device_count++];
	for (unsigned i = 0; i < node->device_count; i++) {
		if (prepare_port(node, i))
			goto fail;
	}
	if (pair_ports(node) || refuse_twice(node))
		goto fail;
	return 0;
fail:
	ports_forget(node);
	return -ERR_MALFORMED;
}

void ports_forget(struct node *node)
{
	free(node->ports);
	node->ports = NULL;
	node->port_count = node->device_count = 0;
	node->sync_port = NULL;
}

void ports_adopt(struct node *node)
{
	for (unsigned i = 0; i < node->device_count; i++) {
		struct port *port = &node->ports[i];
		const struct config_port *config = port_config(node, i);

		port->target = config->device + (port->target - port->config->device);
		port->config = config;
	}
}

// Buffers that can be away from the pool at one time: in devices, in workers, between workers.
static uint32_t pool_buffers(const struct node *node)
{
	uint32_t workers = node->worker_count;
	uint32_t devices = node->port_count * workers * 2 * PORT_DESCRIPTORS;
	uint32_t between = 2 * workers * (workers - 1) * WORKER_HANDOVER_SLOTS;
	uint32_t each = 2 * POOL_CACHE + 4 * ENGINE_BATCH_MAX;

	return devices + between + workers * each + POOL_SPARE;
}

static bool has_kind(const struct node *node, enum port_kind kind)
{
	for (unsigned i = 0; i < node->device_count; i++) {
		if (node->ports[i].kind == kind)
			return true;
	}
	return false;
}

// Bytes of one buffer's data. The af_xdp driver registers the pool with the kernel as
// (number x size) bytes from its start, which only holds where a buffer fills a page exactly: DPDK
// lets none cross a page.
static uint16_t data_bytes(const struct node *node)
{
	uint32_t room = 0;

	for (unsigned i = 0; i < node->device_count; i++)
		room = RTE_MAX(room, port_room_bytes(&node->ports[i]));
	room += RTE_PKTMBUF_HEADROOM;
	if (has_kind(node, PORT_AF_XDP) && room < XDP_DATA_BYTES)
		room = XDP_DATA_BYTES;
	return (uint16_t)room;
}

// Where no hardware needs contiguous memory buffers may cross pages: with 4 KiB pages they would
// otherwise waste a third of them. Padding that spreads buffers over memory channels would push a
// buffer over the page it is to fill.
static unsigned pool_flags(const struct node *node)
{
	if (has_kind(node, PORT_AF_XDP))
		return RTE_MEMPOOL_F_NO_SPREAD;
	return has_kind(node, PORT_PCI) ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
}

static struct rte_mempool *create_pool(
	const struct node *node, const char *name, uint32_t buffers, uint16_t bytes)
{
	const struct packet_pool pool = {
		.name = name,
		.buffers = buffers,
		.data_bytes = bytes,
		.cache = POOL_CACHE,
		.flags = pool_flags(node),
		.own_memory = !node->huge_pages && !has_kind(node, PORT_PCI),
	};

	return packet_pool_create(&pool);
}

static int make_pool(struct node *node)
{
	uint32_t buffers = pool_buffers(node);
	uint16_t bytes = data_bytes(node);
	uint64_t all = (uint64_t)(buffers + (node->sync_port ? SYNC_BUFFERS : 0)) *
		       rte_mempool_calc_obj_size(
			       (uint32_t)sizeof(struct rte_mbuf) + bytes, pool_flags(node), NULL);
	uint64_t share =
		(uint64_t)node->config->eal.memory_mb * (1 << 20) / 100 * POOL_SHARE_PERCENT;

	if (all <= share)
		node->pool = create_pool(node, "packets", buffers, bytes);
	for (unsigned i = 0; i < node->port_count; i++)
		node->ports[i].pool = node->pool;
	if (node->pool && node->sync_port)
		node->sync_port->pool = create_pool(node, "sync", SYNC_BUFFERS, bytes);
	if (node->pool && (!node->sync_port || node->sync_port->pool))
		return 0;
	log_error("eal.memory_mb = %u does not hold the %u packet buffers of %u bytes that %u "
		  "port(s) and %u worker(s) need: set it to %" PRIu64,
		node->config->eal.memory_mb, buffers, bytes, node->port_count, node->worker_count,
		(all * 100 / POOL_SHARE_PERCENT >> 20) + 1);
	return -ERR_MEMORY;
}

int ports_start(struct node *node)
{
	unsigned done = 0;

	for (unsigned i = 0; i < node->device_count; i++)
		if (port_device_check(&node->ports[i]))
			return -ERR_MISSING;
	if (make_pool(node))
		return -ERR_MEMORY;
	while (done < node->device_count) {
		struct port *port = &node->ports[done];

		if (port_device_start(node, port))
			break;
		const char *interface = port_interface(port);
		port->ifindex = interface ? (int)if_nametoindex(interface) : 0;
		done++;
	}
	xdp_guard(node);
	if (done == node->device_count)
		return 0;
	ports_stop(node);
	return -ERR_MISSING;
}

void ports_stop(struct node *node)
{
	for (unsigned i = node->device_count; i-- > 0;) {
		if (node->ports[i].started)
			port_device_stop(&node->ports[i]);
	}
	xdp_unguard();
	if (node->sync_port)
		rte_mempool_free(node->sync_port->pool);
	rte_mempool_free(node->pool);
	node->pool = NULL;
}
