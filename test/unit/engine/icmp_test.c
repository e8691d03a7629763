// ICMP errors through the engine (TCP.md 3.2, 5): translated back exactly, or dropped.
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ISN_S  0xfffffffbu
#define L2     14
#define NODE_A 3

#define SYN_OPTIONS                                                                                \
	"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x10\x00\x00\x00\x00\x00\x01\x03\x03\x07"

static const struct packet syn4 = {
	.seq = 0x11112222, .window = 64240, .options = BYTES(SYN_OPTIONS)};
static const struct packet syn6 = {
	.ip6 = true, .seq = 0x11112222, .window = 64240, .options = BYTES(SYN_OPTIONS)};

// A connection with both deltas and a timestamp offset: the server SYN has an m.SYN cookie.
struct connection {
	struct node *node;
	struct handshake handshake;
	uint32_t e;
	bool ip6;
};

static void start(struct connection *c, const struct packet *syn)
{
	struct node *node = node_make();

	node->policy.clustered = true;
	node->policy.node_id = NODE_A;
	node->policy.max_id = 15;
	node_go(node);
	c->node = node;
	c->ip6 = syn->ip6;
	handshake_open(node, &c->handshake, syn);
	c->e = node->sent[0].view.seq - syn->seq;
	assert_int_not_equal(c->e, 0);
}

static void establish(struct connection *c, const struct packet *syn)
{
	start(c, syn);
	handshake_answer(c->node, &c->handshake, ISN_S, (struct bytes)BYTES(SYN_OPTIONS));
	assert_int_equal(c->node->sent_count, 1);
}

// The last packet sent, which lives on when others are.
static struct frame keep(const struct node *node, struct sent *copy)
{
	*copy = node->sent[0];
	copy->frame.data = copy->room + PACKET_HEADROOM_BYTES;
	return copy->frame;
}

// An error that arrives on `port` and quotes the first `bytes` behind the L2 header of `frame`.
static struct packet error_about(const struct connection *c, uint8_t port,
	const struct frame *frame, unsigned bytes, uint8_t *room)
{
	unsigned most = frame->len - L2;

	bytes = bytes < most ? bytes : most;
	memcpy(room, frame->data + L2, bytes);
	return (struct packet){.ip6 = c->ip6,
		.from_server = port == INSIDE,
		.protocol = PROTOCOL_ICMP,
		.type = c->ip6 ? 1 : 3,
		.code = c->ip6 ? 3 : 1,
		.payload = {room, (uint16_t)bytes}};
}

// What the sender of `original` gets back is what it sent, whatever the other side got.
static void check_quote(struct connection *c, uint8_t from, const struct packet *original)
{
	struct node *node = c->node;
	uint8_t room[PACKET_ROOM_BYTES], quoted[2048];
	struct frame before = packet_build(room, original);
	unsigned l4 = L2 + (c->ip6 ? 40 : 20);
	unsigned most = before.len - L2;
	struct sent sent;
	struct frame translated;

	assert_int_equal(node_offer(node, from, original), VERDICT_FORWARD);
	translated = keep(node, &sent);
	for (unsigned bytes = l4 - L2 + 8; bytes <= most; bytes++) {
		struct packet error = error_about(c, !from, &translated, bytes, quoted);

		assert_int_equal(node_offer(node, !from, &error), VERDICT_FORWARD);
		assert_int_equal(node->sent[0].port, from);
		assert_true(packet_good(&node->sent[0].frame));
		const uint8_t *got = node->sent[0].frame.data + node->sent[0].view.payload;
		// Of a quote that is cut, fields that are whole are as sent.
		unsigned exact = bytes == most ? most : l4 - L2 + 8;

		if (bytes >= l4 - L2 + 12)
			assert_memory_equal(got + l4 - L2 + 8, before.data + l4 + 8, 4);
		assert_memory_equal(got, before.data + L2, exact);
	}
}

