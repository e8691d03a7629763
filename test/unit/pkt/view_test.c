// The view: what parses, what is malformed, and where everything is. TCP.md 2.1, 6.3, 6.4,
// section 10.
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

static void fields(void **state)
{
	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet packet = {.ip6 = ip6,
			.flags = TCP_SYN | TCP_FIN,
			.ae = true,
			.seq = 0x01020304,
			.ack = 0x05060708,
			.window = 0x090a,
			.ttl = 7,
			.options = BYTES("\x02\x04\x05\xb4"),
			.payload = BYTES("data"),
			.pad_to = 120};
		struct view view;
		char text[ADDR_TEXT_BYTES];

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view.bits, (ip6 ? VIEW_IP6 : VIEW_IP4) | VIEW_TCP);
		assert_ptr_equal(view.data, room + PACKET_HEADROOM_BYTES);
		assert_int_equal(view.ethertype, ip6 ? 0x86dd : 0x0800);
		assert_int_equal(view.l3, 14);
		assert_int_equal(view.l4, 14 + (ip6 ? 40 : 20));
		assert_int_equal(view.payload, view.l4 + 24);
		assert_int_equal(view.end, view.payload + 4); // the padding is not payload (6.4)
		assert_int_equal(view.limit, view.end);
		assert_int_equal(view_payload_len(&view), 4);
		assert_int_equal(view_seg_len(&view), 6);
		assert_int_equal(view.protocol, PROTOCOL_TCP);
		assert_int_equal(view.ttl, 7);
		assert_int_equal(view.tcp_flags, TCP_SYN | TCP_FIN);
		assert_int_equal(view.tcp_ae, 1);
		assert_int_equal(view.sport, 40000);
		assert_int_equal(view.dport, 80);
		assert_int_equal(view.seq, 0x01020304);
		assert_int_equal(view.ack, 0x05060708);
		assert_int_equal(view.window, 0x090a);
		assert_string_equal(
			addr_format(&view.src, text), ip6 ? "2001:db8:1::10" : "192.0.2.10");
		assert_string_equal(
			addr_format(&view.dst, text), ip6 ? "2001:db8:2::10" : "198.51.100.10");
	}
}

static void t6_4_tags(void **state)
{
	static const uint16_t types[] = {0x8100, 0x88a8, 0x9100};

	(void)state;
	for (unsigned count = 0; count <= VIEW_TAGS_MAX + 1; count++) {
		struct packet packet = {.ip6 = count & 1, .flags = TCP_SYN};
		struct view view;

		for (unsigned i = 0; i < count; i++)
			packet.tags[i] = types[(count + i) % 3];
		if (count > VIEW_TAGS_MAX) {
			assert_int_equal(parse_packet(&view, &packet), REASON_malformed);
			continue;
		}
		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_int_equal(view.l3, 14 + 4 * count);
		assert_true(view.bits & VIEW_TCP);
		assert_int_equal(view.ethertype, packet.ip6 ? 0x86dd : 0x0800);
	}
}

// What no cut may be, with the memory ending at the cut; whole it parses.
static void truncated_everywhere(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct packet packet = {.ip6 = i & 1,
			.flags = TCP_ACK,
			.tags = {i & 2 ? 0x8100 : 0},
			.options = BYTES("\x01\x01\x01\x01"),
			.payload = BYTES("data"),
			.extensions = BYTES("\x00\x33\x2c\x3c"),
			.protocol = i & 4 ? PROTOCOL_UDP : PROTOCOL_TCP};
		struct frame frame = packet_build(room, &packet);

		for (uint16_t len = 0; len <= frame.len; len++) {
			struct frame cut = {.data = malloc(len ? len : 1u), .len = len};
			struct view view;

			memcpy(cut.data, frame.data, len);
			assert_int_equal(view_parse(&view, &cut),
				len < frame.len ? REASON_malformed : REASON_NONE);
			free(cut.data);
		}
	}
}

// A capture's snap length: headers must be there, data need not.
static void cut_captures(void **state)
{
	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet packet = {.ip6 = ip6,
			.flags = TCP_ACK,
			.payload = BYTES("0123456789"),
			.options = BYTES("\x01\x01\x01\x01")};
		struct frame frame = packet_build(room, &packet);
		struct view whole = packet_view(&frame);

		for (uint16_t len = 0; len <= frame.len; len++) {
			struct frame cut = {.data = malloc(len ? len : 1u),
				.len = len,
				.flags = FRAME_TRUNCATED};
			bool enough = len >= whole.payload;
			struct view view;

			memcpy(cut.data, frame.data, len);
			assert_int_equal(
				view_parse(&view, &cut), enough ? REASON_NONE : REASON_malformed);
			if (enough) {
				assert_int_equal(view.end, whole.end);
				assert_int_equal(view.limit, len);
				assert_int_equal(view_seg_len(&view), 10);
				assert_int_equal(view_verify(&view, &cut), REASON_NONE);
			}
			free(cut.data);
		}
	}
}

