// The box a capture is offered to: one engine with the configuration's policy, its keys and its
// virtual clock, in memory of its own. Without DPDK, devices or threads.
#pragma once

#include "cfg/config.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define BOX_FRONT     128 // room a frame needs in front of its data
#define BOX_BACK      512 // and behind it
#define BOX_LENT      128
#define BOX_MESSAGES  64
#define BOX_BURST_MAX 32 // packets of one turn

// Where what the box makes goes, and what its turns cost.
struct box_listener {
	void *context;
	// A frame the engine made: an answer of its own, a retry, a packet that had waited.
	void (*made)(void *context, const struct frame *frame);
	// A turn of `frames` packets took that many cycles of the processor; 0: the engine's own
	// time passed.
	void (*turn)(void *context, unsigned frames, uint64_t cycles);
};

struct box {
	const struct config *config;
	struct policy *policy;
	struct engine *engine;
	uint64_t now_ns; // engine's clock
	struct box_listener listener;
	uint8_t secret[32];
	uint32_t epoch;				     // newest epoch the engine has keys of, 0: none
	struct profile seen[SERVICE_COUNT_MAX];	     // LEARNT of the running epoch
	struct profile announced[SERVICE_COUNT_MAX]; // of the newest epoch
	void *memory;				     // the engine's
	size_t memory_bytes;
	uint8_t *lent_bytes;
	struct frame lent[BOX_LENT];
	unsigned lent_used; // of the last turn: they are made ready again
	struct message *out[BOX_MESSAGES];
	struct message *in;
};

struct box_options {
	bool seeded; // nothing is random: the same packets give the same frames
	uint64_t seed;
	struct box_listener listener;
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
