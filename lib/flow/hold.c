// Holds: FIFOs of copied frames in chained cells of one pool.
//
// The pool is one array of cells. A cell is: never used (index >= high_water, its pages untouched),
// free (on a list through `next`), or part of a frame. A frame's cells are chained through `next`;
// its first cell also has its length, where it came from, and the frame behind it in its hold:
//
//	hold.first -> cell -> next_frame -> cell -> next_frame -> ... = hold.last
//	               |                     |
//	              next (more bytes)     next
//
// Everything is counted in whole cells, so `used` times HOLD_CELL_BYTES is the memory really taken,
// and the quota is exact: a frame is kept whole or not at all. One worker owns pool and holds.
#include "flow/hold.h"

#include "base/check.h"
#include "base/cpu.h"
#include "base/error.h"

#include <string.h>

#define CELL_HEADER_BYTES 16
#define CELL_DATA_BYTES	  (HOLD_CELL_BYTES - CELL_HEADER_BYTES)

struct cell {
	uint32_t next;	     // next cell of the frame, or of the free list; HOLD_NONE: last
	uint32_t next_frame; // first cell of the next frame of the hold; HOLD_NONE: last
	uint32_t number;     // as given to hold_push()
	uint16_t len;	     // bytes of the frame
	uint8_t port;
	uint8_t flags; // enum frame_flag
	uint8_t data[CELL_DATA_BYTES];
};
_Static_assert(sizeof(struct cell) == HOLD_CELL_BYTES, "cells fill the pool without gaps");

struct hold_pool {
	uint64_t limit_bytes;
	uint64_t frames;
	uint32_t cell_count;
	uint32_t used;	     // cells in frames
	uint32_t high_water; // cells ever used
	uint32_t free;	     // first free cell below high_water, or HOLD_NONE
	uint8_t spare[32];
	struct cell cells[];
};
_Static_assert(sizeof(struct hold_pool) == CPU_CACHE_LINE_BYTES, "cells start on a line");

static uint32_t cells_of(uint64_t limit_bytes)
{
	uint64_t cells = limit_bytes / HOLD_CELL_BYTES;

	return cells < HOLD_NONE ? (uint32_t)cells : HOLD_NONE;
}

static uint32_t cells_for(uint16_t len)
{
	return (len + CELL_DATA_BYTES - 1u) / CELL_DATA_BYTES;
}

static uint16_t min16(uint32_t a, uint16_t b)
{
	return a < b ? (uint16_t)a : b;
}

size_t hold_pool_bytes(uint64_t limit_bytes)
{
	return sizeof(struct hold_pool) + (size_t)cells_of(limit_bytes) * sizeof(struct cell);
}

struct hold_pool *hold_pool_init(void *memory, uint64_t limit_bytes)
{
	struct hold_pool *pool = memory;

	CHECK(limit_bytes >= HOLD_CELL_BYTES);
	*pool = (struct hold_pool){
		.limit_bytes = limit_bytes,
		.cell_count = cells_of(limit_bytes),
		.free = HOLD_NONE,
	};
	return pool;
}

uint64_t hold_pool_used_bytes(const struct hold_pool *pool)
{
	return (uint64_t)pool->used * HOLD_CELL_BYTES;
}

uint64_t hold_pool_limit_bytes(const struct hold_pool *pool)
{
	return pool->limit_bytes;
}

uint64_t hold_pool_frames(const struct hold_pool *pool)
{
	return pool->frames;
}

void hold_init(struct hold *hold)
{
	*hold = (struct hold){.first = HOLD_NONE, .last = HOLD_NONE};
}

// The caller has made sure that there is one.
static uint32_t cell_take(struct hold_pool *pool)
{
	uint32_t index = pool->free;

	if (index != HOLD_NONE)
		pool->free = pool->cells[index].next;
	else
		index = pool->high_water++;
	pool->used++;
	return index;
}

static void cells_free(struct hold_pool *pool, uint32_t index)
{
	while (index != HOLD_NONE) {
		struct cell *cell = &pool->cells[index];
		uint32_t next = cell->next;

		cell->next = pool->free;
		pool->free = index;
		pool->used--;
		index = next;
	}
}

