// How datagrams travel between nodes: over a DPDK port of the cluster's own, or over a UDP socket
// of the system. One thread uses a transport; its counters are read by any.
//
// A turn: receive() gives what arrived, which stays readable (and writable: it is decrypted in
// place) until the next receive(). lend() gives room for datagrams; send() takes the first `count`
// of those lent. A datagram that cannot be sent now is lost, and counted.
#pragma once

#include "base/counter.h"
#include "cfg/config.h"
#include "cluster/cluster.h"
#include "cluster/link.h"

#include <stdint.h>

struct node;
struct transport;

struct transport_stats {
	counter rx_packets, rx_bytes; // from peers
	counter foreign;	      // UDP to the own port that no peer sent
	counter wrong_port;	      // UDP of a peer's address to another port (port)
	counter malformed;	      // cut, too long, or with a wrong checksum
	counter tx_packets, tx_bytes;
	counter tx_refused; // the device or the system did not take it
	counter unresolved; // the peer's MAC address was not known yet (port)
};

// What is known of the way to a peer.
struct transport_way {
	struct link_way link; // socket: of it from_port alone
	int error; // why the latest datagram to it was not sent, as errno has it; 0: it was
};

struct transport_methods {
	unsigned (*receive)(struct transport *transport, uint64_t now_ns, struct datagram *in,
		unsigned max); // max <= CLUSTER_BATCH_MAX
	unsigned (*lend)(struct transport *transport, struct datagram *out, unsigned max);
	void (*send)(struct transport *transport, const struct datagram *out, unsigned count);
	void (*stats)(const struct transport *transport, struct transport_stats *out);
	struct transport_way (*way)(const struct transport *transport, unsigned peer); // its thread
	void (*close)(struct transport *transport);
};

// The head of each kind's own structure.
struct transport {
	const struct transport_methods *methods;
	int fd;				  // readable when something arrived; -1: it must be asked
	uint16_t datagram_bytes;	  // longest that should be sent
	const struct link_peer *stranger; // who sent the latest of stats.foreign; its thread's
};

// NULL after a message that says why.
struct transport *transport_socket_open(const struct config_cluster *cluster);
struct transport *transport_port_open(const struct node *node);
