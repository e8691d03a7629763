// What the box announced in place of what the capture has: options, window scale, ECN, Fast Open,
// timestamps; and ICMP errors. Proves: B3 (services that need an answer).
#include "stage.h"

#include "base/bytes.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SA     (TCP_SYN | TCP_ACK)
#define PA     (TCP_PSH | TCP_ACK)
#define MSS    "\x02\x04\x05\xb4"
#define SACKOK "\x04\x02"
#define WS7    "\x01\x03\x03\x07"
#define WS5    "\x01\x03\x03\x05"
#define TS(x)  "\x01\x01\x08\x0a" x
#define TC1    "\x00\x00\x10\x01\x00\x00\x00\x00"
#define TS1    "\x00\x00\x90\x01\x00\x00\x10\x01"
#define TC2    "\x00\x00\x10\x02\x00\x00\x90\x01"
#define TS2    "\x00\x00\x90\x02\x00\x00\x10\x02"

static struct stage *make(enum stage_mode mode)
{
	struct stage *stage = malloc(sizeof(*stage));

	CHECK(stage != NULL);
	stage_init(stage, mode);
	return stage;
}

static void end(struct stage *stage)
{
	stage_finish(stage);
	free(stage);
}

static void announce(struct stage *stage, struct profile profile)
{
	stage->node->services[0].profile = profile;
	stage->node->announced = profile;
	stage_go(stage);
}

static void client(struct stage *stage, uint8_t flags, uint32_t seq, uint32_t ack,
	const char *payload, struct bytes options)
{
	stage_line(stage, &(struct line){.flags = flags,
				  .seq = seq,
				  .ack = ack,
				  .payload = payload,
				  .options = options});
}

static void server(struct stage *stage, uint8_t flags, uint32_t seq, uint32_t ack,
	const char *payload, struct bytes options)
{
	stage_line(stage, &(struct line){true, flags, seq, ack, payload, options});
}

#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}
#define OPT (struct bytes) BYTES

static void rich_handshake(struct stage *stage)
{
	client(stage, TCP_SYN, 0, 0, NULL, OPT(MSS SACKOK TS(TC1) WS7));
	server(stage, SA, 0, 1, NULL, OPT(MSS SACKOK TS(TS1) WS5));
	client(stage, TCP_ACK, 1, 1, NULL, OPT(TS(TC2)));
}

// The box announces nothing: no blocks, no timestamps, and windows as they are.
static void nothing_announced(void **state)
{
	struct stage *stage = make(STAGE_PROXY);
	const struct departure *last;

	(void)state;
	announce(stage, (struct profile){.mss = 1460, .wscale = OPTIONS_WSCALE_NONE});
	rich_handshake(stage);
	assert_int_equal(stage_last(stage, SIDE_INSIDE, TCP_SYN)->options.bits, OPTION_MSS);
	client(stage, PA, 1, 1, "request", OPT(TS(TC2)));
	last = stage_last(stage, SIDE_INSIDE, PA);
	assert_int_equal(last->options.bits, 0);
	assert_int_equal(last->window, 65535); // 1000 << 7
	server(stage, PA, 1, 8, "answer", OPT(TS(TS2)));
	last = stage_last(stage, SIDE_OUTSIDE, PA);
	assert_int_equal(last->options.bits, 0);
	assert_int_equal(last->window, 32000); // 1000 << 5
	client(stage, TCP_ACK, 8, 1, NULL,
		OPT(TS(TC2) "\x01\x01\x05\x0a\x7f\xff\xff\xfe\x80\x00\x00\x01"));
	assert_int_equal(stage_last(stage, SIDE_INSIDE, TCP_ACK)->options.bits, 0);
	assert_int_equal(player_counts(stage->player)->played, 6);
	assert_int_equal(node_dropped_all(stage->node), 0);
	end(stage);
}

// The box announces window scale, the captured server had none: the client scales its window now.
static void window_scale_only_announced(void **state)
{
	struct stage *stage = make(STAGE_PROXY);

	(void)state;
	announce(stage, (struct profile){.mss = 1460, .wscale = 7});
	client(stage, TCP_SYN, 0, 0, NULL, OPT(MSS WS7));
	server(stage, SA, 0, 1, NULL, OPT(MSS));
	stage_line(stage, &(struct line){.flags = TCP_ACK, .seq = 1, .ack = 1, .window = 64000});
	stage_line(stage,
		&(struct line){
			.flags = PA, .seq = 1, .ack = 1, .payload = "request", .window = 64000});
	// The engine, which knows the server has none, undoes what the client did.
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->window, 64000);
	server(stage, PA, 1, 8, "answer", NONE);
	assert_int_equal(stage_last(stage, SIDE_OUTSIDE, PA)->window, 1000 >> 7);
	end(stage);
}

