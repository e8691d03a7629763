// Segments Weir makes itself. Each is made from a frame of the same flow, whose Ethernet addresses
// and tags it reuses; a reply swaps them. DESIGN "The wire".
#pragma once

#include "pkt/frame.h"
#include "pkt/options.h"
#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

#define CRAFT_TTL 64

struct craft {
	bool reply;	   // swap MACs, addresses and ports of the model
	uint8_t tcp_flags; // enum tcp_flag
	uint8_t ttl;	   // TTL or hop limit; 0: CRAFT_TTL
	uint16_t window;
	uint32_t seq;
	uint32_t ack;
	struct options options; // what options_write() shall write
};

// Bytes a crafted segment takes at most behind an L2 header of `l2_bytes` (with tags).
#define CRAFT_BYTES_MAX(l2_bytes) ((l2_bytes) + 40 + 20 + OPTIONS_BYTES_MAX)

// Writes a TCP segment without payload into out->data, which must have room for
// CRAFT_BYTES_MAX(model->l3) bytes at out->data (out->len + out->tailroom). `model` is any view
// with VIEW_TCP; out->data may be the model's own frame (in place). Sets out->len, pads nothing,
// sets IPv4 DF, identification 0, DSCP 0, no IPv4 options and no IPv6 extension headers, flow label
// as the model's unless reply. out->port is left to the caller; out->flags become 0 and
// out->tailroom follows len. Checksums are full. -ERR_MEMORY where the room is too small, else 0.
int craft_tcp(struct frame *out, const struct view *model, const struct craft *craft);

// The reset RFC 9293 3.5.2 prescribes for a segment without a connection: with ACK
// <SEQ=SEG.ACK><RST>, without <SEQ=0><ACK=SEG.SEQ+SEG.LEN><RST,ACK>. A reply to `model`.
void craft_reset_for(struct craft *craft, const struct view *model);
