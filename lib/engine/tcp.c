// TCP segments other than a first SYN: of a known flow, a proof of a cookie, or nobody's.
#include "engine/internal.h"

#include "base/serial.h"

#define UNSEEN_BYTES (1u << 20) // of a connection, beyond what was seen of it here
#define PARTS_YOUNG  128	// of a tick, 0.5 s: no connection has carried much more than that

// Flag combinations no connection uses (TCP.md 1.1): a SYN or FIN with a RST, SYN with FIN, nothing
// at all, FIN without ACK.
bool tcp_flags_are_bad(uint8_t flags)
{
	uint8_t control = flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK);

	if (control == 0 || control == TCP_FIN)
		return true;
	control &= TCP_SYN | TCP_FIN | TCP_RST;
	return (control & (control - 1)) != 0;
}

struct tcp_segment tcp_segment_of(
	const struct flow *flow, const struct view *view, enum direction dir)
{
	struct tcp_segment segment = {.flags = view->tcp_flags,
		.window = view->window,
		.len = view_seg_len(view),
		.wscale = OPTIONS_WSCALE_NONE,
		.elsewhere = flow->copy != COPY_OWN || flow->partner != NODE_NONE};

	segment.seq = translation_client_seq(&flow->translation, dir, view->seq);
	segment.ack = translation_client_ack(&flow->translation, dir, view->ack);
	if (view->tcp_flags & TCP_SYN) {
		struct options options;

		if (options_parse(&options, view) == 0 && (options.bits & OPTION_WSCALE))
			segment.wscale = options.wscale;
	}
	return segment;
}

void tcp_forward(
	struct engine *engine, struct arrival *arrival, struct flow *flow, enum direction dir)
{
	struct options options;

	if (!translation_is_identity(&flow->translation)) {
		bool whole = options_parse(&options, &arrival->view) == 0;

		translation_apply(&flow->translation, dir, &arrival->view, whole ? &options : NULL);
	}
	verdict_forward(engine, arrival);
	delay_behind(engine, arrival, flow);
}

bool tcp_reset(struct engine *engine, struct arrival *arrival)
{
	struct craft craft;

	craft_reset_for(&craft, &arrival->view);
	if (!engine_may_reset(engine) || craft_tcp(arrival->frame, &arrival->view, &craft) != 0) {
		verdict_drop(arrival, REASON_rate_limited);
		return false;
	}
	verdict_reply(engine, arrival);
	return true;
}

// Challenged segments (RFC 5961) are forwarded for the endpoint to judge, a few a second.
static bool challenge_allowed(struct engine *engine, struct flow *flow)
{
	uint16_t second = (uint16_t)(engine->now_ns / NS_PER_S);

	if (flow->challenge_s != second) {
		flow->challenge_s = second;
		flow->challenges = 0;
	}
	if (flow->challenges >= CHALLENGES_PER_S)
		return false;
	flow->challenges++;
	return true;
}

// A handshake of `track` mode whose other half is seen elsewhere (TCP.md 4.0). Here is the client's
// side: its acknowledgement of a SYN/ACK that came in by another node. The server's numbers and
// shift are not known.
static void watch_ack_elsewhere(struct engine *engine, struct flow *flow,
	const struct tcp_segment *segment, enum direction dir)
{
	struct tcp_track *track = &flow->track;
	uint8_t fins = track->bits & (TRACK_FIN_CLIENT | TRACK_FIN_SERVER); // told by others

	if (flow->mode != MODE_TRACK || track->state != TCP_SYN_SENT || dir != TO_SERVER ||
		!segment->elsewhere || (segment->flags & (TCP_SYN | TCP_RST)) ||
		!(segment->flags & TCP_ACK) || serial_before(segment->seq, flow->isn_client + 1) ||
		serial_after(segment->seq, track->sender[TO_SERVER].end))
		return;
	tcp_track_import(track, track->wscale[TO_SERVER], OPTIONS_WSCALE_NONE);
	track->bits |= fins;
	share_established(engine, flow, false);
}

// And here is the server's: a SYN/ACK that a copy expected. Nobody here sees the ACK for it.
static void watch_synack_elsewhere(struct engine *engine, struct flow *flow, uint8_t before)
{
	if (flow->mode != MODE_TRACK || flow->copy == COPY_OWN || before != TCP_SYN_SENT ||
		flow->track.state != TCP_SYN_RECV)
		return;
	entry_set_state(engine, flow, TCP_ESTABLISHED);
}

// True for the SYN that began a connection of which both ends have closed: it was repeated on the
// way, and reopening the entry would keep the last acknowledgements out.
static bool is_syn_again(const struct flow *flow, const struct view *view, enum direction dir)
{
	return flow->track.state == TCP_TIME_WAIT && dir == TO_SERVER &&
	       view->seq == flow->isn_client;
}

