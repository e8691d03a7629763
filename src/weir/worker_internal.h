// Shared by worker.c (the turn), worker_io.c (between mbufs and frames) and worker_mail.c
// (letters).
#pragma once

#include "weir/node.h"
#include "weir/port.h"
#include "weir/worker.h"

#include <poll.h>

#define WORKER_SEND_MAX (2 * ENGINE_BATCH_MAX) // one turn's frames and crafted ones

// Packets on their way out through one port.
struct worker_send {
	struct rte_mbuf *mbufs[WORKER_SEND_MAX];
	unsigned count;
};

struct worker {
	// ro once it runs
	struct node *node;
	struct engine *engine;
	void *memory; // of the engine, mmap()ed
	size_t engine_bytes;
	uint32_t capacity; // flows
	unsigned index;
	bool naps;
	bool waked;  // packets end its naps
	bool talked; // in the last turn: letters came, or were written
	struct pollfd waits[1 + CONFIG_PORTS_MAX]; // the bell and its queues' sockets
	unsigned wait_count;
	struct rte_ring *handed[NODE_WORKERS_MAX];   // from each other worker: frames to decide
	struct rte_ring *outgoing[NODE_WORKERS_MAX]; // from each other worker: packets to send

	// its own
	uint64_t now_ns;
	uint64_t busy_ns;      // now_ns of the last turn that did something
	uint64_t filled_ns;    // now_ns of the last turn that used every cell for answers
	uint64_t tick_end_ns;  // cluster counter at which `tick` is over
	uint32_t tick;	       // never goes back
	uint16_t tick_part;    // nor does this, within a tick
	unsigned first_box;    // of boxes[], read first in the next turn
	unsigned first_port;   // asked first in the next turn
	unsigned first_worker; // whose handed frames are taken first in the next turn
	uint64_t path_seen[PATH_COUNT];
	struct frame frames[ENGINE_BATCH_MAX];
	struct rte_mbuf *arrived[ENGINE_BATCH_MAX]; // behind `frames`
	struct verdict verdicts[ENGINE_BATCH_MAX];
	struct frame out[ENGINE_BATCH_MAX];
	struct rte_mbuf *spare[ENGINE_BATCH_MAX]; // behind `out`, the first spare_count
	unsigned spare_count;
	struct worker_send send[CONFIG_PORTS_MAX];
	struct rte_mbuf *ended[ENGINE_BATCH_MAX]; // in this turn: go back to the pool together
	unsigned ended_count;
	struct message *answer_cells[ENGINE_BATCH_MAX]; // free, of `answers`; the first answer_room
	unsigned answer_room;
	uint64_t woken; // bit per worker something was handed to in this turn

	// shared
	struct bell bell CPU_ALIGNED; // rung by the control core and by the other workers
	struct mailbox mail;	      // from the control core
	struct mailbox sync_mail;     // from the cluster's thread
	struct mailbox answers;	      // to the cluster's thread where there is one, else to control
	atomic_bool stop;	      // written by the main thread
	struct worker_counters counters CPU_ALIGNED;
};

// The receive queue of `port` this worker polls: one it has none of where >= port->rx_queues.
static inline unsigned worker_queue(const struct worker *worker, const struct port *port)
{
	unsigned around = worker->index < port->rx_worker ? worker->node->worker_count : 0;

	return worker->index + around - port->rx_worker;
}

// Sends what workers without a queue of their own asked this one to send.
void worker_send_for_others(struct worker *worker);

// Fills frames[] and arrived[] and returns their number. Without `inward` only from other workers.
unsigned worker_take(struct worker *worker, bool inward);

// Makes sure there are spare buffers behind out[] and returns their number.
unsigned worker_lend(struct worker *worker);
void worker_drop_spares(struct worker *worker);

// Does what the verdicts say, and sends.
void worker_act(struct worker *worker, const struct batch *batch);

// Letters of the two mailboxes, in the order they were read.
struct letters {
	struct mailbox *box[2];
	unsigned count[2];
};

// Free cells of `answers`, in answer_cells[]. Returns their number.
unsigned worker_answer_room(struct worker *worker);
// The first so many of them were filled.
void worker_post_answers(struct worker *worker, unsigned count);

// At most `room`.
struct letters worker_read_mail(struct worker *worker, struct message **mail, unsigned room);
void worker_release_mail(struct worker *worker, const struct letters *letters);
