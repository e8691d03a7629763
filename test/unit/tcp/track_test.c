// Established and closing connections: TCP.md section 4.
// Proves: M8 (what may pass a node that sees one direction only).
#include "play.h"

// Client's window 1000, server's 2000, nothing scaled.
static const struct start plain = {start_open, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};
static const struct start half = {start_half, {NO_WSCALE, NO_WSCALE}, {1000, 2000}};
static const struct start import = {start_import, {0, 0}, {0, 0}};

#define EST TCP_ESTABLISHED

static void t4_0_one_way_acks_are_not_judged(void **state)
{
	static const struct row rows[] = {
		// The server's data goes another way: its acknowledgement is news here.
		{C, TCP_ACK, 1, 60001, 100, 1000, PASS, EST},
		{C, TCP_ACK, 101, 120001, 0, 1000, PASS, EST},
		{C, TCP_ACK, 101, 300000, 0, 1000, IDLE,
			EST}, // no window carries so far: not recorded
		{C, TCP_ACK, 101, 200001, 0, 1000, PASS, EST},
		// The sequence number is: 65535 is the largest window the server can have given.
		{C, TCP_ACK, 101 + 65535, 200001, 10, 1000, PASS, EST},
		{C, TCP_ACK, 111 + 65535 + 65535 + 1, 200001, 10, 1000, WINDOW, EST},
		{C, TCP_ACK, 110, 200001, 10, 1000, WINDOW, EST},
	};

	(void)state;
	PLAY(&half, rows);
}

static void t4_0_one_way_implausible_ack_moves_nothing(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 1, 100, 1000, PASS, EST},
		{C, TCP_ACK, 30000, 0x40000000, 10, 1000, IDLE, EST}, // blind attacker
		{C, TCP_RST, 30010, 0, 0, 0, IDLE, EST},	      // would be exact
		{C, TCP_RST, 101, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&half, rows);
}

static void t4_0_one_way_reset(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 50000, 5000, 1000, PASS, EST},
		{C, TCP_RST, 5002, 0, 0, 0, IDLE, EST},
		{C, TCP_RST, 5000, 0, 0, 0, IDLE, EST},
		{C, TCP_RST, 5001 + 65536, 0, 0, 0, WINDOW, EST},
		{C, TCP_RST, 5001, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&half, rows);
}

// The server's direction comes here after it went elsewhere for a long time.
static void t4_0_other_direction_arrives_late(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 1, 100000, 100, 1000, PASS, EST},
		{C, TCP_ACK, 101, 200000, 0, 1000, PASS, EST},
		{S, TCP_ACK, 201001, 101, 10, 2000, WINDOW, EST}, // beyond what the client gave
		{S, TCP_ACK, 200000, 102, 10, 2000, ACKNO, EST},  // the client did not send that
		{S, TCP_ACK, 200000, 101, 500, 2000, PASS, EST},
		{C, TCP_ACK, 101, 200501, 0, 1000, ACKNO, EST}, // now both are seen
		{C, TCP_ACK, 101, 200500, 0, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&half, rows);
}

