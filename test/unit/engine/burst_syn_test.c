// SYNs in bursts are answered as one by one, byte for byte: of several services and families, whose
// profiles differ, with every mixture of options.
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

#define ROUNDS	 3000
#define SERVICES 3

// What the services announce, from now on; `less` of the MSS.
static void post_profiles(struct node *node, uint16_t less)
{
	static const struct profile profiles[SERVICES] = {
		{.mss = 1460, .wscale = 7, .sack = true, .timestamps = true, .ecn = true},
		{.mss = 1200, .wscale = OPTIONS_WSCALE_NONE, .sack = false, .timestamps = true},
		{.mss = 9000, .wscale = 0, .sack = true, .timestamps = false},
	};
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->type = MESSAGE_EPOCH;
	CHECK(keyring_derive(&message->body.epoch.keys, node->secret, sizeof(node->secret),
		      HARNESS_TICK / 2) == 0);
	for (unsigned i = 0; i < SERVICES; i++) {
		message->body.epoch.profiles[node->services[i].id] = profiles[i];
		message->body.epoch.profiles[node->services[i].id].mss -= less;
	}
	node_post(node, message);
	free(message);
}

// Services of ports 80 to 82: the last one only tracks.
static struct node *node_of(void)
{
	struct node *node = node_make();

	for (unsigned i = 1; i < SERVICES; i++) {
		node->services[i] = node->services[0];
		snprintf(node->services[i].name, sizeof(node->services[i].name), "other%u", i);
	}
	for (unsigned i = 0; i < SERVICES; i++)
		node->services[i].ports[0].low = node->services[i].ports[0].high =
			(uint16_t)(80 + i);
	node->services[1].queue_bytes = 5000;
	node->services[2].mode = MODE_TRACK;
	node->policy.service_count = SERVICES;
	node_go(node);
	return node;
}

