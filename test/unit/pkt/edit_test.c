// Edits in place: after each one the frame's checksums are exactly what a full computation gives,
// and the view agrees with the bytes. TCP.md 6.5; for both families.
#include "packet.h"
#include "pkt/edit.h"
#include "pkt/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 4000

// Half of the values are all zeros or all ones, where the two zeros of the arithmetic meet.
static uint32_t value32(void)
{
	static const uint32_t extremes[] = {0, UINT32_MAX, 0x0000ffff, 0xffff0000, 1, 0xff000000};
	uint32_t pick = (uint32_t)random();

	return pick & 1 ? extremes[pick / 2 % 6] : (uint32_t)random() << 1;
}

static void assert_in_step(const struct view *view, const struct frame *frame)
{
	struct view fresh = packet_view(frame);

	assert_true(packet_good(frame));
	assert_int_equal(view->seq, fresh.seq);
	assert_int_equal(view->ack, fresh.ack);
	assert_int_equal(view->window, fresh.window);
	assert_int_equal(view->tcp_flags, fresh.tcp_flags);
	assert_int_equal(view->tcp_ae, fresh.tcp_ae);
}

static struct frame random_segment(uint8_t *room, bool ip6)
{
	static uint8_t payload[64];
	uint8_t options[40];
	struct packet packet = {.ip6 = ip6,
		.flags = (uint8_t)random(),
		.ae = random() & 1,
		.window = (uint16_t)random(),
		.seq = value32(),
		.ack = value32(),
		.options = {options, (uint16_t)(random() % 41)},
		.payload = {payload, (uint16_t)(random() % 64)}};

	for (size_t i = 0; i < sizeof(options); i++)
		options[i] = (uint8_t)random();
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)random();
	return packet_build(room, &packet);
}

static void random_edit(struct view *view)
{
	unsigned options = view->l4 + 20u, room = view->payload - options;
	uint16_t at = (uint16_t)(options + (room > 4 ? (unsigned)random() % (room - 3) : 0));

	switch (random() % 6) {
	case 0:
		edit_seq(view, value32());
		break;
	case 1:
		edit_ack(view, value32());
		break;
	case 2:
		edit_window(view, (uint16_t)value32());
		break;
	case 3:
		edit_tcp_flags(view, (uint8_t)value32());
		break;
	case 4:
		if (room >= 4)
			edit_tcp32(view, at, value32());
		break;
	default:
		edit_nop(view, at, (uint16_t)((unsigned)random() % (view->payload - at + 1u)));
	}
}

static void t6_5_random_edits(void **state)
{
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct frame frame = random_segment(room, round & 1);
		struct view view = packet_view(&frame);

		for (int i = 0; i < 8; i++) {
			random_edit(&view);
			assert_in_step(&view, &frame);
		}
	}
}

// Walks the checksum through all 65536 values, so through 0x0000 as well.
static void t6_5_every_checksum(void **state)
{
	uint8_t room[PACKET_ROOM_BYTES];
	bool zero_seen = false;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet packet = {.ip6 = ip6, .flags = TCP_ACK};
		struct frame frame = packet_build(room, &packet);
		struct view view = packet_view(&frame);

		for (unsigned window = 0xffff; window > 0; window--) {
			uint16_t checksum;

			edit_window(&view, (uint16_t)window);
			checksum = be16_get(view.data + view.l4 + 16);
			assert_int_equal(checksum, packet_upper_checksum(&view));
			assert_int_not_equal(checksum, 0xffff);
			zero_seen |= checksum == 0;
		}
	}
	assert_true(zero_seen);
}

static void values_land(void **state)
{
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet packet = {.ip6 = ip6,
			.flags = TCP_ACK,
			.ae = true,
			.options = BYTES("\x01\x08\x0a"
					 "AAAABBBB")};
		struct frame frame = packet_build(room, &packet);
		struct view view = packet_view(&frame), fresh;
		struct options options;

		assert_int_equal(options_parse(&options, &view), 0);
		assert_int_equal((options.timestamps_at - view.l4) % 2, 1);
		edit_seq(&view, 0x01020304);
		edit_tcp32(&view, (uint16_t)(view.l4 + 8), 0x05060708);
		edit_window(&view, 0x090a);
		edit_tcp_flags(&view, TCP_ACK | TCP_PSH);
		edit_tcp32(&view, options.timestamps_at, 0x11121314);
		fresh = packet_view(&frame);
		assert_int_equal(fresh.seq, 0x01020304);
		assert_int_equal(fresh.ack, 0x05060708);
		assert_int_equal(view.ack, 0x05060708);
		assert_int_equal(fresh.window, 0x090a);
		assert_int_equal(fresh.tcp_flags, TCP_ACK | TCP_PSH);
		assert_int_equal(fresh.tcp_ae, 1);
		assert_int_equal(options_parse(&options, &fresh), 0);
		assert_int_equal(options.tsval, 0x11121314);
		assert_int_equal(options.tsecr, 0x42424242);
		edit_nop(&view, (uint16_t)(options.timestamps_at - 2), 10);
		assert_int_equal(options_parse(&options, &view), 0);
		assert_int_equal(options.bits, 0);
		assert_true(packet_good(&frame));
	}
}

// A wrong checksum stays wrong: an edit must not launder a damaged segment.
static void t6_5_wrong_stays_wrong(void **state)
{
	struct packet packet = {.flags = TCP_ACK, .payload = BYTES("data")};
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct view view = packet_view(&frame);

	(void)state;
	frame.data[frame.len - 1] ^= 1;
	edit_seq(&view, 12345);
	assert_false(packet_good(&frame));
	frame.data[frame.len - 1] ^= 1;
	assert_true(packet_good(&frame));
}

