#include "replay/held.h"

#include "base/check.h"
#include "base/serial.h"

void held_init(struct connection *connection)
{
	for (unsigned i = 0; i < HELD_QUEUES; i++)
		hold_init(&connection->held[i]);
}

unsigned held_frames(const struct connection *connection)
{
	unsigned frames = 0;

	for (unsigned i = 0; i < HELD_QUEUES; i++)
		frames += connection->held[i].frames;
	return frames;
}

unsigned held_bytes(const struct connection *connection)
{
	unsigned bytes = 0;

	for (unsigned i = 0; i < HELD_QUEUES; i++)
		bytes += connection->held[i].bytes;
	return bytes;
}

bool held_push(struct hold_pool *pool, struct connection *connection, const struct segment *segment,
	uint32_t ordinal)
{
	unsigned queue = held_queue(segment->side, segment->is_quote);

	return hold_push(pool, &connection->held[queue], segment->frame, ordinal) == 0;
}

static enum side side_of(unsigned queue)
{
	return queue < 2 ? SIDE_OUTSIDE : SIDE_INSIDE;
}

bool held_peek(const struct hold_pool *pool, const struct connection *connection, unsigned queue,
	struct segment *segment, const struct frame *out)
{
	const struct hold *hold = &connection->held[queue];
	struct frame frame = {.data = out->data,
		.len = hold_front_len(pool, hold),
		.flags = FRAME_TRUNCATED}; // as far as is known here: what was whole parses too

	if (frame.len == 0)
		return false;
	CHECK(frame.len <= (uint32_t)out->len + out->tailroom);
	hold_peek(pool, hold, frame.data, frame.len);
	CHECK(segment_parse(segment, &frame, side_of(queue)));
	segment->frame = NULL; // no frame of the caller's yet
	return true;
}

void held_take(struct hold_pool *pool, struct connection *connection, unsigned queue,
	struct segment *segment, struct frame *out)
{
	CHECK(hold_pop(pool, &connection->held[queue], out));
	CHECK(segment_parse(segment, out, side_of(queue)));
	out->port = (uint8_t)segment->side;
}

bool held_before(
	const struct hold_pool *pool, const struct connection *connection, unsigned a, unsigned b)
{
	return serial_before(hold_front_number(pool, &connection->held[a]),
		hold_front_number(pool, &connection->held[b]));
}
