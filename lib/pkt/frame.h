// One contiguous Ethernet frame in the caller's memory: the type every caller of lib/ speaks.
#pragma once

#include <stdint.h>

enum frame_flag {
	FRAME_L3_GOOD = 1 << 0,	  // the device verified the IPv4 header checksum
	FRAME_L3_BAD = 1 << 1,	  // the device found it wrong
	FRAME_L4_GOOD = 1 << 2,	  // the device verified the TCP/UDP checksum
	FRAME_L4_BAD = 1 << 3,	  // the device found it wrong
	FRAME_TRUNCATED = 1 << 4, // bytes are missing behind `len` (a capture's snap length)
};

struct frame {
	uint8_t *data;	   // first byte of the Ethernet header
	uint16_t len;	   // bytes at data
	uint16_t headroom; // writable bytes in front of data
	uint16_t tailroom; // writable bytes behind data + len
	uint8_t port;	   // port of arrival; for a frame to send, the port it leaves through
	uint8_t flags;	   // enum frame_flag
};
