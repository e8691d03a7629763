#include "base/cursor.h"

#include "base/bytes.h"

#include <string.h>

struct cursor cursor_read(const uint8_t *data, size_t len)
{
	// One type serves both directions; the get functions never write through `at`.
	return cursor_write((uint8_t *)data, len);
}

struct cursor cursor_write(uint8_t *data, size_t room)
{
	static uint8_t nothing; // no offset, not even 0, may be added to NULL

	if (data == NULL)
		data = &nothing;
	return (struct cursor){.at = data, .end = data + room};
}

size_t cursor_left(const struct cursor *c)
{
	return c->failed ? 0 : (size_t)(c->end - c->at);
}

// The only place that moves: `len` bytes, or NULL and failed for good.
static uint8_t *step(struct cursor *c, size_t len)
{
	uint8_t *at = c->at;

	if (c->failed || len > (size_t)(c->end - c->at)) {
		c->failed = true;
		return NULL;
	}
	c->at += len;
	return at;
}

uint8_t cursor_get8(struct cursor *c)
{
	const uint8_t *p = step(c, 1);

	return p != NULL ? p[0] : 0;
}

uint16_t cursor_get16(struct cursor *c)
{
	const uint8_t *p = step(c, 2);

	return p != NULL ? be16_get(p) : 0;
}

uint32_t cursor_get32(struct cursor *c)
{
	const uint8_t *p = step(c, 4);

	return p != NULL ? be32_get(p) : 0;
}

uint64_t cursor_get64(struct cursor *c)
{
	const uint8_t *p = step(c, 8);

	return p != NULL ? be64_get(p) : 0;
}

const uint8_t *cursor_take(struct cursor *c, size_t len)
{
	return step(c, len);
}

uint8_t *cursor_give(struct cursor *c, size_t len)
{
	return step(c, len);
}

void cursor_put8(struct cursor *c, uint8_t v)
{
	uint8_t *p = step(c, 1);

	if (p != NULL)
		*p = v;
}

void cursor_put16(struct cursor *c, uint16_t v)
{
	uint8_t *p = step(c, 2);

	if (p != NULL)
		be16_put(p, v);
}

void cursor_put32(struct cursor *c, uint32_t v)
{
	uint8_t *p = step(c, 4);

	if (p != NULL)
		be32_put(p, v);
}

void cursor_put64(struct cursor *c, uint64_t v)
{
	uint8_t *p = step(c, 8);

	if (p != NULL)
		be64_put(p, v);
}

void cursor_put(struct cursor *c, const void *data, size_t len)
{
	uint8_t *p = step(c, len);

	if (p != NULL && len > 0)
		memcpy(p, data, len);
}
