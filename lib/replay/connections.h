// The connections of a capture by their tuple, as many as there is memory for: a new one takes the
// place of the one that was idle longest.
#pragma once

#include "flow/hold.h"
#include "flow/key.h"
#include "replay/endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_ANSWER_BYTES 192 // of a SYN/ACK kept to be repeated

#define HELD_QUEUES 4

struct links {
	uint32_t prev, next; // slots; 0: none
};

struct connection {
	struct flow_key key;
	uint8_t client_side; // enum side
	bool played;	     // false: remembered only to know who opened it
	bool ready;	     // in the list of those that may have something to send
	bool repeat;	     // the server answers once more, with `answer`
	bool resend;	     // the first frame of the client's hold is its SYN, for the data in it
	uint8_t answer_flags;
	uint16_t answer_len; // 0: none is known
	uint64_t syn_ns;
	struct endpoint ends[2];       // by side
	struct hold held[HELD_QUEUES]; // see held.h
	struct links used;	       // in the order of use
	struct links ready_links;
	uint32_t chain; // next slot of the bucket
	uint8_t answer[CONNECTION_ANSWER_BYTES];
};

struct link_list {
	uint32_t first, last;
};

struct connections {
	struct connection *slots; // slot 0 is not used
	uint32_t *buckets;
	uint32_t bucket_mask;
	uint32_t capacity;
	uint32_t count;
	uint32_t high;		// slots ever used
	uint32_t free;		// a removed one, 0
	struct link_list used;	// idle longest first
	struct link_list ready; // ready longest first
};

size_t connections_bytes(uint32_t capacity);
// `memory` is zeroed, aligned for any type.
void connections_init(struct connections *all, void *memory, uint32_t capacity);

struct connection *connections_find(struct connections *all, const struct flow_key *key);
// Counts as a use.
void connections_touch(struct connections *all, struct connection *connection);

// The one a new connection takes the place of, or NULL where there is room.
struct connection *connections_victim(struct connections *all);
void connections_remove(struct connections *all, struct connection *connection);
// A new one, all zero but for its key. There must be room, and none of this key.
struct connection *connections_add(struct connections *all, const struct flow_key *key);

void connections_make_ready(struct connections *all, struct connection *connection);
void connections_end_ready(struct connections *all, struct connection *connection);
// The one that is ready longest, or NULL.
struct connection *connections_ready(struct connections *all);
// The one idle longest, or NULL.
struct connection *connections_first(struct connections *all);
