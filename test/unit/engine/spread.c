#include "spread.h"

#include <stdlib.h>
#include <string.h>

static const struct bytes options = BYTES("\x02\x04\x05\xb4\x04\x02\x01\x03\x03\x07");

struct node *new_node(uint16_t id)
{
	struct node *node = node_make();

	node->policy.node_id = id;
	node->policy.max_id = 15;
	node->policy.clustered = true;
	node->policy.timeouts.share_wait_ms = WAIT_MS;
	node->services[0].mode = MODE_TRACK;
	return node;
}

struct scene scene_make(bool ip6)
{
	return (struct scene){.a = new_node(NODE_A), .b = new_node(NODE_B), .ip6 = ip6};
}

void scene_go(struct scene *scene)
{
	node_go(scene->a);
	node_go(scene->b);
	node_view(scene->a, 1u << NODE_A | 1u << NODE_B);
	node_view(scene->b, 1u << NODE_A | 1u << NODE_B);
}

struct scene scene_begin(bool ip6)
{
	struct scene scene = scene_make(ip6);

	scene_go(&scene);
	return scene;
}

void scene_end(struct scene *scene)
{
	assert_true(node_end(scene->a));
	assert_true(node_end(scene->b));
}

void carry(struct node *from, struct node *to, enum message_type type, bool all)
{
	assert_int_equal(from->message_count, 1);
	assert_int_equal(from->messages[0]->type, type);
	assert_int_equal(from->messages[0]->node, all ? NODE_ALL : to->policy.node_id);
	node_carry(to, from->messages[0], from->policy.node_id);
}

void assert_sent(const struct node *node, unsigned count, uint8_t port)
{
	assert_int_equal(node->sent_count, count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(node->sent[i].port, port);
		assert_true(packet_good(&node->sent[i].frame));
	}
}

enum verdict_kind outer(struct scene *scene, struct packet packet)
{
	packet.ip6 = scene->ip6;
	return node_offer(scene->a, OUTSIDE, &packet);
}

enum verdict_kind inner(struct scene *scene, struct packet packet)
{
	packet.ip6 = scene->ip6;
	packet.from_server = true;
	return node_offer(scene->b, INSIDE, &packet);
}

struct packet tcp(uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct packet){.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 64000,
		.options = flags & TCP_SYN ? options : (struct bytes){0}};
}

struct packet echo(const struct scene *scene, bool reply)
{
	uint8_t type = reply ? 0 : 8;

	if (scene->ip6)
		type = reply ? 129 : 128;
	return (struct packet){.protocol = PROTOCOL_ICMP, .type = type, .rest = 7 << 16};
}

void assert_passes(struct scene *scene, bool outside, struct packet packet)
{
	struct node *node = outside ? scene->a : scene->b;

	assert_int_equal(outside ? outer(scene, packet) : inner(scene, packet), VERDICT_FORWARD);
	assert_int_equal(node->message_count, 0);
}

void assert_refused(struct scene *scene, bool outside, struct packet packet)
{
	struct node *node = outside ? scene->a : scene->b;

	assert_int_equal(outside ? outer(scene, packet) : inner(scene, packet), VERDICT_DROP);
	assert_int_equal(node->message_count, 0);
}

void close_both(struct scene *scene, uint32_t isn_c, bool client_outside)
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

void assert_disowns(const struct node *node)
{
	assert_int_equal(node->message_count, 1);
	assert_int_equal(node->messages[0]->type, MESSAGE_NONE);
	assert_int_equal(node->sent_count, 0);
}

struct packet error_about(const struct scene *scene, struct packet asked, uint8_t *room)
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

void begin_inside(struct scene *scene, struct packet packet)
{
	assert_int_equal(inner(scene, packet), VERDICT_CONSUME);
	assert_int_equal(scene->b->sent_count, 0);
	assert_int_equal(counter_get(&engine_stats(scene->b->engine)->queued), 1);
}

void confirm(struct scene *scene)
{
	carry(scene->b, scene->a, MESSAGE_OPENED, true);
	assert_int_equal(engine_flow_count(scene->a->engine), 1);
	carry(scene->a, scene->b, MESSAGE_CONFIRMED, false);
}
