// Proves: C7 (rules from the file decide), M1. The policy a configuration makes.
#include "text.h"

static struct rule_decision decide(const struct policy *policy, const char *src, const char *dst,
	uint8_t protocol, uint16_t dport, enum side side)
{
	struct rule_query query = {.protocol = protocol, .dport = dport, .side = (uint8_t)side};
	struct rule_decision decision;

	if (protocol == 6 || protocol == 17)
		query.sport = 40000;
	assert_int_equal(addr_parse(&query.src, src), 0);
	assert_int_equal(addr_parse(&query.dst, dst), 0);
	classifier_decide(&policy->classifier, &query, &decision, 1);
	return decision;
}

static void without_rules_everything_is_denied(void **state)
{
	struct config *config = text_accept(MINIMAL, NULL, 0);
	struct rule_decision decision =
		decide(config->policy, "192.0.2.1", "198.51.100.1", 6, 80, SIDE_INSIDE);

	assert_false(decision.allow);
	assert_int_equal(decision.rule, RULE_DEFAULT);
	assert_int_equal(config->policy->rule_count, 0);
	assert_int_equal(config->policy->service_count, 0);
	config_free(config);
	(void)state;
}

// The table's defaults and policy_init() must not drift apart.
static void defaults_are_those_of_an_empty_policy(void **state)
{
	struct config *config = text_accept(MINIMAL, NULL, 0);
	struct policy empty;

	policy_init(&empty);
	assert_memory_equal(&config->policy->limits, &empty.limits, sizeof(empty.limits));
	assert_memory_equal(&config->policy->timeouts, &empty.timeouts, sizeof(empty.timeouts));
	assert_int_equal(config->policy->fragments, empty.fragments);
	assert_int_equal(config->policy->eviction, empty.eviction);
	assert_ptr_equal(config->policy->classifier.ops, &classifier_linear);
	config_free(config);
	(void)state;
}

static void limits_and_timeouts(void **state)
{
	struct config *config = text_accept(MINIMAL
		"limits = { per_prefix_flows = 1; prefix4 = 32; prefix6 = 128; "
		"queue_total_bytes = 5000000000L; bad_ack_per_s = 2; bad_ack_prefix_per_s = 3; "
		"reset_per_s = 4; };\n"
		"timeouts = { established_s = 1; transitory_s = 2; udp_s = 3; icmp_s = 4; "
		"time_wait_s = 5; server_syn_retries = 0; server_syn_ms = 100; below_floor = true; "
		"};\n"
		"fragments = \"pass\"; flows = { eviction = \"never\"; };",
		NULL, 0);
	const struct policy *policy = config->policy;

	assert_int_equal(policy->limits.per_prefix_flows, 1);
	assert_int_equal(policy->limits.prefix4, 32);
	assert_int_equal(policy->limits.prefix6, 128);
	assert_int_equal(policy->limits.queue_total_bytes, 5000000000);
	assert_int_equal(policy->limits.bad_ack_per_s, 2);
	assert_int_equal(policy->limits.bad_ack_prefix_per_s, 3);
	assert_int_equal(policy->limits.reset_per_s, 4);
	assert_int_equal(policy->timeouts.established_s, 1);
	assert_int_equal(policy->timeouts.transitory_s, 2);
	assert_int_equal(policy->timeouts.udp_s, 3);
	assert_int_equal(policy->timeouts.icmp_s, 4);
	assert_int_equal(policy->timeouts.time_wait_s, 5);
	assert_int_equal(policy->timeouts.server_syn_retries, 0);
	assert_int_equal(policy->timeouts.server_syn_ms, 100);
	assert_int_equal(policy->fragments, FRAGMENTS_PASS);
	assert_int_equal(policy->eviction, EVICTION_NEVER);
	config_free(config);
	(void)state;
}

static void the_rules_of_the_shipped_file(void **state)
{
	char *text = text_read(CFG_CONF_FOLDER "/single.cfg");
	struct config *config = text_accept(text, NULL, 0);
	const struct policy *policy = config->policy;
	struct rule_decision decision;

	decision = decide(policy, "192.0.2.10", "198.51.100.10", 6, 80, SIDE_OUTSIDE);
	assert_true(decision.allow);
	assert_string_equal(policy_rule_name(policy, decision.rule), "servers");
	decision = decide(policy, "2001:db8:1::10", "2001:db8:2::10", 6, 65535, SIDE_OUTSIDE);
	assert_string_equal(policy_rule_name(policy, decision.rule), "servers");
	decision = decide(policy, "2001:db8:1::10", "2001:db8:2::10", 58, 128, SIDE_OUTSIDE);
	assert_string_equal(policy_rule_name(policy, decision.rule), "ping");
	decision = decide(policy, "198.51.100.10", "192.0.2.10", 17, 53, SIDE_INSIDE);
	assert_string_equal(policy_rule_name(policy, decision.rule), "out");
	decision = decide(policy, "192.0.2.10", "198.51.100.10", 17, 53, SIDE_OUTSIDE);
	assert_false(decision.allow);
	assert_string_equal(policy_rule_name(policy, decision.rule), "default");
	decision = decide(policy, "192.0.2.10", "198.51.101.10", 6, 80, SIDE_OUTSIDE);
	assert_false(decision.allow);
	config_free(config);
	free(text);
	(void)state;
}

