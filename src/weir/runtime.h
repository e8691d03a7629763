// The runtime folder: private to this process and held by a lock, so that two appliances cannot
// run in one folder. What is in it lives as long as the node: /run/weir shows the nodes that run.
#pragma once

struct node;

// Boot step: makes the folder (0700), locks RUNTIME/lock, which holds the pid, and removes what a
// process that was killed left.
int runtime_claim(struct node *node);
// Removes what this process made, the folder too where nothing else is in it. The log that "auto"
// writes there goes after an orderly end, and stays after a failed start.
void runtime_release(struct node *node);
