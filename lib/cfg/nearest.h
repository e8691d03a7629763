// "Did you mean": the candidate with the fewest edits from a word (insertions, deletions, changes,
// swapped neighbours), if it is near enough to be a slip of the hand.
#pragma once

#include <stdbool.h>

struct nearest {
	const char *word;
	const char *best; // the caller's string; NULL while none is near
	unsigned distance;
};

struct nearest nearest_start(const char *word);

// True where `candidate` is the best so far.
bool nearest_offer(struct nearest *nearest, const char *candidate);
