#include "harness.h"

#include "base/bytes.h"
#include "base/check.h"
#include "cookie/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096

static struct prefix prefix(const char *text)
{
	struct prefix out;

	CHECK(prefix_parse(&out, text) == 0);
	return out;
}

static void add_row(struct node *node, unsigned index, const char *name, uint8_t from,
	uint8_t protocol, const char *dst)
{
	struct rule_row *row = &node->rows[index];

	*row = (struct rule_row){.from = from,
		.protocol = protocol,
		.action = RULE_ALLOW,
		.rule = index,
		.sport_high = UINT16_MAX,
		.dport_high = UINT16_MAX};
	row->dst = dst != NULL ? prefix(dst) : (struct prefix){0};
	snprintf(node->rules[index].name, RULE_NAME_BYTES, "%s", name);
	node->rules[index].action = RULE_ALLOW;
	node->policy.row_count = index + 1;
	node->policy.rule_count = index + 1;
}

static void add_service(struct node *node)
{
	struct service *service = &node->services[0];

	snprintf(service->name, SERVICE_NAME_BYTES, "lab");
	service->to[0] = prefix("198.51.100.0/24");
	service->to[1] = prefix("2001:db8:2::/64");
	service->to_count = 2;
	service->protocol = RULE_TCP;
	service->from = RULE_FROM_OUTSIDE;
	service->mode = MODE_PROXY;
	service->ports[0] = (struct port_range){1, UINT16_MAX};
	service->port_count = 1;
	service->queue_bytes = 16384;
	service->profile = (struct profile){
		.mss = 1460, .wscale = 7, .sack = true, .timestamps = true, .ecn = true};
	node->policy.service_count = 1;
}

void node_init(struct node *node)
{
	memset(node, 0, sizeof(*node));
	policy_init(&node->policy);
	add_row(node, 0, "servers4", RULE_FROM_OUTSIDE, RULE_TCP, "198.51.100.0/24");
	add_row(node, 1, "servers6", RULE_FROM_OUTSIDE, RULE_TCP, "2001:db8:2::/64");
	add_row(node, 2, "ping", RULE_FROM_ANY, RULE_ICMP, NULL);
	add_row(node, 3, "out", RULE_FROM_INSIDE, RULE_ANY, NULL);
	add_service(node);
	node->policy.rules = node->rules;
	node->policy.rows = node->rows;
	node->policy.services = node->services;
	node->announced = node->services[0].profile;
	node->config = (struct engine_config){.capacity = 1024,
		.queue_total_bytes = 1 << 20,
		.openings = 256,
		.workers = 1,
		.port_count = 2};
	node->config.ports[0] = (struct engine_port){.side = SIDE_OUTSIDE, .peer = 1, .mtu = 1500};
	node->config.ports[1] = (struct engine_port){.side = SIDE_INSIDE, .peer = 0, .mtu = 1500};
	node->now_ns = 1000000000;
	node->tick = HARNESS_TICK;
	node->lend = HARNESS_LENT;
	node->message_room = HARNESS_MESSAGES_MAX;
	memset(node->secret, 0x5a, sizeof(node->secret));
	memset(node->config.table_key, 0xa5, sizeof(node->config.table_key));
}

void node_epoch(struct node *node, uint32_t epoch)
{
	struct message *message = calloc(1, sizeof(*message));

	CHECK(message != NULL);
	message->type = MESSAGE_EPOCH;
	CHECK(keyring_derive(
		      &message->body.epoch.keys, node->secret, sizeof(node->secret), epoch) == 0);
	for (unsigned i = 0; i < SERVICE_COUNT_MAX; i++)
		message->body.epoch.profiles[i] = node->announced;
	node_post(node, message);
	free(message);
}

