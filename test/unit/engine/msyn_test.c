// `msyn` mode through two engines: the client's packets enter at A, the server's at B. Every case
// runs for IPv4 and IPv6, with the client outside and inside.
// Proves: M1, M2, M5, M6, M7, M8, M9, M10, M11 (the engine's part; test/unit/cookie has M2-M4 bit
// by bit).
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODE_A 3
#define NODE_B 5
#define ISN_C  0x1234abcdu
#define ISN_S  0xfffffffbu
#define NEXT   (ISN_C + 0x20000) // of the next connection
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}
#define SYN_OPTIONS (struct bytes) BYTES("\x02\x04\x05\xb4\x04\x02\x01\x03\x03\x07")
#define SACK(edges) (struct bytes) BYTES("\x01\x01\x05\x0a" edges)

// How the running case looks.
static bool ip6;
static bool client_inside;

struct pair {
	struct node *a, *b;
	uint32_t e;
};

static struct node *new_node(uint16_t id)
{
	struct node *node = node_make();

	node->services[0].mode = MODE_MSYN;
	if (client_inside) {
		node->services[0].from = RULE_FROM_INSIDE;
		assert_int_equal(prefix_parse(&node->services[0].to[0], "192.0.2.0/24"), 0);
		assert_int_equal(prefix_parse(&node->services[0].to[1], "2001:db8:1::/64"), 0);
	}
	node->policy.node_id = id;
	node->policy.max_id = 15;
	node->policy.clustered = true;
	node_go(node);
	return node;
}

static struct pair pair_make(void)
{
	return (struct pair){new_node(NODE_A), new_node(NODE_B), 0};
}

static void pair_end(struct pair *pair)
{
	assert_true(node_end(pair->a));
	assert_true(node_end(pair->b));
}

static uint8_t client_port(void)
{
	return client_inside ? INSIDE : OUTSIDE;
}

static uint8_t server_port(void)
{
	return client_inside ? OUTSIDE : INSIDE;
}

// The packet builder's "server" is the host on the inside.
static struct packet of_client(uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct packet){.ip6 = ip6,
		.from_server = client_inside,
		.client_port = client_inside ? 80 : 40000,
		.server_port = client_inside ? 40000 : 80,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 1000,
		.options = flags & TCP_SYN ? SYN_OPTIONS : NONE};
}

static struct packet of_server(uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct packet packet = of_client(flags, seq, ack);

	packet.from_server = !client_inside;
	return packet;
}

static enum verdict_kind client(struct node *node, struct packet packet)
{
	return node_offer(node, client_port(), &packet);
}

static enum verdict_kind server(struct node *node, struct packet packet)
{
	return node_offer(node, server_port(), &packet);
}

static void carry(struct node *from, struct node *to)
{
	assert_int_equal(from->message_count, 1);
	assert_int_equal(from->messages[0]->node, to->policy.node_id);
	node_carry(to, from->messages[0], from->policy.node_id);
}

static const struct view *sent(const struct node *node, uint8_t port)
{
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, port);
	assert_true(packet_good(&node->sent[0].frame));
	return &node->sent[0].view;
}

static void open_syn(struct pair *pair)
{
	assert_int_equal(client(pair->a, of_client(TCP_SYN, ISN_C, 0)), VERDICT_FORWARD);
	pair->e = sent(pair->a, server_port())->seq - ISN_C;
}

// The whole handshake: SYN at A, SYN/ACK at B, ACK at A.
static void open_all(struct pair *pair)
{
	open_syn(pair);
	assert_int_equal(server(pair->b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair->e + 1)),
		VERDICT_CONSUME);
	carry(pair->b, pair->a);
	carry(pair->a, pair->b);
	assert_int_equal(sent(pair->b, client_port())->ack, ISN_C + 1);
	assert_int_equal(
		client(pair->a, of_client(TCP_ACK, ISN_C + 1, ISN_S + 1)), VERDICT_FORWARD);
}

