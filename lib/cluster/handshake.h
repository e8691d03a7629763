// How two nodes prove to each other who they are and agree on keys: an interface, because DTLS
// (src/weir/cluster) needs a clock and sockets' error handling, and the simulation must not.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDSHAKE_KEYS_BYTES 96 // WIRE.md section 1 says which is which

enum handshake_state {
	HANDSHAKE_RUNNING,
	HANDSHAKE_DONE,
	HANDSHAKE_FAILED, // the peer is not who it should be, or broke the protocol
};

struct handshake_methods {
	// A new handshake with the peer of this id. NULL: out of memory.
	void *(*start)(void *context, uint16_t peer, bool client);
	// What the peer sent. Also called for a while after HANDSHAKE_DONE, where the state stays:
	// who spoke last repeats it (from next) for a peer that lost it.
	enum handshake_state (*feed)(void *handshake, const uint8_t *data, size_t len);
	// The next piece to be sent now, at most `room` bytes (>= 1200), 0: none. Called until it
	// returns 0, after each feed and at each turn (repetitions are the method's business).
	size_t (*next)(void *handshake, uint64_t now_ns, uint8_t *out, size_t room);
	// After HANDSHAKE_DONE: key material both sides get equally for the same `bound` bytes.
	int (*export)(void *handshake, const uint8_t *bound, size_t bound_len,
		uint8_t out[HANDSHAKE_KEYS_BYTES]);
	// Why it failed, or why it may be taking so long, for one log line; "": no idea. Valid
	// until end().
	const char *(*error)(void *handshake);
	void (*end)(void *handshake);
};