// What the client echoes is what it was given; the server gets its own clock back.
static void timestamps_echo(void **state)
{
	struct stage *stage = make(STAGE_PROXY);
	const struct departure *given, *last;

	(void)state;
	stage_go(stage);
	rich_handshake(stage);
	given = stage_last(stage, SIDE_OUTSIDE, SA);
	assert_int_equal(stage_last(stage, SIDE_INSIDE, TCP_SYN)->options.tsval, 0x1002);
	client(stage, PA, 1, 1, "request", OPT(TS("\x00\x00\x10\x05\x00\x00\x90\x01")));
	last = stage_last(stage, SIDE_INSIDE, PA);
	assert_int_equal(last->options.tsval, 0x1005);
	assert_int_equal(last->options.tsecr, 0x9001);
	server(stage, PA, 1, 8, "answer", OPT(TS("\x00\x00\x90\x09\x00\x00\x10\x05")));
	last = stage_last(stage, SIDE_OUTSIDE, PA);
	assert_int_equal(last->options.tsval, given->options.tsval + 8);
	assert_int_equal(last->options.tsecr, 0x1005);
	end(stage);
}

// The captured server refused timestamps, the box offers them: the client needs some, or its cookie
// would not be read as one with timestamps. The real box finds out, and resets both sides.
static void timestamps_the_capture_lacks(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct stage *stage = make(STAGE_PROXY);

		(void)state;
		stage->ip6 = ip6;
		stage_go(stage);
		client(stage, TCP_SYN, 0, 0, NULL, OPT(MSS SACKOK TS(TC1) WS7));
		server(stage, SA, 0, 1, NULL, OPT(MSS SACKOK WS5));
		client(stage, TCP_ACK, 1, 1, NULL, NONE);
		assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_SYN), 1);
		assert_int_equal(node_dropped(stage->node, REASON_bad_cookie), 0);
		assert_int_equal(stage_left(stage, SIDE_OUTSIDE, TCP_RST), 1);
		assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_RST), 1);
		client(stage, PA, 1, 1, "request", NONE);
		server(stage, PA, 1, 8, "answer", NONE);
		assert_int_equal(player_counts(stage->player)->withheld[PLAYER_RESET], 2);
		end(stage);
	}
}

// A box that asked for more than it had promised the client resets the server and asks again: the
// captured SYN/ACK is given twice.
static void asked_again(void **state)
{
	struct stage *stage = make(STAGE_PROXY);

	(void)state;
	stage->node->services[0].learn = true;
	announce(stage, (struct profile){.mss = 1460, .wscale = OPTIONS_WSCALE_NONE});
	rich_handshake(stage);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_RST), 1);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_SYN), 2);
	assert_int_equal(player_counts(stage->player)->made, 1);
	client(stage, PA, 1, 1, "request", OPT(TS(TC2)));
	server(stage, PA, 1, 8, "answer", OPT(TS(TS2)));
	assert_true(stage_got(stage, SIDE_INSIDE, "request"));
	assert_true(stage_got(stage, SIDE_OUTSIDE, "answer"));
	assert_int_equal(stage_withheld(stage), 0);
	end(stage);
}

// The captured ends used ECN, the box does not: neither the marks nor the flags are sent.
static void ecn_not_announced(void **state)
{
	struct stage *stage = make(STAGE_PROXY);

	(void)state;
	announce(stage,
		(struct profile){.mss = 1460, .wscale = 7, .sack = true, .timestamps = true});
	client(stage, TCP_SYN | TCP_ECE | TCP_CWR, 0, 0, NULL, OPT(MSS SACKOK TS(TC1) WS7));
	server(stage, SA | TCP_ECE, 0, 1, NULL, OPT(MSS SACKOK TS(TS1) WS5));
	client(stage, TCP_ACK, 1, 1, NULL, OPT(TS(TC2)));
	stage_line(stage, &(struct line){.flags = PA | TCP_ECE,
				  .seq = 1,
				  .ack = 1,
				  .payload = "request",
				  .options = OPT(TS(TC2)),
				  .tos = 2});
	assert_true(stage_got(stage, SIDE_INSIDE, "request"));
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->tos & 3, 0);
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->flags, PA);
	stage_line(stage, &(struct line){true, PA, 1, 8, "answer", OPT(TS(TS2)), .tos = 2});
	assert_int_equal(stage_last(stage, SIDE_OUTSIDE, PA)->tos & 3, 0);
	end(stage);
}

