// Which counters of one key have been used: a replay window (the idea of RFC 6479: a ring of words,
// cleared as the window moves on, so that nothing is ever shifted). Asked before the tag is
// checked, told only after it was right: a forger cannot move it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_WORDS 32
// One word less than the ring: the word the highest counter stands in is only partly used.
#define WINDOW_RECORDS ((WINDOW_WORDS - 1) * 64)

struct window { // all zero: nothing seen
	uint64_t highest;
	uint64_t seen[WINDOW_WORDS]; // counter i: bit i % 64 of word i / 64 % WINDOW_WORDS
};

// True where the counter (from 1) was not seen, and is not left behind.
bool window_is_fresh(const struct window *window, uint64_t counter);
// The counter, which is fresh, has been used.
void window_mark(struct window *window, uint64_t counter);
