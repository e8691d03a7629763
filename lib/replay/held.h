// What a connection holds: a queue for the segments of each end, and one for the ICMP errors that
// come from its side. Errors are of routers, not of the end: neither waits for the other.
#pragma once

#include "replay/connections.h"
#include "replay/segment.h"

#include <stdbool.h>
#include <stdint.h>

static inline unsigned held_queue(enum side side, bool is_quote)
{
	return (unsigned)side * 2 + is_quote;
}

void held_init(struct connection *connection);

unsigned held_frames(const struct connection *connection);
unsigned held_bytes(const struct connection *connection);

// Copies a packet to the end of its queue; `ordinal` is its place in the capture. False where the
// pool has no room for it.
bool held_push(struct hold_pool *pool, struct connection *connection, const struct segment *segment,
	uint32_t ordinal);

// Copies the first packet of a queue into out->data and parses it there; it stays in the queue, and
// `out` as it is. False where there is none. The room must do for it.
bool held_peek(const struct hold_pool *pool, const struct connection *connection, unsigned queue,
	struct segment *segment, const struct frame *out);

// Takes the first packet of a queue that has one.
void held_take(struct hold_pool *pool, struct connection *connection, unsigned queue,
	struct segment *segment, struct frame *out);

// True where the first packet of queue `a` was captured before that of `b`.
bool held_before(
	const struct hold_pool *pool, const struct connection *connection, unsigned a, unsigned b);
