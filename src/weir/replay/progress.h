// How far a replay is, on standard error: on a terminal one line that is written again and again,
// elsewhere one line for each tenth. Short replays are over before anything is said.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
	uint64_t start_ns;
	uint64_t next_ns; // nothing is to be told before
	unsigned tenths;  // told so far
	bool terminal;
	bool shown; // there is a line to end
	const char *what;
};

// `what` is said in front: "replay".
void progress_begin(struct progress *progress, uint64_t now_ns, const char *what);

// `done` of `total` bytes are read (0: nobody knows how many there are), `packets` were played.
void progress_tell(struct progress *progress, uint64_t now_ns, uint64_t done, uint64_t total,
	uint64_t packets);
void progress_end(struct progress *progress);
