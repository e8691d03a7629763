// Flows refused for want of room are told to the log, for whoever does not watch the counters: one
// line for each reason at once, then at most one in REFUSALS_EVERY_NS with how many there were.
#include "weir/control_internal.h"

#include "base/check.h"
#include "common/log.h"
#include "weir/stats.h"

#define REFUSALS_EVERY_NS 10000000000ULL

static const struct {
	enum reason reason;
	const char *keys; // that would let more in
} watched[] = {
	{REASON_flow_limit, "services.*.flows_max"},
	{REASON_prefix_limit, "limits.per_prefix_flows"},
	{REASON_table_full, "flows.capacity"},
};

_Static_assert(ARRAY_LEN(watched) == ARRAY_LEN(((struct control *)NULL)->refusals), "one for each");

void refusals_look(struct node *node, uint64_t now_ns)
{
	struct drop_stats stats;

	stats_drop(node, &stats);
	for (unsigned i = 0; i < ARRAY_LEN(watched); i++) {
		struct refusals *refusals = &node->control->refusals[i];
		uint64_t count = stats.reasons[watched[i].reason];

		if (count == refusals->told ||
			(refusals->told && now_ns - refusals->told_ns < REFUSALS_EVERY_NS))
			continue;
		log_warning("no more flows are let in: reason=%s packets=%llu key=%s",
			reason_name(watched[i].reason),
			(unsigned long long)(count - refusals->told), watched[i].keys);
		refusals->told = count;
		refusals->told_ns = now_ns;
	}
}
