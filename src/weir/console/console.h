// The console of the appliance: RUNTIME/console.sock, served on the control thread.
#pragma once

struct node;

// Boot step, behind control_start(): opens the socket and, with node->interactive, the front end on
// this process's terminal. 0 or -ERR_*.
int console_start(struct node *node);
// Cuts off all clients, ends a capture, gives the terminal back.
void console_stop(struct node *node);
