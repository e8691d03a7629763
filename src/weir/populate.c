// Pages of the flow tables, made in the background.
//
// A page that a worker is the first to touch makes it wait until the kernel has cleared it: a large
// one takes some hundreds of microseconds, and packets are lost meanwhile. To clear all of them
// before the first packet takes longer than anything else of a start, and more the larger the
// tables are. So a start clears no more than POPULATE_FIRST_BYTES, which is all of a small table,
// and a thread the rest while packets flow. It walks all ranges at once, a chunk of each in turn,
// from their fronts on, which is where they are used first (engine.h). The pages keep what was
// written to them: a worker that is faster than the thread makes its page itself.
//
// The thread has the processors of the control core, because that made it, and gives way to
// whatever else wants them. While it is in a chunk nobody can change the mappings of the process,
// and who waits for that keeps page faults waiting: hence chunks of one large page. It ends when
// everything has its pages; when it is told to, behind the chunk it is in; or when memory gets
// scarce: the tables may take what was promised to them, but what no flow needs yet is better left
// to others until one does.
#include "weir/populate.h"

#include "base/check.h"
#include "base/error.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define LOOK_CHUNKS 32 // between two looks at the memory that is available
#define NICE	    19

void populate_add(struct populate *populate, void *memory, size_t bytes)
{
	CHECK(populate->range_count < POPULATE_RANGES_MAX);
	populate->ranges[populate->range_count++] =
		(struct populate_range){.memory = memory, .bytes = bytes};
}

uint64_t populate_done_bytes(const struct populate *populate)
{
	return counter_get(&populate->done_bytes);
}

static size_t longest(const struct populate *populate)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < populate->range_count; i++)
		if (populate->ranges[i].bytes > bytes)
			bytes = populate->ranges[i].bytes;
	return bytes;
}

// The next chunk, an empty one of a range that is shorter than others. False behind the last one,
// and where the kernel refuses.
static bool step(struct populate *populate)
{
	const struct populate_range *range = &populate->ranges[populate->range];
	size_t offset = populate->offset, bytes = 0;

	if (offset >= longest(populate))
		return false;
	if (offset < range->bytes)
		bytes = range->bytes - offset < POPULATE_CHUNK_BYTES ? range->bytes - offset
								     : POPULATE_CHUNK_BYTES;
	if (bytes > 0 && madvise(range->memory + offset, bytes, MADV_POPULATE_WRITE))
		return false;
	counter_add(&populate->done_bytes, bytes);
	if (++populate->range == populate->range_count) {
		populate->range = 0;
		populate->offset += POPULATE_CHUNK_BYTES;
	}
	return true;
}

static void *populate_main(void *argument)
{
	struct populate *populate = argument;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL); // they are the main thread's
	prctl(PR_SET_NAME, "populate");
	setpriority(PRIO_PROCESS, 0, NICE); // of this thread alone
	for (unsigned i = 0; !atomic_load_explicit(&populate->stop, memory_order_relaxed); i++) {
		if (i % LOOK_CHUNKS == 0 && populate->available_mb() < POPULATE_RESERVE_MB)
			break;
		if (!step(populate))
			break;
	}
	return NULL;
}

int populate_start(struct populate *populate, uint64_t (*available_mb)(void))
{
	populate->available_mb = available_mb;
	while (populate_done_bytes(populate) < POPULATE_FIRST_BYTES) {
		if (!step(populate))
			return 0;
	}
	populate->running = pthread_create(&populate->thread, NULL, populate_main, populate) == 0;
	return populate->running ? 0 : -ERR_MEMORY;
}

void populate_stop(struct populate *populate)
{
	if (!populate->running)
		return;
	atomic_store_explicit(&populate->stop, true, memory_order_relaxed);
	pthread_join(populate->thread, NULL);
	populate->running = false;
}
