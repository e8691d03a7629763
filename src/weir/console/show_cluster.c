// The commands of the cluster.
#include "weir/console/console_private.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/cluster/sync.h"
#include "weir/cluster/watch.h"
#include "weir/control.h"
#include "weir/node.h"
#include "weir/stats.h"

#include <stdio.h>
#include <string.h>

#define NO_CLUSTER_HINT "the configuration has no group `cluster'"

// False, and the command is answered, where there is no cluster.
static bool has_cluster(struct session *session)
{
	if (!session->node->sync)
		session_fail(session, "failed", NO_CLUSTER_HINT, "this node is on its own");
	return session->node->sync != NULL;
}

static json_t *refused(const struct channel_stats *channel, const struct cluster_peer_stats *stats)
{
	return json_pack("{s:o,s:o,s:o,s:o}", "bad_auth",
		reply_count(counter_get(&channel->bad_auth)), "replayed",
		reply_count(counter_get(&channel->replayed)), "version",
		reply_count(counter_get(&channel->version)), "hello",
		reply_count(counter_get(&stats->refused)));
}

static json_t *peer_row(const struct session *session, unsigned index)
{
	const struct config_peer *config = &session->node->config->cluster.peers[index];
	const struct cluster *cluster = sync_cluster(session->node->sync);
	const struct cluster_peer_stats *stats = cluster_peer_stats(cluster, index);
	unsigned state = (unsigned)counter_get(&stats->state);

	return json_pack("{s:s,s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name", config->name,
		"id", config->id, "state", peer_state_name((enum peer_state)state), "rtt_us",
		reply_count(counter_get(&stats->rtt_ns) / 1000), "tx_bytes",
		reply_count(counter_get(&stats->tx_bytes)), "rx_bytes",
		reply_count(counter_get(&stats->rx_bytes)), "updates_sent",
		reply_count(counter_get(&stats->updates_sent)), "updates_applied",
		reply_count(counter_get(&stats->updates_applied)), "resent",
		reply_count(counter_get(&stats->resent)), "dirty",
		reply_count(counter_get(&stats->dirty)), "refused",
		refused(cluster_peer_channel(cluster, index), stats));
}

// Ids of the active nodes.
static json_t *view_ids(uint64_t view)
{
	json_t *ids = json_array();

	for (; view; view &= view - 1)
		json_array_append_new(ids, json_integer(__builtin_ctzll(view)));
	return ids;
}

static json_t *opening(const struct node *node)
{
	struct opening_stats s;

	stats_opening(node, &s);
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "synack_to_owner",
		reply_count(s.synack_to_owner), "synack_from_finder",
		reply_count(s.synack_from_finder), "shared", reply_count(s.shared), "wait_timeouts",
		reply_count(s.wait_timeouts), "wait_us_p50", reply_count(s.wait_us_p50),
		"wait_us_p99", reply_count(s.wait_us_p99));
}

static json_t *transport(const struct node *node)
{
	struct transport_stats s;

	sync_transport_stats(node->sync, &s);
	return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "kind",
		node->config->cluster.transport == TRANSPORT_PORT ? "port" : "socket", "rx_packets",
		reply_count(s.rx_packets), "tx_packets", reply_count(s.tx_packets), "tx_refused",
		reply_count(s.tx_refused), "unresolved", reply_count(s.unresolved), "foreign",
		reply_count(s.foreign), "wrong_port", reply_count(s.wrong_port), "malformed",
		reply_count(s.malformed));
}

static const char *scope_name(unsigned scope)
{
	static const char *const names[] = {"finder", "all", "none"};

	return names[scope];
}

// What sharing means for the number of sessions (P6): who holds one, and how many all nodes hold.
static json_t *sessions(const struct node *node)
{
	static const char *const holders[] = {[SHARE_FINDER] = "owner and finder",
		[SHARE_ALL] = "every node",
		[SHARE_NONE] = "owner"};
	static const char *const totals[] = {[SHARE_FINDER] = "grows with the nodes",
		[SHARE_ALL] = "that of one node",
		[SHARE_NONE] = "grows with the nodes"};
	unsigned share = node->config->policy->share;

	return json_pack("{s:s,s:o,s:s}", "held_by", holders[share], "node_capacity",
		reply_count(node->config->flow_capacity), "cluster_capacity", totals[share]);
}

void command_show_cluster(struct session *session)
{
	const struct node *node = session->node;
	json_t *peers = json_array();

	if (!has_cluster(session)) {
		json_decref(peers);
		return;
	}
	const struct cluster_stats *stats = cluster_stats(sync_cluster(node->sync));
	unsigned state = (unsigned)counter_get(&stats->state);
	uint32_t tick = (uint32_t)counter_get(&stats->tick);
	for (unsigned i = 0; i < node->config->cluster.peer_count; i++)
		json_array_append_new(peers, peer_row(session, i));
	session_answer(session,
		json_pack("{s:i,s:i,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:o}", "id",
			node->config->cluster.id, "max_id", node->config->cluster.max_id, "name",
			node->config->cluster.name, "state",
			cluster_state_name((enum cluster_state)state), "view",
			view_ids(counter_get(&stats->view)), "time_counter", reply_count(tick),
			"key_epoch", reply_count(tick / KEYRING_TICKS_PER_EPOCH),
			"secret_generation", reply_count(counter_get(&stats->secret_generation)),
			"counter_refused", reply_count(counter_get(&stats->counter_refused)),
			"unsent", reply_count(counter_get(&stats->unsent)), "share",
			scope_name(node->config->policy->share), "wait",
			scope_name(node->config->policy->wait), "sessions", sessions(node), "peers",
			peers, "opening", opening(node), "transport", transport(node)));
}

