#include "storm.h"

#include "base/bytes.h"
#include "base/check.h"
#include "cookie/keyring.h"
#include "cookie/msyn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_FIRST 40000
#define L2_BYTES   14
#define MS	   1000000ULL

static uint32_t choose(struct storm *storm, uint32_t bound)
{
	return storm->choose(storm->source, bound);
}

static bool one_in(struct storm *storm, uint32_t bound)
{
	return choose(storm, bound) == bound - 1;
}

static void add_services(struct node *node)
{
	static const enum flow_mode modes[] = {MODE_PROXY, MODE_TRACK, MODE_BYPASS, MODE_MSYN};
	static const uint16_t ports[] = {80, 81, 82, 83};

	for (unsigned i = 1; i < ARRAY_LEN(modes); i++)
		node->services[i] = node->services[0];
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		struct service *service = &node->services[i];

		snprintf(service->name, sizeof(service->name), "service%u", i);
		service->mode = (uint8_t)modes[i];
		service->ports[0] = (struct port_range){ports[i], ports[i]};
		service->queue_bytes = 2048;
		service->learn = i == 0;
	}
	node->policy.service_count = ARRAY_LEN(modes);
}

void storm_node_init(struct node *node)
{
	node_init(node);
	add_services(node);
	node->rows[0].protocol = RULE_ANY;
	node->config.capacity = 16;
	node->config.openings = 4;
	node->config.queue_total_bytes = 12 * 512;
	node->policy.clustered = true;
	node->policy.node_id = 3;
	node->policy.max_id = 15;
	node->policy.fragments = FRAGMENTS_PASS;
	node->policy.limits.per_prefix_flows = 6;
	node->policy.limits.reset_per_s = 20;
	node->policy.limits.bad_ack_prefix_per_s = 1000;
	node->policy.timeouts.server_syn_retries = 1;
	node->policy.timeouts.server_syn_ms = 400;
}

void storm_init(struct storm *storm, struct node *node)
{
	memset(storm, 0, sizeof(*storm));
	storm->node = node;
	storm->last = (struct frame){.data = storm->last_room, .len = L2_BYTES};
	storm->message = calloc(1, sizeof(*storm->message));
	CHECK(storm->message != NULL);
}

void storm_finish(struct storm *storm)
{
	free(storm->message);
}

static struct talk *talk_of(struct storm *storm, uint16_t port)
{
	unsigned index = (unsigned)port - PORT_FIRST;

	return index < STORM_TALKS ? &storm->talks[index] : NULL;
}

// Learns from what left: cookies, server SYNs, messages.
static void learn(struct storm *storm)
{
	const struct node *node = storm->node;

	for (unsigned i = 0; i < node->sent_count; i++) {
		const struct sent *sent = &node->sent[i];
		bool to_client = sent->port == OUTSIDE;
		struct talk *talk;

		if (sent->frame.len >= L2_BYTES) {
			storm->last = sent->frame;
			storm->last.data = storm->last_room;
			memcpy(storm->last_room, sent->frame.data, sent->frame.len);
		}
		if (!(sent->view.bits & VIEW_TCP) || !(sent->view.tcp_flags & TCP_SYN))
			continue;
		talk = talk_of(storm, to_client ? sent->view.dport : sent->view.sport);
		if (talk == NULL || to_client != ((sent->view.tcp_flags & TCP_ACK) != 0))
			continue;
		if (!to_client) {
			talk->server_syn = sent->view.seq;
			talk->open = true;
			continue;
		}
		talk->cookie = sent->view.seq;
		talk->tsval = sent->options.tsval;
		talk->timestamps = sent->options.bits & OPTION_TIMESTAMPS;
	}
	if (node->message_count > 0)
		memcpy(storm->message, node->messages[node->message_count - 1],
			sizeof(*storm->message));
}

// A number near the right one, mostly the right one.
static uint32_t about(struct storm *storm, uint32_t number)
{
	static const uint32_t off[] = {1, -1, 2, 100, -1000, 70000, 0x40000000, 0x80000000};

	return number + (one_in(storm, 6) ? off[choose(storm, 8)] : 0);
}

