// Packet conservation and gauges in a storm of 10^5 packets and messages, with few buffers, few
// message slots, a small table and a small pool (DESIGN "Packet conservation").
#include "storm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define STEPS 100000

static uint32_t next_random(void *source, uint32_t bound)
{
	uint64_t *state = source;

	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return bound == 0 ? 0 : (uint32_t)((*state >> 32) % bound);
}

// A storm that reaches nothing proves nothing.
static void assert_reached(const struct node *node)
{
	const struct engine_stats *stats = engine_stats(node->engine);
	const struct engine_service_stats *service = engine_service_stats(node->engine, 0);
	const counter *reached[] = {&stats->received, &stats->generated, &stats->consumed,
		&stats->from_peers, &stats->to_peers, &stats->shared, &stats->synack_to_owner,
		&stats->synack_from_finder, &stats->flows_created, &stats->flows_closed,
		&stats->flows_expired, &stats->flows_evicted, &stats->flows_refused,
		&service->synack_sent, &service->cookie_valid, &service->cookie_bad,
		&service->server_syn, &service->server_synack, &service->server_refused,
		&service->server_timeout};

	for (unsigned i = 0; i < sizeof(reached) / sizeof(reached[0]); i++)
		if (counter_get(reached[i]) == 0)
			fail_msg("counter %u was never reached", i);
}

static void storm_for(uint64_t seed)
{
	struct node *node = node_make();
	struct storm storm;

	storm_node_init(node);
	node->policy.timeouts.server_syn_retries = 0; // a storm has no patience
	node_go(node);
	storm_init(&storm, node);
	storm.choose = next_random;
	storm.source = &seed;
	for (unsigned i = 1; i <= STEPS; i++) {
		storm_step(&storm);
		if (i % 1000 == 0) {
			assert_int_equal(node_unexplained(node), 0);
			assert_true(node_gauges_good(node));
		}
	}
	assert_reached(node);
	storm_finish(&storm);
	node->lend = HARNESS_LENT;
	node->message_room = HARNESS_MESSAGES_MAX;
	assert_true(node_end(node));
}

static void storms(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		storm_for(seed * 0x9e3779b97f4a7c15u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
