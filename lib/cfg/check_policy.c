#include "cfg/check.h"

#include "flow/flow.h"
#include "rule/rule.h"
#include "service/service.h"

#include <inttypes.h>
#include <string.h>

static bool is_full(enum key key, const struct value *value)
{
	return value->count == 1 && value->ranges[0].low == schema[key].min &&
	       value->ranges[0].high == schema[key].max;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == RULE_TCP || protocol == RULE_UDP;
}

static void check_service_protocol(struct document *document, struct element *service)
{
	const struct value *protocol = value_of(document, service, KEY_SERVICES_PROTOCOL);
	const struct value *ports = value_of(document, service, KEY_SERVICES_PORTS);

	if (protocol->bad)
		return;
	if (protocol_of(protocol->number) == RULE_OTHER)
		report(document, service, KEY_SERVICES_PROTOCOL,
			"protocol %u: a service is for any, tcp, udp or icmp",
			protocol_number(protocol->number));
	else if (ports->count > SERVICE_PORTS_MAX)
		report(document, service, KEY_SERVICES_PORTS, "%u ranges; %d at most", ports->count,
			SERVICE_PORTS_MAX);
	else if (!has_ports(protocol_of(protocol->number)) && !is_full(KEY_SERVICES_PORTS, ports))
		report(document, service, KEY_SERVICES_PORTS,
			"ports need protocol = \"tcp\" or \"udp\"");
}

static void check_service_mode(struct document *document, struct element *service)
{
	const struct value *protocol = value_of(document, service, KEY_SERVICES_PROTOCOL);
	const struct value *mode = value_of(document, service, KEY_SERVICES_MODE);

	if (mode->bad)
		return;
	if (mode->number == MODE_MSYN && !document->values[KEY_CLUSTER].given)
		report(document, service, KEY_SERVICES_MODE,
			"msyn needs a cluster: give the group `cluster', or use proxy, track or "
			"bypass");
	else if (mode->number == MODE_PROXY && !protocol->bad && protocol->number != RULE_TCP)
		report(document, service, KEY_SERVICES_MODE,
			"proxy needs protocol = \"tcp\"; use track or bypass");
}

void check_services(struct document *document)
{
	struct value *services = &document->values[KEY_SERVICES];
	const struct value *total = &document->values[KEY_LIMITS_QUEUE_TOTAL_BYTES];

	check_names(document, KEY_SERVICES, KEY_SERVICES_NAME);
	for (unsigned i = 0; i < services->count; i++) {
		struct element *service = &services->elements[i];
		const struct value *queue = value_of(document, service, KEY_SERVICES_QUEUE_BYTES);

		check_service_protocol(document, service);
		check_service_mode(document, service);
		if (!queue->bad && !total->bad && queue->number > total->number)
			report(document, service, KEY_SERVICES_QUEUE_BYTES,
				"%" PRId64 " is above limits.queue_total_bytes, %" PRId64,
				queue->number, total->number);
	}
}

static uint64_t prefix_pairs(const struct value *source, const struct value *to)
{
	uint64_t families[2][7] = {{0}};
	uint64_t pairs = 0;

	for (unsigned i = 0; i < source->count; i++)
		families[0][source->prefixes[i].family]++;
	for (unsigned i = 0; i < to->count; i++)
		families[1][to->prefixes[i].family]++;
	pairs += families[0][0] * to->count;
	pairs += families[0][4] * (families[1][0] + families[1][4]);
	pairs += families[0][6] * (families[1][0] + families[1][6]);
	return pairs;
}

uint64_t rule_row_count(struct document *document, struct element *rule)
{
	uint64_t rows = prefix_pairs(
		value_of(document, rule, KEY_RULES_SOURCE), value_of(document, rule, KEY_RULES_TO));
	static const enum key keys[] = {
		KEY_RULES_PORTS, KEY_RULES_SOURCE_PORTS, KEY_RULES_ICMP_TYPES};

	// Each factor is at most 65536 but the first (2^32): 2^48 at most before each cut.
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		rows = rows > RULE_ROWS_MAX ? RULE_ROWS_MAX + 1 : rows;
		rows *= value_of(document, rule, keys[i])->count;
	}
	return rows;
}

static void check_rule_ports(struct document *document, struct element *rule, enum key key)
{
	const struct value *protocol = value_of(document, rule, KEY_RULES_PROTOCOL);
	const struct value *ports = value_of(document, rule, key);

	if (!protocol->bad && !ports->bad && !has_ports(protocol_of(protocol->number)) &&
		!is_full(key, ports))
		report(document, rule, key, "ports need protocol = \"tcp\" or \"udp\"");
}

static void check_rule_protocol(struct document *document, struct element *rule)
{
	const struct value *protocol = value_of(document, rule, KEY_RULES_PROTOCOL);
	const struct value *types = value_of(document, rule, KEY_RULES_ICMP_TYPES);
	const struct value *action = value_of(document, rule, KEY_RULES_ACTION);

	check_rule_ports(document, rule, KEY_RULES_PORTS);
	check_rule_ports(document, rule, KEY_RULES_SOURCE_PORTS);
	if (!protocol->bad && !types->bad && protocol->number != RULE_ICMP &&
		!is_full(KEY_RULES_ICMP_TYPES, types))
		report(document, rule, KEY_RULES_ICMP_TYPES, "ICMP types need protocol = \"icmp\"");
	if (!value_of(document, rule, KEY_RULES_SIGNED)->number)
		return;
	if (!protocol->bad && protocol->number != RULE_TCP)
		report(document, rule, KEY_RULES_SIGNED, "signed needs protocol = \"tcp\"");
	else if (!action->bad && action->number != RULE_ALLOW)
		report(document, rule, KEY_RULES_SIGNED, "signed needs action = \"allow\"");
}

static void check_rule_name(struct document *document, struct element *rule)
{
	const struct value *name = value_of(document, rule, KEY_RULES_NAME);

	if (!name->bad && strcmp(name->text, "default") == 0)
		report(document, rule, KEY_RULES_NAME,
			"`default' is the implied last rule: choose another name");
}

static uint64_t check_rule_rows(struct document *document, struct element *rule)
{
	uint64_t rows = rule_row_count(document, rule);

	if (rows == 0 && !value_of(document, rule, KEY_RULES_SOURCE)->bad &&
		!value_of(document, rule, KEY_RULES_TO)->bad)
		report(document, rule, KEY_RULES_SOURCE,
			"no address family in common with `to': the rule matches nothing");
	return rows;
}

void check_rules(struct document *document)
{
	struct value *rules = &document->values[KEY_RULES];
	uint64_t rows = 0;

	check_names(document, KEY_RULES, KEY_RULES_NAME);
	for (unsigned i = 0; i < rules->count; i++) {
		struct element *rule = &rules->elements[i];

		check_rule_name(document, rule);
		check_rule_protocol(document, rule);
		rows += check_rule_rows(document, rule);
	}
	if (rows > RULE_ROWS_MAX)
		report(document, NULL, KEY_RULES,
			"the rules make more than %u rows of one source, destination and range",
			RULE_ROWS_MAX);
}
