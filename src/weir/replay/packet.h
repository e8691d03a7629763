// One packet of a capture on its way to the engine.
#pragma once

#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

struct replay_packet {
	uint64_t time_ns;    // of the capture, since 1970
	const uint8_t *data; // an Ethernet frame, in the reader's memory until the next packet
	uint16_t len;	     // bytes at data
	uint8_t side;	     // enum side it arrives on
	bool truncated;	     // the capture has not all of it
	struct view view;    // bits 0 where it is not IP, or malformed
};
