// Half-open contexts where buffers and message slots run short, and in a cluster (TCP.md 3.3, 3.6,
// 3.8, 3.9; P4).
#include "harness.h"

#include "cookie/msyn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ISN_S  900u
#define NODE_A 3
#define NODE_B 5
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

static const struct packet syn = {.seq = 1000, .window = 60000};

static struct node *new_node(bool clustered)
{
	struct node *node = node_make();

	node->policy.clustered = clustered;
	node->policy.node_id = NODE_A;
	node->policy.max_id = 15;
	node_go(node);
	return node;
}

// Data and a FIN are queued; the server answers while only one buffer a call is lent.
static void open_with_queue(struct node *node, struct handshake *handshake)
{
	struct packet packet;

	handshake_open(node, handshake, &syn);
	for (unsigned i = 0; i < 4; i++) {
		packet = handshake->ack;
		packet.seq += 4 * i;
		packet.payload = (struct bytes)BYTES("data");
		packet.flags = TCP_ACK | (i == 3 ? TCP_FIN : 0);
		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	}
	handshake->syn.client_port = 0;
}

static void gauges_hold_while_draining(void **state)
{
	struct node *node = new_node(false);
	struct handshake handshake;
	struct sent server_syn;

	(void)state;
	handshake_open(node, &handshake, &syn);
	server_syn = node->sent[0];
	node_flush(node);
	open_with_queue(node, &handshake);
	node->sent[0] = server_syn;
	node->lend = 1;
	handshake_answer(node, &handshake, ISN_S, NONE);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(node_gauges_good(node));
		assert_int_equal(node_unexplained(node), 0);
		node_turn(node);
	}
	assert_int_equal(node_state(node, TCP_CLOSING), 1);
	assert_int_equal(counter_get(&engine_stats(node->engine)->queued), 0);
	node->lend = HARNESS_LENT;
	assert_true(node_end(node));
}

// The same, but the flow goes in the middle of it.
static void flush_while_draining(void **state)
{
	struct node *node = new_node(false);
	struct handshake handshake;
	struct sent server_syn;

	(void)state;
	handshake_open(node, &handshake, &syn);
	server_syn = node->sent[0];
	node_flush(node);
	open_with_queue(node, &handshake);
	node->sent[0] = server_syn;
	node->lend = 4;
	handshake_answer(node, &handshake, ISN_S, NONE);
	node->lend = 0;
	node_turn(node);
	assert_true(node_end(node));
}

static void t3_8_nothing_is_queued_after_the_first_dequeue(void **state)
{
	struct node *node = new_node(false);
	struct handshake handshake;
	struct packet packet;

	(void)state;
	handshake_open(node, &handshake, &syn);
	node->lend = 0;
	handshake_answer(node, &handshake, ISN_S, NONE);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
	packet = handshake.ack;
	packet.payload = (struct bytes)BYTES("data");
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].view.ack, ISN_S + 1);
	packet = (struct packet){.from_server = true,
		.flags = TCP_ACK,
		.seq = ISN_S + 1,
		.ack = syn.seq + 5,
		.window = 100};
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].view.seq, handshake.cookie + 1);
	assert_int_equal(counter_get(&engine_stats(node->engine)->queued), 1);
	node->lend = 1;
	node_turn(node);
	assert_int_equal(node->sent_count, 2);
	assert_true(node_end(node));
}

// Data beyond what the server's SYN/ACK allows is dropped: the client sends it again.
static void t3_8_window_of_the_synack(void **state)
{
	struct node *node = new_node(false);
	struct handshake handshake;
	struct packet packet;
	struct sent server_syn;

	(void)state;
	handshake_open(node, &handshake, &syn);
	server_syn = node->sent[0];
	packet = handshake.ack;
	packet.payload = (struct bytes)BYTES("0123456789");
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
		packet.seq += 10;
	}
	packet = (struct packet){.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = ISN_S,
		.ack = server_syn.view.seq + 1,
		.window = 25};
	node_offer(node, INSIDE, &packet);
	assert_int_equal(node->sent_count, 3); // the ACK, and 20 bytes
	assert_int_equal(node_dropped(node, REASON_out_of_window), 2);
	assert_true(node_end(node));
}

// A server SYN for which no buffer was lent is sent as soon as there is one.
static void server_syn_waits_for_a_buffer(void **state)
{
	struct node *node = new_node(false);
	struct packet packet = syn;

	(void)state;
	packet.flags = TCP_SYN;
	node_offer(node, OUTSIDE, &packet);
	packet.flags = TCP_ACK;
	packet.seq++;
	packet.ack = node->sent[0].view.seq + 1;
	node->lend = 0;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	assert_int_equal(node->sent_count, 0);
	node->lend = 1;
	node_turn(node);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN);
	assert_true(node_end(node));
}

static struct message *frame_from_peer(struct node *node, const struct packet *packet)
{
	struct message *message = calloc(1, sizeof(*message));
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);

	(void)node;
	assert_non_null(message);
	message->type = MESSAGE_FRAME;
	message->node = NODE_B;
	message->frame_side = INSIDE;
	message->frame_len = frame.len;
	memcpy(message->frame, frame.data, frame.len);
	return message;
}

