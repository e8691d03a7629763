// Flow entries: made, touched, ended. Every gauge (states, flows per service and prefix) is kept
// here and nowhere else, so that what create counted, remove takes back.
//
// The replay filter (TCP.md 1.7, 3.9). A cookie is good for as many ACKs as arrive while it is
// valid, so the entry it made is what keeps a recorded one from a second server SYN: an ACK whose
// cookie the entry knows proves nothing. An entry of `proxy` mode therefore outlives the cookie,
// whatever became of the connection and whatever the timers say: where the server never accepted,
// or the timer is up before the cookie's, the entry is left as CLOSED and not FLOW_CONFIRMED, a
// bare memory, which every packet but the client's own passes by as if it were not there. It counts
// in no limit and is the first to be evicted, so that refused handshakes keep nobody out; what a
// full table evicts while its cookie is valid may be replayed. Two cookies are known: the entry's,
// and the one before it or the last one the server refused while an older connection held the
// entry. Who has recorded three of one tuple may take turns.
#include "engine/internal.h"

#include "base/serial.h"

#include <string.h>

// An ACK proves the cookie of epoch e from the second half of e - 1 to the first half of e + 1.
#define COOKIE_LIFE_MS ((uint32_t)(2 * KEYRING_TICKS_PER_EPOCH * (KEYRING_TICK_NS / NS_PER_MS)))

static counter *state_gauge(struct engine *engine, const struct flow *flow)
{
	unsigned state = flow->key.protocol == PROTOCOL_TCP ? flow->track.state : TCP_STATE_COUNT;

	return &engine->stats.states[state];
}

static bool service_has_room(const struct engine *engine, const struct service *service)
{
	uint64_t share;

	if (service == NULL || service->flows_max == 0)
		return true;
	// Flows spread evenly over workers by a keyed hash, so each has an equal share.
	share = (service->flows_max + engine->config.workers - 1u) / engine->config.workers;
	return counter_get(&engine->services[service->id].flows) < share;
}

static struct flow *insert_or_evict(
	struct engine *engine, const struct flow_key *key, uint64_t hash)
{
	struct flow *flow = flow_table_insert(engine->table, key, hash);

	if (flow != NULL)
		return flow;
	if (!ageing_evict(engine, hash))
		return NULL;
	return flow_table_insert(engine->table, key, hash);
}

static const struct addr *client_addr(const struct flow_key *key, enum side client)
{
	return client == SIDE_OUTSIDE ? &key->outer : &key->inner;
}

// Flows whose client proved its address are counted apart: others are counted under an address
// anybody can write into a packet, and must not use up what belongs to its owner.
static struct prefix_source source_now(
	const struct engine *engine, const struct addr *client, bool proven)
{
	const struct policy_limits *limits = &engine->policy->limits;

	return (struct prefix_source){client, limits->prefix4, limits->prefix6, proven};
}

// As it was counted.
static struct prefix_source source_of(const struct flow *flow)
{
	return (struct prefix_source){client_addr(&flow->key, flow_client_side(flow)),
		flow->prefix4, flow->prefix6, (flow->bits & FLOW_PROVEN) != 0};
}

// A flow of this service exists only once its client proved its address.
static bool is_proven(const struct service *service)
{
	return service != NULL && service->mode == MODE_PROXY;
}

static enum reason take_limits(struct engine *engine, const struct addr *client,
	const struct service *service, bool proven)
{
	struct prefix_source source = source_now(engine, client, proven);

	if (!service_has_room(engine, service))
		return REASON_flow_limit;
	if (!prefix_limit_take(engine->prefixes, &source, engine->policy->limits.per_prefix_flows))
		return REASON_prefix_limit;
	return REASON_NONE;
}

enum reason entry_limit(
	struct engine *engine, const struct addr *client, const struct service *service)
{
	struct prefix_source source = source_now(engine, client, is_proven(service));

	if (!service_has_room(engine, service))
		return REASON_flow_limit;
	if (prefix_limit_count(engine->prefixes, &source) >=
		engine->policy->limits.per_prefix_flows)
		return REASON_prefix_limit;
	return REASON_NONE;
}

static void give_limits(struct engine *engine, struct flow *flow)
{
	struct prefix_source source = source_of(flow);

	if (!(flow->bits & FLOW_COUNTED))
		return;
	if (flow->service != SERVICE_NONE)
		counter_sub(&engine->services[flow->service].flows, 1);
	prefix_limit_give(engine->prefixes, &source);
	flow->bits &= (uint8_t)~FLOW_COUNTED;
}

