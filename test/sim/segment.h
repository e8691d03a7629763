// TCP segments, and datagrams of UDP, as endpoints see them: written into a frame, read from one.
// It shares no code with lib/pkt, so that it can judge it.
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_SACKS_MAX 4
#define SEGMENT_NO_SCALE  255

enum {
	FLAG_FIN = 0x01,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_PSH = 0x08,
	FLAG_ACK = 0x10,
};

struct segment {
	struct addr src, dst;
	uint16_t sport, dport;
	bool datagram; // of UDP: addresses, ports and payload are all it has
	uint32_t seq, ack;
	uint8_t flags;
	uint8_t wscale; // SEGMENT_NO_SCALE: no such option
	uint16_t window;
	uint16_t mss; // 0: no such option
	bool sack_ok;
	bool timestamps;
	uint32_t tsval, tsecr;
	unsigned sack_count;
	uint32_t sack[SEGMENT_SACKS_MAX][2];
	const uint8_t *payload;
	uint16_t payload_len;
};

// Bytes of sequence space.
static inline uint32_t segment_len(const struct segment *segment)
{
	return segment->payload_len + ((segment->flags & FLAG_SYN) != 0) +
	       ((segment->flags & FLAG_FIN) != 0);
}

// Returns the length of the frame; `out` has room for 1514 bytes.
uint16_t segment_write(const struct segment *segment, uint8_t *out);
// False where it is no whole segment or datagram, or a checksum is wrong.
bool segment_read(struct segment *segment, const uint8_t *frame, uint16_t len);
