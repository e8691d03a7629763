// What the SYN/ACKs of all services announce in one epoch, by name, and how nodes tell it each
// other (WIRE.md section 6).
#pragma once

#include "base/cursor.h"
#include "engine/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_GUESS	 NODE_NONE // author of a set nobody agreed on
#define PROFILE_SET_DONE (SERVICE_COUNT_MAX + 1)
#define PROFILE_MSS_LOW	 64 // no service announces less

struct named_profile {
	char name[SERVICE_NAME_BYTES];
	struct profile profile;
};

struct profile_set {
	bool valid;
	uint16_t author; // id of the node that made it; PROFILE_GUESS
	uint16_t count;
	uint32_t epoch;
	struct named_profile list[SERVICE_COUNT_MAX];
};

// A name's profile, NULL: not in it. The search starts at `hint`, where it should be.
const struct profile *profile_find(const struct profile_set *set, const char *name, unsigned hint);
bool profile_equal(const struct profile *a, const struct profile *b);
// The same names with the same profiles, in the same order.
bool profile_set_equal(const struct profile_set *a, const struct profile_set *b);

// PROFILES. Writes as many entries from *next (0 at first) on as fit, as one message, and moves
// *next; false where not even one fits, or none is left (*next is PROFILE_SET_DONE then). A set
// without entries is one message, too.
bool profile_put_set(struct cursor *out, const struct profile_set *set, unsigned *next);
// Adds what a message says to `set`, which the first message of a set begins; *whole after the last
// one. False: malformed, or not the continuation; the set is then invalid.
bool profile_get_set(struct profile_set *set, const uint8_t *body, size_t len, bool *whole);

// LEARNT. put: a whole message, of a const struct named_profile *; false where it does not fit.
bool profile_put_learnt(struct cursor *out, const void *learnt);
bool profile_get_learnt(struct named_profile *learnt, const uint8_t *body, size_t len);
