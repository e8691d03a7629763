// A client uses its port again, by way of two nodes of which one still has an end of the older
// connection (TCP.md 1.11, 3.2, 3.9, 7.6).
#include "again.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

// The server is in TIME-WAIT, and says so to the SYN of A where B has the end of the connection.
static void t3_2_time_wait_is_said_elsewhere(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 31);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, ack);
	// What follows what it said last is no answer to another SYN.
	assert_int_equal(inner(&scene, tcp(TCP_ACK, ISN_S + 2, ack + 2)), VERDICT_FORWARD);
	handshake_open(scene.a, &handshake, &anew);
	assert_int_equal(inner(&scene, tcp(TCP_ACK, ISN_S + 2, ack + 2)), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_int_equal(scene.a->sent_count, 2);
	assert_int_equal(scene.a->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(scene.a->sent[0].view.seq, ack + 2);
	assert_int_equal(scene.a->sent[1].view.tcp_flags, TCP_SYN);
	// Once a second: it may be what the client waits for.
	assert_int_equal(inner(&scene, tcp(TCP_ACK, ISN_S + 2, ack + 2)), VERDICT_FORWARD);
	node_pass_ms(scene.b, 1000);
	assert_int_equal(inner(&scene, tcp(TCP_ACK, ISN_S + 2, ack + 2)), VERDICT_CONSUME);
	scene_end(&scene);
}

// An end that nobody begins anew from is passed on by who has it, and what does not fit it is not.
static void an_older_end_is_not_meant(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, ack);
	assert_int_equal(inner(&scene, tcp(TCP_ACK, ISN_S + (1u << 30), ack)), VERDICT_CONSUME);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_disowns(scene.a);
	assert_int_equal(node_dropped(scene.a, REASON_no_owner), 1);
	scene_end(&scene);
}

// The last try is answered: the next one has its time, too.
static void t3_2_an_answer_is_no_silence(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	unsigned tries = 1;

	(void)state;
	scene.a->policy.timeouts.server_syn_ms = 100;
	scene.a->policy.timeouts.server_syn_retries = 2;
	handshake_open(scene.a, &handshake, &syn);
	for (unsigned i = 0; i < 1000 && tries < 3; i++) {
		node_pass_ms(scene.a, 10);
		tries += scene.a->sent_count;
	}
	assert_int_equal(tries, 3);
	scene.a->sent_count = 0;
	node_offer(scene.a, INSIDE,
		&(struct packet){.from_server = true, .flags = TCP_ACK, .seq = 1, .ack = 77});
	node_turn(scene.a);
	node_pass_ms(scene.a, 100);
	assert_int_equal(scene.a->sent_count, 0); // no reset for the client
	assert_int_equal(node_state(scene.a, TCP_SYN_SENT), 1);
	scene_end(&scene);
}

// What acknowledges the very SYN comes behind a SYN/ACK that is late.
static void t3_2_the_servers_second_word(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	struct packet ack = {
		.from_server = true, .flags = TCP_ACK, .seq = ISN_S + 1, .window = 700};

	(void)state;
	handshake_open(scene.b, &handshake, &syn);
	ack.ack = scene.b->sent[0].view.seq + 1;
	assert_int_equal(node_offer(scene.b, INSIDE, &ack), VERDICT_DROP);
	assert_int_equal(scene.b->sent_count, 0);
	ack.flags = TCP_SYN | TCP_ACK;
	ack.seq = ISN_S;
	assert_int_equal(node_offer(scene.b, INSIDE, &ack), VERDICT_CONSUME);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	scene_end(&scene);
}

// B had a copy, and the next connection begins at B: it is B's in all respects.
static void t3_9_the_entry_of_a_copy(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct handshake handshake;
	struct packet synack = {.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = ISN_S};
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, ack);
	synack.ack = open_proxied(&scene, scene.b, &handshake, &anew);
	// Its repetition is acknowledged here, and asked of nobody.
	assert_int_equal(node_offer(scene.b, INSIDE, &synack), VERDICT_REPLY);
	assert_int_equal(scene.b->message_count, 0);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_ACK);
	scene_end(&scene);
}

// B has a copy that saw nothing of the client: every number fits, but a proof is one.
static void t3_9_a_proof_where_all_fits(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct handshake handshake;

	(void)state;
	open_proxied(&scene, scene.a, &handshake, &syn);
	handshake_open(scene.b, &handshake, &anew);
	assert_int_equal(scene.b->verdict.kind, VERDICT_CONSUME);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_SYN);
	scene_end(&scene);
}

