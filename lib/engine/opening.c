// Half-open contexts of `proxy` mode.
//
//   ACK proves a cookie      WAIT_SERVER   the ACK (and what follows) is queued, a SYN goes to the
//        |                       |         server and again after 1, 2, 4 s (P2, P3)
//        |   SYN/ACK             v
//        |                   WAIT_CONFIRM  with a cluster: the state was sent to whoever handed us
//        |   CONFIRMED or        |         the SYN/ACK, queued segments wait, bounded (P4)
//        |   deadline            v
//        +---------------->  WAIT_DRAIN    queued segments are translated and sent in order, as far
//                                          as transmit buffers and the server's window go
//
// A flow has at most one context (FLOW_OPENING). For a new incarnation on a key whose old
// connection still counts as open the context is `pending`: the entry is the old connection's until
// the server confirms the new SYN (TCP.md 3.9). Nothing but this file frees a context.
#include "engine/internal.h"

#include "base/check.h"
#include "base/serial.h"

#include <string.h>

#define SYN_RESETS_MAX	 3  // old connections of the server reset per opening (TCP.md 3.2)
#define QUEUE_FRAMES_MIN 16 // segments queued per opening however small its room

struct opening *opening_of(struct engine *engine, const struct flow *flow)
{
	return flow->bits & FLOW_OPENING ? &engine->openings[flow->opening] : NULL;
}

static struct opening *context_take(struct engine *engine)
{
	uint32_t index = engine->opening_free;
	struct opening *opening;

	if (index != FLOW_NONE)
		engine->opening_free = engine->openings[index].next;
	else if (engine->opening_high < engine->config.openings)
		index = engine->opening_high++;
	else
		return NULL;
	engine->opening_used++;
	opening = &engine->openings[index];
	memset(opening, 0, sizeof(*opening));
	hold_init(&opening->hold);
	return opening;
}

// Serves the opening in this very call. Where the list is full, the slice finds it.
static void make_ready(struct engine *engine, struct opening *opening)
{
	opening->deadline_ns = engine->now_ns;
	if (engine->ready_count < ARRAY_LEN(engine->ready))
		engine->ready[engine->ready_count++] = (uint32_t)(opening - engine->openings);
}

static void set_wait(struct engine *engine, struct opening *opening, enum opening_wait wait)
{
	engine->drain_count += (wait == WAIT_DRAIN) - (opening->wait == WAIT_DRAIN);
	opening->wait = (uint8_t)wait;
}

static void context_free(struct engine *engine, struct flow *flow, enum reason reason)
{
	struct opening *opening = opening_of(engine, flow);
	unsigned lost = hold_clear(engine->pool, &opening->hold);

	if (lost > 0) {
		counter_add(&engine->stats.dropped[reason], lost);
		counter_sub(&engine->stats.queued, lost);
	}
	set_wait(engine, opening, WAIT_FREE);
	opening->next = engine->opening_free;
	engine->opening_free = flow->opening;
	engine->opening_used--;
	flow->opening = FLOW_NONE;
	flow->bits &= (uint8_t)~FLOW_OPENING;
}

void opening_abandon(struct engine *engine, struct flow *flow, enum reason reason)
{
	context_free(engine, flow, reason);
}

static void close_flow(struct engine *engine, struct flow *flow, enum reason reason)
{
	struct opening *opening = opening_of(engine, flow);
	bool pending = opening->pending;

	// A probe that got no answer taught nothing: the next connection probes again.
	if (opening->probing && flow->service != SERVICE_NONE)
		engine->probe_epoch[flow->service] = 0;
	context_free(engine, flow, reason);
	if (pending)
		return; // the old connection's entry stays
	entry_remove(engine, flow);
	counter_add(&engine->stats.flows_closed, 1);
}

static bool queue(struct engine *engine, struct opening *opening, struct arrival *arrival)
{
	if (hold_push(engine->pool, &opening->hold, arrival->frame, arrival->view.seq) != 0)
		return false;
	counter_add(&engine->stats.queued, 1);
	opening->client_ack = arrival->view.ack;
	arrival->verdict->kind = VERDICT_CONSUME;
	arrival->verdict->reason = REASON_NONE;
	return true;
}

static bool crafted(
	struct engine *engine, const struct view *model, const struct craft *craft, uint8_t port)
{
	struct frame *out = engine_lend(engine);

	if (out == NULL || craft_tcp(out, model, craft) != 0)
		return false;
	engine_sent(engine, out, port);
	counter_add(&engine->stats.generated, 1);
	return true;
}

