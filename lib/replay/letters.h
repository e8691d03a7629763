// Messages on their way from an engine to its node's cluster, or back: a bounded queue that lends
// its cells to be filled in place. Like the mailboxes of a real node it never grows.
#pragma once

#include "engine/message.h"

#define LETTERS_MAX 128

// `cells` are LETTERS_MAX of the caller's; the rest all zero.
struct letters {
	struct message *cells;
	unsigned first, count;
};

// Lends up to `room` free cells; returns how many. letters_post() keeps the first `used` of them.
unsigned letters_lend(const struct letters *letters, struct message **lent, unsigned room);
void letters_post(struct letters *letters, unsigned used);

// Shows up to `room` letters, oldest first; returns how many. letters_release() frees the first
// `read` of them.
unsigned letters_read(const struct letters *letters, struct message **read, unsigned room);
void letters_release(struct letters *letters, unsigned read);
