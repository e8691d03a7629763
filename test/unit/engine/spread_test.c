// Flows without a cookie over two nodes: tracked connections, UDP and ICMP of which each node sees
// one direction. Of an outside client the state comes on demand, of an inside one before its first
// packet leaves (TCP.md 4.0, 7.1-7.6, 9). Proves: C1, C5 (the engine's part).
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODE_A	     3 // packets of the outside arrive here
#define NODE_B	     5 // packets of the inside arrive here
#define NODE_C	     6
#define ISN_C	     0x11112222u
#define ISN_S	     0xfffffff0u
#define OFFERS_PER_S 8192
#define TELLS_PER_S  16384
#define WAIT_MS	     200
#define L2	     14

static const struct bytes options = BYTES("\x02\x04\x05\xb4\x04\x02\x01\x03\x03\x07");

struct scene {
	struct node *a, *b;
	bool ip6;
};

static struct node *new_node(uint16_t id)
{
	struct node *node = node_make();

	node->policy.node_id = id;
	node->policy.max_id = 15;
	node->policy.clustered = true;
	node->policy.timeouts.share_wait_ms = WAIT_MS;
	node->services[0].mode = MODE_TRACK;
	return node;
}

static struct scene scene_make(bool ip6)
{
	return (struct scene){.a = new_node(NODE_A), .b = new_node(NODE_B), .ip6 = ip6};
}

static void view(struct node *node, uint64_t active)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->type = MESSAGE_VIEW;
	message->body.view = (struct message_view){.active = active, .decodes = true};
	node_post(node, message);
	free(message);
}

static void scene_go(struct scene *scene)
{
	node_go(scene->a);
	node_go(scene->b);
	view(scene->a, 1u << NODE_A | 1u << NODE_B);
	view(scene->b, 1u << NODE_A | 1u << NODE_B);
}

static struct scene scene_begin(bool ip6)
{
	struct scene scene = scene_make(ip6);

	scene_go(&scene);
	return scene;
}

static void scene_end(struct scene *scene)
{
	assert_true(node_end(scene->a));
	assert_true(node_end(scene->b));
}

// The one message `from` sent, which is of this type and for `to`, or for all.
static void carry(struct node *from, struct node *to, enum message_type type, bool all)
{
	assert_int_equal(from->message_count, 1);
	assert_int_equal(from->messages[0]->type, type);
	assert_int_equal(from->messages[0]->node, all ? NODE_ALL : to->policy.node_id);
	node_carry(to, from->messages[0], from->policy.node_id);
}

static void assert_sent(const struct node *node, unsigned count, uint8_t port)
{
	assert_int_equal(node->sent_count, count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(node->sent[i].port, port);
		assert_true(packet_good(&node->sent[i].frame));
	}
}

// A packet of the host outside, at A, or of the one inside, at B.
static enum verdict_kind outer(struct scene *scene, struct packet packet)
{
	packet.ip6 = scene->ip6;
	return node_offer(scene->a, OUTSIDE, &packet);
}

static enum verdict_kind inner(struct scene *scene, struct packet packet)
{
	packet.ip6 = scene->ip6;
	packet.from_server = true;
	return node_offer(scene->b, INSIDE, &packet);
}

static struct packet tcp(uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct packet){.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 64000,
		.options = flags & TCP_SYN ? options : (struct bytes){0}};
}

static struct packet echo(const struct scene *scene, bool reply)
{
	uint8_t type = reply ? 0 : 8;

	if (scene->ip6)
		type = reply ? 129 : 128;
	return (struct packet){.protocol = PROTOCOL_ICMP, .type = type, .rest = 7 << 16};
}

static const struct packet udp = {.protocol = PROTOCOL_UDP, .payload = BYTES("datagram")};
static const struct packet gre = {.protocol = 47, .payload = BYTES("tunnel")};

// Nothing is said; the packet is forwarded.
static void assert_passes(struct scene *scene, bool outside, struct packet packet)
{
	struct node *node = outside ? scene->a : scene->b;

	assert_int_equal(outside ? outer(scene, packet) : inner(scene, packet), VERDICT_FORWARD);
	assert_int_equal(node->message_count, 0);
}

static void assert_refused(struct scene *scene, bool outside, struct packet packet)
{
	struct node *node = outside ? scene->a : scene->b;

	assert_int_equal(outside ? outer(scene, packet) : inner(scene, packet), VERDICT_DROP);
	assert_int_equal(node->message_count, 0);
}

// --- the client is outside ---

// The server's answer at B is offered, or goes to A at once where that is known, is judged there,
// and comes back to B with the state.
static void on_demand_of(struct scene *scene, struct packet answer, bool all)
{
	assert_int_equal(inner(scene, answer), VERDICT_CONSUME);
	carry(scene->b, scene->a, MESSAGE_FRAME, all);
	assert_int_equal(scene->a->sent_count, 0);
	carry(scene->a, scene->b, MESSAGE_OPENED, false);
	assert_sent(scene->b, 1, OUTSIDE);
	assert_int_equal(scene->b->message_count, 0);
	assert_int_equal(engine_flow_count(scene->b->engine), 1);
}

