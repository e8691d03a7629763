// The view: what parses, what is malformed, and where everything is. TCP.md 1.1, 6.1-6.5,
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
	static const uint8_t data[8] = {PROTOCOL_TCP, 255};
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
		cmocka_unit_test(fields),
		cmocka_unit_test(t6_4_tags),
		cmocka_unit_test(truncated_everywhere),
		cmocka_unit_test(cut_captures),
		cmocka_unit_test(lying_ip4),
		cmocka_unit_test(lying_ip6),
		cmocka_unit_test(jumbograms),
		cmocka_unit_test(t2_1_data_offset),
		cmocka_unit_test(udp_length),
		cmocka_unit_test(t6_3_ip4_options),
		cmocka_unit_test(t6_3_extensions),
		cmocka_unit_test(t6_3_lying_extension),
		cmocka_unit_test(t6_3_walk_stops),
		cmocka_unit_test(foreign_icmp),
		cmocka_unit_test(t6_1_fragments),
		cmocka_unit_test(t6_1_tiny_first_fragment),
		cmocka_unit_test(t6_1_incomplete_chain),
		cmocka_unit_test(t6_1_later_fragment_ends_walk),
		cmocka_unit_test(t6_1_udp_first_fragment),
		cmocka_unit_test(t6_2_atomic_fragment),
		cmocka_unit_test(icmp),
		cmocka_unit_test(icmp_predicates_need_icmp),
		cmocka_unit_test(not_ip),
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
