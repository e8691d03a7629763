// The engine's part in a connection of two nodes: a stranger's SYN/ACK is handed to the node its
// m.SYN cookie names (M5, M7), the owner's answer is installed, and every install is confirmed
// (P4, P5). Who carries the messages is the caller's business.
#include "engine/internal.h"

#include <string.h>

static void hand_over(struct engine *engine, struct arrival *arrival, uint16_t owner)
{
	struct message *message;

	if (arrival->frame->len > MESSAGE_FRAME_MAX) {
		verdict_drop(arrival, REASON_too_big);
		return;
	}
	message = engine_message(engine, MESSAGE_FRAME, owner);
	if (message == NULL) {
		verdict_drop(arrival, REASON_control_busy);
		return;
	}
	message->body.flow = (struct message_flow){.key = arrival->key};
	message->frame_len = arrival->frame->len;
	message->frame_port = arrival->frame->port;
	message->frame_side = arrival->side;
	memcpy(message->frame, arrival->frame->data, arrival->frame->len);
	counter_add(&engine->stats.to_peers, 1);
	arrival->verdict->kind = VERDICT_CONSUME;
	arrival->verdict->reason = REASON_NONE;
}

void cluster_stray(struct engine *engine, struct arrival *arrival)
{
	const struct policy *policy = engine->policy;
	struct tuple tuple;
	uint16_t owner;

	// Handed over once only: what a peer sent us and we do not know is nobody's.
	if (!policy->clustered || arrival->from_peer) {
		verdict_drop(arrival, policy->clustered ? REASON_no_owner : REASON_no_flow);
		return;
	}
	flow_key_tuple(&tuple, &arrival->key, side_other(arrival->side));
	if (msyn_decode(&engine->ring, &tuple, arrival->view.ack - 1, engine->tick, policy->max_id,
		    &owner) != 0 ||
		owner == policy->node_id) {
		verdict_drop(arrival, REASON_no_owner);
		return;
	}
	hand_over(engine, arrival, owner);
}

static bool prepare_peer_frame(
	struct engine *engine, const struct message *message, struct arrival *arrival)
{
	if (message->frame_len == 0 || message->frame_len > MESSAGE_FRAME_MAX ||
		message->frame_port >= engine->config.port_count)
		return false;
	memcpy(engine->scratch, message->frame, message->frame_len);
	arrival->frame->data = engine->scratch;
	arrival->frame->len = message->frame_len;
	arrival->frame->tailroom = (uint16_t)(MESSAGE_FRAME_MAX - message->frame_len);
	arrival->frame->port = message->frame_port;
	counter_add(&engine->stats.from_peers, 1);
	return true;
}

// A peer's frame only ever tells an opening of ours about the server: what the server's side would
// get as an answer in place is not sent from here, because it arrived elsewhere.
static void decide_peer_frame(
	struct engine *engine, const struct message *message, struct arrival *arrival)
{
	struct flow *flow;
	struct opening *opening;
	uint8_t flags = arrival->view.tcp_flags;

	if (!(arrival->view.bits & VIEW_TCP) || !arrival->keyed) {
		verdict_drop(arrival, REASON_no_owner);
		return;
	}
	flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	opening = flow != NULL ? opening_of(engine, flow) : NULL;
	if (opening == NULL || flow_direction(flow, arrival->side) != TO_CLIENT ||
		!(flags & (TCP_SYN | TCP_RST)) || arrival->view.ack != opening->syn_seq + 1) {
		verdict_drop(arrival, REASON_no_owner);
		return;
	}
	if (opening->wait == WAIT_SERVER)
		opening->sender = message->node;
	opening_server(engine, arrival, flow);
}

void cluster_frame(struct engine *engine, const struct message *message)
{
	struct frame frame = {0};
	struct verdict verdict = {0};
	struct arrival arrival = {.frame = &frame, .verdict = &verdict, .from_peer = true};

	if (!prepare_peer_frame(engine, message, &arrival))
		return;
	if (ingress_prepare(engine, &arrival))
		decide_peer_frame(engine, message, &arrival);
	if (verdict.kind == VERDICT_DROP)
		counter_add(&engine->stats.dropped[verdict.reason], 1);
}

