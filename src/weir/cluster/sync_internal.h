// Shared by sync.c (life and turn) and sync_mail.c (messages).
#pragma once

#include "weir/cluster/credentials.h"
#include "weir/cluster/sync.h"
#include "weir/node.h"

#include <pthread.h>
#include <stdatomic.h>

enum sync_request {
	SYNC_REKEY = 1 << 0,
	SYNC_ROTATE = 1 << 1,
};

struct sync {
	// ro once the thread runs
	struct node *node;
	void *memory; // of the cluster
	size_t memory_bytes;
	struct cluster *cluster;
	struct transport *transport;
	struct credentials credentials;
	unsigned peer_count;
	pthread_t thread;
	bool launched;

	// the thread's own
	uint64_t now_ns;
	unsigned backlog;		   // turns since there were none
	bool serving;			   // requests, in this turn
	uint64_t news_ns;		   // when `news` was written last
	bool born, founded, founded_alone; // as in the news
	uint64_t view;			   // as control was told last
	uint64_t states; // of this node and its peers, 4 bits each, as control was told last
	const struct policy *policy;
	unsigned first_worker;		  // whose answers are read first in the next turn
	unsigned taken[NODE_WORKERS_MAX]; // answers of each worker to be released after the turn
	struct message *in[CLUSTER_BATCH_MAX];
	bool in_more;		// workers have said more than `in` holds
	struct message *outbox; // CLUSTER_BATCH_MAX cells
	struct message *free[CLUSTER_BATCH_MAX], *pending[CLUSTER_BATCH_MAX];
	unsigned free_count, pending_count;
	struct datagram arrived[CLUSTER_BATCH_MAX], leaving[CLUSTER_BATCH_MAX];

	// shared
	struct bell bell CPU_ALIGNED;
	struct mailbox mail;	   // from control
	struct mailbox answers;	   // to control
	_Atomic bool stop;	   // written by control
	_Atomic bool active;	   // written by the thread
	_Atomic unsigned requests; // enum sync_request, set by control, taken by the thread
	_Atomic unsigned served;   // turns of the thread that had some
	_Atomic int rotated;	   // what became of the latest rotation: 0, -ERR_*
	pthread_mutex_t news_lock; // the thread only tries it
	struct sync_news news;
};

// The cluster's counter, once the node is active.
void sync_publish(struct sync *sync);
// News for control, which is rung where a state changed.
void sync_tell_control(struct sync *sync);

// Takes a policy from control and gives the former one back.
void sync_take_policy(struct sync *sync);

// Workers' messages for other nodes into sync->in; what is for control goes on to it. Returns their
// number; they stay in their mailboxes until sync_release().
unsigned sync_gather(struct sync *sync);
void sync_release(struct sync *sync);

// Delivers what is pending, as far as the receivers have room, in order for each of them.
void sync_deliver(struct sync *sync);
