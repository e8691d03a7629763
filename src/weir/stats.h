// Snapshots of the counters, summed over workers, as the console, JSON and metrics show them
// (INTERFACE section 3). Reading is free of locks: workers store relaxed, so numbers read while
// packets flow may be a few packets apart; when it is quiet they are exact. Control thread only.
#pragma once

#include "base/reason.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

struct node;

struct status_stats {
	const char *state;
	uint64_t uptime_s;
	const char *version;
	uint32_t config_generation;
	const char *config_sha256;
	bool huge_pages;
};
void stats_status(const struct node *node, struct status_stats *out);

struct port_stats {
	const char *name;   // of the configuration
	const char *device; // device string of the configuration
	uint8_t side;	    // enum side
	bool link;
	uint64_t rx_packets, rx_bytes; // taken from the device by the workers
	uint64_t rx_bad_checksum;      // of those, dropped for that
	uint64_t rx_missed, rx_errors; // lost in the device, before the workers
	uint64_t tx_packets, tx_bytes; // accepted by the device
	uint64_t tx_refused;
};
void stats_port(const struct node *node, unsigned port, struct port_stats *out);

// What does not change while the process lives (`show port info`).
struct port_info {
	const char *name;
	const char *device;
	const char *driver; // of DPDK: "net_af_packet"
	const char *peer;   // name of the port packets are forwarded to
	uint8_t side;
	uint16_t mtu;
	uint16_t rx_queues, tx_queues;
	uint8_t mac[6];
	bool promiscuous;
};
void stats_port_info(const struct node *node, unsigned port, struct port_info *out);

// received + generated + from_peers = transmitted + consumed + queued + to_peers + dropped +
// unexplained; `dropped` is the sum of `reasons`.
struct drop_stats {
	uint64_t received, generated, from_peers;
	uint64_t transmitted, consumed, queued, to_peers, dropped;
	int64_t unexplained;
	uint64_t reasons[REASON_COUNT]; // index enum reason
};
void stats_drop(const struct node *node, struct drop_stats *out);

struct flow_stats {
	uint64_t total, capacity, memory_bytes, populated_bytes;
	uint64_t created, closed, expired, evicted, refused;
	uint64_t states[TCP_STATE_COUNT + 1]; // by tcp_state; the last: UDP, ICMP and other
	uint64_t queue_segments, queue_bytes, queue_limit_bytes;
};
void stats_flow(const struct node *node, struct flow_stats *out);

// Services and rules are those of node->config->policy: index 0..service_count-1, and
// 0..rule_count-1 or RULE_DEFAULT.
struct service_stats {
	uint64_t syn; // SYNs the rules allowed
	uint64_t synack_sent, cookie_valid, cookie_bad;
	uint64_t server_syn, server_synack, server_refused, server_timeout;
	uint64_t flows;
};
void stats_service(const struct node *node, uint16_t index, struct service_stats *out);
uint64_t stats_rule_hits(const struct node *node, uint32_t rule);

// Connections that open over two nodes.
struct opening_stats {
	uint64_t synack_to_owner;	   // handed to the node they belong to
	uint64_t synack_from_finder;	   // handed to this node
	uint64_t shared;		   // told to other nodes
	uint64_t wait_timeouts;		   // that was waited for in vain
	uint64_t wait_us_p50, wait_us_p99; // for confirmations; rounded up to a power of 2
};
void stats_opening(const struct node *node, struct opening_stats *out);

struct path_stats {
	uint64_t packets;
	double cycles_per_packet; // TSC cycles; 0 where there was no packet
};

struct worker_stats {
	unsigned id;
	int cpu;	  // pinned to, or where it ran last
	uint64_t packets; // decided by its engine
	uint64_t handed_over;
	double cycles_per_packet;
	double busy_ratio;		     // 0..1, of the last second
	struct path_stats paths[PATH_COUNT]; // index enum engine_path
};
void stats_worker(const struct node *node, unsigned worker, struct worker_stats *out);
