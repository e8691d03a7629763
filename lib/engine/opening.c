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
//
// An opening that fails leaves its entry, so that a replay of its ACK opens nothing (entry.c).
#include "engine/internal.h"

#include "base/check.h"
#include "base/serial.h"

#include <string.h>

struct opening *opening_of(struct engine *engine, const struct flow *flow)
{
	return flow->bits & FLOW_OPENING ? &engine->openings[flow->opening] : NULL;
}

struct opening *opening_take(struct engine *engine)
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
void opening_make_ready(struct engine *engine, struct opening *opening)
{
	opening->deadline_ns = engine->now_ns;
	if (engine->ready_count < ARRAY_LEN(engine->ready))
		engine->ready[engine->ready_count++] = (uint32_t)(opening - engine->openings);
}

void opening_set_wait(struct engine *engine, struct opening *opening, enum opening_wait wait)
{
	engine->drain_count += (wait == WAIT_DRAIN) - (opening->wait == WAIT_DRAIN);
	opening->wait = (uint8_t)wait;
}

void opening_free(struct engine *engine, struct flow *flow, enum reason reason)
{
	struct opening *opening = opening_of(engine, flow);
	unsigned lost = hold_clear(engine->pool, &opening->hold);

	if (lost > 0) {
		counter_add(&engine->stats.dropped[reason], lost);
		counter_sub(&engine->stats.queued, lost);
	}
	opening_set_wait(engine, opening, WAIT_FREE);
	opening->next = engine->opening_free;
	engine->opening_free = flow->opening;
	engine->opening_used--;
	flow->past = opening->past;
	flow->bits &= (uint8_t)~FLOW_OPENING;
}

void opening_close(struct engine *engine, struct flow *flow, enum reason reason)
{
	struct opening *opening = opening_of(engine, flow);
	bool pending = opening->pending;

	// A probe that got no answer taught nothing: the next connection probes again.
	if (opening->probing && flow->service != SERVICE_NONE)
		engine->probe_epoch[flow->service] = 0;
	opening_free(engine, flow, reason);
	if (pending)
		return; // the old connection's entry stays
	entry_set_state(engine, flow, TCP_CLOSED);
	flow->last_ms = engine->now_ms;
}

bool opening_pool_is_low(const struct engine *engine)
{
	uint64_t limit = hold_pool_limit_bytes(engine->pool);

	return hold_pool_used_bytes(engine->pool) > limit - limit / 8;
}

bool opening_queue(struct engine *engine, struct opening *opening, struct arrival *arrival)
{
	uint32_t end = arrival->view.seq + view_seg_len(&arrival->view);

	if (hold_push(engine->pool, &opening->hold, arrival->frame, end) != 0)
		return false;
	counter_add(&engine->stats.queued, 1);
	opening->client_ack = arrival->view.ack;
	if (opening->hold.frames == 1 || serial_after(end, opening->client_end))
		opening->client_end = end;
	arrival->verdict->kind = VERDICT_CONSUME;
	arrival->verdict->reason = REASON_NONE;
	return true;
}

