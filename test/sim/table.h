// What full sharing costs (P6): connections per CPU-second and sessions, by the number of nodes.
#pragma once

#include "sim.h"

// Prints the table; false where a run failed.
bool table_print(struct sim *sim, uint64_t seed);