static void ecn_announced(void **state)
{
	struct stage *stage = make(STAGE_MSYN);

	(void)state;
	stage_go(stage);
	client(stage, TCP_SYN | TCP_ECE | TCP_CWR, 0, 0, NULL, OPT(MSS SACKOK TS(TC1) WS7));
	server(stage, SA | TCP_ECE, 0, 1, NULL, OPT(MSS SACKOK TS(TS1) WS5));
	client(stage, TCP_ACK, 1, 1, NULL, OPT(TS(TC2)));
	stage_line(stage, &(struct line){.flags = PA | TCP_ECE,
				  .seq = 1,
				  .ack = 1,
				  .payload = "request",
				  .options = OPT(TS(TC2)),
				  .tos = 2});
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->tos & 3, 2);
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->flags, PA | TCP_ECE);
	end(stage);
}

#define COOKIE                                                                                     \
	"\x22\x06\xaa\xbb\xcc\xdd"                                                                 \
	"\x01\x01"

// The captured server took the data in the SYN, the box takes it out: the client sends it again,
// as it would have.
static void fast_open(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < STAGE_MODES; mode++) {
		struct stage *stage = make(mode);

		stage_go(stage);
		client(stage, TCP_SYN, 0, 0, "GET / ", OPT(MSS SACKOK WS7 COOKIE));
		server(stage, SA, 0, 7, NULL, OPT(MSS SACKOK WS5));
		server(stage, PA, 1, 7, "early", NONE);
		client(stage, PA, 7, 6, "more", NONE);
		server(stage, PA, 6, 11, " late", NONE);
		assert_true(stage_got(stage, SIDE_INSIDE, "GET / more"));
		assert_true(stage_got(stage, SIDE_OUTSIDE, "early late"));
		assert_int_equal(player_counts(stage->player)->made, 1);
		assert_int_equal(player_counts(stage->player)->played, 5);
		for (unsigned i = 0; i < stage->log_count; i++) // a SYN's window is not scaled
			if (stage->log[i].side == SIDE_INSIDE && stage->log[i].payload_len == 6)
				assert_int_equal(stage->log[i].window, 1000 >> 7);
		end(stage);
	}
}

// The captured server did not take it either, and the client's own repetition follows.
static void fast_open_refused(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < STAGE_MODES; mode++) {
		struct stage *stage = make(mode);

		stage_go(stage);
		client(stage, TCP_SYN, 0, 0, "GET / ", OPT(MSS SACKOK WS7 COOKIE));
		server(stage, SA, 0, 1, NULL, OPT(MSS SACKOK WS5));
		client(stage, PA, 1, 1, "GET / ", NONE);
		server(stage, PA, 1, 7, "answer", NONE);
		assert_true(stage_got(stage, SIDE_INSIDE, "GET / "));
		assert_true(stage_got(stage, SIDE_OUTSIDE, "answer"));
		assert_int_equal(player_counts(stage->player)->made, 0);
		assert_int_equal(player_counts(stage->player)->played, 4);
		end(stage);
	}
}

// An error about a segment of the client, from behind the server's side.
static enum player_verdict icmp(
	struct stage *stage, uint8_t type, uint8_t code, const struct packet *quoted)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, quoted);
	struct packet error = {.ip6 = stage->ip6,
		.from_server = true,
		.protocol = PROTOCOL_ICMP,
		.type = type,
		.code = code,
		.rest = 1400};

	error.payload = (struct bytes){frame.data + 14, (uint16_t)(frame.len - 14)};
	uint8_t error_room[PACKET_ROOM_BYTES];
	frame = packet_build(error_room, &error);
	return stage_frame(stage, &frame, SIDE_INSIDE);
}

