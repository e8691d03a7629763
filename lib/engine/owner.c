// The owner's side of what finders hand in: a SYN/ACK or a refusal for an opening, its repetition,
// a segment or an ICMP error that came before its state did. Each is judged as if it had arrived
// here, on the same side; what would leave goes back to the finder, ready to be sent, because its
// Ethernet addresses fit only there. What is of no flow here, or not of the one that is, is
// answered by NONE (M6, M7).
#include "engine/internal.h"

#include <string.h>

#define PARTS_LATE (KEYRING_TICK_PARTS / 32) // 0.5 s

static bool port_of_side(const struct engine *engine, uint8_t side, uint8_t *port)
{
	for (uint8_t i = 0; i < engine->config.port_count; i++) {
		if (engine->config.ports[i].side == side) {
			*port = i;
			return true;
		}
	}
	return false;
}

// True for what was long under way: a cut, or a node that stood still. Its sender has repeated it
// since, and it may be of an older connection.
static bool is_late(const struct engine *engine, const struct message *message)
{
	int16_t age = (int16_t)(engine_moment(engine) - message->body.flow.generation);

	return message->type != MESSAGE_INSTALL && age > PARTS_LATE;
}

// A peer's frame in the engine's scratch, as if it had arrived on a port of that side.
static bool prepare(struct engine *engine, const struct message *message, struct arrival *arrival)
{
	if (is_late(engine, message)) {
		counter_add(&engine->stats.from_peers, 1);
		counter_add(&engine->stats.dropped[REASON_no_owner], 1);
		return false;
	}
	if (message->frame_len == 0 || message->frame_len > MESSAGE_FRAME_MAX ||
		!port_of_side(engine, message->frame_side, &arrival->frame->port))
		return false;
	memcpy(engine->scratch, message->frame, message->frame_len);
	arrival->frame->data = engine->scratch;
	arrival->frame->len = message->frame_len;
	arrival->frame->tailroom = (uint16_t)(MESSAGE_FRAME_MAX - message->frame_len);
	counter_add(&engine->stats.from_peers, 1);
	return true;
}

static void answer_none(
	struct engine *engine, const struct message *message, const struct arrival *arrival)
{
	struct message *reply = engine_message(engine, MESSAGE_NONE, message->node);

	if (reply != NULL)
		reply->body.flow = (struct message_flow){.key = arrival->key};
}

// A SYN/ACK, RST or plain ACK of the server while its answer is awaited.
static void to_opening(struct engine *engine, const struct message *message,
	struct arrival *arrival, struct flow *flow)
{
	struct opening *opening = opening_of(engine, flow);
	uint8_t flags = arrival->view.tcp_flags;

	// An ACK alone is of an older connection of the server's (TCP.md 3.2).
	if ((flags & (TCP_SYN | TCP_RST)) && arrival->view.ack != opening->syn_seq + 1) {
		verdict_drop(arrival, REASON_no_owner);
		return;
	}
	if (opening->wait == WAIT_SERVER && (flags & TCP_SYN))
		opening->sender = message->node;
	if (flags & TCP_SYN)
		counter_add(&engine->stats.synack_from_finder, 1);
	opening_server(engine, arrival, flow);
}

// True for a SYN/ACK of the next connection, for which here is an older one.
static bool answers_another(const struct flow *flow, const struct view *view)
{
	return flow->track.state != TCP_SYN_SENT && !resyn_expects(flow, view) &&
	       !handshake_is_own(flow, view);
}

// True for what does not fit the end of a connection that is all there is here: it is of another
// one, and who handed an ACK alone over passes what nobody wants.
static bool is_of_older(const struct flow *flow, const struct view *view)
{
	struct tcp_track track = flow->track; // not recorded
	struct tcp_segment segment;

	if (!entry_has_ended(flow))
		return false;
	segment = tcp_segment_of(flow, view, TO_CLIENT);
	if (!view_is_bare_ack(view))
		return ending_is_beyond(flow, TO_CLIENT, &segment);
	if (flow->copy != COPY_OWN)
		return true;
	return tcp_track_segment(&track, TO_CLIENT, &segment).outcome != TCP_PASS;
}

static void decide_tcp(struct engine *engine, const struct message *message,
	struct arrival *arrival, struct flow *flow)
{
	bool synack = (arrival->view.tcp_flags & TCP_SYN) != 0;

