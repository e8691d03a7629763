#include "net.h"

#include "net_flight.h"

#include "base/bytes.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX     64
#define BUFFERS_MAX   64
#define PAGE_BYTES    4096
#define NAP_MIN_NS    10000ULL // of a node that has work left
#define REORDER_TIMES 4

uint32_t net_choose(struct net *net, uint32_t bound)
{
	net->random = net->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return bound == 0 ? 0 : (uint32_t)(net->random >> 33) % bound;
}

unsigned net_seeds(unsigned quick, unsigned full)
{
	const char *size = getenv("WEIR_TEST_SIZE");

	return size != NULL && strcmp(size, "quick") != 0 ? full : quick;
}

static bool percent(struct net *net, unsigned chance)
{
	return chance > 0 && net_choose(net, 100) < chance;
}

unsigned net_peer(unsigned host, unsigned peer)
{
	return peer < host ? peer : peer - 1;
}

static unsigned host_of(unsigned host, unsigned peer)
{
	return peer < host ? peer : peer + 1;
}

static void carry(struct net *net, struct net_flight *flight)
{
	const struct net_link *link = &net->links[flight->from][flight->to];

	net->sent++;
	for (unsigned copies = percent(net, link->repeat) ? 2 : 1; copies > 0; copies--) {
		if (link->cut || percent(net, link->loss)) {
			net->lost++;
			continue;
		}
		flight->at_ns = net->now_ns + link->delay_ns;
		if (percent(net, link->reorder))
			flight->at_ns += net_choose(
				net, (uint32_t)(link->delay_ns * (REORDER_TIMES - 1) + 1));
		flight_start(net, flight);
	}
}

void net_inject(struct net *net, unsigned from, unsigned to, const void *data, size_t len)
{
	struct net_flight flight = {.at_ns = net->now_ns,
		.from = (uint8_t)from,
		.to = (uint8_t)to,
		.len = (uint16_t)len};

	CHECK(len <= sizeof(flight.data));
	memcpy(flight.data, data, len);
	flight_start(net, &flight);
}

uint64_t net_clock_ns(const struct net *net, unsigned host)
{
	const struct net_host *h = &net->hosts[host];

	return h->clock_ns + (net->now_ns - h->at_ns) * h->clock_tenths / 10;
}

void net_jump_clock(struct net *net, unsigned host, uint64_t by_ns)
{
	net_set_clock(net, host, net->hosts[host].clock_tenths);
	net->hosts[host].clock_ns += by_ns;
}

void net_set_clock(struct net *net, unsigned host, unsigned tenths)
{
	struct net_host *h = &net->hosts[host];

	h->clock_ns = net_clock_ns(net, host);
	h->at_ns = net->now_ns;
	h->clock_tenths = tenths;
	h->wake_ns = net->now_ns;
}

uint64_t net_counter_ns(const struct net *net, unsigned host)
{
	return cluster_counter_ns(net->hosts[host].cluster, net_clock_ns(net, host));
}

static void take_all(struct net *net, unsigned host, struct cluster_batch *batch)
{
	struct net_host *h = &net->hosts[host];

	for (unsigned i = 0; i < batch->messages_out_used; i++) {
		const struct message *message = batch->messages_out[i];

		CHECK(message->type > 0 && message->type < NET_TYPES);
		CHECK(message->worker < h->config.workers || message->worker == WORKER_ALL);
		h->took[message->type]++;
		if (message->type == MESSAGE_VIEW)
			h->view = message->body.view;
		if (message->type == MESSAGE_SECRET && h->secret_count < ARRAY_LEN(h->secrets))
			h->secrets[h->secret_count++] = message->body.secret;
		if (net->config.take != NULL)
			net->config.take(net, host, message);
	}
}

static void send_all(struct net *net, unsigned host, struct cluster_batch *batch)
{
	for (unsigned i = 0; i < batch->out_used; i++) {
		struct net_flight flight = {.from = (uint8_t)host,
			.to = (uint8_t)host_of(host, batch->out[i].peer),
			.len = batch->out[i].len};

		CHECK(flight.len <= net->hosts[host].config.datagram_bytes);
		memcpy(flight.data, batch->out[i].data, flight.len);
		carry(net, &flight);
	}
}

