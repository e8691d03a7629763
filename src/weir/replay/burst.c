#include "weir/replay/burst.h"

#include <stdlib.h>
#include <string.h>

// Not a power of two apart, or the packets of a turn would share the same cache lines.
#define ROOM_BYTES ((size_t)BOX_FRONT + UINT16_MAX + BOX_BACK + 65)

int burst_open(struct burst *burst, unsigned most, const struct policy *policy)
{
	*burst = (struct burst){.most = most};
	for (unsigned i = 0; i < policy->service_count; i++)
		burst->proxies |= policy->services[i].mode == MODE_PROXY;
	burst->rooms = malloc(BOX_BURST_MAX * ROOM_BYTES);
	return burst->rooms == NULL;
}

void burst_close(struct burst *burst)
{
	free(burst->rooms);
	burst->rooms = NULL;
}

// The same number for both directions of a connection. Others may share it: that only ends a turn
// early.
static uint64_t end_number(const struct addr *addr, uint16_t port)
{
	uint64_t high, low;

	memcpy(&high, addr->b, sizeof(high));
	memcpy(&low, addr->b + sizeof(high), sizeof(low));
	return (high * 0x9e3779b97f4a7c15 + low + port) * 0xff51afd7ed558ccd;
}

static uint64_t flow_number(const struct view *view)
{
	return (end_number(&view->src, view->sport) + end_number(&view->dst, view->dport)) | 1;
}

static bool may_prove(const struct view *view)
{
	return (view->bits & VIEW_TCP) &&
	       (view->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
}

// A connection becomes half open by the packet that proves its cookie. The SYN/ACK that opens it,
// in the same turn, would leave what follows queued up to the end of the turn instead of forwarded.
bool burst_fits(const struct burst *burst, const struct replay_packet *packet)
{
	uint64_t flow;

	if (burst->count == burst->most)
		return false;
	if (!burst->proxies || !(packet->view.bits & VIEW_TCP) ||
		(packet->view.tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
		return true;
	flow = flow_number(&packet->view);
	for (unsigned i = 0; i < burst->count; i++)
		if (burst->flows[i] == flow)
			return false;
	return true;
}

struct frame *burst_add(struct burst *burst, const struct replay_packet *packet, uint64_t at_ns)
{
	unsigned i = burst->count++;

	burst->frames[i] = (struct frame){.data = burst->rooms + i * ROOM_BYTES + BOX_FRONT,
		.len = packet->len,
		.headroom = BOX_FRONT,
		.tailroom = BOX_BACK,
		.port = packet->side,
		.flags = packet->truncated ? FRAME_TRUNCATED : 0};
	memcpy(burst->frames[i].data, packet->data, packet->len);
	burst->at_ns[i] = at_ns;
	burst->lens[i] = packet->len;
	burst->flows[i] =
		burst->proxies && may_prove(&packet->view) ? flow_number(&packet->view) : 0;
	return &burst->frames[i];
}
