// Each side has servers for the clients of the other one, of each mode and for datagrams. What no
// row allows is denied, in both directions.
#include "appliance_policy.h"

#include "base/check.h"

#include <stdio.h>

static const struct servers {
	uint8_t from; // enum rule_from: where their clients are
	const char *ip4, *ip6;
} servers[] = {
	{RULE_FROM_OUTSIDE, "198.51.100.0/24", "2001:db8:2::/64"},
	{RULE_FROM_INSIDE, "10.5.0.0/16", "2001:db8:5::/64"},
};

static struct prefix prefix(const char *text)
{
	struct prefix out;

	CHECK(prefix_parse(&out, text) == 0);
	return out;
}

static void add_row(struct appliance *a, const struct servers *to, const char *dst, bool datagrams)
{
	uint32_t index = a->policy.row_count++;

	CHECK(index < RULES_MAX);
	a->rows[index] = (struct rule_row){.from = to->from,
		.protocol = datagrams ? RULE_UDP : RULE_TCP,
		.action = RULE_ALLOW,
		.rule = index,
		.dst = prefix(dst),
		.sport_high = UINT16_MAX,
		.dport_low = datagrams ? SERVICE_DATAGRAM : SERVICE_PROXY,
		.dport_high = datagrams ? SERVICE_DATAGRAM : SERVICE_TRACK};
	snprintf(a->rules[index].name, RULE_NAME_BYTES, "servers%u", index);
	a->policy.rule_count = a->policy.row_count;
}

static void add_service(struct appliance *a, const struct servers *to, const char *name,
	uint8_t mode, uint16_t port)
{
	struct service *service = &a->services[a->policy.service_count++];

	CHECK(a->policy.service_count <= SERVICES_MAX);
	snprintf(service->name, SERVICE_NAME_BYTES, "%s%u", name, to->from);
	service->to[0] = prefix(to->ip4);
	service->to[1] = prefix(to->ip6);
	service->to_count = 2;
	service->protocol = RULE_TCP;
	service->from = to->from;
	service->mode = mode;
	service->ports[0] = (struct port_range){port, port};
	service->port_count = 1;
	service->queue_bytes = QUEUE_BYTES;
	service->profile = a->config.profile;
}

static void add_servers(struct appliance *a, const struct servers *to)
{
	for (unsigned datagrams = 0; datagrams < 2; datagrams++) {
		add_row(a, to, to->ip4, datagrams);
		add_row(a, to, to->ip6, datagrams);
	}
	add_service(a, to, "web", MODE_PROXY, SERVICE_PROXY);
	add_service(a, to, "api", MODE_MSYN, SERVICE_MSYN);
	add_service(a, to, "raw", MODE_TRACK, SERVICE_TRACK);
}

void appliance_set_policy(struct appliance *a)
{
	struct policy *policy = &a->policy;

	policy_init(policy);
	for (unsigned i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		add_servers(a, &servers[i]);
	policy->rules = a->rules;
	policy->rows = a->rows;
	policy->services = a->services;
	policy->classifier.rows = a->rows;
	policy->classifier.row_count = policy->row_count;
	policy->node_id = (uint16_t)a->config.index;
	policy->max_id = 15;
	policy->clustered = true;
	policy->share = a->config.share;
	policy->wait = a->config.wait;
	policy->drop_on_timeout = a->config.drop_on_timeout;
	policy->timeouts.server_syn_ms = a->config.server_syn_ms;
	policy->timeouts.server_syn_retries = 4;
	policy->timeouts.udp_s = a->config.datagrams_s;
	CHECK(policy_adopt(policy, NULL) == 0);
}
