// State that other nodes must have (P4, P5, P6, M7; C1's events of an opening).
//
//   owner                                  copy (the finder, or every node with share = "all")
//   accepted the SYN/ACK
//     OPENED  ------------------------->   INSTALL: a flow of copy FINDER, liberal, half
//     waits, bounded, for whom `wait` says
//     CONFIRMED  <----------------------   installed: what comes now is translated
//   sees a FIN, a reset, the end
//     CHANGED  ------------------------>   the same bit becomes true here
//     CHANGED  <------------------------   ... and the other way round
//
// A flow without a cookie (`track`, UDP, ICMP, other protocols) is shared by who its client is:
//
//   outside   on demand. The answer comes from the inside; where it starts nothing it is offered to
//             all (finder.c), and the owner returns it with the state. A question of the outside
//             alone, forged or not, makes no message. Of UDP and ICMP that is so with share =
//             "all", too: an answer proves nobody's address.
//   inside    at once, with every active node: the answer comes from the outside, anywhere, and may
//             ask nobody. The opening packet waits until they know (C5, delay.c). What the rules
//             let in from the outside anyway is not told: it starts a flow wherever it arrives. So
//             the answers of a public server, and a flood of forged questions to it, cost nothing.
//
// Of a connection the copy sees the SYN/ACK alone, the owner the client's ACK alone, and each is
// established by what it sees (tcp.c). What is no connection ends by its timer, at each node by its
// own, without a word. An owner that goes on seeing questions tells them again, once in a quarter
// of the timer, because a copy that saw no answer meanwhile may be gone. Only copies are refreshed
// by that: of two nodes that both own the same flow (its questions took both ways before either was
// told) each keeps its own, for both pass the same, and neither keeps the other's alive. A node
// whose copy lets questions out owns it from then on, and tells of it: who began the flow may have
// forgotten it.
//
// Ends are told while the other node is reached; where one was not, and the entry has the client's
// next connection already, nobody tells of the former one any more. A copy that still takes it for
// open would pass the server's answer to the new SYN as if it were of that. So, when a SYN has to
// be repeated, all are told that whatever was before is over (share_former_over).
//
// flow->partner says whom an own flow was shared with; a copy speaks to its owner. Bits only ever
// become true, so their order does not matter; the incarnation in the digest keeps those of an
// older connection out. What found no message cell or no room on the way (UNSENT) leaves FLOW_DIRTY
// behind, and ageing, which visits every flow about once a second, says it again. A node that lost
// what it had (RESYNC) makes the flows it shared dirty.
#include "engine/internal.h"

#include "pkt/options.h"

#define FIN_BITS (TRACK_FIN_CLIENT | TRACK_FIN_SERVER)

static uint64_t node_bit(uint16_t node)
{
	return node < NODES_MAX ? 1ULL << node : 0;
}

static uint64_t others(const struct engine *engine)
{
	return engine->view.active & ~node_bit(engine->policy->node_id);
}

bool share_is_active(const struct engine *engine, uint16_t node)
{
	return (engine->view.active & node_bit(node)) != 0;
}

bool share_is_alone(const struct engine *engine)
{
	return others(engine) == 0;
}

static uint16_t partner_of(const struct engine *engine, const struct flow *flow)
{
	if (!engine->policy->clustered)
		return NODE_NONE;
	if (engine->policy->share == SHARE_ALL && entry_is_connection(flow))
		return NODE_ALL;
	return flow->copy == COPY_OWN ? flow->partner : flow->owner;
}

static bool is_reachable(const struct engine *engine, uint16_t node)
{
	return node == NODE_ALL ? others(engine) != 0 : (others(engine) & node_bit(node)) != 0;
}

// `again`: with the numbers of the handshake, which who saw its SYN/ACK may have forgotten. Without
// them it could not tell the server's next connection from this one (tcp.c, notice_superseded).
static bool send_opened(struct engine *engine, const struct flow *flow, uint16_t node, bool again)
{
	struct message *message = engine_message(engine, MESSAGE_OPENED, node);

	if (message == NULL)
		return false;
	message->why = again;
	entry_record(flow, &message->body.record);
	counter_add(&engine->stats.shared, 1);
	return true;
}

// An own flow that is no connection has no challenges to count: the field is when it was told.
static uint16_t second_of(uint32_t ms)
{
	return (uint16_t)(ms / MS_PER_S);
}

