// State of one TCP connection as a middlebox sees it: a const table of states, a window check, and
// RST, SYN and TIME-WAIT handled beside it (TCP.md 4; RFC 9293 3.10.7, RFC 5961, RFC 1337).
// All numbers are as the client sees them (translation_client_seq/ack): the caller converts.
#pragma once

#include "base/reason.h"
#include "seq/translation.h"

#include <stdbool.h>
#include <stdint.h>

// X(NAME, name in the console)
#define TCP_STATES(X)                                                                              \
	X(SYN_SENT, "syn_sent")	      /* the client's SYN went (track), or ours did (proxy) */     \
	X(SYN_RECV, "syn_recv")	      /* SYN/ACK seen, or both sides sent SYN */                   \
	X(ESTABLISHED, "established") /* both sides acknowledged */                                \
	X(CLOSING, "closing")	      /* at least one FIN seen */                                  \
	X(TIME_WAIT, "time_wait")     /* both FINs acknowledged */                                 \
	X(CLOSED, "closed")	      /* exact RST */

enum tcp_state {
#define X(name, text) TCP_##name,
	TCP_STATES(X)
#undef X
		TCP_STATE_COUNT
};

const char *tcp_state_name(enum tcp_state state);

// One direction's sender. Written by tcp_track_* only.
struct tcp_sender {
	uint32_t end;	// highest SEQ + SEG.LEN it sent
	uint32_t acked; // highest ACK its peer sent; its own ISN while its SYN has none
	uint32_t limit; // highest ACK + window its peer gave it
};

enum tcp_track_bit {
	// A segment of this direction was seen here (line 4.0). A SYN/ACK alone does not count: it
	// may have come by way of another node.
	TRACK_SEEN_CLIENT = 1 << 0,
	TRACK_SEEN_SERVER = 1 << 1,
	TRACK_FIN_CLIENT = 1 << 2,
	TRACK_FIN_SERVER = 1 << 3,
	TRACK_FIN_ACKED_CLIENT = 1 << 4, // the client's FIN was acknowledged
	TRACK_FIN_ACKED_SERVER = 1 << 5,
	TRACK_LIBERAL = 1 << 6,	     // after an import, until one segment each way was seen (4.3)
	TRACK_SIMULTANEOUS = 1 << 7, // in SYN_RECV: both sides sent SYN, neither was acknowledged
};

struct tcp_track {
	struct tcp_sender sender[2]; // [TO_SERVER]: the client sends; [TO_CLIENT]: the server
	uint16_t window_max[2];	     // largest window each advertised, in units of its shift
	uint8_t state;		     // enum tcp_state
	uint8_t bits;		     // enum tcp_track_bit
	uint8_t wscale[2];	     // shift each sender's windows carry; OPTIONS_WSCALE_NONE: none
};
_Static_assert(sizeof(struct tcp_track) == 32, "half a cache line");

struct tcp_segment {
	uint32_t seq; // as the client sees it
	uint32_t ack;
	uint32_t len;	 // SEG.LEN
	uint16_t window; // as on the wire of the sender
	uint8_t flags;	 // enum tcp_flag
	uint8_t wscale;	 // of a SYN: its option, OPTIONS_WSCALE_NONE where absent
	bool elsewhere;	 // other nodes forward this connection, too: what they have seen is no
			 // reason to drop here (TCP.md 4.0)
};

enum tcp_outcome {
	TCP_PASS,	// forward
	TCP_PASS_STALE, // forward; the numbers here are behind those other nodes have seen
	TCP_PASS_IDLE,	// forward, do not refresh the timer (challenged segments; TCP.md 4.1)
	TCP_DROP,	// drop for `reason`
	TCP_REOPEN, // a SYN that may start a new incarnation of a closed connection (9293 MAY-2,
		    // RFC 6191); the caller makes a new flow
};

struct tcp_result {
	enum tcp_outcome outcome;
	enum reason reason; // with TCP_DROP: out_of_window, bad_ack, bad_flags
};

// Starts tracking at a SYN seen in direction `dir` (`track` and `msyn`): TO_SERVER, since whoever
// sends the first SYN is the client.
void tcp_track_syn(struct tcp_track *track, enum direction dir, const struct tcp_segment *syn);

// Starts tracking where a proxied handshake ended: both ISNs are known. `client` is the last
// segment of the client (seq, ack, window), `server` its SYN/ACK in the client's numbers. `wscale`
// of both: the shift that side's later windows carry, each by itself (the proxy may have agreed on
// one with the client that the server lacks).
void tcp_track_open(struct tcp_track *track, const struct tcp_segment *client,
	const struct tcp_segment *server);

// Says what window whoever answered the other side in place of `dir`'s sender promised it, in
// bytes: so much may have been sent already, and may be sent again when all of it is acknowledged
// here.
void tcp_track_promise(struct tcp_track *track, enum direction dir, uint32_t window_bytes);

// Starts tracking an imported, established connection of which nothing was seen here (half,
// liberal). Shifts 0..14; OPTIONS_WSCALE_NONE where not known: 14 is assumed (TCP.md 4.3).
void tcp_track_import(struct tcp_track *track, uint8_t wscale_client, uint8_t wscale_server);

// Judges and records one segment. Never touches the packet.
struct tcp_result tcp_track_segment(
	struct tcp_track *track, enum direction dir, const struct tcp_segment *segment);

// The same without the short cut for most segments, which must agree with it.
struct tcp_result tcp_track_segment_any(
	struct tcp_track *track, enum direction dir, const struct tcp_segment *segment);

// True where a sequence number lies in what `dir`'s sender has in flight or may have, for quoted
// packets (TCP.md 5.3).
bool tcp_track_in_flight(const struct tcp_track *track, enum direction dir, uint32_t seq);
