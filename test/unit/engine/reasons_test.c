// Every drop reason the engine can give is given to a packet here: a reason without a producer is a
// line of documentation that lies.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ISN_S 900u
#define MSS   "\x02\x04\x05\xb4"
#define TS    "\x08\x0a\x00\x00\x10\x00\x00\x00\x00\x00"
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

static uint64_t produced[REASON_COUNT];

static const struct packet syn = {.seq = 1000, .window = 1000};

static struct node *new_node(void)
{
	struct node *node = node_make();

	node_go(node);
	return node;
}

static void gather(struct node *node)
{
	node_flush(node);
	for (unsigned i = 1; i < REASON_COUNT; i++)
		produced[i] += node_dropped(node, i);
	assert_true(node_end(node));
}

static void offer_outside(struct node *node, struct packet packet)
{
	node_offer(node, OUTSIDE, &packet);
}

// malformed bad_checksum bad_option bad_flags bad_address fragment rule_denied no_flow bad_cookie
// too_big
static void of_ingress(void **state)
{
	struct node *node = new_node();
	static uint8_t data[1600];
	uint8_t room[PACKET_ROOM_BYTES];
	struct packet packet = syn;
	struct frame frame;

	(void)state;
	packet.flags = TCP_SYN;
	frame = packet_build(room, &packet);
	frame.len = 30;
	node_offer_frame(node, frame);
	frame = packet_build(room, &packet);
	frame.data[30] ^= 1;
	node_offer_frame(node, frame);
	offer_outside(
		node, (struct packet){.flags = TCP_SYN, .options = BYTES("\x02\x00\x00\x00")});
	offer_outside(node, (struct packet){.flags = TCP_SYN | TCP_FIN});
	offer_outside(node, (struct packet){.flags = TCP_SYN, .client = "224.0.0.1"});
	offer_outside(
		node, (struct packet){
			      .flags = TCP_ACK, .more_fragments = true, .payload = BYTES("0123")});
	offer_outside(node, (struct packet){.flags = TCP_SYN, .server = "203.0.113.1"});
	offer_outside(node, (struct packet){.flags = TCP_RST});
	offer_outside(node, (struct packet){.flags = TCP_ACK});
	packet.payload = (struct bytes){data, 1600};
	offer_outside(node, packet);
	gather(node);
}

// out_of_window bad_ack rate_limited
static void of_tracking(void **state)
{
	struct node *node = node_make();
	struct packet packet = syn;

	(void)state;
	node->services[0].mode = MODE_TRACK;
	node_go(node);
	packet.flags = TCP_SYN;
	offer_outside(node, packet);
	packet.from_server = true;
	packet.flags = TCP_SYN | TCP_ACK;
	packet.seq = ISN_S;
	packet.ack = syn.seq + 1;
	node_offer(node, INSIDE, &packet);
	packet = (struct packet){.flags = TCP_ACK, .seq = syn.seq + 1, .ack = ISN_S + 1};
	packet.ack++;
	offer_outside(node, packet);
	packet.ack--;
	offer_outside(node, packet);
	packet.seq += 100000000;
	offer_outside(node, packet);
	packet.flags = TCP_SYN;
	for (unsigned i = 0; i < 100; i++)
		offer_outside(node, packet);
	gather(node);
}

// queue_full queue_replaced hold_timeout
static void of_queues(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet packet;

	(void)state;
	handshake_open(node, &handshake, &syn);
	packet = handshake.ack;
	packet.payload = (struct bytes)BYTES("data");
	offer_outside(node, packet);
	offer_outside(node, packet);
	packet.seq += 20000;
	offer_outside(node, packet);
	gather(node); // the flush takes what is held with it
}

// server_timeout server_refused client_reset
static void of_openings(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet packet = syn;

	(void)state;
	handshake_open(node, &handshake, &packet);
	node_pass_ms(node, 16000);
	packet.options = (struct bytes)BYTES(MSS TS);
	packet.seq++; // the same number would give the same cookie, which is used up
	handshake_open(node, &handshake, &packet);
	handshake_answer(node, &handshake, ISN_S, NONE);
	packet.seq++;
	handshake_open(node, &handshake, &packet);
	handshake.ack.flags = TCP_RST;
	offer_outside(node, handshake.ack);
	gather(node);
}

// flow_limit prefix_limit table_full
static void of_limits(void **state)
{
	(void)state;
	for (unsigned limit = 0; limit < 3; limit++) {
		struct node *node = node_make();
		struct packet packet = syn;

		node->services[0].mode = MODE_TRACK;
		node->services[0].flows_max = limit == 0;
		node->policy.limits.per_prefix_flows = limit == 1 ? 1 : 1000;
		node->config.capacity = limit == 2 ? 1 : 1000;
		node->policy.eviction = EVICTION_NEVER;
		node_go(node);
		packet.flags = TCP_SYN;
		offer_outside(node, packet);
		packet.client_port = 1;
		offer_outside(node, packet);
		gather(node);
	}
}

// no_owner control_busy
static void of_clusters(void **state)
{
	struct node *node = node_make();
	struct packet packet = {.from_server = true, .flags = TCP_SYN | TCP_ACK};

	(void)state;
	node->policy.clustered = true;
	node->policy.max_id = NODES_MAX - 1;
	node_go(node);
	node->message_room = 0;
	// 63 of these 8192 cookies name a node.
	for (unsigned i = 0; i < 8192; i++) {
		packet.ack = i;
		node->now_ns += 1000000;
		node_offer(node, INSIDE, &packet);
	}
	node->message_room = 1;
	gather(node);
	node = node_make();
	node->policy.clustered = true;
	node_go(node);
	for (unsigned i = 0; i < 10; i++) {
		packet.ack = i;
		node_offer(node, INSIDE, &packet);
	}
	gather(node);
}

static void of_stopping(void **state)
{
	struct node *node = new_node();
	struct packet packet = syn;
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct verdict verdict;
	struct batch batch = {.now_ns = node->now_ns,
		.tick = node->tick,
		.stopped = true,
		.frames = &frame,
		.verdicts = &verdict,
		.frame_count = 1};

	(void)state;
	engine_run(node->engine, &batch);
	gather(node);
}

static void each_has_a_producer(void **state)
{
	(void)state;
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		if (i == REASON_tx_refused) // the device's: src/ counts it
			assert_int_equal(produced[i], 0);
		else if (produced[i] == 0)
			fail_msg("nothing produces %s", reason_name(i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_ingress),
		cmocka_unit_test(of_tracking),
		cmocka_unit_test(of_queues),
		cmocka_unit_test(of_openings),
		cmocka_unit_test(of_limits),
		cmocka_unit_test(of_clusters),
		cmocka_unit_test(of_stopping),
		cmocka_unit_test(each_has_a_producer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
