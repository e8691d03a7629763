// What comes late of an older connection of the same four-tuple, or is missed of its end
// (TCP.md 3.2, 3.9, 4.1, 7.3, 7.6).
#include "again.h"

#include <stdlib.h>
#include <string.h>

static struct packet of_server(struct packet packet)
{
	packet.from_server = true;
	return packet;
}

// A sees the end of the connection, and B, which it does not see meanwhile, does not.
static void end_unheard(struct scene *scene, const struct handshake *handshake, uint32_t ack)
{
	struct packet fin = handshake->ack;
	struct packet back = of_server(tcp(TCP_FIN | TCP_ACK, ISN_S + 1, ack + 1));

	node_view(scene->a, 1u << NODE_A);
	fin.flags = TCP_FIN | TCP_ACK;
	assert_int_equal(node_offer(scene->a, OUTSIDE, &fin), VERDICT_FORWARD);
	assert_int_equal(node_offer(scene->a, INSIDE, &back), VERDICT_FORWARD);
	fin.seq++;
	fin.ack++;
	fin.flags = TCP_ACK;
	assert_int_equal(node_offer(scene->a, OUTSIDE, &fin), VERDICT_FORWARD);
	assert_int_equal(node_state(scene->a, TCP_TIME_WAIT), 1);
	assert_int_equal(node_state(scene->b, TCP_ESTABLISHED), 1);
	node_view(scene->a, 1u << NODE_A | 1u << NODE_B);
}

// The server, in TIME-WAIT, answers the next one's SYN at B, which still passes what is of the old
// one. When the SYN is repeated B is told that it is over, and hands over the next answer.
static void t3_2_an_end_that_was_missed(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	end_unheard(&scene, &handshake, ack);
	node_pass_ms(scene.a, 8);
	handshake_open(scene.a, &handshake, &anew);
	for (unsigned i = 0; i < 20 && scene.a->message_count == 0; i++)
		node_pass_ms(scene.a, 100);
	assert_int_equal(scene.a->message_count, 1);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(scene.a->messages[0]->node, NODE_ALL);
	assert_int_equal(scene.a->sent[scene.a->sent_count - 1].view.tcp_flags, TCP_SYN);
	carry_all(scene.a, scene.b);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 0);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 1);
	assert_int_equal(inner(&scene, tcp(TCP_ACK, ISN_S + 2, ack + 2)), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_FRAME);
	scene_end(&scene);
}

// The same of a tracked one. The first connection of an entry has none before it.
static void t4_1_a_repeated_syn_says_so_too(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet reset = {.flags = TCP_RST, .seq = ISN_C + 1};

	(void)state;
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	assert_int_equal(node_offer(scene.a, OUTSIDE, &reset), VERDICT_FORWARD);
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C + 5000, 0));
	assert_int_equal(outer(&scene, tcp(TCP_SYN, ISN_C + 5000, 0)), VERDICT_FORWARD);
	assert_int_equal(scene.a->message_count, 1);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(scene.a->messages[0]->body.record.state, TCP_CLOSED);
	scene_end(&scene);
}

// A record of the connection B has a copy of, with changes.
static struct message *record_of(struct scene *scene)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_int_equal(scene->a->messages[0]->type, MESSAGE_OPENED);
	memcpy(message, scene->a->messages[0], sizeof(*message));
	message->frame_len = 0;
	return message;
}

static struct message *open_with_record(struct scene *scene)
{
	struct message *message;

	assert_passes(scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(scene, ISN_C);
	message = record_of(scene);
	carry(scene->a, scene->b, MESSAGE_OPENED, false);
	assert_int_equal(engine_flow_count(scene->b->engine), 1);
	return message;
}

// Only whose connections they were may say that they are over.
static void an_end_is_its_owners_to_tell(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct message *message = open_with_record(&scene);
	struct flow_record *record = &message->body.record;

	(void)state;
	record->state = TCP_CLOSED;
	record->incarnation += 100;
	record->owner = NODE_C;
	node_carry(scene.b, message, NODE_C);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 0);
	record->owner = NODE_A;
	node_carry(scene.b, message, NODE_A);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 1);
	// And nobody's own connection is over by that.
	record->owner = NODE_B;
	node_carry(scene.a, message, NODE_B);
	assert_int_equal(node_state(scene.a, TCP_CLOSED), 0);
	free(message);
	scene_end(&scene);
}

