// A stencil fits what view_take_usual() takes and what is as in the frame it was cut from, but for
// what is open; and nothing else. Without wide registers and with them.
#include "draw.h"
#include "base/bytes.h"
#include "packet.h"
#include "pkt/stencil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS	   20000
#define MUTATIONS  8
#define FRAME_MOST 128

static uint16_t draw_options(uint8_t options[40], uint16_t *timestamps_at)
{
	static const uint8_t with[20] = {
		2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
	static const uint8_t without[12] = {2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2};

	memset(options, 1, 40);
	*timestamps_at = 0;
	if (draw(2) == 0) {
		memcpy(options, with, sizeof(with));
		*timestamps_at = 14 + 20 + 20 + 8;
		return sizeof(with);
	}
	memcpy(options, without, sizeof(without));
	return (uint16_t)(draw(8) * 4);
}

struct drawn {
	char client[32];
	uint8_t options[40];
	char server[32];
	struct stencil_bounds bounds;
	struct packet packet;
};

// What is open, at random.
static void draw_open(struct drawn *drawn)
{
	static const uint8_t nets[8] = {192, 10, 1, 223, 0, 127, 224, 255};
	struct packet *packet = &drawn->packet;

	snprintf(drawn->client, sizeof(drawn->client), "%u.%u.%u.%u", nets[draw(draw(8) ? 4 : 8)],
		draw(256), draw(256), draw(256));
	if (draw(16) == 0)
		snprintf(drawn->client, sizeof(drawn->client), "198.51.100.10");
	packet->client = drawn->client;
	snprintf(drawn->server, sizeof(drawn->server), "198.%u.%u.%u", draw(8) ? 51 : 50,
		draw(4) ? 100 : 228, 10 + (draw(2) ? 0 : draw(8)));
	packet->server = drawn->server;
	packet->client_port = (uint16_t)(draw(16) ? 1 + draw(65535) : 80);
	packet->tos = (uint8_t)draw(256);
	packet->ttl = (uint8_t)draw(256);
	packet->id = (uint16_t)draw(65536);
	packet->dont_fragment = draw(2);
	packet->seq = draw(UINT32_MAX);
	packet->ack = draw(UINT32_MAX);
	packet->window = (uint16_t)draw(65536);
	if (drawn->bounds.timestamps_at != 0)
		for (unsigned i = 8; i < 16; i++)
			drawn->options[i] = (uint8_t)draw(256);
}

static void draw_model(struct drawn *drawn)
{
	uint16_t len = draw_options(drawn->options, &drawn->bounds.timestamps_at);

	drawn->packet = (struct packet){.flags = TCP_SYN | (draw(4) ? 0 : TCP_ECE | TCP_CWR),
		.options = {drawn->options, len},
		.pad_to = draw(2) ? 60 : 0,
		.payload = {"abc", (uint16_t)(draw(16) ? 0 : 3)},
		.ip6 = draw(32) == 0,
		.tags = {draw(32) ? 0 : 0x8100},
		.ip_options = {"\1\1\1\1", draw(32) ? 0 : 4}};
	draw_open(drawn);
	drawn->bounds.dst_bits = (uint8_t)(8 + draw(25));
	if (drawn->packet.ip6)
		drawn->packet.client = drawn->packet.server = NULL;
}

// The frame without what is open.
static void blank(uint8_t out[FRAME_MOST], const struct frame *frame, struct stencil_bounds bounds)
{
	static const uint8_t open[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 18, 19, 22, 24, 25,
		26, 27, 28, 29, 34, 35, 38, 39, 40, 41, 42, 43, 44, 45, 48, 49, 50, 51, 52, 53};

	memset(out, 0, FRAME_MOST);
	memcpy(out, frame->data, frame->len);
	memset(out + 14 + be16_get(out + 16), 0, FRAME_MOST - 14 - be16_get(out + 16));
	for (unsigned i = 0; i < sizeof(open); i++)
		out[open[i]] = 0;
	out[20] &= 0x3f;
	for (unsigned bit = bounds.dst_bits; bit < 32; bit++)
		out[30 + bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	if (bounds.timestamps_at != 0)
		memset(out + bounds.timestamps_at, 0, 8);
}

static bool expected(
	const struct frame *model, const struct frame *frame, struct stencil_bounds bounds)
{
	uint8_t a[FRAME_MOST], b[FRAME_MOST];
	struct view view;

	if (!view_take_usual(&view, frame) || frame->len != model->len ||
		frame->port != model->port || frame->flags != model->flags)
		return false;
	blank(a, model, bounds);
	blank(b, frame, bounds);
	return memcmp(a, b, sizeof(a)) == 0;
}

static bool assert_as_expected(const struct stencil *stencil, const struct frame *model,
	const struct frame *frame, struct stencil_bounds bounds)
{
	bool fits = expected(model, frame, bounds);

	assert_int_equal(stencil_fits_any(stencil, frame), fits);
	if (__builtin_cpu_supports("avx2"))
		assert_int_equal(stencil_fits_wide(stencil, frame), fits);
	return fits;
}

static uint16_t headers_sum(const uint8_t *p, unsigned bytes)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < bytes; i += 2)
		sum += be16_get(p + i);
	while (sum > UINT16_MAX)
		sum = (sum >> 16) + (sum & UINT16_MAX);
	return (uint16_t)~sum;
}

