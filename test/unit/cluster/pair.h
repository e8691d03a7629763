// Two channels and the wire between them, which loses, repeats and reorders datagrams as a seeded
// generator says. Time is the test's.
#pragma once

#include "cluster/channel.h"

#define PAIR_WIRE_MAX 512

struct pair_datagram {
	unsigned to; // index of the end
	size_t len;
	uint8_t data[DATAGRAM_BYTES_MAX];
};

struct pair_end {
	struct channel *channel;
	struct channel_config config;
	void *memory;
	unsigned ups;	  // CHANNEL_UP
	unsigned records; // CHANNEL_RECORD
	uint64_t sum;	  // of the first 8 bytes of each, as numbers
};

struct pair {
	struct pair_end ends[2];
	uint64_t now_ns;
	uint64_t random;
	unsigned loss, repeat, reorder; // percent
	unsigned lost;			// sealed datagrams
	unsigned count;
	struct pair_datagram wire[PAIR_WIRE_MAX];
};

// Ends with the ids 3 and 7 of the cluster "lab", incarnations 0x1000 and 0x2000. Where `contexts`
// is right, they will get keys.
void pair_init(struct pair *pair, const struct handshake_methods *methods, void *const contexts[2]);
void pair_finish(struct pair *pair);
// Another life of one end: another incarnation, no keys.
void pair_restart(struct pair *pair, unsigned end);
// Everybody says what he has to say, then all that is on the wire arrives; time does not move.
void pair_turn(struct pair *pair);
// Turns of `step_ns` each, until both have keys, or for `max_ns`. True: both have.
bool pair_connect(struct pair *pair, uint64_t step_ns, uint64_t max_ns);
// Turns of 10 ms for this time.
void pair_run(struct pair *pair, uint64_t ns);
// A record with this number onto the wire. False: no keys.
bool pair_send(struct pair *pair, unsigned from, uint64_t number);
// Any bytes to an end, now. Its event.
enum channel_event pair_inject(struct pair *pair, unsigned to, const uint8_t *data, size_t len);
// A sealed record of the end, not sent.
size_t pair_seal(
	struct pair *pair, unsigned from, uint64_t number, uint8_t data[DATAGRAM_BYTES_MAX]);
// How often to try what must never work: 10^5 times, 10^6 in the full size (WEIR_TEST_SIZE).
unsigned pair_tries(void);
uint32_t pair_random(struct pair *pair, uint32_t bound);
