// This node's part in the cluster: a thread that runs lib/cluster between a transport and the
// workers. Not the control core's loop, because a reload may keep that busy for seconds, and a node
// that is silent for detect_ms is taken for dead. See sync.c for its turn.
#pragma once

#include "cluster/cluster.h"
#include "weir/cluster/transport.h"
#include "weir/mailbox.h"

#include <stdbool.h>

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

// `cluster rekey` and `cluster rotate`: asks the thread. False: not active.
bool sync_rekey(struct sync *sync);
bool sync_rotate(struct sync *sync);

// For the console: any thread, but those that fill `out' are of the control thread.
const struct cluster *sync_cluster(const struct sync *sync);
void sync_transport_stats(const struct sync *sync, struct transport_stats *out);
// Why the peer was refused last, "" where it was not. Into out, which is returned.
char *sync_peer_error(struct sync *sync, unsigned peer, char out[SYNC_ERROR_BYTES]);
// How its services and this node's differ, "" where they do not. Into out, which is returned.
char *sync_peer_differs(struct sync *sync, unsigned peer, char out[SYNC_ERROR_BYTES]);
// When and why this node joined again, "" where it never did. Into out, which is returned.
char *sync_rejoined(struct sync *sync, char out[SYNC_ERROR_BYTES]);