// One call of cluster_run() with what arrived.
static void run_host(
	struct net *net, unsigned host, struct datagram *datagrams, unsigned datagram_count)
{
	static struct message cells[CELLS_MAX];
	static uint8_t buffers[BUFFERS_MAX][DATAGRAM_BYTES_MAX];
	struct net_host *h = &net->hosts[host];
	struct message *lent[CELLS_MAX], *posts[NET_POSTS_MAX];
	struct datagram out[BUFFERS_MAX];
	struct cluster_batch batch = {.now_ns = net_clock_ns(net, host),
		.datagrams = datagrams,
		.datagram_count = datagram_count,
		.out = out,
		.out_room = h->buffers,
		.messages_in = posts,
		.messages_in_count =
			h->post_count < CLUSTER_BATCH_MAX ? h->post_count : CLUSTER_BATCH_MAX,
		.messages_out = lent,
		.messages_out_room = h->cells};
	uint64_t idle;

	for (unsigned i = 0; i < CELLS_MAX; i++)
		lent[i] = &cells[i];
	for (unsigned i = 0; i < BUFFERS_MAX; i++)
		out[i] = (struct datagram){.data = buffers[i], .room = sizeof(buffers[i])};
	// The hook may post while these are taken.
	memcpy(posts, h->posts, sizeof(posts));
	h->post_count -= batch.messages_in_count;
	memmove(h->posts, h->posts + batch.messages_in_count, h->post_count * sizeof(h->posts[0]));
	cluster_run(h->cluster, &batch);
	CHECK(batch.out_used <= h->buffers && batch.messages_out_used <= h->cells);
	for (unsigned i = 0; i < batch.messages_in_count; i++)
		free(posts[i]);
	CHECK(net_counter_ns(net, host) >= h->counter_ns);
	h->counter_ns = net_counter_ns(net, host);
	idle = cluster_idle_ns(h->cluster, batch.now_ns);
	CHECK(idle <= h->config.detect_ms * NET_MS / 4);
	idle = idle * 10 / h->clock_tenths;
	h->wake_ns = net->now_ns + (idle > NAP_MIN_NS ? idle : NAP_MIN_NS);
	send_all(net, host, &batch);
	take_all(net, host, &batch);
	if (h->post_count > 0)
		h->wake_ns = net->now_ns;
}

// Runs a host with everything that has arrived for it by now.
static void run_due(struct net *net, unsigned host)
{
	static struct net_flight arrived[CLUSTER_BATCH_MAX];
	struct datagram datagrams[CLUSTER_BATCH_MAX];
	struct net_host *h = &net->hosts[host];
	unsigned count = 0;

	while (net->flight_count > 0 && count < CLUSTER_BATCH_MAX) {
		const struct net_flight *first = &net->flights[net->heap[0]];

		if (first->at_ns > net->now_ns || first->to != host)
			break;
		arrived[count] = flight_end(net);
		datagrams[count] = (struct datagram){.data = arrived[count].data,
			.len = arrived[count].len,
			.room = DATAGRAM_BYTES_MAX,
			.peer = (uint8_t)net_peer(host, arrived[count].from)};
		count++;
	}
	for (unsigned i = 0; h->cluster == NULL && net->config.raw != NULL && i < count; i++)
		net->config.raw(net, &arrived[i]);
	if (h->cluster == NULL || h->stopped)
		return;
	if (count > 0 || h->wake_ns <= net->now_ns)
		run_host(net, host, datagrams, count);
}

static uint64_t next_ns(const struct net *net)
{
	uint64_t next = UINT64_MAX;

	if (net->flight_count > 0)
		next = net->flights[net->heap[0]].at_ns;
	for (unsigned i = 0; i < net->config.hosts; i++)
		if (net->hosts[i].cluster != NULL && !net->hosts[i].stopped &&
			net->hosts[i].wake_ns < next)
			next = net->hosts[i].wake_ns;
	return next;
}

static void step(struct net *net)
{
	unsigned to = NET_HOSTS_MAX;

	if (net->flight_count > 0 && net->flights[net->heap[0]].at_ns <= net->now_ns)
		to = net->flights[net->heap[0]].to;
	for (unsigned i = 0; i < net->config.hosts; i++)
		if (to == i || (to == NET_HOSTS_MAX && net->hosts[i].wake_ns <= net->now_ns))
			run_due(net, i);
}

