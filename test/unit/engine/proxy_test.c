// The SYN proxy on one node. Proves: P1, P2, P3, P4 (without remote nodes).
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
#define ISN_S	5u

static const struct packet plain_syn = {.seq = 0xfffffff0u, .window = 64240};
static const struct packet full_syn = {
	.seq = 0xfffffff0u, .window = 64240, .options = BYTES(MSS SACK_OK TS WSCALE7)};
static const struct packet full_syn6 = {
	.ip6 = true, .seq = 0xfffffff0u, .window = 64240, .options = BYTES(MSS SACK_OK TS WSCALE7)};

static uint64_t count(const counter *c)
{
	return counter_get(c);
}

// The server's SYN/ACK to the server SYN in node->sent[0].
static struct packet synack_for(const struct sent *syn, bool ip6, struct bytes options)
{
	return (struct packet){.ip6 = ip6,
		.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = ISN_S,
		.ack = syn->view.seq + 1,
		.window = 65000,
		.options = options};
}

static void t1_2_synack_answers(void **state)
{
	struct node *node = node_make();
	struct packet syn = full_syn;

	(void)state;
	node_go(node);
	syn.flags = TCP_SYN;
	syn.payload = (struct bytes)BYTES("data in a SYN is not acknowledged");
	assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN | TCP_ACK);
	assert_int_equal(node->sent[0].view.ack, syn.seq + 1);
	assert_int_equal(node->sent[0].view.sport, 80);
	assert_int_equal(node->sent[0].view.window, 16384);
	assert_int_equal(view_payload_len(&node->sent[0].view), 0);
	assert_true(packet_good(&node->sent[0].frame));
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_int_equal(engine_queued_bytes(node->engine), 0);
	assert_true(node_end(node));
}

// Only what was offered is answered (TCP.md 2.2, 2.3, 10), and never more bytes than came.
static void t2_2_options_only_if_offered(void **state)
{
	static const struct {
		struct bytes offered;
		unsigned bits;
	} rows[] = {
		{BYTES(""), 0},
		{BYTES(MSS), OPTION_MSS},
		{BYTES(SACK_OK), OPTION_SACK_OK},
		{BYTES(TS), OPTION_TIMESTAMPS},
		{BYTES(WSCALE7), OPTION_WSCALE},
		{BYTES("\x03\x03\x00"), OPTION_WSCALE},
		{BYTES(MSS SACK_OK TS WSCALE7),
			OPTION_MSS | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_WSCALE},
		// Fast open, MPTCP, experiments, MD5: none comes back.
		{BYTES(MSS "\x22\x02\x1e\x0c\x00\x81\x01\x02\x03\x04\x05\x06\x07\x08\xfe\x04\xe2"
			   "\xd4"),
			OPTION_MSS},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *node = node_make();
		struct packet syn = plain_syn;
		uint8_t room[PACKET_ROOM_BYTES];

		node_go(node);
		syn.flags = TCP_SYN;
		syn.options = rows[i].offered;
		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
		assert_int_equal(node->sent[0].options.bits, rows[i].bits);
		assert_true(node->sent[0].frame.len <= packet_build(room, &syn).len);
		assert_true(node_end(node));
	}
}

static void p1_syn_flood_creates_nothing(void **state)
{
	struct node *node = node_make();
	struct packet syn = full_syn;

	(void)state;
	node_go(node);
	syn.flags = TCP_SYN;
	for (unsigned i = 0; i < 20000; i++) {
		syn.client_port = (uint16_t)(1 + i);
		syn.seq = i * 2654435761u;
		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
		assert_int_equal(node->sent[0].port, OUTSIDE);
	}
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_int_equal(count(&engine_stats(node->engine)->flows_created), 0);
	assert_int_equal(count(&engine_service_stats(node->engine, 0)->server_syn), 0);
	assert_true(node_end(node));
}

static void p2_p3_ack_is_queued_and_syn_sent(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	const struct sent *syn = &node->sent[0];

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(syn->port, INSIDE);
	assert_int_equal(syn->view.tcp_flags, TCP_SYN);
	assert_int_equal(syn->view.seq, full_syn.seq);
	assert_int_equal(syn->view.sport, 40000);
	assert_int_equal(
		syn->options.bits, OPTION_MSS | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_WSCALE);
	assert_int_equal(syn->options.mss, 1460);
	assert_int_equal(syn->options.wscale, 7);
	assert_int_equal(syn->options.tsval, 5000);
	assert_int_equal(syn->options.tsecr, 0);
	assert_true(packet_good(&syn->frame));
	assert_int_equal(count(&engine_stats(node->engine)->queued), 1);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_true(node_end(node));
}

