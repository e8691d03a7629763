#include "weir/replay/timeline.h"

#include <stdbool.h>
#include <string.h>

#define FIRST_WIDTH_NS 1000000ULL

void timeline_init(struct timeline *timeline)
{
	*timeline = (struct timeline){.width_ns = FIRST_WIDTH_NS};
}

// Two buckets become one.
static void widen(struct timeline *timeline)
{
	struct timeline_bucket *buckets = timeline->buckets;

	for (unsigned i = 0; i < TIMELINE_BUCKETS / 2; i++) {
		const struct timeline_bucket *a = &buckets[2 * i], *b = &buckets[2 * i + 1];

		buckets[i] = (struct timeline_bucket){a->offered + b->offered, a->bytes + b->bytes,
			a->sent + b->sent, a->dropped + b->dropped, a->cycles + b->cycles};
	}
	memset(buckets + TIMELINE_BUCKETS / 2, 0, TIMELINE_BUCKETS / 2 * sizeof(buckets[0]));
	timeline->width_ns *= 2;
	timeline->used = (timeline->used + 1) / 2;
}

static void find(struct timeline *timeline, uint64_t time_ns)
{
	while (time_ns / timeline->width_ns >= TIMELINE_BUCKETS)
		widen(timeline);
	timeline->last = (unsigned)(time_ns / timeline->width_ns);
	timeline->last_ns = timeline->last * timeline->width_ns;
	if (timeline->last >= timeline->used)
		timeline->used = timeline->last + 1;
}

struct timeline_bucket *timeline_at(struct timeline *timeline, uint64_t time_ns)
{
	bool same = timeline->used > 0 && time_ns - timeline->last_ns < timeline->width_ns;

	if (!same)
		find(timeline, time_ns);
	return &timeline->buckets[timeline->last];
}
