// The engine: everything Weir decides about packets, for one worker. A batch of frames and messages
// goes in; verdicts, frames and messages come out. It has no clock, no socket, no allocation, and
// keeps no buffer of its caller: what must wait is copied into its own bounded cells. Worker,
// replay, simulation, tests and fuzzers are callers of engine_run() with other buffers.
#pragma once

#include "base/counter.h"
#include "base/reason.h"
#include "engine/message.h"
#include "flow/flow.h"
#include "pkt/frame.h"
#include "policy/policy.h"

#include <stddef.h>
#include <stdint.h>

#define ENGINE_BATCH_MAX 64 // frames, and messages, in one call
#define ENGINE_PORTS_MAX 8

struct engine;

struct engine_port {
	uint8_t side; // enum side
	uint8_t peer; // port a packet from here is forwarded to
	uint16_t mtu; // bytes behind the Ethernet header and tags
};

struct engine_config {
	uint32_t capacity;	    // flows of this worker
	uint64_t queue_total_bytes; // quota of all holds of this worker
	uint32_t openings;	    // half-open contexts of this worker
	uint16_t worker;	    // own index
	uint16_t workers;
	uint8_t port_count;
	struct engine_port ports[ENGINE_PORTS_MAX];
	uint8_t table_key[SIPHASH_KEY_BYTES]; // the same on all workers of a node (flow_worker)
};

enum verdict_kind {
	VERDICT_DROP = 0, // verdict.reason says why
	VERDICT_FORWARD,  // send through verdict.port
	VERDICT_REPLY,	  // the frame was turned into an answer: send through verdict.port
	VERDICT_WORKER,	  // hand over to worker verdict.worker
	VERDICT_CONSUME,  // taken: answered elsewhere, or copied into a hold
};

struct verdict {
	uint8_t kind;	// enum verdict_kind
	uint8_t reason; // enum reason
	uint8_t port;
	uint8_t worker;
	uint32_t rule; // rule that decided, RULE_NONE where none was asked
};
#define RULE_NONE (UINT32_MAX - 1)

// One call. The caller owns every array; engine_run() writes verdicts[0..frame_count),
// out[0..out_used), messages_out[0..messages_out_used), and may edit the frames (data, len,
// headroom, tailroom) it returns FORWARD or REPLY for.
struct batch {
	uint64_t now_ns;    // monotonic, never goes back
	uint32_t tick;	    // cluster counter (16 s); never goes back
	uint16_t tick_part; // of KEYRING_TICK_PARTS; never goes back within a tick
	bool stopped;	    // forward nothing: drop frames as `stopped`

	struct frame *frames;
	struct verdict *verdicts;
	unsigned frame_count; // <= ENGINE_BATCH_MAX

	struct frame *out; // lent buffers: data and tailroom (room) set, len 0
	unsigned out_room;
	unsigned out_used; // each with len and port set

	struct message *const *messages_in;
	unsigned messages_in_count; // <= ENGINE_BATCH_MAX
	struct message *const *messages_out;
	unsigned messages_out_room;
	unsigned messages_out_used;
};

// Counters of one engine; written by it alone.
struct engine_service_stats {
	counter syn; // SYNs the rules allowed
	counter synack_sent, cookie_valid, cookie_bad;
	counter server_syn, server_synack, server_refused, server_timeout;
	counter flows; // gauge: flows of the service that have not ended
};

// Paths of `show worker`: the engine says which one each frame took.
#define WAIT_BUCKETS 24

enum engine_path { PATH_SYN = 0, PATH_ACK_BAD, PATH_ESTABLISHED, PATH_OTHER, PATH_COUNT };

struct engine_stats {
	counter received;  // frames in batches that were not handed to another worker
	counter generated; // frames made here (replies and new ones)
	counter consumed;
	counter from_peers;  // frames taken from MESSAGE_FRAME
	counter to_peers;    // frames handed to another node
	counter queued;	     // gauge: frames in holds
	counter handed_over; // frames given to another worker
	counter dropped[REASON_COUNT];
	counter synack_to_owner,
		synack_from_finder;    // handed over, and taken, by way of the cluster
	counter shared;		       // OPENED messages
	counter wait_timeouts;	       // confirmations that did not come in time
	counter wait_us[WAIT_BUCKETS]; // waits that ended after < 2^i us, in vain or not
	counter flows_created, flows_closed, flows_expired, flows_evicted, flows_refused;
	counter states[TCP_STATE_COUNT + 1]; // gauge by tcp_state; the last is UDP, ICMP and other
	counter path_packets[PATH_COUNT];
	counter rule_hits_default;
};

// Half-open contexts that are of use: each has a flow of its own and at least one cell of the
// holds, and leaves most flows to connections that are open.
uint32_t engine_openings(uint32_t capacity, uint64_t queue_total_bytes);

// Memory is used from its front: the first pages are wanted by the first packets.
size_t engine_bytes(const struct engine_config *config);

// Makes an engine in `memory` (engine_bytes(), page aligned, zeroed), which the caller keeps and
// frees. It drops everything as `stopped` until it got a MESSAGE_POLICY.
struct engine *engine_init(void *memory, const struct engine_config *config);

// One turn: verdicts for all frames, answers to messages, due retries, one slice of ageing. Bounded
// work whatever comes in.
void engine_run(struct engine *engine, struct batch *batch);

const struct engine_stats *engine_stats(const struct engine *engine);
const struct engine_service_stats *engine_service_stats(
	const struct engine *engine, uint16_t service);
// Hits of rule `rule` since the policy came in; any thread.
uint64_t engine_rule_hits(const struct engine *engine, uint32_t rule);
uint64_t engine_flow_count(const struct engine *engine);
uint64_t engine_queued_bytes(const struct engine *engine);

// Nanoseconds until the engine has something to do on its own (a retry, a deadline); UINT64_MAX
// where nothing waits. A worker naps no longer than this.
uint64_t engine_idle_ns(const struct engine *engine, uint64_t now_ns);
