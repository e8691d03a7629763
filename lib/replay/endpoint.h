// One end of a played connection: what it said in the capture, what the box said to it in this
// run, and what its packets become by the difference.
#pragma once

#include "pkt/options.h"
#include "pkt/quote.h"
#include "pkt/view.h"
#include "seq/translation.h"

#include <stdbool.h>
#include <stdint.h>

enum endpoint_bit {
	ENDPOINT_CLIENT = 1 << 0,    // sent the first SYN
	ENDPOINT_OPENED = 1 << 1,    // its SYN or SYN/ACK is known: `isn` and `own`
	ENDPOINT_SPOKE = 1 << 2,     // `end` is known
	ENDPOINT_GREETED = 1 << 3,   // the box sent it a SYN (server) or SYN/ACK (client)
	ENDPOINT_SETTLED = 1 << 4,   // its first acknowledgement left: what it is told is fixed
	ENDPOINT_ACKED = 1 << 5,     // the box sent it an ACK that is no SYN/ACK
	ENDPOINT_RESET = 1 << 6,     // the box reset it, without its peer's doing
	ENDPOINT_HAS_RESET = 1 << 7, // a RST of its own left
	ENDPOINT_LOOSE = 1 << 8,     // fragments were sent to it: how far, is not known
};

// What a SYN or SYN/ACK says.
struct offer {
	uint16_t bits;	// enum option_bit
	uint8_t wscale; // OPTIONS_WSCALE_NONE where absent
	bool ecn;
	uint32_t tsval;
};

struct endpoint {
	uint16_t bits; // enum endpoint_bit
	// As captured.
	struct offer own;
	uint32_t isn;
	uint32_t own_ack;  // of its SYN/ACK
	uint32_t end;	   // highest sequence number behind what it sent
	uint32_t peer_isn; // with ENDPOINT_SETTLED: the ISN its acknowledgements count from
	// As the box announced it.
	struct offer box;
	uint32_t box_isn;
	uint32_t box_ack;     // of the SYN/ACK
	uint32_t box_end;     // highest sequence number behind what was sent to it
	uint32_t tsval_first; // timestamps sent to it
	uint32_t tsval_last;
	// Valid with ENDPOINT_SETTLED, applied in direction TO_SERVER: an endpoint's own numbers
	// stay, what it acknowledges is shifted.
	struct translation translation;
};

void endpoint_init(struct endpoint *self, bool client);

// Its packet appeared in the capture. `options` is NULL where they are malformed.
void endpoint_spoke(struct endpoint *self, const struct view *view, const struct options *options);

// True where a packet the box sends to it opens a connection as far as it is concerned.
bool endpoint_is_greeting(const struct endpoint *self, const struct view *view);

// The box sent it a greeting, or anything else. A greeting begins its side anew; a client that has
// acknowledged one keeps that. True where it had answered another one already.
bool endpoint_greeted(
	struct endpoint *self, const struct view *view, const struct options *options);
void endpoint_heard(struct endpoint *self, const struct view *view, const struct options *options);

// True where a RST the box sends to it is one that it believes.
bool endpoint_believes_reset(const struct endpoint *self, const struct view *view);

// True where the box has sent it what its segment answers to, or what an ICMP error from its side
// quotes: a segment up to `quote_end`, in captured numbers.
bool endpoint_is_caused(const struct endpoint *self, const struct endpoint *peer,
	const struct view *view, const struct options *options);
bool endpoint_quote_is_caused(
	const struct endpoint *self, const struct endpoint *peer, uint32_t quote_end);

// Makes its segment what it would have been in this run; `options` are parsed anew where they
// changed. Checksums that were wrong stay wrong. The segment must be caused.
void endpoint_rewrite(struct endpoint *self, const struct endpoint *peer, struct view *view,
	struct options *options);
void endpoint_rewrite_quote(const struct endpoint *self, const struct endpoint *peer,
	struct view *view, struct quote *quote);

// True where the box agreed to timestamps that the captured peer refused: its segments need them.
bool endpoint_lacks_timestamps(const struct endpoint *self, const struct endpoint *peer,
	const struct view *view, const struct options *options);
