// What a replay measured: filled while it runs, then written as JSON (report_json.c) and as a page
// (page.c). INTERFACE section 2 has the keys.
#pragma once

#include "engine/engine.h"
#include "replay/player.h"
#include "weir/replay/histogram.h"
#include "weir/replay/machine.h"
#include "weir/replay/replay.h"
#include "weir/replay/timeline.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Where the program's time went.
enum replay_stage {
	REPLAY_READ = 0, // taking packets out of the capture
	REPLAY_PREPARE,	 // copying them to where the engine may edit them
	REPLAY_ENGINE,	 // turns with packets
	REPLAY_IDLE,	 // turns without: retries, ageing, keys
	REPLAY_WRITE,	 // accounting, and writing what left
	REPLAY_STAGES
};

// What became of a packet as it arrived.
enum replay_outcome {
	REPLAY_FORWARDED = 0,
	REPLAY_ANSWERED, // turned into an answer
	REPLAY_CONSUMED, // taken: answered by frames of our own, or waiting
	REPLAY_DROPPED,
	REPLAY_OUTCOMES
};

#define REPLAY_SIZES 7

struct replay_cost {
	uint64_t packets;
	uint64_t cycles;
};

// A capture as it was read.
struct replay_source_facts {
	const char *path;
	const char *link_type;
	bool compressed;
	uint64_t size_bytes;
};

struct replay_report {
	const struct replay_options *options;
	const struct engine_stats *stats;
	const struct player_counts *played; // NULL: nothing is
	struct machine machine;
	struct replay_source_facts sources[2];
	unsigned source_count;
	uint64_t read, bytes; // offered to the engine
	uint64_t sides[2];    // by enum side
	uint64_t cut_packets; // of which the capture has not all
	uint64_t made;	      // frames the engine made that left
	uint64_t elapsed_ns;  // of the wall clock
	uint64_t capture_ns;  // of the virtual one
	uint64_t start_ns;    // of the capture's first packet, since 1970
	uint64_t turns;	      // with packets
	uint32_t loops_done;
	bool truncated;	  // a capture ended early
	bool interrupted; // a signal ended the replay
	struct replay_cost stages[REPLAY_STAGES];
	struct replay_cost outcomes[REPLAY_OUTCOMES];
	struct replay_cost reasons[REASON_COUNT]; // of those dropped on arrival
	uint64_t sizes[REPLAY_SIZES];
	uint64_t turn_cycles; // of the last turn
	unsigned turn_frames;
	struct histogram latency; // cycles from the offer of a packet to the end of its turn
	struct histogram costs;	  // cycles of a turn for each of its packets
	struct timeline timeline;
};

void replay_report_begin(struct replay_report *report, const struct replay_options *options);

// A turn of `frames` packets took `cycles`; 0 frames: it was idle.
void replay_report_turn(struct replay_report *report, unsigned frames, uint64_t cycles);

// A packet of the last turn, of `len` bytes as offered, got its verdict at `at_ns` of the replay.
void replay_report_verdict(
	struct replay_report *report, const struct verdict *verdict, uint16_t len, uint64_t at_ns);

// The engine made a frame that left at `at_ns`.
void replay_report_made(struct replay_report *report, uint64_t at_ns);

// Derived figures.
uint64_t replay_report_captured(const struct replay_report *report); // packets of the capture
uint64_t replay_report_withheld(const struct replay_report *report);
uint64_t replay_report_repeated(const struct replay_report *report); // offered besides
uint64_t replay_report_sent(const struct replay_report *report);
uint64_t replay_report_dropped(const struct replay_report *report); // whenever it was
// received + generated - sent - consumed - queued - dropped: 0 unless something is wrong.
int64_t replay_report_unexplained(const struct replay_report *report);
double replay_report_pps(const struct replay_report *report);	     // as played
double replay_report_engine_pps(const struct replay_report *report); // what the engine alone does
double replay_report_cycles(const struct replay_report *report);     // of the engine, each packet
double replay_report_median(const struct replay_report *report);     // half cost no more
double replay_report_latency_ns(const struct replay_report *report, double part);

const char *replay_stage_name(enum replay_stage stage);
const char *replay_stage_text(enum replay_stage stage);
const char *replay_outcome_name(enum replay_outcome outcome);
// Largest size of a class, in bytes of the frame without FCS; 0: no limit.
unsigned replay_size_most(unsigned class);

// 0, or 1 where there is no memory for it.
int replay_report_write_json(const struct replay_report *report, FILE *out);
