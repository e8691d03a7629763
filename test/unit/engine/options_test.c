// TCP options and windows through the engine (TCP.md 2.2-2.13).
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MSS	"\x02\x04\x05\xb4"
#define SACK_OK "\x04\x02"
#define TS	"\x08\x0a\x00\x00\x10\x00\x00\x00\x00\x00"
#define WSCALE7 "\x01\x03\x03\x07"
#define ECN	(TCP_ECE | TCP_CWR)
#define ISN_S	5000u
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

static struct node *new_node(void)
{
	struct node *node = node_make();

	node_go(node);
	return node;
}

// Like handshake_open(), for a SYN with flags of its own; the options of `ack` are the caller's.
static void open_with(struct node *node, struct handshake *handshake, const struct packet *syn)
{
	handshake_open(node, handshake, syn);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, INSIDE);
}

static struct packet data_from_client(const struct handshake *handshake)
{
	struct packet packet = handshake->ack;

	packet.payload = (struct bytes)BYTES("data");
	return packet;
}

static struct packet data_from_server(const struct handshake *handshake)
{
	return (struct packet){.ip6 = handshake->syn.ip6,
		.from_server = true,
		.flags = TCP_ACK,
		.seq = ISN_S + 1,
		.ack = handshake->syn.seq + 1,
		.window = 100,
		.payload = BYTES("data")};
}

// MSS: to the server rounded down to the table, never up; absent is the family's default.
static void t2_2_mss_to_server(void **state)
{
	static const struct {
		bool ip6;
		struct bytes options;
		uint16_t mss;
	} rows[] = {
		{false, BYTES(""), 536},
		{true, BYTES(""), 1220},
		{false, BYTES("\x02\x04\x00\x00"), 536},
		{false, BYTES("\x02\x04\x05\xb4"), 1460},
		{false, BYTES("\x02\x04\x05\xb3"), 1360},
		{false, BYTES("\x02\x04\x00\x30"), 216},
		{false, BYTES("\x02\x04\xff\xff"), 1460},
		{true, BYTES("\x02\x04\xff\xff"), 1440},
		{true, BYTES("\x02\x04\x05\xa0"), 1440},
		// With timestamps there are more entries, jumbo frames among them: clamped to the
		// ports' MTU.
		{false, BYTES("\x02\x04\x22\xf0" TS), 1460},
		{true, BYTES("\x02\x04\x22\xf0" TS), 1440},
		{false, BYTES("\x02\x04\x05\x78" TS), 1400},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *node = new_node();
		struct handshake handshake;
		struct packet syn = {
			.ip6 = rows[i].ip6, .options = rows[i].options, .window = 1000};

		open_with(node, &handshake, &syn);
		if (node->sent[0].options.mss != rows[i].mss)
			fail_msg("row %u: %u", i, node->sent[0].options.mss);
		assert_true(node_end(node));
	}
}

// What we announce fits through both ports, whatever the service says.
static void t2_2_mss_to_client(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		for (unsigned small = 0; small < 3; small++) {
			struct node *node = node_make();
			struct packet syn = {.ip6 = ip6,
				.flags = TCP_SYN,
				.options = BYTES(MSS TS),
				.window = 1000};
			struct handshake handshake;
			unsigned mtu = small == 0 ? 1500 : 1400;

			if (small > 0)
				node->config.ports[small - 1].mtu = 1400;
			node->announced.mss = 9000;
			node_go(node);
			node_offer(node, OUTSIDE, &syn);
			assert_int_equal(node->sent[0].options.mss, mtu - (ip6 ? 60 : 40));
			handshake_open(node, &handshake, &syn);
			assert_true(node->sent[0].options.mss <= mtu - (ip6 ? 60 : 40));
			assert_true(node_end(node));
		}
	}
}

