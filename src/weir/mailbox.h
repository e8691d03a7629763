// Messages between two threads: a ring of preallocated cells with one producer and one consumer. A
// cell is filled and read in place, so posting copies nothing, allocates nothing and takes no lock.
// A post rings the consumer's bell (an eventfd) unless it is already ringing, so a busy producer
// makes at most one system call per time the consumer wakes up.
#pragma once

#include "base/cpu.h"
#include "engine/message.h"

#include <stdatomic.h>
#include <stdint.h>

// Wakes one thread; shared by all mailboxes that thread reads.
struct bell {
	int fd;		    // eventfd, non-blocking
	_Atomic bool rings; // set by producers, cleared by the consumer
};

int bell_init(struct bell *bell); // 0 or -ERR_MEMORY
void bell_finish(struct bell *bell);
void bell_ring(struct bell *bell);
// Consumer: before it looks into its mailboxes after a wake-up.
void bell_clear(struct bell *bell);

struct mailbox {
	struct message *cells;		   // ro after mailbox_init
	uint32_t mask;			   // ro: number of cells - 1
	struct bell *bell;		   // ro: of the consumer
	_Atomic uint32_t tail CPU_ALIGNED; // written by the producer: cells posted
	_Atomic uint32_t head CPU_ALIGNED; // written by the consumer: cells released
};

// `cells`: a power of two. 0 or -ERR_MEMORY.
int mailbox_init(struct mailbox *mailbox, uint32_t cells, struct bell *bell);
void mailbox_finish(struct mailbox *mailbox);

// Producer: pointers to the next free cells (at most max), to be filled in order; their content is
// undefined. Then mailbox_post(n) hands over the first n of them.
unsigned mailbox_room(struct mailbox *mailbox, struct message **cells, unsigned max);
void mailbox_post(struct mailbox *mailbox, unsigned count);

// Consumer: pointers to the oldest posted cells (at most max). They stay the consumer's until
// mailbox_release(n) gives the first n back.
unsigned mailbox_read(struct mailbox *mailbox, struct message **cells, unsigned max);
void mailbox_release(struct mailbox *mailbox, unsigned count);
