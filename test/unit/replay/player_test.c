// Captured connections, played to the real engine, in `proxy` (alone and in a cluster) and `msyn`,
// IPv4 and IPv6, with all options and with none. Proves: B3 (services that need an answer).
#include "stage.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define C     .server = false
#define S     .server = true
#define SA    (TCP_SYN | TCP_ACK)
#define PA    (TCP_PSH | TCP_ACK)
#define FA    (TCP_FIN | TCP_ACK)
#define NOPS2 "\x01\x01"
#define MSS   "\x02\x04\x05\xb4"
#define WS(n) "\x01\x03\x03" n
// TSval and TSecr count from these as the capture's ends did: client 0x1000.., server 0x9000...
#define TS(val, ecr) NOPS2 "\x08\x0a" val ecr
#define ZERO	     "\0\0\0\0"
#define C1	     "\x00\x00\x10\x01"
#define C2	     "\x00\x00\x10\x02"
#define C3	     "\x00\x00\x10\x03"
#define S1	     "\x00\x00\x90\x01"
#define S2	     "\x00\x00\x90\x02"

// The options the running case has: lines name both.
static bool rich;

struct both {
	struct line line;
	struct bytes options; // with rich
};

static void line_of(struct stage *stage, struct both both)
{
	if (rich)
		both.line.options = both.options;
	stage_line(stage, &both.line);
}

#define LINES(stage, ...)                                                                          \
	do {                                                                                       \
		const struct both all[] = {__VA_ARGS__};                                           \
		for (unsigned i_ = 0; i_ < ARRAY_LEN(all); i_++)                                   \
			line_of(stage, all[i_]);                                                   \
	} while (0)

#define SYN_OPTIONS    BYTES(MSS "\x04\x02" TS(C1, ZERO) WS("\x07"))
#define SYNACK_OPTIONS BYTES(MSS "\x04\x02" TS(S1, C1) WS("\x05"))

#define SYN                                                                                        \
	{                                                                                          \
		{C, TCP_SYN}, SYN_OPTIONS                                                          \
	}
#define SYNACK                                                                                     \
	{                                                                                          \
		{S, SA, 0, 1, .window = 60000}, SYNACK_OPTIONS                                     \
	}
#define ACK                                                                                        \
	{                                                                                          \
		{C, TCP_ACK, 1, 1}, BYTES(TS(C2, S1))                                              \
	}

typedef void (*scene)(struct stage *stage, enum stage_mode mode);

static void init(struct stage *stage, enum stage_mode mode, unsigned variant)
{
	stage_init(stage, mode);
	stage->ip6 = variant & 1;
	rich = variant & 2;
}

// Runs a scene in all modes, families and option sets.
static void all(scene play)
{
	struct stage *stage = malloc(sizeof(*stage));

	CHECK(stage != NULL);
	for (unsigned mode = 0; mode < STAGE_MODES; mode++)
		for (unsigned variant = 0; variant < 4; variant++) {
			init(stage, mode, variant);
			stage_go(stage);
			play(stage, mode);
			stage_finish(stage);
		}
	free(stage);
}

static const struct player_counts *counts(const struct stage *stage)
{
	return player_counts(stage->player);
}

static void assert_all_played(const struct stage *stage, unsigned lines)
{
	assert_int_equal(counts(stage)->offered, lines);
	assert_int_equal(counts(stage)->played, lines);
	assert_int_equal(stage_withheld(stage), 0);
	assert_int_equal(counts(stage)->held, 0);
	assert_int_equal(node_dropped_all(stage->node), 0);
}

