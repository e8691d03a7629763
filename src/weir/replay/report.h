// What a replay measured: filled while it runs, then written as JSON (report_json.c) and as a page
// (page.c). INTERFACE section 2 has the keys.
#pragma once

#include "cluster/cluster.h"
#include "engine/engine.h"
#include "replay/player.h"
#include "replay/synthetic.h"
#include "weir/replay/histogram.h"
#include "weir/replay/machine.h"
#include "weir/replay/replay.h"
#include "weir/replay/timeline.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Where the program's time went.
enum replay_stage {
	REPLAY_READ = 0, // taking packets out of the capture
	REPLAY_PREPARE,	 // copying them to where the engine may edit them
	REPLAY_ENGINE,	 // turns with packets
	REPLAY_IDLE,	 // turns without: retries, ageing, keys, what another node said
	REPLAY_WRITE,	 // accounting, and writing what left
	REPLAY_TALK,	 // what two nodes say to each other
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

// One node's part of it.
struct replay_part {
	const char *node; // its name, and the file that says so
	const char *file;
	bool takes[2]; // packets of that side
	const struct engine_stats *stats;
	const struct cluster_peer_stats *peer; // what it said to the other one; NULL: it is alone
	uint64_t before[sizeof(struct engine_stats) / sizeof(counter)]; // when the measuring began
	uint64_t peer_before[sizeof(struct cluster_peer_stats) / sizeof(counter)];
	uint64_t read; // offered to its engine
	uint64_t made;
	struct replay_cost engine, idle, talk;
	struct replay_cost outcomes[REPLAY_OUTCOMES];
};

struct replay_report {
	const struct replay_options *options;
	struct replay_part parts[REPLAY_NODES_MAX];
	unsigned part_count;
	const struct player_counts *played; // NULL: nothing is
	const struct synthetic *synthetic;  // NULL: packets are of captures
	uint64_t opening_packets;	    // that opened its connections, before all of this
	uint64_t opening_ns;
	struct machine machine;
	struct replay_source_facts sources[2];
	unsigned source_count;
	uint64_t read, bytes; // offered to the engine
	uint64_t sides[2];    // by enum side
	// Of those whose addresses tell a service's prefix from what is none, and which came from
	// the other side than that says.
	uint64_t compared, turned;
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
	uint64_t turn_share;	  // cycles of the last turn for each of its packets
	struct histogram latency; // cycles from the offer of a packet to the end of its turn
	struct histogram costs;	  // cycles of a turn for each of its packets
	struct timeline timeline;
};

void replay_report_begin(struct replay_report *report, const struct replay_options *options);

// The counters of engine and cluster as they are now are where those of the report begin.
void replay_report_measure(struct replay_report *report);

// A turn of `frames` packets of a part took `cycles`; 0 frames: it was idle.
void replay_report_turn(
	struct replay_report *report, unsigned part, unsigned frames, uint64_t cycles);
// A turn of its cluster did.
void replay_report_talked(struct replay_report *report, unsigned part, uint64_t cycles);

// A packet of the part's last turn, of `len` bytes as offered, got its verdict at `at_ns` of the
// replay.
void replay_report_verdict(struct replay_report *report, unsigned part,
	const struct verdict *verdict, uint16_t len, uint64_t at_ns);

// The part's engine made a frame that left at `at_ns`.
void replay_report_made(struct replay_report *report, unsigned part, uint64_t at_ns);

// A counter of the engine, of one part or of all: its offset in struct engine_stats.
uint64_t replay_part_stat(const struct replay_part *part, size_t at);
uint64_t replay_report_stat(const struct replay_report *report, size_t at);
// The same of the cluster's, of a part that has a peer.
uint64_t replay_part_peer_stat(const struct replay_part *part, size_t at);
#define PEER_STAT(name) offsetof(struct cluster_peer_stats, name)
#define STAT(name)	offsetof(struct engine_stats, name)
#define STAT_DROPPED(i) (STAT(dropped) + (i) * sizeof(counter))

// Derived figures.
uint64_t replay_report_captured(const struct replay_report *report); // packets of the capture
uint64_t replay_report_withheld(const struct replay_report *report);
uint64_t replay_report_repeated(const struct replay_report *report); // offered besides
uint64_t replay_report_sent(const struct replay_report *report);
uint64_t replay_part_sent(const struct replay_part *part);
uint64_t replay_report_dropped(const struct replay_report *report); // whenever it was
uint64_t replay_part_dropped(const struct replay_part *part);
// received + generated + from peers - sent - consumed - queued - to peers - dropped: 0 unless
// something is wrong.
int64_t replay_report_unexplained(const struct replay_report *report);
int64_t replay_part_unexplained(const struct replay_part *part);
double replay_report_pps(const struct replay_report *report);	     // as played
double replay_report_engine_pps(const struct replay_report *report); // what the engine alone does
double replay_report_cycles(const struct replay_report *report);     // of the engine, each packet
double replay_cost_each(const struct replay_cost *cost);
double replay_report_median(const struct replay_report *report); // half cost no more
double replay_report_latency_ns(const struct replay_report *report, double part);

// Stages there are: nodes by themselves do not talk.
unsigned replay_report_stages(const struct replay_report *report);
const char *replay_stage_name(enum replay_stage stage);
const char *replay_stage_text(enum replay_stage stage);
const char *replay_outcome_name(enum replay_outcome outcome);
// Largest size of a class, in bytes of the frame without FCS; 0: no limit.
unsigned replay_size_most(unsigned class);

// 0, or 1 where there is no memory for it.
int replay_report_write_json(const struct replay_report *report, FILE *out);