static void lying_ip4(void **state)
{
	static const struct packet packet = {.flags = TCP_ACK, .payload = BYTES("data")};
	static const struct packet padded = {
		.flags = TCP_ACK, .payload = BYTES("data"), .pad_to = 99};

	(void)state;
	assert_int_equal(parse_patched(&packet, 14, 0x45), REASON_NONE);
	assert_int_equal(parse_patched(&packet, 14, 0x65), REASON_malformed); // version
	for (uint8_t words = 0; words < 5; words++)
		assert_int_equal(parse_patched(&packet, 14, 0x40 | words), REASON_malformed);
	assert_int_equal(parse_patched(&packet, 14, 0x4f), REASON_malformed);
	assert_int_equal(parse_patched(&packet, 17, 44), REASON_NONE);
	assert_int_equal(parse_patched(&packet, 17, 45), REASON_malformed); // behind the frame
	assert_int_equal(parse_patched(&packet, 16, 1), REASON_malformed);
	assert_int_equal(parse_patched(&padded, 17, 45), REASON_NONE);
	assert_int_equal(parse_patched(&padded, 17, 39), REASON_malformed); // TCP cut short
	assert_int_equal(parse_patched(&padded, 17, 19), REASON_malformed);
	assert_int_equal(parse_patched(&padded, 17, 0), REASON_malformed);
}

static void lying_ip6(void **state)
{
	static const struct packet packet = {
		.ip6 = true, .flags = TCP_ACK, .payload = BYTES("data")};

	(void)state;
	assert_int_equal(parse_patched(&packet, 14, 0x60), REASON_NONE);
	assert_int_equal(parse_patched(&packet, 14, 0x40), REASON_malformed);
	assert_int_equal(parse_patched(&packet, 19, 25), REASON_malformed);
	assert_int_equal(parse_patched(&packet, 19, 20), REASON_NONE);
	assert_int_equal(parse_patched(&packet, 19, 19), REASON_malformed);
}

static void t2_1_data_offset(void **state)
{
	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet packet = {
			.ip6 = ip6, .flags = TCP_ACK, .payload = BYTES("12345678"), .pad_to = 200};
		unsigned at = 14 + (ip6 ? 40 : 20) + 12;

		for (uint8_t words = 0; words < 16; words++)
			assert_int_equal(parse_patched(&packet, at, (uint8_t)(words << 4)),
				words >= 5 && words <= 7 ? REASON_NONE : REASON_malformed);
	}
}

static void udp_length(void **state)
{
	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet packet = {.ip6 = ip6,
			.protocol = PROTOCOL_UDP,
			.payload = BYTES("data"),
			.pad_to = 100};
		unsigned at = 14 + (ip6 ? 40 : 20) + 5;

		for (uint8_t len = 0; len < 20; len++)
			assert_int_equal(parse_patched(&packet, at, len),
				len >= 8 && len <= 12 ? REASON_NONE : REASON_malformed);
	}
}

static void t6_3_ip4_options(void **state)
{
	static const struct {
		struct bytes bytes;
		enum reason reason;
		uint16_t bits;
	} rows[] = {
		{BYTES("\x01\x01\x01\x01"), REASON_NONE, 0},
		{BYTES("\x94\x04\x00\x00"), REASON_NONE, 0},
		{BYTES("\x83\x07\x04\x01\x02\x03\x04"), REASON_NONE, VIEW_SOURCE_ROUTE},
		{BYTES("\x01\x89\x07\x04\x01\x02\x03\x04"), REASON_NONE, VIEW_SOURCE_ROUTE},
		{BYTES("\x07\x07\x04\x01\x02\x03\x04\x83\x03\x04"), REASON_NONE, VIEW_SOURCE_ROUTE},
		{BYTES("\x00\x83\x00\xff"), REASON_NONE, 0},
		{BYTES("\x94\x00\x00\x00"), REASON_bad_option, 0},
		{BYTES("\x94\x01\x00\x00"), REASON_bad_option, 0},
		{BYTES("\x94\x05\x00\x00"), REASON_bad_option, 0},
		{BYTES("\x94\xff\x00\x00"), REASON_bad_option, 0},
		{BYTES("\x01\x01\x01\x94"), REASON_bad_option, 0},
		{BYTES("\x83\x03\x04\x89"), REASON_bad_option, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet packet = {.flags = TCP_ACK, .ip_options = rows[i].bytes};
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), rows[i].reason);
		if (rows[i].reason != REASON_NONE)
			continue;
		assert_int_equal(view.bits, VIEW_IP4 | VIEW_TCP | VIEW_IP_OPTIONS | rows[i].bits);
		assert_int_equal(view.sport, 40000);
	}
}