static void on_demand(struct scene *scene, struct packet answer)
{
	on_demand_of(scene, answer, true);
}

static void open_from_outside(struct scene *scene, uint32_t isn, bool all)
{
	assert_passes(scene, true, tcp(TCP_SYN, isn, 0));
	on_demand_of(scene, tcp(TCP_SYN | TCP_ACK, ISN_S, isn + 1), all);
	assert_int_equal(scene->b->sent[0].view.tcp_flags, TCP_SYN | TCP_ACK);
	assert_int_equal(scene->b->sent[0].view.ack, isn + 1);
	assert_passes(scene, true, tcp(TCP_ACK, isn + 1, ISN_S + 1));
	assert_int_equal(node_state(scene->a, TCP_ESTABLISHED), 1);
	assert_passes(scene, false, tcp(TCP_ACK, ISN_S + 1, isn + 1));
}

static void close_both(struct scene *scene, uint32_t isn_c, bool client_outside)
{
	assert_int_equal(outer(scene, tcp(TCP_FIN | TCP_ACK, client_outside ? isn_c + 1 : ISN_S + 1,
					      client_outside ? ISN_S + 1 : isn_c + 1)),
		VERDICT_FORWARD);
	carry(scene->a, scene->b, MESSAGE_CHANGED, false);
	assert_int_equal(inner(scene, tcp(TCP_FIN | TCP_ACK, client_outside ? ISN_S + 1 : isn_c + 1,
					      client_outside ? isn_c + 2 : ISN_S + 2)),
		VERDICT_FORWARD);
	carry(scene->b, scene->a, MESSAGE_CHANGED, !client_outside);
	assert_int_equal(node_state(scene->a, TCP_TIME_WAIT), 1);
	assert_int_equal(node_state(scene->b, TCP_TIME_WAIT), 1);
}

static void t7_6_a_tracked_connection(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct scene scene = scene_begin(ip6);

		open_from_outside(&scene, ISN_C, true);
		assert_int_equal(counter_get(&engine_stats(scene.b->engine)->synack_to_owner), 1);
		close_both(&scene, ISN_C, true);
		scene_end(&scene);
	}
}

// The client comes back with the port it closed: what B has is an older connection.
static void t7_6_a_port_used_again(void **state)
{
	(void)state;
	for (unsigned reset = 0; reset < 2; reset++) {
		struct scene scene = scene_begin(false);

		open_from_outside(&scene, ISN_C, true);
		if (reset) {
			assert_int_equal(
				inner(&scene, tcp(TCP_RST, ISN_S + 1, 0)), VERDICT_FORWARD);
			carry(scene.b, scene.a, MESSAGE_CHANGED, false);
			assert_int_equal(node_state(scene.a, TCP_CLOSED), 1);
		} else {
			close_both(&scene, ISN_C, true);
		}
		open_from_outside(&scene, ISN_C + 100000, false);
		close_both(&scene, ISN_C + 100000, true);
		scene.b->now_ns += 5000000000;
		open_from_outside(&scene, ISN_C + 300000, true);
		scene_end(&scene);
	}
}

static void m5_a_refusal(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	assert_int_equal(inner(&scene, tcp(TCP_RST | TCP_ACK, 0, ISN_C + 1)), VERDICT_CONSUME);
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	assert_int_equal(node_state(scene.a, TCP_CLOSED), 1);
	carry(scene.a, scene.b, MESSAGE_EMIT, false);
	assert_sent(scene.b, 1, OUTSIDE);
	assert_int_equal(engine_flow_count(scene.b->engine), 0);
	scene_end(&scene);
}

static void a_ping_from_outside(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct scene scene = scene_begin(ip6);

		assert_passes(&scene, true, echo(&scene, false));
		on_demand(&scene, echo(&scene, true));
		assert_passes(&scene, true, echo(&scene, false));
		assert_passes(&scene, false, echo(&scene, true));
		scene_end(&scene);
	}
}

// Where no rule lets the answers out, the state does.
static void answers_that_no_rule_lets_out(void **state)
{
	const struct packet kinds[] = {udp, gre};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct scene scene = scene_make(i / 2);

		scene.a->rows[i / 2].protocol = scene.b->rows[i / 2].protocol = RULE_ANY;
		scene.b->policy.row_count = 3; // without "out"
		scene_go(&scene);
		assert_passes(&scene, true, kinds[i % 2]);
		on_demand(&scene, kinds[i % 2]);
		assert_passes(&scene, false, kinds[i % 2]);
		assert_passes(&scene, true, kinds[i % 2]);
		scene_end(&scene);
	}
}

