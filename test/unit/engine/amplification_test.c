// Whoever spoofs a victim's address gets it no more bytes and no more packets than he sends, now or
// later, whatever flags, options and payload he chooses.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct sum {
	uint64_t bytes, packets;
};

// What left towards the outside in the last call.
static void add_answers(const struct node *node, struct sum *sum)
{
	for (unsigned i = 0; i < node->sent_count; i++) {
		if (node->sent[i].port != OUTSIDE)
			continue;
		sum->bytes += node->sent[i].frame.len;
		sum->packets++;
	}
}

static void offer(struct node *node, const struct packet *packet, struct sum *total)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);
	struct sum sum = {0};
	uint16_t len = frame.len;

	frame.port = OUTSIDE;
	node_offer_frame(node, frame);
	add_answers(node, &sum);
	if (sum.packets > 1 || sum.bytes > len)
		fail_msg("flags %02x: %u bytes for %u", packet->flags, (unsigned)sum.bytes, len);
	total->packets += sum.packets;
}

static const struct bytes options[] = {
	BYTES(""),
	BYTES("\x02\x04\x05\xb4"),
	BYTES("\x04\x02"),
	BYTES("\x03\x03\x07"),
	BYTES("\x02\x04\x05\xb4\x04\x02"),
	BYTES("\x02\x04\x05\xb4\x03\x03\x07"),
	BYTES("\x04\x02\x03\x03\x07"),
	BYTES("\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00"),
	BYTES("\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x04\x02"),
	BYTES("\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07"),
	BYTES("\x02\x00"),
	BYTES("\x22\x02\x1e\x04\x00\x00"),
	BYTES("\x13\x12"
	      "0123456789abcdef"),
};

static void check_mode(enum flow_mode mode, bool ip6)
{
	static const struct bytes payloads[] = {
		BYTES(""), BYTES("x"), BYTES("GET / HTTP/1.1\r\nHost: forbidden.example\r\n\r\n")};
	struct node *node = node_make();
	struct sum sum = {0}, later = {0};

	node->services[0].mode = (uint8_t)mode;
	node->services[0].learn = true;
	node->policy.limits.per_prefix_flows = UINT32_MAX;
	node_go(node);
	for (unsigned flags = 0; flags < 256; flags++)
		for (unsigned o = 0; o < sizeof(options) / sizeof(options[0]); o++)
			for (unsigned p = 0; p < 3; p++) {
				struct packet packet = {.ip6 = ip6,
					.client_port = (uint16_t)(1 + flags * 256 + o * 4 + p),
					.flags = (uint8_t)flags,
					.seq = flags * 7919 + o,
					.ack = o * 104729,
					.window = 1000,
					.options = options[o],
					.payload = payloads[p]};

				offer(node, &packet, &sum);
			}
	// Only a SYN to a proxied service is answered at all.
	assert_int_equal(sum.packets > 0, mode == MODE_PROXY);
	for (unsigned i = 0; i < 600; i++) {
		node->sent_count = 0;
		node->now_ns += 100000000;
		node_turn(node);
		add_answers(node, &later);
	}
	assert_int_equal(later.packets, 0);
	assert_true(node_end(node));
}

static void every_combination(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		check_mode(MODE_PROXY, ip6);
		check_mode(MODE_TRACK, ip6);
		check_mode(MODE_BYPASS, ip6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