static void whole(struct stage *stage, enum stage_mode mode)
{
	const struct departure *syn, *first;

	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, TCP_ACK, 1, 8}, BYTES(TS(S1, C2))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))},
		{{C, TCP_ACK, 8, 7}, BYTES(TS(C3, S2))}, {{C, PA, 8, 7, " two"}, BYTES(TS(C3, S2))},
		{{S, PA, 7, 12, " three"}, BYTES(TS(S2, C3))},
		{{C, TCP_ACK, 12, 13}, BYTES(TS(C3, S2))}, {{C, FA, 12, 13}, BYTES(TS(C3, S2))},
		{{S, FA, 13, 13}, BYTES(TS(S2, C3))}, {{C, TCP_ACK, 13, 14}, BYTES(TS(C3, S2))});
	assert_all_played(stage, 13);
	assert_true(stage_got(stage, SIDE_INSIDE, "request two"));
	assert_true(stage_got(stage, SIDE_OUTSIDE, "answer three"));
	syn = stage_last(stage, SIDE_INSIDE, TCP_SYN);
	assert_non_null(syn);
	assert_int_equal(syn->seq == STAGE_ISN_CLIENT, mode == STAGE_PROXY);
	first = stage_last(stage, SIDE_OUTSIDE, SA);
	assert_non_null(first);
	assert_int_equal(first->seq == STAGE_ISN_SERVER, mode == STAGE_MSYN);
	assert_int_equal(stage_left(stage, SIDE_OUTSIDE, TCP_FIN), 1);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_FIN), 1);
	assert_int_equal(stage_last(stage, SIDE_OUTSIDE, TCP_FIN)->ack, STAGE_ISN_CLIENT + 13);
	assert_int_equal(node_state(stage->node, TCP_TIME_WAIT), 1);
}

static void whole_connection(void **state)
{
	(void)state;
	all(whole);
}

static void server_closes(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{S, PA, 1, 1, "220 hello\n"}, BYTES(TS(S1, C2))},
		{{C, TCP_ACK, 1, 11}, BYTES(TS(C2, S1))}, {{S, FA, 11, 1}, BYTES(TS(S2, C2))},
		{{C, TCP_ACK, 1, 12}, BYTES(TS(C3, S2))}, {{C, FA, 1, 12}, BYTES(TS(C3, S2))},
		{{S, TCP_ACK, 12, 2}, BYTES(TS(S2, C3))});
	assert_all_played(stage, 9);
	assert_true(stage_got(stage, SIDE_OUTSIDE, "220 hello\n"));
	assert_true(stage_got(stage, SIDE_INSIDE, ""));
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_FIN), 1);
}

static void server_speaks_first_and_closes(void **state)
{
	(void)state;
	all(server_closes);
}

static void client_resets(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))}, {{C, TCP_RST | TCP_ACK, 8, 7}, {0}});
	assert_all_played(stage, 6);
	assert_true(stage_got(stage, SIDE_OUTSIDE, "answer"));
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_RST), 1);
	assert_int_equal(node_state(stage->node, TCP_ESTABLISHED), 0);
}

static void server_resets(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, TCP_RST | TCP_ACK, 1, 8}, {0}});
	assert_all_played(stage, 5);
	assert_int_equal(stage_left(stage, SIDE_OUTSIDE, TCP_RST), 1);
	assert_int_equal(node_state(stage->node, TCP_ESTABLISHED), 0);
}

static void resets(void **state)
{
	(void)state;
	all(client_resets);
	all(server_resets);
}

// The proxied server is never asked, because the captured client was told no before it answered.
static void refuses(struct stage *stage, enum stage_mode mode)
{
	bool asked = mode == STAGE_MSYN;

	LINES(stage, SYN, {{S, TCP_RST | TCP_ACK, 0, 1}, {0}});
	assert_int_equal(counts(stage)->played, asked ? 2 : 1);
	assert_int_equal(counts(stage)->held, asked ? 0 : 1);
	assert_int_equal(stage_left(stage, SIDE_OUTSIDE, TCP_RST), asked);
	player_finish(stage->player);
	assert_int_equal(counts(stage)->withheld[PLAYER_NOT_CAUSED], asked ? 0 : 1);
}

static void refused_syn(void **state)
{
	(void)state;
	all(refuses);
}

