// What every frame must get through before anything looks at flows (TCP.md 1.1, 6.3-6.5).
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VLAN 0x8100
#define QINQ 0x88a8

static struct node *new_node(void)
{
	struct node *node = node_make();

	node_go(node);
	return node;
}

static const struct packet syn = {.flags = TCP_SYN, .seq = 1000, .window = 1000};

static void assert_verdict(struct node *node, const struct packet *packet, enum reason reason)
{
	node_offer(node, OUTSIDE, packet);
	if (reason == REASON_NONE) {
		assert_int_equal(node->verdict.kind, VERDICT_REPLY);
		assert_true(packet_good(&node->sent[0].frame));
		return;
	}
	assert_int_equal(node->verdict.kind, VERDICT_DROP);
	if (node->verdict.reason != reason)
		fail_msg("%s, not %s", reason_name(node->verdict.reason), reason_name(reason));
	assert_int_equal(node->sent_count, 0);
}

static void t6_3_headers(void **state)
{
	static const struct {
		struct packet packet;
		enum reason reason;
	} rows[] = {
		{{.ip6 = true, .extensions = BYTES("\x2b"), .routing_type = 0}, REASON_bad_option},
		{{.ip6 = true, .extensions = BYTES("\x2b"), .routing_type = 2}, REASON_NONE},
		{{.ip6 = true, .extensions = BYTES("\x00\x3c")}, REASON_NONE},
		{{.ip6 = true, .extensions = BYTES("\x33")}, REASON_NONE},
		{{.ip6 = true,
			 .extensions = BYTES("\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c")},
			REASON_malformed},
		{{.ip_options = BYTES("\x83\x07\x04\x01\x02\x03\x04")}, REASON_bad_option}, // LSRR
		{{.ip_options = BYTES("\x89\x07\x04\x01\x02\x03\x04")}, REASON_bad_option}, // SSRR
		{{.ip_options = BYTES("\x94\x04\x00\x00")}, REASON_NONE}, // router alert
		{{.ip_options = BYTES("\x94\x05")}, REASON_bad_option},
		{{.ip_options = BYTES("\x94\x00")}, REASON_bad_option},
	};
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet packet = rows[i].packet;

		packet.flags = TCP_SYN;
		packet.window = 1000;
		assert_verdict(node, &packet, rows[i].reason);
	}
	assert_true(node_end(node));
}

// Replies carry the tags of what they answer; padding is no payload.
static void t6_4_tags_and_padding(void **state)
{
	static const uint16_t tags[][3] = {{0}, {VLAN}, {QINQ, VLAN}, {0x9100, VLAN}};
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct packet packet = syn;
		uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame;
		const uint8_t *got;

		memcpy(packet.tags, tags[i], sizeof(tags[i]));
		packet.pad_to = 64;
		frame = packet_build(room, &packet);
		assert_verdict(node, &packet, REASON_NONE);
		got = node->sent[0].frame.data;
		assert_memory_equal(got, frame.data + 6, 6);
		assert_memory_equal(got + 6, frame.data, 6);
		assert_memory_equal(got + 12, frame.data + 12, node->sent[0].view.l3 - 12u);
		assert_int_equal(node->sent[0].view.ack, syn.seq + 1);
	}
	assert_true(node_end(node));
}

static void t6_5_bad_checksums(void **state)
{
	struct node *node = new_node();
	struct packet udp = {.protocol = PROTOCOL_UDP, .no_checksum = true, .payload = BYTES("x")};

	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct packet packet = syn;
		uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame;

		packet.ip6 = ip6;
		frame = packet_build(room, &packet);
		for (unsigned at = 14; at < frame.len; at++) {
			frame = packet_build(room, &packet);
			frame.data[at] ^= 0x10;
			node_offer_frame(node, frame);
			// Traffic class, flow label and hop limit are under no checksum.
			if (!ip6 || (at > 17 && at != 21))
				assert_int_equal(node->verdict.kind, VERDICT_DROP);
		}
		// What the device says counts.
		frame = packet_build(room, &packet);
		frame.flags = FRAME_L4_BAD;
		assert_int_equal(node_offer_frame(node, frame), VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_bad_checksum);
		frame = packet_build(room, &packet);
		frame.flags = FRAME_L3_BAD;
		assert_int_equal(node_offer_frame(node, frame), ip6 ? VERDICT_REPLY : VERDICT_DROP);
		frame = packet_build(room, &packet);
		frame.data[frame.len - 4] ^= 1; // the checksum itself
		frame.flags = FRAME_L3_GOOD | FRAME_L4_GOOD;
		assert_int_equal(node_offer_frame(node, frame), VERDICT_REPLY);
		assert_true(packet_good(&node->sent[0].frame));
	}
	udp.ip6 = true;
	assert_verdict(node, &udp, REASON_bad_checksum);
	udp.ip6 = false;
	assert_verdict(node, &udp, REASON_rule_denied);
	assert_true(node_end(node));
}

