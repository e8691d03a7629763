// The strict order of checks every frame goes through before anything looks at flows.
#include "engine/internal.h"

#include "base/cpu.h"

#include <string.h>

// What the other port can carry.
static bool fits(const struct engine *engine, const struct arrival *arrival)
{
	const struct engine_port *port = &engine->config.ports[arrival->frame->port];
	const struct view *view = &arrival->view;

	return view->end - view->l3 <= engine->config.ports[port->peer].mtu;
}

static enum reason check(const struct engine *engine, struct arrival *arrival)
{
	enum reason reason;

	// 1. Headers that contradict themselves or the frame.
	reason = view_parse(&arrival->view, arrival->frame);
	if (reason != REASON_NONE || arrival->view.bits == 0)
		return reason;
	// 2. Size.
	if (!fits(engine, arrival))
		return REASON_too_big;
	// 3. Checksums: a wrong packet must not move state.
	reason = view_verify(&arrival->view, arrival->frame);
	if (reason != REASON_NONE)
		return reason;
	// 4. Source routes bypass whoever filters by address (RFC 5095, RFC 7126).
	if (arrival->view.bits & VIEW_SOURCE_ROUTE)
		return REASON_bad_option;
	return view_check_addresses(&arrival->view);
}

void ingress_hash(struct engine *engine, struct arrival *arrival)
{
	if (view_is_first_syn(&arrival->view))
		flow_key_from_view(&arrival->key, &arrival->view, arrival->side);
	arrival->hash = flow_key_hash(engine->table_key, &arrival->key);
}

// A first SYN has no key yet.
static void key_segment(struct arrival *arrival)
{
	arrival->syn = view_is_first_syn(&arrival->view);
	if (!arrival->syn)
		flow_key_from_view(&arrival->key, &arrival->view, arrival->side);
}

static void ingress_key(struct arrival *arrival)
{
	const struct view *view = &arrival->view;

	if (view->bits == 0 || (view->bits & VIEW_FRAGMENT))
		return;
	if (view_is_icmp_error(view)) {
		struct quote quote;

		if (quote_parse(&quote, view) != 0)
			return;
		flow_key_from_quote(&arrival->key, &quote, arrival->side);
	} else {
		key_segment(arrival);
	}
	arrival->keyed = true;
}

static void hash_some(struct engine *engine, struct arrival *const *some, unsigned count)
{
	const struct flow_key *keys[FLOW_KEYS_MAX];
	uint64_t hashes[FLOW_KEYS_MAX];

	for (unsigned i = 0; i < count; i++)
		keys[i] = &some[i]->key;
	flow_key_hashes(engine->table_key, keys, count, hashes);
	for (unsigned i = 0; i < count; i++) {
		some[i]->hash = hashes[i];
		flow_table_prefetch(engine->table, hashes[i]);
	}
}

// A first SYN is, too, where it begins a flow; but most are answered.
static bool is_looked_up(const struct arrival *arrival)
{
	return arrival->keyed && !arrival->syn;
}

// Nearly all are TCP: then the second line is needed, too.
static void fetch_track(const struct arrival *arrival)
{
	if (arrival->guess != NULL)
		cpu_prefetch(&arrival->guess->track);
}

unsigned ingress_prefetch_flows(struct engine *engine, unsigned count)
{
	struct arrival *elsewhere[ENGINE_BATCH_MAX];
	unsigned without = 0, elsewhere_count = 0;

	engine->guess_inserts = flow_table_inserts(engine->table);
	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];
		bool later;

		if (!is_looked_up(arrival))
			continue;
		arrival->guess = flow_table_guess(engine->table, arrival->hash, &later);
		arrival->guessed = true;
		fetch_track(arrival);
		elsewhere[elsewhere_count] = arrival;
		elsewhere_count += later;
		without += arrival->guess == NULL;
	}
	for (unsigned i = 0; i < elsewhere_count; i++) {
		struct arrival *arrival = elsewhere[i];

		arrival->guess = flow_table_guess_elsewhere(engine->table, arrival->hash);
		fetch_track(arrival);
		without -= arrival->guess != NULL;
	}
	return without;
}

struct flow *ingress_find(struct engine *engine, const struct arrival *arrival)
{
	if (!arrival->guessed)
		return flow_table_find(engine->table, &arrival->key, arrival->hash);
	if (arrival->guess == NULL && engine->guess_inserts == flow_table_inserts(engine->table))
		return NULL;
	return flow_table_find_guessed(engine->table, &arrival->key, arrival->hash, arrival->guess);
}

void ingress_hash_batch(struct engine *engine, unsigned count)
{
	struct arrival *some[FLOW_KEYS_MAX];
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];

		if (!is_looked_up(arrival))
			continue;
		some[used++] = arrival;
		if (used == FLOW_KEYS_MAX) {
			hash_some(engine, some, used);
			used = 0;
		}
	}
	if (used > 0)
		hash_some(engine, some, used);
}

// Clears everything that says what is known, in one piece.
static void know_nothing(struct arrival *arrival)
{
	const size_t from = offsetof(struct arrival, keyed);

	memset((uint8_t *)arrival + from, 0, offsetof(struct arrival, from_peer) - from);
}

static enum reason prepare(const struct engine *engine, struct arrival *arrival)
{
	enum reason reason;

	if (engine->policy == NULL || engine->batch->stopped)
		return REASON_stopped;
	if (view_take_usual(&arrival->view, arrival->frame)) {
		if (!fits(engine, arrival))
			return REASON_too_big;
		key_segment(arrival);
		arrival->keyed = true;
		return REASON_NONE;
	}
	reason = check(engine, arrival);
	if (reason == REASON_NONE)
		ingress_key(arrival);
	return reason;
}

bool ingress_prepare(struct engine *engine, struct arrival *arrival)
{
	enum reason reason;

	arrival->side = port_side(engine, arrival->frame->port);
	arrival->path = PATH_OTHER;
	arrival->rule = RULE_NONE;
	know_nothing(arrival);
	reason = prepare(engine, arrival);
	if (reason == REASON_NONE)
		return true;
	verdict_drop(arrival, reason);
	return false;
}

bool ingress_hand_over(struct engine *engine, struct arrival *arrival)
{
	unsigned owner = flow_worker(arrival->hash, engine->config.workers);

	if (owner == engine->config.worker)
		return false;
	arrival->verdict->kind = VERDICT_WORKER;
	arrival->verdict->reason = REASON_NONE;
	arrival->verdict->worker = (uint8_t)owner;
	return true;
}

void ingress_decide(struct engine *engine, struct arrival *arrival)
{
	const struct view *view = &arrival->view;

	if (arrival->answered) {
		syn_answer(engine, arrival);
		return;
	}
	if (arrival->proving && ingress_find(engine, arrival) == NULL) {
		proof_decide(engine, arrival);
		return;
	}
	// ARP, neighbour discovery and everything that is not IP belong to the wire.
	if (view->bits == 0 || icmp_is_link_local(view)) {
		verdict_forward(engine, arrival);
		return;
	}
	if (view->bits & VIEW_FRAGMENT) {
		fragment_decide(engine, arrival);
		return;
	}
	if (view->protocol == PROTOCOL_TCP) {
		tcp_decide(engine, arrival);
		return;
	}
	if (view_is_icmp_error(view)) {
		icmp_decide_error(engine, arrival);
		return;
	}
	pseudo_decide(engine, arrival);
}
