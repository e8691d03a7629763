// Holds: bounded FIFOs of copied frames. The ACK queue is one (P2); delay (C5), state miss, helper
// delay and fragments are others, so that one quota covers all. Frames are copied into chained
// cells from one pool; a hold is a small struct its user keeps.
#pragma once

#include "pkt/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_CELL_BYTES 512

struct hold_pool;

// Bytes of memory for a pool that holds at most `limit_bytes` of cells (>= HOLD_CELL_BYTES).
size_t hold_pool_bytes(uint64_t limit_bytes);
struct hold_pool *hold_pool_init(void *memory, uint64_t limit_bytes);

// Gauges, for `show flow stats` and conservation.
uint64_t hold_pool_used_bytes(const struct hold_pool *pool);
uint64_t hold_pool_limit_bytes(const struct hold_pool *pool);
uint64_t hold_pool_frames(const struct hold_pool *pool);

// One FIFO. All zero is not empty: use hold_init().
struct hold {
	uint32_t first; // first frame's first cell, HOLD_NONE
	uint32_t last;	// last frame's first cell
	uint32_t bytes; // frame bytes held
	uint16_t frames;
	uint16_t spare;
};
#define HOLD_NONE UINT32_MAX

void hold_init(struct hold *hold);

// Copies a frame to the end. `number` is kept beside it for hold_find(). -ERR_FULL where the pool
// has not enough cells; nothing is kept then.
int hold_push(
	struct hold_pool *pool, struct hold *hold, const struct frame *frame, uint32_t number);

// Length of the first frame, 0 where empty.
uint16_t hold_front_len(const struct hold_pool *pool, const struct hold *hold);

// The number of the first frame of a hold that has one.
uint32_t hold_front_number(const struct hold_pool *pool, const struct hold *hold);

// Copies the first frame into out->data (out->len + out->tailroom bytes of room), sets len, port
// and flags, and frees its cells. False where the hold is empty or the room is too small.
bool hold_pop(struct hold_pool *pool, struct hold *hold, struct frame *out);

// Copies at most `room` first bytes of the first frame (for its headers). Returns bytes copied.
uint16_t hold_peek(
	const struct hold_pool *pool, const struct hold *hold, uint8_t *out, uint16_t room);

// True where a frame was pushed with this number and length. TCP.md 3.5: duplicates collapse.
bool hold_find(
	const struct hold_pool *pool, const struct hold *hold, uint32_t number, uint16_t len);

// Frees everything. Returns how many frames were dropped.
unsigned hold_clear(struct hold_pool *pool, struct hold *hold);
