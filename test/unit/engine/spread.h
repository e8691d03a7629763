// Two nodes of a cluster of which one sees what the outside sends and the other what the inside
// does: for tests of flows that no cookie leads to their owner. Include it first: it has cmocka's
// headers.
#pragma once

#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NODE_A	3 // packets of the outside arrive here
#define NODE_B	5 // packets of the inside arrive here
#define NODE_C	6
#define ISN_C	0x11112222u
#define ISN_S	0xfffffff0u
#define WAIT_MS 200
#define L2	14

struct scene {
	struct node *a, *b;
	bool ip6;
};

// Tracks TCP from the outside.
struct node *new_node(uint16_t id);
struct scene scene_make(bool ip6);
void scene_go(struct scene *scene);
// Both at once.
struct scene scene_begin(bool ip6);
void scene_end(struct scene *scene);

// The one message `from` sent, which is of this type and for `to`, or for all.
void carry(struct node *from, struct node *to, enum message_type type, bool all);
// The last call sent so many good packets, all through `port`.
void assert_sent(const struct node *node, unsigned count, uint8_t port);

// A packet of the host outside, at A, or of the one inside, at B.
enum verdict_kind outer(struct scene *scene, struct packet packet);
enum verdict_kind inner(struct scene *scene, struct packet packet);
struct packet tcp(uint8_t flags, uint32_t seq, uint32_t ack);
struct packet echo(const struct scene *scene, bool reply);
static const struct packet udp = {.protocol = PROTOCOL_UDP, .payload = BYTES("datagram")};
static const struct packet gre = {.protocol = 47, .payload = BYTES("tunnel")};

// Nothing is said; the packet is forwarded.
void assert_passes(struct scene *scene, bool outside, struct packet packet);
// The same; it is dropped.
void assert_refused(struct scene *scene, bool outside, struct packet packet);
// A connection that is open at both ends by a FIN of each direction.
void close_both(struct scene *scene, uint32_t isn_c, bool client_outside);
// It was handed what is of no flow it has: it says so, and nothing else.
void assert_disowns(const struct node *node);
// Port unreachable, about a packet of the host outside.
struct packet error_about(const struct scene *scene, struct packet asked, uint8_t *room);

// B tells all of a new flow; its packet waits.
void begin_inside(struct scene *scene, struct packet packet);
// A is told and confirms: what waited leaves B.
void confirm(struct scene *scene);
