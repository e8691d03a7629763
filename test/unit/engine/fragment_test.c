// Fragments (TCP.md 6.1, 6.2): dropped by policy, or passed without what evades a filter.
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ISN_S	 77u
#define FRAGMENT "\x2c"
#define OPTIONS	 "\x3c"
#define PAYLOAD                                                                                    \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"

static struct node *new_node(enum fragments fragments)
{
	struct node *node = node_make();

	node->policy.fragments = (uint8_t)fragments;
	node_go(node);
	return node;
}

static const struct {
	struct packet packet;
	bool passes; // with fragments = pass
} rows[] = {
	// Later fragments pass, except where they could rewrite TCP flags (RFC 3128).
	{{.fragment_offset = 64, .no_upper = true, .payload = BYTES(PAYLOAD)}, true},
	{{.fragment_offset = 8, .no_upper = true, .payload = BYTES(PAYLOAD)}, false},
	{{.fragment_offset = 8,
		 .no_upper = true,
		 .protocol = PROTOCOL_UDP,
		 .payload = BYTES(PAYLOAD)},
		true},
	{{.ip6 = true,
		 .extensions = BYTES(FRAGMENT),
		 .fragment_offset = 64,
		 .no_upper = true,
		 .payload = BYTES(PAYLOAD)},
		true},
	// First ones without their whole header (RFC 1858, 7112).
	{{.more_fragments = true, .no_upper = true, .payload = BYTES("01234567")}, false},
	{{.more_fragments = true, .no_upper = true, .payload = BYTES("0123456789abcdef")}, false},
	{{.ip6 = true,
		 .extensions = BYTES(FRAGMENT),
		 .more_fragments = true,
		 .no_upper = true,
		 .payload = BYTES("01234567")},
		false},
	{{.ip6 = true,
		 .extensions = BYTES(FRAGMENT OPTIONS),
		 .more_fragments = true,
		 .no_upper = true},
		false},
	// A SYN or a reset in a fragment, flags no connection uses, an error that quotes.
	{{.more_fragments = true, .flags = TCP_SYN, .window = 1, .payload = BYTES("0123")}, false},
	{{.more_fragments = true, .flags = TCP_RST, .window = 1, .payload = BYTES("0123")}, false},
	{{.more_fragments = true, .flags = TCP_FIN, .window = 1, .payload = BYTES("0123")}, false},
	{{.more_fragments = true,
		 .protocol = PROTOCOL_ICMP,
		 .type = 3,
		 .code = 1,
		 .payload = BYTES(PAYLOAD)},
		false},
	// The rules judge a first one.
	{{.more_fragments = true, .protocol = PROTOCOL_ICMP, .type = 8, .payload = BYTES(PAYLOAD)},
		true},
	{{.more_fragments = true, .protocol = PROTOCOL_UDP, .payload = BYTES(PAYLOAD)}, false},
	// No flow, no first fragment.
	{{.more_fragments = true, .flags = TCP_ACK, .window = 1, .payload = BYTES("0123")}, false},
};

static void t6_1_what_passes(void **state)
{
	struct node *drop = new_node(FRAGMENTS_DROP), *pass = new_node(FRAGMENTS_PASS);

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(node_offer(drop, OUTSIDE, &rows[i].packet), VERDICT_DROP);
		assert_int_equal(drop->verdict.reason, REASON_fragment);
		if ((node_offer(pass, OUTSIDE, &rows[i].packet) == VERDICT_FORWARD) !=
			rows[i].passes)
			fail_msg("row %u: %s", i, reason_name(pass->verdict.reason));
	}
	assert_true(node_end(drop));
	assert_true(node_end(pass));
}

static void t6_1_fragment_of_udp_flow(void **state)
{
	struct node *node = new_node(FRAGMENTS_PASS);
	struct packet packet = {
		.from_server = true, .protocol = PROTOCOL_UDP, .payload = BYTES(PAYLOAD)};

	(void)state;
	node_offer(node, INSIDE, &packet);
	packet.from_server = false;
	packet.more_fragments = true;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_true(node_end(node));
}

// An atomic fragment is no fragment (RFC 6946).
static void t6_2_atomic_is_whole(void **state)
{
	struct node *node = new_node(FRAGMENTS_DROP);
	struct packet syn = {
		.ip6 = true, .extensions = BYTES(FRAGMENT), .flags = TCP_SYN, .window = 1000};

	(void)state;
	assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
	assert_true(packet_good(&node->sent[0].frame));
	assert_true(node_end(node));
}

// The header of the first fragment, whose checksum is that of the whole datagram, becomes what it
// becomes in the whole datagram.
static void check_delta(bool ip6)
{
	struct node *node = new_node(FRAGMENTS_PASS);
	struct packet syn = {.ip6 = ip6, .seq = 1000, .window = 60000}, packet;
	struct handshake handshake;
	uint8_t room[PACKET_ROOM_BYTES], header[20];
	struct frame frame;
	struct view view;

	handshake_open(node, &handshake, &syn);
	handshake_answer(node, &handshake, ISN_S, (struct bytes){0});
	packet = handshake.ack;
	packet.payload = (struct bytes)BYTES(PAYLOAD);
	frame = packet_build(room, &packet);
	view = packet_view(&frame);
	uint16_t checksum = be16_get(frame.data + view.l4 + 16);

	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	memcpy(header, node->sent[0].frame.data + node->sent[0].view.l4, 20);
	packet.payload.len = 44; // with 20 bytes of header a multiple of 8
	packet.more_fragments = true;
	if (ip6)
		packet.extensions = (struct bytes)BYTES(FRAGMENT);
	frame = packet_build(room, &packet);
	view = packet_view(&frame);
	be16_put(frame.data + view.l4 + 16, checksum);
	frame.port = OUTSIDE;
	assert_int_equal(node_offer_frame(node, frame), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_memory_equal(node->sent[0].frame.data + node->sent[0].view.l4, header, 20);
	assert_int_equal(node->sent[0].view.ack, ISN_S + 1);
	assert_true(packet_good(&node->sent[0].frame));
	assert_true(node_end(node));
}

static void t6_1_translated_by_delta(void **state)
{
	(void)state;
	check_delta(false);
	check_delta(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t6_1_what_passes),
		cmocka_unit_test(t6_1_fragment_of_udp_flow),
		cmocka_unit_test(t6_1_translated_by_delta),
		cmocka_unit_test(t6_2_atomic_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
