// Frames for tests: a packet is described by what matters to the test, everything else has a
// default, and checksums are right. Nothing here uses lib/pkt's checksum code, so it can judge it.
//
//	uint8_t room[PACKET_ROOM_BYTES];
//	struct packet syn = {.flags = TCP_SYN, .seq = 1000, .options = BYTES("\x02\x04\x05\xb4")};
//	struct frame frame = packet_build(room, &syn);
//
// The default flow is a client at 192.0.2.10 (2001:db8:1::10) port 40000 to a server at
// 198.51.100.10 (2001:db8:2::10) port 80. `from_server` turns everything round, so that both
// directions of a flow share one description. To lie about a length, overwrite it afterwards.
#pragma once

#include "pkt/frame.h"
#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

#define PACKET_HEADROOM_BYTES 128
#define PACKET_ROOM_BYTES     4096 // headroom and tailroom included

struct bytes {
	const void *data;
	uint16_t len;
};

// Bytes of a string literal, without its NUL.
#define BYTES(literal)                                                                             \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

struct packet {
	// Ethernet
	uint16_t tags[VIEW_TAGS_MAX + 1]; // TPIDs, 0 ends; tag i has the VLAN id 100 + i
	uint16_t pad_to;		  // pads the frame with 0xee to this many bytes
	// IP
	bool ip6;
	bool from_server;
	const char *client, *server; // NULL: the default
	uint8_t tos;		     // or traffic class
	uint8_t ttl;		     // 0: 64
	uint32_t flow_label;	     // IPv6
	bool dont_fragment;	     // IPv4
	bool more_fragments;
	uint16_t fragment_offset; // bytes. IPv6: needs a fragment header among the extensions
	uint16_t id;
	struct bytes ip_options; // IPv4, as they are; padded with EOL to a multiple of 4
	struct bytes extensions; // IPv6: one byte for each header's type; each has its least size
	uint8_t routing_type;	 // of a routing header (43) among them
	// Upper layer
	uint8_t protocol;     // 0: TCP. PROTOCOL_ICMP means ICMPv6 with ip6
	bool no_upper;	      // the payload follows the IP header at once (later fragments)
	uint16_t client_port; // 0: 40000
	uint16_t server_port; // 0: 80
	uint8_t flags;	      // TCP
	bool ae;	      // TCP: the AE bit
	uint16_t window;      // TCP
	uint32_t seq, ack;    // TCP
	struct bytes options; // TCP, as they are; padded with EOL to a multiple of 4
	bool no_checksum;     // UDP: sends 0
	uint8_t type, code;   // ICMP
	uint32_t rest;	      // ICMP: bytes 4 to 7 (identifier and sequence, or MTU)
	struct bytes payload;
};

// Writes the packet into room, PACKET_HEADROOM_BYTES behind its start. frame.port is 0.
struct frame packet_build(uint8_t room[PACKET_ROOM_BYTES], const struct packet *packet);

// A frame that ends exactly where its memory ends, without headroom or tailroom: a read behind it
// is seen by a sanitizer. Free data with free().
struct frame packet_build_exact(const struct packet *packet);

// The view of a frame that must parse (aborts otherwise).
struct view packet_view(const struct frame *frame);

// The value the upper layer's checksum field should have, computed byte by byte (TCP, UDP, ICMP,
// unfragmented).
uint16_t packet_upper_checksum(const struct view *view);

// True where the frame parses and each checksum is exactly the computed one; an IPv4 UDP checksum
// of 0 is right.
bool packet_good(const struct frame *frame);
