// What a parsed packet must hold up to: checksums, addresses, ports. TCP.md 1.1, 6.1, 6.5.
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

// Each single bit of everything the checksums cover: the frame does not parse or does not verify.
static void verify_every_bit(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct packet packet = {.ip6 = i & 1,
			.protocol = protocols[i / 2],
			.flags = TCP_ACK,
			.type = 8,
			.payload = BYTES("abc")};
		struct frame frame = packet_build(room, &packet);
		// An IPv6 header's first 4 bytes, lengths aside, and its hop limit are not covered.
		unsigned covered_from = packet.ip6 ? 14 + 8 : 14;
		struct view view = packet_view(&frame);

		assert_int_equal(view_verify(&view, &frame), REASON_NONE);
		for (unsigned bit = covered_from * 8; bit < frame.len * 8u; bit++) {
			bool caught;

			frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			caught = view_parse(&view, &frame) != REASON_NONE ||
				 view_verify(&view, &frame) != REASON_NONE;
			frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_true(caught);
		}
	}
}

static enum reason verified(const struct packet *packet, uint8_t flags, unsigned flip_at)
{
	struct frame frame = packet_build(room, packet);
	struct view view;

	if (flip_at != 0)
		frame.data[flip_at] ^= 1;
	frame.flags = flags;
	assert_int_equal(view_parse(&view, &frame), REASON_NONE);
	return view_verify(&view, &frame);
}

// The device's word counts, for IP and the upper layer each by itself.
static void t6_5_device_flags(void **state)
{
	static const struct packet tcp = {.flags = TCP_ACK}, ping = {.protocol = PROTOCOL_ICMP};
	const unsigned in_ip = 14 + 8, in_tcp = 14 + 20 + 4;

	(void)state;
	assert_int_equal(verified(&tcp, 0, in_ip), REASON_bad_checksum);
	assert_int_equal(verified(&tcp, FRAME_L3_GOOD, in_ip), REASON_NONE);
	assert_int_equal(verified(&tcp, FRAME_L4_GOOD, in_ip), REASON_bad_checksum);
	assert_int_equal(verified(&tcp, 0, in_tcp), REASON_bad_checksum);
	assert_int_equal(verified(&tcp, FRAME_L4_GOOD, in_tcp), REASON_NONE);
	assert_int_equal(verified(&tcp, FRAME_L3_GOOD, in_tcp), REASON_bad_checksum);
	assert_int_equal(verified(&tcp, FRAME_L3_BAD, 0), REASON_bad_checksum);
	assert_int_equal(verified(&tcp, FRAME_L4_BAD, 0), REASON_bad_checksum);
	assert_int_equal(verified(&tcp, FRAME_TRUNCATED, in_tcp), REASON_NONE);
	// The device checks TCP and UDP; ICMP is ours.
	assert_int_equal(verified(&ping, FRAME_L4_GOOD, in_tcp), REASON_bad_checksum);
	assert_int_equal(verified(&ping, FRAME_L4_GOOD, 0), REASON_NONE);
}

static void t6_5_udp_zero(void **state)
{
	struct packet packet = {.protocol = PROTOCOL_UDP, .no_checksum = true};

	(void)state;
	assert_int_equal(verified(&packet, 0, 0), REASON_NONE);
	assert_int_equal(verified(&packet, FRAME_L4_BAD, 0), REASON_NONE);
	packet.ip6 = true;
	assert_int_equal(verified(&packet, 0, 0), REASON_bad_checksum);
	assert_int_equal(verified(&packet, FRAME_L4_GOOD, 0), REASON_bad_checksum);
}

// A fragment's upper layer cannot be verified, its IPv4 header can.
static void t6_1_verify_fragment(void **state)
{
	static const struct packet packet = {
		.flags = TCP_ACK, .more_fragments = true, .payload = BYTES("1234")};

	(void)state;
	assert_int_equal(verified(&packet, 0, 14 + 20 + 4), REASON_NONE);
	assert_int_equal(verified(&packet, FRAME_L4_BAD, 0), REASON_NONE);
	assert_int_equal(verified(&packet, 0, 14 + 8), REASON_bad_checksum);
}