static void m1_forbidden_syn_is_dropped(void)
{
	struct pair pair = pair_make();
	struct packet packet = of_client(TCP_SYN, ISN_C, 0);

	// The only rule that allows anything from the outside names other hosts.
	packet.from_server = false;
	packet.server = ip6 ? "2001:db8:9::1" : "203.0.113.9";
	assert_int_equal(node_offer(pair.a, OUTSIDE, &packet), VERDICT_DROP);
	assert_int_equal(pair.a->verdict.reason, REASON_rule_denied);
	assert_int_equal(engine_flow_count(pair.a->engine), 0);
	pair_end(&pair);
}

static void m2_m9_the_isn_is_replaced(void)
{
	struct pair pair = pair_make();
	uint32_t cookie;

	open_syn(&pair);
	cookie = ISN_C + pair.e;
	assert_int_equal(cookie >> 15, ISN_C >> 15);
	assert_int_equal(cookie >> 13 & 3, HARNESS_TICK % 4);
	assert_true(pair.e != 0);
	// Everything else of the SYN is the client's.
	assert_int_equal(pair.a->sent[0].view.window, 1000);
	assert_int_equal(pair.a->sent[0].options.mss, 1460);
	assert_int_equal(pair.a->sent[0].options.wscale, 7);
	assert_int_equal(node_state(pair.a, TCP_SYN_SENT), 1);
	pair_end(&pair);
}

static void m6_one_node_alone(void)
{
	struct pair pair = pair_make();

	open_syn(&pair);
	assert_int_equal(server(pair.a, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1)),
		VERDICT_FORWARD);
	assert_int_equal(sent(pair.a, client_port())->ack, ISN_C + 1);
	assert_int_equal(pair.a->sent[0].view.seq, ISN_S);
	assert_int_equal(node_state(pair.a, TCP_SYN_RECV), 1);
	assert_int_equal(pair.a->message_count, 0);
	// Its own id without a state: dropped, and nobody asked.
	assert_int_equal(client(pair.a, of_client(TCP_ACK, ISN_C + 1, ISN_S + 1)), VERDICT_FORWARD);
	node_flush(pair.a);
	assert_int_equal(server(pair.a, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1)),
		VERDICT_DROP);
	assert_int_equal(pair.a->verdict.reason, REASON_no_owner);
	assert_int_equal(pair.a->message_count, 0);
	pair_end(&pair);
}

// Where all nodes get the state: both sent the client's SYN on (routes changed between two of
// them). What the server confirmed wins over the own, whose id is the lower one (TCP.md 7.3).
static void m7_the_confirmed_one_wins(void)
{
	struct pair pair = pair_make();
	uint32_t e;

	pair.b->policy.share = SHARE_ALL;
	open_syn(&pair);
	assert_int_equal(client(pair.b, of_client(TCP_SYN, ISN_C, 0)), VERDICT_FORWARD);
	e = sent(pair.b, server_port())->seq - ISN_C;
	assert_int_equal(server(pair.b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + e + 1)),
		VERDICT_FORWARD);
	assert_int_equal(pair.b->message_count, 1);
	assert_int_equal(pair.b->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(pair.b->messages[0]->node, NODE_ALL);
	node_carry(pair.a, pair.b->messages[0], NODE_B);
	assert_int_equal(client(pair.a, of_client(TCP_ACK, ISN_C + 1, ISN_S + 1)), VERDICT_FORWARD);
	assert_int_equal(sent(pair.a, server_port())->seq, ISN_C + e + 1);
	pair_end(&pair);
}