static void the_service_of_the_shipped_file(void **state)
{
	char *text = text_read(CFG_CONF_FOLDER "/single.cfg");
	struct config *config = text_accept(text, NULL, 0);
	const struct service *service = config->policy->services;

	assert_int_equal(config->policy->service_count, 1);
	assert_string_equal(service->name, "lab");
	assert_int_equal(service->to_count, 2);
	assert_int_equal(service->protocol, RULE_TCP);
	assert_int_equal(service->from, RULE_FROM_OUTSIDE);
	assert_int_equal(service->mode, MODE_PROXY);
	assert_int_equal(service->port_count, 1);
	assert_int_equal(service->ports[0].low, 1);
	assert_int_equal(service->ports[0].high, 65535);
	assert_int_equal(service->queue_bytes, 16384);
	assert_int_equal(service->flows_max, 0);
	assert_int_equal(service->profile.mss, 1460);
	assert_int_equal(service->profile.wscale, 7);
	assert_true(service->profile.sack);
	assert_false(service->profile.timestamps);
	assert_false(service->profile.ecn);
	assert_int_equal(service->profile.known, 0);
	assert_true(service->learn);
	config_free(config);
	free(text);
	(void)state;
}

static void a_service_has_several_ranges(void **state)
{
	struct config *config = text_accept(MINIMAL
		"services = ( { name = \"a\"; to = \"any\"; ports = \"80, 443,8000-8080\"; },\n"
		"{ name = \"b\"; to = \"any\"; ports = [ 80, 443 ]; },\n"
		"{ name = \"c\"; to = \"any\"; } );",
		NULL, 0);
	const struct service *services = config->policy->services;
	char *dump = config_dump(config);

	assert_int_equal(services[0].port_count, 3);
	assert_int_equal(services[0].ports[0].high, 80);
	assert_int_equal(services[0].ports[1].low, 443);
	assert_int_equal(services[0].ports[2].low, 8000);
	assert_int_equal(services[0].ports[2].high, 8080);
	assert_int_equal(services[1].port_count, 2);
	assert_int_equal(services[2].port_count, 1);
	assert_int_equal(services[2].ports[0].high, 65535);
	assert_non_null(strstr(dump, "ports = \"80,443,8000-8080\";"));
	free(dump);
	config_free(config);
	(void)state;
}

static void a_profile_group_ends_learning(void **state)
{
	struct config *config = text_accept(MINIMAL
		"services = ( { name = \"s\"; to = \"any\"; mss = 1400; flows_max = 7;\n"
		"profile = { wscale = 15; sack = false; timestamps = true; ecn = true; }; },\n"
		"{ name = \"e\"; to = [ \"192.0.2.1\" ]; profile = {}; } );",
		NULL, 0);
	const struct service *services = config->policy->services;

	assert_false(services[0].learn);
	assert_int_equal(services[0].flows_max, 7);
	assert_int_equal(services[0].profile.mss, 1400);
	assert_int_equal(services[0].profile.wscale, OPTIONS_WSCALE_NONE);
	assert_false(services[0].profile.sack);
	assert_true(services[0].profile.timestamps);
	assert_true(services[0].profile.ecn);
	assert_int_equal(services[0].to[0].family, 0);
	assert_false(services[1].learn);
	assert_int_equal(services[1].profile.wscale, 7);
	config_free(config);
	(void)state;
}

static void rows_are_the_product_of_a_rule(void **state)
{
	struct config *config = text_accept(MINIMAL
		"rules = ( { name = \"r\"; source = [ \"192.0.2.0/24\", \"2001:db8::/32\", \"any\" "
		"];\n"
		"to = [ \"198.51.100.1\", \"2001:db8:2::/64\" ]; protocol = \"tcp\";\n"
		"ports = \"80,443,8000-8080\"; source_ports = \"1024-65535\"; action = \"allow\"; "
		"},\n"
		"{ name = \"n\"; action = \"deny\"; } );",
		NULL, 0);
	const struct policy *policy = config->policy;

	// Pairs of one family: 4-4, 6-6, any-4, any-6; three ranges each; one row for the second.
	assert_int_equal(policy->row_count, 4 * 3 + 1);
	assert_int_equal(policy->rule_count, 2);
	assert_int_equal(policy->rules[1].action, RULE_DENY);
	assert_true(decide(policy, "203.0.113.1", "198.51.100.1", 6, 8080, SIDE_INSIDE).allow);
	assert_false(decide(policy, "203.0.113.1", "198.51.100.1", 6, 8081, SIDE_INSIDE).allow);
	assert_false(decide(policy, "203.0.113.1", "198.51.100.2", 6, 80, SIDE_INSIDE).allow);
	assert_int_equal(decide(policy, "203.0.113.1", "198.51.100.2", 6, 80, SIDE_INSIDE).rule, 1);
	config_free(config);
	(void)state;
}