// A public server: the rules let both directions pass by themselves. However many questions with
// whatever sources, nobody is told anything.
static void a_flood_from_outside_says_nothing(void **state)
{
	struct scene scene = scene_make(false);

	(void)state;
	scene.a->rows[0].protocol = scene.b->rows[0].protocol = RULE_ANY;
	scene_go(&scene);
	for (uint16_t port = 1; port <= 3000; port++) {
		struct packet packet = udp;

		packet.client_port = port;
		assert_passes(&scene, true, packet);
		assert_passes(&scene, false, packet);
		assert_passes(&scene, true, tcp(TCP_SYN, ISN_C + port, 0));
	}
	node_pass_ms(scene.a, 2000);
	assert_int_equal(counter_get(&engine_stats(scene.a->engine)->shared), 0);
	assert_int_equal(counter_get(&engine_stats(scene.a->engine)->to_peers), 0);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->shared), 0);
	scene_end(&scene);
}

static struct packet error_about(const struct scene *scene, struct packet asked, uint8_t *room)
{
	uint8_t built[PACKET_ROOM_BYTES];
	struct frame frame;

	asked.ip6 = scene->ip6;
	frame = packet_build(built, &asked);
	memcpy(room, frame.data + L2, frame.len - L2);
	return (struct packet){.protocol = PROTOCOL_ICMP,
		.type = scene->ip6 ? 1 : 3,
		.code = scene->ip6 ? 4 : 3,
		.payload = {room, (uint16_t)(frame.len - L2)}};
}

// An ICMP error of the inside goes to whom the quoted packet came from. It makes no state.
static void t5_4_an_error(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct scene scene = scene_make(i / 2);
		struct packet asked = i % 2 ? tcp(TCP_SYN, ISN_C, 0) : udp;
		uint8_t room[PACKET_ROOM_BYTES];

		scene.a->rows[i / 2].protocol = scene.b->rows[i / 2].protocol = RULE_ANY;
		scene_go(&scene);
		assert_passes(&scene, true, asked);
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(
				inner(&scene, error_about(&scene, asked, room)), VERDICT_CONSUME);
			carry(scene.b, scene.a, MESSAGE_FRAME, k == 0); // then it is known whose
			carry(scene.a, scene.b, MESSAGE_EMIT, false);
			assert_sent(scene.b, 1, OUTSIDE);
			assert_int_equal(engine_flow_count(scene.b->engine), 0);
		}
		asked.client_port = 5; // nobody's
		assert_int_equal(inner(&scene, error_about(&scene, asked, room)), VERDICT_CONSUME);
		carry(scene.b, scene.a, MESSAGE_FRAME, true);
		carry(scene.a, scene.b, MESSAGE_NONE, false);
		assert_sent(scene.b, 0, OUTSIDE);
		scene_end(&scene);
	}
}

static void share_none_hands_each_over(void **state)
{
	struct scene scene = scene_make(false);

	(void)state;
	scene.a->policy.share = SHARE_NONE;
	scene_go(&scene);
	assert_passes(&scene, true, echo(&scene, false));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
		carry(scene.b, scene.a, MESSAGE_FRAME, i == 0);
		carry(scene.a, scene.b, MESSAGE_EMIT, false);
		assert_sent(scene.b, 1, OUTSIDE);
	}
	scene_end(&scene);
}

// Nobody knows it: it is not asked again within a second, and nothing leaves.
static void t7_6_nobodys_answer(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *emit = calloc(1, sizeof(*emit));

	(void)state;
	assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	carry(scene.a, scene.b, MESSAGE_NONE, false);
	assert_refused(&scene, false, echo(&scene, true));
	assert_int_equal(scene.b->verdict.reason, REASON_no_flow);
	// One of several says no; another has it.
	assert_passes(&scene, true, echo(&scene, false));
	scene.b->now_ns += 1100000000;
	assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
	memcpy(emit, scene.b->messages[0], sizeof(*emit));
	emit->type = MESSAGE_NONE;
	emit->body.flow.key = scene.b->messages[0]->body.flow.key;
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	node_carry(scene.b, emit, NODE_C);
	carry(scene.a, scene.b, MESSAGE_OPENED, false);
	assert_sent(scene.b, 1, OUTSIDE);
	free(emit);
	scene_end(&scene);
}

// The owner answers an offer; who has a copy does, too, only where the owner is gone.
static void a_copy_stays_silent(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *frame = calloc(1, sizeof(*frame));

	(void)state;
	assert_passes(&scene, true, echo(&scene, false));
	assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
	memcpy(frame, scene.b->messages[0], sizeof(*frame));
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	carry(scene.a, scene.b, MESSAGE_OPENED, false);
	node_carry(scene.b, frame, NODE_C); // C offers it, too
	assert_int_equal(scene.b->message_count, 0);
	view(scene.b, 1u << NODE_B | 1u << NODE_C);
	node_carry(scene.b, frame, NODE_C);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_EMIT);
	free(frame);
	scene_end(&scene);
}

