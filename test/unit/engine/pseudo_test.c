// Pseudo-state: UDP, ICMP queries, other protocols, and services without state (TCP.md 9).
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define S 1000000000ULL // nanoseconds

static const struct packet query4 = {
	.from_server = true, .protocol = PROTOCOL_UDP, .payload = BYTES("query")};
static const struct packet query6 = {
	.ip6 = true, .from_server = true, .protocol = PROTOCOL_UDP, .payload = BYTES("query")};
static const struct packet gre = {.from_server = true, .protocol = 47, .payload = BYTES("tunnel")};

static struct node *new_node(void)
{
	struct node *node = node_make();

	node_go(node);
	return node;
}

static void assert_timer(struct node *node, uint64_t s)
{
	node->now_ns += s * S;
	node_turn(node);
	assert_int_equal(engine_flow_count(node->engine), 1);
	node->now_ns += S;
	node_turn(node);
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_int_equal(node_state(node, TCP_STATE_COUNT), 0);
}

// A datagram from the inside opens the way back, for its own ports only, until the timer.
static void check_query(const struct packet *query, uint64_t timeout_s)
{
	struct node *node = new_node();
	struct packet answer = *query, other;

	answer.from_server = false;
	assert_int_equal(node_offer(node, OUTSIDE, &answer), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_rule_denied);
	assert_int_equal(node_offer(node, INSIDE, query), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	assert_int_equal(node_state(node, TCP_STATE_COUNT), 1);
	assert_int_equal(node_offer(node, OUTSIDE, &answer), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].port, INSIDE);
	other = answer;
	other.client = query->ip6 ? "2001:db8:1::11" : "192.0.2.11";
	assert_int_equal(node_offer(node, OUTSIDE, &other), VERDICT_DROP);
	other = answer;
	other.server_port = 81;
	if (query->protocol == PROTOCOL_UDP)
		assert_int_equal(node_offer(node, OUTSIDE, &other), VERDICT_DROP);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_timer(node, timeout_s);
	assert_int_equal(node_offer(node, OUTSIDE, &answer), VERDICT_DROP);
	assert_true(node_end(node));
}

static void t9_udp(void **state)
{
	(void)state;
	check_query(&query4, 120);
	check_query(&query6, 120);
}

static void t9_other_protocols(void **state)
{
	(void)state;
	check_query(&gre, 120);
}

static void t9_refreshed_both_ways(void **state)
{
	struct node *node = new_node();
	struct packet answer = query4;

	(void)state;
	answer.from_server = false;
	node_offer(node, INSIDE, &query4);
	node->now_ns += 100 * S;
	assert_int_equal(node_offer(node, OUTSIDE, &answer), VERDICT_FORWARD);
	node->now_ns += 100 * S;
	assert_int_equal(node_offer(node, INSIDE, &query4), VERDICT_FORWARD);
	assert_timer(node, 120);
	assert_true(node_end(node));
}

static void check_ping(bool ip6, uint8_t request, uint8_t reply)
{
	struct node *node = new_node();
	struct packet ping = {
		.ip6 = ip6, .protocol = PROTOCOL_ICMP, .type = request, .rest = 7 << 16};
	struct packet pong = ping;

	pong.from_server = true;
	pong.type = reply;
	// A reply nobody asked for starts nothing, whatever the rules say.
	assert_int_equal(node_offer(node, INSIDE, &pong), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_no_flow);
	assert_int_equal(node_offer(node, OUTSIDE, &ping), VERDICT_FORWARD);
	assert_int_equal(node_offer(node, INSIDE, &pong), VERDICT_FORWARD);
	pong.rest = 8 << 16; // another identifier
	assert_int_equal(node_offer(node, INSIDE, &pong), VERDICT_DROP);
	pong.rest = 7 << 16;
	// Neither may the asker send replies.
	pong.from_server = false;
	assert_int_equal(node_offer(node, OUTSIDE, &pong), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_no_flow);
	assert_timer(node, 60);
	assert_true(node_end(node));
}

static void t9_icmp_query(void **state)
{
	(void)state;
	check_ping(false, 8, 0);
	check_ping(false, 13, 14);
	check_ping(true, 128, 129);
}

// State lets answers through, not questions: a request against the direction of the state is
// judged by the rules.
static void icmp_request_against_state(void **state)
{
	struct node *node = node_make();
	struct packet ping = {
		.from_server = true, .protocol = PROTOCOL_ICMP, .type = 8, .rest = 7 << 16};

	(void)state;
	node->rows[2].from = RULE_FROM_INSIDE;
	node_go(node);
	assert_int_equal(node_offer(node, INSIDE, &ping), VERDICT_FORWARD);
	ping.from_server = false;
	assert_int_equal(node_offer(node, OUTSIDE, &ping), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_rule_denied);
	ping.type = 0;
	assert_int_equal(node_offer(node, OUTSIDE, &ping), VERDICT_FORWARD);
	assert_true(node_end(node));
}

// Obsolete replies (information, address mask) are replies too.
static void icmp_obsolete_replies(void **state)
{
	static const uint8_t types[] = {16, 18};
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct packet packet = {.protocol = PROTOCOL_ICMP, .type = types[i]};

		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_no_flow);
	}
	assert_true(node_end(node));
}

static void bypass_keeps_no_state(void **state)
{
	struct node *node = node_make();
	struct packet packet = {.protocol = PROTOCOL_UDP, .payload = BYTES("x")};

	(void)state;
	node->services[0].mode = MODE_BYPASS;
	node->services[0].protocol = RULE_ANY;
	node->rows[0].protocol = RULE_ANY;
	node_go(node);
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	packet.from_server = true;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	packet = (struct packet){.flags = TCP_ACK, .payload = BYTES("x")};
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	packet.from_server = true;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	packet.flags = TCP_SYN | TCP_ACK;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	// Not every host of the outside is behind it.
	packet = (struct packet){.server = "203.0.113.1", .flags = TCP_ACK};
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_no_flow);
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t9_udp),
		cmocka_unit_test(t9_other_protocols),
		cmocka_unit_test(t9_refreshed_both_ways),
		cmocka_unit_test(t9_icmp_query),
		cmocka_unit_test(icmp_request_against_state),
		cmocka_unit_test(icmp_obsolete_replies),
		cmocka_unit_test(bypass_keeps_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
