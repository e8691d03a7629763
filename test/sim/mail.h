// A bounded queue of messages from one part of a node to another: cells are lent, filled in place,
// queued, and come back when they were read. Like the mailboxes of the real node, it never grows.
#pragma once

#include "engine/message.h"

#define MAIL_CELLS 128

struct mail {
	struct message *cells;
	struct message *queue[MAIL_CELLS]; // a ring
	unsigned first, count;
	struct message *spare[MAIL_CELLS];
	unsigned spare_count;
};

void mail_create(struct mail *mail);
void mail_free(struct mail *mail);
// Forgets what is queued.
void mail_clear(struct mail *mail);

// Lends up to `room` cells; returns how many. The first `used` of them are kept for the caller by
// mail_use(), the others stay spare.
unsigned mail_lend(struct mail *mail, struct message **lent, unsigned room);
void mail_use(struct mail *mail, unsigned used);
void mail_queue(struct mail *mail, struct message *message);
void mail_release(struct mail *mail, struct message *message);

// Takes up to `room` of what is queued, oldest first; each must be released.
unsigned mail_take(struct mail *mail, struct message **taken, unsigned room);
