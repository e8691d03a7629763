#include "cluster/counter.h"

#define FASTER_BY 10 // at most a tenth faster
#define SLOWER_BY 2  // and half as fast while others are waited for

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t lead_ns(const struct cluster_counter *clock)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < COUNTER_PEERS_MAX; i++)
		most = clock->lead_ns[i] > most ? clock->lead_ns[i] : most;
	return most;
}

static uint64_t gained_ns(const struct cluster_counter *clock, uint64_t elapsed_ns)
{
	return least(lead_ns(clock), elapsed_ns / FASTER_BY);
}

static uint64_t waited_ns(const struct cluster_counter *clock, uint64_t elapsed_ns)
{
	return least(clock->lag_ns, elapsed_ns / SLOWER_BY);
}

uint64_t counter_value_ns(const struct cluster_counter *clock, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - clock->at_ns;

	return clock->value_ns + elapsed + gained_ns(clock, elapsed) - waited_ns(clock, elapsed);
}

// Everything below starts here: what was gained or waited until now is settled at the old rate.
static uint64_t settle(struct cluster_counter *clock, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - clock->at_ns;
	uint64_t gained = gained_ns(clock, elapsed);
	uint64_t waited = waited_ns(clock, elapsed);

	clock->value_ns += elapsed + gained - waited;
	clock->at_ns = now_ns;
	clock->lag_ns -= waited;
	for (unsigned i = 0; i < COUNTER_PEERS_MAX; i++)
		clock->lead_ns[i] -= least(clock->lead_ns[i], gained);
	return clock->value_ns;
}

void counter_start(struct cluster_counter *clock, uint64_t now_ns, uint64_t value_ns)
{
	*clock = (struct cluster_counter){.value_ns = value_ns, .at_ns = now_ns};
}

bool counter_observe(
	struct cluster_counter *clock, uint64_t now_ns, unsigned peer, uint64_t value_ns)
{
	uint64_t own = settle(clock, now_ns);
	uint64_t lead = value_ns > own ? value_ns - own : 0;

	clock->lead_ns[peer] = lead <= COUNTER_NEAR_NS ? lead : 0;
	return lead <= COUNTER_NEAR_NS;
}

void counter_forget(struct cluster_counter *clock, uint64_t now_ns, unsigned peer)
{
	settle(clock, now_ns);
	clock->lead_ns[peer] = 0;
}

bool counter_is_near(uint64_t a_ns, uint64_t b_ns)
{
	return (a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns) <= COUNTER_NEAR_NS;
}

bool counter_join(struct cluster_counter *clock, uint64_t now_ns, uint64_t value_ns)
{
	uint64_t own = settle(clock, now_ns);

	if (value_ns >= own) {
		counter_start(clock, now_ns, value_ns);
		return true;
	}
	counter_start(clock, now_ns, own);
	clock->lag_ns = counter_is_near(own, value_ns) ? 0 : own - value_ns;
	return clock->lag_ns == 0;
}