static void m7_state_and_synack_come_together(void)
{
	struct pair pair = pair_make();

	open_syn(&pair);
	assert_int_equal(server(pair.b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1)),
		VERDICT_CONSUME);
	assert_int_equal(pair.b->sent_count, 0);
	carry(pair.b, pair.a);
	assert_int_equal(pair.a->sent_count, 0); // it leaves where it arrived
	assert_int_equal(node_state(pair.a, TCP_SYN_RECV), 1);
	assert_int_equal(pair.a->messages[0]->type, MESSAGE_OPENED);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 1);
	assert_int_equal(pair.b->sent[0].view.seq, ISN_S);
	assert_int_equal(pair.b->sent[0].view.tcp_flags, TCP_SYN | TCP_ACK);
	assert_int_equal(node_state(pair.b, TCP_SYN_RECV), 1);
	// Repeated, it needs no exchange any more.
	assert_int_equal(server(pair.b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1)),
		VERDICT_FORWARD);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 1);
	pair_end(&pair);
}

static void m7_refusal_takes_the_same_way(void)
{
	struct pair pair = pair_make();

	open_syn(&pair);
	assert_int_equal(server(pair.b, of_server(TCP_RST | TCP_ACK, 0, ISN_C + pair.e + 1)),
		VERDICT_CONSUME);
	carry(pair.b, pair.a);
	assert_int_equal(node_state(pair.a, TCP_CLOSED), 1);
	assert_int_equal(pair.a->messages[0]->type, MESSAGE_EMIT);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 1);
	assert_int_equal(pair.b->sent[0].view.tcp_flags, TCP_RST | TCP_ACK);
	assert_int_equal(engine_flow_count(pair.b->engine), 0);
	pair_end(&pair);
}

// An owner without state answers `none`, and the finder forgets.
static void m7_none(void)
{
	struct pair pair = pair_make();

	open_syn(&pair);
	node_flush(pair.a);
	server(pair.b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1));
	carry(pair.b, pair.a);
	assert_int_equal(node_dropped(pair.a, REASON_no_owner), 1);
	assert_int_equal(pair.a->messages[0]->type, MESSAGE_NONE);
	carry(pair.a, pair.b);
	assert_int_equal(pair.b->sent_count, 0);
	assert_int_equal(engine_flow_count(pair.b->engine), 0);
	pair_end(&pair);
}

// Either side through either appliance, translated, without a message.
static void m8_no_packet_waits(void)
{
	struct pair pair = pair_make();
	struct node *nodes[] = {pair.a, pair.b};

	open_all(&pair);
	assert_int_equal(sent(pair.a, server_port())->seq, ISN_C + pair.e + 1);
	for (unsigned i = 0; i < 4; i++) {
		struct packet data = of_client(TCP_ACK | TCP_PSH, ISN_C + 1 + i, ISN_S + 1);
		struct packet answer = of_server(TCP_ACK, ISN_S + 1, ISN_C + pair.e + 2 + i);

		data.payload = (struct bytes)BYTES("x");
		answer.options = SACK("\x00\x00\x10\x00\x00\x00\x20\x00");
		assert_int_equal(client(nodes[i & 1], data), VERDICT_FORWARD);
		assert_int_equal(sent(nodes[i & 1], server_port())->seq, data.seq + pair.e);
		assert_int_equal(nodes[i & 1]->message_count, 0);
		assert_int_equal(server(nodes[!(i & 1)], answer), VERDICT_FORWARD);
		assert_int_equal(sent(nodes[!(i & 1)], client_port())->ack, ISN_C + 2 + i);
		assert_int_equal(be32_get(nodes[!(i & 1)]->sent[0].frame.data +
					  nodes[!(i & 1)]->sent[0].options.sack_at),
			0x1000 - pair.e);
		assert_int_equal(nodes[!(i & 1)]->message_count, 0);
	}
	pair_end(&pair);
}

// What the client says behind its FIN is of its next connection, which has another cookie.
static void beyond_the_fin(struct pair *pair)
{
	struct packet data = of_client(TCP_ACK, ISN_C + 1, ISN_S + 1);

	data.payload = (struct bytes)BYTES("0");
	assert_int_equal(
		client(pair->a, data), VERDICT_FORWARD); // once more, with the FIN's number
	data.seq++;
	assert_int_equal(client(pair->a, data), VERDICT_DROP);
	assert_int_equal(pair->a->verdict.reason, REASON_out_of_window);
}