// Where the rules let no client be, nobody is asked.
static void a_forbidden_client_is_not_looked_for(void **state)
{
	struct scene scene = scene_make(false);
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	scene.b->rows[0].action = RULE_DENY;
	scene.b->rows[2].from = RULE_FROM_INSIDE; // pings
	scene.b->rows[3].protocol = RULE_TCP;
	scene_go(&scene);
	assert_refused(&scene, false, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1));
	assert_refused(&scene, false, tcp(TCP_RST | TCP_ACK, 0, ISN_C + 1));
	assert_refused(&scene, false, tcp(TCP_ACK, ISN_S, ISN_C + 1));
	assert_refused(&scene, false, echo(&scene, true));
	assert_refused(&scene, false, udp);
	assert_refused(&scene, false, error_about(&scene, udp, room));
	scene_end(&scene);
}

// TCP.md 7.6: nothing from the outside ever causes a question to more than one node.
static void t7_6_the_outside_asks_nobody(void **state)
{
	struct scene scene = scene_begin(false);
	struct packet asked = udp;
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	asked.from_server = true;
	assert_refused(&scene, true, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1));
	assert_refused(&scene, true, tcp(TCP_RST | TCP_ACK, 0, ISN_C + 1));
	assert_refused(&scene, true, tcp(TCP_ACK, ISN_S, ISN_C + 1));
	assert_refused(&scene, true, echo(&scene, true));
	assert_refused(&scene, true, udp);
	assert_refused(&scene, true, error_about(&scene, asked, room));
	scene_end(&scene);
}

static void t7_6_offers_are_limited(void **state)
{
	struct scene scene = scene_begin(false);
	unsigned offered = 0;

	(void)state;
	for (unsigned i = 0; i < OFFERS_PER_S + 100; i++) {
		struct packet reply = echo(&scene, true);

		reply.rest = i << 16;
		offered += inner(&scene, reply) == VERDICT_CONSUME;
	}
	assert_int_equal(offered, OFFERS_PER_S);
	assert_int_equal(node_dropped(scene.b, REASON_rate_limited), 100);
	// What was not asked may be asked in the next second.
	scene.b->now_ns += 1000000000;
	assert_int_equal(inner(&scene, (struct packet){.protocol = PROTOCOL_ICMP,
					       .rest = (OFFERS_PER_S + 50) << 16}),
		VERDICT_CONSUME);
	scene_end(&scene);
}

// --- the client is inside ---

// B tells all of a new flow; its packet waits.
static void begin_inside(struct scene *scene, struct packet packet)
{
	assert_int_equal(inner(scene, packet), VERDICT_CONSUME);
	assert_int_equal(scene->b->sent_count, 0);
	assert_int_equal(counter_get(&engine_stats(scene->b->engine)->queued), 1);
}

static void confirm(struct scene *scene)
{
	carry(scene->b, scene->a, MESSAGE_OPENED, true);
	assert_int_equal(engine_flow_count(scene->a->engine), 1);
	carry(scene->a, scene->b, MESSAGE_CONFIRMED, false);
}

static void check_inside(struct scene *scene, struct packet question, struct packet answer)
{
	assert_refused(scene, true, answer); // nobody asked
	begin_inside(scene, question);
	assert_refused(scene, true, answer); // before the state: nothing was sent yet
	confirm(scene);
	assert_sent(scene->b, 1, OUTSIDE);
	assert_int_equal(engine_queued_bytes(scene->b->engine), 0);
	assert_passes(scene, true, answer);
	assert_passes(scene, false, question);
	assert_passes(scene, true, answer);
	scene_end(scene);
}

static void c5_questions_of_the_inside(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct scene scene = scene_begin(ip6);

		check_inside(&scene, udp, udp);
		scene = scene_begin(ip6);
		check_inside(&scene, gre, gre);
		scene = scene_begin(ip6);
		check_inside(&scene, echo(&scene, false), echo(&scene, true));
	}
}

