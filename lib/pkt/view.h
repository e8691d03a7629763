// The view: every header of a frame parsed once, with bits that say what is there. This is the only
// place (with options.c and quote.c) that turns a packet's untrusted bytes into values; consumers
// test the bit, then use the field. Offsets count from frame->data.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/reason.h"
#include "pkt/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum view_bit {
	VIEW_IP4 = 1 << 0,
	VIEW_IP6 = 1 << 1,
	VIEW_TCP = 1 << 2,	    // TCP header complete: ports, seq, ack, flags, window, options
	VIEW_UDP = 1 << 3,	    // UDP header complete
	VIEW_ICMP = 1 << 4,	    // ICMPv4 or ICMPv6 of the packet's family, 8 bytes complete
	VIEW_FRAGMENT = 1 << 5,	    // any fragment; an atomic IPv6 fragment is not one (RFC 6946)
	VIEW_FIRST = 1 << 6,	    // with VIEW_FRAGMENT: offset 0
	VIEW_IP_OPTIONS = 1 << 7,   // IPv4 options are present
	VIEW_SOURCE_ROUTE = 1 << 8, // LSRR or SSRR among them, or an IPv6 routing header type 0
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

enum ip_protocol {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ICMP6 = 58,
};

#define VIEW_TAGS_MAX	    4 // VLAN tags walked before giving up
#define VIEW_EXTENSIONS_MAX 8 // IPv6 extension headers walked before giving up

struct view {
	uint8_t *data;	    // = frame->data
	uint16_t bits;	    // enum view_bit; 0 for a frame that is not IP
	uint16_t ethertype; // behind the tags
	uint16_t l3;	    // offset of the IP header; also the length of the L2 header with tags
	uint16_t l4; // offset of the upper-layer header (valid with any of TCP UDP ICMP, and for
		     // a later fragment: of its data)
	uint16_t payload;  // offset of the upper layer's data
	uint16_t end;	   // offset behind the IP packet: Ethernet padding is not payload
	uint16_t limit;	   // offset behind the packet's bytes that are there: end, unless
			   // FRAME_TRUNCATED cut it. Every other offset is at most this
	uint8_t protocol;  // upper-layer protocol number, behind IPv6 extension headers
	uint8_t ttl;	   // TTL or hop limit
	uint8_t tcp_flags; // enum tcp_flag (the low 8 bits)
	uint8_t tcp_ae;	   // the AE bit (RFC 9768): 0 or 1
	uint8_t icmp_type;
	uint8_t icmp_code;
	uint16_t icmp_id; // identifier of an echo or other query
	uint16_t sport;	  // host order
	uint16_t dport;
	uint16_t window; // as on the wire
	uint32_t seq;
	uint32_t ack;
	struct addr src;
	struct addr dst;
};

// Parses frame into view. REASON_NONE, or why the frame must be dropped: malformed (length fields
// that contradict each other or the frame, doff < 5, more than VIEW_TAGS_MAX tags ...),
// bad_address (never: that is policy, see view_check_addresses), bad_option (bad IPv4 options).
// A frame that is not IP parses to bits = 0. A fragment without its upper-layer header parses
// without the upper-layer bit. An upper-layer header cut short in an unfragmented packet, or by
// FRAME_TRUNCATED, is malformed. IPv6 jumbograms are malformed. TCP.md 2.1, 6.3, 6.4; RFC 791,
// 8200, 9293.
enum reason view_parse(struct view *view, const struct frame *frame);

// The same without the short cut for what usually arrives, which must agree with it.
enum reason view_parse_any(struct view *view, const struct frame *frame);

// Checks the IPv4 header checksum and the TCP, UDP or ICMP checksum unless the device has
// (frame->flags), or the packet is a fragment. IPv4 UDP checksum 0 is fine, IPv6 UDP 0 is not.
// REASON_NONE or REASON_bad_checksum. A FRAME_TRUNCATED frame's L4 checksum is not checked.
enum reason view_verify(const struct view *view, const struct frame *frame);

// The same without the short cut for TCP in IPv4, which must agree with it.
enum reason view_verify_any(const struct view *view, const struct frame *frame);

// Sources that cannot be (multicast, broadcast, loopback, unspecified), the LAND packet
// (source = destination with equal ports), TCP or UDP port 0. TCP.md 1.1. REASON_NONE or
// REASON_bad_address. DHCP (UDP source 0.0.0.0 to 255.255.255.255), IPv6 unspecified sources of
// ICMPv6 (duplicate address detection) and multicast destinations, except of TCP (RFC 9293
// MUST-57), are legal. Loopback and unspecified destinations are not; nor is an IPv4-mapped address
// in an IPv6 header, which struct addr could not tell from the IPv4 address.
enum reason view_check_addresses(const struct view *view);

// All three at once, view_parse(), view_verify() and view_check_addresses(), where nothing is wrong
// and the frame is one of the usual kind: then true, and `view` as view_parse() makes it. Else they
// must be asked; `view` is of no use.
bool view_take_usual(struct view *view, const struct frame *frame);

// Bytes of TCP payload.
static inline uint16_t view_payload_len(const struct view *view)
{
	return (uint16_t)(view->end - view->payload);
}

// True for a SYN that opens something: SYN without ACK, and nothing that contradicts it.
static inline bool view_is_first_syn(const struct view *view)
{
	return (view->bits & (VIEW_TCP | VIEW_FRAGMENT)) == VIEW_TCP &&
	       (view->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

// True for a segment without data that neither opens nor ends anything.
static inline bool view_is_bare_ack(const struct view *view)
{
	return (view->bits & VIEW_TCP) && view_payload_len(view) == 0 &&
	       (view->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) == 0;
}

// The addresses, ports and sequence number of a segment where they follow each other in the frame:
// NULL where IP options or extension headers stand in between.
static inline const uint8_t *view_tuple_bytes(const struct view *view)
{
	const uint8_t *upper = view->data + view->l4;
	int header_bytes = view->l4 - view->l3;

	if (view->bits & VIEW_IP4)
		return header_bytes == 20 ? upper - 2 * 4 : NULL;
	return header_bytes == 40 ? upper - 2 * ADDR_BYTES : NULL;
}

// SEG.LEN of RFC 9293: payload plus one for SYN and for FIN.
static inline uint32_t view_seg_len(const struct view *view)
{
	return (uint32_t)view_payload_len(view) + ((view->tcp_flags & TCP_SYN) != 0) +
	       ((view->tcp_flags & TCP_FIN) != 0);
}

// True for ICMP errors, which quote the packet they are about.
bool view_is_icmp_error(const struct view *view);

// True for ICMP queries and their replies (echo, timestamp), which have an identifier.
bool view_is_icmp_query(const struct view *view);

// The same of a type, in the family of `bits` (VIEW_IP4 or VIEW_IP6).
bool view_icmp_type_is_query(uint16_t bits, uint8_t icmp_type);

// Sum (checksum.h) of the pseudo-header and the whole upper layer, its checksum field included, of
// an unfragmented packet with VIEW_TCP, VIEW_UDP or VIEW_ICMP whose bytes are all there.
uint64_t view_sum_upper(const struct view *view);

// Offset of the upper layer's checksum field; one of VIEW_TCP, VIEW_UDP, VIEW_ICMP must be set.
uint16_t view_checksum_at(const struct view *view);