// Shift 0, absent, 14, 15 and 255 are different things (TCP.md 10).
static void t2_3_wscale(void **state)
{
	static const struct {
		struct bytes options;
		uint8_t shift;
	} rows[] = {{BYTES(""), OPTIONS_WSCALE_NONE}, {BYTES("\x03\x03\x00"), 0},
		{BYTES("\x03\x03\x01"), 1}, {BYTES("\x03\x03\x0e"), 14},
		{BYTES("\x03\x03\x0f"), 14}, {BYTES("\x03\x03\xff"), 14}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *node = new_node();
		struct handshake handshake;
		struct packet syn = {.options = rows[i].options, .window = 1000};
		bool offered = rows[i].shift != OPTIONS_WSCALE_NONE;

		open_with(node, &handshake, &syn);
		assert_int_equal((handshake.synack.options.bits & OPTION_WSCALE) != 0, offered);
		assert_int_equal((node->sent[0].options.bits & OPTION_WSCALE) != 0, offered);
		assert_int_equal(node->sent[0].options.wscale, rows[i].shift);
		// A SYN's window is not scaled: the ACK's is, by the client's shift.
		assert_int_equal(node->sent[0].view.window,
			offered && rows[i].shift == 14 ? 65535
						       : 1000u << (offered ? rows[i].shift : 0));
		assert_true(node_end(node));
	}
}

// The client was promised a shift the server lacks.
static void t2_13_wscale_missing(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = {.options = BYTES(WSCALE7), .window = 1000}, packet;

	(void)state;
	open_with(node, &handshake, &syn);
	handshake_answer(node, &handshake, ISN_S, NONE);
	packet = data_from_client(&handshake);
	packet.window = 100;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].view.window, 100 << 7);
	packet.window = 600; // more than 16 bits
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].view.window, 65535);
	packet.window = 0;
	node_offer(node, OUTSIDE, &packet);
	assert_int_equal(node->sent[0].view.window, 0);
	// The other way the announced shift is undone; a window stays a window (TCP.md 2.4).
	packet = data_from_server(&handshake);
	packet.window = 12800;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].view.window, 100);
	packet.window = 1;
	node_offer(node, INSIDE, &packet);
	assert_int_equal(node->sent[0].view.window, 1);
	packet.window = 0;
	node_offer(node, INSIDE, &packet);
	assert_int_equal(node->sent[0].view.window, 0);
	assert_true(packet_good(&node->sent[0].frame));
	assert_true(node_end(node));
}

static void check_sack(bool server_has)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = {.options = BYTES(SACK_OK MSS), .window = 1000}, packet;
	uint8_t options[12] = {1, 1, 5, 10};

	open_with(node, &handshake, &syn);
	handshake_answer(node, &handshake, ISN_S,
		server_has ? (struct bytes)BYTES(SACK_OK MSS) : (struct bytes)BYTES(MSS));
	packet = data_from_server(&handshake);
	node_offer(node, INSIDE, &packet);
	be32_put(options + 4, handshake.cookie + 2);
	be32_put(options + 8, handshake.cookie + 5);
	packet = data_from_client(&handshake);
	packet.options = (struct bytes){options, 12};
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal((node->sent[0].options.bits & OPTION_SACK) != 0, server_has);
	assert_int_equal(node->sent[0].view.payload - node->sent[0].view.l4, 32);
	if (server_has) {
		const uint8_t *at = node->sent[0].frame.data + node->sent[0].options.sack_at;

		assert_int_equal(be32_get(at), ISN_S + 2);
		assert_int_equal(be32_get(at + 4), ISN_S + 5);
	}
	assert_true(packet_good(&node->sent[0].frame));
	assert_true(node_end(node));
}

static void t2_5_sack_stripped_where_the_server_lacks_it(void **state)
{
	(void)state;
	check_sack(true);
	check_sack(false);
}

