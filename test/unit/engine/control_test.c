// Messages between the control core and the engine: dumps, questions, policies, epochs, records of
// peers (TCP.md 1.5, 2.13).
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FLOWS 3000u
#define ISN_S 900u
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

static const struct packet syn = {.seq = 1000, .window = 1000};

static struct message *new_message(enum message_type type)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->type = (uint8_t)type;
	return message;
}

static struct prefix prefix(const char *text)
{
	struct prefix out;

	assert_int_equal(prefix_parse(&out, text), 0);
	return out;
}

static void fill(struct node *node)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		char client[32];
		struct packet packet = {.from_server = true,
			.protocol = PROTOCOL_UDP,
			.client = client,
			.server_port = (uint16_t)(1000 + i)};

		snprintf(client, sizeof(client), "203.0.%u.7", i / 256);
		assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	}
}

// Walks the whole table in slices of `scan_max`; counts rows, each flow at most once.
static unsigned dump_all(struct node *node, struct message *message, uint32_t scan_max)
{
	static bool seen[65536];
	unsigned rows = 0, calls = 0;

	memset(seen, 0, sizeof(seen));
	message->body.flows.dump.cursor = 0;
	message->body.flows.dump.scan_max = scan_max;
	message->body.flows.dump.token = 42;
	for (;;) {
		const struct message *reply = node->messages[0];

		node_post(node, message);
		assert_int_equal(node->message_count, 1);
		assert_int_equal(reply->type, MESSAGE_REPLY);
		assert_int_equal(reply->why, 0);
		assert_int_equal(reply->body.flows.dump.token, 42);
		assert_true(reply->flow_count <= MESSAGE_FLOWS_MAX);
		for (unsigned i = 0; i < reply->flow_count; i++) {
			uint16_t port = reply->body.flows.rows[i].record.key.inner_port;

			assert_false(seen[port]);
			seen[port] = true;
			rows++;
		}
		if (reply->body.flows.dump.cursor == FLOW_NONE)
			return rows;
		assert_true(reply->body.flows.dump.cursor > message->body.flows.dump.cursor);
		message->body.flows.dump.cursor = reply->body.flows.dump.cursor;
		assert_true(calls++ < 2 * FLOWS);
	}
}

static void dump_in_slices(void **state)
{
	struct node *node = node_make();
	struct message *message = new_message(MESSAGE_DUMP);
	struct message_dump *dump = &message->body.flows.dump;

	(void)state;
	node->config.capacity = 4096;
	node_go(node);
	assert_int_equal(dump_all(node, message, 100), 0);
	fill(node);
	assert_int_equal(dump_all(node, message, 100), FLOWS);
	assert_int_equal(dump_all(node, message, 7), FLOWS);
	assert_int_equal(dump_all(node, message, UINT32_MAX), FLOWS);
	// The inside host is the client here.
	dump->matched = true;
	dump->server = prefix("203.0.3.0/24");
	assert_int_equal(dump_all(node, message, 500), 256);
	dump->server = prefix("0.0.0.0/0");
	dump->client_port = 1000 + 17;
	assert_int_equal(dump_all(node, message, 500), 1);
	dump->client_port = 0;
	dump->server_port = 40000;
	assert_int_equal(dump_all(node, message, 500), FLOWS);
	dump->protocol = PROTOCOL_TCP;
	assert_int_equal(dump_all(node, message, 500), 0);
	dump->protocol = PROTOCOL_UDP;
	dump->client = prefix("203.0.113.0/24");
	assert_int_equal(dump_all(node, message, 500), 0);
	free(message);
	assert_true(node_end(node));
}

static const struct message_why *ask(
	struct node *node, uint8_t protocol, const char *src, const char *dst, uint16_t dport)
{
	struct message *message = new_message(MESSAGE_QUERY);
	struct message_query *query = &message->body.query;