static bool run_to(struct net *net, uint64_t end, bool (*done)(const struct net *net))
{

	for (;;) {
		uint64_t next = next_ns(net);

		if (done != NULL && done(net))
			return true;
		if (next > end)
			break;
		net->now_ns = next > net->now_ns ? next : net->now_ns;
		step(net);
	}
	net->now_ns = end;
	return done != NULL && done(net);
}

bool net_run_until(struct net *net, uint64_t ms, bool (*done)(const struct net *net))
{
	return run_to(net, net->now_ns + ms * NET_MS, done);
}

void net_run_ns(struct net *net, uint64_t ns)
{
	run_to(net, net->now_ns + ns, NULL);
}

void net_run_ms(struct net *net, uint64_t ms)
{
	net_run_ns(net, ms * NET_MS);
}

static void set_policy(struct net_host *host)
{
	struct service *service = &host->service;

	policy_init(&host->policy);
	snprintf(service->name, sizeof(service->name), "web");
	CHECK(prefix_parse(&service->to[0], "198.51.100.0/24") == 0);
	service->to_count = 1;
	service->protocol = RULE_TCP;
	service->from = RULE_FROM_OUTSIDE;
	service->mode = MODE_PROXY;
	service->ports[0] = (struct port_range){1, UINT16_MAX};
	service->port_count = 1;
	service->profile = (struct profile){
		.mss = 1460, .wscale = 7, .sack = true, .timestamps = true, .ecn = true};
	service->learn = true;
	host->policy.services = service;
	host->policy.service_count = 1;
	CHECK(policy_adopt(&host->policy, NULL) == 0);
}

static uint16_t id_of(const struct net_config *config, unsigned host)
{
	return config->ids[0] == 0 && config->ids[1] == 0 ? (uint16_t)host : config->ids[host];
}

static void configure(struct net *net, unsigned host)
{
	const struct net_config *from = &net->config;
	struct net_host *h = &net->hosts[host];
	struct cluster_config *config = &h->config;

	*config = (struct cluster_config){.name = "lab",
		.id = id_of(from, host),
		.max_id = NODES_MAX - 1,
		.detect_ms = from->detect_ms != 0 ? from->detect_ms : 500,
		.join_ms = from->join_ms != 0 ? from->join_ms : 2000,
		.workers = from->workers != 0 ? from->workers : 1,
		.counter_ns = NET_COUNTER_NS,
		.datagram_bytes = DATAGRAM_BYTES_MAX,
		.methods = &keyed_methods,
		.context = &h->keys};
	snprintf(config->node, sizeof(config->node), "host-%u", host);
	memset(config->table_key, (int)(host + 1), sizeof(config->table_key));
	for (unsigned i = 0; i < from->hosts; i++) {
		struct cluster_peer_config *peer = &config->peers[config->peer_count];

		if (i == host)
			continue;
		config->peer_count++;
		peer->id = id_of(from, i);
		snprintf(peer->name, sizeof(peer->name), "host-%u", i);
	}
	memset(h->keys.secret, 0x3c, sizeof(h->keys.secret));
	h->keys.id = config->id;
	h->cells = CELLS_MAX;
	h->buffers = BUFFERS_MAX;
	h->clock_ns = NET_START_NS;
	h->at_ns = net->now_ns;
	h->clock_tenths = 10;
	set_policy(h);
}

struct net *net_make(const struct net_config *config)
{
	struct net *net = calloc(1, sizeof(*net));

	CHECK(net != NULL && config->hosts <= NET_HOSTS_MAX);
	net->config = *config;
	net->now_ns = NET_START_NS;
	net->random = config->seed;
	net->flights = malloc(NET_FLIGHTS_MAX * sizeof(net->flights[0]));
	CHECK(net->flights != NULL);
	for (unsigned i = 0; i < NET_FLIGHTS_MAX; i++)
		net->spare[i] = (uint16_t)i;
	net_set_links(net, &config->link);
	for (unsigned i = 0; i < config->hosts; i++)
		configure(net, i);
	return net;
}

void net_end(struct net *net)
{
	for (unsigned i = 0; i < net->config.hosts; i++)
		net_crash(net, i);
	free(net->flights);
	free(net);
}

