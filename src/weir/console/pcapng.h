// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), written in the machine's byte order, as the
// format allows. Each function appends one block to a caller's buffer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAPNG_SNAP_BYTES    2048
#define PCAPNG_COMMENT_BYTES 256
// Room for any one block: packet, comment, and the fixed parts.
#define PCAPNG_BLOCK_BYTES (PCAPNG_SNAP_BYTES + PCAPNG_COMMENT_BYTES + 128)

struct pcapng_packet {
	uint32_t interface; // index of the interface description
	uint64_t time_ns;   // since 1970
	uint32_t len;	    // on the wire
	uint32_t kept;	    // bytes at data, at most PCAPNG_SNAP_BYTES
	const uint8_t *data;
	const char *comment; // at most PCAPNG_COMMENT_BYTES are written; NULL: none
};

// Each returns the block's bytes (at most PCAPNG_BLOCK_BYTES). Strings longer than
// PCAPNG_COMMENT_BYTES are cut.
size_t pcapng_section(uint8_t out[PCAPNG_BLOCK_BYTES], const char *application);
size_t pcapng_interface(uint8_t out[PCAPNG_BLOCK_BYTES], const char *name);
// An interface whose packets are not cut: `kept` may be more than PCAPNG_SNAP_BYTES where the
// buffer has room for it.
size_t pcapng_interface_whole(uint8_t out[PCAPNG_BLOCK_BYTES], const char *name);
size_t pcapng_packet(uint8_t out[PCAPNG_BLOCK_BYTES], const struct pcapng_packet *packet);

// True where a file that begins with these bytes is a pcapng file.
bool pcapng_is_section(const uint8_t start[4]);
