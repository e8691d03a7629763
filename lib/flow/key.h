// The flow key: who is outside, who is inside. The port of arrival says which end of a packet is
// which, so both directions make the same key and no order has to be chosen. IMMUTABLE while in a
// table.
#pragma once

#include "base/addr.h"
#include "base/siphash.h"
#include "cookie/tuple.h"
#include "pkt/quote.h"
#include "pkt/view.h"

#include <stdbool.h>
#include <stdint.h>

enum side {
	SIDE_OUTSIDE = 0,
	SIDE_INSIDE = 1,
};

struct flow_key {
	struct addr outer;   // host on the outside
	struct addr inner;   // host on the inside
	uint16_t outer_port; // host order; an ICMP query has its identifier in both
	uint16_t inner_port;
	uint8_t protocol;
	uint8_t zero[3]; // hashed: always 0
};
_Static_assert(sizeof(struct flow_key) == 40, "hashed as bytes: no padding");

// Key of a packet that arrived on `side`.
void flow_key_from_view(struct flow_key *key, const struct view *view, enum side side);

// Key of the flow an ICMP error that arrived on `side` is about: the quoted packet went the other
// way.
void flow_key_from_quote(struct flow_key *key, const struct quote *quote, enum side side);

// Tuple of a packet sent by the host on `side`.
void flow_key_tuple(struct tuple *out, const struct flow_key *key, enum side side);

bool flow_key_equal(const struct flow_key *a, const struct flow_key *b);

// Keyed hash (SipHash-1-3) of 48 bits: bits 48-63 repeat bits 16-31, so that what another node
// sends as a digest of 6 bytes is enough to look a flow up. Bits 0-31 index tables, 32-47 are the
// tag, the top bits (31 downwards) choose the worker.
uint64_t flow_key_hash(struct siphash_key hash_key, const struct flow_key *key);

// The same of several keys, 1..FLOW_KEYS_MAX at once, for less than one by one.
#define FLOW_KEYS_MAX SIPHASH_LANES
void flow_key_hashes(struct siphash_key hash_key, const struct flow_key *const keys[FLOW_KEYS_MAX],
	unsigned count, uint64_t hashes[FLOW_KEYS_MAX]);

// The worker that owns a flow: 0..workers-1. The only place where this is decided (DESIGN "Types of
// the seam"). Of bits 48-63 alone, because a digest keeps no others of the upper half.
static inline unsigned flow_worker(uint64_t hash, unsigned workers)
{
	return (unsigned)(((hash >> 48) * workers) >> 16);
}

#define FLOW_DIGEST_BYTES 6

// Names an incarnation of a flow on the wire: the hash, its tag mixed with the incarnation (0 where
// that is not known). 48 bits; `hash` is flow_key_hash() with the key of the node that looks it up.
static inline uint64_t flow_digest(uint64_t hash, uint32_t incarnation)
{
	uint64_t folded = (incarnation * 0x9e3779b1u) >> 16;

	return (hash ^ folded << 32) & 0xffffffffffffu;
}

// A hash with the low 32 bits and the worker of the flow a digest names.
static inline uint64_t flow_digest_hash(uint64_t digest)
{
	return (digest & 0xffffffffu) | (digest >> 16 & 0xffff) << 48;
}
