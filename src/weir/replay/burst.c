#include "weir/replay/burst.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_BYTES ((size_t)BOX_FRONT + UINT16_MAX + BOX_BACK + 3 * BURST_LINE_BYTES)

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

static bool has_flow(const struct burst *burst, uint64_t flow)
{
	for (unsigned i = 0; i < burst->count; i++)
		if (burst->flows[i] == flow)
			return true;
	return false;
}

static bool is_plain(const struct view *view)
{
	return (view->bits & (VIEW_TCP | VIEW_UDP)) && !(view->bits & VIEW_FRAGMENT);
}

static bool is_one_each(const struct burst *burst, const struct view *view)
{
	return (burst->one_each && (view->bits & VIEW_TCP)) || (burst->apart && is_plain(view));
}

// A connection becomes half open by the packet that proves its cookie. The SYN/ACK that opens it,
// in the same turn, would leave what follows queued up to the end of the turn instead of forwarded.
bool burst_suits(const struct burst *burst, const struct replay_packet *packet)
{
	const struct view *view = &packet->view;

	if (burst->count > 0 && burst->lonely)
		return false;
	if (burst->apart && burst->count > 0 && (packet->side != burst->side || !is_plain(view)))
		return false;
	if (is_one_each(burst, view))
		return !has_flow(burst, flow_number(view));
	if (!burst->proxies || !(view->bits & VIEW_TCP) ||
		(view->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
		return true;
	return !has_flow(burst, flow_number(view));
}

struct frame *burst_room(struct burst *burst)
{
	struct frame *frame = &burst->frames[0];

	*frame = (struct frame){
		.data = burst->rooms + BOX_FRONT, .headroom = BOX_FRONT, .tailroom = UINT16_MAX};
	return frame;
}

void burst_take(struct burst *burst, uint64_t at_ns)
{
	struct frame *frame = &burst->frames[0];

	frame->tailroom = BOX_BACK;
	burst->at_ns[0] = at_ns;
	burst->lens[0] = frame->len;
	burst->flows[0] = 0;
	burst->count = 1;
	burst->side = frame->port;
}

void burst_mark(struct burst *burst, unsigned i, const struct view *view)
{
	if (is_one_each(burst, view) || (burst->proxies && may_prove(view)))
		burst->flows[i] = flow_number(view);
	burst->lonely = burst->apart && !is_plain(view);
}
