// The processor's cycle counter: of time, not of work, and constant over frequency changes.
#pragma once

#include <stdint.h>
#include <x86intrin.h>

static inline uint64_t cycles_now(void)
{
	return __rdtsc();
}