// Copies the frame's bytes into cells and returns the first one.
static uint32_t cells_fill(struct hold_pool *pool, const uint8_t *data, uint16_t len)
{
	uint32_t first = HOLD_NONE;
	uint32_t *link = &first;

	for (uint16_t done = 0; done < len;) {
		uint16_t part = min16(len - (uint32_t)done, CELL_DATA_BYTES);
		uint32_t index = cell_take(pool);

		memcpy(pool->cells[index].data, data + done, part);
		*link = index;
		link = &pool->cells[index].next;
		done = (uint16_t)(done + part);
	}
	*link = HOLD_NONE;
	return first;
}

int hold_push(struct hold_pool *pool, struct hold *hold, const struct frame *frame, uint32_t number)
{
	uint32_t index;
	struct cell *cell;

	CHECK(frame->len > 0);
	if (cells_for(frame->len) > pool->cell_count - pool->used || hold->frames == UINT16_MAX)
		return -ERR_FULL;
	index = cells_fill(pool, frame->data, frame->len);
	cell = &pool->cells[index];
	cell->next_frame = HOLD_NONE;
	cell->number = number;
	cell->len = frame->len;
	cell->port = frame->port;
	cell->flags = frame->flags;
	if (hold->first == HOLD_NONE)
		hold->first = index;
	else
		pool->cells[hold->last].next_frame = index;
	hold->last = index;
	hold->bytes += frame->len;
	hold->frames++;
	pool->frames++;
	return 0;
}

uint16_t hold_front_len(const struct hold_pool *pool, const struct hold *hold)
{
	return hold->first == HOLD_NONE ? 0 : pool->cells[hold->first].len;
}

uint32_t hold_front_number(const struct hold_pool *pool, const struct hold *hold)
{
	CHECK(hold->first != HOLD_NONE);
	return pool->cells[hold->first].number;
}

uint16_t hold_peek(
	const struct hold_pool *pool, const struct hold *hold, uint8_t *out, uint16_t room)
{
	uint16_t len = min16(hold_front_len(pool, hold), room);
	uint32_t index = hold->first;

	for (uint16_t done = 0; done < len;) {
		uint16_t part = min16(len - (uint32_t)done, CELL_DATA_BYTES);

		memcpy(out + done, pool->cells[index].data, part);
		done = (uint16_t)(done + part);
		index = pool->cells[index].next;
	}
	return len;
}

// Unlinks and frees the first frame of a hold that has one.
static void front_free(struct hold_pool *pool, struct hold *hold)
{
	uint32_t index = hold->first;
	const struct cell *cell = &pool->cells[index];

	hold->first = cell->next_frame;
	if (hold->first == HOLD_NONE)
		hold->last = HOLD_NONE;
	hold->bytes -= cell->len;
	hold->frames--;
	pool->frames--;
	cells_free(pool, index);
}

bool hold_pop(struct hold_pool *pool, struct hold *hold, struct frame *out)
{
	uint32_t room = (uint32_t)out->len + out->tailroom;
	uint16_t len = hold_front_len(pool, hold);

	if (len == 0 || len > room)
		return false;
	hold_peek(pool, hold, out->data, len);
	out->len = len;
	out->tailroom = (uint16_t)(room - len);
	out->port = pool->cells[hold->first].port;
	out->flags = pool->cells[hold->first].flags;
	front_free(pool, hold);
	return true;
}

bool hold_find(const struct hold_pool *pool, const struct hold *hold, uint32_t number, uint16_t len)
{
	for (uint32_t index = hold->first; index != HOLD_NONE;) {
		const struct cell *cell = &pool->cells[index];

		if (cell->number == number && cell->len == len)
			return true;
		index = cell->next_frame;
	}
	return false;
}

unsigned hold_clear(struct hold_pool *pool, struct hold *hold)
{
	unsigned dropped = hold->frames;

	while (hold->first != HOLD_NONE)
		front_free(pool, hold);
	return dropped;
}
