// This node's part in the cluster: a thread that runs lib/cluster between a transport and the
// workers. Not the control core's loop, because a reload may keep that busy for seconds, and a node
// that is silent for detect_ms is taken for dead. See sync.c for its turn.
#pragma once

#include "cluster/cluster.h"
#include "weir/cluster/transport.h"
#include "weir/mailbox.h"

#include <stdbool.h>

struct credentials;
struct node;
struct sync;

#define SYNC_ERROR_BYTES 192

// Boot steps; without a cluster they do nothing and node->sync stays NULL. sync_init() comes before
// the workers', whose answers it will read, sync_launch() behind control_start(). sync_join() says
// goodbye to the peers and ends the thread.
int sync_init(struct node *node);
void sync_finish(struct node *node);
int sync_launch(struct node *node);
void sync_join(struct node *node);

// What the workers' answers ring.
struct bell *sync_bell(struct sync *sync);

// The control core's ends: from the thread (what workers say to control, MESSAGE_SECRET,
// MESSAGE_PROFILES, and MESSAGE_POLICY with .worker = the number of workers: the former policy,
// NULL the first time), and to it (MESSAGE_POLICY).
struct mailbox *sync_answers(struct sync *sync);
struct mailbox *sync_mail(struct sync *sync);

// Counter and secret are agreed: node_counter_ns() is the cluster's. Any thread.
bool sync_is_active(const struct sync *sync);

// `cluster rekey` and `cluster rotate`, of control: asks the thread and waits until it has begun,
// which takes a turn of it. -ERR_MISSING: not active; -ERR_EXISTS: the thread is busy and will do
// it later; -ERR_FULL: there is no further generation, or no random bytes.
int sync_rekey(struct sync *sync);
int sync_rotate(struct sync *sync);

// For the console: any thread, but those that fill `out' are of the control thread.
const struct cluster *sync_cluster(const struct sync *sync);
const struct credentials *sync_credentials(const struct sync *sync);
void sync_transport_stats(const struct sync *sync, struct transport_stats *out);

// What the thread tells control of the cluster, all of the same moment.
struct sync_news {
	enum peer_state states[CLUSTER_PEERS_MAX];
	char errors[CLUSTER_PEERS_MAX]
		   [SYNC_ERROR_BYTES]; // what is wrong with each peer, "": nothing
	char differs[CLUSTER_PEERS_MAX]
		    [SYNC_ERROR_BYTES]; // how its services and the own ones differ, "": they do not
	char rejoined[SYNC_ERROR_BYTES]; // when and why this node joined again, "": it never did
	struct transport_way ways[CLUSTER_PEERS_MAX];
	struct link_peer stranger; // the latest that sent datagrams and is no peer
	bool born;		   // this node has become active, and when it did
	bool founded;		   // it founded the cluster
	bool founded_alone;	   // reaching nobody
};

void sync_news(struct sync *sync, struct sync_news *out);
// How long this node waits for others before it founds a cluster alone.
uint32_t sync_join_ms(const struct config_cluster *config);
