// SIGINT and SIGTERM end a replay with what it has so far.
#pragma once

// From now on these signals are only noted; a second one ends the program at once.
void interrupt_catch(void);

// The signal that came, 0: none.
int interrupt_signal(void);