static void t1_1_addresses(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t protocol;
		bool good;
	} rows[] = {
		{"192.0.2.1", "198.51.100.1", PROTOCOL_TCP, true},
		{"224.0.0.1", "198.51.100.1", PROTOCOL_UDP, false},
		{"239.255.255.255", "198.51.100.1", PROTOCOL_TCP, false},
		{"255.255.255.255", "198.51.100.1", PROTOCOL_TCP, false},
		{"127.0.0.1", "198.51.100.1", PROTOCOL_TCP, false},
		{"0.0.0.0", "198.51.100.1", PROTOCOL_TCP, false},
		{"0.0.0.0", "198.51.100.1", PROTOCOL_UDP, false},
		{"0.0.0.0", "255.255.255.255", PROTOCOL_UDP, true},
		{"0.0.0.0", "255.255.255.255", PROTOCOL_TCP, false},
		{"0.1.2.3", "255.255.255.255", PROTOCOL_UDP, false},
		{"192.0.2.1", "224.0.0.251", PROTOCOL_UDP, true},
		{"192.0.2.1", "224.0.0.251", PROTOCOL_TCP, false},
		{"192.0.2.1", "255.255.255.255", PROTOCOL_UDP, true},
		{"192.0.2.1", "255.255.255.255", PROTOCOL_TCP, false},
		{"192.0.2.1", "127.0.0.1", PROTOCOL_TCP, false},
		{"192.0.2.1", "0.0.0.0", PROTOCOL_UDP, false},
		{"2001:db8::1", "2001:db8::2", PROTOCOL_TCP, true},
		{"fe80::1", "ff02::fb", PROTOCOL_UDP, true},
		{"fe80::1", "ff02::fb", PROTOCOL_TCP, false},
		{"ff02::1", "2001:db8::2", PROTOCOL_UDP, false},
		{"::1", "2001:db8::2", PROTOCOL_TCP, false},
		{"2001:db8::1", "::1", PROTOCOL_TCP, false},
		{"::", "ff02::1:ff00:1", PROTOCOL_ICMP, true},
		{"::", "2001:db8::2", PROTOCOL_TCP, false},
		{"::", "ff02::1:2", PROTOCOL_UDP, false},
		{"2001:db8::1", "::", PROTOCOL_UDP, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet packet = {.ip6 = strchr(rows[i].src, ':') != NULL,
			.client = rows[i].src,
			.server = rows[i].dst,
			.protocol = rows[i].protocol,
			.type = 135};
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view_check_addresses(&view),
			rows[i].good ? REASON_NONE : REASON_bad_address);
	}
}

// On the wire it would be taken for the IPv4 host in the flow table.
static void mapped_addresses_in_ip6(void **state)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	(void)state;
	for (unsigned at = 22; at <= 38; at += 16) {
		struct packet packet = {.ip6 = true, .flags = TCP_SYN};
		struct frame frame = packet_build(room, &packet);
		struct view view = packet_view(&frame);

		assert_int_equal(view_check_addresses(&view), REASON_NONE);
		memcpy(frame.data + at, mapped, sizeof(mapped));
		view = packet_view(&frame);
		assert_int_equal(view_check_addresses(&view), REASON_bad_address);
	}
}

static void t1_1_ports_and_land(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const char *host = i & 1 ? "2001:db8::5" : "192.0.2.5";
		struct packet packet = {.ip6 = i & 1,
			.client = host,
			.server = host,
			.protocol = protocols[i / 2],
			.client_port = 53,
			.server_port = 53};
		struct frame frame;
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view_check_addresses(&view), REASON_bad_address);
		packet.client_port = 54;
		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view_check_addresses(&view), REASON_NONE);
		frame = packet_build(room, &packet);
		be16_put(frame.data + view.l4, 0);
		view = packet_view(&frame);
		assert_int_equal(view_check_addresses(&view), REASON_bad_address);
		frame = packet_build(room, &packet);
		be16_put(frame.data + view.l4 + 2, 0);
		view = packet_view(&frame);
		assert_int_equal(view_check_addresses(&view), REASON_bad_address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verify_every_bit),
		cmocka_unit_test(t6_5_device_flags),
		cmocka_unit_test(t6_5_udp_zero),
		cmocka_unit_test(t6_1_verify_fragment),
		cmocka_unit_test(t1_1_addresses),
		cmocka_unit_test(mapped_addresses_in_ip6),
		cmocka_unit_test(t1_1_ports_and_land),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
