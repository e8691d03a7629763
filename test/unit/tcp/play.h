// Packet tables: each row is a segment with numbers relative to its side's ISN, what must become of
// it, and the state behind it. Every table is played with ISNs that make the numbers wrap at 2^32
// at different places (TCP.md 4.6).
#pragma once

#include "base/check.h"
#include "pkt/options.h"
#include "pkt/view.h"
#include "tcp/track.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define C TO_SERVER // the client sends
#define S TO_CLIENT // the server sends

#define NO_WSCALE OPTIONS_WSCALE_NONE

enum expected {
	PASS,
	IDLE,
	REOPEN,
	WINDOW, // dropped: out_of_window
	ACKNO,	// dropped: bad_ack
	FLAGS,	// dropped: bad_flags
};

struct row {
	enum direction dir;
	uint8_t flags;
	uint32_t seq; // relative to the sender's ISN
	uint32_t ack; // relative to the other side's ISN
	uint32_t len; // SEG.LEN
	uint16_t window;
	enum expected expected;
	enum tcp_state state; // behind the segment
};

// How a table begins.
struct start {
	void (*make)(struct tcp_track *track, const struct start *start, const uint32_t isn[2]);
	uint8_t wscale[2];
	uint16_t window[2]; // in the SYN and the SYN/ACK
};

static const uint32_t isns[][2] = {
	{1000, 5000},
	{0xffffffff, 0xfffffffe},
	{0xffffffff - 100, 0x7fffffff},
	{0x7fffffff - 100, 0xffffffff - 1000},
	{0, 0x80000000},
	{0xffffffff - 70000, 0xffffffff - 30000},
};

static inline struct tcp_segment segment_of(const struct row *row, const uint32_t isn[2])
{
	return (struct tcp_segment){
		.seq = isn[row->dir] + row->seq,
		.ack = row->flags & TCP_ACK ? isn[row->dir == C ? S : C] + row->ack : 0,
		.len = row->len,
		.window = row->window,
		.flags = row->flags,
		.wscale = NO_WSCALE,
	};
}

static inline enum expected result_of(struct tcp_result result)
{
	switch (result.outcome) {
	case TCP_PASS:
		return PASS;
	case TCP_PASS_IDLE:
		return IDLE;
	case TCP_REOPEN:
		return REOPEN;
	default:
		return result.reason == REASON_out_of_window ? WINDOW
		       : result.reason == REASON_bad_ack     ? ACKNO
							     : FLAGS;
	}
}

static inline void play_rows(
	struct tcp_track *track, const struct row *rows, size_t count, const uint32_t isn[2])
{
	for (size_t i = 0; i < count; i++) {
		struct tcp_segment segment = segment_of(&rows[i], isn);
		enum expected got = result_of(tcp_track_segment(track, rows[i].dir, &segment));

		if (got != rows[i].expected || track->state != rows[i].state)
			fail_msg("row %zu, ISNs %#x %#x: outcome %d, expected %d; state %s, "
				 "expected %s",
				i, isn[0], isn[1], (int)got, (int)rows[i].expected,
				tcp_state_name(track->state), tcp_state_name(rows[i].state));
	}
}

static inline void play(const struct start *start, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < ARRAY_LEN(isns); i++) {
		struct tcp_track track;

		start->make(&track, start, isns[i]);
		play_rows(&track, rows, count, isns[i]);
	}
}

#define PLAY(start, rows) play(start, rows, ARRAY_LEN(rows))

static inline void start_syn(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	struct tcp_segment syn = {.seq = isn[C],
		.len = 1,
		.flags = TCP_SYN,
		.window = start->window[C],
		.wscale = start->wscale[C]};

	tcp_track_syn(track, TO_SERVER, &syn);
}

static inline void start_synack(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	struct tcp_segment synack = {.seq = isn[S],
		.ack = isn[C] + 1,
		.len = 1,
		.flags = TCP_SYN | TCP_ACK,
		.window = start->window[S],
		.wscale = start->wscale[S]};

	start_syn(track, start, isn);
	assert_int_equal(tcp_track_segment(track, TO_CLIENT, &synack).outcome, TCP_PASS);
	assert_int_equal(track->state, TCP_SYN_RECV);
}

// The handshake, as seen where only the client's direction passes.
static inline void start_half(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	struct row ack = {C, TCP_ACK, 1, 1, 0, start->window[C], PASS, TCP_ESTABLISHED};

	start_synack(track, start, isn);
	play_rows(track, &ack, 1, isn);
}

// Both directions seen: the client sent 100 bytes, the server 200, all acknowledged. The windows of
// these segments are those of `start`, on the wire.
static inline void start_open(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	const struct row rows[] = {
		{C, TCP_ACK, 1, 1, 100, start->window[C], PASS, TCP_ESTABLISHED},
		{S, TCP_ACK, 1, 101, 200, start->window[S], PASS, TCP_ESTABLISHED},
		{C, TCP_ACK, 101, 201, 0, start->window[C], PASS, TCP_ESTABLISHED},
	};

	start_half(track, start, isn);
	play_rows(track, rows, ARRAY_LEN(rows), isn);
}

static inline void start_import(
	struct tcp_track *track, const struct start *start, const uint32_t isn[2])
{
	(void)isn;
	tcp_track_import(track, start->wscale[C], start->wscale[S]);
}
