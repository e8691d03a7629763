#include "cluster/cluster.h"

#include <stddef.h>

const char *peer_state_name(enum peer_state state)
{
	static const char *const names[] = {
		"down", "connecting", "joining", "active", "draining", "refused"};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}

const char *cluster_state_name(enum cluster_state state)
{
	static const char *const names[] = {"joining", "active", "draining"};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}
