// A connection between a modelled client and a modelled server: both ends, where it goes, and what
// the monitor must know to judge what becomes of it.
#pragma once

#include "appliance.h"
#include "endpoint.h"
#include "flow/flow.h"

#include <stdbool.h>
#include <stdint.h>

#define CONNECTIONS_MAX 200
#define RECORDS_KEPT	16

enum { CLIENT = 0, SERVER = 1 };

// What excuses a connection.
enum harm {
	HARM_CRASH = 1 << 0,   // a node on its way crashed
	HARM_CLOCK = 1 << 1,   // or has a clock that is wrong
	HARM_REROUTE = 1 << 2, // it was moved to a node that does not know it
	HARM_APART = 1 << 3,   // two nodes on its way did not see each other
	HARM_JOINING = 1 << 4, // one was joining (again), and made no cookies, when it opened
	HARM_UNTOLD = 1 << 6,  // one took the connection before it for open when it began
	HARM_LATE = 1 << 7,    // its state came to one behind the server's answer or first data
	HARM_FOUNDED = 1 << 5, // one had a secret others replaced by theirs: it was founded apart
};

// A handshake part that was told: who has the same incarnation and generation, of the same life of
// the owner, has the same deltas.
struct told {
	uint16_t owner, generation;
	unsigned life;
	uint32_t incarnation;
	uint32_t isn_client;
	struct translation translation;
};

// Its client begins anew with the same ports (reuse.c). All the rest of a connection is of its
// latest life.
struct reuse {
	uint64_t chance; // its own generator: nobody else's choices depend on it
	uint8_t left;	 // times it may
	bool is_near;	 // EVENT_OPEN is to come
	bool proved;	 // its address, in any former life
	bool is_anew;	 // there was one before
};

struct connection {
	unsigned number;
	uint16_t service; // port of the server
	uint8_t bucket;
	bool inside;	// its client is, and its server outside
	bool allowed;	// by the rules
	bool is_moved;	// the network took another way
	bool is_forged; // somebody pretended to be its client
	bool opened;
	uint8_t path;	 // bits of nodes on its way since it was opened
	uint8_t harm;	 // enum harm
	uint8_t holders; // bits of nodes that have its state
	uint8_t sent_by; // bits of nodes that sent its client's segments on
	struct sim *sim;
	struct endpoint ends[2];
	struct reuse reuse;
	uint64_t timers_ns[2]; // of the event that is to come for each end

	struct told told[RECORDS_KEPT];
	unsigned told_count;
	// The share that is waited for (P4): by whom, and who has not confirmed.
	uint64_t share_digest;
	uint64_t share_ns; // 0: none
	uint16_t share_owner, share_generation;
	uint8_t share_waits;
	uint8_t finder; // that handed the owner the server's answer, at finder_step
	uint64_t finder_step;
	struct told rows[APPLIANCES_MAX]; // of a whole check: what nodes hold
	unsigned row_count;
	uint8_t held_by; // bits of nodes
	uint8_t ended_at;
};

struct sim;

// Both ends are done.
static inline bool connection_is_done(const struct connection *connection)
{
	return endpoint_is_done(&connection->ends[0]) && endpoint_is_done(&connection->ends[1]) &&
	       !connection->ends[1].is_former;
}

// Addresses of that number, on that side.
struct addr connection_client(unsigned number, bool inside, bool ip6);
struct addr connection_server(unsigned number, bool inside, bool ip6);
// An address nobody has.
struct addr connection_stranger(unsigned number, bool ip6);
enum host { HOST_UNKNOWN = 0, HOST_CLIENT, HOST_SERVER, HOST_STRANGER, HOST_CROWD };
// Whose address it is; its number.
enum host connection_host(const struct addr *addr, unsigned *number);
// One of many inside, that nobody counts.
struct addr connection_crowd(unsigned number);
// Which side it is on.
bool connection_is_inside(const struct addr *addr);
// The port of a node that a client (or its server) on that side is behind.
static inline uint8_t connection_port(bool client, bool inside)
{
	return client == inside ? PORT_INSIDE : PORT_OUTSIDE;
}