// The client's reset was not exact for the server, whose challenge reaches it. When that comes
// again it may be the answer to the next connection's SYN: B asks.
static void t4_1_a_challenge_and_again(void)
{
	struct pair pair = pair_make();
	struct packet data = of_client(TCP_ACK, ISN_C + 1, ISN_S + 1);
	struct packet challenge;

	open_all(&pair);
	challenge = of_server(TCP_ACK, ISN_S + 1, ISN_C + pair.e + 1);
	assert_int_equal(server(pair.b, challenge), VERDICT_FORWARD);
	data.payload = (struct bytes)BYTES("0123456789");
	assert_int_equal(client(pair.a, data), VERDICT_FORWARD);
	assert_int_equal(client(pair.a, of_client(TCP_RST, ISN_C + 11, 0)), VERDICT_FORWARD);
	carry(pair.a, pair.b);
	assert_int_equal(node_state(pair.b, TCP_CLOSED), 1);
	challenge.ack += 10;
	assert_int_equal(server(pair.b, challenge), VERDICT_FORWARD);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 11);
	assert_int_equal(server(pair.b, challenge), VERDICT_CONSUME);
	pair_end(&pair);
}

// A FIN that B let through, because it saw nothing of the client, or because the window says
// little: anybody may have sent it, and what the client says there goes on.
static void a_fin_of_anybody(void)
{
	for (unsigned seen = 0; seen < 2; seen++) {
		struct pair pair = pair_make();
		uint32_t off = seen ? 0x20000 : 0x70000000, on = seen ? 0x30000 : 1;

		open_all(&pair);
		if (seen)
			assert_int_equal(client(pair.b, of_client(TCP_ACK, ISN_C + 1, ISN_S + 1)),
				VERDICT_FORWARD);
		assert_int_equal(client(pair.b, of_client(TCP_FIN | TCP_ACK, ISN_C + off, 1)),
			VERDICT_FORWARD);
		server(pair.b, of_server(TCP_FIN | TCP_ACK, ISN_S + 1, ISN_C + pair.e + 1));
		assert_int_equal(node_state(pair.b, TCP_TIME_WAIT), 1);
		assert_int_equal(
			client(pair.b, of_client(TCP_ACK, ISN_C + on, ISN_S + 2)), VERDICT_FORWARD);
		pair_end(&pair);
	}
}

// A FIN or reset that one node sees becomes known to the other.
static void the_end_is_known_at_both(void)
{
	for (unsigned reset = 0; reset < 2; reset++) {
		struct pair pair = pair_make();
		uint8_t flags = reset ? TCP_RST : TCP_FIN | TCP_ACK;
		enum tcp_state after = reset ? TCP_CLOSED : TCP_CLOSING;

		open_all(&pair);
		server(pair.b, of_server(TCP_ACK, ISN_S + 1, ISN_C + pair.e + 1));
		assert_int_equal(
			client(pair.a, of_client(flags, ISN_C + 1, ISN_S + 1)), VERDICT_FORWARD);
		assert_int_equal(pair.a->messages[0]->type, MESSAGE_CHANGED);
		carry(pair.a, pair.b);
		assert_int_equal(node_state(pair.b, after), 1);
		if (!reset) {
			assert_int_equal(server(pair.b, of_server(TCP_FIN | TCP_ACK, ISN_S + 1,
								ISN_C + pair.e + 2)),
				VERDICT_FORWARD);
			carry(pair.b, pair.a);
			assert_int_equal(node_state(pair.a, TCP_TIME_WAIT), 1);
			assert_int_equal(node_state(pair.b, TCP_TIME_WAIT), 1);
			beyond_the_fin(&pair);
		}
		pair_end(&pair);
	}
}

