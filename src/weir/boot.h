// The life of the appliance: every step from the configuration to the running loop, undone in
// reverse order whatever ends it.
#pragma once

struct node;

// Runs the appliance that node->file, sets and interactive describe. Returns the exit status: 0
// after an orderly end, 1 where a step failed (it said why) and nothing was left running.
int boot_run(struct node *node);

// Checks the configuration as boot_run() would, without starting anything. 0 or 1; errors and
// warnings are printed.
int boot_check(struct node *node);
