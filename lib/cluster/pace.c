#include "cluster/pace.h"

#define PACE_SHARE   8		  // of the time that passed: more than delays and real clocks make
#define PACE_WAIT_NS 500000000ULL // heartbeats may wait so long in queues

static enum pace_verdict judge(struct pace *pace, uint64_t own, uint64_t peer)
{
	uint64_t slack = own / PACE_SHARE + PACE_WAIT_NS;

	if (own <= peer + slack) {
		pace->faster = 0;
		return peer <= own + slack ? PACE_ALIKE : PACE_UNLIKE;
	}
	if (pace->faster < PACE_FASTER_MANY)
		pace->faster++;
	return pace->faster < PACE_FASTER_MANY ? PACE_UNLIKE : PACE_FASTER;
}

enum pace_verdict pace_take(struct pace *pace, uint64_t now_ns, uint64_t peer_ns)
{
	uint64_t own = now_ns - pace->own_ns, peer = peer_ns - pace->peer_ns;
	bool first = !pace->open;

	if (!first && own < PACE_WINDOW_NS && peer < PACE_WINDOW_NS)
		return PACE_NONE;
	pace->open = true;
	pace->own_ns = now_ns;
	pace->peer_ns = peer_ns;
	return first ? PACE_NONE : judge(pace, own, peer);
}
