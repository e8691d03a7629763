// Two nodes in one process, for measuring what updates cost: two clusters whose datagrams pass from
// one to the other in memory, and an engine that takes what the second one receives. Time is
// virtual, the handshake is the tests' own, everything else is what a node runs.
#pragma once

#include "cluster/cluster.h"
#include "harness.h"
#include "keyed_handshake.h"

#include <stdbool.h>
#include <stdint.h>

#define DUO_WIRE_BYTES 42 // Ethernet, IPv4 and UDP headers of each datagram

enum duo_end { DUO_SENDER, DUO_RECEIVER, DUO_COUNT };

// What a turn costs, in TSC cycles.
struct duo_cost {
	uint64_t sender, receiver, engine;
};

struct duo_mail {
	uint8_t bytes[CLUSTER_BATCH_MAX][DATAGRAM_BYTES_MAX];
	struct datagram datagrams[CLUSTER_BATCH_MAX];
	unsigned count;
};

struct duo_node {
	struct cluster *cluster;
	void *memory;
	struct keyed_context keys;
	struct duo_mail inbox, outbox;
	struct message *cells[CLUSTER_BATCH_MAX]; // lent
	uint64_t datagrams;			  // sent
};

struct duo {
	struct duo_node nodes[DUO_COUNT];
	struct node *node; // harness: the receiver's engine, and the policy of both
	struct message *posts[CLUSTER_BATCH_MAX];
	struct message *answers[CLUSTER_BATCH_MAX];
	unsigned answer_count;
	uint64_t now_ns;
	uint64_t view;
};

// The parts, for two nodes in processes of their own.
void duo_fill_cells(struct message *cells[CLUSTER_BATCH_MAX]);
void duo_start_engine(struct node *node, uint32_t flows);
void duo_start_node(struct duo_node *self, enum duo_end end, const struct node *node);

// Connected and active.
struct duo *duo_create(uint32_t flows);
void duo_destroy(struct duo *duo);

// One turn of both: the first `count` of posts are said by the sender's worker, what arrives goes
// into the engine, its answers go back. Adds to *cost.
void duo_turn(struct duo *duo, unsigned count, struct duo_cost *cost);

// The sender's view of the other.
const struct cluster_peer_stats *duo_stats(const struct duo *duo, enum duo_end end);
// Everything the sender has said is acknowledged.
bool duo_is_quiet(const struct duo *duo);
uint32_t duo_tick(const struct duo *duo);
