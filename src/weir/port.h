// Ports: a device string of the configuration becomes a DPDK device, started, with queues for the
// workers. `pci:` and `af_packet:`, `af_xdp:`, `memif:`, `ring:`, `pcap:`, `null`, `tap:` differ
// here and nowhere else.
#pragma once

#include "cfg/config.h"
#include "base/counter.h"
#include "weir/interface.h"
#include "weir/wake.h"

#include <stdbool.h>
#include <stdint.h>

struct node;
struct rte_mempool;

#define PORT_BURST	 32
#define PORT_ETHER_BYTES 26 // Ethernet header, two tags, and four bytes to spare

enum port_kind {
	PORT_PCI = 0,
	PORT_AF_PACKET,
	PORT_AF_XDP,
	PORT_MEMIF,
	PORT_RING,
	PORT_PCAP,
	PORT_NULL,
	PORT_TAP,
};

struct port {
	// boot
	const struct config_port *config; // not for workers: a reload replaces it
	enum port_kind kind;
	const char *target; // behind the colon of the device string: interface, address, file
	char vdev[32];	    // DPDK's name of the device
	uint16_t id;	    // DPDK's number of it
	unsigned peer;	  // index of the port packets from here are forwarded to; of the sync port,
			  // its own
	unsigned pollers; // threads that want queues: the workers, or the cluster's one
	struct rte_mempool *pool; // buffers of its receive queues
	uint16_t rx_queues;	  // worker rx_worker + q polls queue q
	unsigned rx_worker;
	uint16_t tx_queues; // worker w sends on queue w; with a single one tx_worker sends for all
	unsigned tx_worker;
	uint32_t frame_bytes; // longest frame that may arrive
	int ifindex;	      // kernel interface it lives on, 0: none
	bool opened, started; // what there is to undo
	bool promiscuous;
	struct interface interface; // with af_packet and af_xdp
	struct wake wake;	    // what a worker without packets waits on; by receive queue
	// control
	bool link;
	bool link_forced_down;	// by follow_link
	uint64_t link_grace_ns; // until then a missing link is not followed: it was just set up
};

// Finds kind and target of a device string. 0 or -ERR_MALFORMED.
int port_parse(struct port *port, const struct config_port *config);

// Name of the kernel interface the port lives on, or NULL.
const char *port_interface(const struct port *port);

// True where that is not the interface any more which the port was opened on (link.c).
bool port_is_gone(const struct port *port);

// Boot steps. node->ports holds the data ports and behind them, where the cluster has a port of its
// own, that one (node->sync_port). ports_prepare() parses device strings and pairs the ports,
// without privilege or DPDK: the EAL arguments come from it. ports_start() creates, configures and
// starts the devices.
int ports_prepare(struct node *node);
void ports_forget(struct node *node);
// The configuration was replaced by one with the same ports: points at its texts.
void ports_adopt(struct node *node);
int ports_start(struct node *node);
void ports_stop(struct node *node);