// One segment of the server never came, so the client names what came behind it.
static void sack(struct stage *stage, enum stage_mode mode)
{
	const struct departure *told;
	const struct departure *syn;

	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "abc"}, BYTES(TS(S2, C2))},
		{{S, PA, 4, 8, "def"}, BYTES(TS(S2, C2))});
	if (!rich)
		return;
	stage_line(stage, &(struct line){C, TCP_ACK, 8, 1,
				  .options = BYTES(TS(C3, S1) NOPS2
					  "\x05\x0a\x7f\xff\xff\xfe\x80\x00\x00\x01")});
	assert_all_played(stage, 7);
	told = stage_last(stage, SIDE_INSIDE, TCP_ACK);
	syn = stage_last(stage, SIDE_INSIDE, TCP_SYN);
	assert_int_equal(told->ack, STAGE_ISN_SERVER + 1);
	assert_int_equal(told->seq, syn->seq + 8);
	assert_int_equal(told->options.sack_count, 1);
	assert_int_equal(told->sack[0], STAGE_ISN_SERVER + 4);
	assert_int_equal(told->sack[1], STAGE_ISN_SERVER + 7);
	assert_int_equal(told->options.tsecr, 0x9001);
}

static void sack_edges(void **state)
{
	(void)state;
	all(sack);
}

// The server's blocks name the client's numbers, which a cookie replaced.
static void server_sack(struct stage *stage, enum stage_mode mode)
{
	const struct departure *told;

	(void)mode;
	if (!rich)
		return;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "abc"}, BYTES(TS(C2, S1))},
		{{C, PA, 4, 1, "def"}, BYTES(TS(C2, S1))},
		{{S, TCP_ACK, 1, 1},
			BYTES(TS(S2, C2) NOPS2 "\x05\x0a\xff\xff\xff\xf4\xff\xff\xff\xf7")});
	assert_all_played(stage, 6);
	told = stage_last(stage, SIDE_OUTSIDE, TCP_ACK);
	assert_int_equal(told->ack, STAGE_ISN_CLIENT + 1);
	assert_int_equal(told->sack[0], STAGE_ISN_CLIENT + 4);
	assert_int_equal(told->sack[1], STAGE_ISN_CLIENT + 7);
}

static void server_sack_edges(void **state)
{
	(void)state;
	all(server_sack);
}

static void repeats(struct stage *stage, enum stage_mode mode)
{
	LINES(stage, SYN, SYN, SYNACK, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{C, PA, 1, 1, "request"}, BYTES(TS(C3, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))},
		{{C, TCP_ACK, 8, 7}, BYTES(TS(C3, S2))});
	assert_int_equal(counts(stage)->played, 10);
	assert_int_equal(stage_withheld(stage), 0);
	assert_int_equal(node_dropped_all(stage->node), 0);
	assert_true(stage_got(stage, SIDE_INSIDE, "request"));
	assert_true(stage_got(stage, SIDE_OUTSIDE, "answer"));
	assert_int_equal(stage_left(stage, SIDE_OUTSIDE, SA), 2);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_SYN), mode == STAGE_MSYN ? 2 : 1);
}

static void retransmissions(void **state)
{
	(void)state;
	all(repeats);
}

// The capture lacks the SYN/ACK: the client still proves its cookie, the server never accepts.
static void lost_synack(struct stage *stage, enum stage_mode mode)
{
	LINES(stage, SYN, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))});
	if (mode == STAGE_MSYN) { // the client's side has no answer either
		assert_int_equal(counts(stage)->played, 1);
		return;
	}
	assert_int_equal(counts(stage)->played, 3);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_SYN), 1);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_ACK), 0);
	// The box gives up and tells the client, which sends nothing more.
	stage_pass_ms(stage, 60000);
	assert_int_equal(stage_left(stage, SIDE_OUTSIDE, TCP_RST), 1);
	LINES(stage, {{C, PA, 8, 1, "late"}, BYTES(TS(C3, S1))});
	assert_int_equal(stage->verdict, PLAYER_WITHHELD);
	assert_int_equal(counts(stage)->withheld[PLAYER_RESET], 1);
	player_finish(stage->player);
	assert_int_equal(counts(stage)->withheld[PLAYER_NOT_CAUSED], 1);
}

