// Flows without a cookie whose client is outside, over two nodes of which each sees one direction:
// the state comes on demand (TCP.md 4.0, 5.4, 7.6). Proves: C1 (the engine's part).
#include "spread.h"

#include <stdlib.h>
#include <string.h>

#define OFFERS_PER_S 8192

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
		// Who had that need not be who has the next: all are asked again.
		open_from_outside(&scene, ISN_C + 100000, true);
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
	scene.a->policy.share = SHARE_NONE;
	assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	carry(scene.a, scene.b, MESSAGE_NONE, false);
	assert_refused(&scene, false, echo(&scene, true));
	assert_int_equal(scene.b->verdict.reason, REASON_no_flow);
	// One of several says no; another has it.
	assert_passes(&scene, true, echo(&scene, false));
	scene.a->now_ns += 1100000000;
	scene.b->now_ns += 1100000000;
	assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
	memcpy(emit, scene.b->messages[0], sizeof(*emit));
	emit->type = MESSAGE_NONE;
	emit->body.flow.key = scene.b->messages[0]->body.flow.key;
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	node_carry(scene.b, emit, NODE_C);
	carry(scene.a, scene.b, MESSAGE_EMIT, false);
	assert_sent(scene.b, 1, OUTSIDE);
	free(emit);
	scene_end(&scene);
}

// The owner answers an offer; who has a copy does, too, only where the owner is gone.
static void a_copy_does_not_answer(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *frame = calloc(1, sizeof(*frame));
	struct packet asked = echo(&scene, false);

	(void)state;
	assert_passes(&scene, true, asked);
	assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
	memcpy(frame, scene.b->messages[0], sizeof(*frame));
	carry(scene.b, scene.a, MESSAGE_FRAME, true);
	carry(scene.a, scene.b, MESSAGE_OPENED, false);
	node_carry(scene.b, frame, NODE_C); // C offers it, too
	assert_disowns(scene.b);
	// Who lets the questions out answers: the owner may have forgotten them.
	asked.from_server = false;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &asked), VERDICT_FORWARD);
	node_carry(scene.b, frame, NODE_C);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_EMIT);
	node_view(scene.b, 1u << NODE_B | 1u << NODE_C);
	node_carry(scene.b, frame, NODE_C);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_EMIT);
	free(frame);
	scene_end(&scene);
}

// The owner has another life, and the questions another way: who has a copy answers the one who
// should know, tells it, and owns the flow.
static void a_copy_answers_its_owner(void **state)
{
	const struct packet kinds[] = {udp, gre};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct scene scene = scene_make(false);
		struct packet answer = kinds[i];

		scene.a->rows[0].protocol = scene.b->rows[0].protocol = RULE_ANY;
		scene.a->policy.row_count = scene.b->policy.row_count = 3; // without "out"
		scene_go(&scene);
		assert_passes(&scene, true, kinds[i]);
		on_demand(&scene, kinds[i]);
		node_flush(scene.a);
		scene.a->now_ns += 5000000000; // what was said of it is forgotten
		assert_int_equal(node_offer(scene.b, OUTSIDE, &kinds[i]), VERDICT_FORWARD);
		answer.from_server = true;
		assert_int_equal(node_offer(scene.a, INSIDE, &answer), VERDICT_CONSUME);
		carry(scene.a, scene.b, MESSAGE_FRAME, true);
		carry(scene.b, scene.a, MESSAGE_OPENED, false);
		assert_sent(scene.a, 1, OUTSIDE);
		assert_int_equal(node_offer(scene.a, INSIDE, &answer), VERDICT_FORWARD);
		scene_end(&scene);
	}
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

// With nobody to ask, what may be another node's is lost by name, and nothing is handed over.
static void nobody_is_asked_where_nobody_is(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct scene scene = scene_make(ip6);
		uint8_t room[PACKET_ROOM_BYTES];

		scene.b->rows[ip6].protocol = RULE_ANY;
		scene.b->policy.row_count = 3; // without "out"
		scene_go(&scene);
		node_view(scene.b, 1u << NODE_B);
		assert_refused(&scene, false, echo(&scene, true));
		assert_refused(&scene, false, udp);
		assert_refused(&scene, false, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1));
		assert_refused(&scene, false, tcp(TCP_RST | TCP_ACK, 0, ISN_C + 1));
		assert_refused(&scene, false, tcp(TCP_ACK, ISN_S, ISN_C + 1));
		assert_refused(&scene, false, error_about(&scene, udp, room));
		assert_int_equal(node_dropped(scene.b, REASON_no_owner), 6);
		assert_int_equal(node_dropped_all(scene.b), 6);
		assert_int_equal(counter_get(&engine_stats(scene.b->engine)->to_peers), 0);
		// As soon as there is somebody, it is.
		node_view(scene.b, 1u << NODE_A | 1u << NODE_B);
		assert_int_equal(inner(&scene, echo(&scene, true)), VERDICT_CONSUME);
		assert_int_equal(scene.b->messages[0]->type, MESSAGE_FRAME);
		scene_end(&scene);
	}
}

// Where a node is alone, what it has of an older connection judges the server's answer.
static void alone_nobody_can_be_asked(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	open_from_outside(&scene, ISN_C, true);
	close_both(&scene, ISN_C, true);
	node_view(scene.b, 1u << NODE_B);
	assert_refused(&scene, false, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 100001));
	assert_int_equal(scene.b->verdict.reason, REASON_no_owner);
	scene_end(&scene);
}

// The server's answer to a node that is gone is lost, and counts so: dropped as it came, which is
// what a capture of drops copies. The reset is one packet more.
static void a_synack_without_its_owner(void **state)
{
	struct scene scene = scene_make(false);
	uint8_t room[PACKET_ROOM_BYTES], before[PACKET_ROOM_BYTES];
	struct packet synack = tcp(TCP_SYN | TCP_ACK, ISN_S, 0);
	struct frame frame;

	(void)state;
	scene.a->services[0].mode = scene.b->services[0].mode = MODE_MSYN;
	scene_go(&scene);
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	node_view(scene.b, 1u << NODE_B);
	synack.ack = scene.a->sent[0].view.seq + 1;
	synack.from_server = true;
	frame = packet_build(room, &synack);
	frame.port = INSIDE;
	memcpy(before, room, sizeof(room));
	assert_int_equal(node_offer_frame(scene.b, frame), VERDICT_DROP);
	assert_int_equal(scene.b->verdict.reason, REASON_no_owner);
	assert_memory_equal(room, before, sizeof(room));
	assert_sent(scene.b, 1, INSIDE);
	assert_true(scene.b->sent[0].view.tcp_flags & TCP_RST);
	assert_int_equal(node_dropped(scene.b, REASON_no_owner), 1);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->consumed), 0);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->to_peers), 0);
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
		cmocka_unit_test(a_copy_does_not_answer),
		cmocka_unit_test(a_copy_answers_its_owner),
		cmocka_unit_test(a_forbidden_client_is_not_looked_for),
		cmocka_unit_test(t7_6_the_outside_asks_nobody),
		cmocka_unit_test(t7_6_offers_are_limited),
		cmocka_unit_test(nobody_is_asked_where_nobody_is),
		cmocka_unit_test(alone_nobody_can_be_asked),
		cmocka_unit_test(a_synack_without_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
