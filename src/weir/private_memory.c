#include "weir/private_memory.h"

#include <sys/mman.h>

void *private_memory_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (madvise(memory, bytes, MADV_DONTDUMP) != 0) {
		munmap(memory, bytes);
		return NULL;
	}
	// Without the right to lock memory (RLIMIT_MEMLOCK) it may be swapped, no more.
	(void)mlock(memory, bytes);
	return memory;
}

void private_memory_unmap(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}
