// A port of the cluster's own as a host on an Ethernet link: UDP over IPv4 or IPv6 in frames of at
// most 1514 bytes, ARP or neighbour discovery for itself and its peers, echo answered. No DPDK, no
// clock, no allocation; the table of neighbours is the list of peers. What is not from a peer, for
// this host and whole is ignored and counted. Of one thread.
#pragma once

#include "base/addr.h"
#include "base/counter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_FRAME_MAX	    1514
#define LINK_PEERS_MAX	    15
#define LINK_NEIGHBOURS_MAX (LINK_PEERS_MAX + 1) // and the gateway
#define LINK_HEADERS4_BYTES (14 + 20 + 8)
#define LINK_HEADERS6_BYTES (14 + 40 + 8)
#define LINK_ECHO_PER_S	    100
#define LINK_ASK_NS	    1000000000ULL  // between two questions for a neighbour
#define LINK_STALE_NS	    30000000000ULL // a neighbour is asked for again after this long
#define LINK_QUESTIONS_MAX  5		   // unanswered: its address is forgotten

struct link_peer {
	struct addr address;
	uint16_t udp_port;
};

struct link_config {
	uint8_t mac[6];
	struct addr address;   // own; all addresses are of its family
	struct prefix network; // of address: neighbours; others are reached by the gateway
	bool has_gateway;
	struct addr gateway;
	uint16_t udp_port;
	unsigned peer_count;
	struct link_peer peers[LINK_PEERS_MAX];
};

// Written by the link alone; any thread reads.
struct link_stats {
	counter ignored;      // frames that are none of the below
	counter malformed;    // cut, or with lying lengths
	counter bad_checksum; // IPv4, UDP or ICMPv6
	counter foreign;      // UDP to this host's port that no peer sent
	counter wrong_port;   // UDP of a peer's address to another port
	counter answered;     // ARP requests and neighbour solicitations for this host
	counter echoed;
	counter unresolved; // datagrams not sent: the neighbour's MAC is not known yet
};

struct link_neighbour {
	struct addr address;
	uint8_t mac[6];
	bool known;
	bool silent;	     // has not answered the latest questions, or any
	uint8_t questions;   // since the last answer
	uint64_t asked_ns;   // last question
	uint64_t renewed_ns; // last answer
};

// Why a peer may not be heard, or not hear: what was seen since its latest good datagram.
struct link_way {
	bool hop_is_silent; // nobody answers questions for its address, or the gateway's
	struct addr hop;
	uint16_t to_port;   // its address sends to this port, not to the own one, 0: no
	uint16_t from_port; // its address sends from this port, not from its own, 0: no
	bool bad_checksums;
	bool seeks; // it asks for the MAC of an address that is nobody's this host knows
	struct addr sought;
};

struct link {
	struct link_config config;
	struct link_stats stats;
	bool ip4;
	unsigned neighbour_count;
	struct link_neighbour neighbours[LINK_NEIGHBOURS_MAX];
	uint8_t hop[LINK_PEERS_MAX]; // index in neighbours by peer
	uint64_t echo_second;	     // in which `echo_count` were answered
	unsigned echo_count;
	struct link_peer stranger;	      // who sent the latest of stats.foreign
	struct link_way ways[LINK_PEERS_MAX]; // but for the hop
};

void link_init(struct link *link, const struct link_config *config);

enum link_verdict {
	LINK_NOTHING,  // consumed or ignored
	LINK_DATAGRAM, // of `peer`: its payload lies inside data
	LINK_ANSWER,   // data became an answer, which is payload: send it
};

// A frame that arrived. `room` bytes at data may be written: an answer is not longer than what it
// answers, or than 86 bytes.
struct link_frame {
	uint8_t *data;
	size_t len, room;
	// out
	unsigned peer;
	uint8_t *payload;
	size_t payload_len;
};

enum link_verdict link_receive(struct link *link, uint64_t now_ns, struct link_frame *frame);

// Bytes in front of a payload.
size_t link_headers_bytes(const struct link *link);

// Writes the headers of a datagram to `peer` in front of its payload, which lies at frame +
// link_headers_bytes(). Returns the frame's length; 0 where the neighbour is not known yet, or
// where it would be longer than LINK_FRAME_MAX: counted, and the datagram is lost.
size_t link_wrap(struct link *link, uint8_t *frame, unsigned peer, size_t payload_len);

// Writes the next question for a neighbour that is due into frame (at least 86 bytes) and returns
// its length, 0: none is due. Called until then at each turn.
size_t link_ask(struct link *link, uint64_t now_ns, uint8_t *frame);

struct link_way link_way(const struct link *link, unsigned peer);
