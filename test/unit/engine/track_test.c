// `track` mode through the engine: sequence checks, resets, reopening, timers (TCP.md 1.11, 1.12,
// 4, 9). Every case runs for IPv4 and IPv6.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ISN_C	1000u
#define ISN_S	0xfffffff0u
#define WSCALE7 "\x01\x03\x03\x07"
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}
#define DATA (struct bytes) BYTES("0123456789")
#define S    1000000000ULL // nanoseconds

static bool ip6; // family of the running case

static struct node *new_node(void)
{
	struct node *node = node_make();

	node->services[0].mode = MODE_TRACK;
	node_go(node);
	return node;
}

static enum verdict_kind client(
	struct node *node, uint8_t flags, uint32_t seq, uint32_t ack, struct bytes payload)
{
	struct packet packet = {.ip6 = ip6,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 1000,
		.payload = payload,
		.options = flags & TCP_SYN ? (struct bytes)BYTES(WSCALE7) : NONE};

	return node_offer(node, OUTSIDE, &packet);
}

static enum verdict_kind server(
	struct node *node, uint8_t flags, uint32_t seq, uint32_t ack, struct bytes payload)
{
	struct packet packet = {.ip6 = ip6,
		.from_server = true,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 1000,
		.payload = payload,
		.options = flags & TCP_SYN ? (struct bytes)BYTES(WSCALE7) : NONE};

	return node_offer(node, INSIDE, &packet);
}

