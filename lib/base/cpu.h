// What the code needs to know of the processor.
#pragma once

#define CPU_CACHE_LINE_BYTES 64

// For what a compiler would leave out of line, though a caller knows its arguments or its
// instruction set.
#define ALWAYS_INLINE inline __attribute__((always_inline))

#define CPU_ALIGNED __attribute__((aligned(CPU_CACHE_LINE_BYTES)))

static inline void cpu_prefetch(const void *p)
{
	__builtin_prefetch(p, 1, 3);
	// A function that does nothing else counts as pure, and gcc drops calls of it.
	__asm__ volatile("");
}
