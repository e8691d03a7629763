// Two nodes with keyed handshakes, and what the tests of channels ask of them. Times in ns.
#pragma once

#include "keyed_handshake.h"
#include "pair.h"

#define MS     1000000ULL
#define SECOND (1000 * MS)
#define CLIENT 0
#define SERVER 1

struct world {
	struct keyed_context contexts[2];
	struct pair pair;
};

// Without keys, and with. There is one at a time.
struct world *world_new(void);
struct world *world_up(void);
void world_end(struct world *world);
const struct channel_stats *world_stats(struct world *world, unsigned end);
// One record each way arrives.
void world_assert_works(struct world *world);
// The tag of a cluster's name (WIRE.md section 1).
uint16_t world_tag(const char *name);
