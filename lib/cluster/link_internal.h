// Shared by link.c (the port, IPv4, ARP) and link6.c (IPv6 and neighbour discovery).
#pragma once

#include "cluster/link.h"

#define LINK_MAC_BYTES 6
#define ETHER_BYTES    14
#define ETHER_IP6      0x86dd
#define IP6_BYTES      40
#define TTL	       64
#define PROTOCOL_UDP   17

// One frame on its way through link_receive().
struct link_visit {
	struct link *link;
	uint64_t now_ns;
	struct link_frame *io;
};

// Counts what happens to a frame that leads to nothing.
enum link_verdict link_count(counter *what);

// Somebody says this address has this MAC: believed of neighbours, who else is not written down.
void link_learn(struct link_visit *visit, const struct addr *address, const uint8_t *mac);

// Ethernet header from this host.
void link_put_ether(const struct link *link, uint8_t *frame, const uint8_t *to, uint16_t type);
// The sender of the frame becomes its receiver.
void link_turn_ether(struct link_visit *visit);
void link_swap(uint8_t *a, uint8_t *b, size_t len);

// The frame became an answer of `len` bytes.
enum link_verdict link_answer(struct link_visit *visit, size_t len);
// True where one more echo may be answered in this second.
bool link_may_echo(struct link_visit *visit);

// Sum of the pseudo-header of the IP header at `ip` and `len` bytes of its payload.
uint64_t link_sum(const struct link *link, const uint8_t *ip, uint8_t protocol, const uint8_t *data,
	size_t len);

// A datagram to this host: from which peer, and is it whole?
enum link_verdict link_take_udp(
	struct link_visit *visit, const uint8_t *ip, uint8_t *udp, size_t len);

// link6.c
enum link_verdict link6_take(struct link_visit *visit);
void link6_put_header(const struct link *link, uint8_t *ip, const uint8_t *to, uint8_t protocol,
	uint8_t hops, size_t payload_len);
// A solicitation for a neighbour; its length.
size_t link6_question(
	const struct link *link, const struct link_neighbour *neighbour, uint8_t *frame);
