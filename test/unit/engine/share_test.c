// What two nodes tell each other about a proxied connection: who is waited for, what happens when
// nobody answers, ends seen on one side, state that comes late or was lost
// (TCP.md 3.6, 3.7, 7.3-7.6). Proves: P4, P5, P6, C1 (the events of an opening), the engine's part.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODE_A 3
#define NODE_B 5
#define NODE_C 6
#define ISN_S  0xfffffffbu

static const struct packet syn = {.seq = 0x11112222,
	.window = 64240,
	.options = BYTES("\x02\x04\x05\xb4\x04\x02\x01\x03\x03\x07")};

// A connection whose client side is A's and whose server side is B's.
struct scene {
	struct node *a, *b;
	struct handshake handshake;
	uint32_t server_ack; // what the server acknowledges
};

static struct node *new_node(uint16_t id)
{
	struct node *node = node_make();

	node->policy.node_id = id;
	node->policy.max_id = 15;
	node->policy.clustered = true;
	node->policy.timeouts.share_wait_ms = 200;
	return node;
}

static struct scene scene_make(void)
{
	return (struct scene){.a = new_node(NODE_A), .b = new_node(NODE_B)};
}

static void scene_end(struct scene *scene)
{
	assert_true(node_end(scene->a));
	assert_true(node_end(scene->b));
}

static void carry(struct node *from, struct node *to)
{
	assert_int_equal(from->message_count, 1);
	assert_int_equal(from->messages[0]->node, to->policy.node_id);
	node_carry(to, from->messages[0], from->policy.node_id);
}

static enum verdict_kind server(
	struct scene *scene, struct node *node, uint8_t flags, uint32_t seq, uint32_t more_ack)
{
	struct packet packet = {.from_server = true,
		.flags = flags,
		.seq = seq,
		.ack = scene->server_ack + more_ack,
		.window = 700,
		.options = flags & TCP_SYN ? syn.options : (struct bytes){0}};

	return node_offer(node, INSIDE, &packet);
}

static enum verdict_kind client(struct scene *scene, uint8_t flags, uint32_t more_seq)
{
	struct packet packet = scene->handshake.ack;

	packet.flags = flags;
	packet.seq += more_seq;
	return node_offer(scene->a, OUTSIDE, &packet);
}

// Ten seconds at most.
static void pass_until_message(struct node *node)
{
	for (unsigned i = 0; i < 100 && node->message_count == 0; i++)
		node_pass_ms(node, 100);
}

