// The player alone, told of packets that the engine would hardly send: what an end believes, and
// which greeting counts.
#include "base/check.h"
#include "packet.h"
#include "pkt/options.h"
#include "replay/player.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ISN_C 1000u
#define ISN_S 5000u
#define SA    (TCP_SYN | TCP_ACK)
#define PA    (TCP_PSH | TCP_ACK)

static struct service service;
static struct player *player;
static uint8_t room[PACKET_ROOM_BYTES];
static struct frame frame; // the last one offered, or given by next()

static int begin(void **state)
{
	const struct player_config config = {.services = &service,
		.service_count = 1,
		.connections = 4,
		.hold_bytes = 65536,
		.connection_bytes = 65536,
		.connection_frames = 64};
	size_t bytes = (player_bytes(&config) + 63) & ~(size_t)63;

	service = (struct service){.to_count = 1,
		.protocol = RULE_TCP,
		.from = RULE_FROM_OUTSIDE,
		.mode = MODE_PROXY,
		.port_count = 1,
		.ports = {{80, 80}}};
	CHECK(prefix_parse(&service.to[0], "198.51.100.0/24") == 0);
	*state = aligned_alloc(64, bytes);
	CHECK(*state != NULL);
	memset(*state, 0, bytes);
	player = player_init(*state, &config);
	return 0;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static struct frame build(struct packet packet, const char *payload)
{
	if (payload != NULL)
		packet.payload = (struct bytes){payload, (uint16_t)strlen(payload)};
	return packet_build(room, &packet);
}

static enum player_verdict offer(
	bool server, uint8_t flags, uint32_t seq, uint32_t ack, const char *payload)
{
	frame = build(
		(struct packet){.from_server = server, .flags = flags, .seq = seq, .ack = ack},
		payload);
	return player_offer(player, &frame, server ? SIDE_INSIDE : SIDE_OUTSIDE, 0);
}

static void emit(bool to_client, struct packet packet, const char *payload)
{
	struct frame sent;

	packet.from_server = to_client;
	sent = build(packet, payload);
	player_emitted(player, &sent, to_client ? SIDE_OUTSIDE : SIDE_INSIDE, 0);
}

static bool next(void)
{
	frame = (struct frame){.data = room + PACKET_HEADROOM_BYTES,
		.headroom = PACKET_HEADROOM_BYTES,
		.tailroom = PACKET_ROOM_BYTES - PACKET_HEADROOM_BYTES};
	return player_next(player, &frame);
}

static uint32_t ack_of_frame(void)
{
	return packet_view(&frame).ack;
}

static void greet_client(uint32_t isn)
{
	emit(true, (struct packet){.flags = SA, .seq = isn, .ack = ISN_C + 1}, NULL);
}

static void the_last_greeting_counts_until_it_is_answered(void **state)
{
	(void)state;
	offer(false, TCP_SYN, ISN_C, 0, NULL);
	greet_client(70000);
	greet_client(80000);
	assert_int_equal(offer(false, TCP_ACK, ISN_C + 1, ISN_S + 1, NULL), PLAYER_PLAY);
	assert_int_equal(ack_of_frame(), 80001);
	greet_client(90000); // too late
	assert_int_equal(offer(false, PA, ISN_C + 1, ISN_S + 1, "x"), PLAYER_PLAY);
	assert_int_equal(ack_of_frame(), 80001);
	assert_true(packet_good(&frame));
}

// A SYN/ACK that acknowledges something else is not for this client.
static void a_strange_greeting_is_none(void **state)
{
	(void)state;
	offer(false, TCP_SYN, ISN_C, 0, NULL);
	emit(true, (struct packet){.flags = SA, .seq = 70000, .ack = ISN_C + 2}, NULL);
	emit(true, (struct packet){.flags = SA, .seq = 70000, .ack = ISN_C}, NULL);
	assert_int_equal(offer(false, TCP_ACK, ISN_C + 1, ISN_S + 1, NULL), PLAYER_HELD);
	greet_client(70000);
	assert_true(next());
	assert_int_equal(ack_of_frame(), 70001);
	assert_false(next());
}

static void open_both(void)
{
	offer(false, TCP_SYN, ISN_C, 0, NULL);
	greet_client(70000);
	offer(true, SA, ISN_S, ISN_C + 1, NULL);
	assert_int_equal(offer(false, TCP_ACK, ISN_C + 1, ISN_S + 1, NULL), PLAYER_PLAY);
	emit(false, (struct packet){.flags = TCP_SYN, .seq = 30000}, NULL);
	assert_true(next());
	assert_int_equal(ack_of_frame(), 30001);
	assert_false(next());
}

static void a_reset_out_of_place_is_not_believed(void **state)
{
	(void)state;
	open_both();
	emit(true, (struct packet){.flags = TCP_RST, .seq = 69999}, NULL);
	emit(true, (struct packet){.flags = TCP_RST, .seq = 70002}, NULL);
	assert_int_equal(offer(false, PA, ISN_C + 1, ISN_S + 1, "x"), PLAYER_PLAY);
	emit(true, (struct packet){.flags = TCP_RST, .seq = 70001}, NULL);
	assert_int_equal(offer(false, PA, ISN_C + 2, ISN_S + 1, "y"), PLAYER_WITHHELD);
	assert_int_equal(player_counts(player)->withheld[PLAYER_RESET], 1);
}

// Nothing but a RST can answer a SYN that is not taken.
static void a_refusal_is_believed(void **state)
{
	(void)state;
	offer(false, TCP_SYN, ISN_C, 0, NULL);
	assert_int_equal(offer(false, TCP_ACK, ISN_C + 1, ISN_S + 1, NULL), PLAYER_HELD);
	emit(true, (struct packet){.flags = TCP_RST | TCP_ACK, .ack = ISN_C + 7}, NULL);
	assert_int_equal(player_counts(player)->held, 1);
	emit(true, (struct packet){.flags = TCP_RST | TCP_ACK, .ack = ISN_C + 1}, NULL);
	assert_int_equal(player_counts(player)->held, 0);
	assert_int_equal(player_counts(player)->withheld[PLAYER_RESET], 1);
}

// The other end's own reset, passed on: what crosses it was sent all the same.
static void a_reset_of_the_peer_is_no_reset_of_the_box(void **state)
{
	(void)state;
	open_both();
	assert_int_equal(offer(true, TCP_RST | TCP_ACK, ISN_S + 1, ISN_C + 1, NULL), PLAYER_PLAY);
	emit(true, (struct packet){.flags = TCP_RST | TCP_ACK, .seq = 70001, .ack = ISN_C + 1},
		NULL);
	assert_int_equal(offer(false, PA, ISN_C + 1, ISN_S + 1, "x"), PLAYER_PLAY);
}

// The server answers a SYN with another number, or one behind a reset, once more.
static void the_answer_is_repeated(void **state)
{
	(void)state;
	open_both();
	emit(false, (struct packet){.flags = TCP_SYN, .seq = 30000}, NULL); // a repetition
	assert_false(next());
	emit(false, (struct packet){.flags = TCP_SYN, .seq = 40000}, NULL);
	assert_true(next());
	assert_int_equal(ack_of_frame(), 40001);
	assert_int_equal(packet_view(&frame).seq, ISN_S);
	assert_true(packet_good(&frame));
	assert_false(next());
	emit(false, (struct packet){.flags = TCP_RST, .seq = 40001}, NULL);
	emit(false, (struct packet){.flags = TCP_SYN, .seq = 40000}, NULL);
	assert_true(next());
	assert_int_equal(ack_of_frame(), 40001);
	assert_int_equal(player_counts(player)->made, 2);
}

// Of what both ends may send now, what was captured first.
static void in_the_order_of_the_capture(void **state)
{
	(void)state;
	offer(false, TCP_SYN, ISN_C, 0, NULL);
	assert_int_equal(offer(true, SA, ISN_S, ISN_C + 1, NULL), PLAYER_HELD);
	assert_int_equal(offer(false, TCP_ACK, ISN_C + 1, ISN_S + 1, NULL), PLAYER_HELD);
	greet_client(70000);
	emit(false, (struct packet){.flags = TCP_SYN, .seq = 30000}, NULL);
	assert_true(next());
	assert_int_equal(frame.port, SIDE_INSIDE);
	assert_int_equal(ack_of_frame(), 30001);
	assert_true(next());
	assert_int_equal(frame.port, SIDE_OUTSIDE);
	assert_int_equal(ack_of_frame(), 70001);
	assert_false(next());
}

// How much came behind the first fragment is not known, so nothing is waited for.
static void fragments_are_trusted(void **state)
{
	struct packet first = {
		.flags = TCP_ACK, .seq = 70001, .ack = ISN_C + 1, .more_fragments = true};

	(void)state;
	open_both();
	assert_int_equal(offer(false, TCP_ACK, ISN_C + 1, ISN_S + 3000, NULL), PLAYER_HELD);
	emit(true, first, "12345678901234567890");
	assert_true(next());
	assert_int_equal(ack_of_frame(), 73000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_last_greeting_counts_until_it_is_answered, begin, end),
		cmocka_unit_test_setup_teardown(a_strange_greeting_is_none, begin, end),
		cmocka_unit_test_setup_teardown(a_reset_out_of_place_is_not_believed, begin, end),
		cmocka_unit_test_setup_teardown(a_refusal_is_believed, begin, end),
		cmocka_unit_test_setup_teardown(
			a_reset_of_the_peer_is_no_reset_of_the_box, begin, end),
		cmocka_unit_test_setup_teardown(the_answer_is_repeated, begin, end),
		cmocka_unit_test_setup_teardown(in_the_order_of_the_capture, begin, end),
		cmocka_unit_test_setup_teardown(fragments_are_trusted, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
