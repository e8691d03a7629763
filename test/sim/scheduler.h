// Virtual time and chance. Everything that happens in a simulation is an event; events of the same
// nanosecond happen in the order they were added. All choices come from one generator, so a seed
// gives the same run, to the byte.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIM_US 1000ULL
#define SIM_MS 1000000ULL
#define SIM_S  1000000000ULL

#define EVENTS_MAX 32768

enum event_kind {
	EVENT_FLIGHT = 1, // a packet or datagram arrives: index of the flight
	EVENT_ENGINE,	  // a node's engine wakes: index of the node
	EVENT_CLUSTER,	  // its cluster
	EVENT_OPEN,	  // a client opens: index of the connection
	EVENT_TIMER,	  // an endpoint's timer: 2 * connection + end
	EVENT_FAULT,	  // a fault begins or ends: index of the fault
	EVENT_NOISE,	  // somebody who is no client sends something, or so many of a crowd do
	EVENT_ASK,	  // the client of an exchange asks: index of that
};

struct event {
	uint64_t at_ns;
	uint32_t order;
	uint16_t kind;
	uint16_t index;
};

struct scheduler {
	uint64_t now_ns;
	uint64_t random;
	uint64_t steps;
	uint32_t order;
	unsigned count;
	struct event heap[EVENTS_MAX];
};

void scheduler_start(struct scheduler *scheduler, uint64_t seed, uint64_t now_ns);
void scheduler_add(
	struct scheduler *scheduler, uint64_t at_ns, enum event_kind kind, unsigned index);
// Takes the next event and moves time there. False where there is none before `end_ns`; time is
// then end_ns.
bool scheduler_next(struct scheduler *scheduler, uint64_t end_ns, struct event *event);

// 0..bound - 1, from a generator of its own.
uint32_t scheduler_draw(uint64_t *random, uint32_t bound);
// 0..bound - 1.
uint32_t scheduler_choose(struct scheduler *scheduler, uint32_t bound);
// True in `permille` of 1000 cases.
bool scheduler_chance(struct scheduler *scheduler, unsigned permille);
// A time between the two.
uint64_t scheduler_between(struct scheduler *scheduler, uint64_t low_ns, uint64_t high_ns);
