// The flow entry. One owner worker reads and writes it; everyone else sends messages.
// Two cache lines: who it is and how its packets are translated is in the first, what TCP is judged
// by in the second.
#pragma once

#include "base/cpu.h"
#include "flow/key.h"
#include "seq/translation.h"
#include "tcp/track.h"

#include <stddef.h>
#include <stdint.h>

#define FLOW_NONE UINT32_MAX

enum flow_mode {
	MODE_PROXY = 0,
	MODE_MSYN,
	MODE_TRACK,
	MODE_BYPASS,
};

// "proxy" "msyn" "track" "bypass"; NULL outside the range.
const char *flow_mode_name(enum flow_mode mode);

enum flow_copy {
	COPY_OWN = 0, // this node created it
	COPY_FINDER,
	COPY_BACKUP,
};

enum flow_bit {
	FLOW_CLIENT_INSIDE = 1 << 0, // the client is the host on the inside
	FLOW_CONFIRMED = 1 << 1,     // the server answered (TCP: SYN/ACK; UDP, ICMP: any reply)
	FLOW_OPENING = 1 << 2,	     // `opening` names a half-open context (proxy)
	FLOW_HALF = 1 << 3,	     // one direction is seen elsewhere (TCP.md 4.0)
	FLOW_COUNTED = 1 << 4,	     // counted in its source prefix's limit
	FLOW_RESYN = 1 << 5,	     // `track`, `msyn`: a SYN was challenged (resyn.c)
	FLOW_PROVEN = 1 << 6,	     // counted among those whose client proved its address
	FLOW_DIRTY = 1 << 7,	     // a partner missed something about it
};

struct flow {
	struct flow_key key;		// 40
	struct translation translation; // 16
	uint32_t last_ms;		// last packet that refreshed it (engine's clock)
	uint8_t mode;			// enum flow_mode
	uint8_t bits;			// enum flow_bit
	uint8_t copy;			// enum flow_copy
	uint8_t challenges : 5;		// challenged segments since challenge_s (rate limit, 4.1)
	uint8_t fins : 2;		// that passed here, by direction: nothing follows them
	uint8_t superseded : 1;		// the server answered a SYN of another node's
	// --- the second line ---
	struct tcp_track track; // 32; UDP and ICMP use .state and .bits only
	union {
		uint32_t opening; // with FLOW_OPENING: index of the half-open context
		uint32_t past;	  // without: a cookie served here before `cookie`, or FLOW_NONE
	};
	uint32_t helper;      // index of helper or translation state, FLOW_NONE
	uint32_t incarnation; // when it began: the cluster counter, in 1/4096 of a tick
	uint32_t cookie;      // ISN of the server's side as the client knows it (replay)
	uint32_t isn_client;
	uint16_t service;     // index in the policy, SERVICE_NONE
	uint16_t owner;	      // node id
	uint16_t generation;  // of the handshake part
	uint16_t challenge_s; // second of `challenges`; UDP, ICMP, other: when it was told last
	uint8_t prefix4;      // bits its prefix was counted with: a reload may change them
	uint8_t prefix6;
	uint16_t partner; // node an own flow was shared with; NODE_NONE, NODE_ALL
} CPU_ALIGNED;
_Static_assert(offsetof(struct flow, track) == CPU_CACHE_LINE_BYTES, "TCP's is the second line");
_Static_assert(sizeof(struct flow) == 128, "two cache lines");

// Both lines.
static inline void flow_prefetch(const struct flow *flow)
{
	cpu_prefetch(flow);
	cpu_prefetch(&flow->track);
}

// Side the client is on.
static inline enum side flow_client_side(const struct flow *flow)
{
	return flow->bits & FLOW_CLIENT_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

// Direction of a packet that arrived on `side`.
static inline enum direction flow_direction(const struct flow *flow, enum side side)
{
	return side == flow_client_side(flow) ? TO_SERVER : TO_CLIENT;
}
