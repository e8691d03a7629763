// What a seed means: how many nodes and connections, how they share, what the links are like, and
// what goes wrong when. A named scenario allows some of it.
#pragma once

#include "connection.h"
#include "network.h"

#include <stdbool.h>
#include <stdint.h>

#define FAULTS_MAX 8

enum fault_kind {
	FAULT_CUT_ONE = 0, // sync, from `node` to `other`
	FAULT_CUT_BOTH,
	FAULT_PAUSE,
	FAULT_CRASH,  // and restart
	FAULT_JUMP,   // the clock of `node`
	FAULT_FAST,   // ten times as fast
	FAULT_ROTATE, // another secret
	FAULT_REKEY,
	FAULT_SLOW, // the engine reads its mail slowly
	FAULT_REROUTE,
	FAULT_STORM,	// links lose much
	FAULT_CUT_DATA, // the links of the endpoints carry nothing
	FAULT_KINDS,
};

struct fault {
	uint8_t kind, node, other;
	bool on;
	uint64_t start_ns, length_ns;
	uint64_t amount;
	struct link saved[3];
};

struct scenario {
	uint64_t seed;
	const char *name;
	unsigned nodes, connections, exchanges, noise;
	uint8_t share, wait;
	bool apart;	      // cuts are long
	unsigned reuse;	      // permille of connections whose clients begin anew
	unsigned crowd;	      // flows beside those that are counted
	uint32_t datagrams_s; // without one a flow of datagrams ends
	uint32_t detect_ms, server_syn_ms;
	uint64_t tick_offset_ns; // of the counter within a tick
	uint64_t idle_ns;	 // nothing happens for this long in the middle
	uint64_t rekey_ns, hop_ns;
	// From the start: the first SYN, the last but for a few, everything works, the end.
	uint64_t open_ns, busy_ns, heal_ns, end_ns;
	struct profile profile;
	struct fault faults[FAULTS_MAX];
	unsigned fault_count;
};

struct sim;

// False: there is no such scenario.
bool scenario_choose(struct sim *sim, const char *name, uint64_t seed);
// The names, NULL at the end.
const char *scenario_name(unsigned index);
// A way through the nodes.
struct route scenario_route(struct sim *sim);
// Endpoints and their openings.
void scenario_open_all(struct sim *sim);
// EVENT_FAULT: begins or ends.
void scenario_fault(struct sim *sim, unsigned index);
// Ends all that go on.
void scenario_heal(struct sim *sim);
// EVENT_NOISE: somebody who is no client sends something.
void scenario_noise(struct sim *sim);
