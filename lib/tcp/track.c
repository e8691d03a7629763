// One TCP connection as a middlebox sees it.
//
// A segment is classified by its flags (enum event). The table `cells` says for each state,
// direction and event which rule judges the segment and which state follows where the rule accepts
// it. The rules:
//
//	window     sequence and acknowledgement numbers (RFC 9293 3.10.7.4; RFC 5961 5.2)
//	reset      RST: exact closes, in window is the endpoint's business (RFC 5961 3.2)
//	challenge  SYN where there is a connection: the endpoint's business too (RFC 5961 4)
//	newer      SYN in TIME-WAIT (RFC 9293 3.10.7.4, MAY-2); a RST there is ignored (RFC 1337)
//	others     the handshake: what may happen before both SYNs are acknowledged
//
// The numbers are in window.c. Nothing here is remembered outside struct tcp_track.
#include "tcp/track.h"

#include "base/check.h"
#include "base/serial.h"
#include "pkt/options.h"
#include "pkt/view.h"
#include "tcp/window.h"

#include <stddef.h>

enum event {
	EVENT_SYN = 0,
	EVENT_SYNACK,
	EVENT_ACK, // with or without data
	EVENT_FIN,
	EVENT_RST,
	EVENT_COUNT
};

struct cell {
	struct tcp_result (*rule)(struct step *step);
	enum tcp_state next;
};

static const struct tcp_result pass = {TCP_PASS, REASON_NONE};
static const struct tcp_result idle = {TCP_PASS_IDLE, REASON_NONE};
static const struct tcp_result reopen = {TCP_REOPEN, REASON_NONE};
static const struct tcp_result bad_flags = {TCP_DROP, REASON_bad_flags};
static const struct tcp_result bad_ack = {TCP_DROP, REASON_bad_ack};
static const struct tcp_result out_of_window = {TCP_DROP, REASON_out_of_window};

const char *tcp_state_name(enum tcp_state state)
{
	static const char *const names[] = {
#define X(name, text) [TCP_##name] = text,
		TCP_STATES(X)
#undef X
	};

	return (size_t)state < ARRAY_LEN(names) ? names[state] : NULL;
}

void tcp_track_syn(struct tcp_track *track, enum direction dir, const struct tcp_segment *syn)
{
	*track = (struct tcp_track){
		.state = TCP_SYN_SENT, .bits = track_bit(TRACK_SEEN_CLIENT, dir)};
	track->wscale[dir] = syn->wscale;
	track->wscale[direction_back(dir)] = OPTIONS_WSCALE_NONE;
	window_start(track, dir, syn);
}

void tcp_track_open(
	struct tcp_track *track, const struct tcp_segment *client, const struct tcp_segment *server)
{
	struct step from_client = {track, client, &track->sender[TO_SERVER],
		&track->sender[TO_CLIENT], TO_SERVER, TCP_ESTABLISHED};

	*track = (struct tcp_track){.state = TCP_ESTABLISHED};
	track->wscale[TO_SERVER] = client->wscale;
	track->wscale[TO_CLIENT] = server->wscale;
	window_start(track, TO_CLIENT, server);
	track->sender[TO_SERVER].end = client->seq + client->len;
	track->sender[TO_SERVER].acked = server->ack;
	track->sender[TO_SERVER].limit = server->ack + server->window;
	window_record(&from_client);
}

void tcp_track_import(struct tcp_track *track, uint8_t wscale_client, uint8_t wscale_server)
{
	*track = (struct tcp_track){.state = TCP_ESTABLISHED, .bits = TRACK_LIBERAL};
	track->wscale[TO_SERVER] =
		wscale_client <= OPTIONS_WSCALE_MAX ? wscale_client : OPTIONS_WSCALE_MAX;
	track->wscale[TO_CLIENT] =
		wscale_server <= OPTIONS_WSCALE_MAX ? wscale_server : OPTIONS_WSCALE_MAX;
}

