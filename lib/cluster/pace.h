// How fast this node's clock runs beside a peer's: heartbeats say what time it is there. Who is
// right of two is not to be known; that one runs faster is.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_WINDOW_NS	 2000000000ULL // one judgement each
#define PACE_FASTER_MANY 3	       // windows; in one alone, the other may have been paused

enum pace_verdict {
	PACE_NONE,  // too early to say
	PACE_ALIKE, // of the latest window
	PACE_UNLIKE,
	PACE_FASTER, // than the peer's, in window after window
};

// All zero: nothing was heard.
struct pace {
	bool open;
	uint8_t faster;		  // windows one after the other
	uint64_t own_ns, peer_ns; // when the window began, by both clocks
};

// A heartbeat of `peer_ns` by the peer's clock came.
enum pace_verdict pace_take(struct pace *pace, uint64_t now_ns, uint64_t peer_ns);
