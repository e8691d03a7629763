// The appliance in one structure. Threads and who writes what:
//
//   boot      main thread, before any worker runs: everything marked `boot`, constant afterwards.
//   control   the same thread, from then on in the event loop (node->events): console, reload,
//             link state, keys. Everything marked `control` belongs to it; no lock guards it.
//   cluster   a thread of its own where there is a cluster (cluster/sync.h): writes the counter.
//   workers   read `boot` fields, node->state and the counter only. They are talked to by message
//             (control.h), and their counters are read at any time (stats.h).
#pragma once

#include "cfg/config.h"
#include "engine/engine.h"
#include "weir/lock_file.h"
#include "weir/mailbox.h"
#include "weir/populate.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NODE_WORKERS_MAX 64
#define NODE_PATH_BYTES	 (CONFIG_TEXT_BYTES + 32)

struct console;
struct control;
struct event_base;
struct port;
struct rte_mempool;
struct sync;
struct worker;

enum node_state {
	NODE_STARTING = 0,
	NODE_FORWARDING,
	NODE_STOPPED,  // `stop` was asked for: everything is dropped as `stopped`
	NODE_DRAINING, // on the way out
};

// Lower case, as in `show status`.
const char *node_state_name(enum node_state state);

struct node {
	// boot
	const char *file;	 // -c
	const char *const *sets; // --set
	unsigned set_count;
	bool interactive;      // -i: the console also owns stdin and stdout
	struct lock_file lock; // RUNTIME/lock
	bool ended_well;       // it ran, and was told to end
	uint64_t start_ns;     // monotonic
	bool huge_pages;
	uint8_t table_key[SIPHASH_KEY_BYTES]; // of all flow tables
	struct rte_mempool *pool;	      // all packet buffers
	struct bell bell;		      // of the control core
	struct port *ports;
	unsigned port_count;	// data ports; workers know no others
	unsigned device_count;	// and the sync port
	struct port *sync_port; // NULL: the cluster has no port of its own
	struct sync *sync;	// the cluster's thread; NULL: there is no cluster
	struct worker *workers[NODE_WORKERS_MAX];
	unsigned worker_count;
	struct populate populate; // of the workers' tables, which has a thread for a while

	// control
	struct event_base *events; // the one event loop; never block in it
	struct control *control;
	struct console *console; // the console's own state
	struct config *config;	 // in force; config->policy is what the workers have or are getting
	uint32_t generation;	 // of the configuration: 1 at start, +1 for each reload
	uint64_t reload_ns;	 // monotonic time of the last reload, start_ns where there was none

	// any thread
	_Atomic int state; // enum node_state; written by control
	// Cluster counter less the monotonic clock, ns. Constant without a cluster; else written by
	// the cluster's thread, and of no meaning until sync_is_active().
	_Atomic int64_t counter_offset_ns;
};

// Monotonic clock of everything in this process.
uint64_t node_now_ns(void);

// Cluster counter at now_ns, in ns and in ticks of 16 s. Any thread.
uint64_t node_counter_ns(const struct node *node, uint64_t now_ns);
uint32_t node_tick(const struct node *node, uint64_t now_ns);

static inline enum node_state node_get_state(const struct node *node)
{
	return (enum node_state)atomic_load_explicit(&node->state, memory_order_relaxed);
}

static inline void node_set_state(struct node *node, enum node_state state)
{
	atomic_store_explicit(&node->state, (int)state, memory_order_relaxed);
}

// The worker whose table holds (or would hold) the flow.
unsigned node_flow_worker(const struct node *node, const struct flow_key *key);

// Memory the system could give to programs now, MiB; UINT64_MAX where it does not say.
uint64_t node_available_mb(void);

// Reads and checks the configuration of -c and --set. NULL with at least one error.
struct config *node_read_config(const struct node *node, struct config_errors *errors);

// RUNTIME/NAME into out (NODE_PATH_BYTES). Returns out.
char *node_path(const struct node *node, const char *name, char out[NODE_PATH_BYTES]);
