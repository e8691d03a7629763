#include "scheduler.h"

#include "base/check.h"

// splitmix64.
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void scheduler_start(struct scheduler *scheduler, uint64_t seed, uint64_t now_ns)
{
	scheduler->now_ns = now_ns;
	// Not the seed itself: its successor would give the same numbers, one later.
	scheduler->random = mix(mix(seed) + 1);
	scheduler->steps = 0;
	scheduler->order = 0;
	scheduler->count = 0;
}

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void scheduler_add(
	struct scheduler *scheduler, uint64_t at_ns, enum event_kind kind, unsigned index)
{
	struct event event = {.at_ns = at_ns > scheduler->now_ns ? at_ns : scheduler->now_ns,
		.order = scheduler->order++,
		.kind = (uint16_t)kind,
		.index = (uint16_t)index};
	unsigned at = scheduler->count++;

	CHECK(at < EVENTS_MAX);
	for (; at > 0 && is_before(&event, &scheduler->heap[(at - 1) / 2]); at = (at - 1) / 2)
		scheduler->heap[at] = scheduler->heap[(at - 1) / 2];
	scheduler->heap[at] = event;
}

// The last event takes the place of the first.
static void sink(struct scheduler *scheduler)
{
	struct event last = scheduler->heap[--scheduler->count];
	unsigned at = 0;

	for (;;) {
		unsigned child = 2 * at + 1;

		if (child + 1 < scheduler->count &&
			is_before(&scheduler->heap[child + 1], &scheduler->heap[child]))
			child++;
		if (child >= scheduler->count || is_before(&last, &scheduler->heap[child]))
			break;
		scheduler->heap[at] = scheduler->heap[child];
		at = child;
	}
	scheduler->heap[at] = last;
}

bool scheduler_next(struct scheduler *scheduler, uint64_t end_ns, struct event *event)
{
	if (scheduler->count == 0 || scheduler->heap[0].at_ns > end_ns) {
		scheduler->now_ns = end_ns;
		return false;
	}
	*event = scheduler->heap[0];
	sink(scheduler);
	scheduler->now_ns = event->at_ns;
	scheduler->steps++;
	return true;
}

uint32_t scheduler_draw(uint64_t *random, uint32_t bound)
{
	if (bound == 0)
		return 0;
	*random += 0x9e3779b97f4a7c15u;
	return (uint32_t)((mix(*random) >> 32) * bound >> 32);
}

uint32_t scheduler_choose(struct scheduler *scheduler, uint32_t bound)
{
	return scheduler_draw(&scheduler->random, bound);
}

bool scheduler_chance(struct scheduler *scheduler, unsigned permille)
{
	return permille > 0 && scheduler_choose(scheduler, 1000) < permille;
}

uint64_t scheduler_between(struct scheduler *scheduler, uint64_t low_ns, uint64_t high_ns)
{
	uint32_t span_us = (uint32_t)((high_ns - low_ns) / SIM_US);

	return low_ns + scheduler_choose(scheduler, span_us) * SIM_US;
}