static void t2_8_clear_ecn(void **state)
{
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	for (unsigned tos = 0; tos < 256; tos++) {
		struct packet packet = {.tos = (uint8_t)tos, .flags = TCP_ACK};
		struct frame frame = packet_build(room, &packet);
		struct view view = packet_view(&frame);

		edit_clear_ecn(&view);
		assert_int_equal(frame.data[15], tos & 0xfc);
		assert_true(packet_good(&frame));
		packet.ip6 = true;
		packet.flow_label = 0xabcde;
		frame = packet_build(room, &packet);
		view = packet_view(&frame);
		edit_clear_ecn(&view);
		assert_int_equal(be32_get(frame.data + 14), 0x600abcde | (tos & 0xfc) << 20);
		assert_true(packet_good(&frame));
	}
}

// Damages both checksums and has them computed.
static void assert_recomputed(const struct packet *packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);
	struct view view = packet_view(&frame);

	assert_true(packet_good(&frame));
	if (!packet->ip6)
		frame.data[view.l3 + 10] ^= 0x5a;
	frame.data[view_checksum_at(&view)] ^= 0x81;
	assert_false(packet_good(&frame));
	edit_checksums(&view);
	assert_true(packet_good(&frame));
}

static void t6_5_checksums(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		for (int i = 0; i < 3; i++) {
			struct packet packet = {.ip6 = ip6,
				.protocol = protocols[i],
				.payload = BYTES("odd"),
				.pad_to = 100};

			assert_recomputed(&packet);
			packet.extensions = (struct bytes)BYTES("\x00\x3c");
			packet.ip_options = (struct bytes)BYTES("\x01\x01\x01\x01");
			assert_recomputed(&packet);
		}
	}
}

// Finds the payload for which a UDP checksum is computed as 0.
static void t6_5_udp_zero(void **state)
{
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		uint8_t payload[2] = {0};
		struct packet packet = {
			.ip6 = ip6, .protocol = PROTOCOL_UDP, .payload = {payload, 2}};
		struct frame frame = packet_build(room, &packet);
		struct view view = packet_view(&frame);

		// The checksum itself as the payload complements the sum to all ones.
		be16_put(payload, packet_upper_checksum(&view));
		frame = packet_build(room, &packet);
		view = packet_view(&frame);
		be16_put(view.data + view.l4 + 6, 0x1234);
		edit_checksums(&view);
		assert_int_equal(be16_get(view.data + view.l4 + 6), 0xffff);
		assert_int_equal(view_verify(&view, &frame), REASON_NONE);

		packet.no_checksum = true;
		frame = packet_build(room, &packet);
		view = packet_view(&frame);
		edit_checksums(&view);
		assert_int_equal(be16_get(view.data + view.l4 + 6), ip6 ? 0xffff : 0);
	}
}

// From one fragment the checksum cannot be known; an edit's delta is still right (TCP.md 6.1).
static void t6_1_first_fragment(void **state)
{
	struct packet whole = {.flags = TCP_ACK, .payload = BYTES("0123456789abcdef")};
	struct packet first = whole;
	uint8_t room[PACKET_ROOM_BYTES], room_first[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &whole), fragment;
	struct view view = packet_view(&frame), part;

	(void)state;
	first.more_fragments = true;
	first.payload.len = 4;
	fragment = packet_build(room_first, &first);
	part = packet_view(&fragment);
	assert_int_equal(part.bits, VIEW_IP4 | VIEW_FRAGMENT | VIEW_FIRST | VIEW_TCP);
	memcpy(part.data + part.l4, view.data + view.l4, 24);
	edit_checksums(&part);
	assert_memory_equal(part.data + part.l4, view.data + view.l4, 24);
	edit_seq(&part, 0xdeadbeef);
	edit_seq(&view, 0xdeadbeef);
	assert_memory_equal(part.data + part.l4, view.data + view.l4, 24);
	assert_true(packet_good(&frame));
}

// Several edits with one checksum at the end against the same one by one, down to the two zeros of
// the arithmetic.
static void t6_5_at_once(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		static uint8_t room[PACKET_ROOM_BYTES], other[PACKET_ROOM_BYTES];
		struct frame frame = random_segment(room, random() & 1), copy = frame;
		struct view view = packet_view(&frame), second;
		unsigned options = (unsigned)(view.payload - view.l4 - 20);
		struct edit edit = edit_begin(&view);

		copy.data = other + (frame.data - room);
		memcpy(copy.data, frame.data, frame.len);
		second = packet_view(&copy);
		for (unsigned i = (unsigned)random() % 5; i > 0; i--) {
			uint32_t value = value32();
			unsigned kind = (unsigned)random() % 4;
			unsigned at = kind == 0 ? EDIT_SEQ : EDIT_ACK;

			if (kind == 3 && options >= 4)
				at = 20 + (unsigned)random() % (options - 3);
			if (kind == 2) {
				edit_put16(&edit, EDIT_WINDOW, (uint16_t)value);
				edit_window(&second, (uint16_t)value);
				continue;
			}
			edit_put32(&edit, at, value);
			edit_tcp32(&second, (uint16_t)(second.l4 + at), value);
		}
		edit_end(&edit);
		assert_memory_equal(frame.data, copy.data, frame.len);
		assert_true(packet_good(&frame));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t6_5_random_edits),
		cmocka_unit_test(t6_5_at_once),
		cmocka_unit_test(t6_5_every_checksum),
		cmocka_unit_test(values_land),
		cmocka_unit_test(t6_5_wrong_stays_wrong),
		cmocka_unit_test(t2_8_clear_ecn),
		cmocka_unit_test(t6_5_checksums),
		cmocka_unit_test(t6_5_udp_zero),
		cmocka_unit_test(t6_1_first_fragment),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
