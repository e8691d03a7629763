// What a node is told of the next connection of a four-tuple while it has the end of the one before
// (TCP.md 3.9, 7.3, 7.6).
#include "again.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

// A connection of A's own that has ended, and a message of B's about the key, of `parts` later.
static struct message *after_an_end(struct scene *scene, uint32_t parts)
{
	struct packet reset = {.flags = TCP_RST, .seq = ISN_C + 1};
	struct message *message = calloc(1, sizeof(*message));

	assert_passes(scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(scene, ISN_C);
	message->body.record = scene->a->messages[0]->body.record;
	assert_int_equal(node_offer(scene->a, OUTSIDE, &reset), VERDICT_FORWARD);
	assert_int_equal(node_state(scene->a, TCP_CLOSED), 1);
	message->type = MESSAGE_OPENED;
	message->body.record.owner = NODE_B;
	message->body.record.incarnation += parts;
	return message;
}

// B could not tell A before the next one had ended, too: what its ends repeat comes in at A.
static void t7_3_an_end_behind_an_end(void **state)
{
	static const uint32_t later[] = {9, 8}; // the second may be of the same time
	static const unsigned taken[] = {1, 0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct scene scene = scene_of(MODE_TRACK);
		struct message *message = after_an_end(&scene, later[i]);

		message->body.record.state = TCP_TIME_WAIT;
		node_carry(scene.a, message, NODE_B);
		assert_int_equal(node_state(scene.a, TCP_TIME_WAIT), taken[i]);
		assert_int_equal(node_state(scene.a, TCP_CLOSED), 1 - taken[i]);
		free(message);
		scene_end(&scene);
	}
}

// A's own has ended, and its counter is ahead of B's: by that the next one, at B, looks older. What
// A handed over says better which is which, and comes back with the record.
static void t7_6_the_answer_comes_back(void **state)
{
	(void)state;
	for (unsigned with_frame = 0; with_frame < 2; with_frame++) {
		struct scene scene = scene_of(MODE_TRACK);
		struct packet synack = tcp(TCP_SYN | TCP_ACK, ISN_S + 99999, ISN_C + 9000001);
		struct message *message = after_an_end(&scene, (uint32_t)-16);

		synack.from_server = true;
		assert_int_equal(node_offer(scene.a, INSIDE, &synack), VERDICT_CONSUME);
		assert_int_equal(scene.a->messages[0]->type, MESSAGE_FRAME);
		if (with_frame) {
			message->frame_len = scene.a->messages[0]->frame_len;
			message->frame_side = OUTSIDE;
			memcpy(message->frame, scene.a->messages[0]->frame, message->frame_len);
		}
		message->body.record.isn_client = 0; // as on the wire: A saw the SYN/ACK
		message->body.record.state = TCP_SYN_RECV;
		node_carry(scene.a, message, NODE_B);
		assert_int_equal(node_state(scene.a, TCP_SYN_RECV), with_frame);
		free(message);
		scene_end(&scene);
	}
}

// The SYN/ACK of an older connection meets the SYN of the next one, passes for the client to refuse
// it, and brings the state to B: with the numbers B has to wait for.
static void t7_6_the_numbers_go_along(void **state)
{
	struct scene scene = scene_of(MODE_TRACK);
	const struct message *opened;

	(void)state;
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(&scene, ISN_C - 70000);
	opened = scene.a->messages[0];
	assert_int_equal(opened->type, MESSAGE_OPENED);
	assert_int_equal(opened->body.record.state, TCP_SYN_SENT);
	assert_int_equal(opened->body.record.isn_client, ISN_C);
	assert_int_equal(opened->why, 1);
	scene_end(&scene);
	scene = scene_of(MODE_TRACK);
	assert_passes(&scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(&scene, ISN_C);
	assert_int_equal(scene.a->messages[0]->body.record.state, TCP_SYN_RECV);
	assert_int_equal(scene.a->messages[0]->why, 0);
	scene_end(&scene);
}

// B has the end, saw nothing of the client, and all of the server. A client's segment that
// acknowledges what it did not send is of the next one, though no number of it is far.
static void t3_9_what_the_server_did_not_send(void **state)
{
	static const uint32_t more[] = {2, 1, 0, (uint32_t)-1, (uint32_t)-2}; // the FIN is one
	static const enum verdict_kind kinds[] = {
		VERDICT_DROP, VERDICT_FORWARD, VERDICT_FORWARD, VERDICT_FORWARD, VERDICT_DROP};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
		struct scene scene = scene_of(MODE_PROXY);
		struct handshake handshake;
		struct packet packet;
		uint32_t ack = open_proxied(&scene, scene.a, &handshake, &syn);

		assert_passes(&scene, false, tcp(TCP_ACK, ISN_S + 1, ack));
		close_proxied(&scene, &handshake, ack);
		packet = handshake.ack;
		packet.seq++;
		packet.ack += more[i];
		assert_int_equal(node_offer(scene.b, OUTSIDE, &packet), kinds[i]);
		scene_end(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t7_3_an_end_behind_an_end),
		cmocka_unit_test(t7_6_the_answer_comes_back),
		cmocka_unit_test(t7_6_the_numbers_go_along),
		cmocka_unit_test(t3_9_what_the_server_did_not_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