// A sees the client alone, whose next connection it may not know from a jump of this one.
static void t3_9_a_proof_that_does_not_fit(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct handshake handshake;

	(void)state;
	open_proxied(&scene, scene.a, &handshake, &syn);
	handshake_open(scene.a, &handshake, &anew);
	assert_int_equal(scene.a->verdict.kind, VERDICT_CONSUME);
	assert_int_equal(scene.a->sent[0].view.tcp_flags, TCP_SYN);
	scene_end(&scene);
}

// The first segment of the next connection is lost: the second goes to no server that would reset
// it.
static void t3_9_the_second_segment_comes_first(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20), data;
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, ack);
	data = handshake.ack;
	data.seq++;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &data), VERDICT_FORWARD); // the last word
	anew.flags = TCP_SYN;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &anew), VERDICT_REPLY);
	data.seq = anew.seq + 101;
	data.ack = scene.a->sent[0].view.seq + 1;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &data), VERDICT_DROP);
	assert_int_equal(scene.a->verdict.reason, REASON_out_of_window);
	data.seq = anew.seq + 1;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &data), VERDICT_CONSUME);
	scene_end(&scene);
}

// Only A sees both ends close: what B has is an end of which it saw nothing.
static void close_unseen(struct scene *scene, const struct handshake *handshake, uint32_t ack)
{
	struct packet fin = handshake->ack;

	fin.flags = TCP_FIN | TCP_ACK;
	assert_int_equal(node_offer(scene->a, OUTSIDE, &fin), VERDICT_FORWARD);
	carry_all(scene->a, scene->b);
	fin = tcp(TCP_FIN | TCP_ACK, ISN_S + 1, ack + 1);
	fin.from_server = true;
	assert_int_equal(node_offer(scene->a, INSIDE, &fin), VERDICT_FORWARD);
	carry_all(scene->a, scene->b);
	assert_int_equal(node_state(scene->b, TCP_TIME_WAIT), 1);
}

// The client comes to B, which has not seen it before: what follows its older connection passes,
// the second segment of the next one does not.
static void come_to_copy(
	void (*close)(struct scene *scene, const struct handshake *handshake, uint32_t ack))
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20), data;
	struct handshake handshake;
	uint32_t ack;

	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close(&scene, &handshake, ack);
	anew.flags = TCP_SYN;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &anew), VERDICT_REPLY);
	data = handshake.ack;
	data.seq = anew.seq + 101;
	data.ack = scene.b->sent[0].view.seq + 1;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &data), VERDICT_DROP);
	assert_int_equal(scene.b->verdict.reason, REASON_out_of_window);
	assert_int_equal(scene.b->message_count, 0);
	handshake.ack.seq++;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &handshake.ack), VERDICT_FORWARD);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &data), VERDICT_DROP);
	data.seq = anew.seq + 1;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &data), VERDICT_CONSUME);
	scene_end(&scene);
}

static void t3_9_the_second_segment_at_a_copy(void **state)
{
	(void)state;
	come_to_copy(close_proxied);
	come_to_copy(close_unseen);
}

// Nor one with both numbers a few megabytes beyond: that is where the next one's may begin, and
// where hardly any of a connection goes on that another node saw.
static void t3_9_numbers_that_are_not_near(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	struct packet data;
	uint32_t ack = open_proxied(&scene, scene.a, &handshake, &syn);

	(void)state;
	close_unseen(&scene, &handshake, ack);
	data = handshake.ack;
	data.seq += 2u << 20;
	data.ack += 2u << 20;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &data), VERDICT_DROP);
	assert_int_equal(scene.b->verdict.reason, REASON_out_of_window);
	data.seq -= 3u << 19;
	data.ack -= 3u << 19;
	assert_int_equal(node_offer(scene.b, OUTSIDE, &data), VERDICT_FORWARD);
	scene_end(&scene);
}

// B asks the server for the next connection while its copy of the older one stands, of which A then
// sees the end. Returns what the server acknowledges.
static uint32_t ask_at_copy(struct scene *scene, const struct packet *anew)
{
	struct handshake handshake, next;
	uint32_t ack;

	open_proxied(scene, scene->a, &handshake, &syn);
	handshake_open(scene->b, &next, anew);
	ack = scene->b->sent[0].view.seq + 1;
	handshake.ack.flags = TCP_RST;
	assert_int_equal(node_offer(scene->a, OUTSIDE, &handshake.ack), VERDICT_FORWARD);
	carry(scene->a, scene->b, MESSAGE_CHANGED, false);
	assert_int_equal(node_state(scene->b, TCP_CLOSED), 1);
	return ack;
}

