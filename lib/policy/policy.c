#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

void policy_init(struct policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	for (unsigned id = 0; id < SERVICE_COUNT_MAX; id++)
		policy->by_id[id] = SERVICE_NONE;
	policy->classifier.ops = &classifier_linear;
	policy->limits = (struct policy_limits){
		.per_prefix_flows = 4096,
		.prefix4 = 24,
		.prefix6 = 56,
		.queue_total_bytes = 8388608,
		.bad_ack_per_s = 10000,
		.bad_ack_prefix_per_s = 100,
		.reset_per_s = 1000,
	};
	policy->timeouts = (struct policy_timeouts){
		.established_s = 7440,
		.transitory_s = 240,
		.udp_s = 120,
		.icmp_s = 60,
		.time_wait_s = 120,
		.server_syn_retries = 3,
		.server_syn_ms = 1000,
		.share_wait_ms = 200,
	};
	policy->fragments = FRAGMENTS_DROP;
	policy->eviction = EVICTION_UNTRUSTED_FIRST;
}

// Leaves a policy that denies everything, so that finishing twice is harmless.
void policy_finish(struct policy *policy)
{
	policy->classifier.ops->destroy(&policy->classifier);
	free(policy->rules);
	free(policy->rows);
	free(policy->services);
	policy_init(policy);
}

const char *policy_rule_name(const struct policy *policy, uint32_t rule)
{
	if (rule == RULE_DEFAULT)
		return "default";
	return rule < policy->rule_count ? policy->rules[rule].name : "unknown";
}
