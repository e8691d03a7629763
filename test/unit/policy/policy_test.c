#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool allows(const struct policy *policy)
{
	struct rule_query query = {.protocol = 6, .dport = 80};
	struct rule_decision decision;

	assert_int_equal(addr_parse(&query.src, "192.0.2.1"), 0);
	assert_int_equal(addr_parse(&query.dst, "198.51.100.1"), 0);
	classifier_decide(&policy->classifier, &query, &decision, 1);
	return decision.allow;
}

static void a_new_policy_denies_everything(void **state)
{
	struct policy policy;

	memset(&policy, 0xff, sizeof(policy));
	policy_init(&policy);
	assert_false(allows(&policy));
	assert_int_equal(policy.rule_count, 0);
	assert_int_equal(policy.service_count, 0);
	assert_false(policy.clustered);
	policy_finish(&policy);
	(void)state;
}

// Proves: TCP.md 9, the floors are met by default.
static void t9_defaults_meet_the_floors(void **state)
{
	struct policy policy;

	policy_init(&policy);
	assert_true(policy.timeouts.established_s >= 2 * 3600 + 4 * 60);
	assert_true(policy.timeouts.transitory_s >= 4 * 60);
	assert_true(policy.timeouts.udp_s >= 2 * 60);
	assert_true(policy.timeouts.icmp_s >= 60);
	assert_true(policy.timeouts.time_wait_s >= 120);
	assert_int_equal(policy.limits.prefix4, 24);
	assert_int_equal(policy.limits.prefix6, 56);
	assert_int_equal(policy.fragments, FRAGMENTS_DROP);
	policy_finish(&policy);
	(void)state;
}

static void rules_have_names(void **state)
{
	struct policy policy;

	policy_init(&policy);
	policy.rules = calloc(2, sizeof(*policy.rules));
	assert_non_null(policy.rules);
	policy.rule_count = 2;
	snprintf(policy.rules[1].name, RULE_NAME_BYTES, "ping");
	assert_string_equal(policy_rule_name(&policy, 1), "ping");
	assert_string_equal(policy_rule_name(&policy, RULE_DEFAULT), "default");
	assert_string_equal(policy_rule_name(&policy, 2), "unknown");
	policy_finish(&policy);
	(void)state;
}

static void a_finished_policy_denies_and_may_be_finished_again(void **state)
{
	struct policy policy;

	policy_init(&policy);
	policy.rows = calloc(1, sizeof(*policy.rows));
	policy.services = calloc(1, sizeof(*policy.services));
	assert_non_null(policy.rows);
	policy.rows[0].sport_high = policy.rows[0].dport_high = UINT16_MAX;
	policy.row_count = 1;
	policy.classifier.rows = policy.rows;
	policy.classifier.row_count = 1;
	assert_true(allows(&policy));
	policy_finish(&policy);
	assert_false(allows(&policy));
	policy_finish(&policy);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_policy_denies_everything),
		cmocka_unit_test(t9_defaults_meet_the_floors),
		cmocka_unit_test(rules_have_names),
		cmocka_unit_test(a_finished_policy_denies_and_may_be_finished_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