struct flow *entry_create(struct engine *engine, const struct flow_key *key, uint64_t hash,
	enum side client, const struct service *service, enum reason *reason)
{
	const struct policy_limits *limits = &engine->policy->limits;
	bool proven = is_proven(service);
	struct prefix_source source = source_now(engine, client_addr(key, client), proven);
	struct flow *flow;

	*reason = take_limits(engine, client_addr(key, client), service, proven);
	if (*reason != REASON_NONE) {
		counter_add(&engine->stats.flows_refused, 1);
		return NULL;
	}
	flow = insert_or_evict(engine, key, hash);
	if (flow == NULL) {
		prefix_limit_give(engine->prefixes, &source);
		counter_add(&engine->stats.flows_refused, 1);
		*reason = REASON_table_full;
		return NULL;
	}
	flow->last_ms = engine->now_ms;
	flow->past = FLOW_NONE;
	flow->helper = FLOW_NONE;
	flow->partner = NODE_NONE;
	flow->bits = (uint8_t)(FLOW_COUNTED | (proven ? FLOW_PROVEN : 0) |
			       (client == SIDE_INSIDE ? FLOW_CLIENT_INSIDE : 0));
	flow->owner = engine->policy->node_id;
	flow->service = service != NULL ? service->id : SERVICE_NONE;
	flow->prefix4 = limits->prefix4;
	flow->prefix6 = limits->prefix6;
	counter_add(state_gauge(engine, flow), 1);
	counter_add(&engine->stats.flows_created, 1);
	if (service != NULL)
		counter_add(&engine->services[service->id].flows, 1);
	return flow;
}

void entry_remove(struct engine *engine, struct flow *flow)
{
	if (flow->bits & FLOW_OPENING)
		opening_free(engine, flow, REASON_hold_timeout);
	counter_sub(state_gauge(engine, flow), 1);
	give_limits(engine, flow);
	flow_table_remove(engine->table, flow, flow_key_hash(engine->table_key, &flow->key));
}

// The time, by the cluster's counter: of two connections it tells the later one, wherever each
// began (copy.c). Those of one entry always differ.
void entry_begin(const struct engine *engine, struct flow *flow)
{
	uint32_t now = engine_moment(engine);
	bool fresh = flow->generation == 0;

	flow->incarnation =
		fresh || serial_after(now, flow->incarnation) ? now : flow->incarnation + 1;
	flow->generation++;
	flow->fins = 0;
}

void entry_begin_behind(const struct engine *engine, struct flow *flow, struct life former)
{
	flow->incarnation = former.incarnation;
	flow->generation = former.generation;
	entry_begin(engine, flow);
}

struct life entry_life(const struct flow *flow)
{
	return (struct life){flow->incarnation, flow->generation};
}

bool entry_is_connection(const struct flow *flow)
{
	return flow->key.protocol == PROTOCOL_TCP;
}

bool entry_has_ended(const struct flow *flow)
{
	return entry_is_connection(flow) &&
	       (flow->track.state == TCP_TIME_WAIT || flow->track.state == TCP_CLOSED);
}

bool entry_is_memory(const struct flow *flow)
{
	return flow->mode == MODE_PROXY && flow->track.state == TCP_CLOSED &&
	       !(flow->bits & FLOW_CONFIRMED);
}

bool entry_knows_cookie(const struct engine *engine, const struct flow *flow, uint32_t cookie)
{
	uint32_t past =
		flow->bits & FLOW_OPENING ? engine->openings[flow->opening].past : flow->past;

	return cookie == flow->cookie || cookie == past;
}

// An ended connection only waits for its timer and goes first when room is needed: it does not
// count against its prefix or service, or a busy client would be refused for what it has finished.
static void state_changed(struct engine *engine, struct flow *flow, uint8_t before)
{
	counter_sub(&engine->stats.states[before], 1);
	counter_add(&engine->stats.states[flow->track.state], 1);
	if (entry_has_ended(flow))
		give_limits(engine, flow);
}

void entry_set_state(struct engine *engine, struct flow *flow, enum tcp_state state)
{
	uint8_t before = flow->track.state;

	flow->track.state = (uint8_t)state;
	state_changed(engine, flow, before);
}

void entry_count_state(struct engine *engine, struct flow *flow, uint8_t before)
{
	if (flow->track.state != before)
		state_changed(engine, flow, before);
}

enum reason entry_reuse(struct engine *engine, struct flow *flow)
{
	const struct policy_limits *limits = &engine->policy->limits;

