// A node: the real engine and the real cluster, one worker, and what stands for the rest of the
// process: mailboxes between the two, the keys the control core makes of the cluster's secret, and
// a clock that can be wrong. What it sends goes to the world it lives in.
//
// Life cycle: appliance_create() once; appliance_boot() gives it a life, with another incarnation
// and empty tables; appliance_crash() ends that, without a word to anybody. A paused one does not
// run, and loses what arrives.
#pragma once

#include "cluster/cluster.h"
#include "engine/engine.h"
#include "keyed_handshake.h"
#include "mail.h"

#include <stdbool.h>
#include <stdint.h>

#define APPLIANCES_MAX	 8
#define PORT_OUTSIDE	 0
#define PORT_INSIDE	 1
#define SERVICE_PROXY	 80 // ports of the modelled servers
#define SERVICE_MSYN	 81
#define SERVICE_TRACK	 82
#define SERVICE_DATAGRAM 90
#define SERVICE_DENIED	 99
#define SERVICES_MAX	 6
#define RULES_MAX	 8
#define FLOWS_MAX	 65536 // at most, in a table
#define OPENINGS_MAX	 256
#define QUEUES_BYTES_MAX (1u << 20)
#define WSCALE_ANNOUNCED 7
#define QUEUE_BYTES	 8192 // of a proxied connection, announced as a window

struct appliance;

// Where it is. `index` is the node's.
struct world {
	// A frame leaves through a port; its bytes are the caller's again afterwards.
	void (*transmit)(struct world *world, unsigned index, uint8_t port, const uint8_t *data,
		uint16_t len);
	// A datagram for another node.
	void (*send)(struct world *world, unsigned index, unsigned to, const uint8_t *data,
		uint16_t len);
	// The engine is given a message, or gives one to the cluster.
	void (*takes)(struct world *world, unsigned index, const struct message *message);
	void (*says)(struct world *world, unsigned index, const struct message *message);
	// appliance->engine_wake_ns or cluster_wake_ns is another.
	void (*wake)(struct world *world, unsigned index);
	// A node breaks a promise of the library.
	void (*broken)(struct world *world, unsigned index, const char *what);
};

struct appliance_config {
	unsigned index, nodes;
	uint8_t share, wait; // enum share
	bool drop_on_timeout;
	struct profile profile; // of both services
	uint32_t detect_ms, join_ms, server_syn_ms;
	uint32_t datagrams_s; // a flow of datagrams without one ends
	uint32_t flows;	      // capacity
	uint64_t rekey_ns;
	uint32_t rekey_records;
	uint64_t counter_ns; // the host's real time when the scheduler's is 0
	uint64_t clock_ns;   // of the first life
	uint64_t hop_ns;     // between engine and cluster
	bool measures;	     // busy_ns
};

struct appliance_secret {
	bool valid;
	struct message_secret is;
};

struct appliance {
	struct appliance_config config;
	struct world *world;
	struct engine *engine; // NULL: down
	struct cluster *cluster;
	struct engine_config engine_config;
	struct cluster_config cluster_config;
	struct policy policy;
	struct service services[SERVICES_MAX];
	struct rule_row rows[RULES_MAX];
	struct policy_rule rules[RULES_MAX];
	struct keyed_context keys;
	size_t engine_bytes, cluster_bytes;
	unsigned lives;
	bool paused;

	uint64_t clock_ns, at_ns; // its clock at at_ns of the world's ...
	unsigned clock_tenths;	  // ... and tenths of a second in each of those
	uint64_t now_ns;	  // the world's
	uint64_t engine_wake_ns, cluster_wake_ns;

	struct mail to_cluster, to_engine;
	unsigned engine_takes;	// messages the engine takes in a turn, and ...
	uint64_t engine_nap_ns; // ... how long it then waits (a slow consumer); 0: not

	struct appliance_secret secrets[2]; // newest first
	bool has_keys;
	uint32_t epoch_next;
	uint32_t tick;
	uint16_t tick_part;
	uint64_t counter_ns; // latest
	struct message_view view;
	uint64_t transmitted;	// frames, in this life
	uint64_t busy_ns;	// CPU time of engine and cluster
	struct verdict verdict; // of the last frame
	struct message *reply;	// the last one to appliance_ask()
	bool replied;
};

void appliance_create(
	struct appliance *a, const struct appliance_config *config, struct world *world);
void appliance_destroy(struct appliance *a);
void appliance_boot(struct appliance *a, uint64_t now_ns);
void appliance_crash(struct appliance *a);
// What its keys of this epoch are made of; NULL: it does not know yet.
const struct message_secret *appliance_secret(const struct appliance *a, uint32_t epoch);
static inline bool appliance_is_up(const struct appliance *a)
{
	return a->engine != NULL;
}
static inline bool appliance_runs(const struct appliance *a)
{
	return a->engine != NULL && !a->paused;
}

// One frame arrives. VERDICT_FORWARD, VERDICT_REPLY: `frame` is now what leaves, through its port.
enum verdict_kind appliance_frame(struct appliance *a, uint64_t now_ns, struct frame *frame);
void appliance_datagram(
	struct appliance *a, uint64_t now_ns, unsigned from, uint8_t *data, uint16_t len);
// What is due at the wake times.
void appliance_run_engine(struct appliance *a, uint64_t now_ns);
void appliance_run_cluster(struct appliance *a, uint64_t now_ns);

void appliance_jump_clock(struct appliance *a, uint64_t now_ns, uint64_t by_ns);
void appliance_set_clock(struct appliance *a, uint64_t now_ns, unsigned tenths);
uint64_t appliance_clock_ns(const struct appliance *a, uint64_t now_ns);

// Asks the engine (DUMP, FLUSH); its answer, NULL: none.
const struct message *appliance_ask(struct appliance *a, uint64_t now_ns, struct message *question);
