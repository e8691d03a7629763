// The clock of a node, which may be wrong.
#include "appliance.h"

uint64_t appliance_clock_ns(const struct appliance *a, uint64_t now_ns)
{
	return a->clock_ns + (now_ns - a->at_ns) * a->clock_tenths / 10;
}

void appliance_set_clock(struct appliance *a, uint64_t now_ns, unsigned tenths)
{
	a->clock_ns = appliance_clock_ns(a, now_ns);
	a->at_ns = now_ns;
	a->clock_tenths = tenths;
	a->engine_wake_ns = a->cluster_wake_ns = now_ns;
	a->world->wake(a->world, a->config.index);
}

void appliance_jump_clock(struct appliance *a, uint64_t now_ns, uint64_t by_ns)
{
	appliance_set_clock(a, now_ns, a->clock_tenths);
	// Its end: a monotonic clock counts in signed nanoseconds.
	if (a->clock_ns < INT64_MAX)
		a->clock_ns = by_ns < INT64_MAX - a->clock_ns ? a->clock_ns + by_ns : INT64_MAX;
}
