// The control core's eye on the cluster: one line in the log for each change of this node's state
// and its peers', one for each other reason a peer is refused, one where its services come to
// differ from the own ones, and one where this node joins again.
#include "weir/control_internal.h"

#include "common/log.h"
#include "weir/cluster/sync.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(((struct watch *)NULL)->errors[0]) == SYNC_ERROR_BYTES, "copied whole");

static void look_at_self(struct node *node, const struct cluster_stats *stats)
{
	struct watch *watch = &node->control->watch;
	unsigned state = (unsigned)counter_get(&stats->state);
	char rejoined[SYNC_ERROR_BYTES];

	sync_rejoined(node->sync, rejoined);
	if (strcmp(rejoined, watch->rejoined) != 0) {
		memcpy(watch->rejoined, rejoined, sizeof(rejoined));
		log_warning("cluster %s %s", node->config->cluster.name, rejoined);
	}
	if (state == watch->state)
		return;
	watch->state = state;
	log_info("cluster %s state=%s id=%u tick=%llu", node->config->cluster.name,
		cluster_state_name((enum cluster_state)state), node->config->cluster.id,
		(unsigned long long)counter_get(&stats->tick));
}

// Nodes that handle a connection differently break it, and nothing else would say why.
static void look_at_services(struct node *node, unsigned peer)
{
	char differs[SYNC_ERROR_BYTES], *told = node->control->watch.differs[peer];
	const char *name = node->config->cluster.peers[peer].name;

	sync_peer_differs(node->sync, peer, differs);
	if (strcmp(differs, told) == 0)
		return;
	memcpy(told, differs, sizeof(differs));
	if (*differs)
		log_warning("peer %s does not agree: %s", name, differs);
	else
		log_info("peer %s agrees about all services", name);
}

static void look_at_peer(struct node *node, unsigned peer)
{
	const struct cluster_peer_stats *stats = cluster_peer_stats(sync_cluster(node->sync), peer);
	const char *name = node->config->cluster.peers[peer].name;
	struct watch *watch = &node->control->watch;
	unsigned state = (unsigned)counter_get(&stats->state);
	char error[SYNC_ERROR_BYTES];

	if (state != watch->states[peer]) {
		log_info("peer %s state=%s", name, peer_state_name((enum peer_state)state));
		watch->states[peer] = state;
		// Refused again after that is another event.
		if (state == PEER_ACTIVE)
			watch->errors[peer][0] = '\0';
	}
	sync_peer_error(node->sync, peer, error);
	if (*error == '\0' || state == PEER_ACTIVE || strcmp(error, watch->errors[peer]) == 0)
		return;
	memcpy(watch->errors[peer], error, sizeof(error));
	log_warning("peer %s is refused: %s", name, error);
}

void watch_look(struct node *node)
{
	if (!node->sync)
		return;
	look_at_self(node, cluster_stats(sync_cluster(node->sync)));
	for (unsigned i = 0; i < node->config->cluster.peer_count; i++) {
		look_at_peer(node, i);
		look_at_services(node, i);
	}
}
