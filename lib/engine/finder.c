// The finder: a packet came here of a connection whose state another node has (M5, M7, TCP.md 7.6).
//
//   SYN/ACK, RST/ACK   SEG.ACK - 1 is an m.SYN cookie that names the owner
//   ICMP error         the quoted SYN's number is one
//   anything else      from the inside: of a key handed over moments ago, to the same node; of
//                      another, once, to every node (TCP.md 7.6)
//
// What is offered to every node is what may answer a flow that nobody can be named by, and which
// the rules let a client of the outside begin: an ACK to a cookied service, because a server in
// TIME-WAIT answers a SYN so; any segment, datagram or reply of a tracked flow, which the rules do
// not let out by itself; an ICMP error about one. Who has it answers, and is asked alone from then
// on. Nothing of the outside is ever offered (so what a client of the inside needs from there is
// told before it is needed: share.c), and a flood of answers to forged questions costs OFFERS_PER_S
// frames, no more. While no other node is active it is dropped as `no_owner`.
//
// The packet goes to the owner whole. The owner tells its own state and, where the packet has to
// leave here, returns it ready to be sent (MESSAGE_EMIT, or with the INSTALL): only here do its
// Ethernet addresses fit. Thirteen bits are guessed easily, so decoding is done only where the
// rules let a server be, and what is asked is limited per flow, per owner and in total; packets of
// the outside have the smaller share. What came from a node is never handed to another one.
//
// A server that answers a SYN of another node's, while here is the flow of an older connection, has
// given that up: what it says from then on is of the new one (flow->superseded), and goes where the
// SYN/ACK went until the state is here.
//
// The same server may only acknowledge what it heard last: it is in TIME-WAIT, and does not take
// the SYN. Where the end of the connection is here, that is offered to all once a second (from the
// outside: to the owner of the copy), because who sent that SYN must reset it. So is what lies
// beyond that end (ending.c). Who is handed something and has only the end of a connection answers
// NONE, whatever it made of it: then the next is offered to all.
//
// Written by the engine alone: engine->handed, a direct-mapped table of what was handed over, and
// engine->asks, this second's budget.
#include "engine/internal.h"

#include <string.h>

static struct handed *slot_of(struct engine *engine, uint64_t hash)
{
	return &engine->handed[hash % HANDED_MAX];
}

void finder_prefetch(struct engine *engine, uint64_t hash)
{
	cpu_prefetch(slot_of(engine, hash));
}

const struct handed *finder_handed(struct engine *engine, uint64_t hash)
{
	const struct handed *handed = slot_of(engine, hash);

	return handed->hash == hash && handed->until_ns > engine->now_ns ? handed : NULL;
}

void finder_forget(struct engine *engine, uint64_t digest, uint16_t node)
{
	struct handed *handed = slot_of(engine, flow_digest_hash(digest));

	// One who does not have what was offered to all says nothing about the others.
	if (flow_digest(handed->hash, 0) == digest && handed->owner == node)
		handed->owner = NODE_NONE;
}

void finder_found(struct engine *engine, uint64_t hash, uint16_t node)
{
	struct handed *handed = slot_of(engine, hash);

	if (handed->hash != hash || handed->owner != NODE_ALL)
		return;
	handed->owner = node;
	handed->until_ns = engine->now_ns + HANDED_NS;
}

bool finder_nobody_has(struct engine *engine, uint64_t hash)
{
	const struct handed *handed = finder_handed(engine, hash);

	return handed != NULL && handed->owner == NODE_NONE;
}

// The budget of this second.
static struct asks *asks_now(struct engine *engine)
{
	uint64_t second = engine->now_ns / NS_PER_S;

	if (engine->asks.second != second)
		engine->asks = (struct asks){.second = second};
	return &engine->asks;
}

bool finder_may_tell(struct engine *engine)
{
	return asks_now(engine)->told++ < TELLS_PER_S;
}