// State after an accepted segment: once the handshake is over, FINs decide.
static void advance(const struct step *step)
{
	const uint8_t fins = TRACK_FIN_CLIENT | TRACK_FIN_SERVER;
	const uint8_t fins_acked = TRACK_FIN_ACKED_CLIENT | TRACK_FIN_ACKED_SERVER;
	enum tcp_state state = step->next;
	uint8_t bits = step->track->bits;

	if (state == TCP_ESTABLISHED && (bits & fins))
		state = TCP_CLOSING;
	if (state == TCP_CLOSING && (bits & fins_acked) == fins_acked)
		state = TCP_TIME_WAIT;
	step->track->state = (uint8_t)state;
}

static struct tcp_result rule_window(struct step *step)
{
	struct tcp_result result = window_judge(step);

	if (result.outcome == TCP_PASS) {
		window_record(step);
		advance(step);
	}
	return result;
}

static struct tcp_result rule_challenge(struct step *step)
{
	(void)step;
	return idle;
}

static struct tcp_result rule_unexpected(struct step *step)
{
	(void)step;
	return out_of_window;
}

static struct tcp_result rule_unacked(struct step *step)
{
	(void)step;
	return bad_ack;
}

static struct tcp_result rule_reopen(struct step *step)
{
	(void)step;
	return reopen;
}

// A SYN in SYN_SENT from who sent the first: the same one again, or its sender gave up on that.
static struct tcp_result rule_repeat(struct step *step)
{
	struct tcp_sender *sender = step->sender;

	if (step->segment->seq != sender->acked)
		return reopen;
	sender->end = serial_max(sender->end, step->segment->seq + step->segment->len);
	return pass;
}

// Two SYNs that cross (RFC 9293 MUST-10).
static struct tcp_result rule_cross(struct step *step)
{
	window_answer(step);
	step->peer->limit = step->peer->acked + 1 + step->segment->window;
	step->track->bits |= TRACK_SIMULTANEOUS;
	advance(step);
	return pass;
}

// A SYN/ACK in SYN_SENT. With another ACK it answers an old duplicate SYN: the client resets it
// (RFC 9293 3.5, figure 8), and both have to get through.
static struct tcp_result rule_answer(struct step *step)
{
	if (!window_acks_anew(step))
		return idle;
	window_answer(step);
	window_record_synack(step);
	advance(step);
	return pass;
}

// A plain ACK for a SYN: the server still has an older connection (TCP.md 1.11; RFC 9293 3.5.1).
// The client answers with a RST, which rule_abandon() lets through.
static struct tcp_result rule_old_ack(struct step *step)
{
	return step->segment->len == 0 ? idle : out_of_window;
}

// A RST for a SYN counts only if it acknowledges it (RFC 9293 3.10.7.3).
static struct tcp_result rule_refuse(struct step *step)
{
	if (!(step->segment->flags & TCP_ACK) || !window_acks_anew(step))
		return out_of_window;
	advance(step);
	return pass;
}

// A RST of the client's in SYN_SENT: it gives up, or resets what rule_old_ack() let through.
static struct tcp_result rule_abandon(struct step *step)
{
	if (step->segment->seq != step->sender->end)
		return idle;
	advance(step);
	return pass;
}

// A SYN in SYN_RECV: the one seen already, or, in an imported connection, a retry after a failover
// (TCP.md 7.5). Another one is the endpoint's to challenge (RFC 5961 4).
static struct tcp_result rule_repeat_late(struct step *step)
{
	const struct tcp_segment *segment = step->segment;
	const struct tcp_sender *sender = step->sender;

	if (track_is_liberal(step->track) && !track_seen(step->track, step->dir))
		return reopen;
	if (segment->seq == sender->acked || segment->seq + 1 == sender->acked ||
		segment->seq + segment->len == sender->end)
		return pass;
	return idle;
}

// One of the two SYNs of SYN_RECV is acknowledged. After a simultaneous open the other one is still
// to come.
static void handshake_advance(struct step *step)
{
	if (step->track->bits & TRACK_SIMULTANEOUS) {
		step->track->bits &= (uint8_t)~TRACK_SIMULTANEOUS;
		step->next = TCP_SYN_RECV;
	}
	advance(step);
}

