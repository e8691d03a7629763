// One packet of a capture on its way to the engine. They are read several at a time.
#pragma once

#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_TAKE_MAX 32

struct replay_packet {
	uint64_t time_ns;    // of the capture, since 1970
	const uint8_t *data; // an Ethernet frame, in the reader's memory until it reads on
	uint16_t len;	     // bytes at data
	uint8_t side;	     // enum side it arrives on
	bool truncated;	     // the capture has not all of it
	struct view view;    // where it is asked for: bits 0 if it is not IP, or malformed
};