// The server's clock may be anywhere: the client sees one that never goes back, and on the way to
// the server its echo is what the server sent.
static void t2_7_timestamps(void **state)
{
	static const uint32_t clocks[] = {0, 1, 0x7fffffff, 0x80000000u, 0xffffffffu};

	(void)state;
	for (unsigned i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		struct node *node = new_node();
		struct handshake handshake;
		struct packet syn = {.options = BYTES(TS MSS), .window = 1000}, packet;
		uint8_t options[12] = {1, 1, 8, 10}, synack[12] = {1, 1, 8, 10};
		uint32_t announced;

		open_with(node, &handshake, &syn);
		announced = handshake.synack.options.tsval;
		be32_put(synack + 4, clocks[i]);
		be32_put(synack + 8, 5000);
		handshake_answer(node, &handshake, ISN_S, (struct bytes){synack, 12});
		assert_int_equal(node->sent[0].options.tsecr, clocks[i]);
		assert_int_equal(node->sent[0].options.tsval, 5000);
		for (uint32_t later = 0; later < 3; later++) {
			be32_put(options + 4, clocks[i] + later);
			be32_put(options + 8, 5000);
			packet = data_from_server(&handshake);
			packet.options = (struct bytes){options, 12};
			assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
			assert_int_equal(node->sent[0].options.tsval, announced + later);
			assert_int_equal(node->sent[0].options.tsecr, 5000);
		}
		assert_true(node_end(node));
	}
}

static void check_ecn(uint8_t syn_flags, bool ae, bool timestamps, bool agreed)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = {.flags = syn_flags,
		.ae = ae,
		.window = 1000,
		.options = timestamps ? (struct bytes)BYTES(TS MSS) : (struct bytes)BYTES(MSS)};

	handshake_open(node, &handshake, &syn);
	assert_int_equal(handshake.synack.view.tcp_flags & ECN, agreed ? TCP_ECE : 0);
	assert_int_equal(handshake.synack.view.tcp_ae, 0);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN | (agreed ? ECN : 0));
	assert_int_equal(node->sent[0].view.tcp_ae, 0);
	assert_true(node_end(node));
}

static void t2_8_ecn_setup(void **state)
{
	(void)state;
	check_ecn(0, false, true, false);
	check_ecn(ECN, false, true, true);
	check_ecn(ECN, false, false, false); // no bit for it without timestamps
	check_ecn(TCP_ECE, false, true, false);
	check_ecn(TCP_CWR, false, true, false);
	check_ecn(ECN, true, true, true); // AccECN is answered as classic ECN, never as 111
	check_ecn(0, true, true, false);
}

// The server turned out to lack ECN: its peer's packets must not claim to be capable.
static void t2_8_ecn_mismatch(void **state)
{
	(void)state;
	for (unsigned has = 0; has < 2; has++) {
		struct node *node = new_node();
		struct handshake handshake;
		struct packet syn = {.flags = ECN, .window = 1000, .options = BYTES(TS MSS)},
			      packet;

		handshake_open(node, &handshake, &syn);
		packet = syn;
		packet.from_server = true;
		packet.flags = (uint8_t)(TCP_SYN | TCP_ACK | (has ? TCP_ECE : 0));
		packet.seq = ISN_S;
		packet.ack = syn.seq + 1;
		node_offer(node, INSIDE, &packet);
		packet = data_from_client(&handshake);
		packet.tos = 0x02; // ECT(0)
		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
		assert_int_equal(node->sent[0].frame.data[15], has ? 0x02 : 0);
		assert_true(packet_good(&node->sent[0].frame));
		assert_true(node_end(node));
	}
}

// Fast open, MPTCP, signatures, experiments and what is unknown never reach the server's SYN or our
// SYN/ACK; the data of the SYN neither.
static void t2_9_t2_10_t2_12_unknown_kinds(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = {.window = 1000,
		.options = BYTES(MSS "\x22\x0a\x01\x02\x03\x04\x05\x06\x07\x08"
				     "\x1e\x0c\x00\x81\x01\x02\x03\x04\x05\x06\x07\x08"
				     "\xfe\x04\xe2\xd4"),
		.payload = BYTES("fast open")};

	(void)state;
	handshake_open(node, &handshake, &syn);
	assert_int_equal(handshake.synack.options.bits, OPTION_MSS);
	assert_int_equal(handshake.synack.view.payload - handshake.synack.view.l4, 24);
	assert_int_equal(handshake.synack.view.ack, syn.seq + 1);
	assert_int_equal(node->sent[0].options.bits, OPTION_MSS);
	assert_int_equal(node->sent[0].view.payload - node->sent[0].view.l4, 24);
	assert_int_equal(view_payload_len(&node->sent[0].view), 0);
	assert_true(node_end(node));
}

