// Closing connections: TCP.md 4.4, and RST and SYN behind the close.
#include "play.h"

// Client's window 1000, server's 2000, nothing scaled.
static const struct start plain = {start_open, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};

static void t4_4_close_by_client(void **state)
{
	static const struct row rows[] = {
		{C, TCP_FIN | TCP_ACK, 101, 201, 1, 1000, PASS, TCP_CLOSING},
		{S, TCP_ACK, 201, 102, 0, 2000, PASS, TCP_CLOSING},
		{S, TCP_ACK, 201, 102, 500, 2000, PASS, TCP_CLOSING}, // half-closed: data goes on
		{C, TCP_ACK, 102, 701, 0, 1000, PASS, TCP_CLOSING},
		{S, TCP_FIN | TCP_ACK, 701, 102, 1, 2000, PASS, TCP_CLOSING},
		{C, TCP_ACK, 102, 701, 0, 1000, PASS, TCP_CLOSING}, // not yet the FIN
		{C, TCP_ACK, 102, 702, 0, 1000, PASS, TCP_TIME_WAIT},
		{S, TCP_FIN | TCP_ACK, 701, 102, 1, 2000, PASS, TCP_TIME_WAIT}, // again
		{C, TCP_ACK, 102, 702, 0, 1000, PASS, TCP_TIME_WAIT},
		{C, TCP_ACK, 102, 703, 0, 1000, ACKNO, TCP_TIME_WAIT},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_4_close_by_server_at_once(void **state)
{
	static const struct row rows[] = {
		{S, TCP_FIN | TCP_ACK, 201, 101, 51, 2000, PASS, TCP_CLOSING}, // with data
		{C, TCP_FIN | TCP_ACK, 101, 252, 1, 1000, PASS, TCP_CLOSING},
		{S, TCP_ACK, 252, 102, 0, 2000, PASS, TCP_TIME_WAIT},
	};
	static const struct row crossing[] = {
		{S, TCP_FIN | TCP_ACK, 201, 101, 1, 2000, PASS, TCP_CLOSING},
		{C, TCP_FIN | TCP_ACK, 101, 201, 1, 1000, PASS, TCP_CLOSING},
		{S, TCP_ACK, 202, 102, 0, 2000, PASS, TCP_CLOSING},
		{C, TCP_ACK, 102, 202, 0, 1000, PASS, TCP_TIME_WAIT},
	};

	(void)state;
	PLAY(&plain, rows);
	PLAY(&plain, crossing);
}

// The FIN overtakes the data in front of it.
static void t4_4_fin_before_its_data(void **state)
{
	static const struct row rows[] = {
		{C, TCP_FIN | TCP_ACK, 601, 201, 1, 1000, PASS, TCP_CLOSING},
		{S, TCP_FIN | TCP_ACK, 201, 101, 1, 2000, PASS, TCP_CLOSING},
		{C, TCP_ACK, 101, 202, 500, 1000, PASS, TCP_CLOSING},
		{S, TCP_ACK, 202, 601, 0, 2000, PASS, TCP_CLOSING},
		{S, TCP_ACK, 202, 602, 0, 2000, PASS, TCP_TIME_WAIT},
	};

	(void)state;
	PLAY(&plain, rows);
}

static const struct row closing[] = {
	{C, TCP_FIN | TCP_ACK, 101, 201, 1, 1000, PASS, TCP_CLOSING},
	{S, TCP_FIN | TCP_ACK, 201, 102, 1, 2000, PASS, TCP_CLOSING},
	{C, TCP_ACK, 102, 202, 0, 1000, PASS, TCP_TIME_WAIT},
};

static void start_time_wait(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	start_open(track, start, isn);
	play_rows(track, closing, ARRAY_LEN(closing), isn);
}

static const struct start time_wait = {start_time_wait, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};

static void t4_4_reset_in_time_wait_is_ignored(void **state)
{
	static const struct row rows[] = {
		{C, TCP_RST, 102, 0, 0, 0, IDLE, TCP_TIME_WAIT},
		{S, TCP_RST, 202, 0, 0, 0, IDLE, TCP_TIME_WAIT},
		{S, TCP_RST, 300, 0, 0, 0, IDLE, TCP_TIME_WAIT},
		{S, TCP_RST, 5000, 0, 0, 0, WINDOW, TCP_TIME_WAIT},
	};

	(void)state;
	PLAY(&time_wait, rows);
}

// The RST that closed the connection here was not exact for the server, which had not got what came
// before it: its challenge reaches the client, which resets it again.
static void t4_1_challenge_of_a_reset(void **state)
{
	static const struct row rows[] = {
		{C, TCP_RST, 101, 0, 0, 0, PASS, TCP_CLOSED},
		{S, TCP_ACK, 201, 101, 0, 2000, IDLE, TCP_CLOSED},
		{C, TCP_RST, 101, 0, 0, 0, IDLE, TCP_CLOSED},
		{S, TCP_ACK, 201, 101, 10, 2000, WINDOW, TCP_CLOSED},
		{S, TCP_ACK, 0x20000000, 101, 0, 2000, WINDOW, TCP_CLOSED},
		{S, TCP_ACK, 201, 0x20000000, 0, 2000, ACKNO, TCP_CLOSED},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_4_syn_in_time_wait(void **state)
{
	static const struct row rows[] = {
		{C, TCP_SYN, 101, 0, 1, 1000, REOPEN, TCP_TIME_WAIT}, // the server decides
		{C, TCP_SYN, 0x80000200, 0, 1, 1000, REOPEN, TCP_TIME_WAIT},
		{S, TCP_ACK, 202, 102, 0, 2000, PASS, TCP_TIME_WAIT}, // its answer (1.11)
		{C, TCP_RST, 102, 0, 0, 0, IDLE, TCP_TIME_WAIT},      // and the client's
		{C, TCP_SYN, 102, 0, 1, 1000, REOPEN, TCP_TIME_WAIT},
		{C, TCP_SYN, 0x10000, 0, 1, 1000, REOPEN, TCP_TIME_WAIT},
		{S, TCP_SYN, 0x10000, 0, 1, 1000, REOPEN, TCP_TIME_WAIT},
		{S, TCP_SYN, 201, 0, 1, 1000, REOPEN, TCP_TIME_WAIT},
	};

	(void)state;
	PLAY(&time_wait, rows);
}

static void t4_4_reset_while_closing(void **state)
{
	static const struct row rows[] = {
		{C, TCP_FIN | TCP_ACK, 101, 201, 1, 1000, PASS, TCP_CLOSING},
		{C, TCP_SYN, 9000, 0, 1, 1000, IDLE, TCP_CLOSING},
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 1000, IDLE, TCP_CLOSING},
		{C, TCP_RST, 103, 0, 0, 0, IDLE, TCP_CLOSING},
		{C, TCP_RST, 9000, 0, 0, 0, WINDOW, TCP_CLOSING},
		{C, TCP_RST, 102, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void closed_lets_nothing_but_resets_and_syns_through(void **state)
{
	static const struct row rows[] = {
		{S, TCP_RST, 201, 0, 0, 0, PASS, TCP_CLOSED},
		{S, TCP_RST, 201, 0, 0, 0, IDLE, TCP_CLOSED},
		{C, TCP_RST, 150, 0, 0, 0, IDLE, TCP_CLOSED},
		{C, TCP_RST, 90, 0, 0, 0, WINDOW, TCP_CLOSED},
		{C, TCP_ACK, 101, 201, 10, 1000, WINDOW, TCP_CLOSED},
		{C, TCP_FIN | TCP_ACK, 101, 201, 1, 1000, WINDOW, TCP_CLOSED},
		{S, TCP_SYN | TCP_ACK, 9, 1, 1, 1000, WINDOW, TCP_CLOSED},
		{C, TCP_SYN, 0x80000000, 0, 1, 1000, REOPEN, TCP_CLOSED},
		{C, TCP_SYN, 20000, 0, 1, 1000, REOPEN, TCP_CLOSED},
	};

	(void)state;
	PLAY(&plain, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t4_4_close_by_client),
		cmocka_unit_test(t4_4_close_by_server_at_once),
		cmocka_unit_test(t4_4_fin_before_its_data),
		cmocka_unit_test(t4_4_reset_in_time_wait_is_ignored),
		cmocka_unit_test(t4_4_syn_in_time_wait),
		cmocka_unit_test(t4_1_challenge_of_a_reset),
		cmocka_unit_test(t4_4_reset_while_closing),
		cmocka_unit_test(closed_lets_nothing_but_resets_and_syns_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
