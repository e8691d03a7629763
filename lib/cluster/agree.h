// Whether two nodes mean the same by their services. A connection is carried by both, so each has
// to handle it alike: the own row table (rows.h) beside one a peer declared.
#pragma once

#include "cluster/rows.h"

#include <stddef.h>

// How many services differ, and what about the first of them, in words: "service web: mode track
// here, proxy at pop-b". 0, and "", where none does or one of the tables is not known. `theirs` was
// adopted (rows_adopt) by the policy `own` was made from. A table with no room for all rows has
// left some out, so of full ones prefixes and ports are not compared.
unsigned rows_differ(const struct rows *own, const struct rows *theirs, const char *peer,
	char *text, size_t room);
