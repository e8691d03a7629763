// The control core's eye on the cluster: it logs each change of this node's state and its peers',
// why a peer is refused, a peer that does not answer for long, one whose services come to differ
// from the own ones, how this node came to its cluster, where it joins again, and strangers. One
// sentence about a peer serves the log and the console (peer_watch.h).
#include "weir/cluster/watch.h"

#include "common/log.h"
#include "weir/cluster/sync.h"
#include "weir/control_internal.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S     1000000000ULL
#define STRANGERS_NS (60 * NS_PER_S)

// ADDRESS:PORT
static char *place(const struct addr *address, uint16_t port, char out[WATCH_PLACE_BYTES])
{
	char text[ADDR_TEXT_BYTES];

	addr_format(address, text);
	snprintf(out, WATCH_PLACE_BYTES, addr_is_ip4(address) ? "%s:%u" : "[%s]:%u", text, port);
	return out;
}

// What is to be seen of a peer; `at' holds its address as text.
static struct peer_sight sight_of(const struct node *node, unsigned peer,
	const struct sync_news *news, char at[WATCH_PLACE_BYTES])
{
	const struct config_cluster *cluster = &node->config->cluster;
	const struct config_peer *config = &cluster->peers[peer];

	return (struct peer_sight){
		.state = news->states[peer],
		.name = config->name,
		.at = place(&config->address, config->udp_port, at),
		.error = news->errors[peer],
		.address = &config->address,
		.udp_port = config->udp_port,
		.own_address = &cluster->address,
		.own_udp_port = cluster->udp_port,
		.waits = cluster->id > config->id,
		.way = news->ways[peer],
		.rx_bytes =
			counter_get(&cluster_peer_stats(sync_cluster(node->sync), peer)->rx_bytes),
		.detect_ms = cluster->detect_ms,
		.join_ms = sync_join_ms(cluster),
	};
}

static void look_at_birth(struct node *node, const struct sync_news *news)
{
	const char *name = node->config->cluster.name;

	if (node->control->watch.born)
		return;
	node->control->watch.born = true;
	if (!news->founded)
		log_info("cluster %s: joined the nodes that are active", name);
	else if (!news->founded_alone)
		log_info("cluster %s: founded by this node, with those it reached", name);
	else if (node->config->cluster.peer_count == 0)
		log_info("cluster %s: founded by this node, which has no peers", name);
	else
		log_warning("cluster %s: started a cluster of its own: no peer answered", name);
}

static void look_at_self(struct node *node, const struct sync_news *news)
{
	const struct cluster_stats *stats = cluster_stats(sync_cluster(node->sync));
	struct watch *watch = &node->control->watch;
	unsigned state = (unsigned)counter_get(&stats->state);

	if (strcmp(news->rejoined, watch->rejoined) != 0) {
		memcpy(watch->rejoined, news->rejoined, sizeof(watch->rejoined));
		log_warning("cluster %s %s", node->config->cluster.name, news->rejoined);
	}
	if (news->born)
		look_at_birth(node, news);
	if (state == watch->state)
		return;
	watch->state = state;
	log_info("cluster %s state=%s id=%u tick=%llu", node->config->cluster.name,
		cluster_state_name((enum cluster_state)state), node->config->cluster.id,
		(unsigned long long)counter_get(&stats->tick));
}

// Nodes that handle a connection differently break it, and nothing else would say why.
static void look_at_services(struct node *node, unsigned peer, const struct sync_news *news)
{
	char *told = node->control->watch.differs[peer];
	const char *name = node->config->cluster.peers[peer].name;

	if (strcmp(news->differs[peer], told) == 0)
		return;
	memcpy(told, news->differs[peer], SYNC_ERROR_BYTES);
	if (*told)
		log_warning("peer %s does not agree: %s", name, told);
	else
		log_info("peer %s agrees about all services", name);
}

static void look_at_peer(struct node *node, unsigned peer, const struct sync_news *news)
{
	struct peer_watch *watch = &node->control->watch.peers[peer];
	char at[WATCH_PLACE_BYTES], text[WATCH_TEXT_BYTES];
	struct peer_sight sight = sight_of(node, peer, news, at);
	uint64_t now_ns = node_now_ns();
	bool bad = sight.state == PEER_DOWN || sight.state == PEER_REFUSED;

	if (peer_watch_see(watch, &sight, now_ns))
		log_write(bad && !watch->left ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			"peer %s state=%s%s", sight.name, peer_state_name(sight.state),
			watch->left ? ": it has left the cluster" : "");
	if (peer_watch_tells(watch, &sight, now_ns) &&
		peer_watch_trouble(watch, &sight, now_ns, text))
		log_warning("%s", text);
}

static void look_for_strangers(struct node *node, const struct sync_news *news)
{
	struct watch *watch = &node->control->watch;
	uint64_t now_ns = node_now_ns();
	struct transport_stats stats;
	char from[WATCH_PLACE_BYTES];

	sync_transport_stats(node->sync, &stats);
	if (counter_get(&stats.foreign) == watch->strangers || news->stranger.udp_port == 0 ||
		(watch->strangers_ns != 0 && now_ns - watch->strangers_ns < STRANGERS_NS))
		return;
	watch->strangers = counter_get(&stats.foreign);
	watch->strangers_ns = now_ns;
	log_warning("datagrams from %s, which is no configured peer: add it to cluster.peers or "
		    "correct its address",
		place(&news->stranger.address, news->stranger.udp_port, from));
}

void watch_look(struct node *node)
{
	struct sync_news news;

	if (!node->sync)
		return;
	sync_news(node->sync, &news);
	look_at_self(node, &news);
	for (unsigned i = 0; i < node->config->cluster.peer_count; i++) {
		look_at_peer(node, i, &news);
		look_at_services(node, i, &news);
	}
	look_for_strangers(node, &news);
}

bool watch_peer_trouble(struct node *node, unsigned peer, char out[WATCH_TEXT_BYTES])
{
	char at[WATCH_PLACE_BYTES];
	struct peer_sight sight;
	struct sync_news news;

	sync_news(node->sync, &news);
	look_at_peer(node, peer, &news); // what is said is of what was seen
	sight = sight_of(node, peer, &news, at);
	return peer_watch_trouble(&node->control->watch.peers[peer], &sight, node_now_ns(), out);
}
