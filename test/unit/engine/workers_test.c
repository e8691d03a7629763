// Four engines of one node: a SYN to a proxied service is answered anywhere, everything else by the
// flow's owner, which is flow_worker() of its key. Proves: B1 (the engine's part).
#include "harness.h"

#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define WORKERS 4
#define TUPLES	200u
#define ISN_S	900u

struct group {
	struct node *nodes[WORKERS];
};

static void group_make(struct group *group, enum flow_mode mode)
{
	for (uint16_t i = 0; i < WORKERS; i++) {
		struct node *node = node_make();

		node->config.workers = WORKERS;
		node->config.worker = i;
		node->services[0].mode = (uint8_t)mode;
		node->policy.fragments = FRAGMENTS_PASS;
		group->nodes[i] = node;
		node_go(node);
	}
}

static void group_end(struct group *group)
{
	for (unsigned i = 0; i < WORKERS; i++)
		assert_true(node_end(group->nodes[i]));
}

static unsigned owner_of(struct group *group, uint8_t port, const struct packet *packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);
	struct view view = packet_view(&frame);
	struct flow_key key;

	flow_key_from_view(&key, &view, port == OUTSIDE ? SIDE_OUTSIDE : SIDE_INSIDE);
	return flow_worker(
		flow_key_hash(siphash_key(group->nodes[0]->config.table_key), &key), WORKERS);
}

// Offers the packet to every worker but its owner, which all name the owner, then to the owner.
static struct node *offer(struct group *group, uint8_t port, const struct packet *packet)
{
	unsigned owner = owner_of(group, port, packet);

	for (unsigned i = 0; i < WORKERS; i++) {
		if (i == owner)
			continue;
		assert_int_equal(node_offer(group->nodes[i], port, packet), VERDICT_WORKER);
		assert_int_equal(group->nodes[i]->verdict.worker, owner);
		assert_int_equal(group->nodes[i]->sent_count, 0);
	}
	assert_int_not_equal(node_offer(group->nodes[owner], port, packet), VERDICT_WORKER);
	return group->nodes[owner];
}

static uint64_t flows_of(const struct group *group)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		assert_true(engine_flow_count(group->nodes[i]->engine) > 0);
		sum += engine_flow_count(group->nodes[i]->engine);
	}
	return sum;
}

static void proxied(void **state)
{
	struct group group;

	(void)state;
	group_make(&group, MODE_PROXY);
	for (unsigned i = 0; i < TUPLES; i++) {
		struct packet packet = {.client_port = (uint16_t)(2000 + i),
			.flags = TCP_SYN,
			.seq = 100 * i,
			.window = 1000};
		struct node *node = group.nodes[i % WORKERS], *owner;
		uint32_t cookie;

		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_REPLY);
		cookie = node->sent[0].view.seq;
		packet.flags = TCP_ACK;
		packet.seq++;
		packet.ack = cookie + 1;
		owner = offer(&group, OUTSIDE, &packet);
		assert_int_equal(owner->verdict.kind, VERDICT_CONSUME);
		assert_int_equal(owner->sent[0].view.tcp_flags, TCP_SYN);
		packet.from_server = true;
		packet.flags = TCP_SYN | TCP_ACK;
		packet.ack = packet.seq;
		packet.seq = ISN_S;
		owner = offer(&group, INSIDE, &packet);
		assert_int_equal(owner->verdict.kind, VERDICT_CONSUME);
		packet.flags = TCP_ACK;
		packet.seq = ISN_S + 1;
		packet.payload = (struct bytes)BYTES("data");
		owner = offer(&group, INSIDE, &packet);
		assert_int_equal(owner->verdict.kind, VERDICT_FORWARD);
		assert_int_equal(owner->sent[0].view.seq, cookie + 1);
	}
	assert_int_equal(flows_of(&group), TUPLES);
	group_end(&group);
}

