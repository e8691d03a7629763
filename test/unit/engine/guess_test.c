// Blind guesses at a connection of which a node has a copy that has seen nothing yet (TCP.md 4.0,
// 4.1, 4.3): they pass, as what only other nodes can judge does, and decide nothing.
#include "again.h"

#define FAR	0x40000000u
#define GUESSES 3
#define GENUINE 30 // more than a flow has challenges in a second

static void offer(struct node *node, uint8_t side, struct packet packet)
{
	packet.from_server = side == INSIDE;
	assert_int_equal(node_offer(node, side, &packet), VERDICT_FORWARD);
	assert_int_equal(node->message_count, 0);
}

// What the server goes on with at B passes, however much it is.
static void t4_0_a_guess_at_the_servers_numbers(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	for (unsigned i = 0; i < GUESSES; i++)
		offer(scene.b, INSIDE, tcp(TCP_ACK, ISN_S + FAR + i, ack + FAR));
	for (uint32_t i = 0; i < GENUINE; i++)
		offer(scene.b, INSIDE, tcp(TCP_ACK, ISN_S + 1 + i * 1000, ack));
	scene_end(&scene);
}

// Its FIN is none, so nobody is told of it; the server's own is.
static void t4_0_a_guessed_fin(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	struct packet fin = tcp(TCP_FIN | TCP_ACK, ISN_C + FAR, ISN_S + FAR);
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	offer(scene.b, OUTSIDE, fin);
	offer(scene.b, INSIDE, tcp(TCP_FIN | TCP_ACK, ISN_S + FAR, ack + FAR));
	assert_int_equal(node_state(scene.b, TCP_ESTABLISHED), 1);
	assert_int_equal(inner(&scene, tcp(TCP_FIN | TCP_ACK, ISN_S + 1, ack)), VERDICT_FORWARD);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_CHANGED);
	scene_end(&scene);
}

// Later it may have carried anything: the first segment is believed, for its FIN to be seen.
static void t4_3_no_guess_when_it_is_older(void **state)
{
	struct scene scene = scene_of(MODE_PROXY);
	struct handshake handshake;
	uint32_t ack;

	(void)state;
	ack = open_proxied(&scene, scene.a, &handshake, &syn);
	node_pass_ms(scene.b, 1000);
	assert_int_equal(
		inner(&scene, tcp(TCP_FIN | TCP_ACK, ISN_S + FAR, ack + FAR)), VERDICT_FORWARD);
	assert_int_equal(scene.b->message_count, 1);
	assert_int_equal(scene.b->messages[0]->type, MESSAGE_CHANGED);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t4_0_a_guess_at_the_servers_numbers),
		cmocka_unit_test(t4_0_a_guessed_fin),
		cmocka_unit_test(t4_3_no_guess_when_it_is_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
