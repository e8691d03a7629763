// What the server answers to our SYN: acceptance, refusal, or a segment of an older connection
// (TCP.md 3.2, 3.3, 3.6), and what follows from it for both sides.
#include "engine/internal.h"

#define SYNS_AT_ONCE_MAX 3 // behind resets of the server's old connection (TCP.md 3.2)

static void reset_client(struct engine *engine, struct opening *opening)
{
	struct craft craft = {.reply = true, .tcp_flags = TCP_RST | TCP_ACK};
	struct view model;

	craft.seq = opening->cookie + 1;
	craft.ack = opening->isn_client + 1;
	opening_model(opening, &model);
	opening_craft(engine, &model, &craft, opening->in_port);
}

void opening_refused(struct engine *engine, struct flow *flow, enum reason reason)
{
	reset_client(engine, opening_of(engine, flow));
	opening_close(engine, flow, reason);
}

static void count_refused(struct engine *engine, const struct flow *flow)
{
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_refused, 1);
}

// <SEQ=SEG.ACK><RST>, as the client itself would answer what it never asked for (9293 3.5.2).
// A segment that came by a peer arrived elsewhere: its answer leaves through our own port.
static bool reset_server(struct engine *engine, struct arrival *arrival, struct opening *opening)
{
	if (arrival->from_peer) {
		struct craft craft;
		struct view model;

		craft_reset_for(&craft, &arrival->view);
		craft.reply = false;
		opening_model(opening, &model);
		bool sent = engine_may_reset(engine) &&
			    opening_craft(engine, &model, &craft, opening->out_port);

		verdict_consume(engine, arrival);
		return sent;
	}
	return tcp_reset(engine, arrival);
}

// A segment of an older connection: the server still holds it (TCP.md 3.2, 3.3). It is reset and
// the SYN goes out again at once, unless another node, which the segment names or the server has
// just answered, may have opened the connection after a change of routes: that one is asked first.
static void server_old(struct engine *engine, struct arrival *arrival, struct opening *opening)
{
	// What acknowledges our SYN is of no older connection: the SYN/ACK is on its way.
	if (arrival->view.ack == opening->syn_seq + 1) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	if (opening->wait == WAIT_SERVER && !finder_nobody_has(engine, arrival->hash) &&
		(finder_claims(engine, arrival) || finder_follows(engine, arrival)))
		return;
	if (opening->wait != WAIT_SERVER) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	// Resets may be lost: behind some the SYN goes out when its time has come.
	if (!reset_server(engine, arrival, opening) || opening->resets >= SYNS_AT_ONCE_MAX)
		return;
	opening->resets++;
	if (opening->tries > 0)
		opening->tries--; // this one had an answer
	opening_make_ready(engine, opening);
}

// Tells who has to know. Without a free message cell the next call tries again: what the server
// answers to segments that left before could not be translated there.
static void share(struct engine *engine, struct flow *flow, struct opening *opening)
{
	opening->unshared = !share_opened(engine, flow);
	opening->deadline_ns = opening->unshared ? engine->now_ns : opening->confirm_ns;
}

static void drain_now(struct engine *engine, struct flow *flow, struct opening *opening)
{
	flow->bits |= opening->unshared ? FLOW_DIRTY : 0;
	opening->deadline_ns = engine->now_ns; // what finds no buffer now leaves in the next call
	opening_set_wait(engine, opening, WAIT_DRAIN);
	opening_drain(engine, flow, opening);
}

// What was not confirmed in time: goes on, or ends, as the policy says.
static void confirm_late(struct engine *engine, struct flow *flow, struct opening *opening)
{
	struct craft craft = {.tcp_flags = TCP_RST, .seq = opening->syn_seq + 1};
	struct view model;

	counter_add(&engine->stats.wait_timeouts, 1);
	opening_count_wait(engine, opening);
	if (!engine->policy->drop_on_timeout) {
		drain_now(engine, flow, opening);
		return;
	}
	if (opening->delay) {
		delay_drop(engine, flow);
		return;
	}
	opening_model(opening, &model);
	opening_craft(engine, &model, &craft, opening->out_port);
	opening_refused(engine, flow, REASON_hold_timeout);
}

void opening_wait_over(struct engine *engine, struct flow *flow, struct opening *opening)
{
	if ((opening->waiting & engine->view.active) == 0)
		drain_now(engine, flow, opening);
	else if (opening->unshared && engine->now_ns < opening->confirm_ns)
		share(engine, flow, opening);
	else
		confirm_late(engine, flow, opening);
}