static void everything_else(void **state)
{
	struct group group;
	uint64_t hits = 0, syns = 0, received = 0;

	(void)state;
	group_make(&group, MODE_TRACK);
	for (unsigned i = 0; i < TUPLES; i++) {
		struct packet packet = {
			.client_port = (uint16_t)(2000 + i), .flags = TCP_SYN, .window = 1000};

		assert_int_equal(offer(&group, OUTSIDE, &packet)->verdict.kind, VERDICT_FORWARD);
		packet.from_server = true;
		packet.protocol = PROTOCOL_UDP;
		assert_int_equal(offer(&group, INSIDE, &packet)->verdict.kind, VERDICT_FORWARD);
		packet.from_server = false;
		packet.more_fragments = true;
		packet.payload = (struct bytes)BYTES("01234567");
		assert_int_equal(offer(&group, OUTSIDE, &packet)->verdict.kind, VERDICT_FORWARD);
		packet = (struct packet){
			.protocol = PROTOCOL_ICMP, .type = 8, .rest = (2000 + i) << 16};
		assert_int_equal(offer(&group, OUTSIDE, &packet)->verdict.kind, VERDICT_FORWARD);
		packet.from_server = true;
		packet.type = 0;
		assert_int_equal(offer(&group, INSIDE, &packet)->verdict.kind, VERDICT_FORWARD);
	}
	assert_int_equal(flows_of(&group), 3 * TUPLES);
	// Whoever hands a packet over counts nothing of it.
	for (unsigned i = 0; i < WORKERS; i++) {
		const struct engine *engine = group.nodes[i]->engine;

		hits += engine_rule_hits(engine, 0);
		syns += counter_get(&engine_service_stats(engine, 0)->syn);
		received += counter_get(&engine_stats(engine)->received);
		assert_true(counter_get(&engine_stats(engine)->handed_over) > 0);
	}
	assert_int_equal(hits, TUPLES);
	assert_int_equal(syns, TUPLES);
	assert_int_equal(received, 5 * TUPLES);
	group_end(&group);
}

// An error goes to the owner of the flow it quotes.
static void errors_follow_what_they_quote(void **state)
{
	struct group group;

	(void)state;
	group_make(&group, MODE_TRACK);
	for (unsigned i = 0; i < 50; i++) {
		struct packet query = {.from_server = true,
			.client_port = (uint16_t)(2000 + i),
			.protocol = PROTOCOL_UDP};
		uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame = packet_build(room, &query);
		struct packet error = {.protocol = PROTOCOL_ICMP,
			.client = "203.0.113.9",
			.type = 3,
			.code = 3,
			.payload = {frame.data + 14, 28}};
		unsigned owner = owner_of(&group, INSIDE, &query);

		offer(&group, INSIDE, &query);
		for (unsigned w = 0; w < WORKERS; w++) {
			enum verdict_kind kind = node_offer(group.nodes[w], OUTSIDE, &error);

			assert_int_equal(kind, w == owner ? VERDICT_FORWARD : VERDICT_WORKER);
			assert_true(w == owner || group.nodes[w]->verdict.worker == owner);
		}
	}
	group_end(&group);
}

// A peer's record for another worker's flow is neither kept nor confirmed.
static void install_goes_to_the_owner(void **state)
{
	struct group group;
	struct message *message = calloc(1, sizeof(*message));
	unsigned confirmed = 0;

	(void)state;
	group_make(&group, MODE_PROXY);
	assert_non_null(message);
	message->type = MESSAGE_INSTALL;
	message->node = 7;
	message->body.record = (struct flow_record){.mode = MODE_PROXY, .service = SERVICE_NONE};
	message->body.record.key =
		(struct flow_key){.protocol = PROTOCOL_TCP, .outer_port = 40000, .inner_port = 80};
	addr_parse(&message->body.record.key.outer, "192.0.2.10");
	addr_parse(&message->body.record.key.inner, "198.51.100.10");
	for (unsigned i = 0; i < WORKERS; i++) {
		node_post(group.nodes[i], message);
		confirmed += group.nodes[i]->message_count;
		assert_int_equal(
			engine_flow_count(group.nodes[i]->engine), group.nodes[i]->message_count);
	}
	assert_int_equal(confirmed, 1);
	free(message);
	group_end(&group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxied),
		cmocka_unit_test(everything_else),
		cmocka_unit_test(errors_follow_what_they_quote),
		cmocka_unit_test(install_goes_to_the_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
