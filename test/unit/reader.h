// The fields of one line of a vector file (test/vectors), read from left to right.
#pragma once

#include "base/addr.h"

#include <stddef.h>
#include <stdint.h>

struct reader {
	char *rest; // of a line the reader may write to
};

const char *next_text(struct reader *reader);
uint32_t next_number(struct reader *reader, int base);
// Hex, two digits a byte, "-" for none. Returns how many.
size_t next_bytes(struct reader *reader, uint8_t *out, size_t room);
// Four bytes or sixteen.
struct addr next_addr(struct reader *reader);