static void t4_1_reset_exact_by_end(void **state)
{
	static const struct row client[] = {
		{C, TCP_ACK, 101, 201, 300, 1000, PASS, EST}, // under way
		{C, TCP_RST, 401, 0, 0, 0, PASS, TCP_CLOSED},
	};
	static const struct row server[] = {
		{S, TCP_ACK, 201, 101, 300, 2000, PASS, EST},
		{S, TCP_RST | TCP_ACK, 501, 101, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&plain, client);
	PLAY(&plain, server);
}

static void t4_1_reset_exact_by_ack(void **state)
{
	static const struct row client[] = {
		{C, TCP_ACK, 101, 201, 300, 1000, PASS, EST},
		{C, TCP_RST, 101, 0, 0, 0, PASS, TCP_CLOSED}, // the data was lost: RCV.NXT is 101
	};
	static const struct row server[] = {
		{S, TCP_ACK, 201, 101, 300, 2000, PASS, EST},
		{S, TCP_RST, 201, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&plain, client);
	PLAY(&plain, server);
}

static void t4_1_reset_in_window_keeps_state(void **state)
{
	static const struct row rows[] = {
		{C, TCP_RST, 102, 0, 0, 0, IDLE, EST},
		{C, TCP_RST, 2101, 0, 0, 0, IDLE, EST}, // right edge: 101 + 2000
		{C, TCP_RST, 2102, 0, 0, 0, WINDOW, EST},
		{C, TCP_RST, 100, 0, 0, 0, WINDOW, EST},
		{C, TCP_RST, 0x80000000, 0, 0, 0, WINDOW, EST},
		{S, TCP_RST, 1201, 0, 0, 0, IDLE, EST}, // 201 + 1000
		{S, TCP_RST, 1202, 0, 0, 0, WINDOW, EST},
		{S, TCP_RST, 200, 0, 0, 0, WINDOW, EST},
		{C, TCP_ACK, 101, 201, 10, 1000, PASS, EST}, // the challenge ACK's way is open
		{S, TCP_ACK, 201, 111, 0, 2000, PASS, EST},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_1_syn_in_established_keeps_state(void **state)
{
	static const struct row rows[] = {
		{C, TCP_SYN, 0, 0, 1, 1000, IDLE, EST},
		{C, TCP_SYN, 0x12345678, 0, 1, 1000, IDLE, EST},
		{S, TCP_ACK, 201, 101, 0, 2000, PASS, EST}, // challenge ACK
		{S, TCP_SYN | TCP_ACK, 0, 1, 1, 2000, IDLE, EST},
		{S, TCP_SYN, 77, 0, 1, 2000, IDLE, EST},
		{C, TCP_ACK, 101, 201, 10, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_2_ack_range(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 101, 202, 0, 1000, ACKNO, EST}, // the server has sent up to 201
		{C, TCP_ACK, 101, 201, 0, 1000, PASS, EST},
		{C, TCP_ACK, 101, 201 - 1000, 0, 1000, PASS, EST}, // MAX.SND.WND is 1000
		{C, TCP_ACK, 101, 201 - 1001, 0, 1000, ACKNO, EST},
		{C, TCP_ACK, 101, 0x80000000, 0, 1000, ACKNO, EST},
		{S, TCP_ACK, 201, 102, 0, 2000, ACKNO, EST},
		{S, TCP_ACK, 201, 101 - 2000, 0, 2000, PASS, EST},
		{S, TCP_ACK, 201, 101 - 2001, 0, 2000, ACKNO, EST},
		{S, TCP_ACK, 201, 101, 0, 2000, PASS, EST},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_2_dropped_segments_are_not_recorded(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 101, 5000, 100, 65535, ACKNO, EST},
		{S, TCP_ACK, 201, 201, 0, 2000, ACKNO, EST},	// those 100 bytes were never sent
		{S, TCP_ACK, 1202, 101, 10, 2000, WINDOW, EST}, // nor was that window given
		{C, TCP_FIN | TCP_ACK, 101, 5000, 1, 1000, ACKNO, EST},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_3_window_edges(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 2101, 201, 1, 1000, PASS, EST}, // at the right edge: a window probe
		{C, TCP_ACK, 2103, 201, 1, 1000, WINDOW, EST},
		{S, TCP_ACK, 1201, 101, 1, 2000, PASS, EST},
		{S, TCP_ACK, 1203, 101, 1, 2000, WINDOW, EST},
		{S, TCP_ACK, 201, 101, 0, 3000, PASS, EST}, // a larger window
		{C, TCP_ACK, 3101, 201, 1, 1000, PASS, EST},
		{S, TCP_ACK, 201, 101, 0, 10, PASS, EST}, // a smaller one takes nothing back
		{C, TCP_ACK, 3101, 201, 1, 1000, PASS, EST},
		// Retransmissions up to a window (now 3000) back.
		{C, TCP_ACK, 101 - 3000 - 10, 201, 10, 1000, PASS, EST},
		{C, TCP_ACK, 101 - 3000 - 11, 201, 10, 1000, WINDOW, EST},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t4_3_windows_are_scaled(void **state)
{
	// 1000 << 3 from the client, 2000 << 7 from the server behind the handshake.
	static const struct start scaled = {start_open, {3, 7}, {1000, 2000}};
	static const struct row rows[] = {
		{C, TCP_ACK, 101 + (2000u << 7), 201, 10, 1000, PASS, EST},
		{C, TCP_ACK, 101 + (2000u << 7) + 11, 201, 10, 1000, WINDOW, EST},
		{S, TCP_ACK, 201 + (1000u << 3), 101, 10, 2000, PASS, EST},
		{S, TCP_ACK, 201 + (1000u << 3) + 11, 101, 10, 2000, WINDOW, EST},
		{S, TCP_ACK, 201, 101 - (2000u << 7), 0, 2000, PASS, EST},
		{S, TCP_ACK, 201, 101 - (2000u << 7) - 1, 0, 2000, ACKNO, EST},
	};

	(void)state;
	PLAY(&scaled, rows);
}

static void t4_3_scaling_needs_both_offers(void **state)
{
	static const struct start starts[] = {
		{start_open, {7, NO_WSCALE}, {1000, 2000}},
		{start_open, {NO_WSCALE, 7}, {1000, 2000}},
		{start_open, {0, 0}, {1000, 2000}},
	};
	static const struct row rows[] = {
		{C, TCP_ACK, 2101, 201, 1, 1000, PASS, EST},
		{C, TCP_ACK, 2103, 201, 1, 1000, WINDOW, EST},
		{S, TCP_ACK, 1201, 101, 1, 2000, PASS, EST},
		{S, TCP_ACK, 1203, 101, 1, 2000, WINDOW, EST},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		PLAY(&starts[i], rows);
}

static void t4_3_syn_windows_are_not_scaled(void **state)
{
	static const struct start scaled = {start_synack, {7, 7}, {1024, 1024}};
	static const struct row rows[] = {
		{S, TCP_ACK, 1025, 1, 10, 8, PASS, TCP_SYN_RECV}, // early data, at the edge
		{S, TCP_ACK, 1036, 1, 10, 8, WINDOW, TCP_SYN_RECV},
		{S, TCP_ACK, 1 + (1024u << 7), 1, 10, 8, WINDOW, TCP_SYN_RECV},
	};

	(void)state;
	PLAY(&scaled, rows);
}

static void t4_3_import_is_liberal_until_both_were_seen(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 0x30000000, 0x50000000, 100, 1000, PASS, EST}, // the first: as it is
		{C, TCP_ACK, 0x70000000, 0x50000000, 10, 1000, IDLE, EST},  // wild, but not dropped
		{C, TCP_RST, 0x7000000a, 0, 0, 0, IDLE, EST},		    // and not recorded
		{C, TCP_ACK, 0x30000064, 0x50000064, 100, 1000, PASS, EST},
		{S, TCP_ACK, 0x50000000 + 100, 0x300000c8, 50, 2000, PASS, EST},
		{C, TCP_ACK, 0x70000000, 0x50000096, 10, 1000, WINDOW, EST}, // from here on strict
		{C, TCP_ACK, 0x300000c8, 0x50000097, 10, 1000, ACKNO, EST},
		{C, TCP_ACK, 0x300000c8, 0x50000096, 10, 1000, PASS, EST},
		{S, TCP_RST, 0x50000000, 0, 0, 0, WINDOW, EST},
		{S, TCP_RST, 0x50000096, 0, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&import, rows);
}

// Nothing is known of an imported connection: a RST is no reason to believe it.
static void t4_3_import_reset_first(void **state)
{
	static const struct row rows[] = {
		{S, TCP_RST, 0x1234, 0, 0, 0, IDLE, EST},
		{C, TCP_ACK, 100, 5000, 10, 1000, PASS, EST},
		{S, TCP_RST, 5001, 0, 0, 0, IDLE, EST},
		{S, TCP_RST, 9000, 0, 0, 0, IDLE, EST},	       // would be outside: liberal
		{S, TCP_RST, 5000, 0, 0, 0, PASS, TCP_CLOSED}, // what the client acknowledged
	};

	(void)state;
	PLAY(&import, rows);
}

// Where others forward it, too, what does not fit a first segment that may have been forged passes,
// as often as it comes, and moves nothing here.
static void t4_3_import_one_way_after_a_guess(void **state)
{
	struct tcp_segment guess = {
		.seq = 0x70000000, .ack = 1, .flags = TCP_ACK, .elsewhere = true};
	struct tcp_segment data = {
		.seq = 0x100, .ack = 0x50000000, .len = 100, .flags = TCP_ACK, .elsewhere = true};
	struct tcp_track track, before;

	(void)state;
	tcp_track_import(&track, 0, 0);
	assert_int_equal(tcp_track_segment(&track, TO_SERVER, &guess).outcome, TCP_PASS);
	before = track;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(
			tcp_track_segment(&track, TO_SERVER, &data).outcome, TCP_PASS_STALE);
		assert_memory_equal(&track, &before, sizeof(track));
	}
}

static void t4_3_unknown_shift_is_14(void **state)
{
	static const struct start unknown = {start_import, {NO_WSCALE, NO_WSCALE}, {0, 0}};
	static const struct row rows[] = {
		{C, TCP_ACK, 100, 5000, 10, 1000, PASS, EST},
		{S, TCP_ACK, 5000, 110, 10, 2000, PASS, EST},
		{C, TCP_ACK, 110 + (2000u << 14), 5010, 10, 1000, PASS, EST},
		{C, TCP_ACK, 110 + (2000u << 14) + 11, 5010, 10, 1000, WINDOW, EST},
	};

	(void)state;
	PLAY(&unknown, rows);
}

static void t4_5_keep_alive(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK, 100, 201, 0, 1000, PASS, EST},
		{C, TCP_ACK, 100, 201, 1, 1000, PASS, EST},
		{S, TCP_ACK, 200, 101, 0, 2000, PASS, EST},
		{S, TCP_ACK, 200, 101, 1, 2000, PASS, EST},
		{S, TCP_ACK, 201, 101, 0, 2000, PASS, EST}, // its answer
	};

	(void)state;
	PLAY(&plain, rows);
}

// A peer that never opened its window.
static void t4_5_keep_alive_and_probe_at_zero_window(void **state)
{
	static const struct start zero = {start_half, {NO_WSCALE, NO_WSCALE}, {1000, 0}};
	static const struct row rows[] = {
		{S, TCP_ACK, 1, 1, 0, 0, PASS, EST},
		{C, TCP_ACK, 0, 1, 0, 1000, PASS, EST}, // keep-alives
		{C, TCP_ACK, 0, 1, 1, 1000, PASS, EST},
		{C, TCP_ACK, 1, 1, 1, 1000, PASS, EST}, // a probe, 1 byte beyond
		{S, TCP_ACK, 1, 1, 0, 0, PASS, EST},
		{C, TCP_ACK, 2, 1, 0, 1000, PASS, EST}, // an ACK behind the probe
		{C, TCP_ACK, 2, 1, 1, 1000, WINDOW, EST},
		{C, TCP_ACK, -1u, 1, 0, 1000, WINDOW, EST},
		{C, TCP_ACK, -1u, 1, 1, 1000, PASS, EST},
	};

	(void)state;
	PLAY(&zero, rows);
}

// More than 2^32 bytes each way, with windows of almost 2^30.
static void t4_6_numbers_wrap(void **state)
{
	static const struct start large = {start_half, {14, 14}, {65535, 65535}};
	uint32_t position = 1;
	struct tcp_track track;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(isns); i++) {
		start_half(&track, &large, isns[i]);
		position = 1;
		for (unsigned lap = 0; lap < 100; lap++) {
			uint32_t next = position + 0x30000000;
			struct row rows[] = {
				{C, TCP_ACK, next - 1000, position, 1000, 65535, PASS, EST},
				{S, TCP_ACK, next - 1000, next, 1000, 65535, PASS, EST},
				{C, TCP_ACK, next, next + 1, 0, 65535, ACKNO, EST},
				{C, TCP_ACK, next, next, 0, 65535, PASS, EST},
				{S, TCP_RST, next - 1, 0, 0, 0, WINDOW, EST},
				{S, TCP_RST, next + 1, 0, 0, 0, IDLE, EST},
			};

			play_rows(&track, rows, ARRAY_LEN(rows), isns[i]);
			position = next;
		}
	}
}

static void bad_flags_are_dropped_in_every_state(void **state)
{
	static const uint8_t bad[] = {0, TCP_PSH, TCP_URG, TCP_FIN, TCP_SYN | TCP_FIN,
		TCP_SYN | TCP_RST, TCP_FIN | TCP_RST, TCP_FIN | TCP_PSH | TCP_URG,
		TCP_SYN | TCP_FIN | TCP_ACK, TCP_SYN | TCP_RST | TCP_ACK,
		TCP_FIN | TCP_RST | TCP_ACK, 0xff, TCP_ECE | TCP_CWR};

	(void)state;
	for (unsigned s = 0; s < TCP_STATE_COUNT; s++)
		for (size_t i = 0; i < 2 * ARRAY_LEN(bad); i++) {
			struct tcp_segment segment = {.seq = 1001, .flags = bad[i / 2]};
			struct tcp_track track, before;
			struct tcp_result result;

			start_open(&track, &plain, isns[0]);
			track.state = (uint8_t)s;
			before = track;
			result = tcp_track_segment(&track, i % 2 ? C : S, &segment);
			assert_int_equal(result.outcome, TCP_DROP);
			assert_int_equal(result.reason, REASON_bad_flags);
			assert_memory_equal(&track, &before, sizeof(track));
		}
}

static void other_flags_do_not_matter(void **state)
{
	static const struct row rows[] = {
		{C, TCP_ACK | TCP_PSH | TCP_URG | TCP_ECE | TCP_CWR, 101, 201, 10, 1000, PASS, EST},
		{S, TCP_FIN | TCP_ACK | TCP_PSH, 201, 111, 1, 2000, PASS, TCP_CLOSING},
		{C, TCP_RST | TCP_ACK | TCP_PSH, 111, 201, 0, 0, PASS, TCP_CLOSED},
	};

	(void)state;
	PLAY(&plain, rows);
}

static void t5_3_in_flight(void **state)
{
	static const uint32_t *const isn = isns[2];
	struct tcp_track track;

	(void)state;
	start_open(&track, &plain, isn);
	assert_true(tcp_track_in_flight(&track, C, isn[C] + 101));
	assert_true(tcp_track_in_flight(&track, C, isn[C] + 2101));
	assert_false(tcp_track_in_flight(&track, C, isn[C] + 2102));
	assert_false(tcp_track_in_flight(&track, C, isn[C] + 100));
	assert_true(tcp_track_in_flight(&track, S, isn[S] + 1201));
	assert_false(tcp_track_in_flight(&track, S, isn[S] + 1202));
	assert_false(tcp_track_in_flight(&track, S, isn[S] + 200));
}

static void t5_3_in_flight_one_way(void **state)
{
	static const uint32_t *const isn = isns[1];
	struct row ack = {C, TCP_ACK, 1, 50001, 100, 1000, PASS, EST};
	struct tcp_track track;

	(void)state;
	start_half(&track, &half, isn);
	play_rows(&track, &ack, 1, isn);
	// The server's packets: by the client's last ACK and window.
	assert_true(tcp_track_in_flight(&track, S, isn[S] + 50001));
	assert_true(tcp_track_in_flight(&track, S, isn[S] + 51001));
	assert_false(tcp_track_in_flight(&track, S, isn[S] + 51002));
	assert_false(tcp_track_in_flight(&track, S, isn[S] + 50000));
	// The client's: by its own.
	assert_true(tcp_track_in_flight(&track, C, isn[C] + 1));
	assert_false(tcp_track_in_flight(&track, C, isn[C] + 101 + 65536));
	assert_false(tcp_track_in_flight(&track, C, isn[C] + 101 - 65536));
	tcp_track_import(&track, 0, 0);
	assert_true(tcp_track_in_flight(&track, C, 12345));
}

static void state_names(void **state)
{
	(void)state;
	assert_string_equal(tcp_state_name(TCP_SYN_SENT), "syn_sent");
	assert_string_equal(tcp_state_name(TCP_CLOSED), "closed");
	assert_null(tcp_state_name(TCP_STATE_COUNT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t4_0_one_way_acks_are_not_judged),
		cmocka_unit_test(t4_0_one_way_implausible_ack_moves_nothing),
		cmocka_unit_test(t4_0_one_way_reset),
		cmocka_unit_test(t4_0_other_direction_arrives_late),
		cmocka_unit_test(t4_1_reset_exact_by_end),
		cmocka_unit_test(t4_1_reset_exact_by_ack),
		cmocka_unit_test(t4_1_reset_in_window_keeps_state),
		cmocka_unit_test(t4_1_syn_in_established_keeps_state),
		cmocka_unit_test(t4_2_ack_range),
		cmocka_unit_test(t4_2_dropped_segments_are_not_recorded),
		cmocka_unit_test(t4_3_window_edges),
		cmocka_unit_test(t4_3_windows_are_scaled),
		cmocka_unit_test(t4_3_scaling_needs_both_offers),
		cmocka_unit_test(t4_3_syn_windows_are_not_scaled),
		cmocka_unit_test(t4_3_import_is_liberal_until_both_were_seen),
		cmocka_unit_test(t4_3_import_reset_first),
		cmocka_unit_test(t4_3_import_one_way_after_a_guess),
		cmocka_unit_test(t4_3_unknown_shift_is_14),
		cmocka_unit_test(t4_5_keep_alive),
		cmocka_unit_test(t4_5_keep_alive_and_probe_at_zero_window),
		cmocka_unit_test(t4_6_numbers_wrap),
		cmocka_unit_test(bad_flags_are_dropped_in_every_state),
		cmocka_unit_test(other_flags_do_not_matter),
		cmocka_unit_test(t5_3_in_flight),
		cmocka_unit_test(t5_3_in_flight_one_way),
		cmocka_unit_test(state_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
