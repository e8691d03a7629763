// One end of a TCP connection: small and honest. It opens, sends a stream, retransmits, closes, and
// judges everything it is sent: what an honest peer could never have said is a complaint. The bytes
// of a stream are a pattern that both ends know, so nothing needs to be stored, and every byte that
// arrives is checked.
#pragma once

#include "segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDPOINT_GAPS_MAX 4
#define PATTERN_BYTES	  65536
#define PATTERN_RUN_MAX	  16384 // longest stream

enum endpoint_state {
	END_CLOSED = 0, // a client that has not opened
	END_LISTEN,
	END_SYN_SENT,
	END_SYN_RECEIVED,
	END_OPEN,      // until the end: closing is said by what was sent and acknowledged
	END_RESET,     // by the peer, or so it seemed
	END_ABORTED,   // by itself
	END_TIMED_OUT, // nothing was heard for long
};

struct endpoint;

struct endpoint_config {
	struct addr local, remote;
	uint16_t local_port, remote_port;
	bool client;
	bool sack, timestamps;
	bool refuses;	   // answers a SYN with a reset
	bool speaks_first; // sends before it has received anything
	bool closes_last;  // sends its FIN behind the peer's
	uint8_t wscale;	   // SEGMENT_NO_SCALE: none
	uint16_t mss;
	uint32_t window; // bytes
	uint32_t iss;	 // of the first life
	uint32_t
		peer_iss; // what the client begins with, where its server can know that (is_reused)
	bool is_reused;	  // there was a connection of the same ports before
	uint32_t clock_ms; // of the timestamps, at time 0
	uint32_t send_bytes, receive_bytes;
	uint32_t send_at, receive_at; // in the pattern
	uint32_t abort_after;	      // resets the connection after it received this many; 0: not
	uint64_t give_up_ns;	      // without any progress
	uint64_t close_ns;	      // sends no FIN before
	uint32_t slack;		      // how far behind its window it takes bytes without complaint
	void (*send)(struct endpoint *endpoint, const struct segment *segment);
	void *context;
};

struct endpoint {
	struct endpoint_config config;
	// Of a server whose client begins anew: what it has to do then. Until the SYN is here, all
	// else is of the former connection.
	struct endpoint_config anew;
	bool is_former;
	bool kept_former; // when the SYN came, and said so
	uint8_t state;
	unsigned lives; // times it was opened
	uint64_t now_ns;

	uint32_t iss, una, next, high; // high: behind the highest ever sent
	uint32_t edge;		       // of the peer's window
	uint32_t peer_mss;
	uint8_t send_scale; // of the peer's windows
	uint8_t receive_scale;
	bool sack, timestamps; // agreed
	uint64_t timer_ns, progress_ns;
	uint64_t rto_ns;

	uint32_t irs, receive_next, receive_edge;
	bool fin_received;
	uint32_t ts_recent;
	uint32_t ts_first;  // of this life
	unsigned gap_count; // ranges that arrived early
	struct {
		uint32_t start, end;
	} early[ENDPOINT_GAPS_MAX];
	bool fin_early;
	uint32_t fin_at;
	bool closed_first; // waits in TIME-WAIT when it is done

	bool was_open;
	bool reset_sent;	  // ever
	unsigned resets_received; // that it had to believe
	bool synack_received;	  // a client's
	uint64_t opened_ns, done_ns;
	bool repeated;	       // its SYN
	bool is_older;	       // the SYN was one of the client's former connections
	bool unagreed;	       // got an option that was not agreed
	bool odd_echo;	       // got an echo of a timestamp it never sent
	bool odd_ack;	       // or an acknowledgement of what it never sent
	const char *complaint; // first one, NULL
};

void endpoint_init(struct endpoint *endpoint, const struct endpoint_config *config);
void endpoint_open(struct endpoint *endpoint, uint64_t now_ns);
void endpoint_take(struct endpoint *endpoint, uint64_t now_ns, const struct segment *segment);
// Its client begins anew with the same ports. What is closed knows nothing any more; what is in
// TIME-WAIT, open, or reset waits for the new SYN as it is.
void endpoint_expect(struct endpoint *endpoint, const struct endpoint_config *config);
// To be called at endpoint->timer_ns (UINT64_MAX: none), which only it and the two above change.
void endpoint_timer(struct endpoint *endpoint, uint64_t now_ns);

// All it had to send was acknowledged, all it had to receive is here, the end included.
bool endpoint_is_done(const struct endpoint *endpoint);

// The bytes of a stream at `at` in the pattern.
const uint8_t *endpoint_pattern(uint32_t at);
