// Records between two nodes (WIRE.md section 2): numbered, acknowledged, sent again until they
// arrive, handled once each. It knows neither what a message says nor how a record is sealed, and
// never holds more than DELIVERY_RECORDS records in each direction.
#pragma once

#include "base/cursor.h"
#include "cluster/channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELIVERY_RECORDS     256
#define RECORD_FORMAT	     1
#define RECORD_HEADER_BYTES  18
#define RECORD_BYTES_MAX     (DATAGRAM_BYTES_MAX - DATAGRAM_HEADER_BYTES - RECORD_TAG_BYTES)
#define RECORD_MESSAGES_MAX  (RECORD_BYTES_MAX - RECORD_HEADER_BYTES)
#define DELIVERY_RTO_MIN_NS  5000000ULL
#define DELIVERY_RTO_MAX_NS  500000000ULL
#define DELIVERY_ACK_WAIT_NS 2000000ULL // longest an acknowledgement waits for company
#define DELIVERY_PASSED	     3		// later arrivals that mean: lost

struct record_head {
	uint8_t rows;
	uint32_t number, ack, seen, tick;
};

void record_head_put(struct cursor *out, const struct record_head *head);
// False where it is too short or of another format.
bool record_head_get(struct cursor *in, struct record_head *head);

struct sent_record {
	uint64_t sent_ns; // the last time
	uint64_t order;	  // of its last transmission among all transmissions
	uint32_t tick;
	uint16_t len;
	uint8_t rows;
	uint8_t sends;	// stops at 255
	uint8_t passed; // later ones that arrived since
	bool acked;
	uint8_t data[RECORD_MESSAGES_MAX];
};

struct arrived_record {
	uint32_t tick;
	uint16_t len;
	uint16_t at;	   // bytes handled in number order
	uint16_t early_at; // bytes whose early messages were handled
	uint8_t rows;
	bool present;
	bool early; // early messages beyond early_at are to be handled
	uint8_t data[RECORD_MESSAGES_MAX];
};

struct delivery {
	// What is sent. first <= unsent <= next; next - first <= DELIVERY_RECORDS.
	uint64_t first;	 // oldest that is not acknowledged
	uint64_t unsent; // oldest that was never sent
	uint64_t next;	 // the next to be made
	uint64_t order;	 // transmissions so far
	uint64_t scan;	 // search for lost ones goes on here
	uint64_t scan_earliest_ns;
	uint64_t timer_ns; // none is due before
	bool passed;	   // one of them may be lost: search now
	bool open;	   // the last one made takes more messages, at `out`
	struct cursor out;
	uint16_t room; // bytes of messages a record may have
	uint64_t rtt_ns, rtt_var_ns;

	// What arrives. turn - 1 <= ack; ack < turn + DELIVERY_RECORDS.
	uint64_t turn;	     // next to be handled
	uint64_t ack;	     // every one up to this has arrived
	uint64_t ack_due_ns; // 0: nothing to acknowledge
	unsigned ack_count;
	unsigned early_count; // records whose .early is set

	struct sent_record sent[DELIVERY_RECORDS];
	struct arrived_record arrived[DELIVERY_RECORDS];
};

// Starts an association. `room`: bytes of messages a record may have; `number`: of the first record
// in both directions, 1 but for tests of what happens after 2^32 of them.
void delivery_start(struct delivery *delivery, uint16_t room, uint64_t number);

// Where the next message is to be written: in the record that is being filled, which has this row
// table and tick, or in a new one. NULL: the window is full.
struct cursor *delivery_room(struct delivery *delivery, uint8_t rows, uint32_t tick);
// The record that is being filled takes no more.
void delivery_close(struct delivery *delivery);
// Records made and not acknowledged.
unsigned delivery_queued(const struct delivery *delivery);

// Writes the record to be sent now, header and messages, to out (RECORD_BYTES_MAX) and returns its
// length; 0: none. *again says whether it was sent before.
size_t delivery_next(struct delivery *delivery, uint64_t now_ns, uint8_t *out, bool *again);
// The header of a record without a number; its acknowledgement counts as sent.
void delivery_head(struct delivery *delivery, struct record_head *head);

// A header's acknowledgement. False where it acknowledges what was never sent.
bool delivery_acked(struct delivery *delivery, uint64_t now_ns, const struct record_head *head);
// A round trip measured by other means.
void delivery_rtt(struct delivery *delivery, uint64_t rtt_ns);

// A numbered record arrived. NULL: seen before, or beyond the window.
struct arrived_record *delivery_arrive(struct delivery *delivery, uint64_t now_ns,
	const struct record_head *head, const uint8_t *data, size_t len);
// The record whose turn in number order it is, NULL where it has not arrived; and the step to the
// next one.
struct arrived_record *delivery_turn(struct delivery *delivery);
void delivery_turn_done(struct delivery *delivery);
// A record ahead of its turn that waits for its early messages to be handled, NULL: none. Clear
// .early by delivery_early_done().
struct arrived_record *delivery_early(struct delivery *delivery);
void delivery_early_done(struct delivery *delivery, struct arrived_record *record);

// When something has to be sent though nothing arrives: an acknowledgement, a lost record. 0: there
// are records that were never sent, the open one aside.
uint64_t delivery_due_ns(const struct delivery *delivery, bool resend);
bool delivery_ack_is_due(const struct delivery *delivery, uint64_t now_ns);