// The SYN/ACK came by way of B and lies at A.
static void until_owner(struct scene *scene)
{
	node_go(scene->a);
	node_go(scene->b);
	handshake_open(scene->a, &scene->handshake, &syn);
	scene->server_ack = scene->a->sent[0].view.seq + 1;
	assert_int_equal(server(scene, scene->b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_CONSUME);
	carry(scene->b, scene->a);
}

static void until_open(struct scene *scene)
{
	until_owner(scene);
	carry(scene->a, scene->b);
	carry(scene->b, scene->a);
	assert_int_equal(scene->a->sent_count, 1);
}

static void wait_for_nobody(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	scene.a->policy.wait = SHARE_NONE;
	until_owner(&scene);
	assert_int_equal(scene.a->sent_count, 1); // at once
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	carry(scene.a, scene.b);
	assert_int_equal(engine_flow_count(scene.b->engine), 1);
	scene_end(&scene);
}

// share = "all", wait = "all": the last confirmation counts, and a node that is gone does not.
static void p6_wait_for_all(void **state)
{
	struct scene scene = scene_make();
	struct message *confirmed = calloc(1, sizeof(*confirmed));

	(void)state;
	scene.a->policy.share = SHARE_ALL;
	scene.a->policy.wait = SHARE_ALL;
	node_go(scene.a);
	node_view(scene.a, 1u << NODE_A | 1u << NODE_B | 1u << NODE_C);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	server(&scene, scene.a, TCP_SYN | TCP_ACK, ISN_S, 0);
	assert_int_equal(scene.a->sent_count, 0);
	assert_int_equal(scene.a->messages[0]->node, NODE_ALL);
	node_carry(scene.b, scene.a->messages[0], NODE_A);
	memcpy(confirmed, scene.b->messages[0], sizeof(*confirmed));
	node_carry(scene.a, confirmed, NODE_B);
	assert_int_equal(scene.a->sent_count, 0); // C is missing
	node_carry(scene.a, confirmed, NODE_B);
	assert_int_equal(scene.a->sent_count, 0); // B twice is not C
	node_view(scene.a, 1u << NODE_A | 1u << NODE_B);
	node_turn(scene.a);
	assert_int_equal(scene.a->sent_count, 1);
	free(confirmed);
	scene_end(&scene);
}

static void t7_4_a_dead_finder_is_not_waited_for(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	until_owner(&scene);
	assert_int_equal(scene.a->sent_count, 0);
	node_view(scene.a, 1u << NODE_A);
	node_turn(scene.a);
	assert_int_equal(scene.a->sent_count, 1);
	assert_int_equal(counter_get(&engine_stats(scene.a->engine)->wait_timeouts), 0);
	scene_end(&scene);
}

// Waits of 2^17 us and more.
static uint64_t long_waits(const struct node *node)
{
	uint64_t waits = 0;

	for (unsigned i = 18; i < WAIT_BUCKETS; i++)
		waits += counter_get(&engine_stats(node->engine)->wait_us[i]);
	return waits;
}

static void t7_4_timeout_forwards_or_drops(void **state)
{
	(void)state;
	for (unsigned drop = 0; drop < 2; drop++) {
		struct scene scene = scene_make();

		scene.a->policy.drop_on_timeout = drop;
		until_owner(&scene);
		node_pass_ms(scene.a, 190);
		assert_int_equal(scene.a->sent_count, 0);
		node_pass_ms(scene.a, 20);
		assert_int_equal(counter_get(&engine_stats(scene.a->engine)->wait_timeouts), 1);
		assert_int_equal(long_waits(scene.a), 1);
		if (!drop) {
			assert_int_equal(scene.a->sent_count, 1);
			assert_int_equal(scene.a->sent[0].port, INSIDE);
			assert_int_equal(node_state(scene.a, TCP_ESTABLISHED), 1);
		} else {
			// Both ends are told.
			assert_int_equal(scene.a->sent_count, 2);
			assert_int_equal(scene.a->sent[0].view.tcp_flags, TCP_RST);
			assert_int_equal(scene.a->sent[0].port, INSIDE);
			assert_int_equal(scene.a->sent[1].view.tcp_flags, TCP_RST | TCP_ACK);
			assert_int_equal(scene.a->sent[1].port, OUTSIDE);
			assert_int_equal(node_dropped(scene.a, REASON_hold_timeout), 1);
			assert_true(node_remembers(scene.a, 1));
		}
		scene_end(&scene);
	}
}

// TCP.md 3.6: the finder never forwards a SYN/ACK; the owner acknowledges it, by way of the finder.
static void t3_6_a_repeated_synack(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	until_open(&scene);
	assert_int_equal(server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_CONSUME);
	assert_int_equal(scene.b->sent_count, 0);
	carry(scene.b, scene.a);
	assert_int_equal(scene.a->sent_count, 0);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_EMIT);
	carry(scene.a, scene.b);
	assert_int_equal(scene.b->sent_count, 1);
	assert_int_equal(scene.b->sent[0].port, INSIDE);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_ACK);
	assert_int_equal(scene.b->sent[0].view.seq, scene.server_ack);
	assert_int_equal(scene.b->sent[0].view.ack, ISN_S + 1);
	assert_true(packet_good(&scene.b->sent[0].frame));
	scene_end(&scene);
}