	query->token = 7;
	query->protocol = protocol;
	query->side = SIDE_OUTSIDE;
	assert_int_equal(addr_parse(&query->tuple.src, src), 0);
	assert_int_equal(addr_parse(&query->tuple.dst, dst), 0);
	query->tuple.sport = 40000;
	query->tuple.dport = dport;
	node_post(node, message);
	free(message);
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_REPLY);
	assert_int_equal(node->messages[0]->why, 1);
	assert_int_equal(node->messages[0]->body.reply.token, 7);
	return &node->messages[0]->body.reply;
}

static void show_why(void **state)
{
	struct node *node = node_make();
	const struct message_why *why;
	struct handshake handshake;
	struct packet query = {.from_server = true, .protocol = PROTOCOL_UDP};

	(void)state;
	node->services[0].ports[0].high = 1000;
	node_go(node);
	why = ask(node, PROTOCOL_TCP, "192.0.2.10", "198.51.100.10", 80);
	assert_int_equal(why->verdict, WHY_COOKIE);
	assert_int_equal(why->mode, MODE_PROXY);
	assert_int_equal(why->rule, 0);
	assert_false(why->has_flow);
	why = ask(node, PROTOCOL_TCP, "192.0.2.10", "198.51.100.10", 2000);
	assert_int_equal(why->verdict, WHY_ALLOW);
	assert_int_equal(why->mode, MODE_TRACK);
	assert_int_equal(why->service, SERVICE_NONE);
	why = ask(node, PROTOCOL_TCP, "192.0.2.10", "203.0.113.1", 80);
	assert_int_equal(why->verdict, WHY_DROP);
	assert_int_equal(why->reason, REASON_rule_denied);
	assert_int_equal(why->rule, RULE_DEFAULT);
	why = ask(node, PROTOCOL_ICMP, "192.0.2.10", "203.0.113.1", 8);
	assert_int_equal(why->verdict, WHY_ALLOW);
	assert_int_equal(why->rule, 2);
	why = ask(node, PROTOCOL_TCP, "2001:db8:1::1", "2001:db8:2::1", 80);
	assert_int_equal(why->verdict, WHY_COOKIE);
	assert_int_equal(why->rule, 1);
	handshake_open(node, &handshake, &syn);
	why = ask(node, PROTOCOL_TCP, "192.0.2.10", "198.51.100.10", 80);
	assert_true(why->has_flow);
	assert_int_equal(why->flow.record.state, TCP_SYN_SENT);
	assert_int_equal(why->service, 0);
	node_offer(node, INSIDE, &query);
	why = ask(node, PROTOCOL_UDP, "192.0.2.10", "198.51.100.10", 80);
	assert_true(why->has_flow);
	assert_int_equal(why->verdict, WHY_ALLOW);
	// Asking is not a hit.
	assert_int_equal(engine_rule_hits(node->engine, 2), 0);
	assert_int_equal(engine_rule_hits(node->engine, RULE_DEFAULT), 0);
	assert_true(node_end(node));
}

// ask() from the inside, where the server is.
static const struct message_why *ask_inside(struct node *node, uint8_t protocol, uint16_t dport)
{
	struct message *message = new_message(MESSAGE_QUERY);
	struct message_query *query = &message->body.query;

	query->protocol = protocol;
	query->side = SIDE_INSIDE;
	assert_int_equal(addr_parse(&query->tuple.src, "198.51.100.10"), 0);
	assert_int_equal(addr_parse(&query->tuple.dst, "192.0.2.10"), 0);
	query->tuple.sport = protocol == PROTOCOL_ICMP ? 0 : 80;
	query->tuple.dport = dport;
	node_post(node, message);
	free(message);
	return &node->messages[0]->body.reply;
}

static void set_active(struct node *node, uint64_t active)
{
	struct message *message = new_message(MESSAGE_VIEW);

	message->body.view = (struct message_view){.active = active, .decodes = true};
	node_post(node, message);
	free(message);
}

