// Several clusters on a network that exists only here: seeded loss, repetition, reordering and
// delay, cuts in one direction, crashes, stopped processes, clocks that run wrong, and virtual
// time. The same seed gives the same run, to the byte.
//
// A host is one node. Its cluster is real; what stands for its workers is the `take` hook and
// net_post(): a test that has real engines runs them there. Whatever happens, the net asserts what
// always holds: the cluster counter of a life never goes back, lent arrays are not overrun, an idle
// node naps at most a quarter of detect_ms.
#pragma once

#include "cluster/cluster.h"
#include "keyed_handshake.h"

#include <stdbool.h>
#include <stdint.h>

#define NET_HOSTS_MAX	(CLUSTER_PEERS_MAX + 1)
#define NET_FLIGHTS_MAX 8192
#define NET_POSTS_MAX	256
#define NET_TYPES	(MESSAGE_REPLY + 1)
#define NET_MS		1000000ULL
#define NET_S		1000000000ULL
#define NET_START_NS	(100 * NET_S)
#define NET_COUNTER_NS	(1000000 * NET_S) // of a founder

struct net;
struct net_flight;

// From one host to another.
struct net_link {
	bool cut;
	unsigned loss, repeat, reorder; // percent; a reordered one takes up to 4 times as long
	uint64_t delay_ns;
};

struct net_config {
	unsigned hosts;
	uint32_t seed;
	uint32_t detect_ms, join_ms; // 0: 500 and 2000
	uint16_t workers;	     // 0: 1
	uint16_t ids[NET_HOSTS_MAX]; // all 0: 0, 1, 2 ...
	struct net_link link;	     // of all
	// A message for a worker of the host (`worker` may be WORKER_ALL). It may net_post().
	void (*take)(struct net *net, unsigned host, const struct message *message);
	// A datagram for a host that is down: for tests that play a node themselves (rogue.h).
	void (*raw)(struct net *net, struct net_flight *flight);
	void *context; // of take and raw
};

struct net_host {
	struct cluster *cluster; // NULL: crashed
	struct cluster_config config;
	struct keyed_context keys;
	struct policy policy;
	struct service service;
	void *memory;
	unsigned lives;
	bool stopped;	  // the process does not run; what arrives for it is lost
	unsigned cells;	  // lent in each call
	unsigned buffers; // lent in each call
	// Its clock: clock_ns at at_ns of the net's, and clock_tenths tenths of a second in each.
	uint64_t clock_ns, at_ns;
	unsigned clock_tenths;
	uint64_t wake_ns;
	uint64_t counter_ns; // the latest one seen
	struct message *posts[NET_POSTS_MAX];
	unsigned post_count;
	uint64_t took[NET_TYPES];	     // messages by type
	struct message_view view;	     // the latest
	struct message_secret secrets[1024]; // all SECRETs of this life
	unsigned secret_count;
};

struct net_flight {
	uint64_t at_ns, order;
	uint8_t from, to;
	uint16_t len;
	uint8_t data[DATAGRAM_BYTES_MAX];
};

struct net {
	struct net_config config;
	uint64_t now_ns;
	uint64_t random;
	struct net_host hosts[NET_HOSTS_MAX];
	struct net_link links[NET_HOSTS_MAX][NET_HOSTS_MAX]; // [from][to]
	struct net_flight *flights;			     // a pool
	uint16_t heap[NET_FLIGHTS_MAX];			     // earliest first
	uint16_t spare[NET_FLIGHTS_MAX];
	unsigned flight_count;
	uint64_t order;
	uint64_t sent, lost;
};

// All hosts are down until net_boot().
struct net *net_make(const struct net_config *config);
void net_end(struct net *net);

// Another life, with another incarnation. hosts[host].config may be changed before.
void net_boot(struct net *net, unsigned host);
void net_boot_all(struct net *net);
void net_crash(struct net *net, unsigned host);

// One direction of one path; all paths between the hosts in `mask` and the others; everything.
void net_cut(struct net *net, unsigned from, unsigned to, bool cut);
void net_part(struct net *net, uint32_t mask, bool cut);
void net_set_links(struct net *net, const struct net_link *link);

// The host's clock jumps, or runs at `tenths` / 10 of the speed from now on.
void net_jump_clock(struct net *net, unsigned host, uint64_t by_ns);
void net_set_clock(struct net *net, unsigned host, unsigned tenths);
uint64_t net_clock_ns(const struct net *net, unsigned host);

// A worker of the host says something (copied). False: the queue to the cluster is full.
bool net_post(struct net *net, unsigned host, const struct message *message);
// Datagram bytes that arrive at a host as if `from` had sent them.
void net_inject(struct net *net, unsigned from, unsigned to, const void *data, size_t len);

void net_run_ns(struct net *net, uint64_t ns);
void net_run_ms(struct net *net, uint64_t ms);
// Until done() is true, for at most `ms`. What done() says at the end.
bool net_run_until(struct net *net, uint64_t ms, bool (*done)(const struct net *net));
// All hosts that are up are active, see each other, and have the same secret and nearly the same
// counter.
bool net_is_one(const struct net *net);

// The secret of an epoch, as the control core of the host keeps it, NULL: none. Each SECRET
// replaces what was said before from its first epoch on.
const struct message_secret *net_secret(const struct net *net, unsigned host, uint32_t epoch);
// The cluster counter now, 0: none.
uint64_t net_counter_ns(const struct net *net, unsigned host);
// Index of `peer` among the peers of `host`.
unsigned net_peer(unsigned host, unsigned peer);
const struct cluster_peer_stats *net_peer_stats(
	const struct net *net, unsigned host, unsigned peer);
const struct cluster_stats *net_stats(const struct net *net, unsigned host);
uint32_t net_choose(struct net *net, uint32_t bound);
// How many seeds a storm is tried with: quick, or in the full size (WEIR_TEST_SIZE).
unsigned net_seeds(unsigned quick, unsigned full);

// A flow of the service all hosts have, and what a worker of `host` says of it.
struct flow_key net_flow_key(uint32_t number);
void net_opened(struct net *net, unsigned host, uint32_t number, struct message *message);
void net_changed(struct net *net, unsigned host, uint32_t number, struct message *message);
uint32_t net_incarnation(struct net *net, unsigned host, uint32_t number);
uint64_t net_hash(const struct net *net, unsigned host, const struct flow_key *key);