static void check_both_ways(const struct packet *first)
{
	static const char server_ts[] = "\x01\x01\x08\x0a\x80\x00\x00\x01\x00\x00\x13\x88";
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;
	uint32_t d, offset;
	uint8_t request_options[12];

	node_go(node);
	handshake_open(node, &handshake, first);
	packet = synack_for(&node->sent[0], first->ip6,
		(struct bytes)BYTES(MSS SACK_OK "\x08\x0a\x80\x00\x00\x00\x00\x00\x13\x88"
						"\x01\x03\x03\x0a"));
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_CONSUME);
	// The queued ACK completes the server's handshake: translated, with the server's clock.
	assert_int_equal(node->sent_count, 1);
	d = handshake.cookie - ISN_S;
	offset = handshake.synack.options.tsval - 0x80000000u;
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_int_equal(node->sent[0].view.seq, first->seq + 1);
	assert_int_equal(node->sent[0].view.ack, ISN_S + 1);
	assert_int_equal(node->sent[0].options.tsecr, 0x80000000u);
	assert_true(packet_good(&node->sent[0].frame));
	// A request.
	packet = handshake.ack;
	packet.flags = TCP_ACK | TCP_PSH;
	packet.window = 500;
	packet.payload = (struct bytes)BYTES("GET / HTTP/1.1\r\n\r\n");
	memcpy(request_options, handshake.ack_options, 12);
	packet.options = (struct bytes){request_options, 12};
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].view.ack, handshake.ack.ack - d);
	assert_int_equal(node->sent[0].options.tsecr, handshake.synack.options.tsval - offset);
	assert_true(packet_good(&node->sent[0].frame));
	// The answer: numbers, clock and window as the client knows them.
	packet = (struct packet){.ip6 = first->ip6,
		.from_server = true,
		.flags = TCP_ACK | TCP_PSH,
		.seq = ISN_S + 1,
		.ack = first->seq + 1 + 18,
		.window = 100,
		.payload = BYTES("HTTP/1.1 200 OK\r\n"),
		.options = BYTES(server_ts)};
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	assert_int_equal(node->sent[0].view.seq, handshake.cookie + 1);
	assert_int_equal(node->sent[0].view.ack, first->seq + 1 + 18);
	assert_int_equal(node->sent[0].options.tsval, handshake.synack.options.tsval + 1);
	assert_int_equal(node->sent[0].view.window, (100u << 10) >> 7);
	assert_true(packet_good(&node->sent[0].frame));
	assert_int_equal(node_dropped_all(node), 0);
	assert_true(node_end(node));
}

static void p4_translated_both_ways(void **state)
{
	(void)state;
	check_both_ways(&full_syn);
	check_both_ways(&full_syn6);
}

static void t1_3_data_is_the_proof(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node_go(node);
	// The bare ACK is lost: the first segment seen carries data.
	packet = plain_syn;
	packet.flags = TCP_SYN;
	node_offer(node, OUTSIDE, &packet);
	handshake.cookie = node->sent[0].view.seq;
	packet.flags = TCP_ACK | TCP_PSH;
	packet.ack = handshake.cookie + 1;
	packet.payload = (struct bytes)BYTES("first data");
	// The first data segment is lost too: nothing can be proved, nothing is reset.
	packet.seq = plain_syn.seq + 1 + 1000;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_bad_cookie);
	packet.seq = plain_syn.seq + 1;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN);
	assert_true(node_end(node));
}

static void t1_3_keep_alive_is_a_proof(void **state)
{
	struct node *node = node_make();
	struct packet packet = plain_syn;

	(void)state;
	node_go(node);
	packet.flags = TCP_SYN;
	node_offer(node, OUTSIDE, &packet);
	packet.flags = TCP_ACK;
	packet.ack = node->sent[0].view.seq + 1;
	packet.payload = (struct bytes)BYTES("x");
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	packet.payload = (struct bytes)BYTES("xy");
	packet.client_port = 40001;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_DROP);
	assert_true(node_end(node));
}

static void t1_7_replay_makes_one_server_syn(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	for (unsigned i = 0; i < 100; i++)
		node_offer(node, OUTSIDE, &handshake.ack);
	assert_int_equal(count(&engine_service_stats(node->engine, 0)->server_syn), 1);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_true(node_end(node));
}