// That is not the end of the next.
static void t3_9_an_end_told_late(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20);
	struct packet synack = {.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = ISN_S};

	(void)state;
	synack.ack = ask_at_copy(&scene, &anew);
	assert_int_equal(scene.b->sent_count, 0); // no reset for the client
	assert_int_equal(node_offer(scene.b, INSIDE, &synack), VERDICT_CONSUME);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	scene_end(&scene);
}

// The client gives that up, too, and begins once more: the entry of what has ended keeps nobody
// out.
static void t3_9_the_one_after_the_next(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet anew = again(1u << 20), third = again(1u << 21);
	struct packet synack = {.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = ISN_S};
	struct handshake handshake;
	uint32_t former;

	(void)state;
	former = ask_at_copy(&scene, &anew);
	handshake_open(scene.b, &handshake, &third);
	assert_int_equal(scene.b->verdict.kind, VERDICT_CONSUME);
	assert_int_equal(scene.b->sent_count, 1);
	assert_int_equal(scene.b->sent[0].view.tcp_flags, TCP_SYN);
	synack.ack = scene.b->sent[0].view.seq + 1;
	assert_int_not_equal(synack.ack, former);
	// A replay opens nothing.
	assert_int_equal(node_offer(scene.b, OUTSIDE, &handshake.ack), VERDICT_CONSUME);
	assert_int_equal(scene.b->sent_count, 0);
	assert_int_equal(node_offer(scene.b, INSIDE, &synack), VERDICT_CONSUME);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	scene_end(&scene);
}

static void tell_again(struct scene *scene)
{
	struct message *resync = calloc(1, sizeof(*resync));

	scene->b->now_ns += 5000000000ULL; // what it handed over is forgotten
	resync->type = MESSAGE_RESYNC;
	resync->why = 1;
	resync->node = NODE_B;
	node_post(scene->a, resync);
	for (unsigned i = 0; i < 100 && scene->a->message_count == 0; i++)
		node_pass_ms(scene->a, 100);
	carry_all(scene->a, scene->b);
	free(resync);
}

// The server's next connection, with A, whose state is on its way to B.
static void go_on_at_a(struct scene *scene)
{
	struct packet anew = again(1u << 30);
	struct handshake handshake;
	uint32_t ack;

	handshake_open(scene->a, &handshake, &anew);
	ack = scene->a->sent[0].view.seq + 1;
	assert_int_equal(inner(scene, tcp(TCP_SYN | TCP_ACK, ISN_S + 99999, ack)), VERDICT_CONSUME);
	carry_all(scene->b, scene->a);
	assert_int_equal(
		inner(scene, tcp(TCP_FIN | TCP_ACK, ISN_S + 100000, ack)), VERDICT_CONSUME);
}

// B forgot a connection, and is told again of it long after it handed over the SYN/ACK: with its
// numbers, or it takes what the server says in the next one for this one's.
static void t3_9_a_connection_that_is_told_again(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	node_flush(scene.b);
	tell_again(&scene);
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	assert_passes(&scene, false, tcp(TCP_ACK, ISN_S + 1, ack));
	close_unseen(&scene, &handshake, ack);
	go_on_at_a(&scene);
	scene_end(&scene);
}

// The end of one is of no use to who forgot it: it may have forgotten the next one, too.
static void t3_9_an_end_that_is_told_again(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, ack);
	node_flush(scene.b);
	tell_again(&scene);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 0);
	go_on_at_a(&scene);
	scene_end(&scene);
}

// Only A sees both FINs.
static void close_at_a(struct scene *scene)
{
	struct packet fin = tcp(TCP_FIN | TCP_ACK, ISN_S + 11, ISN_C + 2);

	fin.from_server = true;
	assert_int_equal(
		outer(scene, tcp(TCP_FIN | TCP_ACK, ISN_C + 1, ISN_S + 11)), VERDICT_FORWARD);
	carry(scene->a, scene->b, MESSAGE_CHANGED, false);
	assert_int_equal(node_offer(scene->a, INSIDE, &fin), VERDICT_FORWARD);
	carry(scene->a, scene->b, MESSAGE_CHANGED, false);
}

