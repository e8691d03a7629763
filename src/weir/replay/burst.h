// Packets that are offered to the engine in one turn, copied to where it may edit them.
//
// A turn must not change what comes of them: whoever offers them one by one gets the same frames.
// Within a turn the engine decides frame by frame, and at its end lets go what half-open
// connections have queued. So while there are any, packets are offered one by one
// (box_is_opening()), and one that could open a connection which became half open in the same turn
// has to wait for the next (burst_fits()). Of two nodes a turn has packets of one side, and of each
// flow one; what may be about another flow than its own addresses say is alone in it.
#pragma once

#include "weir/replay/box.h"
#include "weir/replay/packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BURST_LINE_BYTES 64 // of a cache

struct burst {
	unsigned most; // packets of one turn
	unsigned count;
	bool proxies;  // some service proves its clients by cookies
	bool one_each; // what a packet is may depend on what became of its connection's last one
	bool apart;    // each side is another node's, and nodes talk between turns
	bool lonely;   // nothing may come behind the last one
	uint8_t side;  // the first one arrives on
	struct frame frames[BOX_BURST_MAX];
	struct verdict verdicts[BOX_BURST_MAX];
	uint64_t at_ns[BOX_BURST_MAX]; // when each is offered, of the replay
	uint16_t lens[BOX_BURST_MAX];  // as offered
	uint64_t flows[BOX_BURST_MAX]; // of those that may prove a cookie, or of all with one_each,
				       // else 0
	uint8_t *rooms;
	size_t used; // of the rooms
};

// The rest is set by the caller. 0, or 1 where there is no memory for it.
int burst_open(struct burst *burst, unsigned most, const struct policy *policy);
void burst_close(struct burst *burst);

// True where what packets are decides on turns: else nobody looks at their views.
static inline bool burst_minds(const struct burst *burst)
{
	return burst->proxies || burst->one_each || burst->apart;
}

// The same of burst_fits(), where burst_minds() and there is room.
bool burst_suits(const struct burst *burst, const struct replay_packet *packet);

// True where the packet may be offered in the same turn as those before it.
static inline bool burst_fits(const struct burst *burst, const struct replay_packet *packet)
{
	return burst->count < burst->most && (!burst_minds(burst) || burst_suits(burst, packet));
}

// Where the next packet of an empty burst goes that is no packet of the capture; then, when it is
// there, that packet.
struct frame *burst_room(struct burst *burst);
void burst_take(struct burst *burst, uint64_t at_ns);

// What there is to know of packet `i`, where burst_minds().
void burst_mark(struct burst *burst, unsigned i, const struct view *view);

// One behind another: few pages, and few lines of the cache. An odd number of lines each, or all of
// them would have the same places there.
static inline uint8_t *burst_make_room(struct burst *burst, unsigned len)
{
	uint8_t *data = burst->rooms + burst->used + BOX_FRONT;
	unsigned pairs = (BOX_FRONT + len + BOX_BACK) / (2 * BURST_LINE_BYTES);

	burst->used += (size_t)(2 * pairs + 3) * BURST_LINE_BYTES;
	return data;
}

// Copies the packet; there must be room. Returns its frame.
static inline struct frame *burst_add(
	struct burst *burst, const struct replay_packet *packet, uint64_t at_ns)
{
	unsigned i = burst->count++;
	struct frame *frame = &burst->frames[i];

	if (i == 0) {
		burst->used = 0;
		burst->side = packet->side;
	}
	*frame = (struct frame){.data = burst_make_room(burst, packet->len),
		.len = packet->len,
		.headroom = BOX_FRONT,
		.tailroom = BOX_BACK,
		.port = packet->side,
		.flags = packet->truncated ? FRAME_TRUNCATED : 0};
	burst->at_ns[i] = at_ns;
	burst->lens[i] = packet->len;
	burst->flows[i] = 0;
	if (burst_minds(burst))
		burst_mark(burst, i, &packet->view);
	memcpy(frame->data, packet->data, packet->len);
	return frame;
}