// The ICMP of one family is not the ICMP of the other.
static void foreign_icmp(void **state)
{
	static const uint8_t icmp[8];
	struct packet packet = {.protocol = PROTOCOL_ICMP6, .no_upper = true, .payload = {icmp, 8}};
	struct view view;

	(void)state;
	assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP4);
	packet = (struct packet){.ip6 = true, .protocol = PROTOCOL_ICMP};
	packet.type = 128;
	assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP6 | VIEW_ICMP);
	room[PACKET_HEADROOM_BYTES + 20] = PROTOCOL_ICMP;
	assert_int_equal(view_parse(&view, &(struct frame){.data = view.data, .len = view.end}),
		REASON_NONE);
	assert_int_equal(view.bits, VIEW_IP6);
}

static void icmp(void **state)
{
	static const struct {
		bool ip6;
		uint8_t type;
		bool error, query;
	} rows[] = {
		{false, 0, false, true},
		{false, 8, false, true},
		{false, 13, false, true},
		{false, 14, false, true},
		{false, 3, true, false},
		{false, 4, true, false},
		{false, 5, true, false},
		{false, 11, true, false},
		{false, 12, true, false},
		{false, 9, false, false},
		{false, 128, false, false},
		{true, 128, false, true},
		{true, 129, false, true},
		{true, 1, true, false},
		{true, 2, true, false},
		{true, 3, true, false},
		{true, 4, true, false},
		{true, 0, false, false},
		{true, 8, false, false},
		{true, 135, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet packet = {.ip6 = rows[i].ip6,
			.protocol = PROTOCOL_ICMP,
			.type = rows[i].type,
			.code = 5,
			.rest = 0x12345678};
		struct view view;

		assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
		assert_true(view.bits & VIEW_ICMP);
		assert_int_equal(view.icmp_type, rows[i].type);
		assert_int_equal(view.icmp_code, 5);
		assert_int_equal(view.payload, view.l4 + 8);
		assert_int_equal(view_is_icmp_error(&view), rows[i].error);
		assert_int_equal(view_is_icmp_query(&view), rows[i].query);
		assert_int_equal(view.icmp_id, rows[i].query ? 0x1234 : 0);
	}
}

static void icmp_predicates_need_icmp(void **state)
{
	struct packet packet = {.flags = TCP_ACK};
	struct view view;

	(void)state;
	assert_int_equal(parse_packet(&view, &packet), REASON_NONE);
	assert_false(view_is_icmp_query(&view)); // type 0 would be an echo reply
	view.icmp_type = 3;
	assert_false(view_is_icmp_error(&view));
}

static void not_ip(void **state)
{
	static const uint16_t types[] = {0x0806, 0x88cc, 0x0026, 0x86de};
	uint8_t bytes[60] = {0};
	struct frame frame = {.data = bytes, .len = sizeof(bytes)};
	struct view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		be16_put(bytes + 12, types[i]);
		assert_int_equal(view_parse(&view, &frame), REASON_NONE);
		assert_int_equal(view.bits, 0);
		assert_int_equal(view.ethertype, types[i]);
		assert_int_equal(view_verify(&view, &frame), REASON_NONE);
		assert_int_equal(view_check_addresses(&view), REASON_NONE);
	}
	frame.len = 14;
	assert_int_equal(view_parse(&view, &frame), REASON_NONE);
	frame.len = 13;
	assert_int_equal(view_parse(&view, &frame), REASON_malformed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(t6_4_tags),
		cmocka_unit_test(truncated_everywhere),
		cmocka_unit_test(cut_captures),
		cmocka_unit_test(lying_ip4),
		cmocka_unit_test(lying_ip6),
		cmocka_unit_test(t2_1_data_offset),
		cmocka_unit_test(udp_length),
		cmocka_unit_test(t6_3_ip4_options),
		cmocka_unit_test(foreign_icmp),
		cmocka_unit_test(icmp),
		cmocka_unit_test(icmp_predicates_need_icmp),
		cmocka_unit_test(not_ip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