// Makes the checksums right again, where there is something to sum.
static void correct(struct frame *frame)
{
	struct view view;

	if (view_parse_any(&view, frame) != REASON_NONE || view.bits != (VIEW_IP4 | VIEW_TCP) ||
		view.l3 != 14 || view.l4 != 34)
		return;
	be16_put(frame->data + 24, 0);
	be16_put(frame->data + 24, headers_sum(frame->data + 14, 20));
	be16_put(frame->data + 50, packet_upper_checksum(&view));
}

static void mutate(struct frame *frame)
{
	frame->data[draw(frame->len)] ^= (uint8_t)(1u << draw(8));
	if (draw(2) == 0)
		correct(frame);
	if (draw(16) == 0)
		frame->port ^= 1;
	if (draw(16) == 0)
		frame->flags ^= (uint8_t)(1u << draw(5));
	if (draw(16) == 0)
		frame->len = (uint16_t)(frame->len - 1 - draw(4));
}

static void as_parsed_and_compared(void **state)
{
	unsigned cut = 0, fitting = 0, others = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		static uint8_t model_room[PACKET_ROOM_BYTES], room[PACKET_ROOM_BYTES];
		struct drawn drawn;
		struct frame model, frame;
		struct stencil stencil;
		struct view view;

		draw_model(&drawn);
		model = packet_build(model_room, &drawn.packet);
		model.flags = draw(2) ? FRAME_L3_GOOD | FRAME_L4_GOOD : 0;
		if (!view_take_usual(&view, &model) ||
			!stencil_cut(&stencil, &model, &view, drawn.bounds))
			continue;
		cut++;
		drawn.bounds.dst_bits ^= 64;
		assert_false(stencil_cut(&(struct stencil){0}, &model, &view, drawn.bounds));
		drawn.bounds.dst_bits ^= 64;
		assert_true(view.bits & VIEW_IP4 && view.payload == view.end && view.end <= 74);
		assert_true(assert_as_expected(&stencil, &model, &model, drawn.bounds));
		for (unsigned i = 0; i < MUTATIONS; i++) {
			bool fits;

			draw_open(&drawn);
			frame = packet_build(room, &drawn.packet);
			frame.flags = model.flags;
			if (i > 0)
				mutate(&frame);
			fits = assert_as_expected(&stencil, &model, &frame, drawn.bounds);
			fitting += fits;
			others += !fits;
		}
		memset(&stencil, 0, sizeof(stencil));
		assert_false(stencil_fits_any(&stencil, &model));
		if (__builtin_cpu_supports("avx2"))
			assert_false(stencil_fits_wide(&stencil, &model));
	}
	assert_true(cut > ROUNDS / 3);
	assert_true(fitting > cut && others > cut);
}

// Every value of every byte, with and without checksums that follow.
static void every_byte(void **state)
{
	static uint8_t room[PACKET_ROOM_BYTES];
	struct drawn drawn = {.bounds = {.dst_bits = 32}};
	struct frame frame;
	struct stencil stencil;
	struct view view;
	unsigned fitting[2] = {0};

	(void)state;
	drawn.packet = (struct packet){.flags = TCP_SYN, .seq = 1, .options = {drawn.options, 0}};
	do
		drawn.packet.options.len = draw_options(drawn.options, &drawn.bounds.timestamps_at);
	while (drawn.bounds.timestamps_at == 0);
	frame = packet_build(room, &drawn.packet);
	view = packet_view(&frame);
	assert_true(stencil_cut(&stencil, &frame, &view, drawn.bounds));
	for (unsigned at = 0; at < frame.len; at++) {
		uint8_t kept[FRAME_MOST];

		memcpy(kept, frame.data, frame.len);
		for (unsigned value = 0; value < 512; value++) {
			struct frame model = frame;
			uint8_t kept_model[FRAME_MOST];

			memcpy(kept_model, kept, sizeof(kept));
			model.data = kept_model;
			frame.data[at] = (uint8_t)value;
			if (value >= 256)
				correct(&frame);
			fitting[value >= 256] +=
				assert_as_expected(&stencil, &model, &frame, drawn.bounds);
			memcpy(frame.data, kept, frame.len);
		}
	}
	// Its own value of each byte; all of the MAC addresses' without, and of what is open with
	// checksums that follow, but for some sources.
	assert_int_equal(fitting[0], 12 * 256 + frame.len - 12);
	assert_in_range(fitting[1], 38 * 256, 12 * 256 + 38 * 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_parsed_and_compared),
		cmocka_unit_test(every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
