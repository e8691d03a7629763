// Proves: M1 (a forbidden SYN is found by the rules), C7 (ordered list, first match wins, the last
// one denies).
#include "rule/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OUTSIDE 0
#define INSIDE	1
#define ICMP	1
#define TCP	6
#define UDP	17
#define GRE	47
#define ICMP6	58

static struct prefix prefix(const char *text)
{
	struct prefix out;

	assert_int_equal(prefix_parse(&out, text), 0);
	return out;
}

static struct rule_row row(const char *src, const char *dst, enum rule_protocol protocol)
{
	return (struct rule_row){.src = prefix(src),
		.dst = prefix(dst),
		.sport_high = UINT16_MAX,
		.dport_high = UINT16_MAX,
		.protocol = (uint8_t)protocol};
}

static struct rule_query query(
	const char *src, const char *dst, uint8_t protocol, uint16_t dport, uint8_t side)
{
	struct rule_query out = {.dport = dport, .protocol = protocol, .side = side};

	if (protocol == TCP || protocol == UDP)
		out.sport = 40000;
	assert_int_equal(addr_parse(&out.src, src), 0);
	assert_int_equal(addr_parse(&out.dst, dst), 0);
	return out;
}

static struct rule_decision decide(
	const struct rule_row *rows, uint32_t count, struct rule_query one)
{
	struct classifier classifier = {
		.ops = &classifier_linear, .rows = rows, .row_count = count};
	struct rule_decision decision;

	classifier_decide(&classifier, &one, &decision, 1);
	classifier.ops->destroy(&classifier);
	return decision;
}

static bool matches(const struct rule_row *one, struct rule_query against)
{
	return rule_row_matches(one, &against);
}

static void nothing_matches_an_empty_list(void **state)
{
	struct rule_decision decision =
		decide(NULL, 0, query("192.0.2.1", "198.51.100.1", TCP, 80, OUTSIDE));

	assert_int_equal(decision.rule, RULE_DEFAULT);
	assert_false(decision.allow);
	assert_false(decision.is_signed);
	(void)state;
}

static void what_no_row_matches_is_denied(void **state)
{
	struct rule_row rows[] = {row("any", "198.51.100.0/24", RULE_TCP)};

	assert_true(decide(rows, 1, query("192.0.2.1", "198.51.100.1", TCP, 80, OUTSIDE)).allow);
	assert_false(decide(rows, 1, query("192.0.2.1", "198.51.101.1", TCP, 80, OUTSIDE)).allow);
	assert_int_equal(decide(rows, 1, query("192.0.2.1", "198.51.101.1", TCP, 80, OUTSIDE)).rule,
		RULE_DEFAULT);
	(void)state;
}

static void the_first_match_wins(void **state)
{
	struct rule_row rows[] = {
		row("192.0.2.7/32", "any", RULE_ANY),
		row("192.0.2.0/24", "any", RULE_ANY),
		row("any", "any", RULE_ANY),
	};
	struct rule_decision decision;

	rows[0].action = RULE_DENY;
	rows[1].action = RULE_ALLOW;
	rows[2].action = RULE_DENY;
	for (uint32_t i = 0; i < 3; i++)
		rows[i].rule = 10 + i;
	decision = decide(rows, 3, query("192.0.2.7", "198.51.100.1", TCP, 80, OUTSIDE));
	assert_false(decision.allow);
	assert_int_equal(decision.rule, 10);
	decision = decide(rows, 3, query("192.0.2.8", "198.51.100.1", TCP, 80, OUTSIDE));
	assert_true(decision.allow);
	assert_int_equal(decision.rule, 11);
	decision = decide(rows, 3, query("192.0.3.8", "198.51.100.1", TCP, 80, OUTSIDE));
	assert_false(decision.allow);
	assert_int_equal(decision.rule, 12);
	(void)state;
}