static bool send_changed(
	struct engine *engine, const struct flow *flow, uint16_t node, uint8_t bits)
{
	struct message *message = engine_message(engine, MESSAGE_CHANGED, node);

	if (message == NULL)
		return false;
	message->body.flow = (struct message_flow){.key = flow->key,
		.incarnation = flow->incarnation,
		.generation = flow->generation,
		.bits = bits};
	return true;
}

static uint8_t changes_of(const struct flow *flow)
{
	uint8_t bits = 0;

	bits |= flow->track.bits & TRACK_FIN_CLIENT ? CHANGE_FIN_CLIENT : 0;
	bits |= flow->track.bits & TRACK_FIN_SERVER ? CHANGE_FIN_SERVER : 0;
	return bits | (flow->track.state == TCP_CLOSED ? CHANGE_CLOSED : 0);
}

// What the server has not answered is nobody else's: a copy would pass the answer on without the
// owner. But where a copy is all that lets the answer in, it must be there before.
static bool is_private(const struct flow *flow)
{
	return entry_is_connection(flow) && flow->track.state == TCP_SYN_SENT &&
	       !(flow->mode == MODE_TRACK && flow_client_side(flow) == SIDE_INSIDE);
}

void share_again(struct engine *engine, struct flow *flow)
{
	uint16_t node = partner_of(engine, flow);
	uint8_t bits = changes_of(flow);

	if (!is_reachable(engine, node) || is_private(flow)) {
		if (node == NODE_NONE || is_private(flow))
			flow->bits &= (uint8_t)~FLOW_DIRTY;
		return;
	}
	if (flow->copy == COPY_OWN && !(bits & CHANGE_CLOSED) &&
		!send_opened(engine, flow, node, true))
		return;
	if (!entry_is_connection(flow))
		flow->challenge_s = second_of(engine->now_ms);
	if (bits == 0 || send_changed(engine, flow, node, bits))
		flow->bits &= (uint8_t)~FLOW_DIRTY;
}

// Both ends have closed, each seen by another node: only repetitions follow.
static void settle(struct engine *engine, struct flow *flow)
{
	uint8_t state = flow->track.state;
	bool unseen = flow->copy != COPY_OWN && (state == TCP_SYN_SENT || state == TCP_SYN_RECV);

	if ((flow->track.bits & FIN_BITS) == FIN_BITS && (state == TCP_CLOSING || unseen))
		entry_set_state(engine, flow, TCP_TIME_WAIT);
}

void share_changed(struct engine *engine, struct flow *flow, const struct tcp_track *before)
{
	uint8_t bits = changes_of(flow);
	uint16_t node = partner_of(engine, flow);

	if (node == NODE_NONE)
		return;
	if (((flow->track.bits ^ before->bits) & FIN_BITS) == 0 &&
		(flow->track.state == before->state || flow->track.state != TCP_CLOSED))
		return;
	if (!is_reachable(engine, node) || !send_changed(engine, flow, node, bits))
		flow->bits |= FLOW_DIRTY;
	settle(engine, flow);
}

void share_answered(struct engine *engine, struct flow *flow, const struct tcp_track *before)
{
	if (engine->policy->share != SHARE_ALL || flow->mode == MODE_PROXY ||
		flow->partner == NODE_ALL || flow->copy != COPY_OWN ||
		before->state != TCP_SYN_SENT || flow->track.state != TCP_SYN_RECV)
		return;
	flow->partner = NODE_ALL;
	if (!is_reachable(engine, NODE_ALL) || !send_opened(engine, flow, NODE_ALL, false))
		flow->bits |= FLOW_DIRTY;
}

// A copy that saw nothing of the connection, or only its opening, knows nothing of its end.
static bool may_end(const struct flow *flow)
{
	return flow->copy == COPY_OWN ||
	       ((flow->track.bits & (TRACK_SEEN_CLIENT | TRACK_SEEN_SERVER)) &&
		       flow->track.state != TCP_SYN_SENT && flow->track.state != TCP_SYN_RECV);
}

void share_ended(struct engine *engine, const struct flow *flow)
{
	uint16_t node = partner_of(engine, flow);

	// One that ended has been told of; what finds no cell ages out there by itself.
	if (entry_is_connection(flow) && !entry_has_ended(flow) && may_end(flow) &&
		!(flow->bits & FLOW_OPENING) && is_reachable(engine, node))
		send_changed(engine, flow, node, changes_of(flow) | CHANGE_CLOSED);
}

