// Messages to the engine.
#include "engine/internal.h"

#include "base/check.h"

#include <string.h>

// How many messages before its turn a flow's lines are fetched.
#define FETCH_BUCKETS_AHEAD 16
#define FETCH_ENTRY_AHEAD   8

// What was found out about a message before its turn.
struct ahead {
	uint64_t hash; // INSTALL: of its flow; CHANGED, CONFIRMED: the digest; else 0
	bool cookied;  // INSTALL: our own rules and services allow its flow with a cookie
};

static void take_policy(struct engine *engine, const struct message *message)
{
	CHECK(engine->retired_count < POLICIES_RETIRED_MAX);
	engine->retired[engine->retired_count++] = engine->policy;
	engine->policy = message->body.policy;
	flood_forget(engine);
	for (uint32_t i = 0; i < engine->policy->rule_count && i < RULE_COUNT_MAX; i++)
		atomic_store_explicit(&engine->rule_hits[i], 0, memory_order_relaxed);
	atomic_store_explicit(&engine->stats.rule_hits_default, 0, memory_order_relaxed);
}

// Hands replaced policies back, oldest first; what finds no cell waits for the next call, because
// nobody else could ever free it.
static void return_policies(struct engine *engine)
{
	unsigned done = 0;

	while (done < engine->retired_count) {
		struct message *reply = engine_message(engine, MESSAGE_POLICY, NODE_NONE);

		if (reply == NULL)
			break;
		reply->body.policy = engine->retired[done++];
	}
	engine->retired_count -= done;
	memmove(engine->retired, engine->retired + done,
		engine->retired_count * sizeof(engine->retired[0]));
}

static void take_epoch(struct engine *engine, const struct message *message)
{
	uint32_t epoch = message->body.epoch.keys.epoch;
	struct epoch_profiles *slot = &engine->epochs[epoch & 3];

	keyring_put(&engine->ring, &message->body.epoch.keys);
	flood_forget(engine);
	slot->epoch = epoch;
	slot->valid = true;
	memcpy(slot->profiles, message->body.epoch.profiles, sizeof(slot->profiles));
}

static bool row_matches(const struct message_dump *dump, const struct flow *flow)
{
	bool inside = flow_client_side(flow) == SIDE_INSIDE;
	const struct flow_key *key = &flow->key;

	if (!dump->matched)
		return true;
	if (dump->protocol != 0 && dump->protocol != key->protocol)
		return false;
	if (dump->client_port != 0 &&
		dump->client_port != (inside ? key->inner_port : key->outer_port))
		return false;
	if (dump->server_port != 0 &&
		dump->server_port != (inside ? key->outer_port : key->inner_port))
		return false;
	return prefix_contains(&dump->client, inside ? &key->inner : &key->outer) &&
	       prefix_contains(&dump->server, inside ? &key->outer : &key->inner);
}

// A slice of the table: bounded in entries looked at and in rows returned.
static void take_dump(struct engine *engine, const struct message *message)
{
	struct message *reply = engine_message(engine, MESSAGE_REPLY, NODE_NONE);
	const struct message_dump *dump = &message->body.flows.dump;
	uint32_t high = flow_table_high_water(engine->table);
	uint32_t at = dump->cursor;
	uint32_t scanned = 0;

	if (reply == NULL)
		return; // the asker asks again
	for (; at < high && scanned < dump->scan_max; at++, scanned++) {
		struct flow *flow = flow_table_at(engine->table, at);

		if (flow == NULL || !row_matches(dump, flow))
			continue;
		if (reply->flow_count == MESSAGE_FLOWS_MAX)
			break;
		entry_row(engine, flow, &reply->body.flows.rows[reply->flow_count++]);
	}
	reply->body.flows.dump = *dump;
	reply->body.flows.dump.cursor = at < high ? at : FLOW_NONE;
}

static void why_without_flow(struct engine *engine, const struct message_query *query,
	const struct arrival *arrival, struct message_why *why)
{
	struct rule_query rule_query;
	struct rule_decision decision;
	const struct service *service;

	admit_query(arrival, &rule_query);
	classifier_decide(&engine->policy->classifier, &rule_query, &decision, 1);
	why->rule = decision.rule;
	why->service = SERVICE_NONE;
	why->mode = MODE_TRACK;
	why->verdict = decision.allow ? WHY_ALLOW : WHY_DROP;
	why->reason = decision.allow ? REASON_NONE : REASON_rule_denied;
	service = admit_service(engine, &arrival->view, query->side);
	if (service == NULL)
		return;
	why->service = service->id;
	why->mode = decision.is_signed && service->mode != MODE_BYPASS ? MODE_TRACK : service->mode;
	if (decision.allow && why->mode == MODE_PROXY && query->protocol == PROTOCOL_TCP)
		why->verdict = WHY_COOKIE;
}

