// What a replay reads: one capture whose packets are given their side by address, or one of each
// side, merged by time while they are read; or synthetic load, which is made instead. Nothing but
// the next packet of each is in memory.
#pragma once

#include "weir/replay/replay.h"
#include "weir/replay/source.h"

struct policy;
struct synthetic;

struct replay_input {
	const struct replay_options *options;
	const struct policy *policy;
	struct source sources[2];
	unsigned count;
	struct synthetic *synthetic;   // NULL: captures
	struct replay_packet ahead[2]; // next packet of each source, where there are two
	bool has_ahead[2];
	uint64_t looked;	   // at the sides of packets
	uint64_t compared, turned; // report.h
	unsigned taken;		   // 1 + the source of the packet handed out last, 0: none
};

// Opens what the options name; the inside is options->inside, or where that is empty the services'
// own prefixes. With `synthetic` that is what is read. 0, or 1 after an error message.
int replay_input_open(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy, struct synthetic *synthetic);
void replay_input_close(struct replay_input *input);

// Begins anew, for the next loop. 0, or 1 after an error message.
int replay_input_rewind(struct replay_input *input);

// The next packet; false at the end.
bool replay_input_next(struct replay_input *input, struct replay_packet *packet);

// True where a capture ended early.
bool replay_input_is_cut(const struct replay_input *input);

// Bytes of the stored files, or packets to be made, and how many of them were; a size of 0 means
// that nobody knows.
uint64_t replay_input_size(const struct replay_input *input);
uint64_t replay_input_at(const struct replay_input *input);
