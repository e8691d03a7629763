// Connections open at once after a reload, though the peers have not got the new row table yet: no
// CREATE waits for a ROWS that was lost. Proves: P4 (openings wait for nothing but their own
// state).
#include "base/check.h"
#include "net.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

struct installs {
	unsigned count;
	uint64_t at_ns;
	struct flow_record last;
};

static void take(struct net *net, unsigned host, const struct message *message)
{
	struct installs *installs = net->config.context;

	if (host != 1 || message->type != MESSAGE_INSTALL)
		return;
	installs->count++;
	installs->at_ns = net->now_ns;
	installs->last = message->body.record;
}

static struct net *make_one(struct installs *installs, unsigned hosts)
{
	struct net *net = net_make(&(struct net_config){.hosts = hosts,
		.seed = 1,
		.link = {.delay_ns = NET_MS},
		.take = take,
		.context = installs});

	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 1000);
	return net;
}

static void reload(struct net *net, unsigned host)
{
	cluster_set_policy(net->hosts[host].cluster, &net->hosts[host].policy);
	net->hosts[host].wake_ns = net->now_ns;
}

static void open_one(struct net *net, uint32_t number)
{
	static struct message message;

	net_opened(net, 0, number, &message);
	message.node = 1;
	assert_true(net_post(net, 0, &message));
}

// Another connection each millisecond; each is there 1 ms later, and means the same.
static void expect_prompt(struct net *net, struct installs *installs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t said_ns = net->now_ns;
		unsigned before = installs->count;

		open_one(net, 1000 + installs->count);
		net_run_ns(net, NET_MS + NET_MS / 10);
		assert_int_equal(installs->count, before + 1);
		assert_in_range(installs->at_ns - said_ns, NET_MS, NET_MS + NET_MS / 10);
		assert_int_equal(installs->last.service, 0);
	}
}

// Drops what the host sends now.
static void lose_one_turn(struct net *net)
{
	net_cut(net, 0, 1, true);
	net_run_ns(net, NET_MS / 10);
	net_cut(net, 0, 1, false);
}

static void a_lost_table_keeps_nothing_waiting(void **state)
{
	struct installs installs = {0};
	struct net *net = make_one(&installs, 2);
	uint64_t resent;

	(void)state;
	expect_prompt(net, &installs, 3);
	resent = net_peer_stats(net, 0, 1)->resent;
	reload(net, 0);
	lose_one_turn(net);
	expect_prompt(net, &installs, 50);
	assert_int_equal(net_peer_stats(net, 0, 1)->resent, resent + 1);
	assert_int_equal(net_peer_stats(net, 1, 0)->dropped, 0);
	net_end(net);
}

// Nor does the first record that was written under the new table.
static void a_lost_first_record_keeps_nothing_waiting(void **state)
{
	struct installs installs = {0};
	struct net *net = make_one(&installs, 2);

	(void)state;
	reload(net, 0);
	net_run_ms(net, 10);
	open_one(net, 1);
	lose_one_turn(net);
	for (uint16_t port = 100; port < 103; port++) {
		open_one(net, port);
		net_run_ns(net, NET_MS + NET_MS / 10);
		assert_int_equal(installs.count, port - 99);
		assert_int_equal(installs.last.key.outer_port, port);
		assert_int_equal(installs.last.service, 0);
	}
	net_run_ms(net, 1000);
	assert_int_equal(installs.count, 4);
	net_end(net);
}

// Two reloads, of which neither table arrives at first; then what another service covers.
static void lost_tables_keep_nothing_waiting(void **state)
{
	struct installs installs = {0};
	struct net *net = make_one(&installs, 2);

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		net->hosts[0].service.ports[0].low = (uint16_t)(1 + i % 400);
		reload(net, 0);
		lose_one_turn(net);
		net_run_ms(net, i % 3 == 0 ? 1 : 30);
		if (i % 3 != 0)
			expect_prompt(net, &installs, 1);
	}
	net_run_ms(net, 1000);
	expect_prompt(net, &installs, 3);
	assert_int_equal(net_peer_stats(net, 1, 0)->dropped, 0);
	assert_int_equal(net_peer_stats(net, 0, 1)->unsent, 0);
	net_end(net);
}

// A service the former table does not have: its connections wait for the table, and are told right.
static void a_new_service_is_known_by_its_name(void **state)
{
	struct installs installs = {0};
	struct net *net = make_one(&installs, 2);
	struct net_host *h = &net->hosts[0], *other = &net->hosts[1];
	static struct service services[2][2];
	static struct policy policies[2];

	(void)state;
	for (unsigned host = 0; host < 2; host++) {
		struct service *mine = services[host];

		// At the other node its id is another one.
		mine[host] = net->hosts[host].service;
		mine[!host] = net->hosts[host].service;
		snprintf(mine[!host].name, sizeof(mine[!host].name), "mail");
		mine[!host].ports[0] = (struct port_range){25, 25};
		policies[host] = net->hosts[host].policy;
		policies[host].services = mine;
		policies[host].service_count = 2;
		assert_int_equal(
			policy_adopt(&policies[host], host == 0 ? &net->hosts[host].policy : NULL),
			0);
	}
	cluster_set_policy(other->cluster, &policies[1]);
	net_run_ms(net, 100);
	cluster_set_policy(h->cluster, &policies[0]);
	net_cut(net, 0, 1, true);
	net_run_ms(net, 1);
	h->service.id = services[0][1].id; // of "mail"
	open_one(net, 1);
	net_run_ms(net, 1);
	net_cut(net, 0, 1, false);
	net_run_ms(net, 1000);
	assert_int_equal(installs.count, 1);
	assert_int_equal(installs.last.service, services[1][0].id);
	assert_string_equal(policy_service(&policies[1], installs.last.service)->name, "mail");
	net_end(net);
}

// Generations run out and begin again, while a peer that hears nothing still has an old table.
static void generations_wrap(void **state)
{
	struct installs installs = {0};
	struct net *net = make_one(&installs, 3);

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		net_cut(net, 0, 2, true);
		for (unsigned i = 0; i < 254 + round; i++) {
			reload(net, 0);
			net_run_ms(net, 3);
		}
		net_cut(net, 0, 2, false);
		net_run_ms(net, 2000);
		expect_prompt(net, &installs, 2);
		assert_int_equal(net_peer_stats(net, 2, 0)->dropped, 0);
		assert_int_equal(net_peer_stats(net, 1, 0)->dropped, 0);
	}
	net_end(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_table_keeps_nothing_waiting),
		cmocka_unit_test(a_lost_first_record_keeps_nothing_waiting),
		cmocka_unit_test(lost_tables_keep_nothing_waiting),
		cmocka_unit_test(a_new_service_is_known_by_its_name),
		cmocka_unit_test(generations_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
