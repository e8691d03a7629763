// `weir replay`: a capture through the same engine as the live path, without root, interfaces or
// DPDK. Time is the capture's; with a seed nothing is random, so the written capture is the same
// byte for byte. INTERFACE section 2 has the options and the keys of the JSON.
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_PREFIXES_MAX 64
#define REPLAY_NODES_MAX    2

// A number with k, M or G behind it (thousands, millions, thousands of millions) or nothing, and
// nothing else. False where it is none, or above `most`.
bool replay_parse_count(const char *text, uint64_t most, uint64_t *out);

struct replay_options {
	const char *config_files[REPLAY_NODES_MAX]; // two: nodes of one cluster
	unsigned config_count;
	uint8_t taker[2];  // by side: index of the node that takes its packets
	bool said[2];	   // by side: by the command line
	const char **sets; // of every configuration
	unsigned set_count;
	const char *in;		// one capture: sides by address
	const char *in_outside; // or one for each side
	const char *in_inside;
	struct prefix inside[REPLAY_PREFIXES_MAX]; // sources on the inside, with `in`
	unsigned inside_count;
	const char *write;   // pcapng of what left and what was dropped; NULL: none
	const char *json;    // report; NULL: standard output
	const char *html;    // report as a page; NULL: none
	const char *command; // as typed, for the report
	uint32_t loops;	     // at least 1
	unsigned burst;	     // packets of one turn at most, at least 1
	double pace;	     // multiple of the capture's own speed; 0: as fast as it goes
	bool fresh;	     // each loop has flows of its own (fresh.h)
	bool raw;	     // nothing is played: packets as they are
	bool seeded;
	uint64_t seed;
	const char *synthetic; // KIND[:FLOWS]: packets are made (load.h), not read; NULL: read
	uint64_t count;	       // of these; 0: not said
	double duration_s;     // or for so long; 0: not said
	uint64_t rate;	       // of these in a second of the virtual clock; 0: not said
	bool has_clients;
	struct prefix clients; // where they come from
};

// argv[0] is the subcommand. Returns the exit status.
int replay_main(int argc, char **argv);

// 0, or 1 after an error message.
int replay_run(const struct replay_options *options);