uint16_t share_target(const struct engine *engine, uint16_t finder)
{
	if (!engine->policy->clustered || engine->policy->share == SHARE_NONE)
		return NODE_NONE;
	return engine->policy->share == SHARE_ALL ? NODE_ALL : finder;
}

uint64_t share_awaited(const struct engine *engine, uint16_t target, uint16_t finder)
{
	switch (engine->policy->wait) {
	case SHARE_FINDER:
		return target == NODE_NONE ? 0 : node_bit(finder) & others(engine);
	case SHARE_ALL:
		return target == NODE_ALL ? others(engine) : node_bit(target) & others(engine);
	default:
		return 0;
	}
}

// Does the answer to this flow's first packet need state where it arrives from the outside? No
// SYN/ACK and no reply of ICMP starts anything; a datagram does what the rules say.
static bool needs_state(struct engine *engine, const struct flow *flow)
{
	struct admission back;

	if (!engine->policy->clustered || engine->policy->share == SHARE_NONE ||
		flow_client_side(flow) != SIDE_INSIDE)
		return false;
	if (entry_is_connection(flow) || flow->key.protocol == PROTOCOL_ICMP ||
		flow->key.protocol == PROTOCOL_ICMP6)
		return true;
	back = admit_key(engine, &flow->key, SIDE_OUTSIDE);
	return !back.allow;
}

void share_begin(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	uint64_t awaited = engine->policy->wait == SHARE_NONE ? 0 : others(engine);

	verdict_forward(engine, arrival);
	if (!needs_state(engine, flow))
		return;
	flow->partner = NODE_ALL;
	flow->challenge_s = second_of(engine->now_ms);
	if (others(engine) == 0)
		return; // who comes is told by RESYNC
	// Beyond the budget ageing tells what is still there.
	if (!finder_may_tell(engine)) {
		flow->bits |= FLOW_DIRTY;
		return;
	}
	if (awaited != 0 && delay_start(engine, arrival, flow, awaited))
		return;
	if (!share_opened(engine, flow))
		flow->bits |= FLOW_DIRTY;
}

void share_established(struct engine *engine, struct flow *flow, bool whole)
{
	uint64_t nodes = others(engine);

	if (flow->copy != COPY_OWN || flow->partner != NODE_ALL || flow->mode != MODE_TRACK ||
		flow_client_side(flow) != SIDE_INSIDE)
		return;
	// One that sees the other half knows it already; a third one has to be told.
	if (whole || (nodes & (nodes - 1)) != 0)
		flow->bits |= FLOW_DIRTY;
}

void share_moved(struct engine *engine, struct flow *flow)
{
	if (flow->copy == COPY_OWN || engine->policy->share == SHARE_NONE)
		return;
	// Answers to what passes here are to be found here: the owner may have forgotten it.
	flow->track.bits |= TRACK_SEEN_CLIENT;
	if (flow_client_side(flow) != SIDE_INSIDE)
		return;
	flow->copy = COPY_OWN;
	flow->owner = engine->policy->node_id;
	flow->partner = NODE_ALL;
	flow->challenge_s = second_of(engine->now_ms);
	flow->bits |= FLOW_DIRTY;
}

void share_take_over(struct engine *engine, struct flow *flow, uint16_t node)
{
	if (flow->copy == COPY_OWN || flow->owner != node || entry_is_connection(flow))
		return;
	flow->copy = COPY_OWN;
	flow->owner = engine->policy->node_id;
	flow->partner = node;
}

void share_former_over(struct engine *engine, const struct flow *flow)
{
	struct message *message;

	if (flow->generation < 2 || !engine->policy->clustered ||
		engine->policy->share == SHARE_NONE || share_is_alone(engine) ||
		!finder_may_tell(engine))
		return;
	message = engine_message(engine, MESSAGE_OPENED, NODE_ALL);
	if (message == NULL)
		return;
	// Later than any of them, and not of this connection.
	message->body.record = (struct flow_record){.key = flow->key,
		.mode = flow->mode,
		.state = TCP_CLOSED,
		.bits = flow->bits & FLOW_CLIENT_INSIDE,
		.wscale = {OPTIONS_WSCALE_NONE, OPTIONS_WSCALE_NONE},
		.service = flow->service,
		.owner = flow->owner,
		.incarnation = flow->incarnation - 1};
}

bool share_opened(struct engine *engine, struct flow *flow)
{
	return send_opened(engine, flow, flow->partner, false);
}

