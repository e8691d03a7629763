// The view of IPv6 extension headers and of fragments of both families. TCP.md 6.1-6.3.
#include "base/check.h"
#include "packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t room[PACKET_ROOM_BYTES];

static enum reason parse_packet(struct view *view, const struct packet *packet)
{
	struct frame frame = packet_build(room, packet);

	return view_parse(view, &frame);
}

// The verdict on a plain TCP segment of 4 bytes of data after one byte was overwritten.
static enum reason parse_patched(const struct packet *packet, unsigned at, uint8_t value)
{
	struct frame frame = packet_build(room, packet);
	struct view view;

	frame.data[at] = value;
	return view_parse(&view, &frame);
}

// Payload length 0 with data behind it: the length would be in a hop-by-hop option.
static void jumbograms(void **state)
{
	static const struct packet packet = {
		.ip6 = true, .flags = TCP_ACK, .extensions = BYTES("\x00")};
	static const struct packet plain = {.ip6 = true, .flags = TCP_ACK};

	(void)state;
	assert_int_equal(parse_patched(&packet, 19, 0), REASON_malformed);
	assert_int_equal(parse_patched(&packet, 19, 28), REASON_NONE);
	assert_int_equal(parse_patched(&plain, 19, 0), REASON_malformed);
}

static void t6_3_extensions(void **state)
{
	static const struct {
		struct bytes types;
		uint8_t routing_type;
		uint16_t bytes;
		enum reason reason;
		uint16_t bits;
	} rows[] = {
		{BYTES("\x00"), 0, 8, REASON_NONE, 0},
		{BYTES("\x3c"), 0, 8, REASON_NONE, 0},
		{BYTES("\x33"), 0, 24, REASON_NONE, 0},
		{BYTES("\x2b"), 4, 8, REASON_NONE, 0},
		{BYTES("\x2b"), 0, 8, REASON_NONE, VIEW_SOURCE_ROUTE},
		{BYTES("\x00\x3c\x2b\x2c\x33\x3c"), 4, 64, REASON_NONE, 0},
		{BYTES("\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c"), 0, 64, REASON_NONE, 0},
		{BYTES("\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c\x3c"), 0, 72, REASON_malformed, 0},
		{BYTES("\x3c\x00"), 0, 16, REASON_malformed, 0},
		{BYTES("\x2c\x2c"), 0, 16, REASON_malformed, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet packet = {.ip6 = true,
			.flags = TCP_ACK,
			.extensions = rows[i].types,
			.routing_type = rows[i].routing_type};
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), rows[i].reason);
		if (rows[i].reason != REASON_NONE)
			continue;
		assert_int_equal(view.bits, VIEW_IP6 | VIEW_TCP | rows[i].bits);
		assert_int_equal(view.l4, 54 + rows[i].bytes);
		assert_int_equal(view.protocol, PROTOCOL_TCP);
		assert_int_equal(view.sport, 40000);
	}
}

// A length of an extension header that leads out of the packet.
static void t6_3_lying_extension(void **state)
{
	static const struct packet packet = {
		.ip6 = true, .flags = TCP_ACK, .extensions = BYTES("\x3c")};

	(void)state;
	assert_int_equal(parse_patched(&packet, 55, 0), REASON_NONE);
	for (unsigned len = 1; len < 256; len++)
		assert_int_equal(parse_patched(&packet, 55, (uint8_t)len), REASON_malformed);
}

// ESP (50), no next header (59) and unknown protocols end the walk without an upper layer.
static void t6_3_walk_stops(void **state)
{
	static const uint8_t protocols[] = {50, 59, 132, 47};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(protocols); i++) {
		struct packet packet = {.ip6 = i & 1,
			.protocol = protocols[i / 2],
			.payload = BYTES("xyz"),
			.extensions = BYTES("\x3c")};
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view.bits, packet.ip6 ? VIEW_IP6 : VIEW_IP4);
		assert_int_equal(view.protocol, protocols[i / 2]);
		assert_int_equal(view.l4, packet.ip6 ? 62 : 34);
		assert_int_equal(view_payload_len(&view), 3);
	}
}

static void t6_1_fragments(void **state)
{
	static const uint8_t data[1480];

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		uint16_t family = ip6 ? VIEW_IP6 : VIEW_IP4;
		struct packet packet = {.ip6 = ip6,
			.flags = TCP_ACK,
			.extensions = BYTES("\x2c"),
			.more_fragments = true,
			.payload = {data, 12}};
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view.bits, family | VIEW_FRAGMENT | VIEW_FIRST | VIEW_TCP);
		packet.fragment_offset = 1480;
		packet.no_upper = true;
		packet.payload.len = 16;
		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view.bits, family | VIEW_FRAGMENT);
		assert_int_equal(view.l4, 14 + (ip6 ? 48 : 20));
		assert_int_equal(view_payload_len(&view), 16);
		assert_int_equal(view.protocol, PROTOCOL_TCP);
		// Not the last one and yet no multiple of 8; the last one may be.
		packet.payload.len = 12;
		assert_int_equal(parse_packet(&view, &packet), REASON_malformed);
		packet.payload.len = 15;
		assert_int_equal(parse_packet(&view, &packet), REASON_malformed);
		packet.more_fragments = false;
		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view.bits, family | VIEW_FRAGMENT);
		// Together more than 65535 bytes.
		packet.fragment_offset = 65528;
		packet.payload.len = 8;
		assert_int_equal(parse_packet(&view, &packet), REASON_malformed);
	}
}

