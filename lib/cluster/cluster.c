// cluster_run(): one turn of the conversation with all peers. Nothing in it blocks, allocates or
// knows the time; what finds no lent buffer or cell stays where it is for the next turn.
//
// Order in a turn: what is owed to the workers; what arrived, peer by peer; the workers' messages;
// membership; then everything that is to be sent, so that an answer leaves in the turn in which its
// reason came. One thread calls; counters and state gauges are read by any.
#include "cluster/internal.h"

#include "base/check.h"
#include "base/error.h"

#include <openssl/crypto.h>
#include <string.h>

#define DATAGRAM_BYTES_MIN 512
#define POLL_NS		   100000000ULL // the channels' handshakes
#define NS_PER_MS	   1000000ULL

static size_t rounded(size_t bytes)
{
	return (bytes + CPU_CACHE_LINE_BYTES - 1) & ~(size_t)(CPU_CACHE_LINE_BYTES - 1);
}

static size_t own_bytes(const struct cluster_config *config)
{
	return rounded(sizeof(struct cluster) + config->peer_count * sizeof(struct peer));
}

size_t cluster_bytes(const struct cluster_config *config)
{
	return own_bytes(config) + config->peer_count * rounded(channel_bytes());
}

static struct channel *open_channel(
	const struct cluster_config *config, unsigned index, void *memory)
{
	struct channel_config channel = {.id = config->id,
		.peer = config->peers[index].id,
		.incarnation = config->incarnation,
		.methods = config->methods,
		.context = config->context,
		.rekey_ns = config->rekey_ns,
		.rekey_records = config->rekey_records};

	memcpy(channel.cluster, config->name, sizeof(channel.cluster));
	return channel_init(memory, &channel);
}

struct cluster *cluster_init(void *memory, const struct cluster_config *config)
{
	static const struct policy none;
	struct cluster *cluster = memory;
	uint8_t *channels = (uint8_t *)memory + own_bytes(config);

	CHECK(config->peer_count <= CLUSTER_PEERS_MAX && config->max_id < NODES_MAX &&
		config->id <= config->max_id && config->workers > 0 && config->detect_ms > 0 &&
		config->datagram_bytes >= DATAGRAM_BYTES_MIN &&
		config->datagram_bytes <= DATAGRAM_BYTES_MAX);
	cluster->config = *config;
	cluster->table_key = siphash_key(config->table_key);
	cluster->alone = true;
	cluster->policy = &none;
	memset(cluster->by_id, PEER_NONE, sizeof(cluster->by_id));
	for (unsigned i = 0; i < config->peer_count; i++) {
		struct peer *peer = &cluster->peers[i];

		peer->index = (uint8_t)i;
		peer->id = config->peers[i].id;
		CHECK(peer->id < NODES_MAX && peer->id != config->id);
		cluster->by_id[peer->id] = (uint8_t)i;
		peer->channel = open_channel(config, i, channels + i * rounded(channel_bytes()));
	}
	return cluster;
}

void cluster_finish(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		channel_finish(cluster->peers[i].channel);
	// Secrets lie in records, too.
	OPENSSL_cleanse(cluster, own_bytes(&cluster->config));
}

static void feed(struct cluster *cluster, struct datagram *datagram)
{
	if (datagram->peer < cluster->config.peer_count)
		peer_feed(cluster, &cluster->peers[datagram->peer], datagram);
}

static void send_all(struct cluster *cluster)
{
	unsigned count = cluster->config.peer_count;

	for (unsigned i = 0; i < count; i++)
		peer_send(cluster, &cluster->peers[(cluster->first_peer + i) % count]);
	cluster->first_peer = count > 0 ? (cluster->first_peer + 1) % count : 0;
}

static void show(struct cluster *cluster)
{
	atomic_store_explicit(&cluster->stats.state, cluster->state, memory_order_relaxed);
	if (cluster->was_active)
		atomic_store_explicit(
			&cluster->stats.tick, cluster_tick(cluster), memory_order_relaxed);
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		struct peer *peer = &cluster->peers[i];
		struct cluster_peer_stats *stats = &peer->stats;

		atomic_store_explicit(&stats->rtt_ns, peer->delivery.rtt_ns, memory_order_relaxed);
		atomic_store_explicit(&stats->dirty, peer->dirty, memory_order_relaxed);
		atomic_store_explicit(
			&stats->queued, delivery_queued(&peer->delivery), memory_order_relaxed);
	}
}