// Index of the peer the command names: the grammar lets no other name through.
static unsigned peer_index(const struct session *session)
{
	const struct config_cluster *cluster = &session->node->config->cluster;
	unsigned index = 0;

	while (index + 1 < cluster->peer_count &&
		strcmp(cluster->peers[index].name, session->args.peer) != 0)
		index++;
	return index;
}

void command_show_cluster_peer(struct session *session)
{
	const struct node *node = session->node;

	if (!has_cluster(session))
		return;
	if (node->config->cluster.peer_count == 0) {
		session_fail(session, "failed", NULL, "the cluster has no other node configured");
		return;
	}
	unsigned index = peer_index(session);
	const struct cluster *cluster = sync_cluster(node->sync);
	const struct channel_stats *channel = cluster_peer_channel(cluster, index);
	const struct config_peer *config = &node->config->cluster.peers[index];
	char address[ADDR_TEXT_BYTES], error[WATCH_TEXT_BYTES];
	struct sync_news news;
	json_t *row = peer_row(session, index);

	json_object_set_new(row, "address", json_string(addr_format(&config->address, address)));
	json_object_set_new(row, "udp_port", json_integer(config->udp_port));
	json_object_set_new(row, "queued",
		reply_count(counter_get(&cluster_peer_stats(cluster, index)->queued)));
	json_object_set_new(row, "unsent",
		reply_count(counter_get(&cluster_peer_stats(cluster, index)->unsent)));
	json_object_set_new(row, "dropped",
		reply_count(counter_get(&cluster_peer_stats(cluster, index)->dropped)));
	json_object_set_new(row, "handshakes", reply_count(counter_get(&channel->handshakes)));
	json_object_set_new(row, "rekeys", reply_count(counter_get(&channel->rekeys)));
	watch_peer_trouble(session->node, index, error);
	json_object_set_new(row, "error", reply_name(*error ? error : NULL));
	sync_news(node->sync, &news);
	json_object_set_new(
		row, "differs", reply_name(*news.differs[index] ? news.differs[index] : NULL));
	session_answer(session, row);
}

void command_set_cluster_wait(struct session *session)
{
	struct config_errors errors = {.count = 0};
	char set[64];

	if (!has_cluster(session))
		return;
	snprintf(set, sizeof(set), "cluster.wait=%s", session->args.scope);
	int rc = control_set(session->node, set, &errors);
	if (rc)
		session_fail(session, rc == -ERR_FULL ? "busy" : "failed", "try again", "%s",
			errors.count ? errors.list[0].text : "the change was not taken");
	else
		session_answer(session, json_pack("{s:s}", "wait",
						scope_name(session->node->config->policy->wait)));
	config_errors_free(&errors);
}

static bool is_reached(const struct session *session, unsigned peer)
{
	const struct cluster *cluster = sync_cluster(session->node->sync);
	uint64_t state = counter_get(&cluster_peer_stats(cluster, peer)->state);

	return state != PEER_DOWN && state != PEER_REFUSED;
}

// How many peers hear of it now, and of the others when they will.
static void add_reached(const struct session *session, json_t *answer, const char *later)
{
	const struct config_cluster *config = &session->node->config->cluster;
	json_t *away = json_array();
	unsigned reached = 0;

	for (unsigned i = 0; i < config->peer_count; i++) {
		if (is_reached(session, i))
			reached++;
		else
			json_array_append_new(away, json_string(config->peers[i].name));
	}
	json_object_set_new(answer, "peers", json_integer(reached));
	if (json_array_size(away) > 0) {
		json_object_set_new(answer, "not_reached", json_incref(away));
		json_object_set_new(answer, "note", json_string(later));
	}
	json_decref(away);
}

static void fail_asked(struct session *session, int error)
{
	if (error == -ERR_MISSING)
		session_fail(session, "busy", "see `show cluster'", "the node is not active yet");
	else if (error == -ERR_EXISTS)
		session_fail(session, "busy", "see `show cluster' whether it was done",
			"the cluster's thread is busy and does it later");
	else
		session_fail(session, "failed", "see `show cluster'", "no secret could be made");
}

void command_cluster_rekey(struct session *session)
{
	json_t *answer;
	int error;

	if (!has_cluster(session))
		return;
	error = sync_rekey(session->node->sync);
	if (error) {
		fail_asked(session, error);
		return;
	}
	answer = json_object();
	add_reached(session, answer, "a peer that is not reached gets new keys when it is back");
	log_info("console: cluster rekey: new keys for the channels to %lld peers",
		(long long)json_integer_value(json_object_get(answer, "peers")));
	session_answer(session, answer);
}

void command_cluster_rotate(struct session *session)
{
	const struct cluster_stats *stats;
	uint64_t generation, epoch;
	json_t *answer;
	int error;

	if (!has_cluster(session))
		return;
	error = sync_rotate(session->node->sync);
	if (error) {
		fail_asked(session, error);
		return;
	}
	stats = cluster_stats(sync_cluster(session->node->sync));
	generation = counter_get(&stats->secret_generation);
	epoch = counter_get(&stats->secret_epoch);
	answer = json_pack("{s:o,s:o}", "secret_generation", reply_count(generation), "from_epoch",
		reply_count(epoch));
	add_reached(session, answer, "a peer that is not reached gets the secret when it is back");
	log_info("console: cluster rotate: a new secret generation=%llu from_epoch=%llu",
		(unsigned long long)generation, (unsigned long long)epoch);
	session_answer(session, answer);
}