static void each_query_of_a_batch_has_its_own_decision(void **state)
{
	struct rule_row rows[] = {row("any", "any", RULE_UDP), row("any", "any", RULE_TCP)};
	struct classifier classifier = {.ops = &classifier_linear, .rows = rows, .row_count = 2};
	struct rule_query queries[70];
	struct rule_decision decisions[70];

	rows[0].action = RULE_DENY;
	rows[1].rule = 1;
	for (unsigned i = 0; i < 70; i++)
		queries[i] = query("192.0.2.1", "192.0.2.2", i % 3 == 0 ? TCP : UDP, 1, INSIDE);
	classifier_decide(&classifier, queries, decisions, 70);
	for (unsigned i = 0; i < 70; i++) {
		assert_int_equal(decisions[i].allow, i % 3 == 0);
		assert_int_equal(decisions[i].rule, i % 3 == 0);
	}
	(void)state;
}

static void direction(void **state)
{
	struct rule_row one = row("any", "any", RULE_ANY);
	struct rule_query outside = query("192.0.2.1", "192.0.2.2", TCP, 80, OUTSIDE);
	struct rule_query inside = query("192.0.2.1", "192.0.2.2", TCP, 80, INSIDE);

	assert_true(matches(&one, outside));
	assert_true(matches(&one, inside));
	one.from = RULE_FROM_OUTSIDE;
	assert_true(matches(&one, outside));
	assert_false(matches(&one, inside));
	one.from = RULE_FROM_INSIDE;
	assert_false(matches(&one, outside));
	assert_true(matches(&one, inside));
	(void)state;
}

static void protocols(void **state)
{
	static const uint8_t numbers[] = {ICMP, TCP, UDP, GRE};
	struct rule_row rows[] = {row("any", "any", RULE_ICMP), row("any", "any", RULE_TCP),
		row("any", "any", RULE_UDP), row("any", "any", RULE_OTHER)};
	struct rule_row any = row("any", "any", RULE_ANY);

	rows[3].number = GRE;
	for (unsigned i = 0; i < 4; i++) {
		struct rule_query one = query("192.0.2.1", "192.0.2.2", numbers[i], 8, OUTSIDE);

		assert_true(matches(&any, one));
		for (unsigned j = 0; j < 4; j++)
			assert_int_equal(matches(&rows[j], one), i == j);
	}
	(void)state;
}

static void icmp_is_that_of_the_family(void **state)
{
	struct rule_row one = row("any", "any", RULE_ICMP);

	assert_true(matches(&one, query("192.0.2.1", "192.0.2.2", ICMP, 8, OUTSIDE)));
	assert_false(matches(&one, query("192.0.2.1", "192.0.2.2", ICMP6, 8, OUTSIDE)));
	assert_true(matches(&one, query("2001:db8::1", "2001:db8::2", ICMP6, 128, OUTSIDE)));
	assert_false(matches(&one, query("2001:db8::1", "2001:db8::2", ICMP, 128, OUTSIDE)));
	(void)state;
}

static void icmp_types(void **state)
{
	struct rule_row echo4 = row("any", "any", RULE_ICMP);
	struct rule_row echo6 = row("any", "any", RULE_ICMP);

	echo4.dport_low = echo4.dport_high = 8;
	echo6.dport_low = echo6.dport_high = 128;
	assert_true(matches(&echo4, query("192.0.2.1", "192.0.2.2", ICMP, 8, OUTSIDE)));
	assert_false(matches(&echo4, query("192.0.2.1", "192.0.2.2", ICMP, 13, OUTSIDE)));
	assert_false(matches(&echo4, query("2001:db8::1", "2001:db8::2", ICMP6, 128, OUTSIDE)));
	assert_true(matches(&echo6, query("2001:db8::1", "2001:db8::2", ICMP6, 128, OUTSIDE)));
	assert_false(matches(&echo6, query("2001:db8::1", "2001:db8::2", ICMP6, 135, OUTSIDE)));
	(void)state;
}

