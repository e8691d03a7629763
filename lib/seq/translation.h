// Translation of an established connection's segments: sequence and acknowledgement numbers, every
// SACK edge, timestamps, window scale, and what the server turned out to lack.
// TCP.md 2.3-2.8, 2.13.
//
//   server -> client   seq += d   ack -= e   SACK edges -= e   TSval += ts_offset
//   client -> server   seq += e   ack -= d   SACK edges -= d   TSecr -= ts_offset
#pragma once

#include "base/reason.h"
#include "pkt/options.h"
#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

enum translation_bit {
	TRANSLATE_TIMESTAMPS = 1 << 0, // negotiated: ts_offset applies
	TRANSLATE_SACK_STRIP = 1 << 1, // the server lacks SACK: client's blocks become NOP
	TRANSLATE_ECN_STRIP = 1 << 2,  // the server lacks ECN: client's ECT is cleared
	TRANSLATE_WINDOW = 1 << 3,     // rescale windows as below
};

// Window on the wire w becomes: w == 0 ? 0 : clamp(max(1, (w << left) >> right), 65535).
struct rescale {
	uint8_t left : 4;
	uint8_t right : 4;
};

struct translation {
	uint32_t d;
	uint32_t e;
	uint32_t ts_offset;
	uint8_t bits;		  // enum translation_bit
	struct rescale to_client; // left = server's shift, right = the shift we announced
	struct rescale to_server; // left = client's shift where the server has none, else 0
	uint8_t spare;
};
_Static_assert(sizeof(struct translation) == 16, "one quarter of a cache line");

enum direction {
	TO_SERVER = 0,
	TO_CLIENT = 1,
};

// The rescaled window. TCP.md 2.4.
uint16_t translation_window(struct rescale rescale, uint16_t window);

// Sequence number and acknowledgement of a segment as the client sees them.
static inline uint32_t translation_client_seq(
	const struct translation *t, enum direction dir, uint32_t seq)
{
	return dir == TO_CLIENT ? seq + t->d : seq;
}

static inline uint32_t translation_client_ack(
	const struct translation *t, enum direction dir, uint32_t ack)
{
	return dir == TO_CLIENT ? ack - t->e : ack;
}

// Translates a TCP segment in place. `options` are the segment's own, parsed by options_parse(),
// and are not read where it returned an error (pass NULL then: header fields only). SYN windows are
// never rescaled. A segment without ACK keeps ack and TSecr. A RST without timestamps is fine.
void translation_apply(const struct translation *t, enum direction dir, struct view *view,
	const struct options *options);

// True where nothing would change, so a caller may skip parsing options.
bool translation_is_identity(const struct translation *t);