// Without a free message cell the state is shared in a later call, and nothing leaves before.
static void p4_share_waits_for_a_cell(void **state)
{
	struct node *node = new_node(true);
	struct handshake handshake;
	struct message *message;
	struct packet synack = {
		.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = ISN_S, .window = 1000};

	(void)state;
	handshake_open(node, &handshake, &syn);
	synack.ack = node->sent[0].view.seq + 1;
	message = frame_from_peer(node, &synack);
	node->message_room = 0;
	node_post(node, message);
	assert_int_equal(node->sent_count, 0);
	node->message_room = 1;
	node->now_ns += 1000000;
	node_turn(node);
	assert_int_equal(node->sent_count, 0);
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(node->messages[0]->node, NODE_B);
	const struct flow_record *record = &node->messages[0]->body.record;

	message->type = MESSAGE_CONFIRMED;
	node_name_flow(node, message, &record->key, record->incarnation, record->generation);
	node_post(node, message);
	assert_int_equal(node->sent_count, 1);
	free(message);
	assert_true(node_end(node));
}

// It waits no longer than for the confirmation itself.
static void p4_share_is_bounded(void **state)
{
	struct node *node = new_node(true);
	struct handshake handshake;
	struct message *message;
	struct packet synack = {
		.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = ISN_S, .window = 1000};

	(void)state;
	handshake_open(node, &handshake, &syn);
	synack.ack = node->sent[0].view.seq + 1;
	message = frame_from_peer(node, &synack);
	node->message_room = 0;
	node_post(node, message);
	node_pass_ms(node, 190);
	assert_int_equal(node->sent_count, 0);
	node_pass_ms(node, 20);
	assert_int_equal(node->sent_count, 1);
	node->message_room = 1;
	free(message);
	assert_true(node_end(node));
}

// A SYN/ACK that names another owner is handed to it, although there is an entry of our own for
// that key: an earlier incarnation.
static void t3_9_other_cookie_is_decoded(void **state)
{
	struct node *node = new_node(true);
	struct handshake handshake;
	struct epoch_keys keys;
	struct tuple tuple = {.sport = 40000, .dport = 80};
	struct packet synack = {.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = 7};

	(void)state;
	handshake_open(node, &handshake, &syn);
	handshake_answer(node, &handshake, ISN_S, NONE);
	assert_int_equal(addr_parse(&tuple.src, "192.0.2.10"), 0);
	assert_int_equal(addr_parse(&tuple.dst, "198.51.100.10"), 0);
	assert_int_equal(
		keyring_derive(&keys, node->secret, sizeof(node->secret), node->tick / 2), 0);
	synack.ack = 1 + msyn_make(&keys, &tuple, 0x77000000, node->tick, NODE_B);
	assert_int_equal(node_offer(node, INSIDE, &synack), VERDICT_CONSUME);
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_FRAME);
	assert_int_equal(node->messages[0]->node, NODE_B);
	// Its own is answered here.
	synack.ack = 1 + msyn_make(&keys, &tuple, syn.seq, node->tick, NODE_A);
	synack.seq = ISN_S;
	assert_int_equal(node_offer(node, INSIDE, &synack), VERDICT_REPLY);
	assert_true(node_end(node));
}

// Frames of peers that are nothing of the kind.
static void frames_that_lie(void **state)
{
	struct node *node = new_node(true);
	struct handshake handshake;
	struct message *message;
	struct packet packet = {.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = ISN_S};

	(void)state;
	handshake_open(node, &handshake, &syn);
	packet.ack = node->sent[0].view.seq + 2;
	message = frame_from_peer(node, &packet);
	node_post(node, message); // of another SYN
	assert_int_equal(node_dropped(node, REASON_no_owner), 1);
	message->frame_side = 200;
	node_post(node, message);
	message->frame_side = INSIDE;
	message->frame_len = 0;
	node_post(node, message);
	message->frame_len = MESSAGE_FRAME_MAX + 1;
	node_post(node, message);
	message->frame_len = 33;
	node_post(node, message);
	assert_int_equal(node_dropped(node, REASON_malformed), 1);
	assert_int_equal(counter_get(&engine_stats(node->engine)->from_peers), 2);
	assert_int_equal(node->sent_count, 0);
	assert_int_equal(node_state(node, TCP_SYN_SENT), 1);
	free(message);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gauges_hold_while_draining),
		cmocka_unit_test(flush_while_draining),
		cmocka_unit_test(t3_8_nothing_is_queued_after_the_first_dequeue),
		cmocka_unit_test(t3_8_window_of_the_synack),
		cmocka_unit_test(server_syn_waits_for_a_buffer),
		cmocka_unit_test(p4_share_waits_for_a_cell),
		cmocka_unit_test(p4_share_is_bounded),
		cmocka_unit_test(t3_9_other_cookie_is_decoded),
		cmocka_unit_test(frames_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
