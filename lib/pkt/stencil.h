// Frames of one cut: TCP in IPv4 without options and payload, alike in all but what a flood varies.
// A stencil is cut from one that was looked at in full, and laid on others for much less: where it
// fits they are right in every respect, as view_take_usual() finds them, and say the same.
#pragma once

#include "base/cpu.h"
#include "pkt/frame.h"
#include "pkt/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define STENCIL_BYTES 32

// The frame is looked at in two pieces: bytes 10 to 41, and the last of the packet.
struct stencil {
	uint8_t expected[2][STENCIL_BYTES];
	uint8_t covered[2][STENCIL_BYTES];	  // bits that must be as expected
	uint16_t ip_words[STENCIL_BYTES / 2];	  // 1: counts for the header's sum, in the first
	uint16_t tcp_words[2][STENCIL_BYTES / 2]; // 1: counts for the segment's
	uint32_t more[4];	 // of both sums: the pseudo-header, and half of 2^16 for each word
	uint64_t about;		 // length, port and flags of the frame, as stencil_about() has them
	uint64_t to, to_covered; // destination and its port, in the 8 bytes where they lie
	uint16_t second_at;	 // offset of the second piece
} CPU_ALIGNED;

// Cuts it from a frame that view_take_usual() takes. Open are the MAC addresses, TOS, TTL, the
// identification, DF, the source's address and port, SEG.SEQ, SEG.ACK, the window, urgent pointer
// and checksums, and both timestamps where `timestamps_at` says where TSval stands (0: nowhere).
// Of the destination's address the first `dst_bits` (8 to 32) are covered. False where there is a
// payload, or more than 20 bytes of options.
struct stencil_bounds {
	uint16_t timestamps_at;
	uint8_t dst_bits;
};
bool stencil_cut(struct stencil *stencil, const struct frame *frame, const struct view *view,
	struct stencil_bounds bounds);

// Length, port and flags of a frame, which lie in the 8 bytes behind the pointer.
static inline uint64_t stencil_about(const struct frame *frame)
{
	const struct frame mask = {.len = UINT16_MAX, .port = UINT8_MAX, .flags = UINT8_MAX};
	uint64_t about, bits;

	memcpy(&about, &frame->len, sizeof(about));
	memcpy(&bits, &mask.len, sizeof(bits));
	return about & bits;
}
_Static_assert(sizeof(struct frame) == offsetof(struct frame, len) + 8, "in one word");

// True for frames of the cut that view_take_usual() takes, and none else; of a stencil of zeros for
// none. In AVX2, for callers that are made for it, and without wide registers, which must agree.
bool stencil_fits_wide(const struct stencil *stencil, const struct frame *frame);
bool stencil_fits_any(const struct stencil *stencil, const struct frame *frame);
