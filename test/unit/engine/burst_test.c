// What the engine does for a whole burst at once (hashes, limits, tries of cookies, guesses of
// flows) changes nothing: bursts of every size against the same packets one by one.
#include "draw.h"
#include "harness.h"

#include "base/bytes.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TALKS	24
#define ROUNDS	3000
#define STEP_NS 40000000u

struct talk {
	uint32_t isn, cookie, tsval;
	uint16_t port;
	bool ip6, timestamps;
	char client[32];
};

static void put_timestamps(uint8_t options[12], uint32_t tsval, uint32_t tsecr)
{
	be32_put(options, 0x0101080a);
	be32_put(options + 4, tsval);
	be32_put(options + 8, tsecr);
}

// The SYN, and what its answer says.
static void talk_begin(struct node *node, struct talk *talk, unsigned number)
{
	uint8_t options[12];
	struct packet syn = {.flags = TCP_SYN};

	*talk = (struct talk){.isn = draw_word(),
		.port = (uint16_t)(2000 + number),
		.ip6 = number % 3 == 2,
		.timestamps = number % 2 == 1};
	snprintf(talk->client, sizeof(talk->client), talk->ip6 ? "2001:db8:1:%u::1" : "192.0.%u.9",
		number % 5);
	put_timestamps(options, 5, 0);
	syn.ip6 = talk->ip6;
	syn.client = talk->client;
	syn.client_port = talk->port;
	syn.seq = talk->isn;
	if (talk->timestamps)
		syn.options = (struct bytes){options, sizeof(options)};
	assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
	talk->cookie = node->sent[0].view.seq;
	talk->tsval = node->sent[0].options.tsval;
}

// A segment of the client's that proves its cookie, or nearly does.
static struct frame draw_frame(uint8_t *room, const struct talk *talk)
{
	static const uint8_t flags[] = {TCP_SYN, TCP_RST, TCP_ACK | TCP_FIN, TCP_ACK | TCP_RST};
	uint32_t kind = draw(16);
	uint8_t options[12];
	struct packet packet = {.ip6 = talk->ip6,
		.client = talk->client,
		.client_port = talk->port,
		.flags = kind == 0 ? flags[draw(4)] : TCP_ACK,
		.seq = talk->isn + 1 - (kind == 1),
		.ack = talk->cookie + 1,
		.window = 1000,
		.payload = {"abcde", kind == 2 ? 5 : draw(2)}};

	if (kind >= 3 && kind < 8)
		packet.ack = draw_word();
	if (kind >= 8 && kind < 12)
		packet.client_port = (uint16_t)(5000 + draw(60000));
	put_timestamps(options, 6, kind == 12 ? draw_word() : talk->tsval);
	if (talk->timestamps != (kind == 13))
		packet.options = (struct bytes){options, sizeof(options)};
	return packet_build(room, &packet);
}

struct burst {
	uint8_t rooms[ENGINE_BATCH_MAX][PACKET_ROOM_BYTES];
	uint8_t out_rooms[ENGINE_BATCH_MAX][PACKET_ROOM_BYTES];
	struct frame frames[ENGINE_BATCH_MAX], out[ENGINE_BATCH_MAX];
	struct verdict verdicts[ENGINE_BATCH_MAX];
	unsigned count;
};

static void burst_run(struct node *node, struct burst *burst)
{
	struct batch batch = {.now_ns = node->now_ns,
		.tick = node->tick,
		.frames = burst->frames,
		.verdicts = burst->verdicts,
		.frame_count = burst->count,
		.out = burst->out,
		.out_room = ENGINE_BATCH_MAX};

	for (unsigned i = 0; i < ENGINE_BATCH_MAX; i++)
		burst->out[i] = (struct frame){
			.data = burst->out_rooms[i] + PACKET_HEADROOM_BYTES, .tailroom = 2000};
	engine_run(node->engine, &batch);
}

static void assert_same(const struct node *a, const struct node *b)
{
	const struct engine_stats *x = engine_stats(a->engine), *y = engine_stats(b->engine);
	const struct engine_service_stats *s = engine_service_stats(a->engine, 0),
					  *t = engine_service_stats(b->engine, 0);

	for (unsigned reason = 0; reason < REASON_COUNT; reason++)
		assert_int_equal(x->dropped[reason], y->dropped[reason]);
	for (unsigned path = 0; path < PATH_COUNT; path++)
		assert_int_equal(x->path_packets[path], y->path_packets[path]);
	assert_int_equal(x->flows_created, y->flows_created);
	assert_int_equal(s->cookie_valid, t->cookie_valid);
	assert_int_equal(s->cookie_bad, t->cookie_bad);
}

static struct node *node_of(void)
{
	struct node *node = node_make();

	node->policy.limits.bad_ack_prefix_per_s = 12;
	node->policy.limits.bad_ack_per_s = 60;
	node_go(node);
	return node;
}

static void bursts_are_as_one_by_one(void **state)
{
	static struct talk talks[TALKS];
	struct node *many = node_of(), *one = node_of();
	struct burst *burst = calloc(1, sizeof(*burst));

	(void)state;
	assert_non_null(burst);
	for (unsigned i = 0; i < TALKS; i++)
		talk_begin(one, &talks[i], i);
	for (unsigned i = 0; i < TALKS; i++)
		talk_begin(many, &talks[i], i);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t room[PACKET_ROOM_BYTES];

		many->now_ns = one->now_ns += STEP_NS;
		node_turn(one);
		node_turn(many);
		burst->count = 1 + draw(ENGINE_BATCH_MAX);
		for (unsigned i = 0; i < burst->count; i++)
			burst->frames[i] = draw_frame(burst->rooms[i], &talks[draw(TALKS)]);
		for (unsigned i = 0; i < burst->count; i++) {
			struct frame frame = burst->frames[i];

			memcpy(room, burst->rooms[i], sizeof(room));
			frame.data = room + PACKET_HEADROOM_BYTES;
			node_offer_frame(one, frame);
			burst->verdicts[i] = one->verdict;
		}
		struct verdict expected[ENGINE_BATCH_MAX];

		memcpy(expected, burst->verdicts, sizeof(expected));
		burst_run(many, burst);
		for (unsigned i = 0; i < burst->count; i++) {
			assert_int_equal(burst->verdicts[i].kind, expected[i].kind);
			assert_int_equal(burst->verdicts[i].reason, expected[i].reason);
		}
		assert_same(one, many);
	}
	// All that matters has happened.
	assert_true(engine_service_stats(one->engine, 0)->cookie_valid > TALKS);
	assert_true(node_dropped(one, REASON_bad_cookie) > 1000);
	assert_true(node_dropped(one, REASON_rate_limited) > 1000);
	free(burst);
	node_finish(many);
	free(many);
	node_finish(one);
	free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_are_as_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
