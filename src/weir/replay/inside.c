#include "weir/replay/inside.h"

#include <stdlib.h>

static void take(struct inside *inside, const struct prefix *prefix)
{
	unsigned bits = prefix->bits;

	inside->prefixes[inside->count++] = (struct inside_prefix){.high = be64_get(prefix->addr.b),
		.low = be64_get(prefix->addr.b + 8),
		.high_mask = addr_mask64(bits),
		.low_mask = addr_mask64(bits > 64 ? bits - 64 : 0)};
}

static void take_all(struct inside *inside, const struct prefix *prefixes, unsigned count, bool ip6)
{
	for (unsigned i = 0; i < count; i++)
		if ((prefixes[i].family == 6) == ip6)
			take(inside, &prefixes[i]);
}

static void take_services(struct inside *inside, const struct policy *policy, bool ip6)
{
	for (unsigned i = 0; i < policy->service_count; i++)
		take_all(inside, policy->services[i].to, policy->services[i].to_count, ip6);
}

static unsigned count_of(const struct policy *policy)
{
	unsigned count = 0;

	for (unsigned i = 0; i < policy->service_count; i++)
		count += policy->services[i].to_count;
	return count;
}

int inside_open(struct inside *inside, const struct prefix *prefixes, unsigned count,
	const struct policy *policy)
{
	unsigned most = count > 0 ? count : count_of(policy);

	*inside = (struct inside){.prefixes = calloc(most + 1, sizeof(*inside->prefixes))};
	if (inside->prefixes == NULL)
		return 1;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		take_all(inside, prefixes, count, ip6);
		if (count == 0)
			take_services(inside, policy, ip6);
		if (!ip6)
			inside->ip4_count = inside->count;
	}
	return 0;
}

void inside_close(struct inside *inside)
{
	free(inside->prefixes);
	inside->prefixes = NULL;
}
