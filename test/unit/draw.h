// The random numbers of a test, the same in each run: xorshift64 (Marsaglia, 2003).
#pragma once

#include <stdint.h>

static uint64_t draw_state = 88172645463325252u;

static inline uint32_t draw_word(void)
{
	draw_state ^= draw_state << 13;
	draw_state ^= draw_state >> 7;
	draw_state ^= draw_state << 17;
	return (uint32_t)(draw_state >> 32);
}

static inline uint32_t draw(uint32_t below)
{
	return draw_word() % below;
}