static void c5_what_follows_queues_in_order(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *opened = calloc(1, sizeof(*opened));

	(void)state;
	for (uint16_t i = 0; i < 3; i++) {
		struct packet packet = udp;

		packet.id = (uint16_t)(100 + i);
		assert_int_equal(inner(&scene, packet), VERDICT_CONSUME);
		if (i == 0)
			memcpy(opened, scene.b->messages[0], sizeof(*opened));
		else
			assert_int_equal(scene.b->message_count, 0);
	}
	node_carry(scene.a, opened, NODE_B);
	carry(scene.a, scene.b, MESSAGE_CONFIRMED, false);
	assert_sent(scene.b, 3, OUTSIDE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(scene.b->sent[i].frame.data[L2 + 5], 100 + i); // identification
	assert_passes(&scene, false, udp);
	free(opened);
	scene_end(&scene);
}

// Buffers come one at a time: what arrives meanwhile stays behind.
static void c5_draining_keeps_the_order(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *opened = calloc(1, sizeof(*opened));
	struct packet packet = udp;

	(void)state;
	begin_inside(&scene, udp);
	memcpy(opened, scene.b->messages[0], sizeof(*opened));
	assert_int_equal(inner(&scene, udp), VERDICT_CONSUME);
	node_carry(scene.a, opened, NODE_B);
	scene.b->lend = 0;
	carry(scene.a, scene.b, MESSAGE_CONFIRMED, false);
	assert_int_equal(scene.b->sent_count, 0);
	packet.id = 77;
	scene.b->lend = 1;
	assert_int_equal(inner(&scene, packet), VERDICT_CONSUME);
	scene.b->lend = HARNESS_LENT;
	node_pass_ms(scene.b, 100);
	assert_int_equal(scene.b->sent[scene.b->sent_count - 1].frame.data[L2 + 5], 77);
	assert_int_equal(scene.b->transmitted, 3);
	free(opened);
	scene_end(&scene);
}

static void wait_over(bool drop, struct packet packet)
{
	struct scene scene = scene_make(false);

	scene.b->policy.drop_on_timeout = drop;
	scene_go(&scene);
	begin_inside(&scene, packet);
	node_pass_ms(scene.b, WAIT_MS - 10);
	assert_int_equal(scene.b->sent_count, 0);
	node_pass_ms(scene.b, 20);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->wait_timeouts), 1);
	if (drop) {
		assert_int_equal(scene.b->sent_count, 0);
		assert_int_equal(node_dropped(scene.b, REASON_hold_timeout), 1);
		assert_int_equal(engine_flow_count(scene.b->engine), 0);
		begin_inside(&scene, packet); // its repetition
	} else {
		assert_sent(scene.b, 1, OUTSIDE);
		assert_int_equal(node_dropped_all(scene.b), 0);
		assert_int_equal(engine_flow_count(scene.b->engine), 1);
	}
	scene_end(&scene);
}

static void c5_timeout_forwards_or_drops(void **state)
{
	(void)state;
	wait_over(false, udp);
	wait_over(true, udp);
	wait_over(false, tcp(TCP_SYN, ISN_C, 0));
	wait_over(true, tcp(TCP_SYN, ISN_C, 0));
}

// A node that goes is not waited for.
static void t7_4_a_dead_node_is_not_waited_for(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, udp);
	view(scene.b, 1u << NODE_B);
	node_turn(scene.b);
	assert_int_equal(scene.b->transmitted, 1);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->wait_timeouts), 0);
	scene_end(&scene);
}

// Who waits for nobody tells and forwards; who is alone, shares nothing or is no cluster's says
// nothing.
static void who_does_not_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct scene scene = scene_make(false);

		scene.b->policy.wait = i == 0 ? SHARE_NONE : SHARE_FINDER;
		scene.b->policy.share = i == 1 ? SHARE_NONE : SHARE_FINDER;
		scene.b->policy.clustered = i != 2;
		scene_go(&scene);
		if (i == 3)
			view(scene.b, 1u << NODE_B);
		assert_int_equal(inner(&scene, udp), VERDICT_FORWARD);
		assert_int_equal(scene.b->message_count, i == 0);
		if (i == 0)
			carry(scene.b, scene.a, MESSAGE_OPENED, true);
		scene_end(&scene);
	}
}

// Half of the contexts are for handshakes, and so is the last of the pool: who finds no room is not
// delayed, and is told of all the same.
static void c5_no_room_is_no_delay(void **state)
{
	(void)state;
	for (unsigned pool = 0; pool < 2; pool++) {
		struct scene scene = scene_make(false);
		struct packet second = udp;

		scene.b->config.openings = pool ? 256 : 2;
		scene.b->config.queue_total_bytes = pool ? 512 : 1 << 20;
		scene_go(&scene);
		begin_inside(&scene, udp);
		second.client_port = 5;
		assert_int_equal(inner(&scene, second), VERDICT_FORWARD);
		carry(scene.b, scene.a, MESSAGE_OPENED, true);
		scene_end(&scene);
	}
}

// The queue of one flow is bounded; what it cannot take is not lost.
static void c5_a_full_queue_forwards(void **state)
{
	struct scene scene = scene_begin(false);
	unsigned queued = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		queued += inner(&scene, udp) == VERDICT_CONSUME;
	assert_int_equal(queued, 16);
	assert_int_equal(node_dropped_all(scene.b), 0);
	scene_end(&scene);
}

// Without a message cell it is told in the next call.
static void c5_told_when_there_is_a_cell(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	scene.b->message_room = 0;
	begin_inside(&scene, udp);
	scene.b->message_room = HARNESS_MESSAGES_MAX;
	node_turn(scene.b);
	confirm(&scene);
	assert_sent(scene.b, 1, OUTSIDE);
	scene_end(&scene);
}

