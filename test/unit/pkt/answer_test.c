// Answers from a form against craft_tcp(): every layout of options, frames of every kind.
#include "draw.h"
#include "base/error.h"
#include "packet.h"
#include "pkt/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 20000

static struct packet draw_packet(uint8_t options[40])
{
	static const uint16_t tags[3] = {0x8100, 0x88a8, 0x9100};
	struct packet packet = {.flags = TCP_SYN,
		.seq = draw_word(),
		.window = (uint16_t)draw_word(),
		.tos = (uint8_t)draw_word(),
		.ttl = (uint8_t)draw_word(),
		.id = (uint16_t)draw_word(),
		.client_port = (uint16_t)(draw_word() | 1),
		.server_port = (uint16_t)(draw_word() | 1),
		.from_server = draw_word() & 1,
		.options = {options, (uint16_t)(draw_word() % 11 * 4)},
		.payload = {"0123456789", (uint16_t)(draw_word() % 11)},
		.ip_options = {"\1\1\1\1\1\1\1\1", (uint16_t)(draw_word() % 4 == 0 ? 8 : 0)}};

	memset(options, 1, 40);
	for (unsigned i = 0; i < 3 && draw_word() % 4 == 0; i++)
		packet.tags[i] = tags[i];
	return packet;
}

static struct craft draw_craft(void)
{
	static const uint16_t bits[4] = {
		OPTION_MSS, OPTION_SACK_OK, OPTION_TIMESTAMPS, OPTION_WSCALE};
	struct craft craft = {.reply = true,
		.tcp_flags = (uint8_t)draw_word(),
		.ttl = (uint8_t)(draw_word() % 3 * 77),
		.window = (uint16_t)draw_word(),
		.seq = draw_word(),
		.ack = draw_word(),
		.options = {.mss = (uint16_t)draw_word(),
			.wscale = (uint8_t)(draw_word() % 16),
			.tsval = draw_word(),
			.tsecr = draw_word()}};

	for (unsigned i = 0; i < 4; i++)
		craft.options.bits |= draw_word() % 3 ? bits[i] : 0;
	return craft;
}

// From the frame alone, where that may be asked for: the same again.
static bool as_cut(const struct frame *before, const struct frame *crafted, const struct view *view,
	const struct answer_form *form, const struct answer_numbers *numbers)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = *before;

	if (view->l3 != 14 || view->l4 != 34 || crafted->len > before->len)
		return false;
	memcpy(room, before->data, before->len);
	frame.data = room;
	answer_write_cut(&frame, form, numbers);
	assert_int_equal(frame.len, crafted->len);
	assert_int_equal(frame.tailroom, crafted->tailroom);
	assert_int_equal(frame.flags, crafted->flags);
	assert_memory_equal(frame.data, crafted->data, crafted->len);
	return true;
}

static void as_craft_tcp(void **state)
{
	unsigned none = 0, cut = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t room[PACKET_ROOM_BYTES], crafted_room[PACKET_ROOM_BYTES], options[40];
		struct packet packet = draw_packet(options);
		struct frame frame = packet_build(room, &packet), crafted = frame;
		struct view view = packet_view(&frame), crafted_view;
		struct craft craft = draw_craft(), common = craft;
		const struct answer_numbers numbers = {
			craft.seq, craft.ack, craft.options.tsval, craft.options.tsecr};
		struct answer_form form;
		int expected;

		if (draw_word() % 2 == 0)
			frame.tailroom = crafted.tailroom = (uint16_t)(draw_word() % 24);
		frame.flags = crafted.flags = FRAME_L4_GOOD;
		memcpy(crafted_room, room, sizeof(room));
		crafted.data = crafted_room + (frame.data - room);
		crafted_view = view;
		crafted_view.data = crafted.data;
		common.window = (uint16_t)draw_word();
		common.seq = common.ack = common.options.tsval = common.options.tsecr = draw_word();
		expected = craft_tcp(&crafted, &crafted_view, &craft);
		answer_form_init(&form, &common);
		answer_form_set_window(&form, craft.window);
		cut += expected == 0 && as_cut(&frame, &crafted, &view, &form, &numbers);
		assert_int_equal(answer_write(&frame, &view, &form, &numbers), expected);
		none += expected != 0;
		assert_memory_equal(room, crafted_room, sizeof(room));
		assert_int_equal(frame.len, crafted.len);
		assert_int_equal(frame.tailroom, crafted.tailroom);
		assert_int_equal(frame.flags, crafted.flags);
		if (expected == 0)
			assert_true(packet_good(&frame));
	}
	assert_in_range(none, ROUNDS / 100, ROUNDS / 2);
	assert_in_range(cut, ROUNDS / 8, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_craft_tcp)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
