// Addresses and ports as a cookie hashes them: from the client's (SYN sender's) point of view.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/siphash.h"

#include <stdbool.h>
#include <stdint.h>

struct tuple {
	struct addr src;
	struct addr dst;
	uint16_t sport; // host order
	uint16_t dport;
};

// Message bytes of the keyed hash: IPv4 4+4+2+2, IPv6 16+16+2+2, all big-endian, then `extra`
// (e.g. the ISN). An IPv4 tuple plus ISN is exactly 16 bytes. Returns the length.
#define TUPLE_BYTES_MAX (36 + 8)
unsigned tuple_bytes(uint8_t out[TUPLE_BYTES_MAX], const struct tuple *tuple, uint32_t extra);

// SipHash-2-4 of these bytes.
uint64_t tuple_hash(struct siphash_key key, const struct tuple *tuple, uint32_t extra);

// The same bytes with another `extra` of the same tuple.
static inline void tuple_bytes_extra(uint8_t *bytes, unsigned len, uint32_t extra)
{
	be32_put(bytes + len - 4, extra);
}

// SipHash-2-4 of up to TUPLES_MAX such messages at once, for less than one by one.
#define TUPLES_MAX SIPHASH_LANES
struct tuple_messages {
	uint8_t bytes[TUPLES_MAX][TUPLE_BYTES_MAX];
	unsigned lens[TUPLES_MAX];
	unsigned count;
};
void tuple_messages_hash(
	struct siphash_key key, const struct tuple_messages *messages, uint64_t *hashes);

// The hashes of tuples.
void tuple_hashes(struct siphash_key key, const struct tuple *tuples, const uint32_t *extras,
	unsigned count, uint64_t *hashes);

// True where both addresses are IPv4.
static inline bool tuple_is_ip4(const struct tuple *tuple)
{
	return addr_is_ip4(&tuple->src) && addr_is_ip4(&tuple->dst);
}
