// Entries that are used again: ended connections do not count against their prefix, a new
// incarnation counts as created, and a tracked connection both ends forgot does not block its port.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ISN_C 1000u
#define ISN_S 5000u

static uint64_t stat(const counter *c)
{
	return counter_get(c);
}

static enum verdict_kind offer(
	struct node *node, bool from_server, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct packet packet = {.from_server = from_server,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 60000};

	return node_offer(node, from_server ? INSIDE : OUTSIDE, &packet);
}

static void open_proxied(struct node *node, struct handshake *handshake, const struct packet *syn)
{
	struct packet synack = {.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = ISN_S,
		.ack = syn->seq + 1,
		.window = 60000,
		.client_port = syn->client_port};

	handshake_open(node, handshake, syn);
	assert_int_equal(node_offer(node, INSIDE, &synack), VERDICT_CONSUME);
}

static void close_proxied(struct node *node, const struct handshake *handshake)
{
	uint32_t c = ISN_C + 1, s = handshake->cookie + 1;

	assert_int_equal(offer(node, false, TCP_FIN | TCP_ACK, c, s), VERDICT_FORWARD);
	assert_int_equal(offer(node, true, TCP_FIN | TCP_ACK, ISN_S + 1, c + 1), VERDICT_FORWARD);
	assert_int_equal(offer(node, false, TCP_ACK, c + 1, s + 1), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_TIME_WAIT), 1);
}

static void ended_connections_leave_the_prefix(void **state)
{
	struct node *node = node_make();
	struct handshake handshake, other;
	struct packet syn = {.seq = ISN_C, .window = 60000};

	(void)state;
	node->policy.limits.per_prefix_flows = 1;
	node_go(node);
	open_proxied(node, &handshake, &syn);
	syn.client_port = 40001;
	handshake_open(node, &other, &syn);
	assert_int_equal(node->verdict.kind, VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_prefix_limit);
	close_proxied(node, &handshake);
	handshake_open(node, &other, &syn);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	// The prefix is full again: the ended connection's port cannot be used again either.
	syn.client_port = 0;
	syn.seq = 77777;
	handshake_open(node, &handshake, &syn);
	assert_int_equal(node->verdict.kind, VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_prefix_limit);
	assert_true(node_end(node));
}

static void reuse_counts_as_closed_and_created(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet syn = {.seq = ISN_C, .window = 60000};
	const struct engine_stats *stats;

	(void)state;
	node_go(node);
	stats = engine_stats(node->engine);
	open_proxied(node, &handshake, &syn);
	close_proxied(node, &handshake);
	assert_int_equal(stat(&stats->flows_created), 1);
	syn.seq = 99999;
	open_proxied(node, &handshake, &syn);
	assert_int_equal(stat(&stats->flows_created), 2);
	assert_int_equal(stat(&stats->flows_closed), 1);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_true(node_end(node));
}

// What a spoofed source opens is not counted against those who proved that it is theirs.
static void claimed_addresses_do_not_count_against_proven(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet syn = {.seq = ISN_C, .window = 60000};
	struct packet udp = {.protocol = PROTOCOL_UDP, .payload = BYTES("spoofed")};

	(void)state;
	node->policy.limits.per_prefix_flows = 4;
	node->rows[0].protocol = RULE_ANY;
	node_go(node);
	for (uint16_t port = 1; port <= 4; port++) {
		udp.client_port = port;
		assert_int_equal(node_offer(node, OUTSIDE, &udp), VERDICT_FORWARD);
	}
	udp.client_port = 5;
	assert_int_equal(node_offer(node, OUTSIDE, &udp), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_prefix_limit);
	handshake_open(node, &handshake, &syn);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	assert_true(node_end(node));
}

// A proof that finds no context leaves an ended entry as it was, counted nowhere.
static void failed_reuse_gives_back(void **state)
{
	struct node *node = node_make();
	struct handshake handshake, other;
	struct packet syn = {.seq = ISN_C, .window = 60000};

	(void)state;
	node->policy.limits.per_prefix_flows = 2;
	node->config.openings = 1;
	node_go(node);
	open_proxied(node, &handshake, &syn);
	close_proxied(node, &handshake);
	syn.client_port = 40001; // takes the only context
	handshake_open(node, &other, &syn);
	syn.client_port = 0;
	for (uint32_t i = 1; i <= 5; i++) {
		syn.seq = ISN_C + i * 100000;
		handshake_open(node, &handshake, &syn);
		assert_int_equal(node->verdict.kind, VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_queue_full);
	}
	assert_true(node_end(node));
}

// One client's segments may fill the queue's pool but for its last eighth: proofs always find room.
static void the_last_of_the_pool_is_for_proofs(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet syn = {.seq = ISN_C, .window = 60000}, segment;
	static uint8_t data[400];
	bool full = false;

	(void)state;
	node->config.queue_total_bytes = 64 * 1024;
	node_go(node);
	for (uint16_t port = 1; port <= 8; port++) {
		syn.client_port = port;
		handshake_open(node, &handshake, &syn);
		assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
		segment = handshake.ack;
		segment.payload = (struct bytes){data, sizeof(data)};
		for (unsigned i = 0; i < 40; i++) {
			full |= node_offer(node, OUTSIDE, &segment) == VERDICT_DROP;
			segment.seq += sizeof(data);
		}
	}
	assert_true(full);
	assert_true(engine_queued_bytes(node->engine) >= 56 * 1024);
	assert_true(node_end(node));
}

// The client restarts and uses its port again; the server has forgotten too and accepts.
static void both_ends_forgot(void **state)
{
	struct node *node = node_make();

	(void)state;
	node->services[0].mode = MODE_TRACK;
	node_go(node);
	assert_int_equal(offer(node, false, TCP_SYN, ISN_C, 0), VERDICT_FORWARD);
	assert_int_equal(offer(node, true, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1), VERDICT_FORWARD);
	assert_int_equal(offer(node, false, TCP_ACK, ISN_C + 1, ISN_S + 1), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	// A SYN/ACK nobody's SYN asked for changes nothing: the old numbers still count.
	offer(node, true, TCP_SYN | TCP_ACK, 0x70000000, 0x60000001);
	assert_int_equal(offer(node, false, TCP_ACK, 0x60000001, 0x70000001), VERDICT_DROP);
	// The new connection.
	assert_int_equal(offer(node, false, TCP_SYN, 0x60000000, 0), VERDICT_FORWARD);
	assert_int_equal(
		offer(node, true, TCP_SYN | TCP_ACK, 0x70000000, 0x60000001), VERDICT_FORWARD);
	assert_int_equal(offer(node, false, TCP_ACK, 0x60000001, 0x70000001), VERDICT_FORWARD);
	assert_int_equal(offer(node, true, TCP_ACK, 0x70000001, 0x60000001), VERDICT_FORWARD);
	// And now the old numbers are nobody's.
	assert_int_equal(offer(node, true, TCP_ACK, ISN_S + 1, ISN_C + 1), VERDICT_DROP);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ended_connections_leave_the_prefix),
		cmocka_unit_test(reuse_counts_as_closed_and_created),
		cmocka_unit_test(claimed_addresses_do_not_count_against_proven),
		cmocka_unit_test(failed_reuse_gives_back),
		cmocka_unit_test(the_last_of_the_pool_is_for_proofs),
		cmocka_unit_test(both_ends_forgot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
