// UDP, ICMP and other protocols whose client is inside, over two nodes of which each sees one
// direction: the state is there before the first packet leaves (TCP.md 7.4, 7.5, 9). Proves: C5
// (the engine's part).
#include "spread.h"

#include <stdlib.h>
#include <string.h>

#define TELLS_PER_S 16384

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
	node_view(scene.b, 1u << NODE_B);
	node_turn(scene.b);
	assert_int_equal(scene.b->transmitted, 1);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->wait_timeouts), 0);
	scene_end(&scene);
}

// What began while the node was alone is told to who comes.
static void t7_3_a_node_that_comes(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *resync = calloc(1, sizeof(*resync));

	(void)state;
	node_view(scene.b, 1u << NODE_B);
	assert_passes(&scene, false, udp);
	node_pass_ms(scene.b, 2000);
	assert_int_equal(scene.b->message_count, 0);
	node_view(scene.b, 1u << NODE_A | 1u << NODE_B);
	resync->type = MESSAGE_RESYNC;
	resync->why = 1;
	resync->node = NODE_A;
	node_post(scene.b, resync);
	for (unsigned i = 0; i < 20 && scene.b->message_count == 0; i++)
		node_pass_ms(scene.b, 100);
	carry(scene.b, scene.a, MESSAGE_OPENED, true);
	assert_passes(&scene, true, udp);
	free(resync);
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
			node_view(scene.b, 1u << NODE_B);
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
		struct packet packet = udp;
		unsigned room = pool ? 15 : 8;

		scene.b->config.openings = pool ? 256 : 16;
		scene.b->config.queue_total_bytes = pool ? 16 * 512 : 1 << 20;
		scene_go(&scene);
		for (unsigned i = 0; i < room; i++) {
			packet.client_port = (uint16_t)(1 + i);
			assert_int_equal(inner(&scene, packet), VERDICT_CONSUME);
		}
		packet.client_port = 100;
		assert_int_equal(inner(&scene, packet), VERDICT_FORWARD);
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

static void unsent_is_said_again(struct packet packet)
{
	struct scene scene = scene_begin(false);
	struct message *unsent = calloc(1, sizeof(*unsent));

	begin_inside(&scene, packet);
	unsent->type = MESSAGE_UNSENT;
	unsent->node = NODE_A;
	unsent->body.flow.key = scene.b->messages[0]->body.record.key;
	node_post(scene.b, unsent);
	for (unsigned i = 0; i < 130 && scene.b->message_count == 0; i++)
		node_pass_ms(scene.b, 10);
	assert_int_equal(counter_get(&engine_stats(scene.b->engine)->wait_timeouts), 1);
	carry(scene.b, scene.a, MESSAGE_OPENED, true);
	assert_int_equal(engine_flow_count(scene.a->engine), 1);
	free(unsent);
	scene_end(&scene);
}

static void t7_3_unsent_is_said_again(void **state)
{
	(void)state;
	unsent_is_said_again(udp);
	unsent_is_said_again(tcp(TCP_SYN, ISN_C, 0));
}

// A peer cannot widen the rules here, nor change what is not translated.
static void a_record_that_no_rule_allows(void **state)
{
	struct scene scene = scene_begin(false);
	struct message *good = calloc(1, sizeof(*good));
	struct message *bad = calloc(1, sizeof(*bad));

	(void)state;
	begin_inside(&scene, udp);
	memcpy(good, scene.b->messages[0], sizeof(*good));
	for (unsigned i = 0; i < 4; i++) {
		struct flow_record *record = &bad->body.record;

		memcpy(bad, good, sizeof(*bad));
		if (i == 0)
			record->bits &= (uint8_t)~FLOW_CLIENT_INSIDE; // no rule lets it in
		else if (i == 1)
			record->translation.d = 5;
		else if (i == 2)
			record->mode = MODE_MSYN;
		else
			record->key.zero[0] = 1;
		node_carry(scene.a, bad, NODE_B);
		assert_int_equal(scene.a->message_count, 0);
		assert_int_equal(engine_flow_count(scene.a->engine), 0);
	}
	node_carry(scene.a, good, NODE_B);
	assert_int_equal(engine_flow_count(scene.a->engine), 1);
	free(good);
	free(bad);
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

// Much that has to be said again lies side by side in the table: what finds no cell is next, it
// does not wait until ageing comes by again.
static void t7_3_many_are_said_again(void **state)
{
	struct scene scene = scene_make(false);
	struct message *unsent = calloc(100, sizeof(*unsent));
	unsigned told = 0;

	(void)state;
	scene.b->policy.wait = SHARE_NONE;
	scene.b->policy.limits.per_prefix_flows = 1 << 20;
	scene_go(&scene);
	for (uint16_t i = 0; i < 1000; i++) {
		struct packet packet = udp;

		packet.client_port = (uint16_t)(1000 + i);
		assert_int_equal(inner(&scene, packet), VERDICT_FORWARD);
		if (i / 100 == 4)
			unsent[i % 100].body.flow.key = scene.b->messages[0]->body.record.key;
	}
	for (unsigned i = 0; i < 100; i++) {
		unsent[i].type = MESSAGE_UNSENT;
		unsent[i].node = NODE_A;
		node_post(scene.b, &unsent[i]);
	}
	for (unsigned i = 0; i < 30; i++) {
		node_pass_ms(scene.b, 100);
		told += scene.b->message_count;
	}
	assert_int_equal(told, 100);
	free(unsent);
	scene_end(&scene);
}

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

// The questions take another way, and the node that began the flow forgets it: who sees them now
// speaks for them, to who sees the answers.
static void t7_5_questions_that_move(void **state)
{
	struct scene scene = scene_begin(false);
	struct packet question = udp, answer = udp;

	(void)state;
	question.from_server = true;
	begin_inside(&scene, udp);
	confirm(&scene);
	node_flush(scene.b);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &answer), VERDICT_DROP);
	assert_int_equal(node_offer(scene.a, INSIDE, &question), VERDICT_FORWARD);
	for (unsigned i = 0; i < 20 && scene.a->message_count == 0; i++)
		node_pass_ms(scene.a, 100);
	carry(scene.a, scene.b, MESSAGE_OPENED, true);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &answer), VERDICT_FORWARD);
	node_pass_ms(scene.a, 2000); // once is enough
	assert_int_equal(scene.a->message_count, 0);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c5_questions_of_the_inside),
		cmocka_unit_test(c5_what_follows_queues_in_order),
		cmocka_unit_test(c5_draining_keeps_the_order),
		cmocka_unit_test(c5_timeout_forwards_or_drops),
		cmocka_unit_test(t7_4_a_dead_node_is_not_waited_for),
		cmocka_unit_test(t7_3_a_node_that_comes),
		cmocka_unit_test(who_does_not_wait),
		cmocka_unit_test(c5_no_room_is_no_delay),
		cmocka_unit_test(c5_a_full_queue_forwards),
		cmocka_unit_test(c5_told_when_there_is_a_cell),
		cmocka_unit_test(t7_3_unsent_is_said_again),
		cmocka_unit_test(a_record_that_no_rule_allows),
		cmocka_unit_test(tells_are_limited),
		cmocka_unit_test(t7_3_many_are_said_again),
		cmocka_unit_test(t7_5_copies_of_what_is_asked_stay),
		cmocka_unit_test(t7_5_what_is_answered_stays),
		cmocka_unit_test(t7_5_questions_that_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