// Without a translation it lets pass what the ends of one repeat.
static void t7_6_an_end_that_is_told_again(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet fin = tcp(TCP_FIN | TCP_ACK, ISN_C + 1, ISN_S + 11);

	(void)state;
	open_tracked(&scene);
	close_at_a(&scene);
	node_flush(scene.b);
	tell_again(&scene);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 1);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &fin), VERDICT_FORWARD);
	assert_int_equal(scene.b->message_count, 0);
	scene_end(&scene);
}

static void carry_last_first(struct node *from, struct node *to)
{
	struct message *messages[] = {from->messages[0], from->messages[1]};

	node_carry(to, messages[1], from->policy.node_id);
	node_carry(to, messages[0], from->policy.node_id);
}

// B does not know that the connection has ended: a SYN/ACK for another SYN says so.
static void t7_6_a_synack_where_one_is_open(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);

	(void)state;
	open_tracked(&scene);
	node_flush(scene.a); // forgot it
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C - 5000000, 0));
	answer_anew(&scene, ISN_C - 5000000);
	carry(scene.a, scene.b, MESSAGE_OPENED, false);
	assert_sent(scene.b, 1, OUTSIDE);
	assert_int_equal(scene.b->sent[0].view.ack, ISN_C - 5000000 + 1);
	assert_passes(&scene, true, tcp(TCP_ACK, ISN_C - 5000000 + 1, ISN_S + 1));
	scene_end(&scene);
}

// B hands to A what the server says, as it did last. A has another connection's end: all are asked,
// because one of them may have sent the SYN the server means.
static void t7_6_the_last_owner_is_not_meant(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet stray = tcp(TCP_ACK, ISN_S + (1u << 30), ISN_C + (1u << 30));
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	close_proxied(&scene, &handshake, ack);
	node_flush(scene.b);
	assert_int_equal(inner(&scene, stray), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_A);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_disowns(scene.a);
	carry_all(scene.a, scene.b);
	assert_int_equal(inner(&scene, stray), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_ALL);
	assert_refused(&scene, false, stray); // once a second
	scene_end(&scene);
}

// Who has an older connection does not answer for the SYN/ACK of the next.
static void t7_6_an_older_owner_is_not_meant(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);

	(void)state;
	open_tracked(&scene);
	answer_anew(&scene, ISN_C + 5000000);
	assert_disowns(scene.a);
	assert_int_equal(node_dropped(scene.a, REASON_no_owner), 1);
	scene_end(&scene);
}

// The SYN passed B, which has a copy of the older one: the server's answer, which comes in at C,
// makes it B's.
static void t4_1_a_syn_through_a_copy(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet synack = tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 9000001);
	struct node *c = new_node(NODE_C);

	(void)state;
	synack.from_server = true;
	node_go(c);
	node_view(c, 1u << NODE_A | 1u << NODE_B | 1u << NODE_C);
	open_tracked(&scene);
	assert_passes(&scene, false, tcp(TCP_ACK, ISN_S + 1, ISN_C + 1));
	assert_int_equal(node_offer(scene.b, OUTSIDE,
				 &(struct packet){.flags = TCP_SYN, .seq = ISN_C + 9000000}),
		VERDICT_FORWARD);
	assert_int_equal(node_offer(c, INSIDE, &synack), VERDICT_CONSUME);
	node_carry(scene.b, c->messages[0], NODE_C);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_OPENED);
	assert_int_equal(scene.b->messages[0]->body.record.owner, NODE_B);
	assert_int_equal(scene.b->messages[0]->body.record.isn_client, ISN_C + 9000000);
	// A, whose connection it was, has nothing of it.
	node_carry(scene.a, c->messages[0], NODE_C);
	assert_disowns(scene.a);
	assert_true(node_end(c));
	scene_end(&scene);
}

// A client whose numbers count on begins anew at B soon after. That A sees the older one end is not
// the end of this one, whatever late messages say.
static void an_end_is_of_one_connection(void **state)
{
	const uint32_t isn = ISN_C + 400000;
	struct scene scene = scene_of(MODE_TRACK);
	struct packet reset = {.flags = TCP_RST, .seq = ISN_C + 1};
	struct packet anew = {.flags = TCP_SYN, .seq = isn};

	(void)state;
	open_tracked(&scene);
	node_flush(scene.b); // forgot it
	node_pass_ms(scene.b, 4);
	assert_int_equal(node_offer(scene.b, OUTSIDE, &anew), VERDICT_FORWARD);
	assert_passes(&scene, false, tcp(TCP_SYN | TCP_ACK, ISN_S + 99999, isn + 1));
	assert_int_equal(node_state(scene.b, TCP_SYN_RECV), 1);
	assert_int_equal(node_offer(scene.a, OUTSIDE, &reset), VERDICT_FORWARD);
	carry(scene.a, scene.b, MESSAGE_CHANGED, false);
	assert_int_equal(node_state(scene.b, TCP_SYN_RECV), 1);
	scene_end(&scene);
}