// True where a client's segment proved a new incarnation (TCP.md 3.9), also of a flow that began
// before a service made it a proxied one.
static bool proves_anew(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	const struct service *service;
	const struct view *view = &arrival->view;

	if (flow_direction(flow, arrival->side) != TO_SERVER)
		return false;
	service = admit_service(engine, view, arrival->side);
	return service != NULL && service->mode == MODE_PROXY &&
	       proof_try(engine, arrival, service, flow);
}

// A copy that has seen nothing of this direction: any number fits. But where the connection began
// is known, and the next one's begins with a cookie.
static bool fits_all(const struct flow *flow, enum direction dir)
{
	uint8_t seen = (uint8_t)(TRACK_SEEN_CLIENT << dir);

	return (flow->track.bits & (TRACK_LIBERAL | seen)) == TRACK_LIBERAL &&
	       flow->copy != COPY_OWN && flow->cookie != 0;
}

static bool is_near(uint32_t number, uint32_t from)
{
	return number - from + UNSEEN_BYTES <= 2 * UNSEEN_BYTES;
}

// True where the numbers are not the client's of this connection, judged by the server's or, where
// that was not seen here either, by those it began with. Once a FIN of the server's has passed
// here, nothing can be acknowledged but what lies between its first number and that.
static bool is_far(const struct flow *flow, const struct tcp_segment *segment)
{
	const struct tcp_track *track = &flow->track;
	bool seen = (track->bits & TRACK_SEEN_SERVER) != 0;
	uint32_t end = track->sender[TO_CLIENT].end;

	if (seen && (flow->fins & 1u << TO_CLIENT) &&
		(end - segment->ack > end - flow->cookie || end - segment->ack > UNSEEN_BYTES))
		return true;
	return !is_near(segment->seq, seen ? track->sender[TO_SERVER].acked : flow->isn_client) ||
	       !is_near(segment->ack, seen ? end : flow->cookie);
}

// True where the first segment to be seen of a direction is far from where the connection began a
// moment ago: anybody's guess. It passes, like what only other nodes can judge, and its numbers,
// FIN or RST say nothing about the connection.
static bool is_guess(const struct engine *engine, const struct flow *flow,
	const struct tcp_segment *segment, enum direction dir)
{
	uint32_t seq = dir == TO_SERVER ? flow->isn_client : flow->cookie;
	uint32_t ack = dir == TO_SERVER ? flow->cookie : flow->isn_client;

	return flow->mode == MODE_PROXY && fits_all(flow, dir) &&
	       (int32_t)(engine_moment(engine) - flow->incarnation) < PARTS_YOUNG &&
	       !(is_near(segment->seq, seq) && is_near(segment->ack, ack));
}

// True for a client's segment where the end of a proxied connection is all there is here: if it
// does not fit that, the server must not see it, or its reset would end the next one.
static bool may_be_of_next(const struct flow *flow, const struct view *view, enum direction dir)
{
	return flow->mode == MODE_PROXY && entry_has_ended(flow) && dir == TO_SERVER &&
	       !(view->tcp_flags & TCP_RST);
}

bool tcp_known(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	enum direction dir = flow_direction(flow, arrival->side);
	struct tcp_track before = flow->track;
	struct tcp_segment segment;
	struct tcp_result result;

	resyn_watch(engine, arrival, flow);
	segment = tcp_segment_of(flow, &arrival->view, dir);
	if (may_be_of_next(flow, &arrival->view, dir) && fits_all(flow, dir) &&
		is_far(flow, &segment)) {
		verdict_drop(arrival, REASON_out_of_window);
		return true;
	}
	watch_ack_elsewhere(engine, flow, &segment, dir);
	result = is_guess(engine, flow, &segment, dir)
			 ? (struct tcp_result){TCP_PASS_STALE, REASON_NONE}
			 : ending_judge(flow, dir, &segment);
	arrival->path = PATH_ESTABLISHED;
	entry_count_state(engine, flow, before.state);
	// Before others are told: of two histories the one the server confirmed wins.
	if (result.outcome == TCP_PASS && dir == TO_CLIENT && !(flow->bits & FLOW_CONFIRMED))
		flow->bits |= FLOW_CONFIRMED;
	if (engine->policy->clustered) {
		if (before.state == TCP_SYN_SENT && result.outcome == TCP_PASS &&
			view_is_first_syn(&arrival->view) && !(flow->bits & FLOW_OPENING))
			share_former_over(engine, flow);
		watch_synack_elsewhere(engine, flow, before.state);
		share_answered(engine, flow, &before);
		if (before.state == TCP_SYN_RECV && flow->track.state != TCP_SYN_RECV)
			share_established(engine, flow, true);
		share_changed(engine, flow, &before);
	}
	// What fits only because the other direction is not seen here may begin the next
	// connection, or be of one whose beginning was lost.
	if (result.outcome == TCP_PASS_STALE || result.outcome == TCP_PASS_IDLE) {
		if (segment.elsewhere && proves_anew(engine, arrival, flow))
			return true;
		if (may_be_of_next(flow, &arrival->view, dir))
			result = (struct tcp_result){TCP_DROP, REASON_out_of_window};
	}
	switch (result.outcome) {
	case TCP_PASS:
	case TCP_PASS_STALE:
		entry_touch(engine, flow);
		tcp_forward(engine, arrival, flow, dir);
		return true;
	case TCP_PASS_IDLE:
		if (!challenge_allowed(engine, flow)) {
			verdict_drop(arrival, REASON_rate_limited);
			return true;
		}
		if (!resyn_forward(engine, arrival, flow))
			tcp_forward(engine, arrival, flow, dir);
		return true;
	case TCP_DROP:
		verdict_drop(arrival, result.reason);
		return true;
	default:
		if (!is_syn_again(flow, &arrival->view, dir))
			return false;
		verdict_drop(arrival, REASON_out_of_window);
		return true;
	}
}