// A frame to be sent that nobody asked for is not sent.
static void an_unasked_answer_stays(void **state)
{
	struct scene scene = scene_make();
	struct message *emit = calloc(1, sizeof(*emit));

	(void)state;
	until_open(&scene);
	server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0);
	carry(scene.b, scene.a);
	memcpy(emit, scene.a->messages[0], sizeof(*emit));
	node_carry(scene.b, emit, NODE_C); // not whom it was handed to
	assert_int_equal(scene.b->sent_count, 0);
	assert_int_equal(node_dropped(scene.b, REASON_no_owner), 1);
	node_pass_ms(scene.b, 5000); // too late
	node_carry(scene.b, emit, NODE_A);
	assert_int_equal(scene.b->sent_count, 0);
	free(emit);
	scene_end(&scene);
}

// TCP.md 3.7: the server's data comes before the state: it goes where the SYN/ACK went, and comes
// back translated. Nothing is reset.
static void t3_7_data_before_the_state(void **state)
{
	struct scene scene = scene_make();
	struct packet data;

	(void)state;
	scene.a->policy.wait = SHARE_NONE;
	until_owner(&scene);
	data = (struct packet){.from_server = true,
		.flags = TCP_ACK | TCP_PSH,
		.seq = ISN_S + 1,
		.ack = scene.server_ack,
		.window = 700,
		.payload = BYTES("hello")};
	assert_int_equal(node_offer(scene.b, INSIDE, &data), VERDICT_CONSUME);
	carry(scene.b, scene.a);
	assert_int_equal(scene.a->sent_count, 0);
	assert_int_equal(scene.a->message_count, 2);
	node_carry(scene.b, scene.a->messages[0], NODE_A);
	assert_int_equal(scene.b->sent_count, 1);
	assert_int_equal(scene.b->sent[0].port, OUTSIDE);
	assert_int_equal(scene.b->sent[0].view.seq, scene.handshake.cookie + 1);
	assert_int_equal(scene.b->sent[0].view.ack, syn.seq + 1);
	assert_int_equal(view_payload_len(&scene.b->sent[0].view), 5);
	// The state is told again: the first one may be lost.
	node_carry(scene.b, scene.a->messages[1], NODE_A);
	assert_int_equal(engine_flow_count(scene.b->engine), 1);
	assert_int_equal(node_offer(scene.b, INSIDE, &data), VERDICT_FORWARD);
	scene_end(&scene);
}

// TCP.md 7.6: what nobody handed over is offered to all, once; nothing from the outside is.
static void t7_6_an_offer_to_all(void **state)
{
	struct scene scene = scene_make();
	struct packet ack = {.from_server = true, .flags = TCP_ACK, .seq = 1, .ack = 2};

	(void)state;
	node_go(scene.a);
	node_go(scene.b);
	assert_int_equal(node_offer(scene.b, INSIDE, &ack), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_NONE);
	assert_int_equal(scene.a->sent_count, 0);
	assert_int_equal(node_offer(scene.b, INSIDE, &ack), VERDICT_DROP);
	assert_int_equal(scene.b->verdict.reason, REASON_no_flow);
	ack.client_port = 2;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &ack), VERDICT_DROP);
	// To a host no service is for.
	ack.server = "192.0.2.77";
	assert_int_equal(node_offer(scene.b, INSIDE, &ack), VERDICT_DROP);
	scene_end(&scene);
}