static void open_connection(struct node *node)
{
	assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_int_equal(server(node, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_SYN_RECV), 1);
	assert_int_equal(client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	// A SYN/ACK alone does not prove that the server's segments come this way.
	assert_int_equal(server(node, TCP_ACK, ISN_S + 1, ISN_C + 1, NONE), VERDICT_FORWARD);
}

static void close_connection(struct node *node)
{
	client(node, TCP_FIN | TCP_ACK, ISN_C + 1, ISN_S + 1, NONE);
	server(node, TCP_FIN | TCP_ACK, ISN_S + 1, ISN_C + 2, NONE);
	client(node, TCP_ACK, ISN_C + 2, ISN_S + 2, NONE);
	assert_int_equal(node_state(node, TCP_TIME_WAIT), 1);
}

static void assert_dropped(struct node *node, enum reason reason)
{
	assert_int_equal(node->verdict.kind, VERDICT_DROP);
	assert_int_equal(node->verdict.reason, reason);
	assert_int_equal(node->sent_count, 0);
}

static void t4_1_reset(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	client(node, TCP_RST, ISN_C + 1 + 10000000, 0, NONE);
	assert_dropped(node, REASON_out_of_window);
	client(node, TCP_RST, ISN_C - 10, 0, NONE);
	assert_dropped(node, REASON_out_of_window);
	// In the window: for the endpoint to challenge; the state stays.
	assert_int_equal(client(node, TCP_RST, ISN_C + 100, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_int_equal(server(node, TCP_RST, ISN_S + 100, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_int_equal(client(node, TCP_RST, ISN_C + 1, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_CLOSED), 1);
	client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, DATA);
	assert_dropped(node, REASON_out_of_window);
	assert_true(node_end(node));
}

static unsigned forwarded_of(struct node *node, unsigned tries, bool syn)
{
	unsigned forwarded = 0;

	for (unsigned i = 0; i < tries; i++)
		forwarded += client(node, syn ? TCP_SYN : TCP_RST, ISN_C + 50, 0, NONE) ==
			     VERDICT_FORWARD;
	return forwarded;
}

// SYN and near RST in ESTABLISHED are forwarded a few a second, and the answer passes.
static void t4_1_challenges_are_limited(void **state)
{
	struct node *node = new_node();

	(void)state;
	for (unsigned syn = 0; syn < 2; syn++) {
		open_connection(node);
		assert_in_range(forwarded_of(node, 1000, syn), 1, 20);
		assert_dropped(node, REASON_rate_limited);
		assert_int_equal(
			server(node, TCP_ACK, ISN_S + 1, ISN_C + 1, NONE), VERDICT_FORWARD);
		node->now_ns += S;
		assert_in_range(forwarded_of(node, 1000, syn), 1, 20);
		assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
		node_flush(node);
		node->now_ns += 2 * S;
	}
	assert_true(node_end(node));
}

static void t4_2_ghost_acks(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	client(node, TCP_ACK, ISN_C + 1, ISN_S + 2, DATA); // never sent
	assert_dropped(node, REASON_bad_ack);
	client(node, TCP_ACK, ISN_C + 1, ISN_S + 1 - 1000000, DATA);
	assert_dropped(node, REASON_bad_ack);
	assert_int_equal(client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, DATA), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_ACK, ISN_S + 1, ISN_C + 11, DATA), VERDICT_FORWARD);
	server(node, TCP_ACK, ISN_S + 11, ISN_C + 12, DATA);
	assert_dropped(node, REASON_bad_ack);
	assert_true(node_end(node));
}

static void t4_3_window(void **state)
{
	struct node *node = new_node();
	const uint32_t right = ISN_C + 1 + (1000u << 7);

	(void)state;
	open_connection(node);
	client(node, TCP_ACK, right + 1, ISN_S + 1, DATA);
	assert_dropped(node, REASON_out_of_window);
	assert_int_equal(client(node, TCP_ACK, right - 10, ISN_S + 1, DATA), VERDICT_FORWARD);
	assert_true(node_end(node));
}

static void t4_4_time_wait(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	close_connection(node);
	// A reset does not end it (RFC 1337).
	client(node, TCP_RST, ISN_C + 2, 0, NONE);
	assert_int_equal(node_state(node, TCP_TIME_WAIT), 1);
	// A retransmitted FIN and the last ACK again pass.
	assert_int_equal(
		server(node, TCP_FIN | TCP_ACK, ISN_S + 1, ISN_C + 2, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_ACK, ISN_C + 2, ISN_S + 2, NONE), VERDICT_FORWARD);
	// A newer SYN makes a new flow.
	assert_int_equal(client(node, TCP_SYN, ISN_C + 1000, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_SYN_SENT), 1);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_int_equal(counter_get(&engine_stats(node->engine)->flows_created), 2);
	assert_true(node_end(node));
}

// A SYN with a lower number: the server, in TIME-WAIT, answers a plain ACK, the client resets it,
// the SYN is sent again, and the connection works.
static void t1_11_time_wait_at_server(void **state)
{
	const uint32_t isn = ISN_C - 500000, isn_s = 777;
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	close_connection(node);
	assert_int_equal(client(node, TCP_SYN, isn, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_ACK, ISN_S + 2, ISN_C + 2, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_RST, ISN_C + 2, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_SYN, isn, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_SYN | TCP_ACK, isn_s, isn + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_ACK, isn + 1, isn_s + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_ACK, isn + 1, isn_s + 1, DATA), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_ACK, isn_s + 1, isn + 11, DATA), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_true(node_end(node));
}

// The same where our entry is gone but the server's connection is not: the server answers a SYN
// with a plain ACK of the old connection.
static void t1_11_old_connection_at_the_server(void **state)
{
	struct node *node = new_node();

	(void)state;
	assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_ACK, 55555, 66666, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_RST, 66666, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_true(node_end(node));
}

// A SYN that is repeated is answered like the first: only the client's ACK opens the connection, or
// who forges two SYNs would fill the table with connections that are never evicted.
static void a_repeated_syn_proves_nothing(void **state)
{
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
		assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
		assert_int_equal(
			server(node, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1, NONE), VERDICT_FORWARD);
		assert_int_equal(node_state(node, TCP_SYN_RECV), 1);
	}
	assert_int_equal(client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_true(node_end(node));
}

// Two SYNs cross. The inside host is the client here: its own SYN is what lets the other one in,
// which no rule allows.
static void t1_12_simultaneous_open(void **state)
{
	struct node *node = new_node();

	(void)state;
	for (unsigned rule = 0; rule < 2; rule++)
		node->rows[rule].action = RULE_DENY;
	client(node, TCP_SYN, ISN_C, 0, NONE);
	assert_dropped(node, REASON_rule_denied);
	assert_int_equal(server(node, TCP_SYN, ISN_S, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_SYN_RECV), 1);
	assert_true(node_gauges_good(node));
	assert_int_equal(server(node, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_SYN | TCP_ACK, ISN_C, ISN_S + 1, NONE), VERDICT_FORWARD);
	assert_int_equal(client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, DATA), VERDICT_FORWARD);
	assert_int_equal(server(node, TCP_ACK, ISN_S + 1, ISN_C + 11, DATA), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_int_equal(engine_flow_count(node->engine), 1);
	// Once open, the state lets no SYN in that the rules forbid.
	client(node, TCP_SYN, ISN_C + 5, 0, NONE);
	assert_dropped(node, REASON_rule_denied);
	assert_true(node_end(node));
}

// The flow lives at least `s` seconds after its last packet, and not much longer.
static void assert_timer(struct node *node, uint64_t s)
{
	node->now_ns += s * S;
	node_turn(node);
	assert_int_equal(engine_flow_count(node->engine), 1);
	node->now_ns += S;
	node_turn(node);
	assert_int_equal(engine_flow_count(node->engine), 0);
}

static void t9_established_idle(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	// Packets that come close together must not shorten the last one's time.
	node->now_ns += 50 * 1000000;
	client(node, TCP_ACK, ISN_C + 1, ISN_S + 1, DATA);
	node->now_ns += 60 * 1000000;
	server(node, TCP_ACK, ISN_S + 1, ISN_C + 11, NONE);
	node->now_ns += 63 * 1000000;
	client(node, TCP_ACK, ISN_C + 11, ISN_S + 1, DATA);
	assert_timer(node, 7440);
	assert_int_equal(counter_get(&engine_stats(node->engine)->flows_expired), 1);
	assert_true(node_end(node));
}

static void t9_transitory(void **state)
{
	struct node *node = new_node();

	(void)state;
	client(node, TCP_SYN, ISN_C, 0, NONE);
	assert_timer(node, 240);
	client(node, TCP_SYN, ISN_C, 0, NONE);
	server(node, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1, NONE);
	assert_timer(node, 240);
	// A retransmitted SYN counts from its own time.
	client(node, TCP_SYN, ISN_C, 0, NONE);
	node->now_ns += 100 * S;
	assert_int_equal(client(node, TCP_SYN, ISN_C, 0, NONE), VERDICT_FORWARD);
	assert_timer(node, 240);
	open_connection(node);
	client(node, TCP_RST, ISN_C + 1, 0, NONE);
	assert_timer(node, 240);
	assert_true(node_end(node));
}

static void t9_time_wait(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	close_connection(node);
	assert_timer(node, 120);
	assert_int_equal(counter_get(&engine_stats(node->engine)->flows_closed), 1);
	assert_true(node_end(node));
}

// A half-closed connection lives as long as an open one; with both FINs it does not.
static void t4_4_half_close(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	client(node, TCP_FIN | TCP_ACK, ISN_C + 1, ISN_S + 1, NONE);
	server(node, TCP_ACK, ISN_S + 1, ISN_C + 2, NONE);
	assert_int_equal(node_state(node, TCP_CLOSING), 1);
	node->now_ns += 7439 * S;
	node_turn(node);
	assert_int_equal(server(node, TCP_ACK, ISN_S + 1, ISN_C + 2, DATA), VERDICT_FORWARD);
	server(node, TCP_FIN | TCP_ACK, ISN_S + 11, ISN_C + 2, NONE);
	assert_timer(node, 240);
	assert_true(node_end(node));
}

static void t4_5_keep_alive_refreshes(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	node->now_ns += 7000 * S;
	assert_int_equal(client(node, TCP_ACK, ISN_C, ISN_S + 1, NONE), VERDICT_FORWARD);
	node->now_ns += 7000 * S;
	assert_int_equal(
		client(node, TCP_ACK, ISN_C, ISN_S + 1, (struct bytes)BYTES("x")), VERDICT_FORWARD);
	node->now_ns += 7000 * S;
	assert_int_equal(server(node, TCP_ACK, ISN_S, ISN_C + 1, NONE), VERDICT_FORWARD);
	assert_timer(node, 7440);
	assert_true(node_end(node));
}

// What is challenged or dropped does not keep a flow.
static void t4_1_challenged_does_not_refresh(void **state)
{
	struct node *node = new_node();

	(void)state;
	open_connection(node);
	node->now_ns += 7000 * S;
	client(node, TCP_SYN, ISN_C + 50, 0, NONE);
	client(node, TCP_ACK, ISN_C + 1, ISN_S + 999, DATA);
	node->now_ns += 442 * S;
	node_turn(node);
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_true(node_end(node));
}

static int for_ip4(void **state)
{
	(void)state;
	ip6 = false;
	return 0;
}

static int for_ip6(void **state)
{
	(void)state;
	ip6 = true;
	return 0;
}

#define BOTH(test)                                                                                 \
	{#test "/ip4", test, for_ip4, NULL, NULL},                                                 \
	{                                                                                          \
#test "/ip6", test, for_ip6, NULL, NULL                                            \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(t4_1_reset),
		BOTH(t4_1_challenges_are_limited),
		BOTH(t4_1_challenged_does_not_refresh),
		BOTH(t4_2_ghost_acks),
		BOTH(t4_3_window),
		BOTH(t4_4_time_wait),
		BOTH(t4_4_half_close),
		BOTH(t4_5_keep_alive_refreshes),
		BOTH(t1_11_time_wait_at_server),
		BOTH(t1_11_old_connection_at_the_server),
		BOTH(a_repeated_syn_proves_nothing),
		BOTH(t1_12_simultaneous_open),
		BOTH(t9_established_idle),
		BOTH(t9_transitory),
		BOTH(t9_time_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
