// The runtime folder: private to this process and held by a lock, so that two appliances cannot
// run in one folder.
#pragma once

struct node;

// Boot step: makes the folder (0700) and locks RUNTIME/lock, which holds the pid.
int runtime_claim(struct node *node);
void runtime_release(struct node *node);
