// The handshake of nodes that are replayed together. They share one process, so neither has
// anything to prove and nobody listens: two flights, keys of both sides' numbers, no clock, no
// randomness, no allocation. It stands where DTLS is between real nodes; everything above it is the
// same.
#pragma once

#include "cluster/handshake.h"

#define GREETINGS_MAX 4 // at once; a channel has one, and for a moment a second

struct greeting {
	struct greetings *of;
	bool used;
	bool client;
	bool to_send;
	enum handshake_state state;
	uint64_t sent_ns;
	uint64_t own, peer; // numbers
};

// The context of a node's handshakes; all zero but for `number`.
struct greetings {
	uint64_t number; // of the next one
	struct greeting list[GREETINGS_MAX];
};

extern const struct handshake_methods greeting_methods;
