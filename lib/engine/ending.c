// The end of a connection (TCP.md 3.9, 4.4): what may still be of it once both ends have closed.
//
// The entry stays, as the end of the connection needs what it knows: the last segments may come
// again. But the client may go on with its next connection at another node, and what that one's
// server, or the client itself, then sends through this node would be translated as the old one's
// was, into numbers that fit: bytes at the wrong place of a stream. So nothing passes beyond a FIN
// that passed here (flow->fins). A FIN that only others saw, or that a node which saw nothing else
// of the direction let through, is no reason to drop: it may have been anybody's.
#include "engine/internal.h"

#include "base/serial.h"
#include "tcp/window.h"

// What other nodes tell of a FIN is no reason to drop: it may have been anybody's.
static bool has_passed_fin(const struct flow *flow, enum direction dir)
{
	return (flow->fins >> dir & 1u) != 0;
}

// True for a number that is not at the end of a direction whose FIN passed here, where `window`
// bytes may still be repeated or acknowledged.
static bool is_off(const struct flow *flow, enum direction dir, uint32_t number, uint32_t window)
{
	return has_passed_fin(flow, dir) && flow->track.sender[dir].end - number > window;
}

bool ending_is_beyond(
	const struct flow *flow, enum direction dir, const struct tcp_segment *segment)
{
	enum direction back = direction_back(dir);

	if (!entry_has_ended(flow) || (segment->flags & (TCP_SYN | TCP_RST)) ||
		translation_is_identity(&flow->translation))
		return false;
	return is_off(flow, dir, segment->seq + segment->len, window_bound(&flow->track, back)) ||
	       is_off(flow, back, segment->ack, window_bound(&flow->track, dir));
}

// True for the first FIN of a direction that was seen here before, about where that one was:
// anybody may send one to a node that saw nothing of the connection, and where a shift is not known
// the window is no bound.
static bool is_real_fin(
	const struct flow *flow, enum direction dir, const struct tcp_segment *segment)
{
	const struct tcp_track *track = &flow->track;

	return (segment->flags & TCP_FIN) && track_seen(track, dir) &&
	       !(track->bits & track_bit(TRACK_FIN_CLIENT, dir)) &&
	       segment->seq - track->sender[dir].end + UINT16_MAX <= 2u * UINT16_MAX;
}

struct tcp_result ending_judge(
	struct flow *flow, enum direction dir, const struct tcp_segment *segment)
{
	struct tcp_result result = {TCP_DROP, REASON_out_of_window};
	bool fin = is_real_fin(flow, dir, segment);

	if (ending_is_beyond(flow, dir, segment))
		return result;
	result = tcp_track_segment(&flow->track, dir, segment);
	if (result.outcome == TCP_PASS && fin)
		flow->fins = (flow->fins | 1u << dir) & 3u;
	return result;
}

bool ending_is_for_next(const struct flow *flow, const struct view *view)
{
	const struct tcp_track *track = &flow->track;
	const struct tcp_sender *server = &track->sender[TO_CLIENT];
	uint32_t seq, ack;

	if (!entry_has_ended(flow) || (view->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK)
		return false;
	seq = translation_client_seq(&flow->translation, TO_CLIENT, view->seq);
	ack = translation_client_ack(&flow->translation, TO_CLIENT, view->ack);
	if (view_seg_len(view) > 0)
		return !(track->bits & TRACK_SEEN_SERVER) ||
		       (has_passed_fin(flow, TO_CLIENT) &&
			       serial_after(seq + view_seg_len(view), server->end));
	return seq != server->end || !serial_after(ack, track->sender[TO_SERVER].acked);
}