// A SYN/ACK in SYN_RECV: its repetition; the answer to a SYN that crossed another; or that of a
// server that forgot its first one (SYN cookies), which the newest replaces.
static struct tcp_result rule_answer_late(struct step *step)
{
	const struct tcp_segment *segment = step->segment;
	bool crossed = (step->track->bits & TRACK_SIMULTANEOUS) != 0;
	bool acks_anew = window_acks_anew(step);

	if (!acks_anew && (crossed || segment->ack != step->peer->acked))
		return idle;
	if (segment->seq + segment->len != step->sender->end) {
		if (crossed || step->dir == TO_SERVER)
			return idle;
		window_answer(step);
		window_record_synack(step);
		return pass;
	}
	if (acks_anew) {
		window_record_synack(step);
		handshake_advance(step);
	}
	return pass;
}

// An ACK or FIN in SYN_RECV. Only one that acknowledges the peer's SYN proves that its sender is
// there and establishes the connection, whichever direction is seen here: a spoofed client's must
// not.
static struct tcp_result rule_first_ack(struct step *step)
{
	bool peer_unknown = track_is_liberal(step->track) &&
			    !track_seen(step->track, direction_back(step->dir));
	bool proves = peer_unknown || window_acks_anew(step);
	struct tcp_result result;

	if (!proves && step->segment->ack != step->peer->acked)
		return bad_ack;
	result = window_judge(step);
	if (result.outcome != TCP_PASS)
		return result;
	window_record(step);
	if (proves)
		handshake_advance(step);
	return pass;
}

static struct tcp_result rule_reset(struct step *step)
{
	switch (window_place_reset(step)) {
	case RESET_EXACT:
		advance(step);
		return pass;
	case RESET_INSIDE:
		return idle;
	default:
		return out_of_window;
	}
}

// RFC 1337: a RST does not end TIME-WAIT. Nor does it close what is closed.
static struct tcp_result rule_reset_late(struct step *step)
{
	return window_place_reset(step) == RESET_OUTSIDE ? out_of_window : idle;
}

// An ACK alone, of an end whose peer sent a RST that closed the connection here. There it was not
// exact, because what came before it is still under way or lost: the end challenges it (RFC 5961
// 3.2), and is reset by the answer. Recorded, so that its repetition is told from an answer to the
// next connection's SYN.
static struct tcp_result rule_challenge_late(struct step *step)
{
	struct tcp_result result = window_judge(step);

	if (step->segment->len > 0)
		return out_of_window;
	if (result.outcome == TCP_PASS)
		window_record(step);
	return result.outcome == TCP_DROP ? result : idle;
}