void net_boot(struct net *net, unsigned host)
{
	struct net_host *h = &net->hosts[host];
	size_t bytes;

	CHECK(h->cluster == NULL);
	h->lives++;
	h->config.incarnation = (uint64_t)h->lives << 32 | (host + 1);
	h->keys.nonce = h->config.incarnation << 8;
	memset(h->config.secret, (int)(0x40 + 16 * host + h->lives), sizeof(h->config.secret));
	bytes = (cluster_bytes(&h->config) + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	h->memory = aligned_alloc(PAGE_BYTES, bytes);
	CHECK(h->memory != NULL);
	memset(h->memory, 0, bytes);
	h->cluster = cluster_init(h->memory, &h->config);
	cluster_set_policy(h->cluster, &h->policy);
	h->stopped = false;
	h->wake_ns = net->now_ns;
	h->counter_ns = 0;
	h->view = (struct message_view){0};
	h->secret_count = 0;
	memset(h->took, 0, sizeof(h->took));
}

void net_boot_all(struct net *net)
{
	for (unsigned i = 0; i < net->config.hosts; i++)
		net_boot(net, i);
}

void net_crash(struct net *net, unsigned host)
{
	struct net_host *h = &net->hosts[host];

	if (h->cluster == NULL)
		return;
	cluster_finish(h->cluster);
	h->cluster = NULL;
	free(h->memory);
	while (h->post_count > 0)
		free(h->posts[--h->post_count]);
}

void net_cut(struct net *net, unsigned from, unsigned to, bool cut)
{
	net->links[from][to].cut = cut;
}

void net_part(struct net *net, uint32_t mask, bool cut)
{
	for (unsigned from = 0; from < net->config.hosts; from++)
		for (unsigned to = 0; to < net->config.hosts; to++)
			if ((mask >> from & 1) != (mask >> to & 1))
				net_cut(net, from, to, cut);
}

void net_set_links(struct net *net, const struct net_link *link)
{
	for (unsigned from = 0; from < NET_HOSTS_MAX; from++)
		for (unsigned to = 0; to < NET_HOSTS_MAX; to++)
			net->links[from][to] = *link;
}

bool net_post(struct net *net, unsigned host, const struct message *message)
{
	struct net_host *h = &net->hosts[host];

	if (h->post_count == NET_POSTS_MAX)
		return false;
	h->posts[h->post_count] = malloc(sizeof(*message));
	CHECK(h->posts[h->post_count] != NULL);
	*h->posts[h->post_count++] = *message;
	h->wake_ns = net->now_ns;
	return true;
}

const struct cluster_stats *net_stats(const struct net *net, unsigned host)
{
	return cluster_stats(net->hosts[host].cluster);
}

const struct cluster_peer_stats *net_peer_stats(const struct net *net, unsigned host, unsigned peer)
{
	return cluster_peer_stats(net->hosts[host].cluster, net_peer(host, peer));
}

const struct message_secret *net_secret(const struct net *net, unsigned host, uint32_t epoch)
{
	const struct net_host *h = &net->hosts[host];

	for (unsigned i = h->secret_count; i > 0; i--)
		if (h->secrets[i - 1].first_epoch <= epoch)
			return &h->secrets[i - 1];
	return NULL;
}

static const struct message_secret *secret_of(const struct net_host *host)
{
	return host->secret_count > 0 ? &host->secrets[host->secret_count - 1] : NULL;
}

bool net_is_one(const struct net *net)
{
	const struct net_host *first = NULL;
	uint64_t up = 0, first_ns = 0;

	for (unsigned i = 0; i < net->config.hosts; i++)
		if (net->hosts[i].cluster != NULL)
			up |= 1ULL << net->hosts[i].config.id;
	for (unsigned i = 0; i < net->config.hosts; i++) {
		const struct net_host *h = &net->hosts[i];
		uint64_t own_ns;

		if (h->cluster == NULL)
			continue;
		if (!h->view.decodes || h->view.active != up || secret_of(h) == NULL)
			return false;
		own_ns = net_counter_ns(net, i);
		if (first == NULL) {
			first = h;
			first_ns = own_ns;
		}
		if (memcmp(secret_of(h)->secret, secret_of(first)->secret, 32) != 0 ||
			secret_of(h)->generation != secret_of(first)->generation ||
			(own_ns > first_ns ? own_ns - first_ns : first_ns - own_ns) > 16 * NET_S)
			return false;
	}
	return first != NULL;
}
