// XDP programs of af_xdp ports outlive the process that attached them, and a left-over one keeps
// packets from the next. They are taken off at the start, at the end, and when the process crashes.
#pragma once

struct node;

// Takes whatever XDP program is on the interface off. 0 or -1 with errno; nothing there is no
// error.
int xdp_detach(int ifindex);

// From here on a crash (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT) takes the programs of the node's
// af_xdp ports off before the process dies.
void xdp_guard(const struct node *node);
void xdp_unguard(void);
