// Datagrams between a client and a server, on either side. The client asks one or a few questions
// in a row, again and again until each has its answer; the server answers each question it gets
// with one or two datagrams. Nothing else is ever acknowledged, so an exchange lives by its client
// alone.
#pragma once

#include "base/addr.h"
#include "flow/key.h"
#include "segment.h"

#include <stdbool.h>
#include <stdint.h>

#define EXCHANGES_MAX	   16
#define EXCHANGE_FIRST	   1000 // number in the address of the first one's client
#define EXCHANGE_QUESTIONS 6	// at most

struct exchange {
	unsigned number;
	struct addr client, server;
	uint16_t client_port, server_port;
	uint8_t bucket;			    // of its route
	bool inside;			    // its client is
	bool allowed;			    // by the rules
	bool is_forged;			    // somebody pretended to be its server
	uint64_t forged_ns;		    // last
	uint8_t questions, in_row, answers; // how many; asked at once; datagrams of each answer
	uint64_t pause_ns;		    // between the client's turns
	uint8_t asked, heard, answered;	    // bits: sent, arrived at the server, answer is here
	uint8_t path;			    // bits of nodes on its way since it began
	uint64_t used_ns;		    // last
};

struct sim;

// Chooses all of a run, and when they begin.
void exchange_choose_all(struct sim *sim);
// EVENT_ASK: the client's turn.
void exchange_ask(struct sim *sim, unsigned index);
// The one a packet's ends have, NULL; `to_server` says which end it goes to.
struct exchange *exchange_of(struct sim *sim, const struct segment *segment, bool to_server);
struct exchange *exchange_of_key(struct sim *sim, const struct flow_key *key, bool inside);
// A datagram arrives where it is addressed to.
void exchange_deliver(struct sim *sim, const struct segment *segment, bool to_server);
bool exchange_is_done(const struct exchange *exchange);
// Somebody sends an answer, though perhaps nobody asked.
void exchange_forge(struct sim *sim);

// So many hosts inside ask one question each; the answers are nobody's.
void exchange_crowd(struct sim *sim, unsigned count);

// --- what must hold ---

// A datagram leaves a node.
void exchange_left(struct sim *sim, unsigned node, const struct segment *segment, bool to_server);
// A node tells of a flow of datagrams, is told of it, or holds it.
void exchange_told(struct sim *sim, unsigned node, const struct flow_key *key, bool inside);
void exchange_held(struct sim *sim, unsigned node, const struct flow_key *key, bool inside);
// Everything has healed and time is up.
void exchange_check_all(struct sim *sim);
