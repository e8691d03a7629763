// One node for engine tests: an engine with a policy, keys and a clock of its own. Every packet
// that leaves is kept, parsed, in the order it would be sent; messages likewise.
#pragma once

#include "engine/engine.h"
#include "packet.h"
#include "pkt/options.h"

#include <stdbool.h>
#include <stdint.h>

#define HARNESS_SENT_MAX     64
#define HARNESS_MESSAGES_MAX 8
#define HARNESS_LENT	     16
#define HARNESS_TICK	     1000 // first tick: first half of an epoch

#define OUTSIDE 0 // port and side
#define INSIDE	1

struct sent {
	uint8_t port;
	struct frame frame;
	struct view view;
	struct options options;
	uint8_t room[PACKET_ROOM_BYTES];
};

struct node {
	struct engine *engine;
	struct engine_config config;
	struct policy policy;
	struct service services[4];
	struct rule_row rows[8];
	struct policy_rule rules[8];
	void *memory;
	uint64_t now_ns;
	uint32_t tick;
	uint8_t secret[32];
	struct verdict verdict; // of the last packet
	struct sent sent[HARNESS_SENT_MAX];
	unsigned sent_count;
	uint64_t transmitted;				// of all calls
	unsigned lend;					// buffers lent in each call
	unsigned message_room;				// message slots lent in each call
	struct message *messages[HARNESS_MESSAGES_MAX]; // what the last call sent
	unsigned message_count;
	struct message *in;
	struct profile announced; // of every service, in every epoch posted
};

// Proxies TCP to 198.51.100.0/24 and 2001:db8:2::/64 from the outside; allows that, ping, and
// everything from the inside. Change node->policy, services, rows before node_go().
void node_init(struct node *node);
// Makes the engine, installs the policy and the keys around HARNESS_TICK.
void node_go(struct node *node);
// The same again in the same memory: as if nothing had ever arrived.
void node_restart(struct node *node);
void node_finish(struct node *node);

// Offers one packet that arrives on `port`; the verdict and what is sent are in `node` afterwards
// (earlier ones are forgotten). Returns the verdict's kind.
enum verdict_kind node_offer(struct node *node, uint8_t port, const struct packet *packet);
enum verdict_kind node_offer_frame(struct node *node, struct frame frame);
// Posts a message.
void node_post(struct node *node, const struct message *message);
// Tells the node who is active (bits of ids), and that cookies can be made and read.
void node_view(struct node *node, uint64_t active);
// Names the flow as the wire does, by the digest `to` would look up (CONFIRMED, CHANGED ...).
void node_name_flow(const struct node *to, struct message *message, const struct flow_key *key,
	uint32_t incarnation, uint16_t generation);
// What a cluster does with a message of one node for another: OPENED arrives as INSTALL, flows are
// named by digest. `from` is the sender's id.
void node_carry(struct node *to, const struct message *message, uint16_t from);
// Lets time pass in steps of at most 100 ms; what is sent is gathered.
void node_pass_ms(struct node *node, uint32_t ms);
// One call without anything.
void node_turn(struct node *node);
// Keys and announced profile of `epoch`.
void node_epoch(struct node *node, uint32_t epoch);

// A node on the heap, as node_init() leaves it.
struct node *node_make(void);
// Flushes the node and frees it. True where every packet is explained and every gauge is right,
// before the flush and after it.
bool node_end(struct node *node);
// Removes all flows.
void node_flush(struct node *node);
// The gauges of states sum to the number of flows, none is below zero, flows of services are no
// more than flows, and every flow created is there or ended once.
bool node_gauges_good(const struct node *node);
// True where `count` refused handshakes left nothing but what remembers their cookies: closed
// entries that count in no limit.
bool node_remembers(const struct node *node, unsigned count);
// Flows in `state` (TCP_STATE_COUNT: not TCP).
uint64_t node_state(const struct node *node, unsigned state);

uint64_t node_dropped(const struct node *node, enum reason reason);
uint64_t node_dropped_all(const struct node *node);
// received + generated + from_peers - transmitted - consumed - queued - to_peers - dropped.
int64_t node_unexplained(const struct node *node);

// The client's side of a handshake: SYN, then the ACK that proves the cookie. Afterwards `cookie`
// is the SYN/ACK's sequence number, and the server SYN is node->sent[0].
struct handshake {
	struct packet syn;  // as offered
	struct sent synack; // as answered
	struct packet ack;  // as offered
	uint8_t ack_options[40];
	uint32_t cookie;
};
void handshake_open(struct node *node, struct handshake *handshake, const struct packet *syn);
// The server's SYN/ACK to the server SYN in node->sent[0]: afterwards what was queued is in
// node->sent.
void handshake_answer(struct node *node, const struct handshake *handshake, uint32_t isn_server,
	struct bytes options);
