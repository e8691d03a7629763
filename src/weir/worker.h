// A worker: one thread that runs packets to completion. See worker.c for its turn.
#pragma once

#include "base/counter.h"
#include "base/cpu.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "weir/mailbox.h"
#include "weir/port.h"

#include <stdatomic.h>
#include <stdint.h>

struct node;

#define WORKER_MAIL_CELLS     64  // control -> worker
#define WORKER_ANSWER_CELLS   256 // worker -> control, or the cluster's thread
#define WORKER_SYNC_CELLS     256 // the cluster's thread -> worker
#define WORKER_HANDOVER_SLOTS 1024

// Counters of one worker on one port; written by the worker alone.
struct worker_port_stats {
	counter rx_packets, rx_bytes, rx_bad_checksum;
	counter tx_packets, tx_bytes, tx_refused;
};

// Counters of one worker beside those of its engine; written by the worker alone.
struct worker_counters {
	struct worker_port_stats ports[CONFIG_PORTS_MAX];
	counter dropped[REASON_COUNT];	   // dropped outside the engine: too_big, tx_refused, ...
	counter handed_in, handed_out;	   // packets taken from, given to, rings of other workers
	counter turns;			   // grows as long as the worker is alive
	counter cycles_total, cycles_busy; // TSC cycles: all, and of turns that had something to do
	counter path_cycles[PATH_COUNT];   // TSC cycles inside the engine
	counter cpu;			   // it ran on last
};

struct worker;

// Boot steps: engines, rings and mailboxes; then the threads. workers_join() lets what is in flight
// take its last turn and waits for the threads; workers_finish() frees.
int workers_init(struct node *node);
int workers_launch(struct node *node);
void workers_join(struct node *node);
void workers_finish(struct node *node);

const struct engine *worker_engine(const struct worker *worker);
const struct worker_counters *worker_counters(const struct worker *worker);
size_t worker_engine_bytes(const struct worker *worker);
uint32_t worker_capacity(const struct worker *worker); // flows

// The other ends of its mailboxes. The answers are the cluster thread's where there is one, else
// the control core's.
struct mailbox *worker_mail(struct worker *worker);	 // from the control core
struct mailbox *worker_sync_mail(struct worker *worker); // from the cluster's thread
struct mailbox *worker_answers(struct worker *worker);
