// The walk over IPv6 extension headers (RFC 8200 4), for view.c and quote.c only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define IP6_HEADER_BYTES 40

enum ip6_walk {
	IP6_WALK_WHOLE, // `next` is no extension header, or a later fragment's data begins at `at`
	IP6_WALK_SHORT, // the chain goes on behind `limit`
	IP6_WALK_BAD,	// too many headers, a second fragment header, a misplaced hop-by-hop header
};

struct ip6_chain {
	uint16_t at;	      // offset of the header `next` tells the type of
	uint8_t next;	      // protocol number of it
	bool source_route;    // a routing header of type 0 was there
	uint16_t fragment_at; // offset behind the fragment header; 0: none was there
	uint16_t fragment;    // its offset and flags, as on the wire: offset * 8 + M
};

// Byte offset and "more follow" of a fragment header; both 0 in an atomic fragment (RFC 6946).
#define IP6_FRAGMENT_OFFSET 0xfff8
#define IP6_FRAGMENT_MORE   0x0001

// Walks from chain->at and chain->next, which the caller sets, reading no byte at or behind
// `limit`.
enum ip6_walk ip6_walk(struct ip6_chain *chain, const uint8_t *data, uint16_t limit);
