// Two nodes that were together, have nobody else, and whose counters went apart: they become one
// again without a restart, and who is not to blame for it does not notice. Proves: M4 (one clock
// that is wrong costs the others no handshake; a counter never goes back, which the net checks).
#include "cluster/counter.h"
#include "cluster/pace.h"
#include "net.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

static struct net *make_one(void)
{
	struct net *net =
		net_make(&(struct net_config){.hosts = 2, .seed = 1, .link = {.delay_ns = NET_MS}});

	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 1000);
	return net;
}

// --- the pace of clocks ---

static enum pace_verdict tick(
	struct pace *pace, uint64_t *own, uint64_t *peer, uint64_t own_ms, uint64_t peer_ms)
{
	*own += own_ms * NET_MS;
	*peer += peer_ms * NET_MS;
	return pace_take(pace, *own, *peer);
}

static void paces_are_compared(void **state)
{
	struct pace pace = {0};
	uint64_t own = 5 * NET_S, peer = 7000 * NET_S;

	(void)state;
	assert_int_equal(tick(&pace, &own, &peer, 0, 0), PACE_NONE);
	assert_int_equal(tick(&pace, &own, &peer, 1999, 1500), PACE_NONE);
	assert_int_equal(tick(&pace, &own, &peer, 1, 0), PACE_ALIKE);
	// What queues and real clocks do.
	assert_int_equal(tick(&pace, &own, &peer, 2000, 1250), PACE_ALIKE);
	assert_int_equal(tick(&pace, &own, &peer, 2000, 2750), PACE_ALIKE);
	assert_int_equal(tick(&pace, &own, &peer, 8000, 9600), PACE_UNLIKE);
	assert_int_equal(tick(&pace, &own, &peer, 125, 2000), PACE_UNLIKE);
	// Once faster says nothing: the other was paused. Again and again it does.
	assert_int_equal(tick(&pace, &own, &peer, 300000, 125), PACE_UNLIKE);
	assert_int_equal(tick(&pace, &own, &peer, 2000, 2000), PACE_ALIKE);
	for (unsigned i = 1; i < PACE_FASTER_MANY; i++)
		assert_int_equal(tick(&pace, &own, &peer, 2000, 200), PACE_UNLIKE);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(tick(&pace, &own, &peer, 2000, 200), PACE_FASTER);
	assert_int_equal(tick(&pace, &own, &peer, 2000, 2000), PACE_ALIKE);
	assert_int_equal(tick(&pace, &own, &peer, 2000, 200), PACE_UNLIKE);
}

// --- two nodes ---

// The counter of one of two runs on as if nothing had happened, and it stays active.
static void expect_undisturbed(struct net *net, unsigned host, uint64_t ms, uint64_t slack_ns)
{
	uint64_t before = net_counter_ns(net, host);

	for (uint64_t i = 0; i < ms; i += 50) {
		net_run_ms(net, 50);
		assert_int_equal(net_stats(net, host)->state, CLUSTER_ACTIVE);
		assert_true(net->hosts[host].view.decodes);
	}
	assert_in_range(net_counter_ns(net, host) - before, ms * NET_MS, ms * NET_MS + slack_ns);
	assert_string_equal(cluster_rejoined(net->hosts[host].cluster), "");
}

// Two that were together and have nobody else. Far apart: neither moves the other.
static void two_without_company_stay_far_apart(void **state)
{
	struct net *net = make_one();

	(void)state;
	net_jump_clock(net, 1, 2 * 3600 * NET_S);
	expect_undisturbed(net, 0, 60000, 0);
	expect_undisturbed(net, 1, 60000, 0);
	assert_true(net_stats(net, 0)->counter_refused > 0);
	assert_int_equal(net_stats(net, 1)->counter_refused, 0);
	assert_non_null(strstr(cluster_peer_error(net->hosts[0].cluster, 0), "s ahead"));
	assert_string_equal(cluster_rejoined(net->hosts[0].cluster), "");
	assert_string_equal(cluster_rejoined(net->hosts[1].cluster), "");
	net_end(net);
}