static void check_family(const struct packet *syn)
{
	struct connection c;
	struct packet packet;

	establish(&c, syn);
	packet = c.handshake.ack;
	packet.flags = TCP_ACK | TCP_PSH;
	packet.payload = (struct bytes)BYTES("GET /");
	check_quote(&c, OUTSIDE, &packet);
	packet = (struct packet){.ip6 = c.ip6,
		.from_server = true,
		.flags = TCP_ACK,
		.seq = ISN_S + 1,
		.ack = syn->seq + 1 + c.e + 5,
		.window = 700,
		.payload = BYTES("answer"),
		.options = BYTES("\x01\x01\x08\x0a\x00\x00\x10\x05\x00\x00\x13\x88")};
	check_quote(&c, INSIDE, &packet);
	assert_true(node_end(c.node));
}

static void t5_1_quotes_are_translated_back(void **state)
{
	(void)state;
	check_family(&syn4);
	check_family(&syn6);
}

static void t5_2_no_state_no_error(void **state)
{
	struct connection c;
	struct packet packet, error;
	uint8_t room[PACKET_ROOM_BYTES], quoted[2048];
	struct frame frame;

	(void)state;
	establish(&c, &syn4);
	packet = c.handshake.ack;
	packet.client_port = 40001;
	frame = packet_build(room, &packet);
	error = error_about(&c, INSIDE, &frame, 28, quoted);
	assert_int_equal(node_offer(c.node, INSIDE, &error), VERDICT_DROP);
	assert_int_equal(c.node->verdict.reason, REASON_no_flow);
	// An error never refreshes: half an hour of them, then the idle time is over.
	packet = c.handshake.ack;
	packet.seq += c.e;
	frame = packet_build(room, &packet);
	error = error_about(&c, INSIDE, &frame, 28, quoted);
	c.node->now_ns += 7400ULL * 1000000000;
	assert_int_equal(node_offer(c.node, INSIDE, &error), VERDICT_FORWARD);
	c.node->now_ns += 42ULL * 1000000000;
	node_turn(c.node);
	assert_int_equal(engine_flow_count(c.node->engine), 0);
	assert_true(node_end(c.node));
}

static void t5_2_bad_checksum(void **state)
{
	struct connection c;
	struct packet error;
	uint8_t room[PACKET_ROOM_BYTES], quoted[2048];
	struct frame frame;

	(void)state;
	establish(&c, &syn6);
	error = error_about(&c, INSIDE, &c.node->sent[0].frame, 60, quoted);
	frame = packet_build(room, &error);
	frame.port = INSIDE;
	frame.data[frame.len - 1] ^= 1;
	assert_int_equal(node_offer_frame(c.node, frame), VERDICT_DROP);
	assert_int_equal(c.node->verdict.reason, REASON_bad_checksum);
	assert_int_equal(engine_flow_count(c.node->engine), 1);
	assert_true(node_end(c.node));
}

static void t5_3_quoted_number_is_checked(void **state)
{
	static const struct {
		uint32_t offset;
		bool good;
	} rows[] = {{0, true}, {0u - 1000000, false}, {100000000, false}, {0x80000000u, false}};
	struct connection c;

	(void)state;
	establish(&c, &syn4);
	// Until a segment of the server came this way nobody knows what the client was granted.
	struct packet data = {.from_server = true,
		.flags = TCP_ACK,
		.seq = ISN_S + 1,
		.ack = syn4.seq + 1 + c.e,
		.window = 700,
		.options = BYTES("\x01\x01\x08\x0a\x00\x00\x10\x05\x00\x00\x13\x88")};

	assert_int_equal(node_offer(c.node, INSIDE, &data), VERDICT_FORWARD);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t room[PACKET_ROOM_BYTES], quoted[2048];
		struct packet packet = c.handshake.ack, error;
		struct frame frame;

		packet.seq += c.e + rows[i].offset;
		frame = packet_build(room, &packet);
		error = error_about(&c, INSIDE, &frame, 28, quoted);
		assert_int_equal(node_offer(c.node, INSIDE, &error),
			rows[i].good ? VERDICT_FORWARD : VERDICT_DROP);
		if (!rows[i].good)
			assert_int_equal(c.node->verdict.reason, REASON_out_of_window);
	}
	assert_int_equal(node_state(c.node, TCP_ESTABLISHED), 1);
	assert_true(node_end(c.node));
}