static void from_client(struct storm *storm, const struct talk *talk, struct packet *packet)
{
	if ((packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		packet->seq = talk->isn_client;
		return;
	}
	packet->seq = about(storm, talk->isn_client + 1 + talk->sent[TO_SERVER]);
	packet->ack = about(storm, talk->cookie + 1 + talk->sent[TO_CLIENT]);
}

static void from_server(struct storm *storm, const struct talk *talk, struct packet *packet)
{
	if (packet->flags & TCP_SYN) {
		packet->seq = talk->isn_server;
		packet->ack = about(storm, talk->server_syn + 1);
		return;
	}
	packet->seq = about(storm, talk->isn_server + 1 + talk->sent[TO_CLIENT]);
	packet->ack = about(storm, talk->server_syn + 1 + talk->sent[TO_SERVER]);
}

static void add_options(
	struct storm *storm, const struct talk *talk, struct packet *packet, uint8_t room[40])
{
	static const uint8_t syn[] = {
		2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
	static const uint8_t rest[] = {
		1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 0, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1};
	bool is_syn = packet->flags & TCP_SYN;
	unsigned len = is_syn ? sizeof(syn) : one_in(storm, 4) ? sizeof(rest) : 12;

	if (talk->timestamps == one_in(storm, 16))
		return;
	memcpy(room, is_syn ? syn : rest, len);
	if (!is_syn)
		be32_put(room + 8, talk->tsval);
	packet->options = (struct bytes){room, (uint16_t)len};
}

static void change(struct storm *storm, struct talk *talk, const struct packet *packet)
{
	if (talk->open && packet->payload.len > 0 && one_in(storm, 2))
		talk->sent[packet->from_server ? TO_CLIENT : TO_SERVER] += packet->payload.len;
	if (!one_in(storm, 24))
		return;
	talk->isn_client += choose(storm, 1u << 30);
	talk->isn_server += choose(storm, 1u << 30);
	talk->timestamps = one_in(storm, 2);
	talk->open = false;
	memset(talk->sent, 0, sizeof(talk->sent));
}

// Bytes are changed, and the device says the checksums are right.
static void mutate(struct storm *storm, struct frame *frame)
{
	for (unsigned i = choose(storm, 4); i > 0; i--)
		frame->data[choose(storm, frame->len)] = (uint8_t)choose(storm, 256);
	if (one_in(storm, 4))
		frame->len = (uint16_t)choose(storm, frame->len + 1u);
	if (!one_in(storm, 4))
		frame->flags = FRAME_L3_GOOD | FRAME_L4_GOOD;
}

static void offer(struct storm *storm, const struct packet *packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);

	frame.port = packet->from_server ? INSIDE : OUTSIDE;
	if (one_in(storm, 32))
		frame.port ^= 1;
	if (one_in(storm, 8))
		mutate(storm, &frame);
	node_offer_frame(storm->node, frame);
}

// Most conversations are with the proxied service.
static uint16_t server_port(uint32_t index)
{
	return index < STORM_TALKS - 3 ? 80 : (uint16_t)(80 + STORM_TALKS - index);
}

static void tcp(struct storm *storm)
{
	static const uint8_t flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK,
		TCP_ACK | TCP_PSH, TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK,
		TCP_SYN | TCP_ECE | TCP_CWR, TCP_FIN};
	static const uint8_t data[600];
	uint8_t options[40];
	uint32_t index = choose(storm, STORM_TALKS);
	struct talk *talk = &storm->talks[index];
	struct packet packet = {.client_port = (uint16_t)(PORT_FIRST + index),
		.ip6 = index % 3 == 2,
		.from_server = one_in(storm, 2),
		.flags = flags[choose(storm, sizeof(flags))],
		.window = (uint16_t)(one_in(storm, 4) ? choose(storm, 65536) : 1000),
		.server_port = server_port(index)};

	if (!(packet.flags & TCP_SYN) || one_in(storm, 8))
		packet.payload = (struct bytes){data, (uint16_t)choose(storm, sizeof(data))};
	if (packet.from_server)
		from_server(storm, talk, &packet);
	else
		from_client(storm, talk, &packet);
	add_options(storm, talk, &packet, options);
	packet.more_fragments = one_in(storm, 32);
	if (packet.more_fragments && packet.ip6)
		packet.extensions = (struct bytes)BYTES("\x2c");
	packet.payload.len &= packet.more_fragments ? 0xfff8 : 0xffff;
	offer(storm, &packet);
	change(storm, talk, &packet);
}

