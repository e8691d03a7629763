// The capture a replay writes: what left through each port, and what was dropped with its reason.
// What the engine makes is held back until replay_output_settle(), so that the file does not depend
// on how packets of one moment were divided into turns.
#pragma once

#include "engine/engine.h"
#include "weir/replay/draft.h"
#include "weir/replay/replay.h"

#include <stddef.h>
#include <stdint.h>

struct output_node {
	const char *name;
	const struct policy *policy;
	uint8_t *held; // frames made, each behind its struct held
	size_t held_used, held_size;
};

struct replay_output {
	struct draft draft; // without a file nothing is written
	struct output_node nodes[REPLAY_NODES_MAX];
	unsigned node_count;
	uint8_t *block; // one packet of it
	bool short_of_memory;
};

// Opens `path` (NULL: none) for the nodes in output->nodes. Interface 0 and 1 are the ports
// `outside` and `inside`; of two nodes there are four, with the node's name in front. 0 or 1.
int replay_output_open(struct replay_output *output, const char *path);

// A frame of the capture left `node`, or was dropped there.
void replay_output_decided(struct replay_output *output, unsigned node, uint64_t time_ns,
	const struct frame *frame, const struct verdict *verdict);

// A frame the engine of `node` made leaves through frame->port.
void replay_output_made(struct replay_output *output, unsigned node, const struct frame *frame);
// Writes what was held back, with this time.
void replay_output_settle(struct replay_output *output, uint64_t time_ns);

// The file gets its name. 0, or 1 after an error message.
int replay_output_finish(struct replay_output *output);
// Ends it in any case; a file that is not finished goes.
void replay_output_close(struct replay_output *output);