// A's connection has ended, and B told, long ago, of an older one of the same key: that does not
// come back. Of one that began at about the same time A's clock need not know.
static void what_was_long_under_way(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet reset = {.flags = TCP_RST, .seq = ISN_C + 1};
	struct message *message = calloc(1, sizeof(*message));
	struct flow_record *record = &message->body.record;

	(void)state;
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(&scene, ISN_C);
	*record = scene.a->messages[0]->body.record;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &reset), VERDICT_FORWARD);
	assert_int_equal(node_state(scene.a, TCP_CLOSED), 1);
	message->type = MESSAGE_OPENED;
	record->owner = NODE_B;
	record->isn_client = ISN_C - 1000;
	record->incarnation -= 9; // 35 ms
	node_carry(scene.a, message, NODE_B);
	assert_int_equal(scene.a->message_count, 0);
	assert_int_equal(node_state(scene.a, TCP_CLOSED), 1);
	record->incarnation++;
	node_carry(scene.a, message, NODE_B);
	assert_int_equal(scene.a->message_count, 1);
	assert_int_equal(node_state(scene.a, TCP_CLOSED), 0);
	free(message);
	scene_end(&scene);
}

// B offered a SYN/ACK to all when A's older connection, whose record was long under way, is told:
// it is not the answer to that one's SYN, and who sent it is asked.
static void a_record_of_another_syn(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet synack = tcp(TCP_SYN | TCP_ACK, ISN_S, ISN_C + 9000001);
	struct message *late = calloc(1, sizeof(*late));

	(void)state;
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(&scene, ISN_C);
	memcpy(late, scene.a->messages[0], sizeof(*late));
	late->frame_len = 0;
	node_pass_ms(scene.b, 5000);
	assert_int_equal(inner(&scene, synack), VERDICT_CONSUME);
	node_carry(scene.b, late, NODE_A);
	node_pass_ms(scene.b, 1000);
	assert_int_equal(inner(&scene, synack), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_FRAME);
	free(late);
	scene_end(&scene);
}

// What B lets out for A, before it had the state, it has seen: it may come again after the end.
static void what_was_let_out_was_seen(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	struct packet data = tcp(TCP_ACK, ISN_S + 1, ISN_C + 1);

	(void)state;
	data.payload = (struct bytes)BYTES("0123456789");
	open_tracked(&scene);
	node_flush(scene.b);
	assert_int_equal(inner(&scene, data), VERDICT_CONSUME);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_int_equal(scene.a->message_count, 2);
	assert_int_equal(scene.a->messages[0]->type, MESSAGE_EMIT);
	assert_int_equal(scene.a->messages[1]->type, MESSAGE_OPENED);
	carry_last_first(scene.a, scene.b);
	close_at_a(&scene);
	assert_int_equal(node_state(scene.b, TCP_TIME_WAIT), 1);
	assert_passes(&scene, false, data);
	scene_end(&scene);
}

// Each node saw one FIN. What lies beyond it is of the next connection, and would get the deltas of
// this one: it is handed over, and the owner, which saw the client's, knows what acknowledges more.
static void beyond_the_fin(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	struct packet data;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	data = tcp(TCP_ACK, ISN_S + 1, ack);
	assert_passes(&scene, false, data);
	close_proxied(&scene, &handshake, ack);
	data.payload = (struct bytes)BYTES("0");
	assert_passes(&scene, false, data); // once more, with the FIN's number
	data.seq++;
	assert_int_equal(inner(&scene, data), VERDICT_CONSUME);
	assert_int_equal(scene.b->messages[0]->node, NODE_A); // who answered last
	data.ack = ack + 100;
	assert_int_equal(inner(&scene, data), VERDICT_CONSUME);
	node_carry(scene.a, scene.b->messages[0], NODE_B);
	assert_disowns(scene.a);
	scene_end(&scene);
}

