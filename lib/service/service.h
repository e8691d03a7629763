// Services decide how a connection is handled: protected prefixes, protocol and port ranges with
// a handshake mode. The first that matches counts; a service never allows (DESIGN section 1).
#pragma once

#include "base/addr.h"
#include "flow/flow.h"
#include "pkt/options.h"
#include "rule/rule.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_NAME_BYTES   64
#define SERVICE_NONE	     UINT16_MAX
#define SERVICE_COUNT_MAX    256
#define SERVICE_PREFIXES_MAX 64
#define SERVICE_PORTS_MAX    64 // ranges

enum profile_bit {
	PROFILE_MSS = 1 << 0,
	PROFILE_WSCALE = 1 << 1,
	PROFILE_SACK = 1 << 2,
	PROFILE_TIMESTAMPS = 1 << 3,
	PROFILE_ECN = 1 << 4,
	PROFILE_ALL = (1 << 5) - 1,
};

// What the SYN/ACK announces for a service: fixed per cookie epoch, learnt from its servers'
// SYN/ACKs (TCP.md 2.13).
struct profile {
	uint16_t mss;	// bytes, as for IPv4; IPv6 headers take 20 more of the same MTU
	uint8_t wscale; // 0..14; OPTIONS_WSCALE_NONE
	bool sack;
	bool timestamps;
	bool ecn;
	uint8_t known; // enum profile_bit: shown by a server; the others are configured or a guess
};

struct port_range {
	uint16_t low, high; // both included
};

struct service {
	char name[SERVICE_NAME_BYTES];
	uint16_t id; // stable over reloads (policy_adopt); flows, counters and profiles
		     // go by it, while the order in the policy is the order of matching
	struct prefix to[SERVICE_PREFIXES_MAX];
	unsigned to_count;
	uint8_t protocol; // enum rule_protocol: RULE_TCP, RULE_UDP, RULE_ICMP or RULE_ANY
	uint8_t from;	  // enum rule_from
	uint8_t mode;	  // enum flow_mode
	struct port_range ports[SERVICE_PORTS_MAX];
	unsigned port_count;	// ranges; without one nothing matches
	uint32_t queue_bytes;	// ACK queue of one flow, and the window announced
	uint32_t flows_max;	// 0: no limit of its own
	struct profile profile; // at start; profile.mss is the configured `mss`
	bool learn;		// false: the configured profile stays
};

// The first service that matches a packet from `side` to dst:dport, or SERVICE_NONE.
uint16_t service_find(const struct service *services, unsigned count, const struct addr *dst,
	uint16_t dport, uint8_t ip_protocol, unsigned side);

// How many of the first bits of `dst` say which services are there for it: whatever shares them has
// the same, in its family.
unsigned service_deciding_bits(
	const struct service *services, unsigned count, const struct addr *dst);

// Folds what one SYN/ACK showed (now->known says of what) into what was seen before: of what both
// know the least, so that what is announced holds for every server of the service.
void profile_merge(struct profile *seen, const struct profile *now);

// What was seen replaces what was announced; the rest stays.
void profile_learn(struct profile *announced, const struct profile *seen);

// False where the services are not the same, or are configured to announce something else: what is
// known of one is not true of the other.
bool service_same_profile(const struct service *a, const struct service *b);