static void t7_3_unsent_is_said_again(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *unsent = calloc(1, sizeof(*unsent));

	(void)state;
	begin_inside(&scene, udp);
	unsent->type = MESSAGE_UNSENT;
	unsent->node = NODE_A;
	unsent->body.flow.key = scene.b->messages[0]->body.record.key;
	node_post(scene.b, unsent);
	for (unsigned i = 0; i < 130 && scene.b->message_count == 0; i++)
		node_pass_ms(scene.b, 10);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->wait_timeouts), 1);
	carry(scene.b, scene.a, MESSAGE_OPENED, true);
	assert_passes(&scene, true, udp);
	free(unsent);
	scene_end(&scene);
}

static void tells_are_limited(void **state)
{
	struct scene scene = scene_make(false);
	unsigned told = 0;

	(void)state;
	scene.b->policy.wait = SHARE_NONE;
	scene.b->policy.limits.per_prefix_flows = 1 << 20;
	scene.b->config.capacity = 1 << 15;
	scene_go(&scene);
	for (uint16_t i = 1; i <= TELLS_PER_S + 5; i++) {
		struct packet packet = udp;

		packet.client_port = i;
		assert_int_equal(inner(&scene, packet), VERDICT_FORWARD);
		told += scene.b->message_count;
	}
	assert_int_equal(told, TELLS_PER_S);
	for (unsigned i = 0; i < 400 && told < TELLS_PER_S + 5; i++) {
		node_pass_ms(scene.b, 20); // ageing tells what is still there
		told += scene.b->message_count;
	}
	assert_int_equal(told, TELLS_PER_S + 5);
	scene_end(&scene);
}

// --- a tracked connection from the inside ---

static void open_from_inside(struct scene *scene)
{
	begin_inside(scene, tcp(TCP_SYN, ISN_C, 0));
	confirm(scene);
	assert_sent(scene->b, 1, OUTSIDE);
	assert_int_equal(scene->b->sent[0].view.tcp_flags, TCP_SYN);
	assert_int_equal(node_state(scene->a, TCP_SYN_SENT), 1);
	assert_passes(scene, true, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1));
	assert_int_equal(node_state(scene->a, TCP_ESTABLISHED), 1);
	assert_passes(scene, false, tcp(TCP_ACK, ISN_C + 1, ISN_S + 1));
	assert_int_equal(node_state(scene->b, TCP_ESTABLISHED), 1);
}

static void t4_0_a_connection_of_the_inside(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct scene scene = scene_begin(ip6);
		struct packet more = tcp(TCP_ACK, ISN_C + 1, ISN_S + 1);

		open_from_inside(&scene);
		for (uint32_t i = 0; i < 20; i++) { // far beyond what either has seen acknowledged
			more.payload = (struct bytes)BYTES("0123456789");
			more.seq = ISN_C + 1 + 10 * i;
			assert_passes(&scene, false, more);
			assert_passes(&scene, true,
				tcp(TCP_ACK, ISN_S + 1 + 1000 * i, ISN_C + 11 + 10 * i));
		}
		close_both(&scene, ISN_C, false);
		scene_end(&scene);
	}
}

// Data of the server establishes the copy, however long the client stays silent, and the copy's
// timer is that of an open connection.
static void t4_0_the_server_speaks_first(void **state)
{
	struct scene scene = scene_begin(false);
	struct packet banner = tcp(TCP_ACK, ISN_S + 1, ISN_C + 1);

	(void)state;
	open_from_inside(&scene);
	banner.payload = (struct bytes)BYTES("220 ready");
	scene.a->now_ns += 1000000000000; // beyond the transitory timer
	node_turn(scene.a);
	assert_passes(&scene, true, banner);
	scene_end(&scene);
}

// A copy lets in what acknowledges its SYN, not what guesses.
static void t1_3_a_guessed_synack(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	confirm(&scene);
	outer(&scene, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 5000));
	assert_int_equal(node_state(scene.a, TCP_SYN_SENT), 1);
	assert_refused(&scene, true, tcp(TCP_RST | TCP_ACK, 0, ISN_C + 5000));
	assert_int_equal(node_state(scene.a, TCP_SYN_SENT), 1);
	// At the owner an ACK that does not follow its SYN establishes nothing either.
	assert_refused(&scene, false, tcp(TCP_ACK, ISN_C + 5000, ISN_S + 1));
	assert_int_equal(node_state(scene.b, TCP_SYN_SENT), 1);
	// A SYN with data (Fast Open) is acknowledged whole.
	assert_passes(&scene, true, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1 + 1000));
	assert_int_equal(node_state(scene.a, TCP_ESTABLISHED), 1);
	scene_end(&scene);
}

