// What lies between endpoints, nodes and nodes: links that lose, repeat, delay and damage, routes
// that say through which node a packet goes, and the packets on the way. A packet that a node
// forwards keeps its memory from end to end.
#pragma once

#include "segment.h"

#include <stdbool.h>
#include <stdint.h>

#define FLIGHTS_MAX	  4096
#define FLIGHT_HEAD_BYTES 64
#define FLIGHT_ROOM_BYTES 1792
#define BUCKETS		  16 // of connections with the same route

struct connection;
struct sim;
struct endpoint;

// In permille.
struct link {
	bool cut;
	unsigned loss, repeat, reorder, damage;
	uint64_t delay_ns;
};

enum flight_kind {
	FLIGHT_TO_NODE = 1, // arrives at a port of a node
	FLIGHT_TO_END,	    // arrives at whom it is addressed to
	FLIGHT_DATAGRAM,    // from node to node
};

struct flight {
	uint8_t kind;	  // 0: spare
	uint8_t from, to; // nodes
	uint8_t port;
	uint16_t len;
	uint8_t room[FLIGHT_ROOM_BYTES]; // the bytes begin behind FLIGHT_HEAD_BYTES
};

struct route {
	uint8_t up, down; // nodes on the way to the server, and back
};

struct network {
	struct link outside, inside;
	struct link sync[8][8]; // [from][to]
	struct route routes[BUCKETS];
	struct flight *flights;
	uint16_t spare[FLIGHTS_MAX];
	unsigned spare_count;
	uint64_t carried, lost;
};

void network_start(struct network *network);
void network_finish(struct network *network);

// A segment of an endpoint, on its way to the node its route names.
void network_from_end(struct sim *sim, unsigned node, uint8_t port, const struct segment *segment);
// A frame that left a node through `port`.
void network_from_node(
	struct sim *sim, unsigned node, uint8_t port, const uint8_t *data, uint16_t len);
void network_datagram(
	struct sim *sim, unsigned from, unsigned to, const uint8_t *data, uint16_t len);
// True while a segment of either end of the connection is under way.
bool network_carries(const struct sim *sim, const struct connection *connection);
// EVENT_FLIGHT.
void network_arrive(struct sim *sim, unsigned flight);