// A segment that is no SYN: only a SYN may reopen a connection.
static void known(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	if (!tcp_known(engine, arrival, flow))
		verdict_drop(arrival, REASON_no_flow);
}

// True for a client's segment of a connection that is over for good, refused, reset or replaced:
// the reset it was sent may be lost, and it must not wait for ever (or it is a replay).
static bool is_late(
	const struct engine *engine, const struct arrival *arrival, const struct flow *flow)
{
	const struct view *view = &arrival->view;
	bool over = flow->track.state == TCP_CLOSED || view->ack - 1 != flow->cookie;

	return over && flow->mode == MODE_PROXY &&
	       flow_direction(flow, arrival->side) == TO_SERVER &&
	       (view->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK &&
	       entry_knows_cookie(engine, flow, view->ack - 1);
}

// A finished connection gives way to a new one; what does not fit an open one may begin the next.
static void known_or_anew(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	bool open = flow->track.state == TCP_ESTABLISHED || flow->track.state == TCP_CLOSING;

	if ((!open || fits_all(flow, TO_SERVER)) && proves_anew(engine, arrival, flow))
		return;
	known(engine, arrival, flow);
	if (arrival->verdict->kind != VERDICT_DROP)
		return;
	if (is_late(engine, arrival, flow))
		tcp_reset(engine, arrival);
	else if (open)
		proves_anew(engine, arrival, flow);
}

static void opening_decide(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	struct opening *opening = opening_of(engine, flow);
	bool from_client = flow_direction(flow, arrival->side) == TO_SERVER;
	bool synack = (arrival->view.tcp_flags & TCP_SYN) != 0;
	// An older connection that has ended meanwhile gives way to any.
	bool stands = opening->pending && !entry_has_ended(flow);

	// While the last queued segments leave, the connection is open already: nothing is queued
	// after the first dequeue (TCP.md 3.8), and the server may answer.
	if (opening->wait == WAIT_DRAIN && !synack) {
		known_or_anew(engine, arrival, flow);
		return;
	}
	if (from_client && opening_claims(opening, &arrival->view)) {
		opening_client(engine, arrival, flow);
		return;
	}
	if (from_client && !stands && proves_anew(engine, arrival, flow))
		return;
	if (from_client && !opening->pending)
		opening_client(engine, arrival, flow);
	else if (from_client)
		known(engine, arrival, flow);
	else
		opening_server(engine, arrival, flow);
}

// The server answered a SYN that is not this flow's, but another node's: what it says from now on
// is of that connection, whose state is on the way.
static void notice_superseded(struct flow *flow, const struct arrival *arrival)
{
	bool known = flow->copy == COPY_OWN || flow->cookie != 0 || flow->isn_client != 0;

	if (arrival->verdict->kind == VERDICT_CONSUME && (arrival->view.tcp_flags & TCP_SYN))
		flow->superseded |= known && !handshake_is_own(flow, &arrival->view);
}

static void proxy_decide(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	bool from_server = flow_direction(flow, arrival->side) == TO_CLIENT;

	if (flow->bits & FLOW_OPENING) {
		opening_decide(engine, arrival, flow);
		return;
	}
	if (from_server && (arrival->view.tcp_flags & TCP_SYN)) {
		// Another m.SYN cookie than the entry's own names its own owner (TCP.md 3.9). What
		// was reset is acknowledged no more.
		if (flow->copy == COPY_OWN && flow->track.state != TCP_CLOSED &&
			handshake_is_own(flow, &arrival->view))
			handshake_reack(engine, arrival, flow);
		else
			finder_stray(engine, arrival);
		notice_superseded(flow, arrival);
		return;
	}
	known_or_anew(engine, arrival, flow);
}

// No flow, or no more than the memory of one: the proof of a cookie, a packet of a service without
// state, a stranger's SYN/ACK, or nobody's.
static void unknown(struct engine *engine, struct arrival *arrival, struct flow *memory)
{
	const struct service *service = admit_served(engine, arrival);
	bool from_client = memory == NULL || flow_direction(memory, arrival->side) == TO_SERVER;
	uint8_t flags = arrival->view.tcp_flags;

	if (from_client && service != NULL && service->mode == MODE_PROXY) {
		if (memory != NULL && is_late(engine, arrival, memory))
			tcp_reset(engine, arrival);
		else if (!proof_try(engine, arrival, service, memory))
			verdict_drop(arrival, REASON_no_flow);
		return;
	}
	if (admit_bypass(engine, arrival)) {
		verdict_forward(engine, arrival);
		return;
	}
	if ((flags & (TCP_SYN | TCP_RST)) && (flags & TCP_ACK)) {
		finder_stray(engine, arrival);
		return;
	}
	if (finder_late(engine, arrival))
		return;
	verdict_drop(arrival, REASON_no_flow);
}

// True where a SYN passed here to which this SYN/ACK may be the answer. A copy need not know the
// client's number: from the inside its owner is asked.
static bool is_awaited(const struct flow *flow, const struct arrival *arrival)
{
	if (flow->track.state == TCP_SYN_SENT || resyn_expects(flow, &arrival->view))
		return true;
	return flow->copy != COPY_OWN && flow->isn_client == 0 && !entry_has_ended(flow) &&
	       arrival->side == SIDE_OUTSIDE;
}

// True for a server's answer to a SYN where there is only an older connection (TCP.md 7.6): its
// client may have gone on at another node.
static bool is_reused_elsewhere(
	struct engine *engine, const struct flow *flow, const struct arrival *arrival)
{
	uint8_t flags = arrival->view.tcp_flags;
	bool synack = (flags & TCP_SYN) && !is_awaited(flow, arrival);
	bool refused = (flags & TCP_RST) && entry_has_ended(flow);

	return flow->mode == MODE_TRACK && (flags & TCP_ACK) && (synack || refused) &&
	       arrival->view.ack != flow->isn_client + 1 && engine->policy->clustered &&
	       !arrival->from_peer;
}

// From the inside it is offered, and never passes as the flow's own: who sent that SYN would not
// know of it. On the outside nobody is asked: what its node tells is on the way, and the server
// repeats its SYN/ACK.
static bool tracked_elsewhere(struct engine *engine, struct arrival *arrival)
{
	if (arrival->side == SIDE_OUTSIDE) {
		if (!(arrival->view.tcp_flags & TCP_SYN) || !finder_waits(engine, arrival->hash))
			return false;
	} else if (finder_may_be_tracked(engine, arrival) && finder_late(engine, arrival)) {
		return true;
	}
	verdict_drop(arrival, REASON_no_owner);
	return true;
}

// True for what belongs to another node, although there is a flow: it was handed over.
static bool is_of_another(struct engine *engine, struct flow *flow, struct arrival *arrival)
{
	bool handed;

	if (flow_direction(flow, arrival->side) != TO_CLIENT)
		return false;
	if (flow->superseded && !(arrival->view.tcp_flags & TCP_SYN))
		return finder_late(engine, arrival) || finder_follows(engine, arrival);
	if (ending_is_for_next(flow, &arrival->view))
		return (view_seg_len(&arrival->view) > 0 && finder_late(engine, arrival)) ||
		       finder_asks(engine, arrival, flow);
	handed = (flow->mode == MODE_MSYN && msyn_is_strange(flow, arrival) &&
			 finder_claims(engine, arrival)) ||
		 (is_reused_elsewhere(engine, flow, arrival) && tracked_elsewhere(engine, arrival));
	if (handed)
		notice_superseded(flow, arrival);
	return handed;
}

void tcp_decide(struct engine *engine, struct arrival *arrival)
{
	uint8_t flags = arrival->view.tcp_flags;
	struct flow *flow;

	if (tcp_flags_are_bad(flags)) {
		verdict_drop(arrival, REASON_bad_flags);
		return;
	}
	if (view_is_first_syn(&arrival->view)) {
		syn_decide(engine, arrival);
		return;
	}
	if (ingress_hand_over(engine, arrival))
		return;
	flow = ingress_find(engine, arrival);
	if (flow == NULL || entry_is_memory(flow))
		unknown(engine, arrival, flow);
	else if (is_of_another(engine, flow, arrival))
		return;
	else if (flow->mode == MODE_PROXY)
		proxy_decide(engine, arrival, flow);
	else if ((flow->bits & FLOW_OPENING) && !delay_is_on(engine, flow))
		opening_decide(engine, arrival, flow);
	else
		known_or_anew(engine, arrival, flow);
}
