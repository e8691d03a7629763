// A handshake without clock and randomness, for tests and the simulation: two flights, each proven
// with a shared secret, and keys made of the secret and both sides' nonces. The client repeats its
// flight every 100 ms, the server its answer. It is for tests only: it has no forward secrecy.
#pragma once

#include "cluster/handshake.h"

#define KEYED_SECRET_BYTES 32

// context of struct channel_config; one per node.
struct keyed_context {
	uint8_t secret[KEYED_SECRET_BYTES];
	uint16_t id;
	uint64_t nonce;	  // of the next start; each node, and each life, has another range
	unsigned started; // handshakes so far
	unsigned alive;	  // of these: not ended
};

extern const struct handshake_methods keyed_methods;