// A lost final ACK of a client whose server speaks first is lost for good: there is nothing to
// resend a SYN/ACK from, which is the point of the cookie (TCP.md 1.9).
static void t1_9_no_half_open_cache(void **state)
{
	struct node *node = node_make();
	struct packet syn = full_syn;

	(void)state;
	node_go(node);
	syn.flags = TCP_SYN;
	assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
	node_pass_ms(node, 10000);
	assert_int_equal(node->sent_count, 0);
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_true(node_end(node));
}

static void t3_1_retries_then_reset(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct sent first;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	first = node->sent[0];
	node_pass_ms(node, 900);
	assert_int_equal(node->sent_count, 0);
	node_pass_ms(node, 200); // 1.1 s
	assert_int_equal(node->sent_count, 1);
	assert_memory_equal(node->sent[0].frame.data, first.frame.data, first.frame.len);
	node_pass_ms(node, 2000); // 3.1 s
	assert_int_equal(node->sent_count, 1);
	node_pass_ms(node, 4000); // 7.1 s
	assert_int_equal(node->sent_count, 1);
	node_pass_ms(node, 7500);
	assert_int_equal(node->sent_count, 0);
	node_pass_ms(node, 1000); // 15.6 s
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST | TCP_ACK);
	assert_int_equal(node->sent[0].view.seq, handshake.cookie + 1);
	assert_int_equal(node->sent[0].view.ack, full_syn.seq + 1);
	assert_true(node_remembers(node, 1));
	assert_int_equal(node_dropped(node, REASON_server_timeout), 1);
	assert_int_equal(count(&engine_service_stats(node->engine, 0)->server_timeout), 1);
	assert_int_equal(count(&engine_service_stats(node->engine, 0)->server_syn), 4);
	assert_true(node_end(node));
}

static void t3_2_refusal_reaches_the_client(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet reset = {.from_server = true, .flags = TCP_RST | TCP_ACK};

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	reset.ack = node->sent[0].view.seq + 2;
	assert_int_equal(node_offer(node, INSIDE, &reset), VERDICT_DROP); // not exact
	assert_int_equal(node->verdict.reason, REASON_out_of_window);
	reset.ack = full_syn.seq + 1;
	assert_int_equal(node_offer(node, INSIDE, &reset), VERDICT_CONSUME);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	assert_true(node->sent[0].view.tcp_flags & TCP_RST);
	assert_int_equal(node->sent[0].view.seq, handshake.cookie + 1);
	assert_true(node_remembers(node, 1));
	assert_int_equal(count(&engine_service_stats(node->engine, 0)->server_refused), 1);
	assert_true(node_end(node));
}

// The server still has the connection in TIME-WAIT: it answers a plain ACK. The owner resets it as
// the client would, and asks again at once.
static void t3_2_old_connection_at_the_server(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet old = {.from_server = true, .flags = TCP_ACK, .seq = 777, .ack = 888};

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	assert_int_equal(node_offer(node, INSIDE, &old), VERDICT_REPLY);
	assert_int_equal(node->sent_count, 2);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(node->sent[0].view.seq, 888);
	assert_int_equal(node->sent[1].view.tcp_flags, TCP_SYN);
	assert_int_equal(node->sent[1].view.seq, full_syn.seq);
	assert_true(node_end(node));
}

// Resets may be lost: each answer is reset, but the SYN goes out at once three times only.
static void t3_2_old_connection_that_stays(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet old = {.from_server = true, .flags = TCP_ACK, .seq = 777, .ack = 888};

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(node_offer(node, INSIDE, &old), VERDICT_REPLY);
		assert_int_equal(node->sent_count, 2);
	}
	assert_int_equal(node_offer(node, INSIDE, &old), VERDICT_REPLY);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(node->sent[0].view.seq, 888);
	assert_true(node_end(node));
}

static void t3_3_wrong_synack_is_reset(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	packet = synack_for(&node->sent[0], false, (struct bytes){0});
	packet.ack += 5;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_REPLY);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(node->sent[0].view.seq, packet.ack);
	assert_true(node_end(node));
}