static void other(struct storm *storm)
{
	static const uint8_t types4[] = {8, 0, 13, 14, 3, 5, 9, 18};
	static const uint8_t types6[] = {128, 129, 135, 130, 1, 2, 133, 143};
	bool ip6 = one_in(storm, 3);
	struct packet packet = {.ip6 = ip6,
		.from_server = one_in(storm, 2),
		.client_port = (uint16_t)(PORT_FIRST + choose(storm, STORM_TALKS)),
		.protocol = one_in(storm, 3)   ? PROTOCOL_UDP
			    : one_in(storm, 8) ? 47
					       : PROTOCOL_ICMP,
		.type = (ip6 ? types6 : types4)[choose(storm, 8)],
		.rest = choose(storm, 4) << 16,
		.ttl = one_in(storm, 4) ? 255 : 1,
		.payload = BYTES("0123456789abcdef01234567")};

	packet.more_fragments = !ip6 && one_in(storm, 8);
	offer(storm, &packet);
}

// An error about the last packet that left, from where it went.
static void error_about_last(struct storm *storm)
{
	uint8_t quoted[128];
	bool ip6 = storm->last.data[L2_BYTES] >> 4 == 6;
	unsigned len = storm->last.len - L2_BYTES;
	struct packet packet = {.ip6 = ip6,
		.from_server = storm->last.port == INSIDE,
		.protocol = PROTOCOL_ICMP,
		.type = (uint8_t)(ip6		     ? 1 + choose(storm, 2)
				  : one_in(storm, 4) ? 11
						     : 3),
		.code = (uint8_t)choose(storm, 5),
		.rest = one_in(storm, 2) ? 1400 : 0};

	len = len < sizeof(quoted) ? len : sizeof(quoted);
	if (one_in(storm, 4))
		len = choose(storm, len + 1);
	memcpy(quoted, storm->last.data + L2_BYTES, len);
	packet.payload = (struct bytes){quoted, (uint16_t)len};
	offer(storm, &packet);
}

// A SYN/ACK for a SYN that another node sent: its cookie names that node.
static void stranger(struct storm *storm)
{
	uint32_t index = choose(storm, STORM_TALKS);
	struct talk *talk = &storm->talks[index];
	struct node *node = storm->node;
	struct tuple tuple = {.sport = (uint16_t)(PORT_FIRST + index), .dport = server_port(index)};
	struct packet packet = {.client_port = tuple.sport,
		.server_port = tuple.dport,
		.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = talk->isn_server};
	struct epoch_keys keys;

	CHECK(addr_parse(&tuple.src, "192.0.2.10") == 0);
	CHECK(addr_parse(&tuple.dst, "198.51.100.10") == 0);
	CHECK(keyring_derive(&keys, node->secret, sizeof(node->secret), node->tick / 2) == 0);
	packet.ack = 1 + msyn_make(&keys, &tuple, talk->isn_client, node->tick,
				 (uint16_t)choose(storm, 20));
	offer(storm, &packet);
}

// Names the flow a peer would mean: the one the engine spoke of last.
static void name_flow(struct storm *storm, struct message *message, uint8_t said)
{
	struct flow_key key = message->body.record.key;
	uint32_t incarnation = message->body.record.incarnation;
	uint16_t generation = message->body.record.generation;

	if (message->type == MESSAGE_OPENED || message->type == MESSAGE_INSTALL)
		return;
	if (said != MESSAGE_OPENED) {
		key = message->body.flow.key;
		incarnation = message->body.flow.incarnation;
		generation = message->body.flow.generation;
	}
	message->body.flow.bits = (uint8_t)choose(storm, 16);
	node_name_flow(storm->node, message, &key, incarnation, generation);
	message->body.flow.key = key; // as UNSENT has it
}

// What the engine told a peer comes back, as it was or lied about.
static void message(struct storm *storm)
{
	static const uint8_t types[] = {MESSAGE_INSTALL, MESSAGE_CHANGED, MESSAGE_CONFIRMED,
		MESSAGE_UNSENT, MESSAGE_OPENED, MESSAGE_FRAME, MESSAGE_EMIT, MESSAGE_NONE,
		MESSAGE_RESYNC, 200};
	struct message *message = storm->message;
	bool is_frame = message->type == MESSAGE_FRAME;
	uint8_t kept = message->type;

	if (!is_frame || one_in(storm, 8))
		message->type = types[choose(storm, sizeof(types))];
	message->node = (uint16_t)choose(storm, 20);
	message->frame_side = (uint8_t)choose(storm, 3);
	message->why = (uint8_t)choose(storm, 2);
	if (!one_in(storm, 8))
		name_flow(storm, message, kept);
	if (one_in(storm, 4)) {
		uint8_t *body = (uint8_t *)&message->body;

		body[choose(storm, 128)] = (uint8_t)choose(storm, 256);
	}
	if (one_in(storm, 8))
		message->frame_len = (uint16_t)choose(storm, 65536);
	node_post(storm->node, message);
	message->type = kept;
}

