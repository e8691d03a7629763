// A pre-shared key from a file.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PSK_BYTES_MIN 32
#define PSK_BYTES_MAX 128

struct psk {
	size_t len;
	uint8_t bytes[PSK_BYTES_MAX];
};

// The file is a regular one of root or of the own user that nobody else may read (0600), with one
// line: 64 hexadecimal digits or more (an even number of them) are the bytes they stand for, any
// other text of 32 characters or more is taken as it is. Blanks at both ends do not count. 0, or
// -ERR_* and one sentence in `error`.
int psk_file_read(const char *path, struct psk *out, char *error, size_t error_room);
// Why an open file with a key is not private: who owns it, who may read it. NULL where it is.
const char *why_not_private(int file);
void psk_wipe(struct psk *psk);
