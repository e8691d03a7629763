// A simulation: nodes, connections, the network between them, what goes wrong, and what must hold.
#pragma once

#include "appliance.h"
#include "connection.h"
#include "exchange.h"
#include "network.h"
#include "scenario.h"
#include "scheduler.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_START_NS	(100 * SIM_S)
#define SIM_FAILURE_MAX 512
#define STRANGERS_MAX	64
#define WHOLE_EVERY	1000 // steps between whole checks

struct sim_totals {
	uint64_t steps, packets, datagrams, virtual_ns;
	unsigned opened, reused, done, refused, excused, exchanges;
};

struct sim {
	struct world world; // first
	struct scenario scenario;
	struct scheduler scheduler;
	struct network network;
	struct appliance nodes[APPLIANCES_MAX];
	struct connection connections[CONNECTIONS_MAX];
	struct exchange exchanges[EXCHANGES_MAX];
	unsigned stranger_syns[STRANGERS_MAX]; // packets of each stranger
	unsigned stranger_answers[STRANGERS_MAX];
	// Of the event that will wake each, UINT64_MAX: none.
	uint64_t engine_event_ns[APPLIANCES_MAX], cluster_event_ns[APPLIANCES_MAX];
	bool clock_wrong[APPLIANCES_MAX];
	uint64_t flows[APPLIANCES_MAX];	    // that each node held at the end
	uint32_t crashed;		    // bits of nodes that ever did
	uint64_t views[APPLIANCES_MAX];	    // whom each engine knows as active
	bool decodes[APPLIANCES_MAX];	    // and whether it makes cookies others read
	uint64_t view_step[APPLIANCES_MAX]; // since when
	uint64_t view_ns;		    // when one changed last
	uint64_t steps_max;
	bool verbose, measures;
	void (*ended)(struct sim *sim); // a run, before its nodes go; or NULL
	bool failed;
	char failure[SIM_FAILURE_MAX];
	uint64_t fingerprint; // of everything that happened
	struct sim_totals totals;
};

// Runs one seed of a scenario; false where something did not hold (sim->failure says what).
bool sim_run(struct sim *sim, const char *scenario, uint64_t seed);
// Frees what runs share.
void sim_finish(struct sim *sim);

// The first failure ends the run.
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A line of the trace, with --verbose.
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_count(struct sim *sim, uint64_t value); // into the fingerprint

// A segment arrives at an end of a connection, or the end's timer is due.
void sim_deliver(struct sim *sim, struct connection *connection, unsigned end,
	const struct segment *segment);
const struct route *sim_route(const struct sim *sim, const struct connection *connection);
bool sim_is_alive(const struct connection *connection);
// Marks every connection that is under way through these nodes.
void sim_harm(struct sim *sim, uint32_t nodes, enum harm harm);
