// What is allowed and yet hardly meant: a rule or a service that nothing can reach. Rules and
// services are compared as boxes (side, protocol, prefixes, port ranges). A box counts as covered
// where one other box holds it whole: several that cover it together are not seen, so what is
// reported is true and not all is reported. Besides: an MSS that the ports have no room for,
// and parts of a cluster that nothing uses or that keep it from what it is for.
#include "cfg/check.h"

#include "cfg/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Comparisons of two boxes: 65536 rules of one row each would take 2^31.
#define WORK_MAX (1u << 26)

#define MSS_HEADERS 40u // of IPv4 and TCP

struct survey {
	struct document *document;
	const struct policy *policy;
	struct config_errors *out;
	uint64_t work; // comparisons left
};

static bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
	if (outer->family == 0)
		return true;
	return outer->family == inner->family && outer->bits <= inner->bits &&
	       prefix_contains(outer, &inner->addr);
}

static bool protocol_covers(const struct rule_row *outer, const struct rule_row *inner)
{
	return outer->protocol == RULE_ANY ||
	       (outer->protocol == inner->protocol && outer->number == inner->number);
}

static bool side_covers(const struct rule_row *outer, const struct rule_row *inner)
{
	return outer->from == RULE_FROM_ANY || outer->from == inner->from;
}

static bool row_covers(const struct rule_row *outer, const struct rule_row *inner)
{
	return side_covers(outer, inner) && protocol_covers(outer, inner) &&
	       outer->dport_low <= inner->dport_low && outer->dport_high >= inner->dport_high &&
	       outer->sport_low <= inner->sport_low && outer->sport_high >= inner->sport_high &&
	       prefix_covers(&outer->dst, &inner->dst) && prefix_covers(&outer->src, &inner->src);
}

// Spends one comparison; false where none is left.
static bool spend(struct survey *survey)
{
	survey->work -= survey->work > 0;
	return survey->work > 0;
}

// The numbers of ICMP, as protocol "icmp" and as numbers, may mean the same packets.
static bool protocols_meet(const struct rule_row *a, const struct rule_row *b)
{
	bool has_icmp = a->protocol == RULE_ICMP || b->protocol == RULE_ICMP;
	bool has_other = a->protocol == RULE_OTHER || b->protocol == RULE_OTHER;

	return protocol_covers(a, b) || protocol_covers(b, a) || (has_icmp && has_other);
}

// Narrows `box` to what it has in common with `row`; false where that is nothing.
static bool row_meet(struct rule_row *box, const struct rule_row *row)
{
	if (!(side_covers(box, row) || side_covers(row, box)) || !protocols_meet(box, row) ||
		!(prefix_covers(&box->dst, &row->dst) || prefix_covers(&row->dst, &box->dst)))
		return false;
	if (row->dport_low > box->dport_high || row->dport_high < box->dport_low)
		return false;
	if (prefix_covers(&box->dst, &row->dst))
		box->dst = row->dst;
	if (protocol_covers(box, row)) {
		box->protocol = row->protocol;
		box->number = row->number;
	}
	if (side_covers(box, row))
		box->from = row->from;
	box->src = row->src;
	box->sport_low = row->sport_low;
	box->sport_high = row->sport_high;
	box->dport_low = box->dport_low > row->dport_low ? box->dport_low : row->dport_low;
	box->dport_high = box->dport_high < row->dport_high ? box->dport_high : row->dport_high;
	return true;
}

// Box n of a service; false behind the last.
static bool service_box(struct rule_row *box, const struct service *service, unsigned n)
{
	if (n >= service->to_count * service->port_count)
		return false;
	*box = (struct rule_row){
		.dst = service->to[n / service->port_count],
		.sport_high = UINT16_MAX,
		.dport_low = service->ports[n % service->port_count].low,
		.dport_high = service->ports[n % service->port_count].high,
		.protocol = service->protocol,
		.from = service->from,
	};
	return true;
}

// True where an earlier row denies everything that row `last` would allow of the box.
static bool is_denied(struct survey *survey, const struct rule_row *box, uint32_t last)
{
	const struct policy *policy = survey->policy;

	for (uint32_t i = 0; i < last && spend(survey); i++)
		if (policy->rows[i].action == RULE_DENY && row_covers(&policy->rows[i], box))
			return true;
	return false;
}

static bool is_reachable(struct survey *survey, const struct service *service)
{
	const struct policy *policy = survey->policy;
	struct rule_row box;

	for (unsigned n = 0; service_box(&box, service, n); n++) {
		for (uint32_t i = 0; i < policy->row_count && spend(survey); i++) {
			struct rule_row common = box;

			if (policy->rows[i].action == RULE_ALLOW &&
				row_meet(&common, &policy->rows[i]) &&
				!is_denied(survey, &common, i))
				return true;
		}
	}
	return survey->work == 0;
}

static void warn(struct survey *survey, enum key list, unsigned index, const char *reason,
	const char *because)
{
	struct document *document = survey->document;
	const struct element *element = &document->values[list].elements[index];
	char path[160];

	errors_add(survey->out, document->file, element->place,
		path_format(element, list, path, sizeof(path)), "warning: %s%s%s%s", reason,
		because ? " `" : "", because ? because : "", because ? "'" : "");
}

static bool is_box_taken(
	struct survey *survey, const struct rule_row *box, unsigned index, unsigned *by)
{
	const struct service *services = survey->policy->services;
	struct rule_row earlier;

	for (*by = 0; *by < index; (*by)++)
		for (unsigned n = 0; service_box(&earlier, &services[*by], n); n++)
			if (spend(survey) && row_covers(&earlier, box))
				return true;
	return false;
}