// The view of the server SYN we keep, as the model of whatever else must be made.
static void model_of(struct opening *opening, struct view *view)
{
	struct frame frame = {.data = opening->syn_frame, .len = opening->syn_len};

	CHECK(view_parse(view, &frame) == REASON_NONE && (view->bits & VIEW_TCP));
}

static void make_syn(
	struct engine *engine, struct opening *opening, const struct view *model, bool everything)
{
	struct frame frame = {.data = opening->syn_frame, .tailroom = SYN_FRAME_BYTES};
	struct craft craft;

	handshake_syn(engine, opening, model, everything, &craft);
	CHECK(craft_tcp(&frame, model, &craft) == 0);
	opening->syn_len = frame.len;
	opening->probing = everything;
}

static uint64_t retry_ns(const struct engine *engine, const struct opening *opening)
{
	uint64_t first = engine->policy->timeouts.server_syn_ms * NS_PER_MS;

	return first << (opening->tries > 0 ? opening->tries - 1 : 0);
}

static void send_syn(struct engine *engine, struct opening *opening, const struct flow *flow)
{
	struct frame *out = engine_lend(engine);

	opening->deadline_ns = engine->now_ns;
	if (out == NULL || out->tailroom < opening->syn_len)
		return; // the next call tries again
	memcpy(out->data, opening->syn_frame, opening->syn_len);
	out->len = opening->syn_len;
	engine_sent(engine, out, opening->out_port);
	counter_add(&engine->stats.generated, 1);
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_syn, 1);
	opening->tries++;
	opening->deadline_ns = engine->now_ns + retry_ns(engine, opening);
}

static uint32_t server_isn(struct engine *engine, const struct flow *flow, uint32_t isn_client)
{
	struct tuple tuple;
	const struct policy *policy = engine->policy;

	if (!policy->clustered)
		return isn_client;
	flow_key_tuple(&tuple, &flow->key, flow_client_side(flow));
	const struct epoch_keys *keys = keyring_get(&engine->ring, keyring_epoch(engine->tick));

	return keys == NULL ? isn_client
			    : msyn_make(keys, &tuple, isn_client, engine->tick, policy->node_id);
}

// True once per service and epoch, while the service's profile is still a guess.
static bool should_probe(struct engine *engine, const struct service *service)
{
	uint32_t epoch = keyring_epoch(engine->tick);

	if (service == NULL || !service->learn ||
		syn_profile(engine, epoch, service)->known == PROFILE_ALL)
		return false;
	if (engine->probe_epoch[service->id] == epoch + 1)
		return false;
	engine->probe_epoch[service->id] = epoch + 1;
	return true;
}

static void begin_incarnation(
	struct engine *engine, struct flow *flow, const struct opening *opening)
{
	flow->cookie = opening->cookie;
	flow->isn_client = opening->isn_client;
	flow->incarnation = engine->tick << 12 | opening->cookie >> 20;
	flow->generation++;
	flow->bits &= (uint8_t)~FLOW_CONFIRMED;
	flow->mode = MODE_PROXY;
	entry_set_state(engine, flow, TCP_SYN_SENT);
}

bool opening_start(struct engine *engine, struct arrival *arrival, struct flow *flow,
	const struct opening *proof)
{
	const struct service *service = policy_service(engine->policy, flow->service);
	struct opening *opening;
	uint8_t state = flow->track.state;

	if (flow->bits & FLOW_OPENING)
		context_free(engine, flow, REASON_queue_replaced);
	opening = context_take(engine);
	if (opening == NULL) {
		verdict_drop(arrival, REASON_queue_full);
		return false;
	}
	*opening = *proof;
	hold_init(&opening->hold);
	opening->sender = NODE_NONE;
	opening->flow = flow_table_index(engine->table, flow);
	opening->pending = state == TCP_ESTABLISHED || state == TCP_CLOSING;
	flow->opening = (uint32_t)(opening - engine->openings);
	flow->bits |= FLOW_OPENING;
	opening->syn_seq = server_isn(engine, flow, opening->isn_client);
	if (!queue(engine, opening, arrival)) {
		context_free(engine, flow, REASON_queue_full);
		verdict_drop(arrival, REASON_queue_full);
		return false;
	}
	make_syn(engine, opening, &arrival->view, should_probe(engine, service));
	if (!opening->pending)
		begin_incarnation(engine, flow, opening);
	set_wait(engine, opening, WAIT_SERVER);
	send_syn(engine, opening, flow);
	flow->last_ms = engine->now_ms;
	return true;
}