static void check_mtu(const struct packet *syn, uint32_t mtu, bool good)
{
	struct connection c;
	struct packet error;
	uint8_t quoted[2048];

	establish(&c, syn);
	error = error_about(&c, INSIDE, &c.node->sent[0].frame, 100, quoted);
	error.type = syn->ip6 ? 2 : 3;
	error.code = syn->ip6 ? 0 : 4;
	error.rest = mtu;
	assert_int_equal(node_offer(c.node, INSIDE, &error), good ? VERDICT_FORWARD : VERDICT_DROP);
	if (good)
		assert_int_equal(
			be32_get(c.node->sent[0].frame.data + L2 + (c.ip6 ? 44 : 24)), mtu);
	assert_true(node_end(c.node));
}

static void t5_3_absurd_mtu(void **state)
{
	(void)state;
	check_mtu(&syn4, 67, false);
	check_mtu(&syn4, 68, true);
	check_mtu(&syn4, 1400, true);
	check_mtu(&syn6, 1279, false);
	check_mtu(&syn6, 1280, true);
}

static void check_own_syn(const struct packet *syn, uint8_t type, uint8_t code, bool hard)
{
	struct connection c;
	struct packet error;
	uint8_t quoted[2048];
	struct frame server_syn;
	struct sent kept;

	start(&c, syn);
	server_syn = keep(c.node, &kept);
	error = error_about(&c, INSIDE, &server_syn, 48, quoted);
	error.type = type;
	error.code = code;
	// Not from the side of the server: it cannot have seen our SYN.
	error.from_server = false;
	assert_int_equal(node_offer(c.node, OUTSIDE, &error), VERDICT_DROP);
	error.from_server = true;
	assert_int_equal(node_offer(c.node, INSIDE, &error), VERDICT_CONSUME);
	assert_int_equal(c.node->sent_count, hard ? 1 : 0);
	assert_int_equal(node_remembers(c.node, 1), hard);
	if (hard) {
		assert_int_equal(c.node->sent[0].port, OUTSIDE);
		assert_int_equal(c.node->sent[0].view.tcp_flags, TCP_RST | TCP_ACK);
		assert_int_equal(c.node->sent[0].view.seq, c.handshake.cookie + 1);
		assert_int_equal(node_dropped(c.node, REASON_server_refused), 1);
	}
	assert_true(node_end(c.node));
}

static void t3_2_error_about_our_syn(void **state)
{
	(void)state;
	check_own_syn(&syn4, 3, 3, true);
	check_own_syn(&syn4, 3, 2, true);
	check_own_syn(&syn4, 3, 1, false);
	check_own_syn(&syn4, 11, 0, false);
	check_own_syn(&syn6, 1, 4, true);
	check_own_syn(&syn6, 1, 0, false);
	check_own_syn(&syn6, 3, 0, false);
}

// The mirror image: an error from the outside that quotes a packet of the server to the client
// with the number of our SYN tells nothing about it.
static void t3_2_error_from_the_wrong_side(void **state)
{
	struct connection c;
	struct packet packet, error;
	uint8_t room[PACKET_ROOM_BYTES], quoted[2048];
	struct frame frame;

	(void)state;
	start(&c, &syn4);
	packet = (struct packet){
		.from_server = true, .flags = TCP_ACK, .seq = c.node->sent[0].view.seq};
	frame = packet_build(room, &packet);
	error = error_about(&c, OUTSIDE, &frame, 28, quoted);
	error.code = 3;
	assert_int_equal(node_offer(c.node, OUTSIDE, &error), VERDICT_DROP);
	assert_int_equal(engine_flow_count(c.node->engine), 1);
	assert_true(node_end(c.node));
}

