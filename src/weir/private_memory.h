// Memory for keys and secrets: it is in no core dump and, as far as the limits allow, not swapped.
#pragma once

#include <stddef.h>

// Zeroed, page-aligned; NULL where there is none. The caller wipes what is secret before it gives
// the memory back with the same size.
void *private_memory_map(size_t bytes);
void private_memory_unmap(void *memory, size_t bytes);
