// Opening a connection: TCP.md 1.11, 1.12, 2.9, 7.5, and section 4 before ESTABLISHED.
#include "play.h"

static const struct start syn = {start_syn, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};
static const struct start synack = {start_synack, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};

#define SENT TCP_SYN_SENT
#define RECV TCP_SYN_RECV
#define EST  TCP_ESTABLISHED

static void three_way(void **state)
{
	static const struct row rows[] = {
		{C, TCP_SYN, 0, 0, 1, 1000, PASS, SENT}, // again
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, PASS, RECV},
		{C, TCP_SYN, 0, 0, 1, 1000, PASS, RECV},
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, PASS, RECV},
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, IDLE, EST}, // the ACK was lost behind us
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&syn, rows);
}

static void third_segment_carries_data_or_fin(void **state)
{
	static const struct row data[] = {
		{C, TCP_ACK | TCP_PSH, 1, 1, 500, 1000, PASS, EST},
	};
	static const struct row fin[] = {
		{C, TCP_FIN | TCP_ACK, 1, 1, 1, 1000, PASS, TCP_CLOSING},
	};

	(void)state;
	PLAY(&synack, data);
	PLAY(&synack, fin);
}

// A spoofed client must not make a connection of the server's half-open one.
static void third_segment_must_acknowledge(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 2, 0, 1000, ACKNO, RECV},
		{C, TCP_ACK, 1, -1u, 0, 1000, ACKNO, RECV},
		{C, TCP_FIN | TCP_ACK, 1, 0x40000000, 1, 1000, ACKNO, RECV},
		{C, TCP_ACK, 0x40000000, 1, 0, 1000, WINDOW, RECV},
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&synack, rows);
}

static void nothing_follows_a_syn_without_answer(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 1, 0, 1000, ACKNO, SENT},
		{C, TCP_FIN | TCP_ACK, 1, 1, 1, 1000, ACKNO, SENT},
		{C, TCP_SYN | TCP_ACK, 0, 1, 1, 1000, WINDOW, SENT},
		{S, TCP_ACK, 1, 1, 100, 1000, WINDOW, SENT},
		{S, TCP_FIN | TCP_ACK, 1, 1, 1, 1000, WINDOW, SENT},
	};

	(void)state;
	PLAY(&syn, rows);
}

static void refused(void **state)
{
	static const struct row rows[] = {
		{S, TCP_RST, 0, 0, 0, 0, WINDOW, SENT}, // no ACK
		{S, TCP_RST | TCP_ACK, 0, 2, 0, 0, WINDOW, SENT},
		{S, TCP_RST | TCP_ACK, 0, 0, 0, 0, WINDOW, SENT},
		{S, TCP_RST | TCP_ACK, 0, 1, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&syn, rows);
}

static void client_aborts(void **state)
{
	static const struct row sent[] = {
		{C, TCP_RST, 1, 0, 0, 0, PASS, TCP_CLOSED},
	};
	static const struct row received[] = {
		{C, TCP_RST, 2, 0, 0, 0, IDLE, RECV},
		{C, TCP_RST, 1 + 65536, 0, 0, 0, WINDOW, RECV},
		{C, TCP_RST, 1, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&syn, sent);
	PLAY(&synack, received);
}

static void server_aborts_half_open(void **state)
{
	static const struct row rows[] = {
		{S, TCP_RST, 2, 0, 0, 0, IDLE, RECV},
		{S, TCP_RST, 1100, 0, 0, 0, WINDOW, RECV},
		{S, TCP_RST | TCP_ACK, 1, 1, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&synack, rows);
}

// The server has an older connection in TIME-WAIT: plain ACK, RST, the SYN again.
static void t1_11_plain_ack_for_a_syn(void **state)
{
	static const struct row rows[] = {
		{S, TCP_ACK, 0x22222222, 0x11111111, 0, 2000, IDLE, SENT},
		{C, TCP_RST, 0x11111111, 0, 0, 0, IDLE, SENT},
		{C, TCP_SYN, 0, 0, 1, 1000, PASS, SENT},
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, PASS, RECV},
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&syn, rows);
}

// RFC 9293 figure 8: the server answers an old duplicate SYN.
static void t1_11_synack_of_an_old_duplicate(void **state)
{
	static const struct row rows[] = {
		{S, TCP_SYN | TCP_ACK, 500, 0x91, 1, 2000, IDLE, SENT},
		{S, TCP_SYN | TCP_ACK, 500, 0, 1, 2000, IDLE, SENT},
		{C, TCP_RST, 0x91, 0, 0, 0, IDLE, SENT},
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, PASS, RECV},
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&syn, rows);
}

static void t1_12_simultaneous_open(void **state)
{
	static const struct row rows[] = {
		{S, TCP_SYN, 0, 0, 1, 2000, PASS, RECV},
		{S, TCP_SYN, 0, 0, 1, 2000, PASS, RECV}, // again
		{C, TCP_SYN, 0, 0, 1, 1000, PASS, RECV},
		{C, TCP_SYN, 999, 0, 1, 1000, IDLE, RECV},
		{C, TCP_SYN | TCP_ACK, 0, 2, 1, 1000, IDLE, RECV}, // acknowledges nothing
		{C, TCP_SYN | TCP_ACK, 0, 1, 1, 1000, PASS, RECV},
		{C, TCP_SYN | TCP_ACK, 0, 1, 1, 1000, PASS, RECV}, // again: proves nothing new
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, PASS, EST},
		{C, TCP_ACK, 1, 1, 100, 1000, PASS, EST},
		{S, TCP_ACK, 1, 101, 0, 2000, PASS, EST},
		{S, TCP_ACK, 1, 102, 0, 2000, ACKNO, EST},
	};

	(void)state;
	PLAY(&syn, rows);
}