static void icmp_types_and_protocol_numbers(void **state)
{
	struct config *config = text_accept(MINIMAL
		"rules = ( { name = \"echo\"; protocol = \"icmp\"; icmp_types = [ 8, 128 ]; "
		"action = \"allow\"; },\n"
		"{ name = \"gre\"; protocol = 47; action = \"allow\"; },\n"
		"{ name = \"esp\"; protocol = \"50\"; action = \"allow\"; },\n"
		"{ name = \"tcp\"; protocol = 6; ports = 22; action = \"allow\"; } );",
		NULL, 0);
	const struct policy *policy = config->policy;

	assert_int_equal(policy->row_count, 5);
	assert_true(decide(policy, "192.0.2.1", "192.0.2.2", 1, 8, SIDE_OUTSIDE).allow);
	assert_false(decide(policy, "192.0.2.1", "192.0.2.2", 1, 13, SIDE_OUTSIDE).allow);
	assert_true(decide(policy, "2001:db8::1", "2001:db8::2", 58, 128, SIDE_OUTSIDE).allow);
	assert_false(decide(policy, "2001:db8::1", "2001:db8::2", 58, 135, SIDE_OUTSIDE).allow);
	assert_true(decide(policy, "192.0.2.1", "192.0.2.2", 47, 0, SIDE_OUTSIDE).allow);
	assert_true(decide(policy, "192.0.2.1", "192.0.2.2", 50, 0, SIDE_OUTSIDE).allow);
	assert_false(decide(policy, "192.0.2.1", "192.0.2.2", 51, 0, SIDE_OUTSIDE).allow);
	assert_true(decide(policy, "192.0.2.1", "192.0.2.2", 6, 22, SIDE_OUTSIDE).allow);
	assert_false(decide(policy, "192.0.2.1", "192.0.2.2", 6, 23, SIDE_OUTSIDE).allow);
	config_free(config);
	(void)state;
}

static void signed_connections(void **state)
{
	struct config *config = text_accept(MINIMAL
		"rules = ( { name = \"bgp\"; protocol = \"tcp\"; ports = \"179\"; signed = true; "
		"action = \"allow\"; }, { name = \"all\"; action = \"allow\"; } );",
		NULL, 0);

	assert_true(
		decide(config->policy, "192.0.2.1", "192.0.2.2", 6, 179, SIDE_OUTSIDE).is_signed);
	assert_false(
		decide(config->policy, "192.0.2.1", "192.0.2.2", 6, 80, SIDE_OUTSIDE).is_signed);
	config_free(config);
	(void)state;
}

// One rule with `count` times `count` pairs of prefixes.
static char *square_rule(unsigned count)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fprintf(out, "%s rules = ( { name = \"r\"; action = \"deny\"; source = [ ", MINIMAL);
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "%s\"10.%u.%u.0/24\"", i ? "," : "", i >> 8, i & 255);
	fprintf(out, " ]; to = [ ");
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "%s\"10.%u.%u.0/24\"", i ? "," : "", i >> 8, i & 255);
	fprintf(out, " ]; } );");
	fclose(out);
	return text;
}

static void rows_are_bounded(void **state)
{
	char *text = square_rule(256);
	struct config *config = text_accept(text, NULL, 0);

	assert_int_equal(config->policy->row_count, 65536);
	config_free(config);
	free(text);
	text = square_rule(257);
	text_refuse(text, NULL, 0,
		"t.cfg:4: rules: the rules make more than 65536 rows of one source, destination "
		"and range");
	free(text);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_everything_is_denied),
		cmocka_unit_test(defaults_are_those_of_an_empty_policy),
		cmocka_unit_test(limits_and_timeouts),
		cmocka_unit_test(the_rules_of_the_shipped_file),
		cmocka_unit_test(the_service_of_the_shipped_file),
		cmocka_unit_test(a_service_has_several_ranges),
		cmocka_unit_test(a_profile_group_ends_learning),
		cmocka_unit_test(rows_are_the_product_of_a_rule),
		cmocka_unit_test(icmp_types_and_protocol_numbers),
		cmocka_unit_test(signed_connections),
		cmocka_unit_test(rows_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