// The one whose clock jumps, whichever it is, knows it: it waits, and costs the other nothing.
static void of_two_the_one_that_jumped_waits(void **state)
{
	(void)state;
	for (unsigned wrong = 0; wrong < 2; wrong++) {
		struct net *net = make_one();

		net_jump_clock(net, wrong, 100 * NET_S);
		expect_undisturbed(net, !wrong, 100000, 0);
		assert_int_equal(net_stats(net, wrong)->state, CLUSTER_JOINING);
		assert_non_null(strstr(cluster_rejoined(net->hosts[wrong].cluster), "s ahead of"));
		// Once it is near, it is caught up with as ever.
		expect_undisturbed(net, !wrong, 100000, COUNTER_NEAR_NS);
		assert_true(net_is_one(net));
		net_end(net);
	}
}

// So does the one whose clock ran ten times as fast, once it does no more.
static void of_two_the_one_that_ran_fast_waits(void **state)
{
	(void)state;
	for (unsigned wrong = 0; wrong < 2; wrong++) {
		struct net *net = make_one();

		net_set_clock(net, wrong, 100);
		expect_undisturbed(net, !wrong, 10000, 2 * NET_S);
		net_set_clock(net, wrong, 10);
		expect_undisturbed(net, !wrong, 60000, 0);
		assert_int_equal(net_stats(net, wrong)->state, CLUSTER_JOINING);
		expect_undisturbed(net, !wrong, 150000, COUNTER_NEAR_NS);
		assert_true(net_is_one(net));
		net_end(net);
	}
}

// A host that is paused as a whole, its clock with it, follows who went on, and once.
static void of_two_the_one_that_was_paused_follows(void **state)
{
	(void)state;
	for (unsigned paused = 0; paused < 2; paused++) {
		struct net *net = make_one();
		struct net_host *h = &net->hosts[paused];
		uint64_t clock_ns = net_clock_ns(net, paused);

		h->stopped = true;
		expect_undisturbed(net, !paused, 300000, 0);
		h->stopped = false;
		h->clock_ns = clock_ns;
		h->at_ns = h->wake_ns = net->now_ns;
		expect_undisturbed(net, !paused, 30000, 0);
		assert_false(net_is_one(net));
		expect_undisturbed(net, !paused, 10000, 0);
		assert_true(net_is_one(net));
		assert_non_null(strstr(cluster_rejoined(h->cluster), "s behind that of host-"));
		net_end(net);
	}
}

// A process that is stopped while its clock goes on is where the other is, and follows nobody.
static void a_stopped_process_is_not_apart(void **state)
{
	struct net *net = make_one();

	(void)state;
	net->hosts[1].stopped = true;
	net_run_ms(net, 300000);
	net->hosts[1].stopped = false;
	net->hosts[1].wake_ns = net->now_ns;
	net_run_ms(net, 60000);
	assert_true(net_is_one(net));
	for (unsigned i = 0; i < 2; i++)
		assert_string_equal(cluster_rejoined(net->hosts[i].cluster), "");
	net_end(net);
}

// Nobody saw which clock was wrong while they were cut off: the one behind follows.
static void two_that_drifted_apart_unseen_become_one(void **state)
{
	(void)state;
	for (unsigned fast = 0; fast < 2; fast++) {
		struct net *net = make_one();

		net_part(net, 1, true);
		net_run_ms(net, 1000);
		net_set_clock(net, fast, 100);
		net_run_ms(net, 20000);
		net_set_clock(net, fast, 10);
		net_run_ms(net, 1000);
		net_part(net, 1, false);
		expect_undisturbed(net, fast, 45000, 0);
		assert_true(net_is_one(net));
		assert_non_null(
			strstr(cluster_rejoined(net->hosts[!fast].cluster), "s behind that of"));
		net_end(net);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paces_are_compared),
		cmocka_unit_test(two_without_company_stay_far_apart),
		cmocka_unit_test(of_two_the_one_that_jumped_waits),
		cmocka_unit_test(of_two_the_one_that_ran_fast_waits),
		cmocka_unit_test(of_two_the_one_that_was_paused_follows),
		cmocka_unit_test(a_stopped_process_is_not_apart),
		cmocka_unit_test(two_that_drifted_apart_unseen_become_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
