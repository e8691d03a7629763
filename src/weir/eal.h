// DPDK's environment layer, started from the configuration alone: no EAL option is ever asked from
// the user.
#pragma once

struct node;

// Boot step. Chooses huge pages or ordinary memory, places the threads, and lets DPDK log into
// ours.
int eal_start(struct node *node);
void eal_stop(struct node *node);
