// What waits for company on its way to a peer, and what does not. Proves: what is asked of the
// bytes of an update.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net.h"

#define STEP_NS	 10000
#define CHANGES	 50
#define DELAY_NS 20000

static struct net *pair_of_nodes(void)
{
	struct net *net =
		net_make(&(struct net_config){.hosts = 2, .seed = 1, .link.delay_ns = DELAY_NS});

	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 20);
	return net;
}

static uint64_t bytes_sent(const struct net *net)
{
	return counter_get(&net_peer_stats(net, 0, 1)->tx_bytes);
}

// Changes that come one by one share a record, and are there in time.
static void changes_travel_together(void **state)
{
	struct net *net = pair_of_nodes();
	struct message *message = calloc(1, sizeof(*message));
	uint64_t bytes = bytes_sent(net);

	(void)state;
	for (uint32_t i = 0; i < CHANGES; i++) {
		net_changed(net, 0, i, message);
		assert_true(net_post(net, 0, message));
		net_run_ns(net, STEP_NS);
	}
	assert_int_equal(net->hosts[1].took[MESSAGE_CHANGED], 0);
	net_run_ns(net, NET_MS);
	assert_int_equal(net->hosts[1].took[MESSAGE_CHANGED], CHANGES);
	// One record, and room for a heartbeat.
	assert_true(bytes_sent(net) - bytes < CHANGES * 7 + 250);
	free(message);
	net_end(net);
}

// A new flow does not wait, and takes along the changes before it.
static void an_opened_flow_leaves_at_once(void **state)
{
	struct net *net = pair_of_nodes();
	struct message *message = calloc(1, sizeof(*message));

	(void)state;
	net_changed(net, 0, 1, message);
	assert_true(net_post(net, 0, message));
	net_run_ns(net, STEP_NS);
	assert_int_equal(net->hosts[1].took[MESSAGE_CHANGED], 0);
	net_opened(net, 0, 2, message);
	assert_true(net_post(net, 0, message));
	net_run_ns(net, DELAY_NS + STEP_NS);
	assert_int_equal(net->hosts[1].took[MESSAGE_INSTALL], 1);
	assert_int_equal(net->hosts[1].took[MESSAGE_CHANGED], 1);
	free(message);
	net_end(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_travel_together),
		cmocka_unit_test(an_opened_flow_leaves_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