// Whom an answer would be offered to, and what becomes of it where nobody is there.
static void show_why_offered(void **state)
{
	struct node *node = node_make();
	const struct message_why *why;

	(void)state;
	node->policy.clustered = true;
	node->policy.row_count = 3; // without "out"
	node_go(node);
	set_active(node, 3);
	why = ask_inside(node, PROTOCOL_ICMP, 0);
	assert_int_equal(why->offered, WHY_OFFERED_OTHERS);
	assert_true(why->others);
	assert_int_equal(why->verdict, WHY_ALLOW);
	why = ask_inside(node, PROTOCOL_ICMP, 8); // begins a flow itself
	assert_int_equal(why->offered, WHY_OFFERED_NOBODY);
	assert_int_equal(why->verdict, WHY_ALLOW);
	why = ask_inside(node, PROTOCOL_TCP, 40000);
	assert_int_equal(why->offered, WHY_OFFERED_OWNER);
	why = ask_inside(node, PROTOCOL_UDP, 40000); // no rule lets its client be
	assert_int_equal(why->offered, WHY_OFFERED_NOBODY);
	assert_int_equal(why->reason, REASON_rule_denied);
	set_active(node, 1);
	why = ask_inside(node, PROTOCOL_ICMP, 0);
	assert_int_equal(why->offered, WHY_OFFERED_OTHERS);
	assert_false(why->others);
	assert_int_equal(why->verdict, WHY_DROP);
	assert_int_equal(why->reason, REASON_no_owner);
	why = ask_inside(node, PROTOCOL_ICMP, 8);
	assert_int_equal(why->verdict, WHY_ALLOW);
	// From the outside nothing is offered.
	why = ask(node, PROTOCOL_ICMP, "192.0.2.10", "198.51.100.10", 0);
	assert_int_equal(why->offered, WHY_OFFERED_NOBODY);
	assert_true(node_end(node));
}

// A SYN/ACK is not let in by the rules that let a SYN in: it is of a flow, here or at another node.
static void show_why_synack(void **state)
{
	struct node *node = node_make();
	const struct message_why *why;

	(void)state;
	node->policy.clustered = true;
	node_go(node);
	set_active(node, 3);
	why = ask_inside(node, PROTOCOL_TCP, 40000);
	assert_int_equal(why->verdict, WHY_ALLOW);
	assert_int_equal(why->synack, WHY_OFFER);
	set_active(node, 1);
	why = ask_inside(node, PROTOCOL_TCP, 40000);
	assert_int_equal(why->verdict, WHY_ALLOW);
	assert_int_equal(why->synack, WHY_DROP);
	assert_int_equal(why->synack_reason, REASON_no_owner);
	// Nor where no rule lets its client be.
	set_active(node, 3);
	node->rows[0].action = RULE_DENY;
	why = ask_inside(node, PROTOCOL_TCP, 40000);
	assert_int_equal(why->verdict, WHY_ALLOW);
	assert_int_equal(why->synack_reason, REASON_no_owner);
	node->rows[0].action = RULE_ALLOW;
	node->services[0].mode = MODE_BYPASS;
	assert_int_equal(ask_inside(node, PROTOCOL_TCP, 40000)->synack, WHY_ALLOW);
	node->services[0].mode = MODE_PROXY;
	node->policy.clustered = false;
	assert_int_equal(ask_inside(node, PROTOCOL_TCP, 40000)->synack_reason, REASON_no_flow);
	assert_true(node_end(node));
}