	if (flow_direction(flow, arrival->side) != TO_CLIENT) {
		verdict_drop(arrival, REASON_no_owner);
	} else if ((flow->bits & FLOW_OPENING) && !delay_is_on(engine, flow) &&
		   opening_of(engine, flow)->wait != WAIT_DRAIN) {
		to_opening(engine, message, arrival, flow);
	} else if ((synack && answers_another(flow, &arrival->view)) ||
		   is_of_older(flow, &arrival->view)) {
		verdict_drop(arrival, REASON_no_owner);
	} else if (synack && flow->mode == MODE_PROXY) {
		if (flow->copy == COPY_OWN && handshake_is_own(flow, &arrival->view))
			handshake_reack(engine, arrival, flow);
		else
			verdict_drop(arrival, REASON_no_owner);
	} else if (!tcp_known(engine, arrival, flow)) {
		verdict_drop(arrival, REASON_no_flow);
	}
}

static void decide_pseudo(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	if (flow_direction(flow, arrival->side) == TO_CLIENT)
		pseudo_known(engine, arrival, flow);
	else
		verdict_drop(arrival, REASON_no_owner);
}

// What was offered to all is answered by the owner alone, or, where it is gone, by who has a copy;
// and by who lets the questions out.
static bool is_someone_elses(
	const struct engine *engine, const struct flow *flow, const struct view *view)
{
	bool asks = !entry_is_connection(flow) && (flow->track.bits & TRACK_SEEN_CLIENT);

	return flow->copy != COPY_OWN && !asks && !resyn_expects(flow, view) &&
	       share_is_active(engine, flow->owner);
}

// Returns the flow it is about, or NULL.
static struct flow *decide(
	struct engine *engine, const struct message *message, struct arrival *arrival)
{
	struct flow *flow;

	if (!arrival->keyed ||
		flow_worker(arrival->hash, engine->config.workers) != engine->config.worker) {
		verdict_drop(arrival, REASON_no_owner);
		return NULL;
	}
	flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	if (flow != NULL)
		share_take_over(engine, flow, message->node);
	if (flow == NULL)
		verdict_drop(arrival, REASON_no_owner);
	else if (flow->mode == MODE_TRACK && is_someone_elses(engine, flow, &arrival->view))
		verdict_drop(arrival, REASON_no_owner);
	else if (view_is_icmp_error(&arrival->view))
		icmp_decide_error(engine, arrival);
	else if (!entry_is_connection(flow))
		decide_pseudo(engine, arrival, flow);
	else if (arrival->view.bits & VIEW_TCP)
		decide_tcp(engine, message, arrival, flow);
	else
		verdict_drop(arrival, REASON_no_owner);
	return flow;
}

// The finder of a SYN/ACK of `msyn` or `track` mode, or of the answer in a flow that is no
// connection, gets the state with it, so that no packet waits (M7, M8).
static bool brings_state(
	const struct engine *engine, const struct arrival *arrival, const struct flow *flow)
{
	if (flow == NULL || flow->copy != COPY_OWN || engine->policy->share == SHARE_NONE ||
		view_is_icmp_error(&arrival->view))
		return false;
	if (!entry_is_connection(flow))
		return true;
	return flow->mode != MODE_PROXY && (arrival->view.tcp_flags & TCP_SYN);
}

static void fill_state(
	struct engine *engine, struct message *reply, uint16_t finder, struct flow *flow)
{
	bool tcp = entry_is_connection(flow);

	flow->partner = tcp ? share_target(engine, finder) : finder;
	entry_record(flow, &reply->body.record);
	counter_add(&engine->stats.synack_from_finder, tcp);
	counter_add(&engine->stats.shared, 1);
}

// A segment that came here because its state was not there: the state is told again.
static void tell_again(
	struct engine *engine, uint16_t finder, const struct arrival *arrival, struct flow *flow)
{
	struct message *message;

	if (flow == NULL || flow->copy != COPY_OWN || !entry_is_connection(flow) ||
		flow->track.state != TCP_ESTABLISHED || (flow->bits & FLOW_OPENING) ||
		(arrival->view.tcp_flags & (TCP_SYN | TCP_RST)) ||
		engine->policy->share == SHARE_NONE)
		return;
	message = engine_message(engine, MESSAGE_OPENED, finder);
	if (message == NULL)
		return;
	message->why = 1; // who asks may have seen no SYN/ACK
	flow->partner = share_target(engine, finder);
	entry_record(flow, &message->body.record);
	counter_add(&engine->stats.shared, 1);
}

// What was decided to leave, leaves from where it came.
static void send_back(
	struct engine *engine, uint16_t finder, struct arrival *arrival, struct flow *flow)
{
	const struct verdict *verdict = arrival->verdict;
	bool state = brings_state(engine, arrival, flow);
	struct message *reply;

