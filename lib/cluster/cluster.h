// The cluster: everything that is said between nodes, without I/O. Datagrams and workers' messages
// go in; datagrams, messages to workers and events come out. The control core's cluster thread, the
// simulation and the tests are its callers.
#pragma once

#include "base/counter.h"
#include "cluster/channel.h"
#include "engine/message.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_PEERS_MAX 15
#define CLUSTER_BATCH_MAX 64
#define WORKER_ALL	  UINT16_MAX // message.worker: a copy to each

enum cluster_state {
	CLUSTER_JOINING, // no counter and no secret agreed yet: nothing is decoded
	CLUSTER_ACTIVE,
	CLUSTER_DRAINING, // on the way out
};

enum peer_state {
	PEER_DOWN,	 // no keys, or not heard for detect_ms
	PEER_CONNECTING, // keys, but no HELLO yet, or it does not hear this node
	PEER_JOINING,	 // alive, and joining itself
	PEER_ACTIVE,
	PEER_DRAINING,
	PEER_REFUSED, // it does not prove who it is, or its protocol version or id is not
		      // acceptable
};

// "down" "connecting" ...; "joining" "active" ...
const char *peer_state_name(enum peer_state state);
const char *cluster_state_name(enum cluster_state state);

struct cluster_peer_config {
	char name[CLUSTER_NAME_BYTES];
	uint16_t id;
};

struct cluster_config {
	char name[CLUSTER_NAME_BYTES];
	char node[CLUSTER_NAME_BYTES];
	uint16_t id;	      // 0..max_id
	uint16_t max_id;      // < NODES_MAX
	uint32_t detect_ms;   // a peer not heard for this long is down
	uint32_t join_ms;     // a node that reaches nobody founds the cluster after this long
	uint64_t incarnation; // random, of this life
	uint16_t workers;
	uint8_t table_key[SIPHASH_KEY_BYTES];
	uint8_t secret[32];	 // used if this node founds
	uint64_t counter_ns;	 // the counter if this node founds (tick = counter / 16 s)
	uint16_t datagram_bytes; // at most DATAGRAM_BYTES_MAX
	uint64_t rekey_ns;
	uint32_t rekey_records;
	const struct handshake_methods *methods;
	void *context;
	unsigned peer_count;
	struct cluster_peer_config peers[CLUSTER_PEERS_MAX];
};

struct datagram {
	uint8_t *data;
	uint16_t len;  // in: bytes; out: written by the cluster
	uint16_t room; // out: bytes at data, >= DATAGRAM_BYTES_MAX
	uint8_t peer;  // index in config.peers: whose address it came from or goes to
};

// One call; like struct batch of engine.h. Arrays are the caller's.
struct cluster_batch {
	uint64_t now_ns; // monotonic

	struct datagram *datagrams; // arrived; decrypted in place
	unsigned datagram_count;    // <= CLUSTER_BATCH_MAX
	struct datagram *out;	    // lent
	unsigned out_room;
	unsigned out_used;

	struct message *const *messages_in; // of the workers
	unsigned messages_in_count;
	bool messages_more;		     // others wait behind them: records may wait for these
	struct message *const *messages_out; // to workers: .worker says which, WORKER_ALL
	unsigned messages_out_room;	     // those that find no room stay for the next call
	unsigned messages_out_used;
	bool backlog; // out: records wait for cells; further ones are better left in the network
};

struct cluster_peer_stats {
	counter tx_bytes, rx_bytes; // of datagrams
	counter updates_sent, updates_applied;
	counter resent;	 // records
	counter unsent;	 // messages that found no room, or no peer behind the address
	counter dropped; // datagrams that made no sense behind their authentication
	counter refused; // times it introduced itself as a node this one cannot work with
	counter rtt_ns;	 // gauge
	counter state;	 // enum peer_state
	counter dirty;	 // 1: what it holds is out of date and will be sent again
	counter queued;	 // records not acknowledged yet
};

struct cluster_stats {
	counter state;		   // enum cluster_state
	counter view;		   // bit i: node i is active (own included)
	counter tick;		   // the counter, 16 s
	counter secret_generation; // 1: the founder's, and one more with each rotation
	counter secret_epoch;	   // from which on that counts
	counter counter_refused;   // a peer's counter was too far ahead
	counter misdirected;	   // messages to nodes that are not configured
	counter unsent;		   // messages to all nodes while none was active
};

struct cluster;

size_t cluster_bytes(const struct cluster_config *config);
// In `memory` (cluster_bytes(), page aligned, zeroed), which the caller keeps.
struct cluster *cluster_init(void *memory, const struct cluster_config *config);
void cluster_finish(struct cluster *cluster);

// One turn: bounded work. Messages it makes for workers: INSTALL, CONFIRMED, CHANGED, FRAME, NONE,
// UNSENT, RESYNC, VIEW; for the control core (.worker = WORKER_ALL, .node = NODE_NONE): SECRET,
// PROFILES. All of messages_in are taken, workers' LEARNT among them. UNSENT goes to the .worker of
// the message it is about. A SECRET replaces what was said before from its first epoch on: where
// one counts that is about to be replaced, it comes first and its successor behind it. A RESYNC
// with .why = 1 follows the VIEW in which its node has become active: it may lack anything; with
// .why = 0, what UNSENT named. PROFILES of an epoch replace those that were told of it before;
// those of the current epoch come, within a second, whenever a SECRET did and the node is active.
void cluster_run(struct cluster *cluster, struct cluster_batch *batch);

// Nanoseconds until it must run again though nothing arrives: at most a quarter of detect_ms.
uint64_t cluster_idle_ns(const struct cluster *cluster, uint64_t now_ns);

// The services' row table follows the policy (which stays readable until the next call of this).
// Before the first of these the node knows no service.
void cluster_set_policy(struct cluster *cluster, const struct policy *policy);

// The cluster counter in ns, and its tick; valid once active. Never goes back.
uint64_t cluster_counter_ns(const struct cluster *cluster, uint64_t now_ns);

// `cluster rekey`, `cluster rotate` (a new secret, random bytes of the caller), and the end.
void cluster_rekey(struct cluster *cluster);
int cluster_rotate(struct cluster *cluster, const uint8_t secret[32]); // -ERR_MISSING: not active
void cluster_drain(struct cluster *cluster);

// Readable from any thread.
const struct cluster_stats *cluster_stats(const struct cluster *cluster);
const struct cluster_peer_stats *cluster_peer_stats(const struct cluster *cluster, unsigned peer);
const struct channel_stats *cluster_peer_channel(const struct cluster *cluster, unsigned peer);
// One line about when and why this node joined again the last time, "" where it never did. Of the
// caller's thread.
const char *cluster_rejoined(const struct cluster *cluster);
// One line about how the services of the peer and of this node differ, "" where they do not. Of
// the caller's thread.
const char *cluster_peer_differs(const struct cluster *cluster, unsigned peer);
// One line about what is wrong with the peer now, "" where nothing is known: of one that is heard,
// what it says of itself; else why no keys are made. Of the caller's thread.
const char *cluster_peer_error(const struct cluster *cluster, unsigned peer);
