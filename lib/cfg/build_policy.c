#include "cfg/build.h"

#include "base/check.h"
#include "cfg/check.h"

#include <stdio.h>
#include <stdlib.h>

_Static_assert(RULE_ANY == 0 && RULE_TCP == 1 && RULE_UDP == 2 && RULE_ICMP == 3,
	"order of \"any|tcp|udp|icmp\"");
_Static_assert(RULE_FROM_ANY == 0 && RULE_FROM_OUTSIDE == 1 && RULE_FROM_INSIDE == 2,
	"order of \"any|outside|inside\"");
_Static_assert(RULE_ALLOW == 0 && RULE_DENY == 1, "order of \"allow|deny\"");
_Static_assert(MODE_PROXY == 0 && MODE_MSYN == 1 && MODE_TRACK == 2 && MODE_BYPASS == 3,
	"order of \"proxy|msyn|track|bypass\"");
_Static_assert(FRAGMENTS_DROP == 0 && FRAGMENTS_PASS == 1, "order of \"drop|pass\"");
_Static_assert(
	EVICTION_UNTRUSTED_FIRST == 0 && EVICTION_NEVER == 1, "order of \"untrusted_first|never\"");

static int64_t number(struct document *document, struct element *element, enum key key)
{
	return value_of(document, element, key)->number;
}

static uint32_t top(struct document *document, enum key key)
{
	return (uint32_t)document->values[key].number;
}

static void build_limits(struct policy_limits *limits, struct document *document)
{
	limits->per_prefix_flows = top(document, KEY_LIMITS_PER_PREFIX_FLOWS);
	limits->prefix4 = (uint8_t)top(document, KEY_LIMITS_PREFIX4);
	limits->prefix6 = (uint8_t)top(document, KEY_LIMITS_PREFIX6);
	limits->queue_total_bytes = (uint64_t)document->values[KEY_LIMITS_QUEUE_TOTAL_BYTES].number;
	limits->bad_ack_per_s = top(document, KEY_LIMITS_BAD_ACK_PER_S);
	limits->bad_ack_prefix_per_s = top(document, KEY_LIMITS_BAD_ACK_PREFIX_PER_S);
	limits->reset_per_s = top(document, KEY_LIMITS_RESET_PER_S);
}

static void build_timeouts(struct policy_timeouts *timeouts, struct document *document)
{
	timeouts->established_s = top(document, KEY_TIMEOUTS_ESTABLISHED_S);
	timeouts->transitory_s = top(document, KEY_TIMEOUTS_TRANSITORY_S);
	timeouts->udp_s = top(document, KEY_TIMEOUTS_UDP_S);
	timeouts->icmp_s = top(document, KEY_TIMEOUTS_ICMP_S);
	timeouts->time_wait_s = top(document, KEY_TIMEOUTS_TIME_WAIT_S);
	timeouts->server_syn_retries = top(document, KEY_TIMEOUTS_SERVER_SYN_RETRIES);
	timeouts->server_syn_ms = top(document, KEY_TIMEOUTS_SERVER_SYN_MS);
}

static void build_service(
	struct service *service, struct document *document, struct element *element)
{
	const struct value *to = value_of(document, element, KEY_SERVICES_TO);
	const struct value *ports = value_of(document, element, KEY_SERVICES_PORTS);

	snprintf(service->name, sizeof(service->name), "%s",
		value_of(document, element, KEY_SERVICES_NAME)->text);
	CHECK(to->count <= ARRAY_LEN(service->to) && ports->count <= ARRAY_LEN(service->ports));
	for (unsigned i = 0; i < to->count; i++)
		service->to[i] = to->prefixes[i];
	service->to_count = to->count;
	service->protocol = protocol_of(number(document, element, KEY_SERVICES_PROTOCOL));
	service->from = (uint8_t)number(document, element, KEY_SERVICES_FROM);
	service->mode = (uint8_t)number(document, element, KEY_SERVICES_MODE);
	for (unsigned i = 0; i < ports->count; i++)
		service->ports[i] =
			(struct port_range){ports->ranges[i].low, ports->ranges[i].high};
	service->port_count = ports->count;
	service->queue_bytes = (uint32_t)number(document, element, KEY_SERVICES_QUEUE_BYTES);
	service->flows_max = (uint32_t)number(document, element, KEY_SERVICES_FLOWS_MAX);
	// The defaults of the profile's keys are the conservative values learning starts from.
	service->profile = (struct profile){
		.mss = (uint16_t)number(document, element, KEY_SERVICES_MSS),
		.wscale = (uint8_t)number(document, element, KEY_SERVICES_PROFILE_WSCALE),
		.sack = number(document, element, KEY_SERVICES_PROFILE_SACK),
		.timestamps = number(document, element, KEY_SERVICES_PROFILE_TIMESTAMPS),
		.ecn = number(document, element, KEY_SERVICES_PROFILE_ECN),
	};
	service->learn = !value_of(document, element, KEY_SERVICES_PROFILE)->given;
}

