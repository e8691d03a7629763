// Timestamps put into a segment: lengths, checksums, payload and the bounds of header and headroom.
#include "packet.h"
#include "pkt/options.h"
#include "replay/timestamps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct packet plain = {.flags = TCP_ACK, .seq = 7, .ack = 9, .payload = BYTES("odd")};

static void check(struct packet packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct view view = packet_view(&frame);
	uint16_t len = frame.len, headroom = frame.headroom;
	const uint8_t *payload = view.data + view.payload;
	struct options options;

	assert_true(timestamps_insert(&frame, &view, 0x01020304, 0xfffefdfc));
	assert_int_equal(frame.len, len + TIMESTAMPS_BYTES);
	assert_int_equal(frame.headroom, headroom - TIMESTAMPS_BYTES);
	assert_true(packet_good(&frame));
	assert_ptr_equal(view.data + view.payload, payload); // it stayed where it was
	assert_int_equal(view_payload_len(&view), packet.payload.len);
	assert_memory_equal(payload, packet.payload.data, packet.payload.len);
	assert_int_equal(options_parse(&options, &view), 0);
	assert_true(options.bits & OPTION_TIMESTAMPS);
	assert_int_equal(options.tsval, 0x01020304);
	assert_int_equal(options.tsecr, 0xfffefdfc);
	assert_int_equal(view.seq, 7);
	assert_int_equal(view.ack, 9);
}

static void inserted(void **state)
{
	struct packet packet = plain;

	(void)state;
	check(packet);
	packet.ip6 = true;
	check(packet);
	packet.extensions = (struct bytes)BYTES("\x00\x3c");
	check(packet);
	packet = plain;
	packet.tags[0] = 0x8100;
	packet.tags[1] = 0x8100;
	packet.options = (struct bytes)BYTES("\x01\x01\x05\x0a\x01\x02\x03\x04\x05\x06\x07\x08");
	check(packet);
	packet.pad_to = 120;
	check(packet);
}

static void wrong_checksum_stays_wrong(void **state)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &plain);
	struct view view = packet_view(&frame);

	(void)state;
	frame.data[view.payload] ^= 1;
	assert_true(timestamps_insert(&frame, &view, 1, 2));
	assert_false(packet_good(&frame));
	frame.data[view.payload] ^= 1;
	assert_true(packet_good(&frame));
}

static void no_room(void **state)
{
	static const uint8_t nops[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct packet packet = plain;
	uint8_t room[PACKET_ROOM_BYTES], before[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct view view = packet_view(&frame);

	(void)state;
	memcpy(before, room, sizeof(room));
	frame.headroom = TIMESTAMPS_BYTES - 1;
	assert_false(timestamps_insert(&frame, &view, 1, 2));
	assert_memory_equal(before, room, sizeof(room));
	packet.options = (struct bytes){nops, 32}; // 12 more would be more than 40
	frame = packet_build(room, &packet);
	view = packet_view(&frame);
	assert_false(timestamps_insert(&frame, &view, 1, 2));
	packet.options.len = 28;
	frame = packet_build(room, &packet);
	view = packet_view(&frame);
	assert_true(timestamps_insert(&frame, &view, 1, 2));
	assert_true(packet_good(&frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inserted),
		cmocka_unit_test(wrong_checksum_stays_wrong),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