bool opening_claims(const struct opening *opening, const struct view *view)
{
	if (view->tcp_flags & TCP_RST)
		return view->seq == opening->isn_client + 1;
	return view->ack == opening->cookie + 1;
}

static uint32_t room_of(const struct engine *engine, const struct flow *flow)
{
	const struct service *service = policy_service(engine->policy, flow->service);

	return service != NULL ? service->queue_bytes : 0;
}

// True where the segment adds nothing: a bare repetition of the acknowledgement.
static bool is_bare(const struct view *view)
{
	return view_payload_len(view) == 0 && !(view->tcp_flags & TCP_FIN);
}

// A keep-alive or window probe: nothing, or a byte, of what was acknowledged already.
static bool is_probe(const struct opening *opening, const struct view *view)
{
	return view->seq == opening->isn_client && view_payload_len(view) <= 1 &&
	       !(view->tcp_flags & TCP_FIN);
}

// The window is the SYN/ACK's once more, but scaled now, unless the pool ran low since.
static uint16_t probe_window(
	struct engine *engine, const struct flow *flow, const struct opening *opening)
{
	const struct service *service = policy_service(engine->policy, flow->service);
	bool scaled = opening->agreed.wscale != OPTIONS_WSCALE_NONE;

	if (service == NULL)
		return 0;
	return (uint16_t)(syn_queue_window(engine, service) >>
			  (scaled ? opening->announced_wscale : 0));
}

static void answer_probe(struct engine *engine, struct arrival *arrival, const struct flow *flow,
	struct opening *opening)
{
	struct craft craft = {.reply = true, .tcp_flags = TCP_ACK};

	craft.seq = opening->cookie + 1;
	craft.ack = opening->isn_client + 1;
	craft.window = probe_window(engine, flow, opening);
	if (opening->agreed.timestamps) {
		struct options options;

		if (options_parse(&options, &arrival->view) == 0) {
			craft.options.bits = OPTION_TIMESTAMPS;
			craft.options.tsval = opening->tsecr;
			craft.options.tsecr = options.tsval;
		}
	}
	if (!engine_may_reset(engine) || craft_tcp(arrival->frame, &arrival->view, &craft) != 0) {
		verdict_drop(arrival, REASON_rate_limited);
		return;
	}
	verdict_reply(engine, arrival);
}

// Headers and cells cost room too: what is promised as window is bounded in bytes of frames, and in
// frames, because a frame of a few bytes takes a whole cell.
static bool hold_has_room(const struct hold *hold, const struct frame *frame, uint32_t room)
{
	return hold->bytes + frame->len <= 2 * room + MESSAGE_FRAME_MAX &&
	       hold->frames < QUEUE_FRAMES_MIN + room / HOLD_CELL_BYTES;
}

static void queue_more(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct opening *opening)
{
	const struct view *view = &arrival->view;
	uint32_t room = room_of(engine, flow);
	uint32_t last = view->seq + view_seg_len(view) - (opening->isn_client + 1);

	bool tiny = view_payload_len(view) == 1;
	bool known = hold_find(engine->pool, &opening->hold, view->seq, arrival->frame->len);

	if (serial_before(view->seq, opening->isn_client)) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	// Window probes get an answer, so that a client that was given no window keeps trying.
	if (tiny && (known || last > room)) {
		answer_probe(engine, arrival, flow, opening);
		return;
	}
	if (known) {
		verdict_drop(arrival, REASON_queue_replaced);
		return;
	}
	if (last > room || !hold_has_room(&opening->hold, arrival->frame, room) ||
		!queue(engine, opening, arrival))
		verdict_drop(arrival, REASON_queue_full);
}

// A reset from the client ends both sides (TCP.md 3.5): the server may have seen our SYN.
static void client_reset(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct opening *opening)
{
	struct craft craft = {.tcp_flags = TCP_RST, .seq = opening->syn_seq + 1};
	struct view model;

	if (arrival->view.seq != opening->isn_client + 1) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	model_of(opening, &model);
	crafted(engine, &model, &craft, opening->out_port);
	verdict_consume(engine, arrival);
	close_flow(engine, flow, REASON_client_reset);
}

