// What happened when, in the capture's time: a fixed number of buckets that grow wider as the
// capture turns out to be longer, so that nothing has to be known beforehand.
#pragma once

#include <stdint.h>

#define TIMELINE_BUCKETS 240

struct timeline_bucket {
	uint64_t offered; // packets of the capture
	uint64_t bytes;	  // of these
	uint64_t sent;	  // that left: forwarded, answers, made
	uint64_t dropped; // of the capture's, on arrival
	uint64_t cycles;  // in turns with packets
};

struct timeline {
	uint64_t width_ns; // of one bucket
	unsigned used;	   // buckets up to the last one with anything in it
	unsigned last;	   // asked for
	uint64_t last_ns;  // where it begins
	struct timeline_bucket buckets[TIMELINE_BUCKETS];
};

void timeline_init(struct timeline *timeline);

// The bucket of a moment (ns since the replay's start), to add to.
struct timeline_bucket *timeline_at(struct timeline *timeline, uint64_t time_ns);