static void t3_5_queue_in_order_and_bounded(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;
	static uint8_t data[1000];
	unsigned queued = 0;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &plain_syn);
	packet = synack_for(&node->sent[0], false, (struct bytes){0});
	struct packet segment = handshake.ack;

	segment.payload = (struct bytes){data, sizeof(data)};
	for (unsigned i = 0; i < 20; i++) {
		segment.seq = handshake.ack.seq + i * 1000;
		if (node_offer(node, OUTSIDE, &segment) == VERDICT_CONSUME)
			queued++;
		else
			assert_int_equal(node->verdict.reason, REASON_queue_full);
	}
	assert_int_equal(queued, 16);	 // 16384 bytes of window
	segment.seq = handshake.ack.seq; // a retransmission collapses
	assert_int_equal(node_offer(node, OUTSIDE, &segment), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_queue_replaced);
	node->lend = 4; // fewer buffers than segments: the rest leaves in later turns, in order
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_CONSUME);
	while (node->sent_count < 17)
		node_turn(node);
	assert_int_equal(view_payload_len(&node->sent[0].view), 0);
	for (unsigned i = 1; i < 17; i++) {
		assert_int_equal(node->sent[i].view.seq, handshake.ack.seq + (i - 1) * 1000);
		assert_int_equal(node->sent[i].view.ack, ISN_S + 1);
		assert_true(packet_good(&node->sent[i].frame));
	}
	assert_int_equal(engine_queued_bytes(node->engine), 0);
	assert_true(node_end(node));
}

static void t3_5_client_reset_empties_the_queue(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet reset;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	reset = handshake.ack;
	reset.flags = TCP_RST;
	reset.seq = full_syn.seq + 100;
	assert_int_equal(node_offer(node, OUTSIDE, &reset), VERDICT_DROP); // blind
	assert_int_equal(engine_flow_count(node->engine), 1);
	reset.seq = full_syn.seq + 1;
	assert_int_equal(node_offer(node, OUTSIDE, &reset), VERDICT_CONSUME);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(node->sent[0].view.seq, full_syn.seq + 1);
	assert_true(node_remembers(node, 1));
	assert_int_equal(node_dropped(node, REASON_client_reset), 1);
	assert_true(node_end(node));
}

// The client sent its request, then gave up: its reset stands behind what is queued.
static void t3_5_reset_behind_the_queue(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	packet = handshake.ack;
	packet.payload = (struct bytes)BYTES("a request");
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	packet.payload = (struct bytes){0};
	packet.flags = TCP_RST;
	packet.seq += 10;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_DROP); // one too far
	packet.seq -= 1;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	assert_true(node_remembers(node, 1));
	assert_int_equal(node_dropped(node, REASON_client_reset), 2);
	assert_true(node_end(node));
}

static void t3_6_repeated_synack_is_reacked(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	packet = synack_for(&node->sent[0], false, (struct bytes)BYTES(MSS SACK_OK TS WSCALE7));
	node_offer(node, INSIDE, &packet);
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_REPLY);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_ACK);
	assert_int_equal(node->sent[0].view.seq, full_syn.seq + 1);
	assert_int_equal(node->sent[0].view.ack, ISN_S + 1);
	assert_true(node->sent[0].options.bits & OPTION_TIMESTAMPS);
	assert_true(packet_good(&node->sent[0].frame));
	assert_true(node_end(node));
}

static void t3_9_new_incarnation(void **state)
{
	struct node *node = node_make();
	struct handshake first, second;
	struct packet packet, syn = full_syn;

	(void)state;
	node_go(node);
	handshake_open(node, &first, &full_syn);
	packet = synack_for(&node->sent[0], false, (struct bytes)BYTES(MSS SACK_OK TS WSCALE7));
	node_offer(node, INSIDE, &packet);
	// The client forgot the connection and opens another one from the same port.
	syn.seq = 0x12345678;
	handshake_open(node, &second, &syn);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN);
	// Until the server confirms, the old connection still passes.
	packet = first.ack;
	packet.payload = (struct bytes)BYTES("old");
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	packet = (struct packet){.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = 4000,
		.ack = syn.seq + 1,
		.window = 1000,
		.options = BYTES(MSS SACK_OK TS WSCALE7)};
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_CONSUME);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].view.ack, 4001);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_true(node_end(node));
}

// Promised timestamps that the server lacks: both sides are reset (TCP.md 2.13).
static void t2_13_timestamps_missing(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	packet = synack_for(&node->sent[0], false, (struct bytes)BYTES(MSS));
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_REPLY);
	assert_int_equal(node->sent_count, 2);
	assert_true(node->sent[0].view.tcp_flags & TCP_RST);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_true(node->sent[1].view.tcp_flags & TCP_RST);
	assert_int_equal(node->sent[1].port, OUTSIDE);
	assert_true(node_remembers(node, 1));
	assert_true(node_end(node));
}