// A limit that refuses shows before somebody tries: at once where a flow would be made, and beside
// the cookie where that comes first.
static void show_why_limits(void **state)
{
	struct node *node = node_make();
	const struct message_why *why;
	struct handshake handshake;

	(void)state;
	node->policy.limits.per_prefix_flows = 1;
	node->services[0].ports[0].high = 1000;
	node_go(node);
	why = ask(node, PROTOCOL_TCP, "192.0.2.11", "198.51.100.10", 80);
	assert_int_equal(why->verdict, WHY_COOKIE);
	assert_int_equal(why->limit, REASON_NONE);
	handshake_open(node, &handshake, &syn);
	why = ask(node, PROTOCOL_TCP, "192.0.2.11", "198.51.100.10", 80);
	assert_int_equal(why->verdict, WHY_COOKIE);
	assert_int_equal(why->limit, REASON_prefix_limit);
	why = ask(node, PROTOCOL_TCP, "192.0.2.10", "198.51.100.10", 80);
	assert_true(why->has_flow);
	assert_int_equal(why->limit, REASON_NONE);
	why = ask(node, PROTOCOL_TCP, "192.0.3.10", "198.51.100.10", 80);
	assert_int_equal(why->limit, REASON_NONE);
	// Flows of unproven clients are counted apart.
	why = ask(node, PROTOCOL_TCP, "192.0.2.11", "198.51.100.10", 2000);
	assert_int_equal(why->verdict, WHY_ALLOW);
	node_offer(node, OUTSIDE,
		&(struct packet){.server_port = 2000, .flags = TCP_SYN, .window = 1});
	why = ask(node, PROTOCOL_TCP, "192.0.2.11", "198.51.100.10", 2000);
	assert_int_equal(why->verdict, WHY_DROP);
	assert_int_equal(why->reason, REASON_prefix_limit);
	assert_true(node_end(node));
}

// A new policy in which the services changed places: flows, gauges and profiles stay with theirs.
static void policy_replaced(void **state)
{
	struct node *node = node_make();
	struct policy next;
	struct service services[2];
	struct message *message = new_message(MESSAGE_POLICY);
	struct handshake handshake;
	struct packet denied = {.server = "203.0.113.1", .flags = TCP_SYN, .window = 1};

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &syn);
	handshake_answer(node, &handshake, ISN_S, NONE);
	node_offer(node, OUTSIDE, &denied);
	assert_int_equal(engine_rule_hits(node->engine, RULE_DEFAULT), 1);
	assert_int_equal(engine_rule_hits(node->engine, 0), 2); // the SYN and the proof
	next = node->policy;
	services[1] = node->services[0];
	services[0] = node->services[0];
	snprintf(services[0].name, sizeof(services[0].name), "new");
	services[0].ports[0] = (struct port_range){443, 443};
	next.services = services;
	next.service_count = 2;
	assert_int_equal(policy_adopt(&next, &node->policy), 0);
	assert_int_equal(services[1].id, 0);
	message->body.policy = &next;
	// Without a free cell the old one comes back later: once, and before it is forgotten.
	node->message_room = 0;
	node_post(node, message);
	node->message_room = 1;
	node_turn(node);
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_POLICY);
	assert_ptr_equal(node->messages[0]->body.policy, &node->policy);
	node_turn(node);
	assert_int_equal(node->message_count, 0);
	node->message_room = HARNESS_MESSAGES_MAX;
	assert_int_equal(engine_rule_hits(node->engine, 0), 0);
	assert_int_equal(engine_rule_hits(node->engine, RULE_DEFAULT), 0);
	handshake.ack.payload = (struct bytes)BYTES("still here");
	assert_int_equal(node_offer(node, OUTSIDE, &handshake.ack), VERDICT_FORWARD);
	assert_int_equal(ask(node, PROTOCOL_TCP, "192.0.2.10", "198.51.100.10", 80)->service, 0);
	assert_int_equal(counter_get(&engine_service_stats(node->engine, 0)->flows), 1);
	denied.server = NULL;
	denied.server_port = 443;
	node_offer(node, OUTSIDE, &denied);
	assert_int_equal(
		counter_get(&engine_service_stats(node->engine, services[0].id)->synack_sent), 1);
	free(message);
	assert_true(node_end(node));
}

