#include "again.h"

const struct packet syn = {.seq = ISN_C,
	.window = 64240,
	.options = BYTES("\x02\x04\x05\xb4\x04\x02\x01\x03\x03\x07")};

struct scene scene_of(enum flow_mode mode)
{
	struct scene scene = scene_make(false);

	scene.a->services[0].mode = scene.b->services[0].mode = mode;
	scene.a->policy.wait = scene.b->policy.wait = SHARE_NONE;
	scene_go(&scene);
	return scene;
}

void carry_all(struct node *from, struct node *to)
{
	struct message *messages[HARNESS_MESSAGES_MAX];
	unsigned count = from->message_count;

	for (unsigned i = 0; i < count; i++)
		messages[i] = from->messages[i];
	for (unsigned i = 0; i < count; i++)
		node_carry(to, messages[i], from->policy.node_id);
}

uint32_t open_proxied(struct scene *scene, struct node *up, struct handshake *handshake,
	const struct packet *begin)
{
	struct packet synack = {.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = ISN_S,
		.window = 700,
		.options = syn.options};

	handshake_open(up, handshake, begin);
	assert_int_equal(up->sent[0].view.tcp_flags, TCP_SYN);
	synack.ack = up->sent[0].view.seq + 1;
	assert_int_equal(node_offer(scene->b, INSIDE, &synack), VERDICT_CONSUME);
	if (up == scene->b)
		return synack.ack;
	carry_all(scene->b, up);
	carry_all(up, scene->b);
	assert_int_equal(node_state(scene->b, TCP_ESTABLISHED), 1);
	return synack.ack;
}

void close_proxied(struct scene *scene, const struct handshake *handshake, uint32_t ack)
{
	struct packet fin = handshake->ack;

	fin.flags = TCP_FIN | TCP_ACK;
	assert_int_equal(node_offer(scene->a, OUTSIDE, &fin), VERDICT_FORWARD);
	carry_all(scene->a, scene->b);
	assert_int_equal(inner(scene, tcp(TCP_FIN | TCP_ACK, ISN_S + 1, ack + 1)), VERDICT_FORWARD);
	carry_all(scene->b, scene->a);
	assert_int_equal(node_state(scene->b, TCP_TIME_WAIT), 1);
}

struct packet again(uint32_t more)
{
	struct packet packet = syn;

	packet.seq += more;
	return packet;
}

void answer_anew(struct scene *scene, uint32_t isn_c)
{
	assert_int_equal(inner(scene, tcp(TCP_SYN | TCP_ACK, ISN_S, isn_c + 1)), VERDICT_CONSUME);
	carry(scene->b, scene->a, MESSAGE_FRAME, true);
}

void open_tracked(struct scene *scene)
{
	assert_passes(scene, true, tcp(TCP_SYN, ISN_C, 0));
	answer_anew(scene, ISN_C);
	carry(scene->a, scene->b, MESSAGE_OPENED, false);
	assert_sent(scene->b, 1, OUTSIDE);
	assert_passes(scene, true, tcp(TCP_ACK, ISN_C + 1, ISN_S + 1));
}