static bool starts_nothing(uint8_t flags)
{
	uint8_t control = flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK);

	switch (control) {
	case TCP_SYN:
	case TCP_SYN | TCP_ACK:
	case TCP_ACK:
	case TCP_FIN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
		return false;
	default:
		return true;
	}
}

// Every combination of the eight flags, to a proxied service and to a tracked one.
static void t1_1_flags(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 2; mode++) {
		struct node *node = node_make();

		node->services[0].mode = mode ? MODE_TRACK : MODE_PROXY;
		node_go(node);
		for (unsigned flags = 0; flags < 256; flags++) {
			struct packet packet = syn;
			enum verdict_kind kind;

			packet.flags = (uint8_t)flags;
			kind = node_offer(node, OUTSIDE, &packet);
			if ((flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
				assert_int_equal(kind, mode ? VERDICT_FORWARD : VERDICT_REPLY);
			else
				assert_int_equal(kind, VERDICT_DROP);
			assert_int_equal(node->verdict.reason == REASON_bad_flags,
				starts_nothing((uint8_t)flags));
			node_flush(node);
		}
		assert_true(node_end(node));
	}
}

static void t1_1_addresses(void **state)
{
	static const struct {
		const char *client, *server;
		bool ip6;
	} rows[] = {{"224.0.0.1", NULL, false}, {"255.255.255.255", NULL, false},
		{"127.0.0.1", NULL, false}, {"0.0.0.0", NULL, false},
		{"198.51.100.10", NULL, false}, {NULL, "224.0.0.1", false},
		{NULL, "255.255.255.255", false}, {NULL, "127.0.0.1", false},
		{"ff02::1", NULL, true}, {"::1", NULL, true}, {"::", NULL, true},
		{NULL, "ff02::1", true}, {NULL, "::1", true}, {"2001:db8:2::10", NULL, true}};
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet packet = syn;

		packet.ip6 = rows[i].ip6;
		packet.client = rows[i].client;
		packet.server = rows[i].server;
		packet.client_port = 80; // LAND where the addresses are the same
		assert_verdict(node, &packet, REASON_bad_address);
	}
	for (unsigned i = 0; i < 2; i++) {
		uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame = packet_build(room, &syn);

		be16_put(frame.data + 34 + 2 * i, 0);
		frame.flags = FRAME_L4_GOOD;
		assert_int_equal(node_offer_frame(node, frame), VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_bad_address);
	}
	assert_true(node_end(node));
}

static void mtu_of_the_other_port(void **state)
{
	struct node *node = node_make();
	static uint8_t data[1500];
	struct packet packet = {.from_server = true,
		.protocol = PROTOCOL_UDP,
		.tags = {QINQ, VLAN},
		.payload = {data, 1400 - 28}};

	(void)state;
	node->config.ports[0].mtu = 1400;
	node_go(node);
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	packet.payload.len++;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_too_big);
	packet.from_server = false;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD); // 1500 that way
	assert_true(node_end(node));
}

static void not_ip_passes(void **state)
{
	struct node *node = new_node();
	uint8_t room[256] = {0};
	struct frame frame = {.data = room + 128, .len = 60};

	(void)state;
	be16_put(frame.data + 12, 0x0806);
	assert_int_equal(node_offer_frame(node, frame), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].port, INSIDE);
	frame.len = 13;
	assert_int_equal(node_offer_frame(node, frame), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_malformed);
	assert_true(node_end(node));
}

// Nothing passes before the policy came, and nothing while the node is stopped.
static void stopped(void **state)
{
	struct node *node = new_node();
	struct packet packet = syn;
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct verdict verdict;
	struct batch batch = {.now_ns = node->now_ns,
		.tick = node->tick,
		.stopped = true,
		.frames = &frame,
		.verdicts = &verdict,
		.frame_count = 1};
	size_t bytes = engine_bytes(&node->config);
	struct engine *empty;
	void *memory = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);

	(void)state;
	engine_run(node->engine, &batch);
	assert_int_equal(verdict.kind, VERDICT_DROP);
	assert_int_equal(verdict.reason, REASON_stopped);
	memset(memory, 0, bytes);
	empty = engine_init(memory, &node->config);
	batch.stopped = false;
	engine_run(empty, &batch);
	assert_int_equal(verdict.kind, VERDICT_DROP);
	assert_int_equal(verdict.reason, REASON_stopped);
	free(memory);
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_REPLY);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t6_3_headers),
		cmocka_unit_test(t6_4_tags_and_padding),
		cmocka_unit_test(t6_5_bad_checksums),
		cmocka_unit_test(t1_1_flags),
		cmocka_unit_test(t1_1_addresses),
		cmocka_unit_test(mtu_of_the_other_port),
		cmocka_unit_test(not_ip_passes),
		cmocka_unit_test(stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