void opening_client(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	struct opening *opening = opening_of(engine, flow);
	const struct view *view = &arrival->view;

	if (view->tcp_flags & TCP_RST) {
		client_reset(engine, arrival, flow, opening);
		return;
	}
	if (!(view->tcp_flags & TCP_ACK) || view->ack != opening->cookie + 1) {
		verdict_drop(arrival, REASON_bad_ack);
		return;
	}
	if (is_probe(opening, view)) {
		answer_probe(engine, arrival, flow, opening);
		return;
	}
	if (is_bare(view)) {
		verdict_consume(engine, arrival); // the queued one says the same
		return;
	}
	queue_more(engine, arrival, flow, opening);
}

static void reset_client(struct engine *engine, struct opening *opening)
{
	struct craft craft = {.reply = true, .tcp_flags = TCP_RST | TCP_ACK};
	struct view model;

	craft.seq = opening->cookie + 1;
	craft.ack = opening->isn_client + 1;
	model_of(opening, &model);
	crafted(engine, &model, &craft, opening->in_port);
}

void opening_refused(struct engine *engine, struct flow *flow, enum reason reason)
{
	reset_client(engine, opening_of(engine, flow));
	close_flow(engine, flow, reason);
}

static void count_refused(struct engine *engine, const struct flow *flow)
{
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_refused, 1);
}

// <SEQ=SEG.ACK><RST>, as the client itself would answer what it never asked for (9293 3.5.2).
// A segment that came by a peer arrived elsewhere: its answer leaves through our own port.
static void reset_server(struct engine *engine, struct arrival *arrival, struct opening *opening)
{
	struct craft craft;

	craft_reset_for(&craft, &arrival->view);
	if (arrival->from_peer) {
		struct view model;

		craft.reply = false;
		model_of(opening, &model);
		if (engine_may_reset(engine))
			crafted(engine, &model, &craft, opening->out_port);
		verdict_consume(engine, arrival);
		return;
	}
	if (!engine_may_reset(engine) || craft_tcp(arrival->frame, &arrival->view, &craft) != 0) {
		verdict_drop(arrival, REASON_rate_limited);
		return;
	}
	verdict_reply(engine, arrival);
}

// A segment of an older connection: the server still holds it (TCP.md 3.2, 3.3). It is reset and
// the SYN goes out again at once.
static void server_old(struct engine *engine, struct arrival *arrival, struct opening *opening)
{
	if (opening->wait != WAIT_SERVER || opening->resets >= SYN_RESETS_MAX) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	opening->resets++;
	reset_server(engine, arrival, opening);
	make_ready(engine, opening);
}

// Tells the node that sees the server's packets. Without a free message cell the next call tries
// again: what the server answers to segments that left before could not be translated there.
static void share(struct engine *engine, struct flow *flow, struct opening *opening)
{
	struct message *message = engine_message(engine, MESSAGE_OPENED, opening->sender);

	opening->unshared = message == NULL;
	opening->deadline_ns = opening->unshared ? engine->now_ns : opening->confirm_ns;
	if (message != NULL)
		entry_record(flow, &message->body.record);
}

static void start_share(struct engine *engine, struct flow *flow, struct opening *opening)
{
	opening->confirm_ns = engine->now_ns + engine->policy->timeouts.share_wait_ms * NS_PER_MS;
	set_wait(engine, opening, WAIT_CONFIRM);
	share(engine, flow, opening);
}

static void start_drain(struct engine *engine, struct opening *opening)
{
	set_wait(engine, opening, WAIT_DRAIN);
	make_ready(engine, opening);
}

// A probe offered more than the client agreed to: the server must forget it and be asked again.
static void ask_again(struct engine *engine, struct arrival *arrival, struct opening *opening)
{
	struct view model;

	reset_server(engine, arrival, opening);
	model_of(opening, &model);
	make_syn(engine, opening, &model, false);
	opening->tries = 0;
	make_ready(engine, opening);
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
	if (opening->pending)
		begin_incarnation(engine, flow, opening);
	opening->pending = false;
	entry_set_state(engine, flow, TCP_ESTABLISHED);
	handshake_set(flow, opening, &arrival->view, options);
	flow->bits |= FLOW_CONFIRMED;
	flow->last_ms = engine->now_ms;
	opening->server_window = arrival->view.window;
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_synack, 1);
	verdict_consume(engine, arrival);
	if (opening->sender != NODE_NONE)
		start_share(engine, flow, opening);
	else
		start_drain(engine, opening);
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

void opening_confirmed(struct engine *engine, struct flow *flow)
{
	struct opening *opening = opening_of(engine, flow);

	if (opening != NULL && opening->wait == WAIT_CONFIRM)
		start_drain(engine, opening);
}