static void lost_synack_in_the_capture(void **state)
{
	(void)state;
	all(lost_synack);
}

static void denied(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))}, {{C, TCP_RST, 8}, {0}});
	assert_int_equal(counts(stage)->played, 1);
	assert_int_equal(counts(stage)->held, 5);
	assert_int_equal(stage->log_count, 0);
	assert_int_equal(node_dropped(stage->node, REASON_rule_denied), 1);
	player_finish(stage->player);
	assert_int_equal(counts(stage)->withheld[PLAYER_NOT_CAUSED], 5);
}

static void denied_by_the_rules(void **state)
{
	struct stage *stage = malloc(sizeof(*stage));

	(void)state;
	CHECK(stage != NULL);
	for (unsigned mode = 0; mode < STAGE_MODES; mode++)
		for (unsigned variant = 0; variant < 4; variant++) {
			init(stage, mode, variant);
			stage->node->rows[0].action = RULE_DENY;
			stage->node->rows[1].action = RULE_DENY;
			stage_go(stage);
			denied(stage, mode);
			stage_finish(stage);
		}
	free(stage);
}

// The same tuple again. The first connection was reset, so nothing of it is in the way.
static void reuse(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "one"}, BYTES(TS(C2, S1))},
		{{C, TCP_RST | TCP_ACK, 4, 1}, {0}}, {{S, PA, 1, 100, "never"}, BYTES(TS(S2, C2))});
	assert_true(stage_got(stage, SIDE_INSIDE, "one"));
	assert_int_equal(counts(stage)->played + counts(stage)->held, 6);
	stage->isn_client += 0x20000;
	stage->isn_server += 0x50000;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "second"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 7, "answer"}, BYTES(TS(S2, C2))});
	assert_true(stage_got(stage, SIDE_INSIDE, "second"));
	assert_true(stage_got(stage, SIDE_OUTSIDE, "answer"));
	assert_int_equal(counts(stage)->held, 0);
}

static void port_reuse(void **state)
{
	(void)state;
	all(reuse);
}

static void two(struct stage *stage, enum stage_mode mode)
{
	static const uint16_t ports[] = {40001, 40002};
	const struct both lines[] = {SYN, SYNACK, ACK,
		{{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))}};

	(void)mode;
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		for (unsigned k = 0; k < 2; k++) {
			stage->client_port = ports[k];
			line_of(stage, lines[i]);
		}
	assert_all_played(stage, 10);
	assert_int_equal(stage_left(stage, SIDE_OUTSIDE, PA), 2);
	assert_int_equal(stage_left(stage, SIDE_INSIDE, PA), 2);
	assert_int_equal(node_state(stage->node, TCP_ESTABLISHED), 2);
}

static void two_interleaved(void **state)
{
	(void)state;
	all(two);
}

// The capture begins in the middle: counted under its own name, and the engine sees none of it.
static void middle(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))});
	assert_int_equal(counts(stage)->withheld[PLAYER_NO_SYN], 4);
	assert_int_equal(stage->log_count, 0);
	assert_int_equal(node_dropped_all(stage->node), 0);
}

static void begins_in_the_middle(void **state)
{
	(void)state;
	all(middle);
}

// A connection from the inside to the world is not played, although its client has the address of
// a played server: its SYN tells. Neither is anything but TCP.
static void outwards(struct stage *stage, enum stage_mode mode)
{
	const struct both lines[] = {{{S, TCP_SYN}, SYN_OPTIONS}, {{C, SA, 0, 1}, SYNACK_OPTIONS},
		{{S, TCP_ACK, 1, 1}, BYTES(TS(C2, S1))},
		{{C, PA, 1, 1, "mail"}, BYTES(TS(S2, C2))}};

	(void)mode;
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		line_of(stage, lines[i]);
	assert_int_equal(counts(stage)->passed, 4);
	assert_int_equal(node_dropped_all(stage->node), 0);
	assert_true(stage_got(stage, SIDE_INSIDE, "mail"));
}

static void outwards_is_not_played(void **state)
{
	(void)state;
	all(outwards);
}

