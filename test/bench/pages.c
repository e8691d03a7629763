#include "table_side.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#define HUGE_BYTES ((size_t)2 << 20)

size_t pages_round(size_t bytes)
{
	return (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
}

// Aligned to huge pages: what sticks out of them is given back.
void *pages_map(size_t bytes, bool huge)
{
	size_t size = pages_round(bytes);
	uint8_t *all = mmap(NULL, size + HUGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	CHECK(all != MAP_FAILED);
	before = pages_round((size_t)(uintptr_t)all) - (size_t)(uintptr_t)all;
	if (before > 0)
		munmap(all, before);
	if (before < HUGE_BYTES)
		munmap(all + before + size, HUGE_BYTES - before);
	madvise(all + before, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	CHECK(madvise(all + before, size, MADV_POPULATE_WRITE) == 0);
	return all + before;
}

void pages_unmap(void *memory, size_t bytes)
{
	munmap(memory, pages_round(bytes));
}

bool pages_are_huge(const void *memory)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	uintptr_t begin, end, at = (uintptr_t)memory;
	bool here = false, huge = false;
	char line[256];
	size_t kib, rss = 0;

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
			here = at >= begin && at < end;
		if (here && sscanf(line, "Rss: %zu kB", &kib) == 1)
			rss = kib;
		if (here && sscanf(line, "AnonHugePages: %zu kB", &kib) == 1)
			huge = kib > rss / 2;
	}
	fclose(file);
	return huge;
}
