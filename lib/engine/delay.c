// A packet that waits until the state it made is where its answer may arrive (C5).
//
//   share_begin()     the flow's first packet is queued, OPENED goes to all active nodes
//        |            WAIT_CONFIRM   what the client sends next queues behind it, in order
//        |   confirmed, or wait_ms is over and on_timeout says forward
//        v
//   opening_drain()   WAIT_DRAIN     all of it leaves as it came: nothing is translated
//
// The context is a half-open one (opening.c) with `delay` set, so that one pool, one quota and one
// set of deadlines serve both. Delays leave half of the contexts, and the last eighth of the pool,
// to proxied handshakes: who finds no room is not delayed. Packets are judged before they are
// queued. A dropped one takes its flow with it, so that its repetition begins anew.
#include "engine/internal.h"

#define DELAY_FRAMES_MAX 16 // packets of one flow

bool delay_is_on(const struct engine *engine, const struct flow *flow)
{
	return (flow->bits & FLOW_OPENING) && engine->openings[flow->opening].delay;
}

static bool queue(struct engine *engine, struct opening *opening, struct arrival *arrival)
{
	if (opening->hold.frames >= DELAY_FRAMES_MAX || opening_pool_is_low(engine) ||
		hold_push(engine->pool, &opening->hold, arrival->frame, 0) != 0)
		return false;
	counter_add(&engine->stats.queued, 1);
	arrival->verdict->kind = VERDICT_CONSUME;
	arrival->verdict->reason = REASON_NONE;
	return true;
}

bool delay_start(struct engine *engine, struct arrival *arrival, struct flow *flow, uint64_t nodes)
{
	struct opening *opening = NULL;

	if (engine->opening_used < engine->config.openings / 2)
		opening = opening_take(engine);
	if (opening == NULL)
		return false;
	opening->delay = true;
	opening->sender = NODE_NONE;
	opening->past = flow->past;
	opening->flow = flow_table_index(engine->table, flow);
	opening->out_port = engine->config.ports[arrival->frame->port].peer;
	flow->opening = (uint32_t)(opening - engine->openings);
	flow->bits |= FLOW_OPENING;
	if (!queue(engine, opening, arrival)) {
		opening_free(engine, flow, REASON_NONE);
		return false;
	}
	opening_share(engine, flow, opening, nodes);
	return true;
}

void delay_behind(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	if (delay_is_on(engine, flow) && flow_direction(flow, arrival->side) == TO_SERVER)
		queue(engine, opening_of(engine, flow), arrival);
}

void delay_drop(struct engine *engine, struct flow *flow)
{
	opening_free(engine, flow, REASON_hold_timeout);
	share_ended(engine, flow);
	counter_add(&engine->stats.flows_closed, 1);
	entry_remove(engine, flow);
}
