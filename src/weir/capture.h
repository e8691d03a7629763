// Capture: copies of packets as they pass the worker, for `capture start` in the console. A worker
// tests one flag per burst; only while a capture runs it copies the packets that match into its own
// bounded ring, which the control thread drains into the file. A full ring loses copies, counted,
// never packets.
#pragma once

#include "base/reason.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CAPTURE_SNAP_BYTES 2048 // longest copy kept of one packet
#define CAPTURE_CELLS	   1024 // of one worker's ring
#define CAPTURE_WORKERS	   64
#define CAPTURE_PORT_ANY   UINT8_MAX

struct match; // console/match.h

enum capture_stage {
	CAPTURE_RX = 0, // as it arrived, before the engine
	CAPTURE_TX,	// as it leaves, before it is given to the device
	CAPTURE_DROP,	// dropped, with the reason
};

struct capture_packet {
	const uint8_t *data; // contiguous Ethernet frame
	uint16_t len;
	uint8_t stage;	// enum capture_stage
	uint8_t port;	// index of arrival (rx, drop) or departure (tx)
	uint8_t reason; // enum reason, REASON_NONE but for drops
	uint32_t rule;	// verdict.rule, RULE_NONE where none was asked
};

// Non-zero while a capture runs. Stored by capture_open() and capture_close() (control thread).
extern atomic_uint capture_active;

// Worker, once per burst: false means that nothing need be offered.
static inline bool capture_wants(void)
{
	return atomic_load_explicit(&capture_active, memory_order_relaxed) != 0;
}

// Worker `worker` (0..CAPTURE_WORKERS-1, one thread each): copies the packet if the running
// capture asks for it. Bounded work, no allocation, no lock.
void capture_offer(unsigned worker, const struct capture_packet *packet);

// The rest is for the control thread (console/capture.c).

struct capture_want {
	uint8_t port;		   // rx and tx of this port, or drops that arrived there;
				   // CAPTURE_PORT_ANY: of all ports
	bool drops;		   // drops only
	const struct match *match; // copied; NULL: everything. Both directions match
};

// A copy in a ring.
struct capture_cell {
	uint64_t time_ns; // wall clock
	uint32_t session; // capture it was made for
	uint32_t rule;
	uint16_t len;  // of the packet
	uint16_t kept; // bytes in data
	uint8_t stage, port, reason;
	uint8_t spare;
	uint8_t data[CAPTURE_SNAP_BYTES];
};

// Starts. 0, -ERR_EXISTS where one runs (or its last copy is being made: try again), -ERR_MEMORY.
int capture_open(const struct capture_want *want, unsigned workers);
// Stops; copies already made can still be drained.
void capture_close(void);
// Calls `take` for at most `max` copies of the current session. Returns how many were taken.
unsigned capture_drain(
	void (*take)(void *context, const struct capture_cell *cell), void *context, unsigned max);
// Copies lost to full rings in this session.
uint64_t capture_lost(void);