// "Packet too big" about data: the engine knows the number it quotes, and the client too.
static void icmp_about_data(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 2 * STAGE_MODES; variant++) {
		struct stage *stage = make(variant / 2);
		struct packet quoted = {.flags = PA,
			.seq = STAGE_ISN_CLIENT + 1,
			.ack = STAGE_ISN_SERVER + 1,
			.payload = BYTES("request")};
		const struct sent *sent = &stage->node->sent[0];

		stage->ip6 = variant % 2;
		quoted.ip6 = stage->ip6;
		stage_go(stage);
		rich_handshake(stage);
		client(stage, PA, 1, 1, "request", OPT(TS(TC2)));
		assert_int_equal(
			icmp(stage, stage->ip6 ? 2 : 3, stage->ip6 ? 0 : 4, &quoted), PLAYER_PLAY);
		assert_int_equal(stage->engine_kind, VERDICT_FORWARD);
		assert_int_equal(sent->port, SIDE_OUTSIDE);
		// What the client sent, and what it was told: both its own.
		assert_int_equal(
			be32_get(sent->view.data + sent->view.payload + (stage->ip6 ? 40 : 20) + 4),
			STAGE_ISN_CLIENT + 1);
		end(stage);
	}
}

// The segment it is about has not left: it waits for something that did not reach its sender.
static void icmp_waits_for_data(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 2 * STAGE_MODES; variant++) {
		struct stage *stage = make(variant / 2);
		struct packet quoted = {.flags = PA,
			.seq = STAGE_ISN_CLIENT + 1,
			.ack = STAGE_ISN_SERVER + 7,
			.payload = BYTES("request")};
		struct line answer = {true, PA, 1, 1, "answer", OPT(TS(TS2)), .broken = true};

		stage->ip6 = variant % 2;
		quoted.ip6 = stage->ip6;
		stage_go(stage);
		rich_handshake(stage);
		stage_line(stage, &answer);
		client(stage, PA, 1, 7, "request", OPT(TS(TC2)));
		assert_int_equal(stage->verdict, PLAYER_HELD);
		assert_int_equal(
			icmp(stage, stage->ip6 ? 2 : 3, stage->ip6 ? 0 : 4, &quoted), PLAYER_HELD);
		answer.broken = false;
		// It holds up nobody: what was lost is sent again, and everything follows.
		stage_line(stage, &answer);
		assert_int_equal(player_counts(stage->player)->held, 0);
		assert_true(stage_got(stage, SIDE_INSIDE, "request"));
		assert_int_equal(stage->engine_kind, VERDICT_FORWARD);
		end(stage);
	}
}

// "Port unreachable" about the SYN: a proxied server's waits for the SYN that it is about, and then
// the client is refused.
static void icmp_about_the_syn(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 2 * STAGE_MODES; variant++) {
		struct stage *stage = make(variant / 2);
		struct packet quoted = {.flags = TCP_SYN, .seq = STAGE_ISN_CLIENT};
		bool asked = variant / 2 == STAGE_MSYN;

		stage->ip6 = variant % 2;
		quoted.ip6 = stage->ip6;
		stage_go(stage);
		client(stage, TCP_SYN, 0, 0, NULL, OPT(MSS));
		assert_int_equal(icmp(stage, stage->ip6 ? 1 : 3, stage->ip6 ? 4 : 3, &quoted),
			asked ? PLAYER_PLAY : PLAYER_HELD);
		client(stage, TCP_ACK, 1, 1, NULL, NONE);
		assert_int_equal(player_counts(stage->player)->held, asked ? 1 : 0);
		assert_int_equal(stage_left(stage, SIDE_OUTSIDE, TCP_RST), asked ? 0 : 1);
		assert_int_equal(node_dropped_all(stage->node),
			node_dropped(stage->node, REASON_server_refused));
		end(stage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_announced),
		cmocka_unit_test(window_scale_only_announced),
		cmocka_unit_test(timestamps_echo),
		cmocka_unit_test(timestamps_the_capture_lacks),
		cmocka_unit_test(asked_again),
		cmocka_unit_test(ecn_not_announced),
		cmocka_unit_test(ecn_announced),
		cmocka_unit_test(fast_open),
		cmocka_unit_test(fast_open_refused),
		cmocka_unit_test(icmp_about_data),
		cmocka_unit_test(icmp_waits_for_data),
		cmocka_unit_test(icmp_about_the_syn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
