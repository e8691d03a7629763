// What another node said of a flow of its own (INSTALL), and what becomes of it here: a copy, the
// same copy once more, or nothing, because the flow that is here passes the same packets.
//
// What a peer says is judged by our own rules: they would let the flow begin here, too, or it is
// refused without an answer. Of two records of one key the newer one counts, by when the
// connections began (flow->incarnation, the cluster's counter); of two histories of one connection
// the one the server confirmed (TCP.md 7.3). The end of a translated connection of which nothing is
// here is not kept. Whoever tells may be waiting: it is answered CONFIRMED as soon as what it waits
// for passes here, be it by a flow of our own.
#include "engine/internal.h"

#include <string.h>

#define SYN_DATA_BYTES 1460 // at most, in a SYN
#define PARTS_APART    8    // of a tick, 31 ms: the counters of two nodes, mostly

// The SYN/ACK that was handed to the teller, or NULL: what was offered to all may be of another
// connection, until it comes back with the record.
static const struct handed *synack_of(
	struct engine *engine, const struct flow_record *record, uint64_t hash, bool comes_back)
{
	const struct handed *handed = finder_handed(engine, hash);

	if (handed == NULL || !handed->synack || (handed->owner != record->owner && !comes_back))
		return NULL;
	return handed;
}

// Of two connections that have ended neither is worth telling from the other.
static bool record_has_ended(const struct flow_record *record)
{
	return record->state == TCP_TIME_WAIT || record->state == TCP_CLOSED;
}

// The finder saw the SYN/ACK: it need not be told its numbers (replay filter, TCP.md 1.7).
static void learn_numbers(
	struct flow *flow, const struct flow_record *record, const struct handed *handed)
{
	if (record->cookie != 0 || handed == NULL || record_has_ended(record))
		return;
	flow->cookie = handed->seq + record->translation.d;
	flow->isn_client = handed->ack - 1 - record->translation.e;
}

// The cookie of a record, or what it must be by the SYN/ACK that was seen here.
static uint32_t cookie_of(struct engine *engine, const struct flow_record *record, uint64_t hash)
{
	const struct handed *handed = synack_of(engine, record, hash, false);

	if (record->cookie != 0 || handed == NULL)
		return record->cookie;
	return handed->seq + record->translation.d;
}

// A SYN that went out elsewhere: only what acknowledges it comes in here. It may have had data
// (Fast Open).
static void expect_synack(struct flow *flow, const struct flow_record *record)
{
	struct tcp_segment syn = {.flags = TCP_SYN,
		.seq = record->isn_client,
		.len = 1 + SYN_DATA_BYTES,
		.window = UINT16_MAX,
		.wscale = record->wscale[TO_SERVER],
		.elsewhere = true};

	tcp_track_syn(&flow->track, TO_SERVER, &syn);
	flow->track.bits = 0; // not seen here
}

static void install_track(
	struct engine *engine, struct flow *flow, const struct flow_record *record)
{
	uint8_t before = flow->track.state;

	if (!entry_is_connection(flow))
		return;
	if (record->mode == MODE_TRACK && record->state == TCP_SYN_SENT) {
		expect_synack(flow, record);
	} else {
		tcp_track_import(
			&flow->track, record->wscale[TO_SERVER], record->wscale[TO_CLIENT]);
		if (record->state == TCP_SYN_RECV || record_has_ended(record))
			flow->track.state = record->state;
	}
	entry_count_state(engine, flow, before);
}

static void install(struct engine *engine, struct flow *flow, const struct flow_record *record)
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
	flow->last_ms = engine->now_ms;
	install_track(engine, flow, record);
}

// The same is said again of a copy: its owner saw more of it.
static void renew(struct engine *engine, struct flow *flow, const struct flow_record *record)
{
	if (!entry_is_connection(flow)) {
		flow->last_ms = engine->now_ms;
		return;
	}
	if (flow->track.state != TCP_SYN_SENT || record->state == TCP_SYN_SENT)
		return;
	install_track(engine, flow, record);
	flow->last_ms = engine->now_ms;
}

