#include "service/service.h"

#include <string.h>

static bool port_matches(const struct service *service, uint16_t port)
{
	for (unsigned i = 0; i < service->port_count; i++)
		if (port >= service->ports[i].low && port <= service->ports[i].high)
			return true;
	return false;
}

// A service matches as a rule row does, with any source: one meaning of "icmp", families and sides.
static bool service_matches(const struct service *service, const struct rule_query *query)
{
	struct rule_row row = {
		.dport_high = UINT16_MAX,
		.sport_high = UINT16_MAX,
		.protocol = service->protocol,
		.from = service->from,
	};

	if (!port_matches(service, query->dport))
		return false;
	for (unsigned i = 0; i < service->to_count; i++) {
		row.dst = service->to[i];
		if (rule_row_matches(&row, query))
			return true;
	}
	return false;
}

uint16_t service_find(const struct service *services, unsigned count, const struct addr *dst,
	uint16_t dport, uint8_t ip_protocol, unsigned side)
{
	const struct rule_query query = {
		.src = *dst, // rows made here take any source
		.dst = *dst,
		.dport = dport,
		.protocol = ip_protocol,
		.side = (uint8_t)side,
	};

	for (unsigned i = 0; i < count; i++)
		if (service_matches(&services[i], &query))
			return (uint16_t)i;
	return SERVICE_NONE;
}

unsigned service_deciding_bits(
	const struct service *services, unsigned count, const struct addr *dst)
{
	unsigned most = 0;

	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < services[i].to_count; j++) {
			unsigned bits = prefix_deciding_bits(&services[i].to[j], dst);

			most = bits > most ? bits : most;
		}
	return most;
}

// No window scaling is less than a shift of 0: one server without it means none is announced.
static uint8_t wscale_least(uint8_t a, uint8_t b)
{
	if (a == OPTIONS_WSCALE_NONE || b == OPTIONS_WSCALE_NONE)
		return OPTIONS_WSCALE_NONE;
	return a < b ? a : b;
}

// What `from` knows, where `bits` names it, goes to `to`.
static void profile_copy(struct profile *to, const struct profile *from, unsigned bits)
{
	if (bits & PROFILE_MSS)
		to->mss = from->mss;
	if (bits & PROFILE_WSCALE)
		to->wscale = from->wscale;
	if (bits & PROFILE_SACK)
		to->sack = from->sack;
	if (bits & PROFILE_TIMESTAMPS)
		to->timestamps = from->timestamps;
	if (bits & PROFILE_ECN)
		to->ecn = from->ecn;
	to->known |= (uint8_t)bits;
}

void profile_merge(struct profile *seen, const struct profile *now)
{
	struct profile least = {
		.mss = now->mss < seen->mss ? now->mss : seen->mss,
		.wscale = wscale_least(seen->wscale, now->wscale),
		.sack = seen->sack && now->sack,
		.timestamps = seen->timestamps && now->timestamps,
		.ecn = seen->ecn && now->ecn,
	};
	unsigned both = seen->known & now->known;

	profile_copy(seen, &least, both);
	profile_copy(seen, now, now->known & ~both);
}

void profile_learn(struct profile *announced, const struct profile *seen)
{
	profile_copy(announced, seen, seen->known);
}

bool service_same_profile(const struct service *a, const struct service *b)
{
	return strcmp(a->name, b->name) == 0 && a->learn == b->learn &&
	       a->profile.mss == b->profile.mss && a->profile.wscale == b->profile.wscale &&
	       a->profile.sack == b->profile.sack &&
	       a->profile.timestamps == b->profile.timestamps && a->profile.ecn == b->profile.ecn;
}