static void an_outside_server_refuses(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	confirm(&scene);
	assert_int_equal(outer(&scene, tcp(TCP_RST | TCP_ACK, 0, ISN_C + 1)), VERDICT_FORWARD);
	carry(scene.a, scene.b, MESSAGE_CHANGED, false);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 1);
	carry(scene.b, scene.a, MESSAGE_CHANGED, true); // who else has it is told by the owner
	assert_int_equal(scene.a->message_count, 0);
	scene_end(&scene);
}

// The client gives up its SYN and tries another, with the same port: the copy follows.
static void another_syn_of_the_same_port(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	confirm(&scene);
	begin_inside(&scene, tcp(TCP_SYN, ISN_C + 77777, 0));
	confirm(&scene);
	assert_passes(&scene, true, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 77778));
	assert_int_equal(node_state(scene.a, TCP_ESTABLISHED), 1);
	scene_end(&scene);
}

// A third node has not seen the answer: it is told that there was one. A copy that saw nothing of
// the connection ends without a word.
static void a_third_node(void **state)
{
	struct scene scene = scene_begin(false);
	struct node *c = new_node(NODE_C);
	struct message *opened = calloc(1, sizeof(*opened));

	(void)state;
	node_go(c);
	c->policy.timeouts.transitory_s = c->policy.timeouts.established_s = 2;
	view(scene.b, 1u << NODE_A | 1u << NODE_B | 1u << NODE_C);
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	node_carry(c, scene.b->messages[0], NODE_B);
	memcpy(opened, c->messages[0], sizeof(*opened));
	carry(scene.b, scene.a, MESSAGE_OPENED, true);
	carry(scene.a, scene.b, MESSAGE_CONFIRMED, false);
	assert_int_equal(scene.b->sent_count, 0); // C is missing
	node_carry(scene.b, opened, NODE_C);
	assert_sent(scene.b, 1, OUTSIDE);
	assert_passes(&scene, false, tcp(TCP_ACK, ISN_C + 1, ISN_S + 1));
	for (unsigned i = 0; i < 20 && scene.b->message_count == 0; i++)
		node_pass_ms(scene.b, 100);
	assert_int_equal(scene.b->message_count, 1);
	node_carry(c, scene.b->messages[0], NODE_B);
	assert_int_equal(node_state(c, TCP_ESTABLISHED), 1);
	for (unsigned i = 0; i < 50; i++) {
		node_pass_ms(c, 100);
		assert_int_equal(c->message_count, 0);
	}
	assert_int_equal(engine_flow_count(c->engine), 0);
	free(opened);
	assert_true(node_end(c));
	scene_end(&scene);
}

// --- two histories ---

// Both nodes met the client before either was told: each confirms the other and keeps its own, and
// neither keeps the other's alive.
static void t7_3_two_owners(struct packet packet)
{
	struct scene scene = scene_begin(false);
	struct message *opened = calloc(1, sizeof(*opened));
	unsigned told = 0;

	packet.from_server = true;
	assert_int_equal(node_offer(scene.a, INSIDE, &packet), VERDICT_CONSUME);
	assert_int_equal(inner(&scene, packet), VERDICT_CONSUME);
	memcpy(opened, scene.b->messages[0], sizeof(*opened));
	carry(scene.a, scene.b, MESSAGE_OPENED, true);
	carry(scene.b, scene.a, MESSAGE_CONFIRMED, false);
	assert_sent(scene.a, 1, OUTSIDE);
	node_carry(scene.a, opened, NODE_B);
	carry(scene.a, scene.b, MESSAGE_CONFIRMED, false);
	assert_sent(scene.b, 1, OUTSIDE);
	for (unsigned i = 0; i < 2700; i++) {
		node_pass_ms(scene.a, 100);
		node_pass_ms(scene.b, 100);
		for (unsigned k = 0; k < 2; k++) {
			struct node *from = k ? scene.b : scene.a, *to = k ? scene.a : scene.b;

			if (from->message_count == 0)
				continue;
			told++;
			node_carry(to, from->messages[0], from->policy.node_id);
		}
	}
	assert_true(told <= 2);
	assert_int_equal(engine_flow_count(scene.a->engine), 0);
	assert_int_equal(engine_flow_count(scene.b->engine), 0);
	free(opened);
	scene_end(&scene);
}

static void t7_3_two_histories(void **state)
{
	(void)state;
	t7_3_two_owners(udp);
	t7_3_two_owners(tcp(TCP_SYN, ISN_C, 0));
}