static void port_ranges_include_both_ends(void **state)
{
	struct rule_row one = row("any", "any", RULE_TCP);

	one.dport_low = 80;
	one.dport_high = 443;
	assert_false(matches(&one, query("192.0.2.1", "192.0.2.2", TCP, 79, OUTSIDE)));
	assert_true(matches(&one, query("192.0.2.1", "192.0.2.2", TCP, 80, OUTSIDE)));
	assert_true(matches(&one, query("192.0.2.1", "192.0.2.2", TCP, 443, OUTSIDE)));
	assert_false(matches(&one, query("192.0.2.1", "192.0.2.2", TCP, 444, OUTSIDE)));
	(void)state;
}

static void source_ports(void **state)
{
	struct rule_row one = row("any", "any", RULE_UDP);
	struct rule_query from_40000 = query("192.0.2.1", "192.0.2.2", UDP, 53, OUTSIDE);

	one.sport_low = one.sport_high = 40000;
	assert_true(matches(&one, from_40000));
	one.sport_low = one.sport_high = 40001;
	assert_false(matches(&one, from_40000));
	one.sport_low = 0;
	assert_true(matches(&one, from_40000));
	one.sport_high = 39999;
	assert_false(matches(&one, from_40000));
	(void)state;
}

static void prefixes_of_both_families(void **state)
{
	struct rule_row four = row("192.0.2.0/25", "198.51.100.10/32", RULE_ANY);
	struct rule_row six = row("2001:db8:1::/48", "2001:db8:2::/64", RULE_ANY);

	assert_true(matches(&four, query("192.0.2.127", "198.51.100.10", TCP, 1, OUTSIDE)));
	assert_false(matches(&four, query("192.0.2.128", "198.51.100.10", TCP, 1, OUTSIDE)));
	assert_false(matches(&four, query("192.0.2.127", "198.51.100.11", TCP, 1, OUTSIDE)));
	assert_true(matches(&six, query("2001:db8:1:ffff::1", "2001:db8:2::9", TCP, 1, OUTSIDE)));
	assert_false(matches(&six, query("2001:db8:2::1", "2001:db8:2::9", TCP, 1, OUTSIDE)));
	assert_false(matches(&six, query("2001:db8:1::1", "2001:db8:2:1::9", TCP, 1, OUTSIDE)));
	(void)state;
}

static void a_default_route_is_of_one_family(void **state)
{
	struct rule_row four = row("0.0.0.0/0", "any", RULE_ANY);
	struct rule_row six = row("::/0", "any", RULE_ANY);
	struct rule_query of_four = query("192.0.2.1", "192.0.2.2", TCP, 1, OUTSIDE);
	struct rule_query of_six = query("2001:db8::1", "2001:db8::2", TCP, 1, OUTSIDE);

	assert_true(matches(&four, of_four));
	assert_false(matches(&four, of_six));
	assert_false(matches(&six, of_four));
	assert_true(matches(&six, of_six));
	(void)state;
}

static void a_decision_says_signed(void **state)
{
	struct rule_row rows[] = {
		row("192.0.2.0/24", "any", RULE_TCP), row("any", "any", RULE_TCP)};

	rows[0].is_signed = true;
	assert_true(decide(rows, 2, query("192.0.2.1", "192.0.2.2", TCP, 179, OUTSIDE)).is_signed);
	assert_false(decide(rows, 2, query("192.0.3.1", "192.0.2.2", TCP, 179, OUTSIDE)).is_signed);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_matches_an_empty_list),
		cmocka_unit_test(what_no_row_matches_is_denied),
		cmocka_unit_test(the_first_match_wins),
		cmocka_unit_test(each_query_of_a_batch_has_its_own_decision),
		cmocka_unit_test(direction),
		cmocka_unit_test(protocols),
		cmocka_unit_test(icmp_is_that_of_the_family),
		cmocka_unit_test(icmp_types),
		cmocka_unit_test(port_ranges_include_both_ends),
		cmocka_unit_test(source_ports),
		cmocka_unit_test(prefixes_of_both_families),
		cmocka_unit_test(a_default_route_is_of_one_family),
		cmocka_unit_test(a_decision_says_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