void share_take_confirmed(struct engine *engine, const struct message *message)
{
	const struct message_flow *known = &message->body.flow;
	struct flow *flow = flow_table_find_digest(engine->table, engine->table_key, known->digest);

	if (flow != NULL && flow->generation == known->generation)
		opening_confirmed(engine, flow, node_bit(message->node));
}

// The end of a connection, seen by another node. Who did not have the flow yet when that node said
// so to all hears it from the owner, behind OPENED.
static void pass_on(struct engine *engine, struct flow *flow)
{
	if (flow->copy != COPY_OWN || partner_of(engine, flow) != NODE_ALL ||
		!entry_has_ended(flow))
		return;
	if (!is_reachable(engine, NODE_ALL) ||
		!send_changed(engine, flow, NODE_ALL, changes_of(flow)))
		flow->bits |= FLOW_DIRTY;
}

// False once the server has what it needs to answer: while the last queued segments leave. And
// where the entry still is an older connection's: that one is told of.
static bool is_half_open(const struct engine *engine, const struct flow *flow)
{
	const struct opening *opening;

	if (!(flow->bits & FLOW_OPENING))
		return false;
	opening = &engine->openings[flow->opening];
	return !opening->delay && !opening->pending && opening->wait != WAIT_DRAIN;
}

void share_take_changed(struct engine *engine, const struct message *message)
{
	const struct message_flow *change = &message->body.flow;
	// The digest has the incarnation in it: a tombstone kills its own only.
	struct flow *flow =
		flow_table_find_digest(engine->table, engine->table_key, change->digest);
	uint8_t before;

	if (flow == NULL || !entry_is_connection(flow))
		return;
	if (is_half_open(engine, flow)) {
		if (change->bits & CHANGE_CLOSED)
			opening_refused(engine, flow, REASON_server_refused);
		return;
	}
	before = flow->track.state;
	flow->track.bits |= change->bits & CHANGE_FIN_CLIENT ? TRACK_FIN_CLIENT : 0;
	flow->track.bits |= change->bits & CHANGE_FIN_SERVER ? TRACK_FIN_SERVER : 0;
	// A copy in SYN_RECV may never see what established the connection.
	if ((flow->track.bits & FIN_BITS) &&
		(before == TCP_ESTABLISHED || (before == TCP_SYN_RECV && flow->copy != COPY_OWN)))
		entry_set_state(engine, flow, TCP_CLOSING);
	settle(engine, flow);
	if ((change->bits & CHANGE_CLOSED) && !entry_has_ended(flow))
		entry_set_state(engine, flow, TCP_CLOSED);
	if (flow->track.state == before)
		return;
	flow->last_ms = engine->now_ms;
	pass_on(engine, flow);
}

void share_take_unsent(struct engine *engine, const struct message *message)
{
	const struct flow_key *key = &message->body.flow.key;
	struct flow *flow =
		flow_table_find(engine->table, key, flow_key_hash(engine->table_key, key));

	if (flow != NULL)
		flow->bits |= FLOW_DIRTY;
}

void share_take_resync(struct engine *engine, const struct message *message)
{
	// What it missed while it had no room is dirty already, and ageing finds it.
	if (!message->why)
		return;
	engine->resync |= node_bit(message->node);
	engine->resync_left = engine->resync_high = flow_table_high_water(engine->table);
}

// What its copies may have forgotten: used since it was told, a quarter of its time ago.
static bool is_stale(const struct engine *engine, const struct flow *flow)
{
	uint32_t told_s = (uint16_t)(second_of(engine->now_ms) - flow->challenge_s);
	uint32_t idle_s = (engine->now_ms - flow->last_ms) / MS_PER_S;

	return !entry_is_connection(flow) && flow->copy == COPY_OWN && flow->partner == NODE_ALL &&
	       told_s >= entry_timeout_ms(engine, flow) / MS_PER_S / 4 && idle_s + 1 < told_s;
}

void share_visit(struct engine *engine, struct flow *flow)
{
	uint16_t node = partner_of(engine, flow);

	if (engine->resync_left > 0 && (node == NODE_ALL || (engine->resync & node_bit(node))))
		flow->bits |= FLOW_DIRTY;
	if (is_stale(engine, flow))
		flow->bits |= FLOW_DIRTY;
	// An opening says what it has to; then this does.
	if ((flow->bits & FLOW_DIRTY) && !(flow->bits & FLOW_OPENING))
		share_again(engine, flow);
}