static uint8_t client_of(const struct flow_record *record)
{
	return record->bits & FLOW_CLIENT_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

// A peer's bytes: what the flow table and the tracker must not be given is refused, and so is what
// our own rules do not allow: a peer cannot widen them.
static bool record_is_sane(
	struct engine *engine, const struct flow_record *record, uint64_t hash, bool cookied)
{
	const uint8_t *zero = record->key.zero;
	struct admission admission;

	if ((zero[0] | zero[1] | zero[2]) != 0 || record->mode > MODE_TRACK ||
		addr_is_ip4(&record->key.inner) != addr_is_ip4(&record->key.outer) ||
		flow_worker(hash, engine->config.workers) != engine->config.worker)
		return false;
	if (record->mode != MODE_TRACK)
		return record->key.protocol == PROTOCOL_TCP && cookied;
	admission = admit_key(engine, &record->key, client_of(record));
	return admission.allow && admission.mode != MODE_BYPASS &&
	       translation_is_identity(&record->translation);
}

// A SYN that went out elsewhere, of a client that has sent another since.
static bool is_given_up(const struct flow *flow)
{
	return flow->mode == MODE_TRACK && entry_is_connection(flow) &&
	       flow->track.state == TCP_SYN_SENT;
}

// How many parts of a tick later the record's connection began than the flow's.
static int32_t parts_later(const struct flow_record *record, const struct flow *flow)
{
	return (int32_t)(record->incarnation - flow->incarnation);
}

// An older connection's, whose message was long under way: it must not come back.
static bool is_overtaken(const struct flow *flow, const struct flow_record *record)
{
	return parts_later(record, flow) < -PARTS_APART;
}

// Incarnations are ordered by time. At one owner generations count on as long as it has the entry;
// what it says again with other contents comes from its next life: it forgot what it said before.
// Of two owners, whose counters may be apart, the one that has not ended is the newer.
static bool is_newer(const struct flow *flow, const struct flow_record *record)
{
	int32_t later = parts_later(record, flow);

	// Whose connections they were may say that they are over.
	if (record_has_ended(record) && record->owner != flow->owner)
		return false;
	if (later > PARTS_APART || later < -PARTS_APART)
		return later > 0;
	if (record->owner == flow->owner)
		return later > 0 ||
		       (later == 0 && (int16_t)(record->generation - flow->generation) >= 0);
	return entry_has_ended(flow) || is_given_up(flow) || later > 0;
}

// The very record, installed before: its confirmation may have been lost.
static bool is_installed(const struct flow *flow, const struct flow_record *record)
{
	return flow != NULL && flow->copy != COPY_OWN && flow->owner == record->owner &&
	       flow->incarnation == record->incarnation && flow->generation == record->generation &&
	       memcmp(&flow->translation, &record->translation, sizeof(flow->translation)) == 0;
}

// Of two histories of one connection the one the server confirmed wins, between two unconfirmed
// ones the lower id (TCP.md 7.3). They are of one connection where the cookie is the same: what the
// client was told holds for both.
static bool gives_way(const struct engine *engine, const struct flow *flow,
	const struct flow_record *record, uint32_t cookie)
{
	// What the ends of the later one repeat would be lost here for as long as the former is
	// kept.
	if (record_has_ended(record))
		return entry_has_ended(flow) && parts_later(record, flow) > PARTS_APART;
	if (entry_has_ended(flow))
		return !is_overtaken(flow, record);
	if (flow->track.state != TCP_SYN_SENT || flow->mode != record->mode)
		return false;
	if (flow->mode == MODE_PROXY && cookie != flow->cookie)
		return false;
	// The client has given up the SYN this node knows.
	if (flow->mode == MODE_TRACK && entry_is_connection(flow))
		return parts_later(record, flow) > 0;
	return (record->bits & FLOW_CONFIRMED) || record->owner < engine->policy->node_id;
}

// Here is a flow of the same key that passes what the other one does: it stays as it is.
static bool passes_same(const struct flow *flow, const struct flow_record *record)
{
	bool icmp = flow->key.protocol == PROTOCOL_ICMP || flow->key.protocol == PROTOCOL_ICMP6;
	bool same_way = flow_client_side(flow) == client_of(record);

	if (flow->mode != MODE_TRACK || record->mode != MODE_TRACK || entry_has_ended(flow) ||
		(flow->copy != COPY_OWN && is_newer(flow, record)))
		return false;
	if (!entry_is_connection(flow))
		return same_way || !icmp;
	return same_way &&
	       (flow->isn_client == record->isn_client || flow->track.state != TCP_SYN_SENT);
}

// Its client may have begun anew without the server's knowledge, or ours: as where the SYN itself
// arrives, the server's answer decides (tcp.c).
static void watch_syn_elsewhere(struct flow *flow, const struct flow_record *record)
{
	if (!entry_is_connection(flow) || flow->isn_client == record->isn_client ||
		record->state != TCP_SYN_SENT)
		return;
	flow->cookie = record->isn_client + 1;
	flow->bits |= FLOW_RESYN;
}

// True where the server has answered the teller's SYN, and not the flow's that is here. The record
// that comes back with the SYN/ACK does not say which SYN that was.
static bool is_answered(struct engine *engine, const struct flow *flow,
	const struct message *message, uint64_t hash)
{
	const struct flow_record *record = &message->body.record;
	const struct handed *handed = finder_handed(engine, hash);
	uint16_t owner;

	if (!flow->superseded || handed == NULL || !handed->synack)
		return false;
	if (handed->owner == NODE_ALL)
		return (message->frame_len > 0 && record->isn_client == 0) ||
		       handed->ack == record->isn_client + record->translation.e + 1;
	return finder_answered(engine, hash, &owner) && owner == record->owner;
}

// True where the entry is a copy still, but of an older connection: the next one's opening here
// waits for the server. A record of that very one takes its place, any other would end it.
static bool is_being_opened(struct engine *engine, const struct flow *flow, uint32_t cookie)
{
	return (flow->bits & FLOW_OPENING) && engine->openings[flow->opening].pending &&
	       engine->openings[flow->opening].cookie != cookie;
}

static struct flow *place_for(
	struct engine *engine, const struct message *message, struct flow *flow, uint64_t hash)
{
	const struct flow_record *record = &message->body.record;
	const struct service *service = policy_service(engine->policy, record->service);
	enum reason reason;

	// Here may have been the next one, forgotten since: its segments would be translated with
	// the numbers of this one. Without a translation what its ends repeat may come here, too.
	if (flow == NULL && record_has_ended(record) && record->mode != MODE_TRACK)
		return NULL;
	if (flow != NULL) {
		uint32_t cookie = cookie_of(engine, record, hash);
		bool yields = flow->copy == COPY_OWN ? gives_way(engine, flow, record, cookie)
						     : is_newer(flow, record);

		if (is_being_opened(engine, flow, cookie))
			return NULL;

		if (!yields && !is_answered(engine, flow, message, hash))
			return NULL;
		entry_remove(engine, flow);
		counter_add(&engine->stats.flows_closed, 1);
	}
	return entry_create(engine, &record->key, hash, client_of(record), service, &reason);
}

static void drop_frame(struct engine *engine, const struct message *message, enum reason reason)
{
	if (message->frame_len == 0)
		return;
	counter_add(&engine->stats.from_peers, 1);
	counter_add(&engine->stats.dropped[reason], 1);
}

void copy_take_install(
	struct engine *engine, const struct message *message, uint64_t hash, bool cookied)
{
	const struct flow_record *record = &message->body.record;
	const struct handed *synack = synack_of(engine, record, hash, message->frame_len > 0);
	struct flow *flow;
	struct message *reply;

	if (!record_is_sane(engine, record, hash, cookied)) {
		drop_frame(engine, message, REASON_no_owner);
		return;
	}
	flow = flow_table_find(engine->table, &record->key, hash);
	if (is_installed(flow, record)) {
		renew(engine, flow, record);
		learn_numbers(flow, record, synack);
	} else if (flow != NULL && passes_same(flow, record)) {
		watch_syn_elsewhere(flow, record);
	} else {
		flow = place_for(engine, message, flow, hash);
		if (flow == NULL) {
			drop_frame(engine, message, REASON_table_full);
			return;
		}
		install(engine, flow, record);
		learn_numbers(flow, record, synack);
	}
	if (message->frame_len > 0) {
		owner_emit(engine, message); // the server has answered; nobody waits
		return;
	}
	reply = engine_message(engine, MESSAGE_CONFIRMED, message->node);
	if (reply != NULL)
		reply->body.flow = (struct message_flow){.key = record->key,
			.incarnation = record->incarnation,
			.generation = record->generation};
}