// What starts nothing may answer a flow of another node's. A TCP packet asked about is a SYN, and
// the verdict stays the SYN's.
static void why_offered(struct engine *engine, const struct message_query *query,
	const struct arrival *arrival, struct message_why *why)
{
	struct view view = arrival->view;

	if (query->protocol == PROTOCOL_ICMP || query->protocol == PROTOCOL_ICMP6) {
		view.bits |= VIEW_ICMP;
		view.icmp_type = (uint8_t)query->tuple.dport;
	}
	if (why->mode == MODE_BYPASS ||
		(query->protocol != PROTOCOL_TCP && why->verdict != WHY_DROP &&
			!pseudo_is_reply(&view)))
		return;
	why->offered = (uint8_t)finder_offers(engine, arrival);
	why->others = !share_is_alone(engine);
	if (query->protocol == PROTOCOL_TCP || why->offered == WHY_OFFERED_NOBODY || why->others)
		return;
	why->verdict = WHY_DROP;
	why->reason = REASON_no_owner;
}

// What becomes of a SYN/ACK without a flow (tcp.c, finder.c): the rules alone let none in.
static void why_synack(struct engine *engine, const struct message_query *query,
	const struct arrival *arrival, struct message_why *why)
{
	struct admission back = admit_key(engine, &arrival->key, side_other(query->side));
	bool claimed = why->offered != WHY_OFFERED_NOBODY || admit_is_cookied(&back);

	why->synack = WHY_ALLOW;
	if ((why->mode == MODE_BYPASS && why->verdict == WHY_ALLOW) ||
		(back.allow && back.mode == MODE_BYPASS))
		return;
	why->synack = WHY_OFFER;
	if (engine->policy->clustered && claimed && !share_is_alone(engine))
		return;
	why->synack = WHY_DROP;
	why->synack_reason = engine->policy->clustered ? REASON_no_owner : REASON_no_flow;
}

// A SYN that gets a cookie makes no flow yet: the limit refuses who comes back with it.
static void why_limit(struct engine *engine, const struct addr *client, struct message_why *why)
{
	if (why->verdict == WHY_DROP || why->mode == MODE_BYPASS)
		return;
	why->limit =
		(uint8_t)entry_limit(engine, client, policy_service(engine->policy, why->service));
	if (why->verdict == WHY_COOKIE || why->limit == REASON_NONE)
		return;
	why->verdict = WHY_DROP;
	why->reason = why->limit;
}

// What the view of a packet like this would say it has. Of ICMP only the type is asked about, so
// it has no identifier and finds no flow.
static uint16_t query_bits(const struct message_query *query)
{
	uint16_t family = addr_is_ip4(&query->tuple.src) ? VIEW_IP4 : VIEW_IP6;

	if (query->protocol == PROTOCOL_TCP)
		return family | VIEW_TCP;
	return query->protocol == PROTOCOL_UDP ? family | VIEW_UDP : family;
}

static void take_query(struct engine *engine, const struct message *message)
{
	const struct message_query *query = &message->body.query;
	struct message *reply = engine_message(engine, MESSAGE_REPLY, NODE_NONE);
	struct arrival arrival = {.side = query->side};
	struct message_why *why;
	struct flow *flow;

	if (reply == NULL || engine->policy == NULL)
		return;
	reply->why = 1;
	why = &reply->body.reply;
	memset(why, 0, sizeof(*why));
	why->token = query->token;
	arrival.view.src = query->tuple.src;
	arrival.view.dst = query->tuple.dst;
	arrival.view.sport = query->tuple.sport;
	arrival.view.dport = query->tuple.dport;
	arrival.view.protocol = query->protocol;
	arrival.view.bits = query_bits(query);
	why_without_flow(engine, query, &arrival, why);
	flow_key_from_view(&arrival.key, &arrival.view, query->side);
	flow = flow_table_find(
		engine->table, &arrival.key, flow_key_hash(engine->table_key, &arrival.key));
	if (flow == NULL || entry_is_memory(flow)) {
		why_offered(engine, query, &arrival, why);
		why_synack(engine, query, &arrival, why);
		why_limit(engine, &query->tuple.src, why);
		return;
	}
	why->has_flow = true;
	why->verdict = WHY_ALLOW;
	why->reason = REASON_NONE;
	why->mode = flow->mode;
	why->service = flow->service;
	entry_row(engine, flow, &why->flow);
}

static void take(struct engine *engine, const struct message *message, const struct ahead *ahead)
{
	// Without a policy there is nothing to judge by: only what brings one is taken.
	if (engine->policy == NULL && message->type != MESSAGE_POLICY &&
		message->type != MESSAGE_EPOCH && message->type != MESSAGE_VIEW)
		return;
	switch (message->type) {
	case MESSAGE_POLICY:
		take_policy(engine, message);
		return;
	case MESSAGE_EPOCH:
		take_epoch(engine, message);
		return;
	case MESSAGE_VIEW:
		engine->view = message->body.view;
		return;
	case MESSAGE_INSTALL:
		copy_take_install(engine, message, ahead->hash, ahead->cookied);
		return;
	case MESSAGE_CONFIRMED:
		share_take_confirmed(engine, message);
		return;
	case MESSAGE_CHANGED:
		share_take_changed(engine, message);
		return;
	case MESSAGE_UNSENT:
		share_take_unsent(engine, message);
		return;
	case MESSAGE_RESYNC:
		share_take_resync(engine, message);
		return;
	case MESSAGE_FRAME:
		owner_frame(engine, message);
		return;
	case MESSAGE_EMIT:
		owner_emit(engine, message);
		return;
	case MESSAGE_NONE:
		finder_forget(engine, message->body.flow.digest, message->node);
		return;
	case MESSAGE_DUMP:
		take_dump(engine, message);
		return;
	case MESSAGE_QUERY:
		take_query(engine, message);
		return;
	case MESSAGE_FLUSH:
		entry_clear_all(engine);
		return;
	default:
		return;
	}
}