// A rule marked `signed`: stateful pass-through, not a byte changed.
static void t2_11_signed_is_tracked(void **state)
{
	static const char signature[] = "\x13\x12"
					"0123456789abcdef";
	struct node *node = node_make();
	struct packet packet = {
		.flags = TCP_SYN, .seq = 1000, .window = 1000, .options = BYTES(signature)};
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame;

	(void)state;
	node->rows[0].is_signed = true;
	node_go(node);
	for (unsigned i = 0; i < 4; i++) {
		frame = packet_build(room, &packet);
		assert_int_equal(
			node_offer(node, i % 2 ? INSIDE : OUTSIDE, &packet), VERDICT_FORWARD);
		assert_int_equal(node->sent[0].frame.len, frame.len);
		assert_memory_equal(node->sent[0].frame.data, frame.data, frame.len);
		packet.from_server = !packet.from_server;
		packet.flags = i == 0 ? TCP_SYN | TCP_ACK : TCP_ACK;
		packet.seq = i == 0 ? ISN_S : packet.ack;
		packet.ack = i == 0 ? 1001 : i == 1 ? ISN_S + 1 : 1001;
	}
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	assert_true(node_end(node));
}

static void t2_1_malformed_options(void **state)
{
	static const struct bytes rows[] = {BYTES("\x02\x00\x05\xb4"), BYTES("\x02\x01\x05\xb4"),
		BYTES("\x02\x05\x05\xb4"), BYTES("\x02\xff\x05\xb4"), BYTES("\x01\x01\x01\x02"),
		BYTES("\x01\x01\x01\xfe"), BYTES("\x03\x04\x07\x00"), BYTES("\x04\x03\x00\x00")};
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet syn = {.flags = TCP_SYN, .options = rows[i], .window = 1000};

		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_bad_option);
	}
	assert_true(node_end(node));
}

// The server's SYN/ACK is lost on our ACK's way: the owner repeats the ACK, with no more window
// than the client gave (TCP.md 3.6).
static void t3_6_reack_window(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = {.options = BYTES(MSS WSCALE7), .window = 1000}, packet, first;

	(void)state;
	open_with(node, &handshake, &syn);
	first = syn;
	first.from_server = true;
	first.flags = TCP_SYN | TCP_ACK;
	first.seq = ISN_S;
	first.ack = syn.seq + 1;
	first.window = 65000;
	node_offer(node, INSIDE, &first);
	packet = data_from_client(&handshake);
	packet.window = 50;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node_offer(node, INSIDE, &first), VERDICT_REPLY);
	assert_int_equal(node->sent[0].view.seq, syn.seq + 1 + 4);
	assert_int_equal(node->sent[0].view.ack, ISN_S + 1);
	assert_in_range(node->sent[0].view.window, 1, 1000); // the proving ACK said 1000
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t2_1_malformed_options),
		cmocka_unit_test(t2_2_mss_to_server),
		cmocka_unit_test(t2_2_mss_to_client),
		cmocka_unit_test(t2_3_wscale),
		cmocka_unit_test(t2_5_sack_stripped_where_the_server_lacks_it),
		cmocka_unit_test(t2_7_timestamps),
		cmocka_unit_test(t2_8_ecn_setup),
		cmocka_unit_test(t2_8_ecn_mismatch),
		cmocka_unit_test(t2_9_t2_10_t2_12_unknown_kinds),
		cmocka_unit_test(t2_11_signed_is_tracked),
		cmocka_unit_test(t2_13_wscale_missing),
		cmocka_unit_test(t3_6_reack_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