	if (entry_has_ended(flow) && !(flow->bits & FLOW_COUNTED)) {
		enum reason reason =
			take_limits(engine, client_addr(&flow->key, flow_client_side(flow)),
				policy_service(engine->policy, flow->service), true);

		if (reason != REASON_NONE) {
			counter_add(&engine->stats.flows_refused, 1);
			return reason;
		}
		if (flow->service != SERVICE_NONE)
			counter_add(&engine->services[flow->service].flows, 1);
		flow->bits |= FLOW_COUNTED | FLOW_PROVEN;
		flow->prefix4 = limits->prefix4;
		flow->prefix6 = limits->prefix6;
	}
	counter_add(&engine->stats.flows_closed, 1);
	counter_add(&engine->stats.flows_created, 1);
	return REASON_NONE;
}

void entry_set_service(struct engine *engine, struct flow *flow, const struct service *service)
{
	bool counted = (flow->bits & FLOW_COUNTED) != 0;

	if (counted && flow->service != SERVICE_NONE)
		counter_sub(&engine->services[flow->service].flows, 1);
	flow->service = service->id;
	if (counted)
		counter_add(&engine->services[flow->service].flows, 1);
}

static uint32_t tcp_timeout_s(const struct policy_timeouts *timeouts, const struct flow *flow)
{
	unsigned fins = flow->track.bits & (TRACK_FIN_CLIENT | TRACK_FIN_SERVER);

	switch (flow->track.state) {
	case TCP_ESTABLISHED:
		return timeouts->established_s;
	case TCP_CLOSING:
		// A half-closed connection may live as long as an open one (TCP.md 4.4).
		return fins == (TRACK_FIN_CLIENT | TRACK_FIN_SERVER) ? timeouts->transitory_s
								     : timeouts->established_s;
	case TCP_TIME_WAIT:
		return timeouts->time_wait_s;
	default:
		return timeouts->transitory_s;
	}
}

uint32_t entry_timeout_ms(const struct engine *engine, const struct flow *flow)
{
	const struct policy_timeouts *timeouts = &engine->policy->timeouts;

	if (entry_is_memory(flow))
		return COOKIE_LIFE_MS;
	if (flow->key.protocol == PROTOCOL_TCP)
		return tcp_timeout_s(timeouts, flow) * MS_PER_S;
	if (flow->key.protocol == PROTOCOL_ICMP || flow->key.protocol == PROTOCOL_ICMP6)
		return timeouts->icmp_s * MS_PER_S;
	return timeouts->udp_s * MS_PER_S;
}

// However short the timers: the replay filter is no matter of configuration.
bool entry_remember(struct engine *engine, struct flow *flow)
{
	if (flow->mode != MODE_PROXY || entry_is_memory(flow) ||
		engine->now_ms - flow->last_ms >= COOKIE_LIFE_MS)
		return false;
	flow->bits &= (uint8_t)~FLOW_CONFIRMED;
	entry_set_state(engine, flow, TCP_CLOSED);
	return true;
}

// Written only when it changes by a while: a packet that only refreshes leaves the line clean.
void entry_touch(struct engine *engine, struct flow *flow)
{
	if (engine->now_ms - flow->last_ms >= TOUCH_MS)
		flow->last_ms = engine->now_ms;
}

void entry_record(const struct flow *flow, struct flow_record *record)
{
	memset(record, 0, sizeof(*record));
	record->key = flow->key;
	record->mode = flow->mode;
	// What is no connection has no states: the usual one travels for nothing.
	record->state = entry_is_connection(flow) ? flow->track.state : TCP_ESTABLISHED;
	record->bits = flow->bits & (FLOW_CLIENT_INSIDE | FLOW_CONFIRMED);
	record->wscale[TO_SERVER] = flow->track.wscale[TO_SERVER];
	record->wscale[TO_CLIENT] = flow->track.wscale[TO_CLIENT];
	record->service = flow->service;
	record->owner = flow->owner;
	record->generation = flow->generation;
	record->incarnation = flow->incarnation;
	record->translation = flow->translation;
	record->cookie = flow->bits & FLOW_RESYN ? 0 : flow->cookie;
	record->isn_client = flow->isn_client;
}

void entry_row(const struct engine *engine, const struct flow *flow, struct flow_row *row)
{
	entry_record(flow, &row->record);
	row->copy = flow->copy;
	row->half = (flow->bits & FLOW_HALF) != 0;
	row->idle_ms = engine->now_ms - flow->last_ms;
}

void entry_clear_all(struct engine *engine)
{
	uint32_t high = flow_table_high_water(engine->table);

	for (uint32_t i = 0; i < high; i++) {
		struct flow *flow = flow_table_at(engine->table, i);

		if (flow == NULL)
			continue;
		entry_remove(engine, flow);
		counter_add(&engine->stats.flows_closed, 1);
	}
}
