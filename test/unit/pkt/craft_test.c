// Segments Weir makes itself. TCP.md 1.1 (resets), 6.4 (tags), section 10 (nothing is reflected).
// Proves: P1 (the answer leaves with exchanged Ethernet and IP addresses).
#include "base/error.h"
#include "packet.h"
#include "pkt/craft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OUT_BYTES 256

static const struct craft synack = {
	.reply = true,
	.tcp_flags = TCP_SYN | TCP_ACK,
	.window = 4321,
	.seq = 0xfffffffe,
	.ack = 1001,
	.options = {.bits = OPTION_MSS | OPTION_TIMESTAMPS, .mss = 1460, .tsval = 5, .tsecr = 6},
};

static void assert_values(const struct frame *frame, const struct view *model, bool reply)
{
	struct view view = packet_view(frame);
	struct options options;

	assert_true(packet_good(frame));
	assert_int_equal(view_verify(&view, frame), REASON_NONE);
	assert_int_equal(view.end, frame->len);
	assert_int_equal(view_payload_len(&view), 0);
	assert_int_equal(view.tcp_flags, TCP_SYN | TCP_ACK);
	assert_int_equal(view.tcp_ae, 0);
	assert_int_equal(view.window, 4321);
	assert_int_equal(view.seq, 0xfffffffe);
	assert_int_equal(view.ack, 1001);
	assert_int_equal(view.ttl, CRAFT_TTL);
	assert_int_equal(view.sport, reply ? model->dport : model->sport);
	assert_int_equal(view.dport, reply ? model->sport : model->dport);
	assert_true(addr_equal(&view.src, reply ? &model->dst : &model->src));
	assert_true(addr_equal(&view.dst, reply ? &model->src : &model->dst));
	assert_int_equal(options_parse(&options, &view), 0);
	assert_int_equal(options.bits, OPTION_MSS | OPTION_TIMESTAMPS);
	assert_int_equal(options.mss, 1460);
	assert_int_equal(options.tsval, 5);
	assert_int_equal(options.tsecr, 6);
}

// Checks the L2 header of a crafted frame against the model's own.
static void assert_l2(const uint8_t *out, const uint8_t *model, uint16_t l2_bytes, bool reply)
{
	assert_memory_equal(out, model + (reply ? 6 : 0), 6);
	assert_memory_equal(out + 6, model + (reply ? 0 : 6), 6);
	assert_memory_equal(out + 12, model + 12, l2_bytes - 12);
}

static void assert_crafted(const struct packet *packet, bool reply, bool in_place)
{
	uint8_t room[PACKET_ROOM_BYTES], before[PACKET_ROOM_BYTES], separate[OUT_BYTES];
	struct frame frame = packet_build(room, packet);
	struct view model = packet_view(&frame);
	struct frame out = {
		.data = separate, .tailroom = OUT_BYTES, .port = 9, .flags = FRAME_L4_BAD};
	uint32_t total;
	struct craft craft = synack;

	memcpy(before, frame.data, frame.len);
	if (in_place)
		out = frame;
	total = (uint32_t)out.len + out.tailroom;
	craft.reply = reply;
	assert_int_equal(craft_tcp(&out, &model, &craft), 0);
	assert_values(&out, &model, reply);
	assert_l2(out.data, before, model.l3, reply);
	assert_int_equal(out.flags, 0);
	assert_int_equal(out.len + out.tailroom, total);
	assert_true(out.len <= CRAFT_BYTES_MAX(model.l3));
	if (!in_place) {
		assert_memory_equal(frame.data, before, frame.len);
		assert_int_equal(out.port, 9);
	}
}

static void both_ways_everywhere(const struct packet *packet)
{
	struct packet ip6 = *packet;

	ip6.ip6 = true;
	for (int i = 0; i < 4; i++) {
		assert_crafted(packet, i & 1, i & 2);
		assert_crafted(&ip6, i & 1, i & 2);
	}
}

static void plain(void **state)
{
	struct packet packet = {.flags = TCP_SYN, .seq = 1000, .pad_to = 60};

	(void)state;
	both_ways_everywhere(&packet);
	packet.from_server = true;
	both_ways_everywhere(&packet);
}

static void t6_4_tags_are_kept(void **state)
{
	struct packet packet = {.flags = TCP_SYN, .tags = {0x88a8, 0x8100}};

	(void)state;
	both_ways_everywhere(&packet);
	packet.tags[2] = 0x9100;
	packet.tags[3] = 0x8100;
	both_ways_everywhere(&packet);
}

// Kinds 30, 34, 254, 19, 29, the SYN's data, IP options and extension headers are not reflected:
// assert_values() wants exactly the options that were asked for.
static void section10_nothing_is_reflected(void **state)
{
	struct packet packet = {.flags = TCP_SYN | TCP_ECE | TCP_CWR,
		.ae = true,
		.tos = 0xff,
		.ttl = 3,
		.id = 77,
		.options = BYTES("\x1e\x04\x00\x81\x22\x02\xfe\x04\x00\x00\x1d\x04\x01\x01"),
		.payload = BYTES("GET / HTTP/1.0"),
		.ip_options = BYTES("\x94\x04\x00\x00"),
		.extensions = BYTES("\x00\x3c\x2b"),
		.routing_type = 4};

	(void)state;
	both_ways_everywhere(&packet);
	packet.options = (struct bytes)BYTES("\x13\x12"
					     "0123456789abcdef");
	both_ways_everywhere(&packet);
}