// The client begins anew through B a connection A still has as open: what the server answers
// decides, at A as if the SYN had passed there.
static void t3_9_anew_through_another_node(void **state)
{
	struct scene scene = scene_begin(false);
	struct packet packet = tcp(TCP_SYN, ISN_C, 0);

	(void)state;
	packet.from_server = true;
	assert_int_equal(node_offer(scene.a, INSIDE, &packet), VERDICT_CONSUME);
	carry(scene.a, scene.b, MESSAGE_OPENED, true);
	carry(scene.b, scene.a, MESSAGE_CONFIRMED, false);
	assert_passes(&scene, true, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1));
	packet.flags = TCP_ACK;
	packet.options = (struct bytes){0};
	packet.seq = ISN_C + 1;
	packet.ack = ISN_S + 1;
	assert_int_equal(node_offer(scene.a, INSIDE, &packet), VERDICT_FORWARD);
	node_flush(scene.b); // B has forgotten it
	begin_inside(&scene, tcp(TCP_SYN, ISN_C + 500000, 0));
	confirm(&scene);
	assert_passes(&scene, true, tcp(TCP_SYN | TCP_ACK, 4711, ISN_C + 500001));
	assert_passes(&scene, true, tcp(TCP_ACK, 4712, ISN_C + 500001));
	assert_passes(&scene, true, tcp(TCP_ACK, 4712, ISN_C + 900001));
	scene_end(&scene);
}

// --- ageing ---

// The questions go on, nobody answers for long: the copy is kept by telling, four times in its
// timer at most, and both end when the questions do.
static void t7_5_copies_of_what_is_asked_stay(void **state)
{
	struct scene scene = scene_begin(false);
	unsigned told = 0;

	(void)state;
	begin_inside(&scene, udp);
	confirm(&scene);
	for (unsigned s = 0; s < 600; s++) {
		if (s < 300)
			inner(&scene, udp);
		node_pass_ms(scene.a, 1000);
		for (unsigned i = 0; i < 10; i++) {
			node_pass_ms(scene.b, 100);
			if (scene.b->message_count == 0)
				continue;
			told++;
			carry(scene.b, scene.a, MESSAGE_OPENED, true);
			assert_int_equal(scene.a->message_count, 1); // confirmed, no more
		}
		if (s == 290)
			assert_passes(&scene, true, udp);
	}
	assert_in_range(told, 8, 11); // in 300 s, the timer being 120 s
	assert_int_equal(engine_flow_count(scene.a->engine), 0);
	assert_int_equal(engine_flow_count(scene.b->engine), 0);
	scene_end(&scene);
}

// The answers go on: they keep the copy by themselves, and the next question makes the flow anew.
static void t7_5_what_is_answered_stays(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, udp);
	confirm(&scene);
	for (unsigned s = 0; s < 300; s++) {
		node_pass_ms(scene.b, 1000);
		node_pass_ms(scene.a, 1000);
		assert_passes(&scene, true, udp);
	}
	assert_int_equal(engine_flow_count(scene.b->engine), 0);
	scene.b->tick += 300 / 16;
	begin_inside(&scene, udp);
	confirm(&scene);
	assert_passes(&scene, true, udp);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t7_6_a_tracked_connection),
		cmocka_unit_test(t7_6_a_port_used_again),
		cmocka_unit_test(m5_a_refusal),
		cmocka_unit_test(a_ping_from_outside),
		cmocka_unit_test(answers_that_no_rule_lets_out),
		cmocka_unit_test(a_flood_from_outside_says_nothing),
		cmocka_unit_test(t5_4_an_error),
		cmocka_unit_test(share_none_hands_each_over),
		cmocka_unit_test(t7_6_nobodys_answer),
		cmocka_unit_test(a_copy_stays_silent),
		cmocka_unit_test(a_forbidden_client_is_not_looked_for),
		cmocka_unit_test(t7_6_the_outside_asks_nobody),
		cmocka_unit_test(t7_6_offers_are_limited),
		cmocka_unit_test(c5_questions_of_the_inside),
		cmocka_unit_test(c5_what_follows_queues_in_order),
		cmocka_unit_test(c5_draining_keeps_the_order),
		cmocka_unit_test(c5_timeout_forwards_or_drops),
		cmocka_unit_test(t7_4_a_dead_node_is_not_waited_for),
		cmocka_unit_test(who_does_not_wait),
		cmocka_unit_test(c5_no_room_is_no_delay),
		cmocka_unit_test(c5_a_full_queue_forwards),
		cmocka_unit_test(c5_told_when_there_is_a_cell),
		cmocka_unit_test(t7_3_unsent_is_said_again),
		cmocka_unit_test(tells_are_limited),
		cmocka_unit_test(t4_0_a_connection_of_the_inside),
		cmocka_unit_test(t4_0_the_server_speaks_first),
		cmocka_unit_test(t1_3_a_guessed_synack),
		cmocka_unit_test(an_outside_server_refuses),
		cmocka_unit_test(another_syn_of_the_same_port),
		cmocka_unit_test(a_third_node),
		cmocka_unit_test(t7_3_two_histories),
		cmocka_unit_test(t3_9_anew_through_another_node),
		cmocka_unit_test(t7_5_copies_of_what_is_asked_stay),
		cmocka_unit_test(t7_5_what_is_answered_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
