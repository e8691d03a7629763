// The player: makes the endpoints of a capture answer what the box says in this run.
//
// A recorded ACK cannot hold a cookie of this run, so the connections of services in mode `proxy`
// and `msyn` are played: each end keeps its own numbers, what it acknowledges is shifted to what
// the box announced to it, and a packet is sent when the box has sent what it answers to. Until
// then it is held; what is never caused is withheld, and counted. Everything else passes as it is.
//
//	offer()    each packet of the capture: play it now, or it was held or withheld
//	emitted()  each packet the box sends, in the order it sends them
//	next()     after offer() and emitted(), until it says no: held packets that are caused now
//
// No clock, no randomness, no allocation: the same calls have the same results.
#pragma once

#include "flow/key.h"
#include "pkt/frame.h"
#include "service/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct player;

struct player_config {
	const struct service *services; // in the order of the policy; kept, not copied
	unsigned service_count;
	uint32_t connections;	   // known at once; of more, the one idle longest gives way
	uint64_t hold_bytes;	   // held in all
	uint32_t connection_bytes; // held of one connection
	uint16_t connection_frames;
};

enum player_verdict {
	PLAYER_PLAY,	 // send it now: rewritten in place, or nothing to do with it
	PLAYER_HELD,	 // copied: next() gives it back
	PLAYER_WITHHELD, // counted
};

enum player_cause {
	PLAYER_NO_SYN,	   // the capture does not have the SYN, or its connection gave way
	PLAYER_NOT_CAUSED, // the box never sent what it answers to
	PLAYER_NO_ROOM,	   // it would have had to be held
	PLAYER_EVICTED,	   // held when its connection gave way to another one
	PLAYER_RESET,	   // the box reset its end, which would have sent nothing more
	PLAYER_CAUSE_COUNT,
};

// offered = passed + played + held + all withheld, at any time.
struct player_counts {
	uint64_t offered;
	uint64_t passed; // not of a played connection, or malformed: unchanged
	uint64_t played;
	uint64_t held; // now
	uint64_t withheld[PLAYER_CAUSE_COUNT];
	uint64_t made; // sent besides: a SYN/ACK repeated, Fast Open data sent again
};

// Bytes in front of a frame that offer() and next() can use. With fewer, a segment that needs
// timestamps goes without.
#define PLAYER_HEADROOM_BYTES 12

size_t player_bytes(const struct player_config *config);
// `memory` is zeroed, aligned to a cache line, and stays the caller's.
struct player *player_init(void *memory, const struct player_config *config);

// A packet of the capture that arrives on `side`. Where it is to be played now, data and len may
// have changed.
enum player_verdict player_offer(
	struct player *player, struct frame *frame, enum side side, uint64_t now_ns);

// The box sends a packet through `side`, forwarded or of its own.
void player_emitted(
	struct player *player, const struct frame *frame, enum side side, uint64_t now_ns);

// The next held packet that is caused now, into out->data (out->len + out->tailroom bytes of room:
// enough for the longest one offered), rewritten; out->port is the side it arrives on. False where
// there is none.
bool player_next(struct player *player, struct frame *out);

// The capture ends: what is held is withheld as not caused, and every connection forgotten. What
// is offered afterwards begins anew; the counters go on.
void player_finish(struct player *player);

const struct player_counts *player_counts(const struct player *player);
// As in the report: "no_syn", "not_caused" ...
const char *player_cause_name(enum player_cause cause);
// What that means, in a few words.
const char *player_cause_text(enum player_cause cause);
