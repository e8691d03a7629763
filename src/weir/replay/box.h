// The box a capture is offered to: one engine with the configuration's policy, its keys and its
// virtual clock, in memory of its own. Without DPDK, devices or threads. One of two nodes
// (site.h) has its share of the cluster, too: then that says what time it is there, which keys
// count, and what the engine is to know of the other node's connections.
#pragma once

#include "cfg/config.h"
#include "engine/engine.h"
#include "replay/sibling.h"

#include <stdbool.h>
#include <stdint.h>

#define BOX_FRONT     128 // room a frame needs in front of its data
#define BOX_BACK      512 // and behind it
#define BOX_LENT      128
#define BOX_MESSAGES  64
#define BOX_BURST_MAX 32 // packets of one turn

// Where what boxes make goes, and what their turns cost. `box` is the index of one.
struct box_listener {
	void *context;
	// A frame the engine made: an answer of its own, a retry, a packet that had waited.
	void (*made)(void *context, unsigned box, const struct frame *frame);
	// A turn of `frames` packets took that many cycles of the processor; 0: the engine's own
	// time passed, or another node said something.
	void (*turn)(void *context, unsigned box, unsigned frames, uint64_t cycles);
	// A turn of the cluster did.
	void (*talked)(void *context, unsigned box, uint64_t cycles);
};

struct box {
	const struct config *config;
	struct policy *policy;
	struct engine *engine;
	unsigned index;
	uint64_t now_ns;  // of the replay
	uint64_t base_ns; // the engine's clock when that is 0
	struct box_listener listener;
	uint8_t secret[32];
	uint32_t epoch;				     // newest epoch the engine has keys of, 0: none
	struct profile seen[SERVICE_COUNT_MAX];	     // LEARNT of the running epoch
	struct profile announced[SERVICE_COUNT_MAX]; // of the newest epoch
	void *memory;				     // the engine's
	size_t memory_bytes;
	uint8_t *lent_bytes;
	struct frame lent[BOX_LENT];
	unsigned lent_used;		   // of the last turn: they are made ready again
	struct message *out[BOX_MESSAGES]; // cells, or with a cluster the sibling's
	struct message *cells;
	struct message *in;
	struct sibling *sibling; // NULL: a node by itself
	void *sibling_memory;
	size_t sibling_bytes;
	bool more; // the engine has more to say than it had cells for
};

struct box_options {
	bool seeded; // nothing is random: the same packets give the same frames
	uint64_t seed;
	struct box_listener listener;
	unsigned index;		   // of the box
	const struct config *peer; // of the other node of the cluster; NULL: none
};

// Makes a box that forwards, with its clock at 0. 0, or 1 after an error message.
int box_open(struct box *box, const struct config *config, const struct box_options *options);
void box_close(struct box *box);

// Lets the time pass up to `to_ns`: retries, ageing, new keys. Afterwards nothing is due any more,
// so that it does not matter in how many turns the packets of this moment are offered. 0, or 1
// after an error message.
int box_advance(struct box *box, uint64_t to_ns);

// One turn: `count` frames, at most BOX_BURST_MAX, as they arrived, in memory that may be edited.
void box_offer(struct box *box, struct frame *frames, struct verdict *verdicts, unsigned count);

// True while connections are half open: what belongs to them is told apart by turns.
bool box_is_opening(const struct box *box);

// --- of two nodes ---

// The cluster's turn, and what the engine is told by it. True where anything happened: the other
// node may have something to do now.
bool box_talk(struct box *box);
// Nanoseconds until the cluster has to run although nothing comes.
uint64_t box_talk_idle_ns(const struct box *box);
// One turn without packets at this time; nothing else is done.
int box_step_to(struct box *box, uint64_t to_ns);
// The replay's clock begins here.
void box_begin(struct box *box);