static void query_of(const struct flow_record *record, struct rule_query *query)
{
	enum side client = record->bits & FLOW_CLIENT_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
	struct tuple tuple;

	flow_key_tuple(&tuple, &record->key, client);
	*query = (struct rule_query){.src = tuple.src,
		.dst = tuple.dst,
		.sport = tuple.sport,
		.dport = tuple.dport,
		.protocol = record->key.protocol,
		.side = (uint8_t)client};
}

// The INSTALLs of a run: their hashes, and whether our own rules allow them with a cookie, for less
// than one by one. Flows without one are judged by themselves (copy.c).
static void ahead_installs(
	struct engine *engine, struct message *const *messages, unsigned count, struct ahead *ahead)
{
	const struct flow_key *keys[ENGINE_BATCH_MAX];
	struct rule_query queries[ENGINE_BATCH_MAX];
	uint64_t hashes[ENGINE_BATCH_MAX];
	bool cookied[ENGINE_BATCH_MAX];
	uint8_t of[ENGINE_BATCH_MAX];
	unsigned installs = 0;

	for (unsigned i = 0; i < count; i++) {
		if (messages[i]->type != MESSAGE_INSTALL)
			continue;
		keys[installs] = &messages[i]->body.record.key;
		of[installs++] = (uint8_t)i;
	}
	for (unsigned i = 0; i < installs; i += FLOW_KEYS_MAX)
		flow_key_hashes(engine->table_key, keys + i,
			installs - i < FLOW_KEYS_MAX ? installs - i : FLOW_KEYS_MAX, hashes + i);
	for (unsigned i = 0; i < installs; i++)
		query_of(&messages[of[i]]->body.record, &queries[i]);
	if (installs > 0 && engine->policy != NULL)
		admit_cookied_batch(engine, queries, installs, cookied);
	for (unsigned i = 0; i < installs; i++)
		ahead[of[i]] = (struct ahead){
			.hash = hashes[i], .cookied = engine->policy != NULL && cookied[i]};
}

static void look_ahead(
	struct engine *engine, struct message *const *messages, unsigned count, struct ahead *ahead)
{
	for (unsigned i = 0; i < count; i++) {
		const struct message *message = messages[i];
		bool named = message->type == MESSAGE_CHANGED || message->type == MESSAGE_CONFIRMED;

		ahead[i] = (struct ahead){.hash = named ? message->body.flow.digest : 0};
	}
	ahead_installs(engine, messages, count, ahead);
}

static void fetch_buckets(struct engine *engine, const struct ahead *ahead)
{
	if (ahead->hash == 0)
		return;
	flow_table_prefetch(engine->table, ahead->hash);
	if (ahead->cookied)
		finder_prefetch(engine, ahead->hash);
}

// Many updates come at once, each of a flow that nothing has touched for long: the table's lines
// come while messages before it are taken.
static void take_run(struct engine *engine, struct message *const *messages, unsigned count)
{
	struct ahead ahead[ENGINE_BATCH_MAX];

	look_ahead(engine, messages, count, ahead);
	for (unsigned i = 0; i < count + FETCH_BUCKETS_AHEAD; i++) {
		unsigned entry = i - (FETCH_BUCKETS_AHEAD - FETCH_ENTRY_AHEAD);
		unsigned turn = i - FETCH_BUCKETS_AHEAD;

		// What is not there yet, or no more, has wrapped or is too large.
		if (i < count)
			fetch_buckets(engine, &ahead[i]);
		if (entry < count && ahead[entry].hash != 0)
			flow_table_prefetch_entry(engine->table, ahead[entry].hash);
		if (turn < count)
			take(engine, messages[turn], &ahead[turn]);
	}
}

// Messages that are judged by one policy.
static unsigned run_length(struct message *const *messages, unsigned count)
{
	unsigned length = 1;

	if (messages[0]->type == MESSAGE_POLICY)
		return 1;
	while (length < count && messages[length]->type != MESSAGE_POLICY)
		length++;
	return length;
}

void messages_take(struct engine *engine)
{
	const struct batch *batch = engine->batch;

	CHECK(batch->messages_in_count <= ENGINE_BATCH_MAX);
	return_policies(engine);
	for (unsigned at = 0, run; at < batch->messages_in_count; at += run) {
		run = run_length(batch->messages_in + at, batch->messages_in_count - at);
		take_run(engine, batch->messages_in + at, run);
	}
	return_policies(engine);
}