// A service becomes a proxied one: what was open lives on, what comes next is proxied, also from a
// port that has a flow.
static void tracked_becomes_proxied(void **state)
{
	struct node *node = node_make();
	struct policy next;
	struct service service;
	struct message *message = new_message(MESSAGE_POLICY);
	struct handshake handshake;
	struct packet packet = syn;

	(void)state;
	node->services[0].mode = MODE_TRACK;
	node_go(node);
	packet.flags = TCP_SYN;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	packet.flags = TCP_RST; // gives up
	packet.seq++;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	next = node->policy;
	service = node->services[0];
	service.mode = MODE_PROXY;
	next.services = &service;
	assert_int_equal(policy_adopt(&next, &node->policy), 0);
	message->body.policy = &next;
	node_post(node, message);
	packet = syn;
	packet.seq = 777000;
	handshake_open(node, &handshake, &packet);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	handshake_answer(node, &handshake, ISN_S, NONE);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_int_equal(engine_flow_count(node->engine), 1);
	free(message);
	assert_true(node_end(node));
}

// The ACK for the cookie of a SYN that was answered at tick `issued`, seen at tick `seen`.
static enum verdict_kind prove(uint32_t issued, uint32_t seen, bool peer)
{
	struct node *node = node_make(), *other = node_make();
	struct packet packet = syn;
	enum verdict_kind kind;

	node->tick = issued;
	node_go(node);
	packet.flags = TCP_SYN;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_REPLY);
	packet.flags = TCP_ACK;
	packet.seq++;
	packet.ack = node->sent[0].view.seq + 1;
	other->tick = seen;
	node_go(other);
	if (!peer) { // the same engine, some ticks later
		while (node->tick < seen) {
			node->now_ns += 16000000000ULL;
			node->tick++;
			node_epoch(node, node->tick / 2 + 1);
		}
		kind = node_offer(node, OUTSIDE, &packet);
	} else {
		kind = node_offer(other, OUTSIDE, &packet);
	}
	assert_true(node_end(node));
	assert_true(node_end(other));
	return kind;
}

static void t1_5_epochs(void **state)
{
	(void)state;
	// An epoch is two ticks; 1000 begins one.
	for (unsigned peer = 0; peer < 2; peer++) {
		assert_int_equal(prove(1000, 1000, peer), VERDICT_CONSUME);
		assert_int_equal(prove(1000, 1001, peer), VERDICT_CONSUME);
		assert_int_equal(
			prove(1000, 1002, peer), VERDICT_CONSUME); // first half of the next
		assert_int_equal(prove(1000, 1003, peer), VERDICT_DROP);
		assert_int_equal(prove(1001, 1002, peer), VERDICT_CONSUME);
		assert_int_equal(prove(1001, 1003, peer), VERDICT_DROP);
		assert_int_equal(prove(1000, 1004, peer), VERDICT_DROP);
		assert_int_equal(prove(1001, 1005, peer), VERDICT_DROP);
		assert_int_equal(prove(1000, 1008, peer), VERDICT_DROP); // the slot was reused
	}
	// A peer whose counter is ahead: its cookies count in the second half.
	assert_int_equal(prove(1002, 1001, true), VERDICT_CONSUME);
	assert_int_equal(prove(1002, 1000, true), VERDICT_DROP);
	// Ticks wrap.
	assert_int_equal(prove(UINT32_MAX - 1, UINT32_MAX, true), VERDICT_CONSUME);
}

// What is learnt changes nothing that was announced in the same epoch.
static void t2_13_profile_is_fixed_per_epoch(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet = {.window = 1000, .options = BYTES("\x02\x04\x05\xb4\x04\x02")};

	(void)state;
	node->services[0].learn = true;
	node_go(node);
	packet.seq = 1000;
	handshake_open(node, &handshake, &packet);
	assert_true(handshake.synack.options.bits & OPTION_SACK_OK);
	handshake_answer(node, &handshake, ISN_S, (struct bytes)BYTES("\x02\x04\x05\xb4"));
	packet.flags = TCP_SYN;
	for (node->tick = HARNESS_TICK; node->tick < HARNESS_TICK + 2; node->tick++) {
		node_offer(node, OUTSIDE, &packet);
		assert_true(node->sent[0].options.bits & OPTION_SACK_OK);
	}
	node->announced.sack = false;
	node_epoch(node, HARNESS_TICK / 2 + 1);
	node_offer(node, OUTSIDE, &packet);
	assert_false(node->sent[0].options.bits & OPTION_SACK_OK);
	assert_true(node_end(node));
}