static uint16_t draw_options(uint8_t options[40])
{
	static const uint8_t linux_layout[20] = {
		2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
	static const uint8_t items[6][10] = {
		{2, 4, 5, 0xb4}, {4, 2}, {8, 10, 1, 2, 3, 4}, {3, 3, 9}, {254, 3, 0}, {2, 4, 0, 0}};
	uint16_t len = 0;

	if (draw(2) == 0) {
		memcpy(options, linux_layout, sizeof(linux_layout));
		if (draw(4) == 0)
			options[draw(20)] = (uint8_t)draw(256);
		return sizeof(linux_layout);
	}
	for (unsigned i = 0; i < 6; i++)
		if (draw(3) == 0) {
			memcpy(options + len, items[i], items[i][1]);
			len = (uint16_t)(len + items[i][1]);
		}
	return len;
}

static struct frame draw_frame(uint8_t *room, unsigned number)
{
	char client[32], server[32];
	uint8_t options[40];
	bool ip6 = draw(3) == 0;
	struct packet packet = {.ip6 = ip6,
		.client = client,
		.server = ip6 ? NULL : server,
		.client_port = (uint16_t)(1 + draw(65535)),
		.server_port = (uint16_t)(80 + (draw(4) == 0 ? draw(4) : 0)),
		.flags = TCP_SYN | (draw(4) == 0 ? TCP_ECE | TCP_CWR : 0),
		.seq = draw_word(),
		.window = (uint16_t)draw(65536),
		.tags = {draw(8) == 0 ? 0x8100 : 0},
		.ip_options = {"\1\1\1\1", draw(8) == 0 ? 4 : 0},
		.payload = {"abcde", draw(4) == 0 ? 5 : 0}};

	snprintf(client, sizeof(client), ip6 ? "2001:db8:1:%u::%x" : "192.0.%u.%u", draw(200),
		1 + number);
	snprintf(server, sizeof(server), "198.51.100.%u", draw(2) ? 10 : draw(256));
	if (draw(16) == 0)
		packet.flags = TCP_ACK;
	packet.options = (struct bytes){options, draw_options(options)};
	return packet_build(room, &packet);
}

struct burst {
	uint8_t rooms[ENGINE_BATCH_MAX][PACKET_ROOM_BYTES];
	struct frame frames[ENGINE_BATCH_MAX];
	struct verdict verdicts[ENGINE_BATCH_MAX];
};

static void assert_same_frames(struct node *one, const struct burst *before,
	const struct burst *burst, unsigned i, uint16_t less)
{
	static uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = before->frames[i];
	const struct sent *sent = &one->sent[0];

	memcpy(room, before->rooms[i], sizeof(room));
	frame.data = room + PACKET_HEADROOM_BYTES;
	node_offer_frame(one, frame);
	assert_int_equal(burst->verdicts[i].kind, one->verdict.kind);
	assert_int_equal(burst->verdicts[i].reason, one->verdict.reason);
	assert_int_equal(burst->verdicts[i].rule, one->verdict.rule);
	if (one->verdict.kind != VERDICT_REPLY)
		return;
	assert_int_equal(burst->verdicts[i].port, one->verdict.port);
	assert_int_equal(burst->frames[i].len, sent->frame.len);
	assert_memory_equal(burst->frames[i].data, sent->frame.data, sent->frame.len);
	if ((sent->options.bits & OPTION_MSS) && sent->view.sport == 80)
		assert_int_equal(
			sent->options.mss, (sent->view.bits & VIEW_IP4 ? 1460 : 1440) - less);
}

static void syns_are_as_one_by_one(void **state)
{
	struct node *many = node_of(), *one = node_of();
	struct burst *burst = calloc(1, sizeof(*burst)), *before = calloc(1, sizeof(*before));

	(void)state;
	assert_non_null(burst);
	assert_non_null(before);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct batch batch = {.now_ns = one->now_ns = many->now_ns += 100000,
			.tick = many->tick,
			.frames = burst->frames,
			.verdicts = burst->verdicts,
			.frame_count = 1 + draw(ENGINE_BATCH_MAX)};

		// Most bursts are like those before (flood.c).
		if (round % 50 == 0) {
			post_profiles(one, (uint16_t)(round / 100));
			post_profiles(many, (uint16_t)(round / 100));
		}
		for (unsigned i = 0; i < batch.frame_count; i++)
			burst->frames[i] = draw_frame(burst->rooms[i], i);
		memcpy(before, burst, sizeof(*before));
		engine_run(many->engine, &batch);
		for (unsigned i = 0; i < batch.frame_count; i++)
			assert_same_frames(one, before, burst, i, (uint16_t)(round / 100));
	}
	for (unsigned i = 0; i < SERVICES; i++) {
		const struct engine_service_stats *a = engine_service_stats(one->engine, i),
						  *b = engine_service_stats(many->engine, i);

		assert_int_equal(a->syn, b->syn);
		assert_int_equal(a->synack_sent, b->synack_sent);
		assert_true(a->syn > ROUNDS);
	}
	assert_true(node_dropped(one, REASON_bad_option) > 100);
	assert_true(node_dropped(one, REASON_rule_denied) == 0);
	free(burst);
	free(before);
	node_finish(many);
	free(many);
	node_finish(one);
	free(one);
}