// Adds a row for each pair of prefixes that can meet.
static void add_pairs(struct policy *policy, struct document *document, struct element *element,
	struct rule_row row)
{
	const struct value *source = value_of(document, element, KEY_RULES_SOURCE);
	const struct value *to = value_of(document, element, KEY_RULES_TO);

	for (unsigned i = 0; i < source->count; i++) {
		for (unsigned j = 0; j < to->count; j++) {
			if (!families_meet(&source->prefixes[i], &to->prefixes[j]))
				continue;
			row.src = source->prefixes[i];
			row.dst = to->prefixes[j];
			policy->rows[policy->row_count++] = row;
		}
	}
}

static void add_rows(struct policy *policy, struct document *document, struct element *element)
{
	int64_t protocol = number(document, element, KEY_RULES_PROTOCOL);
	const struct value *sources = value_of(document, element, KEY_RULES_SOURCE_PORTS);
	const struct value *targets = value_of(
		document, element, protocol == RULE_ICMP ? KEY_RULES_ICMP_TYPES : KEY_RULES_PORTS);
	struct rule_row row = {
		.protocol = protocol_of(protocol),
		.number = protocol_number(protocol),
		.from = (uint8_t)number(document, element, KEY_RULES_FROM),
		.action = (uint8_t)number(document, element, KEY_RULES_ACTION),
		.is_signed = number(document, element, KEY_RULES_SIGNED),
		.rule = policy->rule_count,
	};

	for (unsigned i = 0; i < sources->count; i++) {
		row.sport_low = sources->ranges[i].low;
		row.sport_high = sources->ranges[i].high;
		for (unsigned j = 0; j < targets->count; j++) {
			row.dport_low = targets->ranges[j].low;
			row.dport_high = targets->ranges[j].high;
			add_pairs(policy, document, element, row);
		}
	}
}

static bool build_rules(struct policy *policy, struct document *document)
{
	struct value *rules = &document->values[KEY_RULES];
	uint64_t rows = 0;

	for (unsigned i = 0; i < rules->count; i++)
		rows += rule_row_count(document, &rules->elements[i]);
	CHECK(rows <= RULE_ROWS_MAX);
	policy->rows = calloc(rows + 1, sizeof(*policy->rows));
	policy->rules = calloc(rules->count + 1, sizeof(*policy->rules));
	if (policy->rows == NULL || policy->rules == NULL)
		return false;
	for (unsigned i = 0; i < rules->count; i++) {
		struct element *rule = &rules->elements[i];
		struct policy_rule *named = &policy->rules[i];

		add_rows(policy, document, rule);
		snprintf(named->name, sizeof(named->name), "%s",
			value_of(document, rule, KEY_RULES_NAME)->text);
		named->action = (uint8_t)number(document, rule, KEY_RULES_ACTION);
		policy->rule_count++;
	}
	CHECK(policy->row_count == rows);
	policy->classifier.rows = policy->rows;
	policy->classifier.row_count = policy->row_count;
	return true;
}

static bool build_services(struct policy *policy, struct document *document)
{
	struct value *services = &document->values[KEY_SERVICES];

	policy->services = calloc(services->count + 1, sizeof(*policy->services));
	if (policy->services == NULL)
		return false;
	for (unsigned i = 0; i < services->count; i++)
		build_service(&policy->services[i], document, &services->elements[i]);
	policy->service_count = (uint16_t)services->count;
	return true;
}

struct policy *policy_build(struct document *document)
{
	struct policy *policy = malloc(sizeof(*policy));

	if (policy == NULL)
		return NULL;
	policy_init(policy);
	build_limits(&policy->limits, document);
	build_timeouts(&policy->timeouts, document);
	policy->fragments = (uint8_t)top(document, KEY_FRAGMENTS);
	policy->eviction = (uint8_t)top(document, KEY_FLOWS_EVICTION);
	if (build_rules(policy, document) && build_services(policy, document))
		return policy;
	policy_finish(policy);
	free(policy);
	return NULL;
}
