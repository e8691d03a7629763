#include "cluster/window.h"

static uint64_t *word_of(struct window *window, uint64_t counter)
{
	return &window->seen[counter / 64 % WINDOW_WORDS];
}

bool window_is_fresh(const struct window *window, uint64_t counter)
{
	if (counter > window->highest)
		return true;
	if (counter == 0 || window->highest - counter >= WINDOW_RECORDS)
		return false;
	return (window->seen[counter / 64 % WINDOW_WORDS] >> counter % 64 & 1) == 0;
}

void window_mark(struct window *window, uint64_t counter)
{
	if (counter > window->highest) {
		uint64_t words = counter / 64 - window->highest / 64;

		// A leap over the whole ring clears each word once.
		for (uint64_t i = 1; i <= words && i <= WINDOW_WORDS; i++)
			*word_of(window, (window->highest / 64 + i) * 64) = 0;
		window->highest = counter;
	}
	*word_of(window, counter) |= 1ULL << counter % 64;
}
