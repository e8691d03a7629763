// CREATE (WIRE.md 3.2) and struct flow_record; of lib/cluster/update.c alone. A record in 20 bytes:
// what the row says is left out, what is as usual is left out, and whatever is not as usual is one
// of the fields at the end.
#pragma once

#include "cluster/update.h"

#define CREATE_FULL_IP6	  0x80 // bit of the full form's protocol byte
#define CREATE_STRIP_BITS (TRANSLATE_SACK_STRIP | TRANSLATE_ECN_STRIP)
#define CREATE_TICKS	  16 // how many ticks the two bytes of an incarnation tell apart

enum create_flag {
	CREATE_TIMESTAMPS = 0x01,
	CREATE_WINDOW = 0x02,
	CREATE_MORE = 0x04,
	CREATE_FULL = 0x08,
	CREATE_FRAME = 0x10,
	CREATE_INSIDE = 0x20, // full form only
};

enum create_field {
	FIELD_GENERATION = 1,
	FIELD_STRIP = 2,
	FIELD_COOKIE = 3,
	FIELD_ISN = 4,
	FIELD_OWNER = 5,
	FIELD_STATE = 6,
	FIELD_BITS = 7,
	FIELD_INCARNATION = 8,
	FIELD_E = 9,
};

// The key by who is who.
struct create_ends {
	struct addr client, server;
	uint16_t client_port, server_port;
};

// Bytes of the server's address that stand behind the row's prefix, the last one it shares
// included.
static inline size_t create_suffix_bytes(const struct row *row)
{
	return (128u + 7 - row->prefix.bits) / 8;
}

static inline unsigned create_port_bytes(const struct row *row)
{
	unsigned others = row->port_last - row->port_first;

	return others == 0 ? 0 : others < 256 ? 1 : 2;
}

// The incarnation of the latest tick, not after the record's, whose low 4 bits are `said`'s high
// ones.
static inline uint32_t create_incarnation(uint32_t tick, uint16_t said)
{
	uint32_t age = (tick - (said >> 12)) % CREATE_TICKS;

	return (tick - age) << 12 | (said & 0xfff);
}

// One meaning of "in range" for what is written and what is read.
bool create_is_valid(const struct flow_record *record);

// Appends a CREATE of message->body.record and the frame; undefined where it does not fit, which
// out->failed says. False: not to be said.
bool create_put(
	struct cursor *out, const struct update_codec *codec, const struct message *message);

// Reads what follows the first byte. Fills body.record, frame and frame_len.
bool create_get(struct cursor *in, const struct update_codec *codec, uint8_t first,
	struct message *message);
