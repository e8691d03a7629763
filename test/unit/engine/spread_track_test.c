// Tracked connections whose client is inside, over two nodes of which each sees one direction, and
// two histories of one flow (TCP.md 4.0, 7.3). Proves: C5 (the engine's part).
#include "spread.h"

#include <stdlib.h>
#include <string.h>

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

// The server's FIN is told before the client's ACK passes.
static void t4_0_the_server_closes_first(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	confirm(&scene);
	assert_passes(&scene, true, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1));
	assert_int_equal(
		outer(&scene, tcp(TCP_FIN | TCP_ACK, ISN_S + 1, ISN_C + 1)), VERDICT_FORWARD);
	carry(scene.a, scene.b, MESSAGE_CHANGED, false);
	assert_passes(&scene, false, tcp(TCP_ACK, ISN_C + 1, ISN_S + 2));
	assert_int_equal(node_state(scene.b, TCP_CLOSING), 1);
	assert_int_equal(
		inner(&scene, tcp(TCP_FIN | TCP_ACK, ISN_C + 1, ISN_S + 2)), VERDICT_FORWARD);
	carry(scene.b, scene.a, MESSAGE_CHANGED, true);
	assert_int_equal(node_state(scene.a, TCP_TIME_WAIT), 1);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 1);
	scene_end(&scene);
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

// While the SYN waits: it is repeated, and the client gives up.
static void c5_what_follows_a_syn_that_waits(void **state)
{
	struct scene scene = scene_begin(false);

	(void)state;
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	assert_int_equal(inner(&scene, tcp(TCP_SYN, ISN_C, 0)), VERDICT_CONSUME);
	assert_int_equal(inner(&scene, tcp(TCP_RST, ISN_C + 1, 0)), VERDICT_CONSUME);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 1);
	node_pass_ms(scene.b, WAIT_MS);
	assert_sent(scene.b, 3, OUTSIDE);
	assert_int_equal(scene.b->sent[2].view.tcp_flags, TCP_RST);
	scene_end(&scene);
}

// Another node says that it is over.
static void closed_while_the_syn_waits(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *closed = calloc(1, sizeof(*closed));
	const struct flow_record *record;

	(void)state;
	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	record = &scene.b->messages[0]->body.record;
	closed->type = MESSAGE_CHANGED;
	closed->node = NODE_A;
	node_name_flow(scene.b, closed, &record->key, record->incarnation, 1);
	closed->body.flow.bits = CHANGE_CLOSED;
	node_post(scene.b, closed);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 1);
	node_pass_ms(scene.b, WAIT_MS + 10);
	assert_sent(scene.b, 1, OUTSIDE); // nobody is told by a reset of ours
	free(closed);
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

// Whatever B says in the next seconds, A is told; returns how much that was.
static unsigned tell_later(struct scene *scene)
{
	unsigned told = 0;

	for (unsigned i = 0; i < 25; i++) {
		node_pass_ms(scene->b, 100);
		for (unsigned k = 0; k < scene->b->message_count; k++, told++)
			node_carry(scene->a, scene->b->messages[k], NODE_B);
	}
	return told;
}

// Both directions pass B. A has seen nothing but what it is told: that is enough for it to go on
// when the routes change, and to end with the connection.
static void one_node_sees_all(bool closed_soon)
{
	struct scene scene = scene_begin(false);
	struct packet answer = tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1);
	struct packet banner = tcp(TCP_ACK, ISN_S + 1, ISN_C + 1);
	struct packet fin = tcp(TCP_FIN | TCP_ACK, ISN_S + 1, ISN_C + 1);

	begin_inside(&scene, tcp(TCP_SYN, ISN_C, 0));
	confirm(&scene);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &answer), VERDICT_FORWARD);
	assert_passes(&scene, false, tcp(TCP_ACK, ISN_C + 1, ISN_S + 1));
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	if (!closed_soon) {
		assert_int_equal(tell_later(&scene), 1);
		assert_int_equal(node_state(scene.a, TCP_ESTABLISHED), 1);
		banner.payload = (struct bytes)BYTES("220 ready");
		assert_passes(&scene, true, banner);
		fin.seq += banner.payload.len;
	}
	assert_int_equal(node_offer(scene.b, OUTSIDE, &fin), VERDICT_FORWARD);
	carry(scene.b, scene.a, MESSAGE_CHANGED, true);
	assert_int_equal(
		inner(&scene, tcp(TCP_FIN | TCP_ACK, ISN_C + 1, fin.seq + 1)), VERDICT_FORWARD);
	carry(scene.b, scene.a, MESSAGE_CHANGED, true);
	tell_later(&scene);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 1);
	assert_int_equal(node_state(scene.a, TCP_TIME_WAIT), 1);
	scene_end(&scene);
}

static void t7_5_one_node_sees_all(void **state)
{
	(void)state;
	one_node_sees_all(false);
	one_node_sees_all(true);
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
	node_view(scene.b, 1u << NODE_A | 1u << NODE_B | 1u << NODE_C);
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
	const uint32_t isn_s = ISN_S + (1u << 30); // far from the old one

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
	assert_passes(&scene, true, tcp(TCP_SYN | TCP_ACK, isn_s, ISN_C + 500001));
	assert_passes(&scene, true, tcp(TCP_ACK, isn_s + 1, ISN_C + 500001));
	assert_passes(&scene, true, tcp(TCP_ACK, isn_s + 1, ISN_C + 900001));
	// The numbers are the new connection's: its reset is exact.
	assert_int_equal(outer(&scene, tcp(TCP_RST, isn_s + 1, 0)), VERDICT_FORWARD);
	assert_int_equal(node_state(scene.a, TCP_CLOSED), 1);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t4_0_a_connection_of_the_inside),
		cmocka_unit_test(t4_0_the_server_closes_first),
		cmocka_unit_test(t4_0_the_server_speaks_first),
		cmocka_unit_test(t1_3_a_guessed_synack),
		cmocka_unit_test(c5_what_follows_a_syn_that_waits),
		cmocka_unit_test(closed_while_the_syn_waits),
		cmocka_unit_test(an_outside_server_refuses),
		cmocka_unit_test(another_syn_of_the_same_port),
		cmocka_unit_test(t7_5_one_node_sees_all),
		cmocka_unit_test(a_third_node),
		cmocka_unit_test(t7_3_two_histories),
		cmocka_unit_test(t3_9_anew_through_another_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