// Takes one question to `owner` from it.
static bool may_ask(struct engine *engine, uint8_t side, uint16_t owner)
{
	struct asks *asks = asks_now(engine);

	if (owner == NODE_ALL)
		return asks->all++ < OFFERS_PER_S;
	if (asks->total >= ASKS_PER_S || asks->owner[owner] >= ASKS_PER_S / 2)
		return false;
	if (side == SIDE_OUTSIDE && asks->outside >= ASKS_PER_S / 4)
		return false;
	asks->total++;
	asks->owner[owner]++;
	asks->outside += side == SIDE_OUTSIDE;
	return true;
}

static bool hand_over(struct engine *engine, struct arrival *arrival, uint16_t owner)
{
	struct message *message;

	if (arrival->frame->len > MESSAGE_FRAME_MAX) {
		verdict_drop(arrival, REASON_too_big);
		return false;
	}
	if (!may_ask(engine, arrival->side, owner)) {
		verdict_drop(arrival, REASON_rate_limited);
		return false;
	}
	message = engine_message(engine, MESSAGE_FRAME, owner);
	if (message == NULL) {
		verdict_drop(arrival, REASON_control_busy);
		return false;
	}
	message->body.flow = (struct message_flow){
		.key = arrival->key, .generation = (uint16_t)engine_moment(engine)};
	message->frame_len = arrival->frame->len;
	message->frame_side = arrival->side;
	memcpy(message->frame, arrival->frame->data, arrival->frame->len);
	counter_add(&engine->stats.to_peers, 1);
	if ((arrival->view.bits & VIEW_TCP) && (arrival->view.tcp_flags & TCP_SYN))
		counter_add(&engine->stats.synack_to_owner, 1);
	arrival->verdict->kind = VERDICT_CONSUME;
	arrival->verdict->reason = REASON_NONE;
	return true;
}

static bool owner_of(struct engine *engine, const struct arrival *arrival, uint32_t cookie,
	uint8_t client_side, uint16_t *owner)
{
	const struct policy *policy = engine->policy;
	struct admission admission;
	struct tuple tuple;

	if (!policy->clustered || arrival->from_peer || !engine->view.decodes)
		return false;
	flow_key_tuple(&tuple, &arrival->key, client_side);
	if (msyn_decode(&engine->ring, &tuple, cookie, engine->tick, policy->max_id, owner) != 0 ||
		*owner == policy->node_id || *owner >= NODES_MAX)
		return false;
	admission = admit_key(engine, &arrival->key, client_side);
	return admit_is_cookied(&admission);
}

// The owner is gone: the server is told to forget, so that the client's next SYN works. What the
// server said is lost all the same: it is dropped as it came, for a capture to show, and the reset
// is one more packet.
static void refuse_for(struct engine *engine, struct arrival *arrival)
{
	const struct view *view = &arrival->view;
	struct craft craft;

	craft_reset_for(&craft, view);
	if (!(view->tcp_flags & TCP_RST) && engine_may_reset(engine))
		opening_craft(engine, view, &craft, arrival->frame->port);
	verdict_drop(arrival, REASON_no_owner);
}

// Remembers what was handed over. False where this flow has asked often enough. A SYN/ACK is not
// remembered any longer for what follows it: if the state never came, and the server goes on about
// an older connection, the SYN of the next one would be held back for ever (gives_way()).
static bool remember(struct engine *engine, const struct arrival *arrival, uint16_t owner)
{
	struct handed *handed = slot_of(engine, arrival->hash);
	uint64_t second = engine->now_ns / NS_PER_S;

	if (handed->hash != arrival->hash || handed->until_ns <= engine->now_ns)
		handed->synack = false;
	if (handed->hash != arrival->hash || handed->second != second)
		handed->count = 0;
	if (handed->hash == arrival->hash && handed->count >= ASKS_PER_FLOW_S)
		return false;
	handed->hash = arrival->hash;
	handed->second = second;
	handed->count++;
	handed->owner = owner;
	if (!handed->synack || (arrival->view.tcp_flags & TCP_SYN))
		handed->until_ns = engine->now_ns + HANDED_NS;
	return true;
}