// B handed A the answer to the next one's SYN before it hears that what was before is over: that
// has other numbers, and the answer, when it comes again, goes to A again.
static void an_end_has_other_numbers(void **state)
{
	struct scene scene = scene_of(MODE_MSYN);
	struct packet reset = {.flags = TCP_RST, .seq = ISN_C + 1};
	struct packet synack = tcp(TCP_SYN | TCP_ACK, ISN_S, 0);
	struct message *message;

	(void)state;
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	synack.ack = scene.a->sent[0].view.seq + 1;
	assert_int_equal(inner(&scene, synack), VERDICT_CONSUME);
	carry_all(scene.b, scene.a);
	message = record_of(&scene);
	carry_all(scene.a, scene.b);
	assert_int_equal(node_offer(scene.a, OUTSIDE, &reset), VERDICT_FORWARD);
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C + 0x50000, 0));
	synack.ack = scene.a->sent[0].view.seq + 1;
	assert_int_equal(inner(&scene, synack), VERDICT_CONSUME);
	message->body.record.state = TCP_CLOSED;
	message->body.record.translation.e = 0;
	message->body.record.incarnation += 20;
	node_carry(scene.b, message, NODE_A);
	assert_int_equal(node_state(scene.b, TCP_CLOSED), 1);
	assert_int_equal(inner(&scene, synack), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_A);
	free(message);
	scene_end(&scene);
}

// Both nodes saw a SYN of the same client's. The later one is its latest.
static void t7_3_of_two_syns_the_later(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct message *message = open_with_record(&scene);
	struct flow_record *record = &message->body.record;

	(void)state;
	node_flush(scene.a);
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C + 70000, 0));
	record->owner = NODE_B;
	record->incarnation--;
	node_carry(scene.a, message, NODE_B);
	assert_int_equal(scene.a->message_count, 0);
	assert_int_equal(node_state(scene.a, TCP_SYN_SENT), 1);
	record->incarnation += 2;
	record->state = TCP_CLOSED; // what has ended takes nobody's place
	node_carry(scene.a, message, NODE_B);
	assert_int_equal(node_state(scene.a, TCP_SYN_SENT), 1);
	record->state = TCP_SYN_RECV;
	node_carry(scene.a, message, NODE_B);
	assert_int_equal(scene.a->message_count, 1);
	assert_int_equal(node_state(scene.a, TCP_SYN_SENT), 0);
	free(message);
	scene_end(&scene);
}

// B's SYN of the next connection is lost, and the server goes on about the older one, which A is
// asked about again and again: A answered its SYN once, but that is no reason to wait for ever.
static void t7_3_an_older_syn_ack_is_forgotten(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct packet fin = {.from_server = true, .flags = TCP_FIN | TCP_ACK, .seq = ISN_S + 100};
	struct handshake handshake, next;
	unsigned syns = 0;

	(void)state;
	fin.ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, fin.ack);
	handshake_open(scene.b, &next, &anew);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_SYN);
	for (unsigned i = 0; i < 60; i++) {
		node_pass_ms(scene.b, 90);
		syns += scene.b->sent_count;
		node_pass_ms(scene.a, 100);
		assert_int_equal(node_offer(scene.b, INSIDE, &fin), VERDICT_CONSUME);
		syns += scene.b->sent_count;
		node_pass_ms(scene.b, 10);
		syns += scene.b->sent_count;
		if (i == 35)
			assert_int_equal(syns, 0); // A's state may be on its way
	}
	assert_true(syns > 0);
	scene_end(&scene);
}

// B asks the server for the next connection while its copy of the older one stands: what A tells of
// that does not end it.
static void t3_9_a_record_ends_no_opening(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct packet synack = of_server(tcp(TCP_SYN | TCP_ACK, ISN_S + 99999, 0));
	struct handshake handshake;
	struct message *message;

	(void)state;
	synack.options = syn.options;
	handshake_open(scene.a, &handshake, &syn);
	synack.ack = scene.a->sent[0].view.seq + 1;
	assert_int_equal(node_offer(scene.b, INSIDE, &synack), VERDICT_CONSUME);
	carry_all(scene.b, scene.a);
	message = record_of(&scene);
	carry_all(scene.a, scene.b);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	handshake_open(scene.b, &handshake, &anew);
	synack.ack = scene.b->sent[0].view.seq + 1;
	message->body.record.incarnation += 20;
	message->body.record.generation++;
	message->body.record.translation.d++;
	node_carry(scene.b, message, NODE_A);
	assert_int_equal(scene.b->message_count, 0);
	assert_int_equal(node_offer(scene.b, INSIDE, &synack), VERDICT_CONSUME);
	assert_true(scene.b->sent_count > 0);
	assert_int_equal(scene.b->sent[0].view.ack, synack.seq + 1);
	free(message);
	scene_end(&scene);
}