static void install(
	struct flow *flow, const struct flow_record *record, uint32_t now_ms, struct engine *engine)
{
	flow->mode = record->mode;
	flow->bits |= FLOW_HALF | (record->bits & FLOW_CONFIRMED);
	flow->copy = COPY_FINDER;
	flow->owner = record->owner;
	flow->generation = record->generation;
	flow->incarnation = record->incarnation;
	flow->translation = record->translation;
	flow->cookie = record->cookie;
	flow->isn_client = record->isn_client;
	flow->last_ms = now_ms;
	tcp_track_import(&flow->track, record->wscale[TO_SERVER], record->wscale[TO_CLIENT]);
	counter_sub(&engine->stats.states[TCP_SYN_SENT], 1);
	counter_add(&engine->stats.states[flow->track.state], 1);
}

// A peer's bytes: what the flow table and the tracker must not be given is refused.
static bool record_is_sane(const struct engine *engine, const struct flow_record *record)
{
	const uint8_t *zero = record->key.zero;
	uint64_t hash = flow_key_hash(engine->table_key, &record->key);

	return record->key.protocol == PROTOCOL_TCP && (zero[0] | zero[1] | zero[2]) == 0 &&
	       record->mode <= MODE_TRACK &&
	       flow_worker(hash, engine->config.workers) == engine->config.worker;
}

static bool is_newer(const struct flow *flow, const struct flow_record *record)
{
	int32_t age = (int32_t)(record->incarnation - flow->incarnation);

	return age > 0 || (age == 0 && (int16_t)(record->generation - flow->generation) > 0);
}

// The very record, installed before: its confirmation may have been lost.
static bool is_installed(struct engine *engine, const struct flow_record *record)
{
	uint64_t hash = flow_key_hash(engine->table_key, &record->key);
	const struct flow *flow = flow_table_find(engine->table, &record->key, hash);

	return flow != NULL && flow->copy != COPY_OWN && flow->incarnation == record->incarnation &&
	       flow->generation == record->generation;
}

static struct flow *place_for(struct engine *engine, const struct flow_record *record)
{
	uint64_t hash = flow_key_hash(engine->table_key, &record->key);
	struct flow *flow = flow_table_find(engine->table, &record->key, hash);
	const struct service *service = policy_service(engine->policy, record->service);
	enum side client = record->bits & FLOW_CLIENT_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
	enum reason reason;

	if (flow != NULL) {
		if (flow->copy == COPY_OWN ? !entry_has_ended(flow) : !is_newer(flow, record))
			return NULL;
		entry_remove(engine, flow);
		counter_add(&engine->stats.flows_closed, 1);
	}
	return entry_create(engine, &record->key, hash, client, service, &reason);
}

void cluster_install(struct engine *engine, const struct message *message)
{
	const struct flow_record *record = &message->body.record;
	struct message *reply;

	if (!record_is_sane(engine, record))
		return;
	if (!is_installed(engine, record)) {
		struct flow *flow = place_for(engine, record);

		if (flow == NULL)
			return;
		install(flow, record, engine->now_ms, engine);
	}
	reply = engine_message(engine, MESSAGE_CONFIRMED, message->node);
	if (reply != NULL)
		reply->body.flow = (struct message_flow){.key = record->key,
			.incarnation = record->incarnation,
			.generation = record->generation};
}

void cluster_changed(struct engine *engine, const struct message *message)
{
	const struct message_flow *change = &message->body.flow;
	struct flow *flow =
		flow_table_find_digest(engine->table, engine->table_key, change->digest);

	// A tombstone kills its own incarnation only.
	if (flow == NULL || flow->copy == COPY_OWN || !(change->bits & CHANGE_CLOSED))
		return;
	entry_remove(engine, flow);
	counter_add(&engine->stats.flows_closed, 1);
}
