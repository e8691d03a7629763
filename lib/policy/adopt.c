// Ids of services: stable over reloads, so that flows, counters and profiles keep their service
// while its place in the order of matching changes.
#include "policy/policy.h"

#include "base/error.h"

#include <string.h>

static uint16_t id_before(const struct policy *previous, const char *name)
{
	for (uint16_t i = 0; previous != NULL && i < previous->service_count; i++)
		if (strcmp(previous->services[i].name, name) == 0)
			return previous->services[i].id;
	return SERVICE_NONE;
}

// An id neither the new policy nor the previous one uses; else one only the previous used.
static uint16_t free_id(const struct policy *policy, const struct policy *previous)
{
	uint16_t second = SERVICE_NONE;

	for (uint16_t id = 0; id < SERVICE_COUNT_MAX; id++) {
		if (policy->by_id[id] != SERVICE_NONE)
			continue;
		if (previous == NULL || previous->by_id[id] == SERVICE_NONE)
			return id;
		second = second == SERVICE_NONE ? id : second;
	}
	return second;
}

static void give(struct policy *policy, uint16_t index, uint16_t id)
{
	policy->services[index].id = id;
	policy->by_id[id] = index;
}

int policy_adopt(struct policy *policy, const struct policy *previous)
{
	bool kept[SERVICE_COUNT_MAX] = {false};

	if (policy->service_count > SERVICE_COUNT_MAX)
		return -ERR_FULL;
	for (unsigned id = 0; id < SERVICE_COUNT_MAX; id++)
		policy->by_id[id] = SERVICE_NONE;
	for (uint16_t i = 0; i < policy->service_count; i++) {
		uint16_t id = id_before(previous, policy->services[i].name);

		kept[i] = id != SERVICE_NONE;
		if (kept[i])
			give(policy, i, id);
	}
	for (uint16_t i = 0; i < policy->service_count; i++)
		if (!kept[i])
			give(policy, i, free_id(policy, previous));
	return 0;
}

const struct service *policy_service(const struct policy *policy, uint16_t id)
{
	if (id >= SERVICE_COUNT_MAX || policy->by_id[id] == SERVICE_NONE)
		return NULL;
	return &policy->services[policy->by_id[id]];
}