// As some stacks do it: plain ACKs instead of SYN/ACKs.
static void t1_12_simultaneous_open_with_plain_acks(void **state)
{
	static const struct row rows[] = {
		{S, TCP_SYN, 0, 0, 1, 2000, PASS, RECV},
		{S, TCP_ACK, 1, 2, 0, 2000, ACKNO, RECV},
		{S, TCP_ACK, 1, 1, 0, 2000, PASS, RECV},
		{S, TCP_ACK, 1, 1, 0, 2000, PASS, RECV},
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&syn, rows);
}

static void t2_9_data_in_the_syn_counts(void **state)
{
	static const struct start nothing = {start_syn, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};
	static const struct row rows[] = {
		{C, TCP_SYN, 0, 0, 101, 1000, PASS, SENT},
		{S, TCP_SYN | TCP_ACK, 0, 102, 1, 2000, IDLE, SENT},
		{S, TCP_SYN | TCP_ACK, 0, 101, 1, 2000, PASS, RECV}, // all of it acknowledged
		{S, TCP_ACK, 1, 101, 300, 2000, PASS, RECV},	     // early data of the server
		{C, TCP_ACK, 101, 301, 0, 1000, PASS, EST},
	};
	static const struct row refused_data[] = {
		{C, TCP_SYN, 0, 0, 101, 1000, PASS, SENT},
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, PASS, RECV}, // the SYN only
		{C, TCP_ACK, 1, 1, 100, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&nothing, rows);
	PLAY(&nothing, refused_data);
}

static void another_syn(void **state)
{
	static const struct row sent[] = {
		{C, TCP_SYN, 70000, 0, 1, 1000, REOPEN, SENT},
		{C, TCP_SYN, -70000u, 0, 1, 1000, REOPEN, SENT},
	};
	static const struct row received[] = {
		{C, TCP_SYN, 70000, 0, 1, 1000, IDLE, RECV},
		{S, TCP_ACK, 1, 1, 0, 2000, PASS, RECV}, // the challenge
		{C, TCP_RST, 1, 0, 0, 0, PASS, TCP_CLOSED},
		{C, TCP_SYN, 70000, 0, 1, 1000, REOPEN, TCP_CLOSED},
	};

	(void)state;
	PLAY(&syn, sent);
	PLAY(&synack, received);
}

// A server with SYN cookies answers a repeated SYN with another number.
static void another_synack_replaces_the_first(void **state)
{
	static const struct row rows[] = {
		{S, TCP_SYN | TCP_ACK, 0x1000000, 2, 1, 2000, IDLE, RECV}, // not for this SYN
		{S, TCP_SYN | TCP_ACK, 0x2000000, 1, 1, 2000, PASS, RECV},
		{C, TCP_ACK, 1, 1, 0, 1000, ACKNO, RECV},
		{C, TCP_ACK, 1, 0x2000001, 0, 1000, PASS, EST},
		{S, TCP_ACK, 0x2000001, 1, 1000, 2000, PASS, EST},
		{S, TCP_ACK, 0x2000002 + 1000, 1, 10, 2000, WINDOW, EST},
	};

	(void)state;
	PLAY(&synack, rows);
}

static void start_imported_half_open(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	start_import(track, start, isn);
	track->state = TCP_SYN_RECV;
}

