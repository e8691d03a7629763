// The commands that show the configuration in force: services, rules, the file; and `help`.
#include "weir/console/console_private.h"

#include "pkt/options.h"
#include "weir/console/help.h"
#include "weir/control.h"
#include "weir/node.h"
#include "weir/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *service_profile(const struct profile *profile)
{
	return json_pack("{s:i,s:o,s:b,s:b,s:b}", "mss", profile->mss, "wscale",
		profile->wscale == OPTIONS_WSCALE_NONE ? json_null()
						       : json_integer(profile->wscale),
		"sack", profile->sack, "timestamps", profile->timestamps, "ecn", profile->ecn);
}

static const char *action_name(uint8_t action)
{
	return action == RULE_ALLOW ? "allow" : "deny";
}

// Adds a string to a list of different ones.
static void add_once(json_t *list, const char *text)
{
	const json_t *have;
	size_t index;

	json_array_foreach(
		list, index, have) if (strcmp(json_string_value(have), text) == 0) return;
	json_array_append_new(list, json_string(text));
}

static void add_range(json_t *list, uint16_t low, uint16_t high)
{
	char text[16];

	if (low == 0 && high == UINT16_MAX)
		return;
	snprintf(text, sizeof(text), low == high ? "%u" : "%u-%u", low, high);
	add_once(list, text);
}

static const char *from_name(uint8_t from)
{
	static const char *const names[] = {[RULE_FROM_ANY] = "any",
		[RULE_FROM_OUTSIDE] = "outside",
		[RULE_FROM_INSIDE] = "inside"};

	return names[from];
}

static const char *protocol_name(uint8_t protocol, uint8_t number, char room[8])
{
	static const char *const names[] = {
		[RULE_ANY] = "any", [RULE_TCP] = "tcp", [RULE_UDP] = "udp", [RULE_ICMP] = "icmp"};

	if (protocol < RULE_OTHER)
		return names[protocol];
	snprintf(room, 8, "%u", number);
	return room;
}

static json_t *service_row(const struct node *node, uint16_t index)
{
	const struct service *service = &node->config->policy->services[index];
	json_t *prefixes = json_array(), *ports = json_array();
	char text[ADDR_TEXT_BYTES], number[8];
	struct service_stats s;

	for (unsigned i = 0; i < service->to_count; i++)
		add_once(prefixes, prefix_format(&service->to[i], text));
	for (unsigned i = 0; i < service->port_count; i++)
		add_range(ports, service->ports[i].low, service->ports[i].high);

	stats_service(node, index, &s);
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",
		"name", service->name, "mode", flow_mode_name((enum flow_mode)service->mode),
		"from", from_name(service->from), "protocol",
		protocol_name(service->protocol, 0, number), "to", prefixes, "ports", ports,
		"flows", reply_count(s.flows), "syn", reply_count(s.syn), "synack_sent",
		reply_count(s.synack_sent), "cookie_valid", reply_count(s.cookie_valid),
		"cookie_bad", reply_count(s.cookie_bad), "server_syn", reply_count(s.server_syn),
		"server_synack", reply_count(s.server_synack), "server_refused",
		reply_count(s.server_refused), "server_timeout", reply_count(s.server_timeout),
		"profile", service_profile(control_profile(node, index)));
}

void command_show_service(struct session *session)
{
	const struct policy *policy = session->node->config->policy;
	json_t *rows = json_array();

	for (uint16_t i = 0; i < policy->service_count; i++)
		if (!session->args.service ||
			strcmp(session->args.service, policy->services[i].name) == 0)
			json_array_append_new(rows, service_row(session->node, i));
	session_answer(session, json_pack("{s:o}", "services", rows));
}

// A rule is put together again from the rows it was expanded into.
static json_t *rule_row(const struct policy *policy, uint32_t rule)
{
	json_t *source = json_array(), *destination = json_array();
	json_t *sports = json_array(), *dports = json_array();
	const char *from = "any", *protocol = "any";
	char text[ADDR_TEXT_BYTES], number[8];

	for (uint32_t i = 0; i < policy->row_count; i++) {
		const struct rule_row *row = &policy->rows[i];

		if (row->rule != rule)
			continue;
		from = from_name(row->from);
		protocol = protocol_name(row->protocol, row->number, number);
		add_once(source, prefix_format(&row->src, text));
		add_once(destination, prefix_format(&row->dst, text));
		add_range(sports, row->sport_low, row->sport_high);
		if (row->protocol != RULE_ICMP || row->dport_high != UINT8_MAX) // all types
			add_range(dports, row->dport_low, row->dport_high);
	}
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "name", policy->rules[rule].name,
		"action", action_name(policy->rules[rule].action), "from", from, "protocol",
		protocol, "source", source, "source_ports", sports, "destination", destination,
		"ports", dports);
}

// The implied last rule, for what matches no other.
static json_t *default_row(const struct policy *policy)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:[s],s:[],s:[s],s:[]}", "name",
		policy_rule_name(policy, RULE_DEFAULT), "action", action_name(RULE_DENY), "from",
		"any", "protocol", "any", "source", "any", "source_ports", "destination", "any",
		"ports");
}

void command_show_rule(struct session *session)
{
	const struct policy *policy = session->node->config->policy;
	json_t *rows = json_array();

	for (uint32_t i = 0; i < policy->rule_count; i++)
		json_array_append_new(rows, rule_row(policy, i));
	json_array_append_new(rows, default_row(policy));
	session_answer(session, json_pack("{s:o}", "rules", rows));
}

static json_t *hits_row(const struct node *node, const char *name, uint8_t action, uint32_t rule)
{
	return json_pack("{s:s,s:s,s:o}", "name", name, "action", action_name(action), "hits",
		reply_count(stats_rule_hits(node, rule)));
}

void command_show_rule_hits(struct session *session)
{
	const struct policy *policy = session->node->config->policy;
	json_t *rows = json_array();

	for (uint32_t i = 0; i < policy->rule_count; i++)
		json_array_append_new(rows,
			hits_row(session->node, policy->rules[i].name, policy->rules[i].action, i));
	json_array_append_new(rows, hits_row(session->node, policy_rule_name(policy, RULE_DEFAULT),
					    RULE_DENY, RULE_DEFAULT));
	session_answer(session, json_pack("{s:o}", "rules", rows));
}

void command_show_config(struct session *session)
{
	char *text = config_dump(session->node->config);

	if (text)
		session_answer(session, json_pack("{s:s}", "text", text));
	else
		session_fail(session, "failed", NULL, "out of memory");
	free(text);
}

void command_help(struct session *session)
{
	json_t *rows = help_rows(session->args.words, session->args.word_count);

	if (json_array_size(rows) == 0) {
		json_decref(rows);
		session_fail(session, "unknown_command", "`help' lists all",
			"no command starts with these words");
		return;
	}
	session_answer(session, json_pack("{s:o}", "commands", rows));
}
