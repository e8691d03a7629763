// The cluster counter of this node (DESIGN "Cluster counter"): its monotonic clock plus an offset
// that follows the other nodes, a little at a time. It never goes back.
#pragma once

#include "cookie/keyring.h"

#include <stdbool.h>
#include <stdint.h>

#define COUNTER_PEERS_MAX 15
#define COUNTER_NEAR_NS	  KEYRING_TICK_NS  // a lead up to this is followed
#define COUNTER_SANE_NS	  (UINT64_MAX / 2) // what is beyond is nobody's counter

struct cluster_counter {
	uint64_t value_ns;		     // at at_ns
	uint64_t at_ns;			     // of the monotonic clock
	uint64_t lead_ns[COUNTER_PEERS_MAX]; // how far each peer is ahead, 0: it is not
	uint64_t lag_ns;		     // how far the one that is waited for is behind
};

void counter_start(struct cluster_counter *clock, uint64_t now_ns, uint64_t value_ns);
uint64_t counter_value_ns(const struct cluster_counter *clock, uint64_t now_ns);

// What a peer's counter is. One that is ahead by at most COUNTER_NEAR_NS is caught up with at no
// more than 1.1 times the clock's speed. False: it is further ahead, and ignored.
bool counter_observe(
	struct cluster_counter *clock, uint64_t now_ns, unsigned peer, uint64_t value_ns);
// The peer is gone.
void counter_forget(struct cluster_counter *clock, uint64_t now_ns, unsigned peer);

// Goes where others are: forwards at once; where they are behind, at half speed until they have
// come near. True once both are near.
bool counter_join(struct cluster_counter *clock, uint64_t now_ns, uint64_t value_ns);
bool counter_is_near(uint64_t a_ns, uint64_t b_ns);
