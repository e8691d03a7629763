#include "cluster/part.h"

#include <string.h>

enum part_flag {
	PART_FIRST = 0x01,
	PART_LAST = 0x02,
};

size_t part_room(const struct cursor *out)
{
	size_t left = cursor_left(out);

	return left < PART_HEAD_BYTES + PART_ROOM_MIN ? 0 : left - PART_HEAD_BYTES;
}

size_t part_put(struct cursor *out, const uint8_t *message, size_t len, size_t at)
{
	size_t room = part_room(out), end = len - at < room ? len : at + room;

	if (end == at)
		return at;
	cursor_put8(out, UPDATE_PART);
	cursor_put16(out, (uint16_t)(1 + end - at));
	cursor_put8(out, (uint8_t)((at == 0 ? PART_FIRST : 0) | (end == len ? PART_LAST : 0)));
	cursor_put(out, message + at, end - at);
	return end;
}

static bool append(struct parts *parts, const uint8_t *bytes, size_t len)
{
	if (len == 0 || len > sizeof(parts->bytes) - parts->len)
		return false;
	memcpy(parts->bytes + parts->len, bytes, len);
	parts->len = (uint16_t)(parts->len + len);
	return true;
}

bool part_get(struct parts *parts, const uint8_t *body, size_t len, bool *done)
{
	uint8_t flags = len > 0 ? body[0] : 0;
	bool first = flags & PART_FIRST, goes_on = parts->open;

	*done = false;
	parts->open = false;
	if (len == 0 || (flags & ~(PART_FIRST | PART_LAST)) != 0 || (!first && !goes_on))
		return false;
	if (first)
		parts->len = 0;
	if (!append(parts, body + 1, len - 1))
		return false;
	*done = flags & PART_LAST;
	parts->open = !*done;
	return true;
}

bool part_message(struct parts *parts, const struct update_codec *codec, struct message *message)
{
	struct cursor in = cursor_read(parts->bytes, parts->len);
	uint8_t type = update_peek(&in).type;
	const uint8_t *body;
	size_t body_len;

	return (type == UPDATE_CREATE || type == UPDATE_FRAME || type == UPDATE_EMIT) &&
	       update_get(&in, codec, message, &body, &body_len) && cursor_left(&in) == 0;
}