static void start_share(struct engine *engine, struct flow *flow, struct opening *opening)
{
	uint64_t nodes;

	flow->partner = share_target(engine, opening->sender);
	nodes = share_awaited(engine, flow->partner, opening->sender);
	if (flow->partner == NODE_NONE) {
		opening_start_drain(engine, opening);
		return;
	}
	if (nodes == 0) {
		if (!share_opened(engine, flow))
			flow->bits |= FLOW_DIRTY;
		opening_start_drain(engine, opening);
		return;
	}
	opening_share(engine, flow, opening, nodes);
}

void opening_share(
	struct engine *engine, struct flow *flow, struct opening *opening, uint64_t nodes)
{
	opening->waiting = nodes;
	opening->shared_ns = engine->now_ns;
	opening->confirm_ns = engine->now_ns + engine->policy->timeouts.share_wait_ms * NS_PER_MS;
	opening_set_wait(engine, opening, WAIT_CONFIRM);
	share(engine, flow, opening);
}

void opening_start_drain(struct engine *engine, struct opening *opening)
{
	opening_set_wait(engine, opening, WAIT_DRAIN);
	opening_make_ready(engine, opening);
}

// A probe offered more than the client agreed to: the server must forget it and be asked again.
static void ask_again(struct engine *engine, struct arrival *arrival, struct opening *opening)
{
	struct view model;

	// Without the reset the server would keep what it was offered: its repetition comes.
	if (!reset_server(engine, arrival, opening))
		return;
	opening_model(opening, &model);
	opening_make_syn(engine, opening, &model, false);
	opening->tries = 0;
	opening_make_ready(engine, opening);
}

static void accepted(struct engine *engine, struct arrival *arrival, struct flow *flow,
	struct opening *opening, const struct options *options)
{
	uint8_t flags = arrival->view.tcp_flags;
	bool fits = handshake_learn(engine, flow, opening, &arrival->view, options);

	if (opening->probing && !handshake_fits(opening, options, flags)) {
		ask_again(engine, arrival, opening);
		return;
	}
	if (!fits) {
		count_refused(engine, flow);
		reset_server(engine, arrival, opening);
		opening_refused(engine, flow, REASON_server_refused);
		return;
	}
	if (opening->pending) {
		entry_reuse(engine, flow);
		opening_begin_incarnation(engine, flow, opening);
	}
	opening->pending = false;
	entry_set_state(engine, flow, TCP_ESTABLISHED);
	handshake_set(flow, opening, &arrival->view, options);
	tcp_track_promise(&flow->track, TO_CLIENT, UINT16_MAX); // at most, unscaled in our SYN/ACK
	flow->bits |= FLOW_CONFIRMED;
	flow->last_ms = engine->now_ms;
	opening->server_window = arrival->view.window;
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_synack, 1);
	verdict_consume(engine, arrival);
	start_share(engine, flow, opening);
}

static void server_synack(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct opening *opening)
{
	struct options options;

	if (arrival->view.ack != opening->syn_seq + 1) {
		server_old(engine, arrival, opening);
		return;
	}
	if (opening->wait != WAIT_SERVER) {
		verdict_consume(engine, arrival); // a repetition: one share, one dequeue (3.6)
		return;
	}
	if (options_parse(&options, &arrival->view) != 0) {
		verdict_drop(arrival, REASON_bad_option);
		return;
	}
	accepted(engine, arrival, flow, opening, &options);
}

static void server_reset(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct opening *opening)
{
	if (!(arrival->view.tcp_flags & TCP_ACK) || arrival->view.ack != opening->syn_seq + 1 ||
		opening->wait != WAIT_SERVER) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	verdict_consume(engine, arrival);
	count_refused(engine, flow);
	opening_refused(engine, flow, REASON_server_refused);
}

void opening_server(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	struct opening *opening = opening_of(engine, flow);
	uint8_t flags = arrival->view.tcp_flags;

	if (flags & TCP_RST)
		server_reset(engine, arrival, flow, opening);
	else if ((flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		server_synack(engine, arrival, flow, opening);
	else if (flags & TCP_ACK)
		server_old(engine, arrival, opening);
	else
		verdict_drop(arrival, REASON_no_flow);
}
