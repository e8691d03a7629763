// What a replay measured, and its JSON (INTERFACE section 2).
#pragma once

#include "engine/engine.h"
#include "weir/replay/replay.h"

#include <stddef.h>
#include <stdint.h>

struct replay_report {
	uint64_t read, forwarded, sent;
	uint64_t elapsed_ns;
	bool truncated;	   // the capture ended early
	uint64_t cycles;   // in engine_run() with a packet
	uint32_t *samples; // cycles of each packet
	size_t sample_count, sample_room;
};

// The processor's cycle counter.
uint64_t replay_cycles(void);

// Room for `packets` samples, at most some millions. 0 or 1.
int replay_report_open(struct replay_report *report, size_t packets);
void replay_report_close(struct replay_report *report);

// One engine_run() with `frames` packets took `cycles`.
void replay_report_turn(struct replay_report *report, uint64_t cycles, unsigned frames);

// Writes options->json, or standard output. 0, or 1 after an error message.
int replay_report_write(struct replay_report *report, const struct replay_options *options,
	const struct engine_stats *stats);