// Another policy: rules that look at the source in front of those of the harness, or none at all,
// and services that change places and modes.
static void draw_policy(struct policy *policy, const struct node *node)
{
	static const char *const targets[4] = {
		"198.51.100.0/25", "198.51.100.8/29", "any", "198.51.100.10"};
	static const char *const sources[4] = {
		"192.0.3.0/24", "192.0.0.0/17", "any", "2001:db8::/32"};
	uint32_t count = draw(7);

	*policy = node->policy;
	policy->rows = calloc(count + node->policy.row_count, sizeof(*policy->rows));
	policy->services = calloc(SERVICES, sizeof(*policy->services));
	assert_non_null(policy->rows);
	assert_non_null(policy->services);
	memcpy(policy->services, node->policy.services, SERVICES * sizeof(*policy->services));
	for (unsigned i = 0; i < SERVICES; i++)
		if (draw(3) == 0)
			assert_int_equal(
				prefix_parse(&policy->services[i].to[0], targets[draw(4)]), 0);
	for (unsigned i = 0; i < SERVICES; i++)
		policy->services[i].mode = draw(6) ? node->policy.services[i].mode : MODE_BYPASS;
	for (uint32_t i = 0; i < count; i++) {
		struct rule_row *row = &policy->rows[i];

		*row = (struct rule_row){
			.sport_high = (uint16_t)(draw(2) ? UINT16_MAX : draw(65536)),
			.dport_low = (uint16_t)(draw(3) ? 0 : 81),
			.dport_high = (uint16_t)(draw(3) ? UINT16_MAX : 80),
			.from = (uint8_t)(draw(2) ? RULE_FROM_ANY : RULE_FROM_OUTSIDE),
			.action = (uint8_t)(draw(2) ? RULE_DENY : RULE_ALLOW),
			.is_signed = draw(4) == 0,
			.rule = 100 + i};
		assert_int_equal(prefix_parse(&row->src, sources[draw(4)]), 0);
		assert_int_equal(prefix_parse(&row->dst, targets[draw(4)]), 0);
	}
	memcpy(policy->rows + count, node->policy.classifier.rows,
		node->policy.row_count * sizeof(*policy->rows));
	policy->row_count += count;
	policy->classifier.rows = policy->rows;
	policy->classifier.row_count = policy->row_count;
}

static void post_policy(struct node *node, const struct policy *policy)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->type = MESSAGE_POLICY;
	message->body.policy = policy;
	node_post(node, message);
	free(message);
}

#define POLICIES 100

// A burst is answered by the rules that count now, whatever was known of SYNs like its own.
static void policies_count_at_once(void **state)
{
	struct node *many = node_of(), *one = node_of();
	struct burst *burst = calloc(1, sizeof(*burst)), *before = calloc(1, sizeof(*before));
	struct policy *policies = calloc(POLICIES, sizeof(*policies));
	unsigned replies = 0, others = 0;

	(void)state;
	assert_non_null(burst);
	assert_non_null(before);
	assert_non_null(policies);
	post_profiles(one, 0);
	post_profiles(many, 0);
	for (unsigned round = 0; round < 10 * POLICIES; round++) {
		struct batch batch = {.now_ns = one->now_ns = many->now_ns += 100000,
			.tick = many->tick,
			.frames = burst->frames,
			.verdicts = burst->verdicts,
			.frame_count = 1 + draw(ENGINE_BATCH_MAX)};

		if (round % 10 == 0) {
			draw_policy(&policies[round / 10], many);
			post_policy(one, &policies[round / 10]);
			post_policy(many, &policies[round / 10]);
		}
		for (unsigned i = 0; i < batch.frame_count; i++)
			burst->frames[i] = draw_frame(burst->rooms[i], i);
		memcpy(before, burst, sizeof(*before));
		engine_run(many->engine, &batch);
		for (unsigned i = 0; i < batch.frame_count; i++) {
			assert_same_frames(one, before, burst, i, 0);
			replies += burst->verdicts[i].kind == VERDICT_REPLY;
			others += burst->verdicts[i].kind != VERDICT_REPLY;
		}
	}
	for (uint32_t rule = 0; rule < 200; rule++)
		assert_int_equal(
			engine_rule_hits(one->engine, rule), engine_rule_hits(many->engine, rule));
	assert_true(replies > 10 * POLICIES && others > 10 * POLICIES);
	node_finish(many);
	node_finish(one);
	for (unsigned i = 0; i < POLICIES; i++) {
		free(policies[i].rows);
		free(policies[i].services);
	}
	free(policies);
	free(burst);
	free(before);
	free(many);
	free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syns_are_as_one_by_one),
		cmocka_unit_test(policies_count_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