void cluster_run(struct cluster *cluster, struct cluster_batch *batch)
{
	CHECK(batch->now_ns >= cluster->now_ns && batch->datagram_count <= CLUSTER_BATCH_MAX);
	// Turns are a fraction of a second apart: either the process was stopped, or the clock
	// jumped.
	if (cluster->started && batch->now_ns - cluster->now_ns > COUNTER_NEAR_NS)
		cluster->suspect = true;
	cluster->now_ns = batch->now_ns;
	cluster->tick = cluster_tick(cluster);
	cluster->batch = batch;
	cluster->budget = MESSAGES_TURN_MAX;
	cluster->work_left = false;
	batch->out_used = batch->messages_out_used = 0;
	batch->backlog = false;
	post_flush(cluster);
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		peer_handle(cluster, &cluster->peers[i]);
	for (unsigned i = 0; i < batch->datagram_count; i++)
		feed(cluster, &batch->datagrams[i]);
	member_run(cluster);
	cluster->tick = cluster_tick(cluster); // the counter may just have been agreed
	profiles_run(cluster);
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		struct peer *peer = &cluster->peers[i];

		if (!peer->associated)
			continue;
		update_send_rows(cluster, peer);
		profiles_send(cluster, peer);
	}
	update_route_all(cluster, batch->messages_in, batch->messages_in_count);
	post_flush(cluster);
	send_all(cluster);
	show(cluster);
	cluster->batch = NULL;
}

uint64_t cluster_idle_ns(const struct cluster *cluster, uint64_t now_ns)
{
	uint64_t due = now_ns + POLL_NS;
	uint64_t quarter = now_ns + cluster->config.detect_ms * NS_PER_MS / 4;
	uint64_t member = member_due_ns(cluster);

	if (cluster->work_left || !cluster->started)
		return 0;
	due = quarter < due ? quarter : due;
	due = member < due ? member : due;
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		uint64_t peer = peer_due_ns(cluster, &cluster->peers[i]);

		due = peer < due ? peer : due;
	}
	return due > now_ns ? due - now_ns : 0;
}

void cluster_set_policy(struct cluster *cluster, const struct policy *policy)
{
	uint8_t generation = cluster->rows.generation;

	cluster->work_left = true;
	profiles_policy(cluster, policy);
	cluster->policy = policy;
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		update_replace_rows(cluster, &cluster->peers[i]);
	cluster->former = cluster->rows;
	rows_adopt(&cluster->former, policy);
	rows_build(&cluster->rows, policy, generation == UINT8_MAX ? 1 : (uint8_t)(generation + 1));
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		struct peer *peer = &cluster->peers[i];

		if (peer->associated)
			delivery_close(&peer->delivery);
		for (unsigned table = 0; table < ARRAY_LEN(peer->rows); table++)
			rows_adopt(&peer->rows[table], policy);
		peer_compare_rows(cluster, peer);
	}
}

uint64_t cluster_counter_ns(const struct cluster *cluster, uint64_t now_ns)
{
	return cluster->was_active ? counter_value_ns(&cluster->clock, now_ns) : 0;
}

void cluster_rekey(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		channel_rekey(cluster->peers[i].channel);
	cluster->work_left = true;
}

int cluster_rotate(struct cluster *cluster, const uint8_t secret[32])
{
	if (cluster->state != CLUSTER_ACTIVE)
		return -ERR_MISSING;
	if (!secrets_rotate(&cluster->secrets, cluster->config.id, cluster_epoch(cluster), secret))
		return -ERR_FULL;
	post_secrets(cluster);
	cluster->work_left = true;
	return 0;
}

void cluster_drain(struct cluster *cluster)
{
	if (cluster->state == CLUSTER_DRAINING)
		return;
	cluster->state = CLUSTER_DRAINING;
	cluster->bye_due = true;
	cluster->work_left = true;
	member_tell_all(cluster);
}

const struct cluster_stats *cluster_stats(const struct cluster *cluster)
{
	return &cluster->stats;
}

const struct cluster_peer_stats *cluster_peer_stats(const struct cluster *cluster, unsigned peer)
{
	return &cluster->peers[peer].stats;
}

const struct channel_stats *cluster_peer_channel(const struct cluster *cluster, unsigned peer)
{
	return channel_stats(cluster->peers[peer].channel);
}

const char *cluster_rejoined(const struct cluster *cluster)
{
	return cluster->rejoined;
}

const char *cluster_peer_differs(const struct cluster *cluster, unsigned peer)
{
	return cluster->peers[peer].differs;
}

const char *cluster_peer_error(const struct cluster *cluster, unsigned peer)
{
	const struct peer *of = &cluster->peers[peer];
	bool heard = !peer_is_silent(cluster, of) && channel_is_up(of->channel);

	if (!heard)
		return channel_error(of->channel);
	return of->error[0] ? of->error : of->misnamed;
}
