// What a replay reads: one capture whose packets are given their side by address, or one of each
// side, merged by time while they are read; or synthetic load, which is made instead. Nothing but
// the next packets of each are in memory.
#pragma once

#include "weir/replay/inside.h"
#include "weir/replay/replay.h"
#include "weir/replay/source.h"

struct policy;
struct synthetic;

// Read of one of two captures, and not handed out.
struct replay_ahead {
	struct replay_packet packets[REPLAY_TAKE_MAX];
	unsigned at, count;
	bool over; // nothing follows
};

struct replay_input {
	const struct replay_options *options;
	const struct policy *policy;
	struct inside inside;
	struct source sources[2];
	unsigned count;
	struct synthetic *synthetic;  // NULL: captures
	struct replay_ahead ahead[2]; // of each source, where there are two
	bool viewed;		      // set by the caller: packets need their view
	uint64_t looked;	      // at the sides of packets
	uint64_t compared, turned;    // report.h
};

// Opens what the options name; the inside is options->inside, or where that is empty the services'
// own prefixes. With `synthetic` that is what is read. 0, or 1 after an error message.
int replay_input_open(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy, struct synthetic *synthetic);
void replay_input_close(struct replay_input *input);

// Begins anew, for the next loop. 0, or 1 after an error message.
int replay_input_rewind(struct replay_input *input);

// The next packets, at most `most` and REPLAY_TAKE_MAX: those that are there without waiting for
// them. How many; 0 at the end. They stay until the next call.
unsigned replay_input_take(
	struct replay_input *input, struct replay_packet *packets, unsigned most);

// True where a capture ended early.
bool replay_input_is_cut(const struct replay_input *input);

// Bytes of the stored files, or packets to be made, and how many of them were; a size of 0 means
// that nobody knows.
uint64_t replay_input_size(const struct replay_input *input);
uint64_t replay_input_at(const struct replay_input *input);
