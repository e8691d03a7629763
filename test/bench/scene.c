#include "scene.h"

#include "clients.h"

#include "base/bytes.h"
#include "base/check.h"
#include "pkt/checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES    4096
#define BATCH_NS      16000 // the engine's clock: 2 million frames per second
#define INSTALL_BATCH ENGINE_BATCH_MAX
#define RULES_NET     0x0a000000u // 10.0.0.0/8: destinations of the rules that do not match

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // Linux 6.1
#endif

static uint64_t draw(struct scene *scene)
{
	uint64_t z = (scene->random += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

// --- frames ---

static const uint8_t syn_options[20] = {
	2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7};
static const uint8_t ack_options[12] = {1, 1, 8, 10, 0, 1, 2, 3, 0, 0, 4, 5};

static struct packet model(const struct scene *scene)
{
	const struct scene_settings *set = &scene->set;
	struct packet packet = {.ip6 = set->ip6,
		.window = 1000,
		.seq = CLIENT_ISN + 1,
		.ack = SERVER_ISN + D + 1,
		.flags = TCP_ACK,
		.from_server = set->kind == SCENE_TO_CLIENT};

	if (set->kind == SCENE_SYN)
		packet.flags = TCP_SYN;
	if (packet.from_server) {
		packet.seq = SERVER_ISN + 1;
		packet.ack = CLIENT_ISN + 1;
	}
	if (!set->plain)
		packet.options = set->kind == SCENE_SYN
					 ? (struct bytes){syn_options, sizeof(syn_options)}
					 : (struct bytes){ack_options, sizeof(ack_options)};
	return packet;
}

static void pool_put(struct scene *scene, unsigned slot, const struct packet *packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);

	CHECK(frame.len <= SCENE_FRAME_MAX);
	scene->frame_bytes = frame.len;
	memcpy(scene->pool[slot], frame.data, frame.len);
}

// Frames from random sources with random numbers.
static void pool_fill(struct scene *scene)
{
	for (unsigned i = 0; i < SCENE_POOL; i++) {
		struct packet packet = model(scene);
		uint32_t host = (uint32_t)draw(scene) & CLIENT_MASK;
		char client[64];

		if (scene->set.ip6)
			snprintf(client, sizeof(client), "2001:db8:bad:%x::%x", host >> 4,
				host & 0xffff);
		else
			snprintf(client, sizeof(client), "198.%u.%u.%u", 18 + (host >> 16),
				host >> 8 & 255, host & 255);
		packet.client = client;
		packet.client_port = (uint16_t)(1024 + draw(scene) % 60000);
		packet.seq = (uint32_t)draw(scene);
		packet.ack = scene->set.kind == SCENE_ACK ? (uint32_t)draw(scene) : 0;
		pool_put(scene, i, &packet);
	}
}

static bool has_flows(const struct scene *scene)
{
	return scene->set.kind == SCENE_TO_SERVER || scene->set.kind == SCENE_TO_CLIENT;
}

static void put_frame(struct scene *scene, unsigned index, const uint8_t *data)
{
	struct frame *frame = &scene->frames[index];

	*frame = (struct frame){.data = scene->buffers[index] + PACKET_HEADROOM_BYTES,
		.len = scene->frame_bytes,
		.headroom = PACKET_HEADROOM_BYTES,
		.tailroom =
			(uint16_t)(SCENE_BUFFER_BYTES - PACKET_HEADROOM_BYTES - scene->frame_bytes),
		.port = scene->set.kind == SCENE_TO_CLIENT ? INSIDE : OUTSIDE,
		.flags = scene->set.verified ? FRAME_L3_GOOD | FRAME_L4_GOOD : 0};
	memcpy(frame->data, data, scene->frame_bytes);
}

void scene_draw(struct scene *scene)
{
	for (unsigned i = 0; i < SCENE_BATCH; i++) {
		if (!has_flows(scene)) {
			put_frame(scene, i, scene->pool[draw(scene) % SCENE_POOL]);
			continue;
		}
		put_frame(scene, i, scene->pool[0]);
		frame_set_flow(scene->frames[i].data, scene->set.kind == SCENE_TO_CLIENT,
			(uint32_t)(draw(scene) % scene->set.flows));
	}
}

// --- the engine ---

static bool expected(const struct scene *scene, const struct verdict *verdict)
{
	switch (scene->set.kind) {
	case SCENE_SYN:
		return verdict->kind == VERDICT_REPLY;
	case SCENE_ACK:
		return verdict->kind == VERDICT_DROP &&
		       verdict->reason ==
			       (scene->set.limited ? REASON_rate_limited : REASON_bad_cookie);
	default:
		return verdict->kind == VERDICT_FORWARD;
	}
}

uint64_t scene_run(struct scene *scene)
{
	struct batch batch = {.now_ns = scene->node.now_ns += BATCH_NS,
		.tick = scene->node.tick,
		.frames = scene->frames,
		.verdicts = scene->verdicts,
		.frame_count = SCENE_BATCH};
	uint64_t start = tsc_read(), end;

	engine_run(scene->node.engine, &batch);
	end = tsc_read();
	for (unsigned i = 0; i < SCENE_BATCH; i++)
		scene->unexpected += !expected(scene, &scene->verdicts[i]);
	return end - start;
}

void scene_window(struct scene *scene)
{
	uint64_t cycles = 0;

	for (unsigned i = 0; i < scene->set.batches; i++) {
		scene_draw(scene);
		cycles += scene_run(scene);
	}
	scene->windows[scene->window_count++] =
		cycles * 256 / ((uint64_t)scene->set.batches * SCENE_BATCH);
}

static void install_flows(struct scene *scene)
{
	struct message *cells = calloc(INSTALL_BATCH, sizeof(*cells));
	struct message *messages[INSTALL_BATCH];
	struct batch batch = {
		.now_ns = scene->node.now_ns, .tick = scene->node.tick, .messages_in = messages};

	CHECK(cells != NULL);
	for (unsigned i = 0; i < INSTALL_BATCH; i++)
		messages[i] = &cells[i];
	for (uint32_t flow = 0; flow < scene->set.flows;) {
		unsigned count = 0;

		for (; count < INSTALL_BATCH && flow < scene->set.flows; count++, flow++) {
			cells[count].type = MESSAGE_INSTALL;
			cells[count].body.record = client_record(flow);
		}
		batch.messages_in_count = count;
		engine_run(scene->node.engine, &batch);
	}
	free(cells);
	CHECK(engine_flow_count(scene->node.engine) == scene->set.flows);
}

// Shows the engine a segment of every flow from one side.
static void show_flows(struct scene *scene, enum scene_kind kind)
{
	enum scene_kind measured = scene->set.kind;
	struct packet packet;

	scene->set.kind = kind;
	packet = model(scene);
	packet.client = "198.18.0.0";
	packet.client_port = flow_port(0);
	pool_put(scene, 0, &packet);
	for (uint32_t flow = 0; flow < scene->set.flows; flow += SCENE_BATCH) {
		for (unsigned i = 0; i < SCENE_BATCH; i++) {
			put_frame(scene, i, scene->pool[0]);
			frame_set_flow(scene->frames[i].data, kind == SCENE_TO_CLIENT,
				(flow + i) % scene->set.flows);
		}
		scene_run(scene);
	}
	scene->set.kind = measured;
}

// An imported flow is judged liberally until a segment was seen each way (TCP.md 4.3), and its
// client's first may begin another connection: a cookie is looked for in it. The frame shown last
// is the one that is measured.
static void confirm_flows(struct scene *scene)
{
	enum scene_kind kind = scene->set.kind;

	show_flows(scene, kind == SCENE_TO_SERVER ? SCENE_TO_CLIENT : SCENE_TO_SERVER);
	show_flows(scene, kind);
}

// `count` rules of which only the last matches what is measured.
static void write_rules(struct scene *scene)
{
	struct policy *policy = &scene->node.policy;
	uint32_t count = scene->set.rules;

	policy->rows = calloc(count, sizeof(*policy->rows));
	policy->rules = calloc(count, sizeof(*policy->rules));
	CHECK(policy->rows != NULL && policy->rules != NULL);
	for (uint32_t i = 0; i < count; i++) {
		struct rule_row *row = &policy->rows[i];

		*row = scene->node.rows[0];
		row->rule = i;
		if (i + 1 < count)
			row->dst = (struct prefix){addr4(RULES_NET | i << 8), 96 + 24, 4};
	}
	policy->row_count = count;
	policy->rule_count = count;
}

static void start_engine(struct scene *scene)
{
	struct node *node = &scene->node;
	struct policy_limits *limits = &node->policy.limits;
	size_t bytes;

	if (scene->set.rules > 0)
		write_rules(scene);
	node->config.capacity = scene->set.flows + scene->set.flows / 4 + 1024;
	limits->per_prefix_flows = UINT32_MAX;
	limits->bad_ack_per_s = UINT32_MAX;
	limits->bad_ack_prefix_per_s = scene->set.limited ? 0 : UINT32_MAX;
	node_go(node);
	if (scene->set.rules > 0)
		node->policy.classifier.rows = node->policy.rows;
	// The worker maps its engine on huge pages where it can get them.
	bytes = engine_bytes(&node->config) & ~(size_t)(PAGE_BYTES - 1);
	scene->huge_pages = madvise(node->memory, bytes, MADV_COLLAPSE) == 0;
	if (!has_flows(scene))
		return;
	install_flows(scene);
	confirm_flows(scene);
}

struct scene *scene_create(const struct scene_settings *set, unsigned windows)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CHECK(scene != NULL);
	scene->set = *set;
	scene->random = 1;
	scene->windows = calloc(windows, sizeof(*scene->windows));
	CHECK(scene->windows != NULL);
	node_init(&scene->node);
	start_engine(scene);
	if (!has_flows(scene))
		pool_fill(scene);
	scene->unexpected = 0;
	return scene;
}

void scene_destroy(struct scene *scene)
{
	if (scene->set.rules > 0) {
		free(scene->node.policy.rows);
		free(scene->node.policy.rules);
	}
	node_finish(&scene->node);
	free(scene->windows);
	free(scene);
}