static void remember_synack(struct handed *handed, const struct view *view)
{
	if (!(view->bits & VIEW_TCP) || !(view->tcp_flags & TCP_SYN))
		return;
	handed->synack = true;
	handed->seq = view->seq;
	handed->ack = view->ack;
}

static void to_owner(struct engine *engine, struct arrival *arrival, uint16_t owner)
{
	const struct view *view = &arrival->view;

	if (!share_is_active(engine, owner)) {
		refuse_for(engine, arrival);
		return;
	}
	if (!remember(engine, arrival, owner)) {
		verdict_drop(arrival, REASON_rate_limited);
		return;
	}
	remember_synack(slot_of(engine, arrival->hash), view);
	hand_over(engine, arrival, owner);
}

bool finder_claims(struct engine *engine, struct arrival *arrival)
{
	uint32_t cookie = arrival->view.ack - 1;
	uint16_t owner;

	if (!owner_of(engine, arrival, cookie, side_other(arrival->side), &owner))
		return false;
	to_owner(engine, arrival, owner);
	return true;
}

bool finder_answered(struct engine *engine, uint64_t hash, uint16_t *owner)
{
	const struct handed *handed = finder_handed(engine, hash);

	if (handed == NULL || !handed->synack || handed->owner >= NODES_MAX ||
		!share_is_active(engine, handed->owner))
		return false;
	*owner = handed->owner;
	return true;
}

bool finder_follows(struct engine *engine, struct arrival *arrival)
{
	uint16_t owner;

	if (arrival->from_peer || !finder_answered(engine, arrival->hash, &owner))
		return false;
	to_owner(engine, arrival, owner);
	return true;
}

// Only the inside may ask everybody, and what came from a node goes to no other one.
static bool may_search(const struct engine *engine, const struct arrival *arrival)
{
	return engine->policy->clustered && !arrival->from_peer && arrival->side == SIDE_INSIDE;
}

bool finder_may_be_tracked(struct engine *engine, const struct arrival *arrival)
{
	struct admission admission;

	if (!may_search(engine, arrival) || share_is_alone(engine))
		return false;
	admission = admit_key(engine, &arrival->key, SIDE_OUTSIDE);
	return admit_is_tracked(&admission, &arrival->key);
}

void finder_stray(struct engine *engine, struct arrival *arrival)
{
	bool clustered = engine->policy->clustered;

	if (finder_claims(engine, arrival))
		return;
	if (finder_may_be_tracked(engine, arrival) && finder_late(engine, arrival))
		return;
	verdict_drop(arrival, clustered ? REASON_no_owner : REASON_no_flow);
}

