// The short cuts of view_parse(), view_verify() and all in one for TCP against the way
// everything else goes: every value of every byte of the headers, every length, every flag of a
// frame, addresses and ports at random.
#include "base/check.h"
#include "packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define VIEW_BYTES   (offsetof(struct view, dst) + sizeof(struct addr)) // without padding
#define L4(ip6)	     (14 + ((ip6) ? 40u : 20u))
#define HEADERS(ip6) (L4(ip6) + 20 + 12)

static const uint8_t timestamps[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

// What nothing is wrong with, and nothing unusual.
static bool is_usual(const struct view *any, const struct frame *frame)
{
	bool ip4 =
		any->bits == (VIEW_IP4 | VIEW_TCP) && any->src.b[12] < 224 && any->dst.b[12] < 224;
	bool ip6 = any->bits == (VIEW_IP6 | VIEW_TCP) && any->l4 == 14 + 40 &&
		   any->src.b[0] >> 5 == 1 && any->dst.b[0] >> 5 == 1;

	return (ip4 || ip6) && any->l3 == 14 &&
	       (frame->flags == 0 || frame->flags == (FRAME_L3_GOOD | FRAME_L4_GOOD) ||
		       (ip6 && frame->flags == FRAME_L4_GOOD)) &&
	       view_verify_any(any, frame) == REASON_NONE &&
	       view_check_addresses(any) == REASON_NONE;
}

// `any` where it parses, else NULL.
static bool compare_usual(const struct frame *frame, const struct view *any)
{
	struct view view;
	bool usual = view_take_usual(&view, frame);

	if (!usual) {
		assert_true(any == NULL || !is_usual(any, frame));
		return false;
	}
	assert_non_null(any);
	assert_true(is_usual(any, frame));
	assert_memory_equal(&view, any, VIEW_BYTES);
	return true;
}

static unsigned compare(const struct frame *frame)
{
	struct view view, any;
	enum reason reason = view_parse_any(&any, frame);

	assert_int_equal(view_parse(&view, frame), reason);
	compare_usual(frame, reason == REASON_NONE ? &any : NULL);
	if (reason != REASON_NONE)
		return 0;
	assert_memory_equal(&view, &any, VIEW_BYTES);
	reason = view_verify_any(&any, frame);
	assert_int_equal(view_verify(&view, frame), reason);
	return reason == REASON_NONE;
}

static const uint8_t payload[200] = "abc";

static struct frame build(uint8_t *room, bool ip6, uint16_t payload_bytes)
{
	struct packet packet = {.ip6 = ip6,
		.flags = TCP_ACK | TCP_PSH,
		.seq = 0x01020304,
		.ack = 0xf5f6f7f8,
		.window = 0x1234,
		.options = {timestamps, sizeof(timestamps)},
		.payload = {payload, payload_bytes}};

	return packet_build(room, &packet);
}

static unsigned every_byte_of(bool ip6)
{
	static uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = build(room, ip6, 3);
	unsigned good = 0;

	for (unsigned at = 0; at < HEADERS(ip6); at++) {
		uint8_t kept = frame.data[at];

		for (unsigned value = 0; value < 256; value++) {
			frame.data[at] = (uint8_t)value;
			good += compare(&frame);
		}
		frame.data[at] = kept;
	}
	return good;
}

// Each byte's own value, every one of a MAC address's, and none of what is covered. Of IPv6 the
// traffic class and label are not, nor the hop limit; nor anything behind an unknown next header.
static void every_byte(void **state)
{
	unsigned good = every_byte_of(false), good6 = every_byte_of(true), four = 15 + 4 * 255;

	(void)state;
	assert_in_range(good, 12 * 256 + HEADERS(false) - 12, 14 * 256 + HEADERS(false));
	assert_in_range(
		good6, 12 * 256 + HEADERS(true) - 12 + four, 15 * 256 + HEADERS(true) + four);
}

static void every_length(void **state)
{
	(void)state;
	for (unsigned bytes = 0; bytes <= 2 * sizeof(payload); bytes++) {
		static uint8_t room[PACKET_ROOM_BYTES];
		bool ip6 = bytes % 2;
		struct frame frame = build(room, ip6, (uint16_t)(bytes / 2));
		uint16_t whole = frame.len;

		assert_true(compare(&frame));
		frame.data[L4(ip6) + 5] ^= 0x40;
		assert_false(compare(&frame));
		frame.data[L4(ip6) + 5] ^= 0x40;
		for (frame.len = 0; frame.len < whole; frame.len++)
			assert_false(compare(&frame));
		frame.len = (uint16_t)(whole + 6); // padding of the Ethernet frame
		assert_true(compare(&frame));
	}
}

static void every_flag(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 64; round++) {
		static uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame = build(room, round % 2, 3);

		frame.flags = (uint8_t)(round / 2);
		for (unsigned cut = 0; cut < frame.len; cut++) {
			struct frame part = frame;

			part.len = (uint16_t)(frame.len - cut);
			compare(&part);
		}
		for (unsigned at = 14; at < HEADERS(round % 2); at++) {
			frame.data[at] ^= 0x10;
			compare(&frame);
			frame.data[at] ^= 0x10;
		}
	}
}

static uint8_t draw_of(const char *choices, unsigned count)
{
	static uint32_t seed = 1;

	seed = seed * 1664525 + 1013904223;
	return (uint8_t)choices[(seed >> 16) % count];
}

// First bytes where the ranges of addresses begin and end, ports that are none or the same. The
// checksum is left to the device.
static void ends_of(bool ip6)
{
	static const char nets[] = {0, 1, 10, 126, 127, (char)128, (char)223, (char)224, (char)239,
		(char)240, (char)255};
	static const char tops[] = {0, 0x1f, 0x20, 0x20, 0x3f, 0x3f, 0x40, (char)0xfe, (char)0xff};
	static uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = build(room, ip6, 0);
	unsigned usual = 0, rounds = 100000, bytes = ip6 ? 16 : 4;

	frame.flags = FRAME_L3_GOOD | FRAME_L4_GOOD;
	for (unsigned round = 0; round < rounds; round++) {
		uint8_t *addrs = frame.data + L4(ip6) - 2 * bytes;
		struct view any;

		for (unsigned i = 0; i < 2 * bytes; i++)
			addrs[i] = ip6 ? draw_of(tops, sizeof(tops)) : draw_of(nets, sizeof(nets));
		for (unsigned i = 0; i < 4; i++)
			addrs[2 * bytes + i] = draw_of("\0\1", 2);
		if (round % 4 == 0)
			memcpy(addrs + bytes, addrs, bytes);
		assert_int_equal(view_parse_any(&any, &frame), REASON_NONE);
		usual += compare_usual(&frame, &any);
	}
	assert_in_range(usual, rounds / 16, rounds / 2);
}

static void ends(void **state)
{
	(void)state;
	ends_of(false);
	ends_of(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte),
		cmocka_unit_test(every_length),
		cmocka_unit_test(every_flag),
		cmocka_unit_test(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