static void t7_5_imported_half_open(void **state)
{
	static const struct start start = {start_imported_half_open, {7, 7}, {0, 0}};
	static const struct row retry[] = {
		{C, TCP_SYN, 12345, 0, 1, 1000, REOPEN, RECV},
	};
	static const struct row goes_on[] = {
		{C, TCP_ACK, 1, 1, 0, 1000, PASS, EST},
		{S, TCP_ACK, 1, 1, 10, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&start, retry);
	PLAY(&start, goes_on);
}

// Behind a proxied handshake. The client acknowledged the cookie; its window is scaled by 2, the
// server's by 7. Nothing but the SYN/ACK of the server was seen.
static void start_proxied(struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	struct tcp_segment client = {.seq = isn[C] + 1,
		.ack = isn[S] + 1,
		.window = 1000,
		.flags = TCP_ACK,
		.wscale = start->wscale[C]};
	struct tcp_segment server = {.seq = isn[S],
		.ack = isn[C] + 1,
		.len = 1,
		.window = 2000,
		.flags = TCP_SYN | TCP_ACK,
		.wscale = start->wscale[S]};

	tcp_track_open(track, &client, &server);
	assert_int_equal(track->state, TCP_ESTABLISHED);
}

// The client was promised 60000 bytes where the server then takes 2000 at once. When all of it is
// acknowledged here, but not yet there, the client begins again at the first.
static void start_promised(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	start_proxied(track, start, isn);
	tcp_track_promise(track, TO_CLIENT, 60000);
	tcp_track_promise(track, TO_CLIENT, 10); // the most counts
}

static void t3_4_what_was_promised_may_come_again(void **state)
{
	static const struct start plain = {start_proxied, {0, 0}, {0, 0}};
	static const struct start promised = {start_promised, {0, 0}, {0, 0}};
	static const struct row without[] = {
		{C, TCP_ACK, 1, 1, 1000, 1000, PASS, EST},
		{C, TCP_ACK, 1001, 1, 50000, 1000, PASS, EST},
		{S, TCP_ACK, 1, 51001, 0, 2000, PASS, EST},
		{C, TCP_ACK, 1, 1, 1000, 1000, WINDOW, EST},
	};
	static const struct row with[] = {
		{C, TCP_ACK, 1, 1, 1000, 1000, PASS, EST},
		{C, TCP_ACK, 1001, 1, 59000, 1000, PASS, EST},
		{S, TCP_ACK, 1, 60001, 0, 2000, PASS, EST},
		{C, TCP_ACK, 1, 1, 1000, 1000, PASS, EST},
		{S, TCP_ACK, 1, 60001, 0, 2000, PASS, EST},
	};

	(void)state;
	PLAY(&plain, without);
	PLAY(&promised, with);
}

static void proxied_both_ways(void **state)
{
	static const struct start start = {start_proxied, {2, 7}, {0, 0}};
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 1, 1000, 1000, PASS, EST},
		{S, TCP_ACK, 1, 1002, 0, 500, ACKNO, EST},
		{S, TCP_ACK, 4001, 1001, 1, 500, PASS, EST}, // 1000 << 2
		{S, TCP_ACK, 4003, 1001, 1, 500, WINDOW, EST},
		{C, TCP_ACK, 1001, 4003, 0, 1000, ACKNO, EST},
		{C, TCP_ACK, 1001 + (500u << 7), 4002, 1, 1000, PASS, EST},
		{C, TCP_ACK, 1003 + (500u << 7), 4002, 1, 1000, WINDOW, EST},
	};

	(void)state;
	PLAY(&start, rows);
}

// The server lacks what the proxy agreed on with the client: each side's windows by themselves.
static void proxied_with_one_shift(void **state)
{
	static const struct start start = {start_proxied, {2, NO_WSCALE}, {0, 0}};
	static const struct row rows[] = {
		{S, TCP_ACK, 1, 1, 0, 2000, PASS, EST},
		{S, TCP_ACK, 4001, 1, 1, 2000, PASS, EST},
		{S, TCP_ACK, 4003, 1, 1, 2000, WINDOW, EST},
		{C, TCP_ACK, 2001, 1, 1, 1000, PASS, EST},
		{C, TCP_ACK, 2003, 1, 1, 1000, WINDOW, EST},
	};

	(void)state;
	PLAY(&start, rows);
}

// Where the server's segments leave through another node (TCP.md 4.0).
static void t4_0_proxied_one_way(void **state)
{
	static const struct start start = {start_proxied, {2, 7}, {0, 0}};
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 1, 1000, 1000, PASS, EST},
		{C, TCP_ACK, 1001, 100000, 1000, 1000, PASS, EST},
		{C, TCP_FIN | TCP_ACK, 2001, 200000, 1, 1000, PASS, TCP_CLOSING},
		{C, TCP_ACK, 2002, 200001, 0, 1000, PASS, TCP_CLOSING},
		{C, TCP_RST, 2002, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&start, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_way),
		cmocka_unit_test(third_segment_carries_data_or_fin),
		cmocka_unit_test(third_segment_must_acknowledge),
		cmocka_unit_test(nothing_follows_a_syn_without_answer),
		cmocka_unit_test(refused),
		cmocka_unit_test(client_aborts),
		cmocka_unit_test(server_aborts_half_open),
		cmocka_unit_test(t1_11_plain_ack_for_a_syn),
		cmocka_unit_test(t1_11_synack_of_an_old_duplicate),
		cmocka_unit_test(t1_12_simultaneous_open),
		cmocka_unit_test(t1_12_simultaneous_open_with_plain_acks),
		cmocka_unit_test(t2_9_data_in_the_syn_counts),
		cmocka_unit_test(another_syn),
		cmocka_unit_test(another_synack_replaces_the_first),
		cmocka_unit_test(t7_5_imported_half_open),
		cmocka_unit_test(t3_4_what_was_promised_may_come_again),
		cmocka_unit_test(proxied_both_ways),
		cmocka_unit_test(proxied_with_one_shift),
		cmocka_unit_test(t4_0_proxied_one_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
