// What a replay reads: one capture whose packets are given their side by address, or one of each
// side, merged by time while they are read. Nothing but the next packet of each is in memory.
#pragma once

#include "weir/replay/replay.h"
#include "weir/replay/source.h"

struct policy;

struct replay_input {
	const struct replay_options *options;
	const struct policy *policy;
	struct source sources[2];
	unsigned count;
	struct replay_packet ahead[2]; // next packet of each source, where there are two
	bool has_ahead[2];
	unsigned taken; // 1 + the source of the packet handed out last, 0: none
};

// Opens what the options name; the inside is options->inside, or where that is empty the services'
// own prefixes. 0, or 1 after an error message.
int replay_input_open(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy);
void replay_input_close(struct replay_input *input);

// Begins anew, for the next loop. 0, or 1 after an error message.
int replay_input_rewind(struct replay_input *input);

// The next packet; false at the end.
bool replay_input_next(struct replay_input *input, struct replay_packet *packet);

// True where a capture ended early.
bool replay_input_is_cut(const struct replay_input *input);

// Bytes of the stored files, and how many of them were read; a size of 0 means that nobody knows.
uint64_t replay_input_size_bytes(const struct replay_input *input);
uint64_t replay_input_at_bytes(const struct replay_input *input);