// TCP.md 3.2: the server still holds an older connection. Its ACK comes out at B, is offered, and
// the owner resets the old one and asks again.
static void t3_2_an_old_connection_answers_elsewhere(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	node_go(scene.a);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	assert_int_equal(server(&scene, scene.b, TCP_ACK, 555, 1000), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_int_equal(scene.a->sent_count, 2);
	assert_int_equal(scene.a->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(scene.a->sent[0].view.seq, scene.server_ack + 1000);
	assert_int_equal(scene.a->sent[1].view.tcp_flags, TCP_SYN);
	scene_end(&scene);
}

// TCP.md 3.2, 7.3: after a change of routes two nodes opened the same connection. The server knows
// the first one's SYN; the second asks the first, takes its state and drops its own, without a
// reset.
static void t7_3_two_nodes_opened_it(void **state)
{
	struct scene scene = scene_make();
	struct packet ack;
	struct message *told = calloc(1, sizeof(*told));

	(void)state;
	until_open(&scene);
	node_flush(scene.b);
	scene.b->now_ns += 5000000000ULL; // what it handed over is forgotten
	ack = scene.handshake.ack;
	ack.payload = (struct bytes)BYTES("again");
	assert_int_equal(node_offer(scene.b, OUTSIDE, &ack), VERDICT_CONSUME);
	assert_int_equal(node_state(scene.b, TCP_SYN_SENT), 1);
	// The server challenges B's SYN with the number it expects of A's.
	assert_int_equal(server(&scene, scene.b, TCP_ACK, ISN_S + 1, 0), VERDICT_CONSUME);
	assert_int_equal(scene.b->sent_count, 0);
	carry(scene.b, scene.a);
	for (unsigned i = 0; i < scene.a->message_count; i++)
		if (scene.a->messages[i]->type == MESSAGE_OPENED)
			memcpy(told, scene.a->messages[i], sizeof(*told));
	assert_int_equal(told->type, MESSAGE_OPENED);
	node_carry(scene.b, told, NODE_A);
	assert_int_equal(node_state(scene.b, TCP_SYN_SENT), 0);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &ack), VERDICT_FORWARD);
	assert_int_equal(scene.b->sent[0].view.seq, scene.server_ack);
	assert_int_equal(scene.b->sent[0].view.ack, ISN_S + 1);
	free(told);
	scene_end(&scene);
}

// The same with both SYNs out: the server's answer to A's came out at B, which from then on neither
// resets the server nor asks it again, although what the server says names nobody.
static void t7_3_the_server_answered_another_node(void **state)
{
	struct scene scene = scene_make();
	struct packet ack;

	(void)state;
	scene.a->policy.wait = SHARE_NONE;
	node_go(scene.a);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	ack = scene.handshake.ack;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &ack), VERDICT_CONSUME);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_SYN);
	assert_int_equal(server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_CONSUME);
	carry(scene.b, scene.a);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(server(&scene, scene.b, TCP_ACK, ISN_S + 1, 100), VERDICT_CONSUME);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_FRAME);
	assert_int_equal(scene.b->messages[0]->node, NODE_A);
	assert_int_equal(scene.b->sent_count, 0);
	for (unsigned i = 0; i < 30; i++) {
		node_pass_ms(scene.b, 100);
		assert_int_equal(scene.b->sent_count, 0);
	}
	carry(scene.a, scene.b);
	assert_int_equal(node_state(scene.b, TCP_SYN_SENT), 0);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	scene_end(&scene);
}

// ... and goes on where the state never comes.
static void t7_3_an_answer_without_state(void **state)
{
	struct scene scene = scene_make();
	struct packet ack;
	unsigned syns = 0;

	(void)state;
	node_go(scene.a);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	ack = scene.handshake.ack;
	node_offer(scene.b, OUTSIDE, &ack);
	server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0);
	for (unsigned i = 0; i < 80 && syns == 0; i++) {
		node_pass_ms(scene.b, 100);
		syns = scene.b->sent_count;
	}
	assert_int_equal(syns, 1);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_SYN);
	scene_end(&scene);
}

