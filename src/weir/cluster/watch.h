// What is wrong with the cluster's peers, in sentences. Of the control thread.
#pragma once

#include "base/addr.h"
#include "weir/cluster/peer_watch.h"

#include <stdbool.h>

#define WATCH_PLACE_BYTES (ADDR_TEXT_BYTES + 8)
#define WATCH_TEXT_BYTES  PEER_WATCH_TEXT_BYTES

struct node;

// The sentence about what is wrong with a peer now. False, and "": nothing is. With a cluster only.
bool watch_peer_trouble(struct node *node, unsigned peer, char out[WATCH_TEXT_BYTES]);
