// Which hosts are on the inside: what says the side of a packet where one capture has both. Asked
// for every packet, hence without a look at services or at how long a prefix is.
#pragma once

#include "base/addr.h"
#include "pkt/view.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stdint.h>

// Ethertype, version and header length; fragment and protocol; in front of an IPv4 address.
#define INSIDE_ETHERNET_BYTES	 14
#define INSIDE_HEADERS_BYTES	 (20 + 20) // of IPv4 and TCP, at least
#define INSIDE_IP4		 0x080045
#define INSIDE_FRAGMENT_PROTOCOL 0x3fff00ff
#define INSIDE_IP4_ADDR		 0xffff00000000

// The two halves of an address.
struct inside_prefix {
	uint64_t high, low;
	uint64_t high_mask, low_mask;
};

struct inside {
	struct inside_prefix *prefixes; // those that IPv4 may lie in first
	unsigned ip4_count, count;
};

// Of these prefixes, or where there are none of the services' own. 0, or 1 where there is no
// memory.
int inside_open(struct inside *inside, const struct prefix *prefixes, unsigned count,
	const struct policy *policy);
void inside_close(struct inside *inside);

static inline bool inside_has_words(
	const struct inside *inside, uint64_t high, uint64_t low, bool ip4)
{
	unsigned count = ip4 ? inside->ip4_count : inside->count;

	for (unsigned i = 0; i < count; i++) {
		const struct inside_prefix *prefix = &inside->prefixes[i];

		if ((((high ^ prefix->high) & prefix->high_mask) |
			    ((low ^ prefix->low) & prefix->low_mask)) == 0)
			return true;
	}
	return false;
}

static inline bool inside_has(const struct inside *inside, const struct addr *addr)
{
	return inside_has_words(
		inside, be64_get(addr->b), be64_get(addr->b + 8), addr_is_ip4(addr));
}

// The same of the source of what most frames are, TCP in IPv4 without options, as view_parse()
// finds it. False, and nothing said, of others.
static inline bool inside_has_source(
	const struct inside *inside, const uint8_t *data, unsigned len, bool *has)
{
	const uint8_t *ip = data + INSIDE_ETHERNET_BYTES;
	unsigned ip_bytes, tcp_header_bytes;

	if (len < INSIDE_ETHERNET_BYTES + INSIDE_HEADERS_BYTES ||
		be32_get(ip - 2) >> 8 != INSIDE_IP4 ||
		(be32_get(ip + 6) & INSIDE_FRAGMENT_PROTOCOL) != PROTOCOL_TCP)
		return false;
	ip_bytes = be16_get(ip + 2);
	tcp_header_bytes = (ip[20 + 12] >> 4) * 4u;
	if (tcp_header_bytes < 20 || ip_bytes < 20 + tcp_header_bytes ||
		ip_bytes > len - INSIDE_ETHERNET_BYTES)
		return false;
	*has = inside_has_words(inside, 0, INSIDE_IP4_ADDR | be32_get(ip + 12), true);
	return true;
}