// clang-format off
static const struct cell cells[TCP_STATE_COUNT][2][EVENT_COUNT] = {
	[TCP_SYN_SENT][TO_SERVER] = {
		[EVENT_SYN]    = {rule_repeat, TCP_SYN_SENT},         // retransmission
		[EVENT_SYNACK] = {rule_unexpected, TCP_SYN_SENT},     // the server sent no SYN
		[EVENT_ACK]    = {rule_unacked, TCP_SYN_SENT},        // the server sent nothing
		[EVENT_FIN]    = {rule_unacked, TCP_SYN_SENT},        // the same
		[EVENT_RST]    = {rule_abandon, TCP_CLOSED},          // gives up, or TCP.md 1.11
	},
	[TCP_SYN_SENT][TO_CLIENT] = {
		[EVENT_SYN]    = {rule_cross, TCP_SYN_RECV},          // simultaneous open
		[EVENT_SYNACK] = {rule_answer, TCP_SYN_RECV},         // second of the handshake
		[EVENT_ACK]    = {rule_old_ack, TCP_SYN_SENT},        // of an older connection
		[EVENT_FIN]    = {rule_unexpected, TCP_SYN_SENT},     // of an older connection
		[EVENT_RST]    = {rule_refuse, TCP_CLOSED},           // nobody listens
	},
	[TCP_SYN_RECV][TO_SERVER] = {
		[EVENT_SYN]    = {rule_repeat_late, TCP_SYN_RECV},    // the SYN/ACK was lost
		[EVENT_SYNACK] = {rule_answer_late, TCP_ESTABLISHED}, // simultaneous open
		[EVENT_ACK]    = {rule_first_ack, TCP_ESTABLISHED},   // third of the handshake
		[EVENT_FIN]    = {rule_first_ack, TCP_ESTABLISHED},   // third, and CLOSING at once
		[EVENT_RST]    = {rule_reset, TCP_CLOSED},            // the client aborts
	},
	[TCP_SYN_RECV][TO_CLIENT] = {
		[EVENT_SYN]    = {rule_repeat_late, TCP_SYN_RECV},    // simultaneous open, again
		[EVENT_SYNACK] = {rule_answer_late, TCP_ESTABLISHED}, // again, or simultaneous open
		[EVENT_ACK]    = {rule_first_ack, TCP_ESTABLISHED},   // simultaneous; early data stays
		[EVENT_FIN]    = {rule_first_ack, TCP_ESTABLISHED},   // the server closes early
		[EVENT_RST]    = {rule_reset, TCP_CLOSED},            // the server aborts
	},
	[TCP_ESTABLISHED][TO_SERVER] = {
		[EVENT_SYN]    = {rule_challenge, TCP_ESTABLISHED},   // new life of the client, or forged
		[EVENT_SYNACK] = {rule_challenge, TCP_ESTABLISHED},   // simultaneous open, again
		[EVENT_ACK]    = {rule_window, TCP_ESTABLISHED},      // data
		[EVENT_FIN]    = {rule_window, TCP_CLOSING},          // the client closes
		[EVENT_RST]    = {rule_reset, TCP_CLOSED},            // the client aborts
	},
	[TCP_ESTABLISHED][TO_CLIENT] = {
		[EVENT_SYN]    = {rule_challenge, TCP_ESTABLISHED},   // simultaneous open, again
		[EVENT_SYNACK] = {rule_challenge, TCP_ESTABLISHED},   // the third was lost: again
		[EVENT_ACK]    = {rule_window, TCP_ESTABLISHED},      // data
		[EVENT_FIN]    = {rule_window, TCP_CLOSING},          // the server closes
		[EVENT_RST]    = {rule_reset, TCP_CLOSED},            // the server aborts
	},
	[TCP_CLOSING][TO_SERVER] = {
		[EVENT_SYN]    = {rule_challenge, TCP_CLOSING},       // new life of the client
		[EVENT_SYNACK] = {rule_challenge, TCP_CLOSING},       // forged or very late
		[EVENT_ACK]    = {rule_window, TCP_CLOSING},          // the last one: TIME_WAIT
		[EVENT_FIN]    = {rule_window, TCP_CLOSING},          // second FIN, or again
		[EVENT_RST]    = {rule_reset, TCP_CLOSED},            // the client aborts
	},
	[TCP_CLOSING][TO_CLIENT] = {
		[EVENT_SYN]    = {rule_challenge, TCP_CLOSING},       // new life of the server
		[EVENT_SYNACK] = {rule_challenge, TCP_CLOSING},       // forged or very late
		[EVENT_ACK]    = {rule_window, TCP_CLOSING},          // the last one: TIME_WAIT
		[EVENT_FIN]    = {rule_window, TCP_CLOSING},          // second FIN, or again
		[EVENT_RST]    = {rule_reset, TCP_CLOSED},            // the server aborts
	},
	[TCP_TIME_WAIT][TO_SERVER] = {
		[EVENT_SYN]    = {rule_reopen, TCP_TIME_WAIT},        // port reuse: the endpoint judges (1.11)
		[EVENT_SYNACK] = {rule_challenge, TCP_TIME_WAIT},     // answers what passed as idle
		[EVENT_ACK]    = {rule_window, TCP_TIME_WAIT},        // the last one again
		[EVENT_FIN]    = {rule_window, TCP_TIME_WAIT},        // retransmission
		[EVENT_RST]    = {rule_reset_late, TCP_TIME_WAIT},    // RFC 1337; TCP.md 1.11
	},
	[TCP_TIME_WAIT][TO_CLIENT] = {
		[EVENT_SYN]    = {rule_reopen, TCP_TIME_WAIT},        // port reuse, roles exchanged
		[EVENT_SYNACK] = {rule_challenge, TCP_TIME_WAIT},     // answers what passed as idle
		[EVENT_ACK]    = {rule_window, TCP_TIME_WAIT},        // the last one again; TCP.md 1.11
		[EVENT_FIN]    = {rule_window, TCP_TIME_WAIT},        // retransmission
		[EVENT_RST]    = {rule_reset_late, TCP_TIME_WAIT},    // RFC 1337
	},
	[TCP_CLOSED][TO_SERVER] = {
		[EVENT_SYN]    = {rule_reopen, TCP_CLOSED},           // neither end has state
		[EVENT_SYNACK] = {rule_unexpected, TCP_CLOSED},       // late
		[EVENT_ACK]    = {rule_challenge_late, TCP_CLOSED},   // the RST was not exact there
		[EVENT_FIN]    = {rule_unexpected, TCP_CLOSED},       // late
		[EVENT_RST]    = {rule_reset_late, TCP_CLOSED},       // again, or crossing the first
	},
	[TCP_CLOSED][TO_CLIENT] = {
		[EVENT_SYN]    = {rule_reopen, TCP_CLOSED},           // neither end has state
		[EVENT_SYNACK] = {rule_unexpected, TCP_CLOSED},       // late
		[EVENT_ACK]    = {rule_challenge_late, TCP_CLOSED},   // the RST was not exact there
		[EVENT_FIN]    = {rule_unexpected, TCP_CLOSED},       // late
		[EVENT_RST]    = {rule_reset_late, TCP_CLOSED},       // again, or crossing the first
	},
};
// clang-format on