// Who is there changes; mostly all are.
static void view(struct storm *storm)
{
	struct message *message = storm->message;

	memset(message, 0, sizeof(*message));
	message->type = MESSAGE_VIEW;
	message->body.view = (struct message_view){.active = UINT64_MAX, .decodes = true};
	if (one_in(storm, 4))
		message->body.view = (struct message_view){
			.active = choose(storm, 1 << 16), .decodes = one_in(storm, 2)};
	node_post(storm->node, message);
}

// The control core asks; it does not lie.
static void question(struct storm *storm)
{
	struct message *message = storm->message;

	memset(message, 0, sizeof(*message));
	message->type = one_in(storm, 2) ? MESSAGE_QUERY : MESSAGE_DUMP;
	if (message->type == MESSAGE_DUMP) {
		message->body.flows.dump.cursor = choose(storm, 20);
		message->body.flows.dump.scan_max = choose(storm, 20);
	} else {
		message->body.query.protocol = (uint8_t)choose(storm, 60);
		message->body.query.side = (uint8_t)choose(storm, 2);
		message->body.query.tuple.dport = (uint16_t)choose(storm, 100);
	}
	node_post(storm->node, message);
}

// A frame as a peer would send it: the server's SYN/ACK or refusal that came out there.
static void frame_of_peer(struct storm *storm)
{
	uint32_t index = choose(storm, STORM_TALKS);
	const struct talk *talk = &storm->talks[index];
	struct packet packet = {.client_port = (uint16_t)(PORT_FIRST + index),
		.ip6 = index % 3 == 2,
		.from_server = true,
		.flags = one_in(storm, 4) ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK,
		.seq = talk->isn_server,
		.ack = about(storm, talk->server_syn + 1),
		.window = 4000,
		.server_port = server_port(index)};
	uint8_t room[PACKET_ROOM_BYTES], options[40];
	struct message *message = storm->message;
	struct frame frame;

	add_options(storm, talk, &packet, options);
	frame = packet_build(room, &packet);
	memset(message, 0, sizeof(*message));
	message->type = MESSAGE_FRAME;
	message->node = (uint16_t)choose(storm, 16);
	message->frame_len = frame.len;
	message->frame_side = INSIDE;
	memcpy(message->frame, frame.data, frame.len);
	node_post(storm->node, message);
}

static void time_passes(struct storm *storm)
{
	struct node *node = storm->node;
	uint64_t ms = one_in(storm, 128) ? choose(storm, 300000) : choose(storm, 60);
	uint32_t tick;

	node->now_ns += ms * MS;
	tick = HARNESS_TICK + (uint32_t)(node->now_ns / (16000 * MS));
	for (; node->tick < tick; node->tick++)
		if (tick - node->tick < 4)
			node_epoch(node, (node->tick + 1) / 2 + 1);
	node_turn(node);
}

static void flush(struct storm *storm)
{
	struct message *message = storm->message;

	memset(message, 0, sizeof(*message));
	// The control core posts no policy while it waits for many.
	message->type =
		one_in(storm, 2) || storm->node->message_room == 0 ? MESSAGE_FLUSH : MESSAGE_POLICY;
	message->body.policy = &storm->node->policy;
	node_post(storm->node, message);
	memset(message, 0, sizeof(*message));
}

void storm_step(struct storm *storm)
{
	struct node *node = storm->node;
	uint32_t what = choose(storm, 64);

	if (what < 40)
		tcp(storm);
	else if (what < 46)
		other(storm);
	else if (what < 49)
		error_about_last(storm);
	else if (what < 50)
		stranger(storm);
	else if (what < 52)
		message(storm);
	else if (what < 53)
		one_in(storm, 3) ? view(storm) : question(storm);
	else if (what < 56)
		frame_of_peer(storm);
	else if (what < 61)
		time_passes(storm);
	else if (what == 61)
		node->lend = choose(storm, 4);
	else if (what == 62)
		node->message_room = 1 - choose(storm, 2);
	else if (one_in(storm, 16))
		flush(storm);
	learn(storm);
}
