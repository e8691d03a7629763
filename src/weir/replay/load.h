// Synthetic load (replay/synthetic.h) as `--synthetic KIND[:FLOWS]' asks for it: of the first
// service of TCP, with connections opened before anything is measured, and memory that is there or
// is not before anything begins.
#pragma once

#include "cfg/config.h"
#include "replay/synthetic.h"
#include "weir/replay/burst.h"
#include "weir/replay/progress.h"
#include "weir/replay/replay.h"
#include "weir/replay/site.h"

struct load {
	bool used; // else everything below is empty
	struct synthetic synthetic;
	void *memory;
	size_t memory_bytes;
	bool opening;	  // what boxes send is heard by the load
	uint64_t offered; // packets that opened connections
	uint64_t open_ns; // that took so long, of the wall clock
};

// What is wrong with KIND[:FLOWS], or NULL.
const char *load_check(const char *text);

// Nothing where the options name no load. 0, or 1 after an error message, which says what to do.
int load_open(struct load *load, const struct replay_options *options,
	struct config *const configs[REPLAY_NODES_MAX]);
void load_close(struct load *load);

// Opens the connections; the site's clock begins behind it. 0, or 1 after an error message. A
// signal ends it.
int load_establish(
	struct load *load, struct site *site, struct burst *burst, struct progress *progress);

// A box sends a frame through `side`, while the load is opening.
void load_hear(struct load *load, const struct frame *frame, uint8_t side);
