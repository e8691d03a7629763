// The control core's eye on the cluster: it logs each change of this node's state and its peers',
// why a peer is refused, a peer that does not answer for long, one whose services come to differ
// from the own ones, how this node came to its cluster, where it joins again, and strangers. One
// sentence about a peer that is not active serves the log and the console.
#include "weir/cluster/watch.h"

#include "common/log.h"
#include "weir/cluster/sync.h"
#include "weir/control_internal.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S     1000000000ULL
#define NS_PER_MS    1000000ULL
#define PATIENCE_NS  (5 * NS_PER_S) // with a peer that does not answer, and longer than joining
#define REFUSED_NS   (5 * NS_PER_S) // between two reasons of one peer
#define STRANGERS_NS (60 * NS_PER_S)

_Static_assert(sizeof(((struct watch_peer *)NULL)->error) == SYNC_ERROR_BYTES, "copied whole");

// ADDRESS:PORT
static char *place(const struct addr *address, uint16_t port, char out[WATCH_PLACE_BYTES])
{
	char text[ADDR_TEXT_BYTES];

	addr_format(address, text);
	snprintf(out, WATCH_PLACE_BYTES, addr_is_ip4(address) ? "%s:%u" : "[%s]:%u", text, port);
	return out;
}

// What is wrong with a peer in this state, "" where nothing is.
static void describe(const struct node *node, unsigned peer, const struct sync_news *news,
	char out[WATCH_TEXT_BYTES])
{
	const struct config_peer *config = &node->config->cluster.peers[peer];
	const struct watch_peer *seen = &node->control->watch.peers[peer];
	unsigned long long age_s = (node_now_ns() - seen->since_ns) / NS_PER_S;
	char at[WATCH_PLACE_BYTES];

	place(&config->address, config->udp_port, at);
	*out = '\0';
	switch (news->states[peer]) {
	case PEER_DOWN:
		snprintf(out, WATCH_TEXT_BYTES, "peer %s at %s has not answered %s (%llu s)",
			config->name, at,
			seen->was_heard ? "since it was heard last" : "since the start", age_s);
		return;
	case PEER_CONNECTING:
		snprintf(out, WATCH_TEXT_BYTES,
			"peer %s at %s is heard, but does not hear this node", config->name, at);
		return;
	case PEER_REFUSED:
		snprintf(out, WATCH_TEXT_BYTES, "peer %s at %s is refused: %s", config->name, at,
			news->errors[peer]);
		return;
	case PEER_JOINING:
	case PEER_ACTIVE:
	case PEER_DRAINING:
		if (news->errors[peer][0])
			snprintf(out, WATCH_TEXT_BYTES, "peer %s at %s: %s", config->name, at,
				news->errors[peer]);
	}
}

bool watch_peer_trouble(struct node *node, unsigned peer, char out[WATCH_TEXT_BYTES])
{
	struct sync_news news;

	sync_news(node->sync, &news);
	describe(node, peer, &news, out);
	return news.states[peer] == PEER_DOWN || news.states[peer] == PEER_REFUSED;
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

static void look_at_state(const char *name, struct watch_peer *seen, enum peer_state state)
{
	bool bad = state == PEER_DOWN || state == PEER_REFUSED;

	if (state == seen->state)
		return;
	log_write(bad ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "peer %s state=%s", name,
		peer_state_name(state));
	if (seen->state == PEER_ACTIVE || state == PEER_DOWN)
		seen->since_ns = node_now_ns();
	seen->was_heard |= state != PEER_DOWN;
	seen->state = state;
	if (state != PEER_ACTIVE)
		return;
	// What happens after that is another event.
	seen->told = false;
	seen->error[0] = '\0';
	seen->refused_ns = 0;
}

// Each other reason, but not the same two again and again.
static bool is_new_refusal(struct watch_peer *seen, const char *error, uint64_t now_ns)
{
	if (strcmp(error, seen->error) == 0 || *error == '\0' ||
		(seen->refused_ns != 0 && now_ns - seen->refused_ns < REFUSED_NS))
		return false;
	memcpy(seen->error, error, sizeof(seen->error));
	seen->refused_ns = now_ns;
	return true;
}

static bool is_silent_for_long(const struct node *node, struct watch_peer *seen, uint64_t now_ns)
{
	uint64_t patience_ns = sync_join_ms(&node->config->cluster) * NS_PER_MS + NS_PER_S;

	if (seen->told || now_ns - seen->since_ns < PATIENCE_NS ||
		now_ns - seen->since_ns < patience_ns)
		return false;
	seen->told = true;
	return true;
}

static void look_at_peer(struct node *node, unsigned peer, const struct sync_news *news)
{
	struct watch_peer *seen = &node->control->watch.peers[peer];
	const char *name = node->config->cluster.peers[peer].name;
	enum peer_state state = news->states[peer];
	uint64_t now_ns = node_now_ns();
	char text[WATCH_TEXT_BYTES];
	bool say = false;

	look_at_state(name, seen, state);
	if (state == PEER_DOWN || state == PEER_CONNECTING)
		say = is_silent_for_long(node, seen, now_ns);
	else if (state != PEER_ACTIVE || news->errors[peer][0])
		say = is_new_refusal(seen, news->errors[peer], now_ns);
	if (!say)
		return;
	describe(node, peer, news, text);
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
	if (!node->control->watch.begun)
		for (unsigned i = 0; i < node->config->cluster.peer_count; i++)
			node->control->watch.peers[i].since_ns = node_now_ns();
	node->control->watch.begun = true;
	look_at_self(node, &news);
	for (unsigned i = 0; i < node->config->cluster.peer_count; i++) {
		look_at_peer(node, i, &news);
		look_at_services(node, i, &news);
	}
	look_for_strangers(node, &news);
}
