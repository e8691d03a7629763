// The short cuts of view_parse(), view_verify() and all in one for TCP in IPv4 against the way
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

#define VIEW_BYTES    (offsetof(struct view, dst) + sizeof(struct addr)) // without padding
#define HEADERS_BYTES (14 + 20 + 20 + 12)

static const uint8_t timestamps[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

// What nothing is wrong with, and nothing unusual.
static bool is_usual(const struct view *any, const struct frame *frame)
{
	return any->bits == (VIEW_IP4 | VIEW_TCP) && any->l3 == 14 && any->src.b[12] < 224 &&
	       any->dst.b[12] < 224 &&
	       (frame->flags == 0 || frame->flags == (FRAME_L3_GOOD | FRAME_L4_GOOD)) &&
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

static struct frame build(uint8_t *room, uint16_t payload_bytes)
{
	struct packet packet = {.flags = TCP_ACK | TCP_PSH,
		.seq = 0x01020304,
		.ack = 0xf5f6f7f8,
		.window = 0x1234,
		.options = {timestamps, sizeof(timestamps)},
		.payload = {payload, payload_bytes}};

	return packet_build(room, &packet);
}

static void every_byte(void **state)
{
	static uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = build(room, 3);
	unsigned good = 0;

	(void)state;
	for (unsigned at = 0; at < HEADERS_BYTES; at++) {
		uint8_t kept = frame.data[at];

		for (unsigned value = 0; value < 256; value++) {
			frame.data[at] = (uint8_t)value;
			good += compare(&frame);
		}
		frame.data[at] = kept;
	}
	// Each byte's own value, every one of a MAC address's, and none of what is covered.
	assert_true(good >= 12 * 256 + HEADERS_BYTES - 12 && good < 14 * 256 + HEADERS_BYTES);
}

static void every_length(void **state)
{
	(void)state;
	for (uint16_t bytes = 0; bytes <= sizeof(payload); bytes++) {
		static uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame = build(room, bytes);
		uint16_t whole = frame.len;

		assert_true(compare(&frame));
		frame.data[14 + 20 + 5] ^= 0x40;
		assert_false(compare(&frame));
		frame.data[14 + 20 + 5] ^= 0x40;
		for (frame.len = 0; frame.len < whole; frame.len++)
			assert_false(compare(&frame));
		frame.len = (uint16_t)(whole + 6); // padding of the Ethernet frame
		assert_true(compare(&frame));
	}
}

static void every_flag(void **state)
{
	static uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = build(room, 3);

	(void)state;
	for (unsigned flags = 0; flags < 32; flags++) {
		frame.flags = (uint8_t)flags;
		for (unsigned cut = 0; cut < frame.len; cut++) {
			struct frame part = frame;

			part.len = (uint16_t)(frame.len - cut);
			compare(&part);
		}
		for (unsigned at = 14; at < HEADERS_BYTES; at++) {
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
static void ends(void **state)
{
	static const char nets[] = {0, 1, 10, 126, 127, (char)128, (char)223, (char)224, (char)239,
		(char)240, (char)255};
	static uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = build(room, 0);
	unsigned usual = 0, rounds = 200000;

	(void)state;
	frame.flags = FRAME_L3_GOOD | FRAME_L4_GOOD;
	for (unsigned round = 0; round < rounds; round++) {
		struct view any;

		for (unsigned at = 14 + 12; at < 14 + 20; at++)
			frame.data[at] = draw_of(nets, sizeof(nets));
		for (unsigned at = 14 + 20; at < 14 + 24; at++)
			frame.data[at] = draw_of("\0\1", 2);
		if (round % 4 == 0)
			memcpy(frame.data + 14 + 16, frame.data + 14 + 12, 4);
		assert_int_equal(view_parse_any(&any, &frame), REASON_NONE);
		usual += compare_usual(&frame, &any);
	}
	assert_in_range(usual, rounds / 8, rounds / 2);
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