// May it answer a flow of the outside's that another node has?
static bool may_answer(struct engine *engine, const struct arrival *arrival)
{
	const struct view *view = &arrival->view;
	struct admission admission = admit_key(engine, &arrival->key, SIDE_OUTSIDE);

	if (admit_is_tracked(&admission, &arrival->key))
		return true;
	return admit_is_cookied(&admission) && (view->bits & VIEW_TCP) &&
	       (view->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
}

enum why_offered finder_offers(struct engine *engine, const struct arrival *arrival)
{
	struct admission admission;

	if (!may_search(engine, arrival))
		return WHY_OFFERED_NOBODY;
	admission = admit_key(engine, &arrival->key, SIDE_OUTSIDE);
	if (admit_is_tracked(&admission, &arrival->key))
		return WHY_OFFERED_OTHERS;
	return admit_is_cookied(&admission) && arrival->key.protocol == PROTOCOL_TCP
		       ? WHY_OFFERED_OWNER
		       : WHY_OFFERED_NOBODY;
}

static bool offer(struct engine *engine, struct arrival *arrival)
{
	struct handed *handed;

	if (!may_answer(engine, arrival))
		return false;
	if (share_is_alone(engine)) {
		verdict_drop(arrival, REASON_no_owner);
		return true;
	}
	// What could not be sent was not offered: its repetition is.
	if (!hand_over(engine, arrival, NODE_ALL) || !remember(engine, arrival, NODE_ALL))
		return true;
	handed = slot_of(engine, arrival->hash);
	handed->until_ns = engine->now_ns + OFFERED_NS;
	remember_synack(handed, &arrival->view);
	return true;
}

bool finder_awaits(struct engine *engine, uint64_t hash)
{
	struct handed *handed = slot_of(engine, hash);

	if (handed->hash != hash)
		*handed = (struct handed){.hash = hash, .owner = NODE_NONE};
	else if (engine->now_ns - handed->asked_ns < OFFERED_NS)
		return false;
	handed->asked_ns = engine->now_ns;
	return true;
}

bool finder_waits(struct engine *engine, uint64_t hash)
{
	return finder_awaits(engine, hash) ||
	       engine->now_ns - slot_of(engine, hash)->asked_ns < OFFERED_NS / 5;
}

static bool ask_owner(struct engine *engine, struct arrival *arrival, const struct flow *flow)
{
	if (flow->copy == COPY_OWN || !share_is_active(engine, flow->owner) ||
		!finder_awaits(engine, arrival->hash) || !remember(engine, arrival, flow->owner))
		return false;
	hand_over(engine, arrival, flow->owner);
	return true;
}

bool finder_asks(struct engine *engine, struct arrival *arrival, const struct flow *flow)
{
	if (!engine->policy->clustered || arrival->from_peer || share_is_alone(engine))
		return false;
	if (arrival->side == SIDE_OUTSIDE)
		return ask_owner(engine, arrival, flow);
	return may_answer(engine, arrival) && finder_awaits(engine, arrival->hash) &&
	       offer(engine, arrival);
}

// Who had the SYN that one answers need not have that of another.
static bool is_new_synack(const struct handed *handed, const struct view *view)
{
	return (view->bits & VIEW_TCP) && (view->tcp_flags & TCP_SYN) &&
	       !(handed->synack && handed->ack == view->ack);
}

// True where all are to be asked: nobody was yet, or who was has nothing, which says nothing about
// the others. The end of a connection repeats its last word to another SYN: once a second that is
// offered whatever else was.
static bool concerns_all(
	struct engine *engine, const struct handed *handed, const struct arrival *arrival)
{
	bool asked = handed != NULL && handed->owner != NODE_NONE;

	if (asked && handed->owner != NODE_ALL)
		return is_new_synack(handed, &arrival->view);
	if (view_is_bare_ack(&arrival->view) && finder_awaits(engine, arrival->hash))
		return true;
	return !asked || is_new_synack(handed, &arrival->view);
}

bool finder_late(struct engine *engine, struct arrival *arrival)
{
	const struct handed *handed = finder_handed(engine, arrival->hash);

	if (!may_search(engine, arrival))
		return false;
	if (concerns_all(engine, handed, arrival))
		return offer(engine, arrival);
	if (handed->owner == NODE_ALL || !share_is_active(engine, handed->owner))
		return false;
	if (!remember(engine, arrival, handed->owner)) {
		verdict_drop(arrival, REASON_rate_limited);
		return true;
	}
	hand_over(engine, arrival, handed->owner);
	return true;
}

// The node an error is for: the one its quoted SYN names, or the one its flow was handed to.
static bool owner_of_error(struct engine *engine, const struct arrival *arrival,
	const struct quote *quote, uint16_t *owner)
{
	const struct handed *handed = finder_handed(engine, arrival->hash);

	if (!(quote->bits & QUOTE_SEQ) || quote->protocol != PROTOCOL_TCP)
		return false;
	if (!owner_of(engine, arrival, quote->seq, side_other(arrival->side), owner)) {
		if (handed == NULL || arrival->from_peer)
			return false;
		*owner = handed->owner;
	}
	return *owner < NODES_MAX && share_is_active(engine, *owner);
}

bool finder_error(struct engine *engine, struct arrival *arrival, const struct quote *quote)
{
	uint16_t owner;

	if (!owner_of_error(engine, arrival, quote, &owner))
		return finder_late(engine, arrival);
	// Remembered like the rest: what the owner makes of it comes back.
	if (remember(engine, arrival, owner))
		hand_over(engine, arrival, owner);
	else
		verdict_drop(arrival, REASON_rate_limited);
	return true;
}