// TCP.md 1.10: the same cookie while it can be decoded, then a fresh one.
static void t1_10_retransmitted_syn(void)
{
	struct pair pair = pair_make();

	open_syn(&pair);
	pair.a->tick = HARNESS_TICK + 1;
	node_pass_ms(pair.a, 1000);
	node_pass_ms(pair.b, 1000);
	assert_int_equal(client(pair.a, of_client(TCP_SYN, ISN_C, 0)), VERDICT_FORWARD);
	assert_int_equal(sent(pair.a, server_port())->seq, ISN_C + pair.e);
	pair.a->tick = HARNESS_TICK + 2;
	pair.b->tick = HARNESS_TICK + 2;
	assert_int_equal(client(pair.a, of_client(TCP_SYN, ISN_C, 0)), VERDICT_FORWARD);
	assert_int_not_equal(sent(pair.a, server_port())->seq, ISN_C + pair.e);
	pair.e = pair.a->sent[0].view.seq - ISN_C;
	assert_int_equal(engine_flow_count(pair.a->engine), 1);
	// The new cookie's answer is found.
	assert_int_equal(server(pair.b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1)),
		VERDICT_CONSUME);
	carry(pair.b, pair.a);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 1);
	pair_end(&pair);
}

// TCP.md 2.9: neither data nor a Fast Open option goes along.
static void t2_9_fast_open(void)
{
	struct pair pair = pair_make();
	struct packet packet = of_client(TCP_SYN, ISN_C, 0);

	packet.options = (struct bytes)BYTES("\x22\x06\x01\x02\x03\x04\x02\x04\x05\xb4");
	packet.payload = (struct bytes)BYTES("early data");
	assert_int_equal(client(pair.a, packet), VERDICT_FORWARD);
	assert_int_equal(view_payload_len(sent(pair.a, server_port())), 0);
	assert_false(pair.a->sent[0].options.bits & OPTION_FAST_OPEN);
	assert_int_equal(pair.a->sent[0].options.mss, 1460);
	pair.e = pair.a->sent[0].view.seq - ISN_C;
	server(pair.b, of_server(TCP_SYN | TCP_ACK, ISN_S, ISN_C + pair.e + 1));
	carry(pair.b, pair.a);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 1);
	pair_end(&pair);
}

// M11: a reincarnation whose ISN is 2^15 above gets a cookie above what the client used, one 2^16
// above also a cookie above what the server saw; the copy follows, also within one tick.
static void m11_fast_reincarnation(void)
{
	struct pair pair = pair_make();
	uint32_t old;

	open_all(&pair);
	old = ISN_C + pair.e;
	client(pair.a, of_client(TCP_RST, ISN_C + 1, 0));
	carry(pair.a, pair.b);
	assert_int_equal(client(pair.a, of_client(TCP_SYN, ISN_C + 0x10000, 0)), VERDICT_FORWARD);
	assert_true((int32_t)(sent(pair.a, server_port())->seq - old) > 0);
	pair.e = pair.a->sent[0].view.seq - (ISN_C + 0x10000);
	server(pair.b, of_server(TCP_SYN | TCP_ACK, 77, ISN_C + 0x10000 + pair.e + 1));
	carry(pair.b, pair.a);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 0x10000 + 1);
	// Once more with a lower number: still newer, its owner says so.
	client(pair.a, of_client(TCP_RST, ISN_C + 0x10001, 0));
	carry(pair.a, pair.b);
	assert_int_equal(client(pair.a, of_client(TCP_SYN, 5, 0)), VERDICT_FORWARD);
	pair.e = sent(pair.a, server_port())->seq - 5;
	server(pair.b, of_server(TCP_SYN | TCP_ACK, 77, 5 + pair.e + 1));
	carry(pair.b, pair.a);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, 6);
	pair_end(&pair);
}

