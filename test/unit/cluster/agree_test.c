// Two nodes that do not handle a connection alike break it: what of their services differs is told,
// at both, and no longer once it does not.
#include "cluster/agree.h"
#include "net.h"
#include "update_fixture.h"

#include "base/check.h"

#define TEXT_BYTES 192

// The tables of a policy `mine` here, and of `other` at pop-b.
static unsigned compare(const struct policy *mine, const struct policy *other, char *text)
{
	static struct rows own, theirs;

	rows_build(&own, mine, 1);
	rows_build(&theirs, other, 7);
	rows_adopt(&theirs, mine);
	return rows_differ(&own, &theirs, "pop-b", text, TEXT_BYTES);
}

struct two {
	struct policy mine, other;
};

static void make_two(struct two *two, uint16_t count)
{
	fixture_policy(&two->mine, count);
	fixture_policy(&two->other, count);
}

static void end_two(struct two *two)
{
	policy_finish(&two->mine);
	policy_finish(&two->other);
}

static void expect(const struct two *two, unsigned count, const char *text)
{
	char found[TEXT_BYTES] = "?";

	assert_int_equal(compare(&two->mine, &two->other, found), count);
	assert_string_equal(found, text);
}

static void same_services_agree(void **state)
{
	struct two two;

	(void)state;
	make_two(&two, 3);
	for (unsigned i = 0; i < 2; i++) {
		struct service *service = i ? &two.mine.services[1] : &two.other.services[1];

		// In another order, and of other things than what connections are carried by.
		service->to[i] = fixture_prefix("198.51.100.0/24");
		service->to[!i] = fixture_prefix("2001:db8:2::/64");
		service->to_count = 2;
		service->profile.mss = (uint16_t)(1000 + i);
	}
	expect(&two, 0, "");
	// Ids are each node's own.
	snprintf(two.other.services[0].name, SERVICE_NAME_BYTES, "service-2");
	snprintf(two.other.services[2].name, SERVICE_NAME_BYTES, "service-0");
	expect(&two, 0, "");
	end_two(&two);
}

static void modes_sides_ports_and_prefixes(void **state)
{
	struct two two;

	(void)state;
	make_two(&two, 3);
	two.mine.services[2].to[0] = fixture_prefix("198.51.100.0/24");
	expect(&two, 1, "service service-2: ports/prefixes differ");
	two.other.services[2].to[0] = fixture_prefix("198.51.100.0/25");
	expect(&two, 1, "service service-2: ports/prefixes differ");
	two.other.services[2].to[0] = fixture_prefix("198.51.101.0/24");
	expect(&two, 1, "service service-2: ports/prefixes differ");
	two.other.services[2].to[0] = two.mine.services[2].to[0];
	two.other.services[2].to[1] = fixture_prefix("203.0.113.7");
	two.other.services[2].to_count = 2; // one more
	expect(&two, 1, "service service-2: ports/prefixes differ");
	two.other.services[1].from = RULE_FROM_INSIDE;
	expect(&two, 2, "service service-1: the side of clients differs");
	two.mine.services[0].mode = MODE_TRACK;
	expect(&two, 3, "service service-0: mode track here, proxy at pop-b");
	two.mine.services[0].mode = MODE_PROXY;
	two.mine.services[0].ports[0].low = 80;
	expect(&two, 3, "service service-0: ports/prefixes differ");
	end_two(&two);
}

static void services_of_one_side(void **state)
{
	struct two two;

	(void)state;
	make_two(&two, 3);
	two.mine.services[1].mode = MODE_BYPASS; // there, and keeps no flows
	expect(&two, 1, "service service-1 is only at pop-b");
	two.other.services[1].mode = MODE_BYPASS;
	expect(&two, 0, "");
	two.mine.services[1].mode = MODE_PROXY;
	expect(&two, 1, "service service-1 is only here");
	// A name from the wire may be anything; all rows of a service count once.
	snprintf(two.other.services[2].name, SERVICE_NAME_BYTES, "\033[2J\377");
	two.other.services[2].to_count = 2;
	expect(&two, 3, "service service-1 is only here");
	snprintf(two.mine.services[1].name, SERVICE_NAME_BYTES, "service-0");
	two.mine.service_count = 1;
	expect(&two, 1, "service ?[2J? is only at pop-b");
	end_two(&two);
}

static void tables_that_lack_something(void **state)
{
	static const struct rows unknown;
	static struct rows own;
	char text[TEXT_BYTES] = "?";
	struct two two;

	(void)state;
	make_two(&two, 200);
	rows_build(&own, &two.mine, 1);
	assert_int_equal(rows_differ(&own, &unknown, "pop-b", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(rows_differ(&unknown, &own, "pop-b", text, sizeof(text)), 0);
	// Both tables are full: which rows there are says nothing.
	two.other.services[0].to_count = 2;
	expect(&two, 0, "");
	two.other.services[0].mode = MODE_MSYN;
	expect(&two, 1, "service service-0: mode proxy here, msyn at pop-b");
	two.other.service_count = 0;
	expect(&two, 200, "service service-0 is only here");
	end_two(&two);
}

// --- of two nodes ---

static const char *differs(const struct net *net, unsigned host)
{
	return cluster_peer_differs(net->hosts[host].cluster, net_peer(host, !host));
}

static void reload(struct net *net, unsigned host)
{
	cluster_set_policy(net->hosts[host].cluster, &net->hosts[host].policy);
	net->hosts[host].wake_ns = net->now_ns;
}

static void both_nodes_tell_until_it_is_over(void **state)
{
	struct net *net =
		net_make(&(struct net_config){.hosts = 2, .seed = 1, .link = {.delay_ns = NET_MS}});

	(void)state;
	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 1000);
	assert_string_equal(differs(net, 0), "");
	assert_string_equal(differs(net, 1), "");
	net->hosts[0].service.mode = MODE_TRACK;
	reload(net, 0);
	assert_non_null(strstr(differs(net, 0), "service web: mode track here, proxy at "));
	net_run_ms(net, 100);
	assert_non_null(strstr(differs(net, 1), "service web: mode proxy here, track at "));
	snprintf(net->hosts[1].service.name, SERVICE_NAME_BYTES, "mail");
	reload(net, 1);
	net_run_ms(net, 100);
	for (unsigned host = 0; host < 2; host++)
		assert_non_null(strstr(differs(net, host), " is only here (and 1 more)"));
	// Nobody who begins another life as another is blamed for the former one.
	net_crash(net, 1);
	snprintf(net->hosts[1].service.name, SERVICE_NAME_BYTES, "web");
	net->hosts[1].service.mode = MODE_TRACK;
	net_boot(net, 1);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 1000);
	assert_string_equal(differs(net, 0), "");
	assert_string_equal(differs(net, 1), "");
	net_end(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_services_agree),
		cmocka_unit_test(modes_sides_ports_and_prefixes),
		cmocka_unit_test(services_of_one_side),
		cmocka_unit_test(tables_that_lack_something),
		cmocka_unit_test(both_nodes_tell_until_it_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