static void survey_service(struct survey *survey, unsigned index)
{
	const struct policy *policy = survey->policy;
	const struct service *service = &policy->services[index];
	struct rule_row box;
	unsigned by = 0, n = 0;

	while (service_box(&box, service, n) && is_box_taken(survey, &box, index, &by))
		n++;
	if (n == service->to_count * service->port_count)
		warn(survey, KEY_SERVICES, index,
			"shadowed: what it matches goes to earlier services, such as",
			policy->services[by].name);
	else if (!is_reachable(survey, service))
		warn(survey, KEY_SERVICES, index, "no rule allows anything to reach it", NULL);
}

// The earliest row that covers this one, or row_count.
static uint32_t row_covered_by(struct survey *survey, uint32_t index)
{
	const struct rule_row *rows = survey->policy->rows;

	for (uint32_t i = 0; rows[i].rule != rows[index].rule && spend(survey); i++)
		if (row_covers(&rows[i], &rows[index]))
			return i;
	return survey->policy->row_count;
}

// Rows of a rule stand together. Returns the first row behind those of the rule at `from`.
static uint32_t survey_rule(struct survey *survey, uint32_t from)
{
	const struct policy *policy = survey->policy;
	uint32_t rule = policy->rows[from].rule, at = from, by = 0;
	bool covered = true;

	for (; at < policy->row_count && policy->rows[at].rule == rule; at++) {
		if (covered)
			by = row_covered_by(survey, at);
		covered = covered && by < policy->row_count;
	}
	if (covered)
		warn(survey, KEY_RULES, rule,
			"shadowed: what it matches is decided by earlier rules, such as",
			policy->rules[policy->rows[by].rule].name);
	return at;
}

static const struct config_port *narrowest_port(const struct config *config)
{
	const struct config_port *found = &config->ports[0];

	for (unsigned i = 1; i < config->port_count; i++)
		if (config->ports[i].mtu < found->mtu)
			found = &config->ports[i];
	return found;
}

// One that was not asked for is the default and no more than a wish.
static void survey_mss(const struct survey *survey, const struct config *config, unsigned index)
{
	struct document *document = survey->document;
	struct element *element = &document->values[KEY_SERVICES].elements[index];
	const struct value *value = value_of(document, element, KEY_SERVICES_MSS);
	const struct config_port *port = narrowest_port(config);
	unsigned mss = survey->policy->services[index].profile.mss;
	char path[160];

	if (!value->given || mss + MSS_HEADERS <= port->mtu)
		return;
	errors_add(survey->out, document->file, value->place,
		path_format(element, KEY_SERVICES_MSS, path, sizeof(path)),
		"warning: does not fit the mtu %u of port `%.64s': %u at most is announced",
		port->mtu, port->name, port->mtu - MSS_HEADERS);
}

__attribute__((format(printf, 3, 4))) static void warn_key(
	const struct survey *survey, enum key key, const char *format, ...)
{
	struct document *document = survey->document;
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	errors_add(survey->out, document->file, place_of_key(document, key), schema[key].path,
		"warning: %s", text);
}

// Ports towards other nodes that are not the one the cluster uses.
static void survey_sync_ports(struct survey *survey, const struct config_cluster *cluster)
{
	struct value *ports = &survey->document->values[KEY_PORTS];
	bool socket = cluster->enabled && cluster->transport == TRANSPORT_SOCKET;
	const char *why = "nothing uses it: cluster.port names another one";

	if (!cluster->enabled)
		why = "nothing uses it: there is no group `cluster'";
	else if (socket)
		why = "nothing uses it: cluster.transport is \"socket\"";
	for (unsigned i = 0; i < ports->count; i++) {
		struct element *port = &ports->elements[i];
		const char *name = value_of(survey->document, port, KEY_PORTS_NAME)->text;

		if (value_of(survey->document, port, KEY_PORTS_SIDE)->number != SIDE_SYNC ||
			(cluster->enabled && !socket && strcmp(name, cluster->port.name) == 0))
			continue;
		warn(survey, KEY_PORTS, i, why, NULL);
	}
	if (socket && survey->document->values[KEY_CLUSTER_PORT].given &&
		*survey->document->values[KEY_CLUSTER_PORT].text != '\0')
		warn_key(survey, KEY_CLUSTER_PORT, "%s", why);
}

static void survey_sharing(const struct survey *survey)
{
	const struct policy *policy = survey->policy;

	if (!policy->clustered || policy->share != SHARE_NONE)
		return;
	warn_key(survey, KEY_CLUSTER_SHARE,
		"with \"none\" a connection works only where both directions lead through the "
		"same node");
	if (policy->wait != SHARE_NONE && survey->document->values[KEY_CLUSTER_WAIT].given)
		warn_key(survey, KEY_CLUSTER_WAIT,
			"has no effect with share = \"none\": there is nothing to wait for");
}

void config_warn(const struct config *config, struct config_errors *warnings)
{
	struct survey survey = {
		.document = config->document,
		.policy = config->policy,
		.out = warnings,
		.work = WORK_MAX,
	};

	if (warnings->list == NULL && !errors_start(warnings))
		return;
	for (unsigned i = 0; i < config->policy->service_count; i++)
		survey_service(&survey, i);
	for (unsigned i = 0; i < config->policy->service_count; i++)
		survey_mss(&survey, config, i);
	for (uint32_t at = 0; at < config->policy->row_count;)
		at = survey_rule(&survey, at);
	survey_sync_ports(&survey, &config->cluster);
	survey_sharing(&survey);
	if (survey.work == 0)
		errors_add(warnings, config->file, config->document->values[KEY_RULES].place,
			"rules", "warning: too many to look for all that are shadowed");
	errors_sort(warnings);
}
