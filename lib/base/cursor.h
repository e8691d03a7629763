// A cursor over bytes with a sticky error, for every wire format: a read past the end returns
// zeros and sets `failed`; the caller checks once at the end. Big-endian.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	uint8_t *at;
	uint8_t *end;
	bool failed;
};

struct cursor cursor_read(const uint8_t *data, size_t len);
struct cursor cursor_write(uint8_t *data, size_t room);
size_t cursor_left(const struct cursor *c);

uint8_t cursor_get8(struct cursor *c);
uint16_t cursor_get16(struct cursor *c);
uint32_t cursor_get32(struct cursor *c);
uint64_t cursor_get64(struct cursor *c);
// Returns a pointer to `len` bytes and steps over them, or NULL.
const uint8_t *cursor_take(struct cursor *c, size_t len);

void cursor_put8(struct cursor *c, uint8_t v);
void cursor_put16(struct cursor *c, uint16_t v);
void cursor_put32(struct cursor *c, uint32_t v);
void cursor_put64(struct cursor *c, uint64_t v);
// Steps over `len` bytes and returns where to write them, or NULL.
uint8_t *cursor_give(struct cursor *c, size_t len);
void cursor_put(struct cursor *c, const void *data, size_t len);
