// The numbers of a tracked connection: windows, and how segments move and are judged by what both
// sides sent. Used by track.c, which decides what is judged in which state.
#pragma once

#include "tcp/track.h"

// One segment on its way through the rules.
struct step {
	struct tcp_track *track;
	const struct tcp_segment *segment;
	struct tcp_sender *sender; // who sent it
	struct tcp_sender *peer;   // who gets it
	enum direction dir;
	enum tcp_state next; // state where the rule accepts it
};

// Where a RST stands in its receiver's window.
enum reset_place {
	RESET_EXACT,
	RESET_INSIDE,
	RESET_OUTSIDE,
};

static inline enum direction direction_back(enum direction dir)
{
	return dir == TO_SERVER ? TO_CLIENT : TO_SERVER;
}

// bit: that of the client of a pair (TRACK_SEEN_CLIENT, TRACK_FIN_CLIENT, TRACK_FIN_ACKED_CLIENT).
static inline uint8_t track_bit(enum tcp_track_bit bit, enum direction dir)
{
	return (uint8_t)(bit << dir);
}

static inline bool track_seen(const struct tcp_track *track, enum direction dir)
{
	return (track->bits & track_bit(TRACK_SEEN_CLIENT, dir)) != 0;
}

static inline bool track_is_liberal(const struct tcp_track *track)
{
	return (track->bits & TRACK_LIBERAL) != 0;
}

// Largest window `dir`'s sender can advertise at all, in bytes.
uint32_t window_bound(const struct tcp_track *track, enum direction dir);

// Begins a sender's numbers at its SYN. `acked` and `limit` are its own: nothing may follow yet.
void window_start(struct tcp_track *track, enum direction dir, const struct tcp_segment *syn);

// Begins the second side's numbers: its SYN, with or without ACK. The window of the first SYN
// applies, and both sides scale or none does (RFC 7323 2.2).
void window_answer(const struct step *step);

// The sender's SYN, or more, is acknowledged for the first time by this segment.
bool window_acks_anew(const struct step *step);

// Records the acknowledgement and window of an accepted SYN/ACK.
void window_record_synack(const struct step *step);

// Judges a segment other than SYN and RST, without recording it: PASS, PASS_IDLE, or DROP.
struct tcp_result window_judge(const struct step *step);

// Records what an accepted segment other than SYN and RST says about both senders.
void window_record(const struct step *step);

// window_judge() and, where that says PASS, window_record() in one, of an ACK where both directions
// were seen here and neither has closed. False, and nothing done, where it says anything else.
bool window_take_usual(
	struct tcp_track *track, enum direction dir, const struct tcp_segment *segment);

// RFC 5961 3.2.
enum reset_place window_place_reset(const struct step *step);