bool opening_craft(
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
void opening_model(struct opening *opening, struct view *view)
{
	struct frame frame = {.data = opening->syn_frame, .len = opening->syn_len};

	CHECK(view_parse(view, &frame) == REASON_NONE && (view->bits & VIEW_TCP));
}

void opening_make_syn(
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
	if (opening->tries > 0 && !opening->pending)
		share_former_over(engine, flow);
	opening->tries++;
	opening->deadline_ns = engine->now_ns + retry_ns(engine, opening);
}

static uint32_t server_isn(struct engine *engine, const struct flow *flow, uint32_t isn_client)
{
	struct tuple tuple;
	const struct policy *policy = engine->policy;

	if (!policy->clustered || !engine->view.decodes)
		return isn_client;
	flow_key_tuple(&tuple, &flow->key, flow_client_side(flow));
	const struct epoch_keys *keys = keyring_get(&engine->ring, keyring_epoch(engine->tick));

	return keys == NULL ? isn_client
			    : msyn_make(keys, &tuple, isn_client, engine->tick, policy->node_id);
}

// True where something may have to be learnt: while the profile is a guess, and now and then where
// it lacks something, for what is not announced is never offered, and so never seen again.
static bool may_learn(const struct profile *profile, uint32_t epoch, uint16_t id)
{
	bool rich = profile->wscale != OPTIONS_WSCALE_NONE && profile->sack &&
		    profile->timestamps && profile->ecn;

	if (profile->known != PROFILE_ALL)
		return true;
	return !rich && epoch % PROBE_EPOCHS == id % PROBE_EPOCHS;
}

// Once per service and epoch.
static bool should_probe(struct engine *engine, const struct service *service)
{
	uint32_t epoch = keyring_epoch(engine->tick);

	if (service == NULL || !service->learn ||
		!may_learn(syn_profile(engine, epoch, service), epoch, service->id))
		return false;
	if (engine->probe_epoch[service->id] == epoch + 1)
		return false;
	engine->probe_epoch[service->id] = epoch + 1;
	return true;
}

void opening_begin_incarnation(struct engine *engine, struct flow *flow, struct opening *opening)
{
	opening->past = flow->cookie;
	flow->cookie = opening->cookie;
	flow->isn_client = opening->isn_client;
	entry_begin(engine, flow);
	// Whatever it was before, of another node's connection too.
	flow->copy = COPY_OWN;
	flow->owner = engine->policy->node_id;
	flow->partner = NODE_NONE;
	flow->superseded = false;
	flow->bits &= (uint8_t) ~(FLOW_CONFIRMED | FLOW_HALF | FLOW_DIRTY | FLOW_RESYN);
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
		opening_free(engine, flow, REASON_queue_replaced);
	opening = opening_take(engine);
	if (opening == NULL) {
		verdict_drop(arrival, REASON_queue_full);
		return false;
	}
	*opening = *proof;
	hold_init(&opening->hold);
	opening->past = flow->past;
	opening->sender = NODE_NONE;
	opening->flow = flow_table_index(engine->table, flow);
	opening->pending = state == TCP_ESTABLISHED || state == TCP_CLOSING;
	flow->opening = (uint32_t)(opening - engine->openings);
	flow->bits |= FLOW_OPENING;
	opening->syn_seq = server_isn(engine, flow, opening->isn_client);
	if (!opening_queue(engine, opening, arrival)) {
		opening_free(engine, flow, REASON_queue_full);
		verdict_drop(arrival, REASON_queue_full);
		return false;
	}
	opening_make_syn(engine, opening, &arrival->view, should_probe(engine, service));
	if (opening->pending)
		opening->past = opening->cookie;
	else
		opening_begin_incarnation(engine, flow, opening);
	opening_set_wait(engine, opening, WAIT_SERVER);
	send_syn(engine, opening, flow);
	flow->last_ms = engine->now_ms;
	return true;
}

void opening_count_wait(struct engine *engine, const struct opening *opening)
{
	uint64_t us = (engine->now_ns - opening->shared_ns) / 1000;
	unsigned bucket = us == 0 ? 0 : 64u - (unsigned)__builtin_clzll(us);

	counter_add(&engine->stats.wait_us[bucket < WAIT_BUCKETS ? bucket : WAIT_BUCKETS - 1], 1);
}

void opening_confirmed(struct engine *engine, struct flow *flow, uint64_t nodes)
{
	struct opening *opening = opening_of(engine, flow);

	if (opening == NULL || opening->wait != WAIT_CONFIRM)
		return;
	opening->waiting &= ~nodes;
	if (opening->waiting != 0)
		return;
	opening_count_wait(engine, opening);
	opening_start_drain(engine, opening);
}

static void server_silent(struct engine *engine, struct flow *flow)
{
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_timeout, 1);
	opening_refused(engine, flow, REASON_server_timeout);
}

// The server has accepted another node's SYN for the same connection, whose state is on its way:
// our own would be taken for the next one (TCP.md 7.3). Where it never comes, we go on when that is
// forgotten.
static bool gives_way(struct engine *engine, struct opening *opening, const struct flow *flow)
{
	uint16_t owner;

	if (!finder_answered(engine, flow_key_hash(engine->table_key, &flow->key), &owner))
		return false;
	opening->deadline_ns = engine->now_ns + retry_ns(engine, opening);
	return true;
}

static void due(struct engine *engine, struct opening *opening)
{
	struct flow *flow = flow_table_at(engine->table, opening->flow);

	CHECK(flow != NULL && opening_of(engine, flow) == opening);
	switch (opening->wait) {
	case WAIT_SERVER:
		if (gives_way(engine, opening, flow))
			return;
		if (opening->tries > engine->policy->timeouts.server_syn_retries)
			server_silent(engine, flow);
		else
			send_syn(engine, opening, flow);
		return;
	case WAIT_CONFIRM:
		opening_wait_over(engine, flow, opening);
		return;
	case WAIT_DRAIN:
		opening_drain(engine, flow, opening);
		return;
	default:
		return;
	}
}

static void serve(struct engine *engine, uint32_t index)
{
	struct opening *opening = &engine->openings[index];

	// A node that is gone is not waited for (TCP.md 7.4).
	bool alone = opening->wait == WAIT_CONFIRM && (opening->waiting & engine->view.active) == 0;

	if (opening->wait != WAIT_FREE && (alone || opening->deadline_ns <= engine->now_ns))
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
