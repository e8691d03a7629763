// Gives large memory its pages before anybody needs them. See populate.c.
#pragma once

#include "base/counter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POPULATE_RANGES_MAX  64
#define POPULATE_CHUNK_BYTES (2ULL << 20)  // at once
#define POPULATE_FIRST_BYTES (32ULL << 20) // by populate_start() itself
#define POPULATE_RESERVE_MB  256	   // which the system keeps

struct populate_range {
	uint8_t *memory; // page aligned
	size_t bytes;
};

// All zero is one without ranges.
struct populate {
	struct populate_range ranges[POPULATE_RANGES_MAX];
	unsigned range_count;
	uint64_t (*available_mb)(void);

	// populate_start()'s, then the thread's
	unsigned range; // the next chunk is of this one,
	size_t offset;	// and begins here
	pthread_t thread;
	bool running;	    // there is one to join
	atomic_bool stop;   // written by who ends it
	counter done_bytes; // that have their pages
};

// Before populate_start().
void populate_add(struct populate *populate, void *memory, size_t bytes);

// Populates the first bytes and leaves the rest to a thread. `available_mb` says, in any thread,
// what memory the system could give now. -ERR_MEMORY where there can be no thread: whoever touches
// a page first makes it then.
int populate_start(struct populate *populate, uint64_t (*available_mb)(void));

// Waits for the end of a chunk. The ranges may be unmapped then.
void populate_stop(struct populate *populate);

// Of the sum of all ranges; any thread.
uint64_t populate_done_bytes(const struct populate *populate);
