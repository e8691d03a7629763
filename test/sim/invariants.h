// What must hold, whatever goes wrong. What a step touched is checked at once; everything every
// WHOLE_EVERY steps and at the end.
//
//   - what leaves towards a server belongs to a connection that its client opened (and, with a
//     proxy, proved) and the rules allow; nothing goes to a host that did not ask;
//   - no queued segment leaves before those confirmed who are waited for, within the time (P4);
//   - who holds the same incarnation and generation of a flow holds the same deltas;
//   - every packet of a node is explained, its memory bounded;
//   - no reset reaches an end whose peer did not reset, unless a node crashed or was cut off;
//   - every other connection completes, byte-exactly both ways, and its entries end.
#pragma once

#include "segment.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct message;
struct sim;

// A frame leaves a node. False: it must not.
bool invariants_left(
	struct sim *sim, unsigned node, uint8_t port, const uint8_t *data, uint16_t len);
// An end was reset.
void invariants_reset(struct sim *sim, const struct connection *connection, unsigned end);
// An engine says something to other nodes, or is told something.
void invariants_says(struct sim *sim, unsigned node, const struct message *message);
void invariants_takes(struct sim *sim, unsigned node, const struct message *message);
// A node has run.
void invariants_node(struct sim *sim, unsigned node);
void invariants_whole(struct sim *sim);
// A node takes it for open.
bool invariants_is_open(struct sim *sim, unsigned node, const struct connection *connection);
// Who holds what; `at_end`: also who should.
void invariants_rows(struct sim *sim, bool at_end);
