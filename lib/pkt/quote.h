// The packet quoted in an ICMP error (RFC 792, 4443, 5508), parsed as far as it is there.
#pragma once

#include "pkt/view.h"

enum quote_bit {
	QUOTE_PORTS = 1 << 0,	   // 4 bytes of the upper layer: ports (TCP, UDP) or the ICMP query
	QUOTE_SEQ = 1 << 1,	   // 8 bytes: TCP sequence number
	QUOTE_ACK = 1 << 2,	   // 12 bytes: TCP acknowledgement
	QUOTE_CHECKSUM = 1 << 3,   // 18 bytes: TCP checksum (8 of UDP)
	QUOTE_TIMESTAMPS = 1 << 4, // the whole options, with timestamps
};

struct quote {
	uint16_t bits; // enum quote_bit
	uint16_t l3;   // offsets from frame->data
	uint16_t l4;
	uint16_t timestamps_at; // of TSval
	uint8_t protocol;
	uint8_t tcp_flags; // valid with 14 bytes (QUOTE_ACK and two more), else 0
	uint16_t sport;
	uint16_t dport;
	uint16_t icmp_id;
	uint32_t seq;
	uint32_t ack;
	uint32_t mtu; // of "fragmentation needed" / "packet too big", else 0
	struct addr src;
	struct addr dst;
};

// Parses what a view with view_is_icmp_error() quotes. 0 or -ERR_MALFORMED (no whole IP header and
// 8 bytes behind it, another family, a later fragment).
int quote_parse(struct quote *quote, const struct view *view);

// Adds to the quoted TCP sequence and acknowledgement numbers and, where present, timestamps, and
// mends the quoted TCP checksum (if QUOTE_CHECKSUM) and the outer ICMP checksum by their deltas.
// TCP.md 5.1.
struct quote_shift {
	uint32_t seq, ack, tsval, tsecr; // added modulo 2^32
};
void quote_translate(struct view *view, struct quote *quote, const struct quote_shift *shift);