// What was under way for longer than half a second is dropped: it has been repeated since.
static void t7_6_late_frames(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct scene scene = scene_of(MODE_TRACK);

		assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
		assert_int_equal(
			inner(&scene, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1)), VERDICT_CONSUME);
		node_pass_ms(scene.a, late ? 510 : 480);
		node_carry(scene.a, scene.b->messages[0], NODE_B);
		assert_int_equal(scene.a->message_count, late ? 0 : 1);
		assert_int_equal(node_dropped(scene.a, REASON_no_owner), late);
		if (!late) {
			node_pass_ms(scene.b, 1100); // the way back counts anew
			node_carry(scene.b, scene.a->messages[0], NODE_A);
			assert_sent(scene.b, 1, OUTSIDE);
		}
		scene_end(&scene);
	}
}

// A passes the last word of the connection that has ended there, and says that it is not meant for
// sure: when it comes again, who sent another SYN hears of it.
static void t7_6_a_last_word_is_for_whom(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	struct packet word;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	word = of_server(tcp(TCP_ACK, ISN_S + 1, ack));
	assert_int_equal(node_offer(scene.a, INSIDE, &word), VERDICT_FORWARD);
	close_proxied(&scene, &handshake, ack);
	word = tcp(TCP_ACK, ISN_S + 2, ack + 1);
	node_flush(scene.b);
	assert_int_equal(inner(&scene, word), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_A);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_int_equal(scene.a->message_count, 2);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_EMIT);
	assert_int_equal(scene.a->messages[1]->type, MESSAGE_NONE);
	carry_all(scene.a, scene.b);
	assert_int_equal(inner(&scene, word), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL);
	scene_end(&scene);
}

// Of a connection nobody knows only the first segment is offered to all, in a second; but an ACK
// alone may be the last word of an older one to another node's SYN.
static void t7_6_a_last_word_is_offered(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet data = tcp(TCP_ACK, ISN_S + 1, ISN_C + 1);
	struct packet word = data;

	(void)state;
	data.payload = (struct bytes)BYTES("data");
	assert_int_equal(inner(&scene, data), VERDICT_CONSUME);
	assert_int_equal(inner(&scene, data), VERDICT_DROP);
	assert_int_equal(inner(&scene, word), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL);
	assert_int_equal(inner(&scene, word), VERDICT_DROP);
	scene_end(&scene);
}

// What is not translated cannot get the wrong deltas: behind the FIN the ends judge it.
static void t4_0_beyond_the_fin_untranslated(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet data = tcp(TCP_ACK, ISN_C + 1, ISN_S + 2);

	(void)state;
	open_tracked(&scene);
	close_both(&scene, ISN_C, true);
	data.payload = (struct bytes)BYTES("0123456789");
	assert_passes(&scene, true, data);
	scene_end(&scene);
}

// Two connections of one entry differ, however soon the second begins.
static void each_has_its_own_time(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct message *message = open_with_record(&scene);
	struct packet reset = {.flags = TCP_RST, .seq = ISN_C + 1};

	(void)state;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &reset), VERDICT_FORWARD);
	carry_all(scene.a, scene.b);
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C + 70000, 0));
	assert_int_equal(
		inner(&scene, tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 70001)), VERDICT_CONSUME);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(scene.a->messages[0]->body.record.incarnation,
		message->body.record.incarnation + 1);
	free(message);
	scene_end(&scene);
}

// A SYN/ACK for a SYN nobody knows here does not pass as the older connection's, asked or not.
static void t7_6_an_unanswered_synack(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet synack = tcp(TCP_SYN | TCP_ACK, ISN_S + 5000, ISN_C + 9000001);

	(void)state;
	open_tracked(&scene);
	close_both(&scene, ISN_C, true);
	assert_int_equal(inner(&scene, synack), VERDICT_CONSUME);
	assert_refused(&scene, false, synack);
	assert_int_equal(scene.b->verdict.reason, REASON_no_owner);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t3_2_an_end_that_was_missed),
		cmocka_unit_test(t4_1_a_repeated_syn_says_so_too),
		cmocka_unit_test(an_end_is_its_owners_to_tell),
		cmocka_unit_test(an_end_has_other_numbers),
		cmocka_unit_test(t7_3_of_two_syns_the_later),
		cmocka_unit_test(t7_3_an_older_syn_ack_is_forgotten),
		cmocka_unit_test(t3_9_a_record_ends_no_opening),
		cmocka_unit_test(t7_6_late_frames),
		cmocka_unit_test(t7_6_a_last_word_is_for_whom),
		cmocka_unit_test(t7_6_a_last_word_is_offered),
		cmocka_unit_test(t7_6_an_unanswered_synack),
		cmocka_unit_test(t4_0_beyond_the_fin_untranslated),
		cmocka_unit_test(each_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