// The same where the node that is named knows nothing: the server's old connection is reset then.
static void t3_2_nobody_holds_it(void **state)
{
	struct scene scene = scene_make();
	struct packet ack;

	(void)state;
	until_open(&scene);
	node_flush(scene.a);
	node_flush(scene.b);
	scene.b->now_ns += 5000000000ULL;
	ack = scene.handshake.ack;
	node_offer(scene.b, OUTSIDE, &ack);
	assert_int_equal(server(&scene, scene.b, TCP_ACK, ISN_S + 1, 0), VERDICT_CONSUME);
	carry(scene.b, scene.a);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_NONE);
	carry(scene.a, scene.b);
	assert_int_equal(scene.b->sent_count, 0);
	assert_int_equal(server(&scene, scene.b, TCP_ACK, ISN_S + 1, 0), VERDICT_REPLY);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_RST);
	scene_end(&scene);
}

static void ends_are_told(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	until_open(&scene);
	assert_int_equal(client(&scene, TCP_FIN | TCP_ACK, 0), VERDICT_FORWARD);
	carry(scene.a, scene.b);
	assert_int_equal(node_state(scene.b, TCP_CLOSING), 1);
	assert_int_equal(server(&scene, scene.b, TCP_FIN | TCP_ACK, ISN_S + 1, 1), VERDICT_FORWARD);
	carry(scene.b, scene.a);
	assert_int_equal(node_state(scene.a, TCP_TIME_WAIT), 1);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 1);
	// The last ACK still passes, and so does a repetition.
	assert_int_equal(client(&scene, TCP_ACK, 1), VERDICT_FORWARD);
	assert_int_equal(server(&scene, scene.b, TCP_FIN | TCP_ACK, ISN_S + 1, 1), VERDICT_FORWARD);
	scene_end(&scene);
}

// The server answers the first queued segment with its FIN, elsewhere, while the others still wait
// for buffers: nobody will say so again.
static void a_fin_told_while_the_queue_leaves(void **state)
{
	struct scene scene = scene_make();
	struct packet data;

	(void)state;
	node_go(scene.a);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	data = scene.handshake.ack;
	data.payload = (struct bytes)BYTES("data");
	assert_int_equal(node_offer(scene.a, OUTSIDE, &data), VERDICT_CONSUME);
	server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0);
	carry(scene.b, scene.a);
	carry(scene.a, scene.b);
	scene.a->lend = 1;
	carry(scene.b, scene.a);
	assert_int_equal(scene.a->sent_count, 1);
	scene.a->lend = 0;
	server(&scene, scene.b, TCP_FIN | TCP_ACK, ISN_S + 1, 0);
	carry(scene.b, scene.a);
	scene.a->lend = HARNESS_LENT;
	node_turn(scene.a);
	assert_int_equal(scene.a->sent_count, 1);
	assert_int_equal(node_state(scene.a, TCP_CLOSING), 1);
	assert_int_equal(client(&scene, TCP_FIN | TCP_ACK, 4), VERDICT_FORWARD);
	carry(scene.a, scene.b);
	assert_int_equal(node_state(scene.a, TCP_TIME_WAIT), 1);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 1);
	scene_end(&scene);
}

// Its client's next one from the same port, through A.
static void open_again(struct scene *scene, uint32_t isn)
{
	struct packet again = syn;

	again.seq += 1u << 30;
	handshake_open(scene->a, &scene->handshake, &again);
	assert_int_equal(scene->a->sent[0].view.tcp_flags, TCP_SYN);
	scene->server_ack = scene->a->sent[0].view.seq + 1;
	assert_int_equal(server(scene, scene->b, TCP_SYN | TCP_ACK, isn, 0), VERDICT_CONSUME);
	carry(scene->b, scene->a);
}

