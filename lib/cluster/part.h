// PART (WIRE.md 3.4): a CREATE, FRAME or EMIT that does not fit into a record of its own travels in
// several, one after the other. The receiver puts them together in one buffer for each peer.
#pragma once

#include "cluster/update.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PART_HEAD_BYTES	   4			     // type, length, flags
#define PART_MESSAGE_BYTES (MESSAGE_FRAME_MAX + 160) // longest message there is: a full CREATE
#define PART_ROOM_MIN	   64			     // smaller ones are not worth their head

// What has come of a message. A rest is a message's only while its parts come one by one.
struct parts {
	bool open; // the first has come, the last has not
	uint16_t len;
	uint8_t bytes[PART_MESSAGE_BYTES];
};

// Bytes of a message that a cursor takes in one part, 0: it is better to start a new record.
size_t part_room(const struct cursor *out);
// Writes the part of message[0..len) that begins at `at` and fits; returns where the next one
// begins, `at` where nothing fits.
size_t part_put(struct cursor *out, const uint8_t *message, size_t len, size_t at);

// Takes the body of a PART. *done: the message is there, in parts->bytes. False: malformed, and
// what has come is forgotten.
bool part_get(struct parts *parts, const uint8_t *body, size_t len, bool *done);
// The message that has come whole. False: it is not a CREATE, FRAME or EMIT, or malformed.
bool part_message(struct parts *parts, const struct update_codec *codec, struct message *message);