// RFC 1858: a first fragment too small for its TCP header has no ports to believe.
static void t6_1_tiny_first_fragment(void **state)
{
	static const uint8_t tcp[24] = {0x9c, 0x40, 0, 80, [12] = 0x60, [13] = TCP_SYN};

	(void)state;
	for (unsigned i = 0; i < 2 * 4; i++) {
		struct packet packet = {.ip6 = i & 1,
			.extensions = BYTES("\x2c"),
			.more_fragments = true,
			.no_upper = true,
			.payload = {tcp, (uint16_t)(i / 2 * 8)}};
		bool whole = i / 2 == 3;
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal((view.bits & VIEW_TCP) != 0, whole);
		assert_true(view.bits & VIEW_FIRST);
		packet.protocol = PROTOCOL_UDP;
		if (i / 2 == 0) {
			assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
			assert_int_equal(view.bits & VIEW_UDP, 0);
		}
	}
}

// RFC 7112: the chain of a first fragment goes on in the next one.
static void t6_1_incomplete_chain(void **state)
{
	static const uint8_t lying[8] = {PROTOCOL_TCP, 1}; // states 16 bytes
	struct packet packet = {.ip6 = true,
		.protocol = 60,
		.extensions = BYTES("\x2c"),
		.more_fragments = true,
		.no_upper = true,
		.payload = {lying, 8}};
	struct view view;

	(void)state;
	assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP6 | VIEW_FRAGMENT | VIEW_FIRST);
	assert_int_equal(view.protocol, 60);
	// The same without fragmentation is a lie.
	packet.more_fragments = false;
	assert_int_equal(parse_packet(&view, &packet), REASON_malformed);
}

// A later fragment's data is no header, whatever the fragment header calls it.
static void t6_1_later_fragment_ends_walk(void **state)
{
	static const uint8_t data[8] = {PROTOCOL_TCP}; // a whole header, were it one
	struct packet packet = {.ip6 = true,
		.protocol = 60,
		.extensions = BYTES("\x2c"),
		.fragment_offset = 8,
		.no_upper = true,
		.payload = {data, 8}};
	struct view view;

	(void)state;
	assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP6 | VIEW_FRAGMENT);
	assert_int_equal(view.protocol, 60);
	assert_int_equal(view_payload_len(&view), 8);
}

// A first fragment states the UDP length of the whole datagram.
static void t6_1_udp_first_fragment(void **state)
{
	struct packet packet = {
		.protocol = PROTOCOL_UDP, .more_fragments = true, .payload = BYTES("12345678")};
	struct frame frame = packet_build(room, &packet);
	struct view view;

	(void)state;
	be16_put(frame.data + 38, 3000);
	assert_int_equal(view_parse(&view, &frame), REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP4 | VIEW_FRAGMENT | VIEW_FIRST | VIEW_UDP);
	assert_int_equal(view_verify(&view, &frame), REASON_NONE);
	be16_put(frame.data + 38, 7);
	assert_int_equal(view_parse(&view, &frame), REASON_malformed);
}

static void t6_2_atomic_fragment(void **state)
{
	struct packet packet = {.ip6 = true,
		.flags = TCP_SYN,
		.extensions = BYTES("\x2c\x3c"),
		.payload = BYTES("odd")};
	struct frame frame = packet_build(room, &packet);
	struct view view;

	(void)state;
	assert_int_equal(view_parse(&view, &frame), REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP6 | VIEW_TCP);
	assert_int_equal(view_verify(&view, &frame), REASON_NONE);
	frame.data[frame.len - 1] ^= 1; // whole, so its checksum counts
	assert_int_equal(view_verify(&view, &frame), REASON_bad_checksum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jumbograms),
		cmocka_unit_test(t6_3_extensions),
		cmocka_unit_test(t6_3_lying_extension),
		cmocka_unit_test(t6_3_walk_stops),
		cmocka_unit_test(t6_1_fragments),
		cmocka_unit_test(t6_1_tiny_first_fragment),
		cmocka_unit_test(t6_1_incomplete_chain),
		cmocka_unit_test(t6_1_later_fragment_ends_walk),
		cmocka_unit_test(t6_1_udp_first_fragment),
		cmocka_unit_test(t6_2_atomic_fragment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