static size_t memory_bytes(const struct node *node)
{
	return (engine_bytes(&node->config) + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

void node_restart(struct node *node)
{
	static struct message message;

	memset(node->memory, 0, memory_bytes(node));
	node->engine = engine_init(node->memory, &node->config);
	node->transmitted = 0;
	message.type = MESSAGE_POLICY;
	message.body.policy = &node->policy;
	node_post(node, &message);
	for (uint32_t epoch = node->tick / 2 - 1; epoch <= node->tick / 2 + 1; epoch++)
		node_epoch(node, epoch);
}

void node_go(struct node *node)
{
	node->policy.classifier = (struct classifier){
		.ops = &classifier_linear, .rows = node->rows, .row_count = node->policy.row_count};
	CHECK(policy_adopt(&node->policy, NULL) == 0);
	node->memory = aligned_alloc(PAGE_BYTES, memory_bytes(node));
	CHECK(node->memory != NULL);
	for (unsigned i = 0; i < HARNESS_MESSAGES_MAX; i++)
		node->messages[i] = calloc(1, sizeof(struct message));
	node_restart(node);
}

void node_finish(struct node *node)
{
	for (unsigned i = 0; i < HARNESS_MESSAGES_MAX; i++)
		free(node->messages[i]);
	free(node->memory);
}

static void keep(struct node *node, uint8_t port, const struct frame *frame)
{
	struct sent *sent = &node->sent[node->sent_count++];

	CHECK(node->sent_count <= HARNESS_SENT_MAX);
	sent->port = port;
	memcpy(sent->room + PACKET_HEADROOM_BYTES, frame->data, frame->len);
	sent->frame = (struct frame){.data = sent->room + PACKET_HEADROOM_BYTES,
		.len = frame->len,
		.headroom = PACKET_HEADROOM_BYTES,
		.tailroom = (uint16_t)(PACKET_ROOM_BYTES - PACKET_HEADROOM_BYTES - frame->len),
		.port = port,
		.flags = frame->flags & FRAME_TRUNCATED};
	CHECK(view_parse(&sent->view, &sent->frame) == REASON_NONE);
	sent->options = (struct options){0};
	if (sent->view.bits & VIEW_TCP)
		options_parse(&sent->options, &sent->view);
	node->transmitted++;
}

// The tick stays until the test moves it on.
static uint16_t part_of(uint64_t now_ns)
{
	return now_ns < KEYRING_TICK_NS ? keyring_tick_part(now_ns) : KEYRING_TICK_PARTS - 1;
}

static void call(struct node *node, struct batch *batch)
{
	static uint8_t rooms[HARNESS_LENT][PACKET_ROOM_BYTES];
	struct frame lent[HARNESS_LENT];

	for (unsigned i = 0; i < HARNESS_LENT; i++)
		lent[i] = (struct frame){.data = rooms[i] + PACKET_HEADROOM_BYTES,
			.headroom = PACKET_HEADROOM_BYTES,
			.tailroom = PACKET_ROOM_BYTES - PACKET_HEADROOM_BYTES};
	batch->now_ns = node->now_ns;
	batch->tick = node->tick;
	batch->tick_part = part_of(node->now_ns);
	batch->out = lent;
	batch->out_room = node->lend;
	batch->messages_out = node->messages;
	batch->messages_out_room = node->message_room;
	engine_run(node->engine, batch);
	for (unsigned i = 0; i < batch->frame_count; i++)
		if (batch->verdicts[i].kind == VERDICT_FORWARD ||
			batch->verdicts[i].kind == VERDICT_REPLY)
			keep(node, batch->verdicts[i].port, &batch->frames[i]);
	for (unsigned i = 0; i < batch->out_used; i++)
		keep(node, batch->out[i].port, &batch->out[i]);
	node->message_count = batch->messages_out_used;
}

enum verdict_kind node_offer_frame(struct node *node, struct frame frame)
{
	struct batch batch = {.frames = &frame, .verdicts = &node->verdict, .frame_count = 1};

	node->sent_count = 0;
	call(node, &batch);
	return node->verdict.kind;
}

enum verdict_kind node_offer(struct node *node, uint8_t port, const struct packet *packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);

	frame.port = port;
	return node_offer_frame(node, frame);
}

void node_name_flow(const struct node *to, struct message *message, const struct flow_key *key,
	uint32_t incarnation, uint16_t generation)
{
	uint64_t hash = flow_key_hash(siphash_key(to->config.table_key), key);

	message->body.flow = (struct message_flow){.digest = flow_digest(hash, incarnation),
		.generation = generation,
		.bits = message->body.flow.bits};
}

void node_carry(struct node *to, const struct message *message, uint16_t from)
{
	struct message *copy = malloc(sizeof(*copy));

	CHECK(copy != NULL);
	memcpy(copy, message, sizeof(*copy));
	copy->node = from;
	if (message->type == MESSAGE_OPENED) {
		copy->type = MESSAGE_INSTALL;
		// Who only finds is not told them but where it is asked for.
		if (message->node != NODE_ALL && !message->why)
			copy->body.record.cookie = copy->body.record.isn_client = 0;
	} else {
		node_name_flow(to, copy, &message->body.flow.key, message->body.flow.incarnation,
			message->body.flow.generation);
	}
	node_post(to, copy);
	free(copy);
}

void node_post(struct node *node, const struct message *message)
{
	struct message *copy = malloc(sizeof(*copy));
	struct batch batch = {.messages_in = &copy, .messages_in_count = 1};

	CHECK(copy != NULL);
	memcpy(copy, message, sizeof(*copy));
	node->sent_count = 0;
	call(node, &batch);
	free(copy);
}

void node_turn(struct node *node)
{
	struct batch batch = {0};

	call(node, &batch);
}

void node_pass_ms(struct node *node, uint32_t ms)
{
	node->sent_count = 0;
	while (ms > 0) {
		uint32_t step = ms < 100 ? ms : 100;

		node->now_ns += step * 1000000ULL;
		node_turn(node);
		ms -= step;
	}
}

struct node *node_make(void)
{
	struct node *node = malloc(sizeof(*node));

	CHECK(node != NULL);
	node_init(node);
	return node;
}

void node_flush(struct node *node)
{
	struct message *message = calloc(1, sizeof(*message));

	CHECK(message != NULL);
	message->type = MESSAGE_FLUSH;
	node_post(node, message);
	free(message);
}

bool node_end(struct node *node)
{
	const struct engine_stats *stats = engine_stats(node->engine);
	bool good = node_unexplained(node) == 0 && node_gauges_good(node);

	node_flush(node);
	good = good && node_unexplained(node) == 0 && node_gauges_good(node) &&
	       engine_flow_count(node->engine) == 0 && engine_queued_bytes(node->engine) == 0 &&
	       counter_get(&stats->queued) == 0 &&
	       engine_idle_ns(node->engine, node->now_ns) == UINT64_MAX;
	node_finish(node);
	free(node);
	return good;
}

uint64_t node_state(const struct node *node, unsigned state)
{
	return counter_get(&engine_stats(node->engine)->states[state]);
}

static uint64_t flows_left(const struct node *node)
{
	const struct engine_stats *stats = engine_stats(node->engine);

	return counter_get(&stats->flows_created) - counter_get(&stats->flows_closed) -
	       counter_get(&stats->flows_expired) - counter_get(&stats->flows_evicted);
}

bool node_gauges_good(const struct node *node)
{
	uint64_t flows = engine_flow_count(node->engine), states = 0, services = 0;

	for (unsigned i = 0; i <= TCP_STATE_COUNT; i++) {
		if (node_state(node, i) > flows)
			return false;
		states += node_state(node, i);
	}
	for (uint16_t i = 0; i < ARRAY_LEN(node->services); i++) // ids are given from 0 up
		services += counter_get(&engine_service_stats(node->engine, i)->flows);
	return states == flows && services <= flows && flows == flows_left(node);
}

bool node_remembers(const struct node *node, unsigned count)
{
	return engine_flow_count(node->engine) == count && node_state(node, TCP_CLOSED) == count &&
	       counter_get(&engine_service_stats(node->engine, 0)->flows) == 0;
}

uint64_t node_dropped(const struct node *node, enum reason reason)
{
	return counter_get(&engine_stats(node->engine)->dropped[reason]);
}

uint64_t node_dropped_all(const struct node *node)
{
	uint64_t sum = 0;

	for (unsigned i = 1; i < REASON_COUNT; i++)
		sum += node_dropped(node, i);
	return sum;
}

int64_t node_unexplained(const struct node *node)
{
	const struct engine_stats *stats = engine_stats(node->engine);

	return (int64_t)(counter_get(&stats->received) + counter_get(&stats->generated) +
			 counter_get(&stats->from_peers)) -
	       (int64_t)(node->transmitted + counter_get(&stats->consumed) +
			 counter_get(&stats->queued) + counter_get(&stats->to_peers) +
			 node_dropped_all(node));
}

void handshake_open(struct node *node, struct handshake *handshake, const struct packet *syn)
{
	uint8_t *at = handshake->ack_options;

	handshake->syn = *syn;
	handshake->syn.flags |= TCP_SYN;
	node_offer(node, OUTSIDE, &handshake->syn);
	CHECK(node->verdict.kind == VERDICT_REPLY && node->sent_count == 1);
	handshake->synack = node->sent[0];
	handshake->cookie = handshake->synack.view.seq;
	handshake->ack = *syn;
	handshake->ack.flags = TCP_ACK;
	handshake->ack.seq = syn->seq + 1;
	handshake->ack.ack = handshake->cookie + 1;
	handshake->ack.options = (struct bytes){0};
	if (handshake->synack.options.bits & OPTION_TIMESTAMPS) {
		memcpy(at, "\x01\x01\x08\x0a", 4);
		be32_put(at + 4, 5000);
		be32_put(at + 8, handshake->synack.options.tsval);
		handshake->ack.options = (struct bytes){at, 12};
	}
	node_offer(node, OUTSIDE, &handshake->ack);
}

void handshake_answer(struct node *node, const struct handshake *handshake, uint32_t isn_server,
	struct bytes options)
{
	struct packet synack = handshake->syn;

	synack.from_server = true;
	synack.flags = TCP_SYN | TCP_ACK;
	synack.seq = isn_server;
	synack.ack = node->sent[0].view.seq + 1;
	synack.window = 65000;
	synack.payload = (struct bytes){0};
	synack.options = options;
	node_offer(node, INSIDE, &synack);
}

void node_view(struct node *node, uint64_t active)
{
	static struct message message;

	message.type = MESSAGE_VIEW;
	message.body.view = (struct message_view){.active = active, .decodes = true};
	node_post(node, &message);
}