// While the profile is a guess, the first server SYN asks for everything; what the client was not
// promised is then asked away again, and the message tells what was learnt.
static void t2_13_profile_is_learnt(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node->services[0].learn = true;
	node->announced = (struct profile){.mss = 1460, .wscale = 7, .sack = true};
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	assert_false(handshake.synack.options.bits & OPTION_TIMESTAMPS);
	assert_true(node->sent[0].options.bits & OPTION_TIMESTAMPS);
	packet = synack_for(&node->sent[0], false, (struct bytes)BYTES(MSS SACK_OK TS WSCALE7));
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_REPLY);
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_LEARNT);
	assert_true(node->messages[0]->body.learnt.profile.timestamps);
	assert_int_equal(node->messages[0]->body.learnt.profile.known, PROFILE_ALL);
	assert_int_equal(node->sent_count, 2);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(node->sent[1].view.tcp_flags, TCP_SYN);
	assert_false(node->sent[1].options.bits & OPTION_TIMESTAMPS);
	packet = synack_for(
		&node->sent[1], false, (struct bytes)BYTES(MSS "\x01\x01" SACK_OK WSCALE7));
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_CONSUME);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_ACK);
	assert_true(node_end(node));
}

// What one server lacked is not announced, so no client agrees to it: now and then the server is
// asked all the same, or one odd answer would count for ever.
static void t2_13_what_lacked_is_asked_again(void **state)
{
	unsigned probes = 0;

	(void)state;
	for (uint32_t epoch = 0; epoch < 32; epoch++) {
		struct node *node = node_make();
		struct handshake handshake;

		node->services[0].learn = true;
		node->announced = (struct profile){.mss = 1460,
			.wscale = OPTIONS_WSCALE_NONE,
			.timestamps = true,
			.known = PROFILE_ALL};
		node->tick += epoch * 2;
		node_go(node);
		handshake_open(node, &handshake, &full_syn);
		probes += (node->sent[0].options.bits & OPTION_WSCALE) != 0;
		assert_true(node_end(node));
	}
	assert_int_equal(probes, 2);
}

static void t2_13_learnt_mss_has_a_floor(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	node->services[0].learn = true;
	node_go(node);
	handshake_open(node, &handshake, &full_syn);
	packet = synack_for(
		&node->sent[0], false, (struct bytes)BYTES("\x02\x04\x00\x10" SACK_OK TS WSCALE7));
	node_offer(node, INSIDE, &packet);
	assert_int_equal(node->messages[0]->type, MESSAGE_LEARNT);
	assert_int_equal(node->messages[0]->body.learnt.profile.mss, 536);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_2_synack_answers),
		cmocka_unit_test(t2_2_options_only_if_offered),
		cmocka_unit_test(p1_syn_flood_creates_nothing),
		cmocka_unit_test(p2_p3_ack_is_queued_and_syn_sent),
		cmocka_unit_test(p4_translated_both_ways),
		cmocka_unit_test(t1_3_data_is_the_proof),
		cmocka_unit_test(t1_3_keep_alive_is_a_proof),
		cmocka_unit_test(t1_7_replay_makes_one_server_syn),
		cmocka_unit_test(t1_9_no_half_open_cache),
		cmocka_unit_test(t3_1_retries_then_reset),
		cmocka_unit_test(t3_2_refusal_reaches_the_client),
		cmocka_unit_test(t3_2_old_connection_at_the_server),
		cmocka_unit_test(t3_2_old_connection_that_stays),
		cmocka_unit_test(t3_3_wrong_synack_is_reset),
		cmocka_unit_test(t3_5_queue_in_order_and_bounded),
		cmocka_unit_test(t3_5_client_reset_empties_the_queue),
		cmocka_unit_test(t3_5_reset_behind_the_queue),
		cmocka_unit_test(t3_6_repeated_synack_is_reacked),
		cmocka_unit_test(t2_13_what_lacked_is_asked_again),
		cmocka_unit_test(t2_13_learnt_mss_has_a_floor),
		cmocka_unit_test(t3_9_new_incarnation),
		cmocka_unit_test(t2_13_timestamps_missing),
		cmocka_unit_test(t2_13_profile_is_learnt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
