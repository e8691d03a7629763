#include "cluster/rows.h"

#include "base/check.h"

#include <limits.h>
#include <string.h>

// Port range `index` of a service, false behind its last: the only place here that knows how a
// service lists its ports.
static bool service_ports(const struct service *service, unsigned index, struct row *row)
{
	if (index >= service->port_count)
		return false;
	row->port_first = service->ports[index].low;
	row->port_last = service->ports[index].high;
	return true;
}

// Prefix `index` of a service in a family: "any" stands for all addresses of each.
static bool service_prefix(
	const struct service *service, unsigned index, uint8_t family, struct row *row)
{
	static const uint8_t zero[4];
	const struct prefix *to = &service->to[index];

	row->prefix = *to;
	if (to->family == 0 && family == 4)
		row->prefix = (struct prefix){addr_from_ip4(zero), 96, 4};
	else if (to->family == 0)
		row->prefix = (struct prefix){.family = 6};
	return row->prefix.family == family;
}

// Bypassed connections have no flow. A service of any origin has rows for clients on the outside.
static bool keeps_flows(const struct service *service)
{
	return (service->protocol == RULE_TCP || service->protocol == RULE_ANY) &&
	       service->mode != MODE_BYPASS;
}

// Rows from..to-1 of a service, as far as they fit behind `count`; returns the new count.
static unsigned add_service(struct rows *rows, unsigned count, const struct service *service,
	unsigned from, unsigned to)
{
	unsigned number = 0;
	struct row row = {.valid = true,
		.client_inside = service->from == RULE_FROM_INSIDE,
		.mode = service->mode,
		.service = service->id,
		.declared = service->id};

	memcpy(row.name, service->name, sizeof(row.name));
	for (unsigned range = 0; service_ports(service, range, &row); range++)
		for (unsigned i = 0; i < 2 * service->to_count; i++) {
			if (!service_prefix(service, i / 2, i % 2 ? 6 : 4, &row))
				continue;
			if (number >= from && number < to && count < ROWS_MAX)
				rows->row[count++] = row;
			number++;
		}
	return count;
}

// Chains the rows of each service in their order, and notes who is who.
static void make_index(struct rows *rows)
{
	memset(rows->first, ROW_NONE, sizeof(rows->first));
	memset(rows->own, 0xff, sizeof(rows->own));
	for (unsigned i = ROWS_MAX; i-- > 0;) {
		struct row *row = &rows->row[i];

		if (!row->valid)
			continue;
		rows->own[row->declared] = row->service;
		if (row->service == SERVICE_NONE)
			continue;
		row->next = rows->first[row->service];
		rows->first[row->service] = (uint8_t)i;
	}
}

void rows_clear(struct rows *rows, uint8_t generation)
{
	memset(rows, 0, sizeof(*rows));
	rows->generation = generation;
	make_index(rows);
}

void rows_build(struct rows *rows, const struct policy *policy, uint8_t generation)
{
	unsigned count = 0;

	CHECK(generation != 0);
	rows_clear(rows, generation);
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < policy->service_count; i++)
			if (keeps_flows(&policy->services[i]))
				count = add_service(rows, count, &policy->services[i], pass,
					pass == 0 ? 1 : UINT_MAX);
	make_index(rows);
}

static uint16_t service_named(const struct policy *policy, const char *name)
{
	for (unsigned i = 0; i < policy->service_count; i++)
		if (strcmp(policy->services[i].name, name) == 0)
			return policy->services[i].id;
	return SERVICE_NONE;
}

void rows_adopt(struct rows *rows, const struct policy *policy)
{
	for (unsigned i = 0; i < ROWS_MAX; i++)
		if (rows->row[i].valid)
			rows->row[i].service = service_named(policy, rows->row[i].name);
	make_index(rows);
}

uint8_t rows_find(
	const struct rows *rows, uint16_t service, const struct addr *server, uint16_t port)
{
	uint8_t at = ROW_NONE;

	if (rows->generation != 0 && service < SERVICE_COUNT_MAX)
		at = rows->first[service];
	for (; at != ROW_NONE; at = rows->row[at].next) {
		const struct row *row = &rows->row[at];

		if (port >= row->port_first && port <= row->port_last &&
			prefix_contains(&row->prefix, server))
			break;
	}
	return at;
}

uint16_t rows_service(const struct rows *rows, uint16_t declared)
{
	if (rows->generation == 0 || declared >= SERVICE_COUNT_MAX)
		return SERVICE_NONE;
	return rows->own[declared];
}