// The client's FIN was queued until the server answered, and left with what was before it: nothing
// passes beyond that either, as far as the server's window reaches.
static void beyond_a_fin_that_was_queued(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct packet synack = {.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = ISN_S,
		.window = 700,
		.options = syn.options};
	struct handshake handshake;
	struct packet fin, data;

	(void)state;
	handshake_open(scene.a, &handshake, &syn);
	synack.ack = scene.a->sent[0].view.seq + 1;
	fin = handshake.ack;
	fin.flags |= TCP_FIN;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &fin), VERDICT_CONSUME);
	assert_int_equal(node_offer(scene.b, INSIDE, &synack), VERDICT_CONSUME);
	carry_all(scene.b, scene.a);
	assert_int_equal(scene.a->sent_count, 2);
	assert_int_equal(scene.a->sent[1].view.tcp_flags, TCP_FIN | TCP_ACK);
	carry_all(scene.a, scene.b);
	assert_int_equal(
		inner(&scene, tcp(TCP_FIN | TCP_ACK, ISN_S + 1, synack.ack + 1)), VERDICT_FORWARD);
	carry_all(scene.b, scene.a);
	assert_int_equal(node_state(scene.a, TCP_TIME_WAIT), 1);
	assert_int_equal(node_offer(scene.a, OUTSIDE, &fin), VERDICT_FORWARD); // once more
	data = handshake.ack;
	data.seq += 1000;
	assert_int_equal(node_offer(scene.a, OUTSIDE, &data), VERDICT_DROP);
	assert_int_equal(scene.a->verdict.reason, REASON_out_of_window);
	scene_end(&scene);
}

// Of two owners the later one counts, across the end of a tick, too.
static void the_later_of_two_owners(void **state)
{
	static const struct {
		uint16_t owner, at;
		unsigned confirmed;
	} told[] = {
		{NODE_A, 0x1ff0, 1}, {NODE_C, 0x1fe0, 0}, {NODE_C, 0x2010, 1}, {NODE_A, 0x1ff0, 0}};
	struct scene scene = scene_of(MODE_PROXY);
	struct message *message = calloc(1, sizeof(*message));
	struct flow_record *record = &message->body.record;

	(void)state;
	message->type = MESSAGE_OPENED;
	*record = (struct flow_record){.mode = MODE_PROXY, .service = SERVICE_NONE};
	record->key.protocol = PROTOCOL_TCP;
	record->key.inner_port = 80;
	assert_int_equal(addr_parse(&record->key.outer, "192.0.2.10"), 0);
	assert_int_equal(addr_parse(&record->key.inner, "198.51.100.10"), 0);
	for (unsigned i = 0; i < ARRAY_LEN(told); i++) {
		record->owner = told[i].owner;
		record->incarnation = told[i].at;
		node_carry(scene.b, message, told[i].owner);
		assert_int_equal(scene.b->message_count, told[i].confirmed);
	}
	free(message);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t3_2_time_wait_is_said_elsewhere),
		cmocka_unit_test(an_older_end_is_not_meant),
		cmocka_unit_test(t3_2_an_answer_is_no_silence),
		cmocka_unit_test(t3_2_the_servers_second_word),
		cmocka_unit_test(t3_9_the_entry_of_a_copy),
		cmocka_unit_test(t3_9_a_proof_where_all_fits),
		cmocka_unit_test(t3_9_a_proof_that_does_not_fit),
		cmocka_unit_test(t3_9_the_second_segment_comes_first),
		cmocka_unit_test(t3_9_the_second_segment_at_a_copy),
		cmocka_unit_test(t3_9_numbers_that_are_not_near),
		cmocka_unit_test(t3_9_an_end_told_late),
		cmocka_unit_test(t3_9_the_one_after_the_next),
		cmocka_unit_test(t3_9_a_connection_that_is_told_again),
		cmocka_unit_test(t3_9_an_end_that_is_told_again),
		cmocka_unit_test(t7_6_an_end_that_is_told_again),
		cmocka_unit_test(t7_6_a_synack_where_one_is_open),
		cmocka_unit_test(t7_6_the_last_owner_is_not_meant),
		cmocka_unit_test(t7_6_an_older_owner_is_not_meant),
		cmocka_unit_test(t4_1_a_syn_through_a_copy),
		cmocka_unit_test(an_end_is_of_one_connection),
		cmocka_unit_test(the_later_of_two_owners),
		cmocka_unit_test(what_was_long_under_way),
		cmocka_unit_test(a_record_of_another_syn),
		cmocka_unit_test(what_was_let_out_was_seen),
		cmocka_unit_test(beyond_the_fin),
		cmocka_unit_test(beyond_a_fin_that_was_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