static void link_local_is_the_wires(void **state)
{
	static const struct {
		uint8_t type, ttl;
		bool passes;
	} rows[] = {{133, 255, true}, {134, 255, true}, {135, 255, true}, {136, 255, true},
		{137, 255, true}, {135, 254, false}, {136, 64, false}, {130, 1, true},
		{131, 1, true}, {132, 1, true}, {143, 1, true}, {143, 2, false}, {128, 255, false}};
	struct node *node = node_make();

	(void)state;
	node->rows[2].action = RULE_DENY;
	node_go(node);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet packet = {.ip6 = true,
			.protocol = PROTOCOL_ICMP,
			.type = rows[i].type,
			.ttl = rows[i].ttl,
			.payload = BYTES("0123456789abcdef")};

		assert_int_equal(node_offer(node, OUTSIDE, &packet),
			rows[i].passes ? VERDICT_FORWARD : VERDICT_DROP);
	}
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_true(node_end(node));
}

static void udp_error_passes_for_a_flow(void **state)
{
	struct connection c = {.node = node_make()};
	struct packet query = {
		.from_server = true, .protocol = PROTOCOL_UDP, .payload = BYTES("q")};
	struct packet error;
	uint8_t quoted[2048];
	struct sent kept;
	struct frame frame;

	(void)state;
	node_go(c.node);
	node_offer(c.node, INSIDE, &query);
	frame = keep(c.node, &kept);
	error = error_about(&c, OUTSIDE, &frame, 28, quoted);
	assert_int_equal(node_offer(c.node, OUTSIDE, &error), VERDICT_FORWARD);
	quoted[21]++; // another source port
	assert_int_equal(node_offer(c.node, OUTSIDE, &error), VERDICT_DROP);
	assert_true(node_end(c.node));
}

// What is dropped is dropped in silence: no ICMP of our own, whatever arrives.
static void t5_5_no_icmp_is_generated(void **state)
{
	struct node *node = node_make();
	static uint8_t data[1400];
	struct packet packets[] = {
		{.protocol = PROTOCOL_UDP, .payload = {data, sizeof(data)}},   // too big
		{.protocol = PROTOCOL_UDP, .server = "203.0.113.9"},	       // denied
		{.flags = TCP_ACK, .server = "203.0.113.9"},		       // nobody's
		{.ttl = 1, .protocol = PROTOCOL_UDP, .server = "203.0.113.9"}, // at its last hop
		{.protocol = PROTOCOL_UDP,
			.fragment_offset = 8,
			.no_upper = true,
			.payload = {data, 16}},
	};

	(void)state;
	node->config.ports[INSIDE].mtu = 1000;
	node_go(node);
	for (unsigned i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		assert_int_equal(node_offer(node, OUTSIDE, &packets[i]), VERDICT_DROP);
		assert_int_equal(node->sent_count, 0);
	}
	assert_int_equal(counter_get(&engine_stats(node->engine)->generated), 0);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t5_1_quotes_are_translated_back),
		cmocka_unit_test(t5_2_no_state_no_error),
		cmocka_unit_test(t5_2_bad_checksum),
		cmocka_unit_test(t5_3_quoted_number_is_checked),
		cmocka_unit_test(t5_3_absurd_mtu),
		cmocka_unit_test(t5_5_no_icmp_is_generated),
		cmocka_unit_test(t3_2_error_about_our_syn),
		cmocka_unit_test(t3_2_error_from_the_wrong_side),
		cmocka_unit_test(link_local_is_the_wires),
		cmocka_unit_test(udp_error_passes_for_a_flow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