// Lying records change nothing: no flow that is none of the table's, no gauge.
static void records_that_lie(void **state)
{
	struct node *node = node_make();
	struct message *message = new_message(MESSAGE_INSTALL);
	struct flow_record *record = &message->body.record;
	struct flow_record good = {.mode = MODE_PROXY, .service = SERVICE_NONE, .owner = 7};
	struct addr elsewhere;

	(void)state;
	node_go(node);
	good.key.protocol = PROTOCOL_TCP;
	good.key.outer_port = 1;
	good.key.inner_port = 80;
	assert_int_equal(addr_parse(&good.key.outer, "192.0.2.10"), 0);
	assert_int_equal(addr_parse(&good.key.inner, "198.51.100.10"), 0);
	assert_int_equal(addr_parse(&elsewhere, "203.0.113.10"), 0);
	*record = good;
	record->key.protocol = PROTOCOL_UDP;
	node_post(node, message);
	*record = good;
	record->key.zero[0] = 0xff;
	node_post(node, message);
	*record = good;
	record->mode = 200;
	node_post(node, message);
	// A peer cannot widen the rules, nor turn a connection round.
	*record = good;
	record->key.inner = elsewhere;
	node_post(node, message);
	*record = good;
	record->bits = FLOW_CLIENT_INSIDE;
	node_post(node, message);
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_int_equal(node->message_count, 0);
	*record = good;
	memset(&record->wscale, 0xff, 2);
	memset(&record->translation, 0xff, sizeof(record->translation));
	node_post(node, message);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_CONFIRMED);
	assert_true(node_gauges_good(node));
	// The confirmation may be lost: the same record is confirmed again, an older one is not.
	node_post(node, message);
	assert_int_equal(node->message_count, 1);
	record->incarnation--;
	node_post(node, message);
	assert_int_equal(node->message_count, 0);
	// A tombstone kills its own incarnation only.
	message->type = MESSAGE_CHANGED;
	node_name_flow(node, message, &good.key, good.incarnation - 1, 0);
	message->body.flow.bits = CHANGE_CLOSED;
	node_post(node, message);
	assert_int_equal(engine_flow_count(node->engine), 1);
	node_name_flow(node, message, &good.key, good.incarnation, 0);
	message->body.flow.bits = CHANGE_CLOSED;
	node_post(node, message);
	assert_int_equal(node_state(node, TCP_CLOSED), 1);
	free(message);
	assert_true(node_end(node));
}

// A peer's record replaces an own connection that is over, not one that lives.
static void record_on_an_own_key(void **state)
{
	struct node *node = node_make();
	struct message *message = new_message(MESSAGE_INSTALL);
	struct handshake handshake;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &syn);
	handshake_answer(node, &handshake, ISN_S, NONE);
	message->body.record =
		ask(node, PROTOCOL_TCP, "192.0.2.10", "198.51.100.10", 80)->flow.record;
	message->body.record.incarnation += 0x1000;
	message->body.record.owner = 7;
	node_post(node, message);
	assert_int_equal(node->message_count, 0);
	handshake.ack.flags = TCP_RST;
	assert_int_equal(node_offer(node, OUTSIDE, &handshake.ack), VERDICT_FORWARD);
	node_post(node, message);
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	free(message);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dump_in_slices),
		cmocka_unit_test(show_why),
		cmocka_unit_test(show_why_synack),
		cmocka_unit_test(show_why_limits),
		cmocka_unit_test(show_why_offered),
		cmocka_unit_test(policy_replaced),
		cmocka_unit_test(tracked_becomes_proxied),
		cmocka_unit_test(t1_5_epochs),
		cmocka_unit_test(t2_13_profile_is_fixed_per_epoch),
		cmocka_unit_test(records_that_lie),
		cmocka_unit_test(record_on_an_own_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