static void ip4_header(void **state)
{
	struct packet packet = {.flags = TCP_SYN, .tos = 0xff, .id = 99};
	struct craft craft = {.tcp_flags = TCP_ACK, .ttl = 200};
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct view model = packet_view(&frame);

	(void)state;
	assert_int_equal(craft_tcp(&frame, &model, &craft), 0);
	assert_int_equal(frame.len, 14 + 20 + 20);
	assert_int_equal(be32_get(frame.data + 14), 0x45000028);
	assert_int_equal(be32_get(frame.data + 18), 0x00004000);
	assert_int_equal(frame.data[22], 200);
	assert_int_equal(be16_get(frame.data + 14 + 20 + 18), 0);
}

static void ip6_flow_label(void **state)
{
	struct packet packet = {.ip6 = true, .flags = TCP_SYN, .tos = 0xff, .flow_label = 0x12345};
	struct craft craft = {.tcp_flags = TCP_ACK};
	uint8_t room[PACKET_ROOM_BYTES], out_room[OUT_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct frame out = {.data = out_room, .tailroom = OUT_BYTES};
	struct view model = packet_view(&frame);

	(void)state;
	assert_int_equal(craft_tcp(&out, &model, &craft), 0);
	assert_int_equal(be32_get(out.data + 14), 0x60012345);
	assert_int_equal(be16_get(out.data + 18), 20);
	craft.reply = true;
	assert_int_equal(craft_tcp(&out, &model, &craft), 0);
	assert_int_equal(be32_get(out.data + 14), 0x60000000);
}

static void room_is_respected(void **state)
{
	struct packet packet = {.flags = TCP_SYN};
	uint8_t room[PACKET_ROOM_BYTES], out_room[OUT_BYTES];
	struct frame frame = packet_build(room, &packet);
	struct view model = packet_view(&frame);
	uint16_t need = 14 + 20 + 20 + 16;

	(void)state;
	for (uint16_t bytes = 0; bytes < need; bytes++) {
		struct frame out = {.data = out_room,
			.len = bytes / 2,
			.tailroom = (uint16_t)(bytes - bytes / 2)};

		memset(out_room, 0x77, sizeof(out_room));
		assert_int_equal(craft_tcp(&out, &model, &synack), -ERR_MEMORY);
		for (size_t i = 0; i < sizeof(out_room); i++)
			assert_int_equal(out_room[i], 0x77);
	}
	for (uint16_t len = 0; len <= need; len += 10) {
		struct frame out = {
			.data = out_room, .len = len, .tailroom = (uint16_t)(need - len)};

		assert_int_equal(craft_tcp(&out, &model, &synack), 0);
		assert_int_equal(out.len, need);
		assert_int_equal(out.tailroom, 0);
	}
	for (size_t i = need; i < sizeof(out_room); i++)
		assert_int_equal(out_room[i], 0x77);
}

static void largest(void **state)
{
	struct packet packet = {
		.ip6 = true, .flags = TCP_SYN, .tags = {0x88a8, 0x8100, 0x8100, 0x8100}};
	struct craft craft = {.tcp_flags = TCP_SYN, .options = {.bits = 0xffff, .wscale = 3}};
	uint8_t room[PACKET_ROOM_BYTES], out_room[CRAFT_BYTES_MAX(30)];
	struct frame frame = packet_build(room, &packet);
	struct frame out = {.data = out_room, .tailroom = sizeof(out_room)};
	struct view model = packet_view(&frame);

	(void)state;
	assert_int_equal(model.l3, 30);
	assert_int_equal(craft_tcp(&out, &model, &craft), 0);
	assert_int_equal(out.len, 30 + 40 + 20 + 20);
	assert_true(packet_good(&out));
}

static void t1_1_reset_rules(void **state)
{
	static const struct {
		uint8_t flags;
		uint8_t payload;
		uint8_t reset_flags;
		uint32_t seq, ack;
	} rows[] = {
		{TCP_ACK, 0, TCP_RST, 2000, 0},
		{TCP_ACK | TCP_PSH, 4, TCP_RST, 2000, 0},
		{TCP_SYN | TCP_ACK, 0, TCP_RST, 2000, 0},
		{TCP_SYN, 0, TCP_RST | TCP_ACK, 0, 0xffffffff + 1u},
		{TCP_SYN, 4, TCP_RST | TCP_ACK, 0, 4},
		{TCP_FIN, 0, TCP_RST | TCP_ACK, 0, 0},
		{TCP_SYN | TCP_FIN, 4, TCP_RST | TCP_ACK, 0, 5},
		{0, 4, TCP_RST | TCP_ACK, 0, 3},
	};
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet packet = {.ip6 = i & 1,
			.flags = rows[i / 2].flags,
			.seq = 0xffffffff,
			.ack = 2000,
			.pad_to = 80,
			.payload = {"data", rows[i / 2].payload}};
		struct frame frame = packet_build(room, &packet);
		struct view view = packet_view(&frame), reset;
		struct craft craft;

		craft_reset_for(&craft, &view);
		assert_true(craft.reply);
		assert_int_equal(craft_tcp(&frame, &view, &craft), 0);
		assert_true(packet_good(&frame));
		reset = packet_view(&frame);
		assert_int_equal(reset.tcp_flags, rows[i / 2].reset_flags);
		assert_int_equal(reset.seq, rows[i / 2].seq);
		assert_int_equal(reset.ack, rows[i / 2].ack);
		assert_int_equal(reset.dport, 40000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(t6_4_tags_are_kept),
		cmocka_unit_test(section10_nothing_is_reflected),
		cmocka_unit_test(ip4_header),
		cmocka_unit_test(ip6_flow_label),
		cmocka_unit_test(room_is_respected),
		cmocka_unit_test(largest),
		cmocka_unit_test(t1_1_reset_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