// B has the end of an older connection, A's or its own, or one that goes on, when the server
// answers the SYN of the next: what the server says then is of that, before its state is there and
// after.
static void t3_9_data_of_the_next_before_its_state(void **state)
{
	const uint32_t isn = ISN_S + (1u << 30);
	struct packet data = {.from_server = true,
		.flags = TCP_ACK | TCP_PSH,
		.seq = isn + 1,
		.window = 700,
		.payload = BYTES("hello")};

	(void)state;
	for (unsigned former = 0; former < 3; former++) {
		struct scene scene = scene_make();
		struct node *owner = former == 1 ? scene.b : scene.a;

		scene.a->policy.wait = scene.b->policy.wait = SHARE_NONE;
		node_go(scene.a);
		node_go(scene.b);
		handshake_open(owner, &scene.handshake, &syn);
		scene.server_ack = owner->sent[0].view.seq + 1;
		server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0);
		if (former != 1) {
			carry(scene.b, scene.a);
			carry(scene.a, scene.b);
		}
		if (former == 0) {
			client(&scene, TCP_FIN | TCP_ACK, 0);
			carry(scene.a, scene.b);
			server(&scene, scene.b, TCP_FIN | TCP_ACK, ISN_S + 1, 1);
			carry(scene.b, scene.a);
		}
		if (former == 1) {
			struct packet fin = scene.handshake.ack;

			fin.flags = TCP_FIN | TCP_ACK;
			assert_int_equal(node_offer(scene.b, OUTSIDE, &fin), VERDICT_FORWARD);
			server(&scene, scene.b, TCP_FIN | TCP_ACK, ISN_S + 1, 1);
			assert_int_equal(node_state(scene.b, TCP_CLOSING), 1);
		}
		if (former == 2)
			node_flush(scene.a); // its next life
		open_again(&scene, isn);     // what A tells is on its way
		data.ack = scene.server_ack;
		assert_int_equal(node_offer(scene.b, INSIDE, &data), VERDICT_CONSUME);
		carry(scene.b, scene.a);
		node_carry(scene.b, scene.a->messages[0], NODE_A);
		assert_int_equal(scene.b->sent_count, 1);
		assert_int_equal(scene.b->sent[0].view.seq, scene.handshake.cookie + 1);
		assert_int_equal(scene.b->sent[0].view.ack, scene.handshake.syn.seq + 1);
		node_carry(scene.b, scene.a->messages[1], NODE_A);
		assert_int_equal(node_offer(scene.b, INSIDE, &data), VERDICT_FORWARD);
		assert_int_equal(scene.b->sent[0].view.seq, scene.handshake.cookie + 1);
		assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
		scene_end(&scene);
	}
}

// A copy that was told no numbers (the short form of a record has none) does not know an answer of
// its own server from that of another: it goes on.
static void a_copy_without_numbers_goes_on(void **state)
{
	struct scene scene = scene_make();
	struct message told;

	(void)state;
	until_owner(&scene);
	told = *scene.a->messages[0];
	assert_int_equal(told.type, MESSAGE_OPENED);
	node_flush(scene.b);
	scene.b->now_ns += 5000000000ULL; // what it handed over is forgotten
	told.body.record.cookie = told.body.record.isn_client = 0;
	node_carry(scene.b, &told, NODE_A);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	assert_int_equal(server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_CONSUME);
	assert_int_equal(server(&scene, scene.b, TCP_ACK, ISN_S + 1, 0), VERDICT_FORWARD);
	scene_end(&scene);
}

// B goes on with a connection of its own when it is told of another of the same key, unless the
// server has answered just that node.
static void an_own_connection_stays(void **state)
{
	(void)state;
	for (uint16_t teller = NODE_A; teller <= NODE_C; teller += NODE_C - NODE_A) {
		struct scene scene = scene_make();
		struct message told;

		scene.a->policy.wait = scene.b->policy.wait = SHARE_NONE;
		node_go(scene.a);
		node_go(scene.b);
		handshake_open(scene.b, &scene.handshake, &syn);
		scene.server_ack = scene.b->sent[0].view.seq + 1;
		server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0);
		open_again(&scene, ISN_S);
		told = *scene.a->messages[0];
		told.body.record.owner = teller;
		node_carry(scene.b, &told, teller);
		assert_int_equal(scene.b->message_count, teller == NODE_A); // CONFIRMED
		scene_end(&scene);
	}
}

