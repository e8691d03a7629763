// Packets of one capture, or of two merged by time, whole in memory.
#pragma once

#include "weir/replay/replay.h"

#include <stddef.h>
#include <stdint.h>

struct replay_packet {
	uint64_t time_ns; // of the capture
	size_t at;	  // offset in bytes[]
	uint16_t len;	  // bytes kept
	uint8_t side;	  // enum side it arrives on
	bool truncated;	  // the capture has not all of it
};

struct replay_input {
	struct replay_packet *packets;
	size_t count, room;
	uint8_t *bytes;
	size_t used, size;
	bool cut; // a capture ended early: its end is missing, or unreadable
};

// Reads what the options name; the inside is options->inside, or where that is empty the services'
// own prefixes. 0, or 1 after an error message.
struct policy;
int replay_input_read(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy);
void replay_input_free(struct replay_input *input);
