// The messages of a record (WIRE.md section 3) and struct message, both ways. Nothing is trusted
// that comes from the wire: a lying length fails the decoding, a value out of range is refused.
#pragma once

#include "base/cursor.h"
#include "cluster/rows.h"
#include "engine/message.h"

#include <stdbool.h>
#include <stdint.h>

// What encoding and decoding need besides the message.
struct update_codec {
	const struct rows *rows; // the sender's table
	uint16_t sender;	 // node id of the sender
	bool whole;		 // put: a CREATE has the cookie and the client's ISN, too. Who only
				 // finds flows for others needs neither; who may become owner does
	uint32_t tick;		 // of the record
	struct siphash_key key;	 // table key of the node that looks the digest up: the receiver's
	uint64_t hash;		 // put: flow_key_hash() with it, where that is known; else 0
};

// First byte of a message on the wire.
enum update_type {
	UPDATE_CONFIRMED = 0x01,
	UPDATE_FRAME = 0x02,
	UPDATE_NONE = 0x03,
	UPDATE_EMIT = 0x04,
	UPDATE_HELLO = 0x10,
	UPDATE_HEARTBEAT = 0x11,
	UPDATE_ROWS = 0x12,
	UPDATE_SECRET = 0x13,
	UPDATE_BYE = 0x14,
	UPDATE_PROFILES = 0x15,
	UPDATE_LEARNT = 0x16,
	UPDATE_PART = 0x17,
	UPDATE_CREATE = 0x40, // and flags
	UPDATE_CHANGE = 0x80, // and bits
};

// Appends OPENED (as CREATE), CHANGED, CONFIRMED, FRAME, NONE or EMIT; all but the first name their
// flow by body.flow.key. False, and nothing written, where it does not fit into the cursor, or
// where the wire cannot say it at all: what fails in an empty record fails for good.
bool update_put(
	struct cursor *out, const struct update_codec *codec, const struct message *message);

// What the next message of a record is; *in is not moved.
struct update_head {
	uint8_t type; // enum update_type without flags and bits; or an unknown one
	bool early;   // to be handled at once even if records before it are missing
};
struct update_head update_peek(const struct cursor *in);

// Reads one message. Those update_put() writes end in *message (OPENED as INSTALL, .node = sender,
// digests in body.flow, .worker 0: the receiver's business), and true is returned.
// Others (HELLO ..., unknown) give *body and *body_len, message->type 0, and true. False where the
// rest of the record is malformed; *message is then undefined.
bool update_get(struct cursor *in, const struct update_codec *codec, struct message *message,
	const uint8_t **body, size_t *body_len);

// ROWS (WIRE.md section 4). put: writes as many rows from *next (0 at first) on as fit, as one
// message, and moves *next; false where not even one fits or none is left (*next is ROWS_MAX then).
// A table without rows is one message, too. get: into a table; a new generation clears it first.
// `policy` gives the receiver's ids of the names. False: malformed, the table is as it was.
bool update_put_rows(struct cursor *out, const struct rows *rows, unsigned *next);
bool update_get_rows(
	struct rows *rows, const struct policy *policy, const uint8_t *body, size_t body_len);
// The end of a table: a message of the generation without rows. put: false where it does not fit.
bool update_put_rows_end(struct cursor *out, uint8_t generation);
bool update_rows_end(const uint8_t *body, size_t body_len); // of what update_get_rows() took