// Both ends have forgotten the connection, the nodes have not. The next one's SYN gets a cookie of
// its own, the same when it comes again, and the server's answer makes the entry that connection's.
static void t4_1_syn_of_the_next(void)
{
	struct pair pair = pair_make();
	uint32_t next;

	open_all(&pair);
	assert_int_equal(client(pair.a, of_client(TCP_SYN, NEXT, 0)), VERDICT_FORWARD);
	next = sent(pair.a, server_port())->seq;
	assert_int_not_equal(next - (NEXT), pair.e);
	assert_int_equal(client(pair.a, of_client(TCP_SYN, NEXT, 0)), VERDICT_FORWARD);
	assert_int_equal(sent(pair.a, server_port())->seq, next);
	// Until then what the server says is of the old one.
	assert_int_equal(
		server(pair.b, of_server(TCP_ACK, ISN_S + 1, ISN_C + pair.e + 1)), VERDICT_FORWARD);
	assert_int_equal(sent(pair.b, client_port())->ack, ISN_C + 1);
	assert_int_equal(
		server(pair.b, of_server(TCP_SYN | TCP_ACK, 555, next + 1)), VERDICT_CONSUME);
	carry(pair.b, pair.a);
	carry(pair.a, pair.b);
	assert_int_equal(sent(pair.b, client_port())->ack, NEXT + 1);
	assert_int_equal(client(pair.a, of_client(TCP_ACK, NEXT + 1, 556)), VERDICT_FORWARD);
	assert_int_equal(sent(pair.a, server_port())->seq, next + 1);
	assert_int_equal(server(pair.b, of_server(TCP_ACK, 556, next + 1)), VERDICT_FORWARD);
	assert_int_equal(sent(pair.b, client_port())->ack, NEXT + 1);
	pair_end(&pair);
}

// An ICMP error about the SYN reaches the node without the flow: the owner translates it.
static void icmp_about_the_syn(void)
{
	struct pair pair = pair_make();
	struct packet error = of_server(0, 0, 0);
	struct frame quoted;

	open_syn(&pair);
	quoted = pair.a->sent[0].frame;
	error.protocol = PROTOCOL_ICMP;
	error.type = ip6 ? 1 : 3;
	error.code = ip6 ? 4 : 3;
	error.payload = (struct bytes){quoted.data + 14, (uint16_t)(quoted.len - 14)};
	assert_int_equal(server(pair.b, error), VERDICT_CONSUME);
	carry(pair.b, pair.a);
	assert_int_equal(pair.a->messages[0]->type, MESSAGE_EMIT);
	carry(pair.a, pair.b);
	assert_true(view_is_icmp_error(sent(pair.b, client_port())));
	pair_end(&pair);
}

static void everywhere(void (*test)(void))
{
	for (unsigned i = 0; i < 4; i++) {
		ip6 = i & 1;
		client_inside = i & 2;
		test();
	}
}

#define RUN(name)                                                                                  \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		everywhere(name);                                                                  \
	}
#define TESTS(X)                                                                                   \
	X(m1_forbidden_syn_is_dropped)                                                             \
	X(m2_m9_the_isn_is_replaced)                                                               \
	X(m6_one_node_alone)                                                                       \
	X(m7_state_and_synack_come_together)                                                       \
	X(m7_the_confirmed_one_wins)                                                               \
	X(m7_refusal_takes_the_same_way)                                                           \
	X(m7_none)                                                                                 \
	X(m8_no_packet_waits)                                                                      \
	X(the_end_is_known_at_both)                                                                \
	X(t4_1_a_challenge_and_again)                                                              \
	X(a_fin_of_anybody)                                                                        \
	X(t1_10_retransmitted_syn)                                                                 \
	X(t2_9_fast_open)                                                                          \
	X(m11_fast_reincarnation)                                                                  \
	X(t4_1_syn_of_the_next)                                                                    \
	X(icmp_about_the_syn)

TESTS(RUN)

int main(void)
{
#define ENTRY(name) cmocka_unit_test_setup_teardown(test_##name, NULL, NULL),
	const struct CMUnitTest tests[] = {TESTS(ENTRY)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
