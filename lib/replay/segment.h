// A packet as far as the player is concerned: a TCP segment, or an ICMP error about one.
#pragma once

#include "flow/key.h"
#include "pkt/options.h"
#include "pkt/quote.h"
#include "pkt/view.h"

#include <stdbool.h>

struct segment {
	struct frame *frame;
	enum side side; // it arrives on
	struct view view;
	struct options options;
	bool options_good;
	bool is_quote;
	struct quote quote;
	uint32_t quote_end;  // sequence number behind the quoted segment
	struct flow_key key; // of the connection it is about
};

// False for what is not about TCP, and for what is malformed: only the engine can judge that.
bool segment_parse(struct segment *segment, struct frame *frame, enum side side);

// Its options, NULL where they are malformed.
static inline const struct options *segment_options(const struct segment *segment)
{
	return segment->options_good ? &segment->options : NULL;
}