static void a_reset_and_an_expiry_are_told(void **state)
{
	(void)state;
	for (unsigned expiry = 0; expiry < 2; expiry++) {
		struct scene scene = scene_make();

		scene.b->policy.timeouts.established_s = 5;
		until_open(&scene);
		// Only what was seen here makes a reset exact.
		server(&scene, scene.b, TCP_ACK, ISN_S + 1, 0);
		if (expiry)
			pass_until_message(scene.b);
		else
			assert_int_equal(
				server(&scene, scene.b, TCP_RST, ISN_S + 1, 0), VERDICT_FORWARD);
		carry(scene.b, scene.a);
		assert_int_equal(node_state(scene.a, TCP_CLOSED), 1);
		scene_end(&scene);
	}
}

// The server's reset while the confirmation is awaited ends the opening.
static void an_opening_that_ends_elsewhere(void **state)
{
	struct scene scene = scene_make();
	struct message *closed = calloc(1, sizeof(*closed));

	(void)state;
	until_owner(&scene);
	closed->type = MESSAGE_CHANGED;
	closed->node = NODE_B;
	node_name_flow(scene.a, closed, &scene.a->messages[0]->body.record.key,
		scene.a->messages[0]->body.record.incarnation, 1);
	closed->body.flow.bits = CHANGE_CLOSED;
	node_post(scene.a, closed);
	assert_int_equal(scene.a->sent_count, 1);
	assert_int_equal(scene.a->sent[0].port, OUTSIDE);
	assert_true(scene.a->sent[0].view.tcp_flags & TCP_RST);
	assert_true(node_remembers(scene.a, 1));
	free(closed);
	scene_end(&scene);
}

// What found no room on the way is said again when ageing comes by, and not before the node is
// back.
static void t7_3_unsent_is_said_again(void **state)
{
	struct scene scene = scene_make();
	struct message *unsent = calloc(1, sizeof(*unsent));

	(void)state;
	scene.a->policy.wait = SHARE_NONE;
	until_owner(&scene);
	unsent->type = MESSAGE_UNSENT;
	unsent->node = NODE_B;
	unsent->body.flow.key = scene.a->messages[0]->body.record.key;
	node_view(scene.a, 1u << NODE_A);
	node_post(scene.a, unsent);
	node_pass_ms(scene.a, 3000);
	assert_int_equal(scene.a->message_count, 0);
	node_view(scene.a, 1u << NODE_A | 1u << NODE_B);
	pass_until_message(scene.a);
	assert_int_equal(scene.a->message_count, 1);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	carry(scene.a, scene.b);
	assert_int_equal(engine_flow_count(scene.b->engine), 1);
	node_pass_ms(scene.a, 3000);
	assert_int_equal(scene.a->message_count, 0); // once
	free(unsent);
	scene_end(&scene);
}

// A node that lost everything gets what was shared with it, and what has ended since.
static void a_node_that_comes_back_gets_all(void **state)
{
	struct scene scene = scene_make();
	struct message *resync = calloc(1, sizeof(*resync));

	(void)state;
	until_open(&scene);
	client(&scene, TCP_FIN | TCP_ACK, 0);
	node_flush(scene.b);
	resync->type = MESSAGE_RESYNC;
	resync->why = 1;
	resync->node = NODE_C; // another one
	node_post(scene.a, resync);
	node_pass_ms(scene.a, 3000);
	assert_int_equal(scene.a->message_count, 0);
	resync->node = NODE_B;
	resync->why = 0; // it has room again, and missed nothing
	node_post(scene.a, resync);
	node_pass_ms(scene.a, 3000);
	assert_int_equal(scene.a->message_count, 0);
	resync->why = 1;
	node_post(scene.a, resync);
	pass_until_message(scene.a);
	assert_int_equal(scene.a->message_count, 2);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(scene.a->messages[1]->type, MESSAGE_CHANGED);
	assert_int_equal(scene.a->messages[1]->body.flow.bits, CHANGE_FIN_CLIENT);
	node_carry(scene.b, scene.a->messages[0], NODE_A);
	node_carry(scene.b, scene.a->messages[1], NODE_A);
	assert_int_equal(node_state(scene.b, TCP_CLOSING), 1);
	assert_int_equal(server(&scene, scene.b, TCP_ACK, ISN_S + 1, 1), VERDICT_FORWARD);
	assert_int_equal(scene.b->sent[0].view.seq, scene.handshake.cookie + 1);
	free(resync);
	scene_end(&scene);
}

