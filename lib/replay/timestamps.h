// Timestamps put into a segment that has none: the endpoint's captured peer refused them, the box
// did not.
#pragma once

#include "pkt/frame.h"
#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMPS_BYTES 12 // with the two NOPs in front

// Puts NOP NOP TSopt in front of the options of an unfragmented segment; the headers move towards
// the frame's headroom, the payload stays. IP length and checksums follow by their delta, `view` is
// parsed anew. False, and nothing changed, where the header, the headroom or the packet's length
// leaves no room.
bool timestamps_insert(struct frame *frame, struct view *view, uint32_t tsval, uint32_t tsecr);