	if (verdict->kind != VERDICT_FORWARD && verdict->kind != VERDICT_REPLY)
		return;
	reply = engine_message(engine, state ? MESSAGE_OPENED : MESSAGE_EMIT, finder);
	if (reply == NULL) {
		// A reply counted as consumed and generated: the generated one is dropped.
		verdict_drop(arrival, REASON_control_busy);
		return;
	}
	// The SYN/ACK of another connection has other numbers: those that are waited for go along.
	reply->why = state && flow->track.state == TCP_SYN_SENT;
	if (state)
		fill_state(engine, reply, finder, flow);
	else
		reply->body.flow = (struct message_flow){
			.key = arrival->key, .generation = (uint16_t)engine_moment(engine)};
	reply->frame_len = arrival->frame->len;
	reply->frame_side = port_side(engine, verdict->port);
	memcpy(reply->frame, arrival->frame->data, arrival->frame->len);
	counter_add(&engine->stats.to_peers, 1);
}

// True for what is of no flow here. The end of one drops what does not fit it, and its last word
// may as well be meant for another node's SYN: then all are asked next.
static bool is_not_ours(const struct flow *flow, const struct arrival *arrival)
{
	bool dropped = arrival->verdict->kind == VERDICT_DROP;

	if (flow == NULL || !entry_has_ended(flow))
		return dropped && arrival->verdict->reason == REASON_no_owner;
	return dropped || view_is_bare_ack(&arrival->view);
}

// As the frames of a batch are.
static bool take_in(struct engine *engine, struct arrival *arrival)
{
	if (!ingress_prepare(engine, arrival))
		return false;
	if (arrival->keyed)
		ingress_hash(engine, arrival);
	return true;
}

void owner_frame(struct engine *engine, const struct message *message)
{
	struct frame frame = {0};
	struct verdict verdict = {0};
	struct arrival arrival = {.frame = &frame, .verdict = &verdict, .from_peer = true};
	struct flow *flow = NULL;

	if (!prepare(engine, message, &arrival))
		return;
	if (take_in(engine, &arrival))
		flow = decide(engine, message, &arrival);
	send_back(engine, message->node, &arrival, flow);
	tell_again(engine, message->node, &arrival, flow);
	if (arrival.keyed && is_not_ours(flow, &arrival))
		answer_none(engine, message, &arrival);
	if (verdict.kind == VERDICT_DROP)
		counter_add(&engine->stats.dropped[verdict.reason], 1);
}

// May this frame of the owner leave here? Only for a flow that was handed over a moment ago, or
// whose state came with it.
static bool is_expected(
	struct engine *engine, const struct message *message, const struct arrival *arrival)
{
	const struct handed *handed = finder_handed(engine, arrival->hash);

	if (message->type == MESSAGE_INSTALL)
		return flow_key_equal(&arrival->key, &message->body.record.key);
	return handed != NULL && (handed->owner == message->node || handed->owner == NODE_ALL);
}

// What leaves here for the client, already translated, is seen by a copy, as if it had passed: it
// may come again by itself.
static void note_passed(struct engine *engine, const struct arrival *arrival)
{
	const struct view *view = &arrival->view;
	struct flow *flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	struct tcp_segment segment = {.flags = view->tcp_flags,
		.seq = view->seq,
		.ack = view->ack,
		.len = view_seg_len(view),
		.window = view->window,
		.wscale = OPTIONS_WSCALE_NONE,
		.elsewhere = true};
	uint8_t before;

	if (flow == NULL || flow->copy == COPY_OWN || !entry_is_connection(flow) ||
		(view->tcp_flags & (TCP_SYN | TCP_RST)) ||
		flow_direction(flow, arrival->side) != TO_CLIENT)
		return;
	before = flow->track.state;
	ending_judge(flow, TO_CLIENT, &segment);
	entry_count_state(engine, flow, before);
}

void owner_emit(struct engine *engine, const struct message *message)
{
	struct frame frame = {0};
	struct verdict verdict = {0};
	struct arrival arrival = {.frame = &frame, .verdict = &verdict, .from_peer = true};
	struct frame *out = engine_lend(engine);
	enum reason reason = REASON_NONE;
	uint8_t port;

	if (!prepare(engine, message, &arrival))
		return;
	port = frame.port;
	// Leaving through a side means having come from the other.
	frame.port = engine->config.ports[port].peer;
	if (!take_in(engine, &arrival) || !arrival.keyed || !is_expected(engine, message, &arrival))
		reason = REASON_no_owner;
	else if (out == NULL || out->tailroom < frame.len)
		reason = REASON_control_busy;
	if (reason != REASON_NONE) {
		counter_add(&engine->stats.dropped[reason], 1);
		return;
	}
	memcpy(out->data, engine->scratch, frame.len);
	out->len = frame.len;
	engine_sent(engine, out, port);
	note_passed(engine, &arrival);
	if (!view_is_bare_ack(&arrival.view))
		finder_found(engine, arrival.hash, message->node);
}
