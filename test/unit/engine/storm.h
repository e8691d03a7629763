// A storm: packets and messages of a few conversations, right ones and wrong ones, in any order,
// with buffers running short and time passing, chosen by whoever calls. A random source makes it a
// test, an input's bytes make it a fuzz target.
#pragma once

#include "harness.h"

#include <stdbool.h>
#include <stdint.h>

#define STORM_TALKS 6

// What is known of a conversation: the numbers that right segments need.
struct talk {
	uint32_t isn_client, isn_server;
	uint32_t cookie;     // sequence number of the last SYN/ACK the client got
	uint32_t tsval;	     // and its TSval
	uint32_t server_syn; // sequence number of the last SYN the server got
	uint32_t sent[2];    // bytes, by enum direction
	bool timestamps;
	bool open; // the server got a SYN
};

struct storm {
	struct node *node;
	uint32_t (*choose)(void *source, uint32_t bound); // 0..bound - 1
	void *source;
	struct talk talks[STORM_TALKS];
	struct message *message; // the last one the engine sent, to be sent back
	struct frame last;	 // the last frame that left, to be quoted
	uint8_t last_room[PACKET_ROOM_BYTES];
};

// A node for storms: small, clustered, with a proxied, a tracked and a stateless service and few
// limits that are not reached. Change nothing between this and node_go().
void storm_node_init(struct node *node);
void storm_init(struct storm *storm, struct node *node);
void storm_finish(struct storm *storm);
// One packet, message, or moment.
void storm_step(struct storm *storm);