static void tagged(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	stage->tags[0] = 0x8100;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))});
	assert_all_played(stage, 5);
	assert_true(stage_got(stage, SIDE_INSIDE, "request"));
	assert_true(stage_got(stage, SIDE_OUTSIDE, "answer"));
}

static void vlan_tags(void **state)
{
	(void)state;
	all(tagged);
}

// A capture of headers only: lengths are the packets' own words.
static void cut(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK,
		{{C, PA, 1, 1, "request", .truncated = true}, BYTES(TS(C2, S1))},
		{{S, PA, 1, 8, "answer", .truncated = true}, BYTES(TS(S2, C2))},
		{{C, TCP_ACK, 8, 7}, BYTES(TS(C3, S2))}, {{C, FA, 8, 7}, BYTES(TS(C3, S2))},
		{{S, FA, 7, 9}, BYTES(TS(S2, C3))}, {{C, TCP_ACK, 9, 8}, BYTES(TS(C3, S2))});
	assert_all_played(stage, 9);
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->payload_len, 7);
	assert_int_equal(stage_last(stage, SIDE_OUTSIDE, PA)->payload_len, 6);
}

static void snap_length(void **state)
{
	(void)state;
	all(cut);
}

static void crossing_fins(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, FA, 1, 1}, BYTES(TS(C2, S1))},
		{{S, FA, 1, 1}, BYTES(TS(S2, C2))}, {{C, TCP_ACK, 2, 2}, BYTES(TS(C3, S2))},
		{{S, TCP_ACK, 2, 2}, BYTES(TS(S2, C3))});
	assert_all_played(stage, 7);
	assert_int_equal(node_state(stage->node, TCP_TIME_WAIT), 1);
}

static void simultaneous_close(void **state)
{
	(void)state;
	all(crossing_fins);
}

// What one end sent is not in the capture. The other's acknowledgement of it waits, until what
// comes behind it has been sent.
static void gap(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))},
		{{C, TCP_ACK, 8, 500}, BYTES(TS(C3, S2))});
	assert_int_equal(stage->verdict, PLAYER_HELD);
	assert_int_equal(counts(stage)->held, 1);
	LINES(stage, {{S, TCP_ACK, 500, 8}, BYTES(TS(S2, C3))});
	assert_int_equal(counts(stage)->held, 0);
	assert_int_equal(counts(stage)->played, 6);
}

static void lost_in_the_capture(void **state)
{
	(void)state;
	all(gap);
}

// What the box does not forward, its receiver does not acknowledge, and what is behind waits too.
static void dropped(struct stage *stage, enum stage_mode mode)
{
	struct both answer = {{S, PA, 1, 8, "answer"}, BYTES(TS(S2, C2))};

	(void)mode;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))});
	answer.line.broken = true;
	line_of(stage, answer);
	assert_int_equal(node_dropped(stage->node, REASON_bad_checksum), 1);
	LINES(stage, {{C, TCP_ACK, 8, 7}, BYTES(TS(C3, S2))},
		{{C, PA, 8, 1, "behind"}, BYTES(TS(C3, S1))}, {{C, FA, 14, 7}, BYTES(TS(C3, S2))});
	assert_int_equal(counts(stage)->held, 3);
	assert_true(stage_got(stage, SIDE_INSIDE, "request"));
	// The captured server sent it once more: now it goes on.
	answer.line.broken = false;
	line_of(stage, answer);
	assert_int_equal(counts(stage)->held, 0);
	assert_true(stage_got(stage, SIDE_INSIDE, "requestbehind"));
	assert_int_equal(stage_left(stage, SIDE_INSIDE, TCP_FIN), 1);
	assert_int_equal(node_dropped_all(stage->node), 1);
}

static void not_acknowledged_before_it_came(void **state)
{
	(void)state;
	all(dropped);
}

