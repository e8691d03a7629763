// What is wrong with the cluster's peers, in sentences. Of the control thread.
#pragma once

#include "base/addr.h"

#include <stdbool.h>

#define WATCH_PLACE_BYTES (ADDR_TEXT_BYTES + 8)
#define WATCH_TEXT_BYTES  640

struct node;

// The sentence about a peer, "" where all is well. True where it is down or refused, which keeps
// the cluster from its work. With a cluster only.
bool watch_peer_trouble(struct node *node, unsigned peer, char out[WATCH_TEXT_BYTES]);