// Tells the client that the window is open now (TCP.md 3.4), if it may have been told otherwise.
static void window_update(struct engine *engine, struct flow *flow, struct opening *opening)
{
	struct craft craft = {.reply = true, .tcp_flags = TCP_ACK};
	uint64_t low_ns = engine->pool_low_ns;
	struct view model;

	if (low_ns == 0 || engine->now_ns - low_ns > 4 * KEYRING_TICK_NS)
		return;
	craft.seq = opening->cookie + 1;
	craft.ack = opening->isn_client + 1;
	// The window of a SYN/ACK is not scaled; on the way to the client it becomes so.
	craft.window = translation_window(
		(struct rescale){0, flow->translation.to_client.right}, opening->server_window);
	if (opening->agreed.timestamps) {
		craft.options.bits = OPTION_TIMESTAMPS;
		craft.options.tsval = opening->tsecr;
		craft.options.tsecr = opening->tsval;
	}
	model_of(opening, &model);
	crafted(engine, &model, &craft, opening->in_port);
}

// One queued segment into the lent buffer, judged, translated. The reason it was dropped for, or
// REASON_NONE.
static enum reason drain_one(
	struct engine *engine, struct flow *flow, const struct opening *opening, struct frame *out)
{
	uint8_t before = flow->track.state;
	struct options options;
	struct tcp_segment segment;
	struct tcp_result result;
	struct view view;
	uint32_t last;

	if (view_parse(&view, out) != REASON_NONE)
		return REASON_malformed;
	last = view.seq + view_seg_len(&view) - (opening->isn_client + 1);
	if (view_payload_len(&view) > 0 && last > opening->server_window)
		return REASON_out_of_window;
	if (options_parse(&options, &view) != 0)
		return REASON_bad_option;
	segment = tcp_segment_of(flow, &view, TO_SERVER);
	result = tcp_track_segment(&flow->track, TO_SERVER, &segment);
	entry_count_state(engine, flow, before);
	if (result.outcome == TCP_DROP)
		return result.reason;
	translation_apply(&flow->translation, TO_SERVER, &view, &options);
	return REASON_NONE;
}

static void drain(struct engine *engine, struct flow *flow, struct opening *opening)
{
	while (opening->hold.frames > 0) {
		struct frame *out = engine_lend(engine);
		enum reason reason;

		if (out == NULL || !hold_pop(engine->pool, &opening->hold, out))
			return;
		counter_sub(&engine->stats.queued, 1);
		reason = drain_one(engine, flow, opening, out);
		if (reason == REASON_NONE) {
			engine_sent(engine, out, opening->out_port);
		} else {
			counter_add(&engine->stats.dropped[reason], 1);
			out->tailroom = (uint16_t)(out->tailroom + out->len);
			out->len = 0;
		}
	}
	window_update(engine, flow, opening);
	context_free(engine, flow, REASON_hold_timeout);
}

static void server_silent(struct engine *engine, struct flow *flow)
{
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_timeout, 1);
	opening_refused(engine, flow, REASON_server_timeout);
}

static void due(struct engine *engine, struct opening *opening)
{
	struct flow *flow = flow_table_at(engine->table, opening->flow);

	CHECK(flow != NULL && opening_of(engine, flow) == opening);
	switch (opening->wait) {
	case WAIT_SERVER:
		if (opening->tries > engine->policy->timeouts.server_syn_retries)
			server_silent(engine, flow);
		else
			send_syn(engine, opening, flow);
		return;
	case WAIT_CONFIRM:
		if (opening->unshared && engine->now_ns < opening->confirm_ns) {
			share(engine, flow, opening);
			return;
		}
		set_wait(engine, opening, WAIT_DRAIN);
		drain(engine, flow, opening);
		return;
	case WAIT_DRAIN:
		drain(engine, flow, opening);
		return;
	default:
		return;
	}
}

static void serve(struct engine *engine, uint32_t index)
{
	struct opening *opening = &engine->openings[index];

	if (opening->wait != WAIT_FREE && opening->deadline_ns <= engine->now_ns)
		due(engine, opening);
}

void opening_run(struct engine *engine)
{
	uint32_t high = engine->opening_high;
	uint32_t slice = engine->opening_used == 0 ? 0 : OPENING_SLICE;

	for (uint32_t i = 0; i < engine->ready_count; i++)
		serve(engine, engine->ready[i]);
	engine->ready_count = 0;
	for (uint32_t i = 0; i < slice && i < high; i++) {
		if (engine->opening_cursor >= high)
			engine->opening_cursor = 0;
		serve(engine, engine->opening_cursor++);
	}
}