// EVENT_COUNT for what no connection sends: two of SYN, FIN and RST together, or, but for SYN and
// RST, no ACK (a null scan, a FIN or XMAS scan).
static enum event event_of(uint8_t flags)
{
	switch (flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) {
	case TCP_SYN:
		return EVENT_SYN;
	case TCP_SYN | TCP_ACK:
		return EVENT_SYNACK;
	case TCP_ACK:
		return EVENT_ACK;
	case TCP_FIN | TCP_ACK:
		return EVENT_FIN;
	case TCP_RST:
	case TCP_RST | TCP_ACK:
		return EVENT_RST;
	default:
		return EVENT_COUNT;
	}
}

// True for an ACK in an open connection of which nothing is special: both directions were seen here
// and neither has closed. That is what most segments are.
static bool is_usual(const struct tcp_track *track, const struct tcp_segment *segment)
{
	return track->state == TCP_ESTABLISHED &&
	       track->bits == (TRACK_SEEN_CLIENT | TRACK_SEEN_SERVER) &&
	       (segment->flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

struct tcp_result tcp_track_segment(
	struct tcp_track *track, enum direction dir, const struct tcp_segment *segment)
{
	if (is_usual(track, segment) && window_take_usual(track, dir, segment))
		return pass;
	return tcp_track_segment_any(track, dir, segment);
}

struct tcp_result tcp_track_segment_any(
	struct tcp_track *track, enum direction dir, const struct tcp_segment *segment)
{
	enum event event = event_of(segment->flags);
	const struct cell *cell;
	struct step step = {
		.track = track,
		.segment = segment,
		.sender = &track->sender[dir],
		.peer = &track->sender[direction_back(dir)],
		.dir = dir,
	};

	if (event == EVENT_COUNT)
		return bad_flags;
	cell = &cells[track->state][dir][event];
	step.next = cell->next;
	return cell->rule(&step);
}
