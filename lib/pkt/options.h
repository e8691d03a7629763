// TCP options: parsed into values and offsets, and written for the segments Weir makes itself.
#pragma once

#include "pkt/view.h"

#include <stdint.h>

enum option_bit {
	OPTION_MSS = 1 << 0,
	OPTION_WSCALE = 1 << 1,
	OPTION_SACK_OK = 1 << 2,
	OPTION_SACK = 1 << 3,
	OPTION_TIMESTAMPS = 1 << 4,
	OPTION_FAST_OPEN = 1 << 5, // kind 34 (RFC 7413)
	OPTION_SIGNED = 1 << 6,	   // kind 19 or 29 (RFC 2385, 5925)
	OPTION_MPTCP = 1 << 7,	   // kind 30 (RFC 8684)
};

#define OPTIONS_WSCALE_MAX  14 // RFC 7323 2.3
#define OPTIONS_WSCALE_NONE 15 // "not offered": not the same as shift 0
#define OPTIONS_BYTES_MAX   40
#define OPTIONS_SACK_MAX    4

struct options {
	uint16_t bits;		// enum option_bit
	uint16_t mss;		// bytes; 0 where absent. An offer of 0 counts as absent
	uint8_t wscale;		// 0..14; OPTIONS_WSCALE_NONE where absent
	uint8_t sack_count;	// blocks
	uint16_t sack_at;	// offset of the first block's left edge from frame->data
	uint16_t timestamps_at; // offset of TSval from frame->data
	uint16_t fast_open_at;	// offset of the kind byte from frame->data
	uint32_t tsval;
	uint32_t tsecr;
};

// Walks the options of a view that has VIEW_TCP. EOL ends, NOP skips, the first of duplicates wins,
// unknown kinds are skipped by their length, a shift above 14 becomes 14. A SACK, SACK-permitted,
// timestamps, MSS or window-scale option with another length than its own counts as malformed.
// 0 or -ERR_MALFORMED: the options before the bad one are in `options`. TCP.md 2.1-2.3, 2.6.
int options_parse(struct options *options, const struct view *view);

// The same of the bytes from data + from up to data + to, for a TCP header that is no view's own.
int options_parse_range(struct options *options, const uint8_t *data, uint16_t from, uint16_t to);

// The same again, option by option: what the short cuts of the others for the usual layouts must
// agree with.
int options_walk_range(struct options *options, const uint8_t *data, uint16_t from, uint16_t to);

// Overwrites every whole option of a kind enum option_bit knows with NOP, the checksum follows; the
// walk ends where options_parse() would.
void options_strip(struct view *view, uint16_t bits);

// Writes MSS (if bits has OPTION_MSS), SACK permitted, timestamps and window scale, in this order,
// NOP-padded to a multiple of 4, without any other padding: what we answer is then never longer
// than what offered it. A window scale of OPTIONS_WSCALE_NONE is not written. Returns the number of
// bytes written, at most OPTIONS_BYTES_MAX.
unsigned options_write(uint8_t out[OPTIONS_BYTES_MAX], const struct options *options);