// TCP.md 7.6: the owner of a SYN/ACK's cookie is down: the server frees its half-open connection.
static void t7_6_a_dead_owner(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	node_go(scene.a);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	node_view(scene.b, 1u << NODE_B);
	assert_int_equal(server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_DROP);
	assert_int_equal(scene.b->sent[0].port, INSIDE);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(scene.b->sent[0].view.seq, scene.server_ack);
	assert_int_equal(server(&scene, scene.b, TCP_RST | TCP_ACK, 0, 0), VERDICT_DROP);
	assert_int_equal(scene.b->message_count, 0);
	scene_end(&scene);
}

// TCP.md 1.6: decoding happens only where the rules let a server be, and questions have limits.
static void t1_6_questions_are_limited(void **state)
{
	struct scene scene = scene_make();
	unsigned asked = 0;

	(void)state;
	node_go(scene.a);
	node_go(scene.b);
	handshake_open(scene.a, &scene.handshake, &syn);
	scene.server_ack = scene.a->sent[0].view.seq + 1;
	for (unsigned i = 0; i < 1000; i++)
		asked += server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0) == VERDICT_CONSUME;
	assert_int_equal(asked, 32); // of one flow in one second
	assert_int_equal(node_dropped(scene.b, REASON_rate_limited), 1000 - 32);
	scene.b->policy.services[0].mode = MODE_TRACK;
	scene.b->now_ns += 5000000000;
	assert_int_equal(server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL); // its number names nobody
	scene.b->rows[0].action = RULE_DENY;
	scene.b->now_ns += 5000000000;
	assert_int_equal(server(&scene, scene.b, TCP_SYN | TCP_ACK, ISN_S, 0), VERDICT_DROP);
	assert_int_equal(scene.b->verdict.reason, REASON_no_owner);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_for_nobody),
		cmocka_unit_test(p6_wait_for_all),
		cmocka_unit_test(t7_4_a_dead_finder_is_not_waited_for),
		cmocka_unit_test(t7_4_timeout_forwards_or_drops),
		cmocka_unit_test(t3_6_a_repeated_synack),
		cmocka_unit_test(an_unasked_answer_stays),
		cmocka_unit_test(t3_7_data_before_the_state),
		cmocka_unit_test(t7_6_an_offer_to_all),
		cmocka_unit_test(t3_2_an_old_connection_answers_elsewhere),
		cmocka_unit_test(t7_3_two_nodes_opened_it),
		cmocka_unit_test(t7_3_the_server_answered_another_node),
		cmocka_unit_test(t7_3_an_answer_without_state),
		cmocka_unit_test(t3_2_nobody_holds_it),
		cmocka_unit_test(ends_are_told),
		cmocka_unit_test(a_fin_told_while_the_queue_leaves),
		cmocka_unit_test(t3_9_data_of_the_next_before_its_state),
		cmocka_unit_test(a_copy_without_numbers_goes_on),
		cmocka_unit_test(an_own_connection_stays),
		cmocka_unit_test(a_reset_and_an_expiry_are_told),
		cmocka_unit_test(an_opening_that_ends_elsewhere),
		cmocka_unit_test(t7_3_unsent_is_said_again),
		cmocka_unit_test(a_node_that_comes_back_gets_all),
		cmocka_unit_test(t7_6_a_dead_owner),
		cmocka_unit_test(t1_6_questions_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