// The same of what only a SACK block names.
static void dropped_block(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	if (!rich)
		return;
	LINES(stage, SYN, SYNACK, ACK, {{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))});
	stage_line(stage, &(struct line){S, PA, 4, 8, "def", BYTES(TS(S2, C2)), .broken = true});
	stage_line(stage, &(struct line){C, TCP_ACK, 8, 1,
				  .options = BYTES(TS(C3, S1) NOPS2
					  "\x05\x0a\x7f\xff\xff\xfe\x80\x00\x00\x01")});
	assert_int_equal(stage->verdict, PLAYER_HELD);
	LINES(stage, {{S, PA, 4, 8, "def"}, BYTES(TS(S2, C2))});
	assert_int_equal(counts(stage)->held, 0);
}

static void no_block_before_it_came(void **state)
{
	(void)state;
	all(dropped_block);
}

// Nobody answers data that has not reached it: a server that speaks first waits for the last ACK of
// the handshake, which the proxied one gets from the box.
static void speaks_early(struct stage *stage, enum stage_mode mode)
{
	(void)mode;
	LINES(stage, SYN, SYNACK, {{S, PA, 1, 1, "220 hello\n"}, BYTES(TS(S1, C2))});
	assert_int_equal(stage->verdict, PLAYER_HELD);
	LINES(stage, ACK);
	assert_int_equal(counts(stage)->held, 0);
	assert_true(stage_got(stage, SIDE_OUTSIDE, "220 hello\n"));
	assert_int_equal(node_dropped_all(stage->node), 0);
}

static void not_before_the_handshake(void **state)
{
	(void)state;
	all(speaks_early);
}

// A client whose last SYN gives up options still uses those that the first one's answer agreed to.
static void poorer(struct stage *stage, enum stage_mode mode)
{
	if (!rich || mode == STAGE_MSYN)
		return;
	LINES(stage, SYN, {{C, TCP_SYN}, BYTES(MSS)}, SYNACK, ACK,
		{{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))});
	assert_all_played(stage, 5);
	assert_true(stage_got(stage, SIDE_INSIDE, "request"));
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->options.bits, 0);
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->window, 65535); // 1000 << 7
}

static void last_syn_is_poorer(void **state)
{
	(void)state;
	all(poorer);
}

// The captured ACK echoes what the repeated SYN/ACK gave; what the box gave is the first's.
static void older_echo(struct stage *stage, enum stage_mode mode)
{
	uint32_t given;

	if (!rich)
		return;
	LINES(stage, SYN, SYNACK, {{C, TCP_ACK, 1, 1}, BYTES(TS(C2, S2))},
		{{C, PA, 1, 1, "request"}, BYTES(TS(C2, S1))});
	assert_all_played(stage, 4);
	given = stage_last(stage, SIDE_OUTSIDE, SA)->options.tsval;
	assert_int_equal(given == 0x9001, mode == STAGE_MSYN);
	// Never an echo of what was not sent: that would be a clock before the server's own.
	assert_int_equal(stage_last(stage, SIDE_INSIDE, PA)->options.tsecr, 0x9001);
}

static void echoes_what_was_given(void **state)
{
	(void)state;
	all(older_echo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_connection),
		cmocka_unit_test(server_speaks_first_and_closes),
		cmocka_unit_test(resets),
		cmocka_unit_test(refused_syn),
		cmocka_unit_test(sack_edges),
		cmocka_unit_test(server_sack_edges),
		cmocka_unit_test(retransmissions),
		cmocka_unit_test(lost_synack_in_the_capture),
		cmocka_unit_test(denied_by_the_rules),
		cmocka_unit_test(port_reuse),
		cmocka_unit_test(two_interleaved),
		cmocka_unit_test(begins_in_the_middle),
		cmocka_unit_test(outwards_is_not_played),
		cmocka_unit_test(vlan_tags),
		cmocka_unit_test(snap_length),
		cmocka_unit_test(simultaneous_close),
		cmocka_unit_test(lost_in_the_capture),
		cmocka_unit_test(not_acknowledged_before_it_came),
		cmocka_unit_test(no_block_before_it_came),
		cmocka_unit_test(not_before_the_handshake),
		cmocka_unit_test(last_syn_is_poorer),
		cmocka_unit_test(echoes_what_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
