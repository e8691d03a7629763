#include "weir/stats.h"

#include "base/check.h"
#include "flow/key.h"
#include "weir/cluster/sync.h"
#include "weir/control.h"
#include "weir/node.h"
#include "weir/port.h"
#include "weir/worker.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

void stats_status(const struct node *node, struct status_stats *out)
{
	*out = (struct status_stats){
		.state = node_state_name(node_get_state(node)),
		.uptime_s = (node_now_ns() - node->start_ns) / NS_PER_S,
		.version = WEIR_VERSION,
		.config_generation = node->generation,
		.config_sha256 = node->config->sha256,
		.huge_pages = node->huge_pages,
	};
}

// The cluster's thread counts what peers and this node said, no ARP or echo.
static void add_sync(const struct node *node, struct port_stats *out)
{
	struct transport_stats stats;

	sync_transport_stats(node->sync, &stats);
	out->rx_packets = counter_get(&stats.rx_packets);
	out->rx_bytes = counter_get(&stats.rx_bytes);
	out->tx_packets = counter_get(&stats.tx_packets);
	out->tx_bytes = counter_get(&stats.tx_bytes);
	out->tx_refused = counter_get(&stats.tx_refused);
}

void stats_port(const struct node *node, unsigned index, struct port_stats *out)
{
	const struct port *port = &node->ports[index];
	struct rte_eth_stats device;

	*out = (struct port_stats){
		.name = port->config->name,
		.device = port->config->device,
		.side = port->config->side,
		.link = port->link,
	};
	if (port == node->sync_port)
		add_sync(node, out);
	for (unsigned w = 0; port != node->sync_port && w < node->worker_count; w++) {
		const struct worker_port_stats *stats =
			&worker_counters(node->workers[w])->ports[index];

		out->rx_packets += counter_get(&stats->rx_packets);
		out->rx_bytes += counter_get(&stats->rx_bytes);
		out->rx_bad_checksum += counter_get(&stats->rx_bad_checksum);
		out->tx_packets += counter_get(&stats->tx_packets);
		out->tx_bytes += counter_get(&stats->tx_bytes);
		out->tx_refused += counter_get(&stats->tx_refused);
	}
	if (rte_eth_stats_get(port->id, &device) == 0) {
		out->rx_missed = device.imissed + device.rx_nombuf;
		out->rx_errors = device.ierrors;
	}
}

void stats_port_info(const struct node *node, unsigned index, struct port_info *out)
{
	const struct port *port = &node->ports[index];
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac = {0};

	*out = (struct port_info){
		.name = port->config->name,
		.device = port->config->device,
		.driver = rte_eth_dev_info_get(port->id, &info) == 0 ? info.driver_name : "",
		.peer = node->ports[port->peer].config->name,
		.side = port->config->side,
		.mtu = port->config->mtu,
		.rx_queues = port->rx_queues,
		.tx_queues = port->tx_queues,
		.promiscuous = port->promiscuous,
	};
	if (rte_eth_macaddr_get(port->id, &mac) == 0)
		memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
}

static void add_ports(const struct node *node, struct drop_stats *out)
{
	for (unsigned i = 0; i < node->port_count; i++) {
		struct port_stats port;

		stats_port(node, i, &port);
		out->received += port.rx_packets;
		out->transmitted += port.tx_packets;
	}
}

void stats_drop(const struct node *node, struct drop_stats *out)
{
	memset(out, 0, sizeof(*out));
	add_ports(node, out);
	for (unsigned w = 0; w < node->worker_count; w++) {
		const struct engine_stats *engine = engine_stats(worker_engine(node->workers[w]));
		const struct worker_counters *counters = worker_counters(node->workers[w]);

		out->generated += counter_get(&engine->generated);
		out->from_peers += counter_get(&engine->from_peers);
		out->consumed += counter_get(&engine->consumed);
		out->to_peers += counter_get(&engine->to_peers);
		// Packets between workers are queued: one more where they left, one less where they
		// arrived. The sum over all workers cannot be below zero when it is quiet.
		out->queued += counter_get(&engine->queued) + counter_get(&counters->handed_out) -
			       counter_get(&counters->handed_in);
		for (unsigned r = 0; r < REASON_COUNT; r++)
			out->reasons[r] += counter_get(&engine->dropped[r]) +
					   counter_get(&counters->dropped[r]);
	}
	for (unsigned r = 0; r < REASON_COUNT; r++)
		out->dropped += out->reasons[r];
	out->unexplained = (int64_t)(out->received + out->generated + out->from_peers -
				     (out->transmitted + out->consumed + out->queued +
					     out->to_peers + out->dropped));
}

void stats_flow(const struct node *node, struct flow_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned w = 0; w < node->worker_count; w++) {
		const struct engine *engine = worker_engine(node->workers[w]);
		const struct engine_stats *stats = engine_stats(engine);

		out->total += engine_flow_count(engine);
		out->capacity += worker_capacity(node->workers[w]);
		out->memory_bytes += worker_engine_bytes(node->workers[w]);
		out->created += counter_get(&stats->flows_created);
		out->closed += counter_get(&stats->flows_closed);
		out->expired += counter_get(&stats->flows_expired);
		out->evicted += counter_get(&stats->flows_evicted);
		out->refused += counter_get(&stats->flows_refused);
		for (unsigned i = 0; i < ARRAY_LEN(out->states); i++)
			out->states[i] += counter_get(&stats->states[i]);
		out->queue_segments += counter_get(&stats->queued);
		out->queue_bytes += engine_queued_bytes(engine);
	}
	out->populated_bytes = populate_done_bytes(&node->populate);
	out->queue_limit_bytes = node->config->policy->limits.queue_total_bytes;
}

void stats_service(const struct node *node, uint16_t index, struct service_stats *out)
{
	const struct policy *policy = node->config->policy;

	CHECK(index < policy->service_count);
	memset(out, 0, sizeof(*out));
	for (unsigned w = 0; w < node->worker_count; w++) {
		const struct engine_service_stats *stats = engine_service_stats(
			worker_engine(node->workers[w]), policy->services[index].id);

		out->syn += counter_get(&stats->syn);
		out->synack_sent += counter_get(&stats->synack_sent);
		out->cookie_valid += counter_get(&stats->cookie_valid);
		out->cookie_bad += counter_get(&stats->cookie_bad);
		out->server_syn += counter_get(&stats->server_syn);
		out->server_synack += counter_get(&stats->server_synack);
		out->server_refused += counter_get(&stats->server_refused);
		out->server_timeout += counter_get(&stats->server_timeout);
		out->flows += counter_get(&stats->flows);
	}
}

uint64_t stats_rule_hits(const struct node *node, uint32_t rule)
{
	uint64_t hits = 0;

	for (unsigned w = 0; w < node->worker_count; w++)
		hits += engine_rule_hits(worker_engine(node->workers[w]), rule);
	return hits;
}

// The bound of the bucket that holds it; 0 where nothing was waited for.
static uint64_t wait_percentile(const uint64_t *buckets, uint64_t count, unsigned percent)
{
	uint64_t below = 0;

	for (unsigned i = 0; i < WAIT_BUCKETS && count; i++) {
		below += buckets[i];
		if (below * 100 >= count * percent)
			return UINT64_C(1) << i;
	}
	return 0;
}

void stats_opening(const struct node *node, struct opening_stats *out)
{
	uint64_t buckets[WAIT_BUCKETS] = {0}, count = 0;

	memset(out, 0, sizeof(*out));
	for (unsigned w = 0; w < node->worker_count; w++) {
		const struct engine_stats *stats = engine_stats(worker_engine(node->workers[w]));

		out->synack_to_owner += counter_get(&stats->synack_to_owner);
		out->synack_from_finder += counter_get(&stats->synack_from_finder);
		out->shared += counter_get(&stats->shared);
		out->wait_timeouts += counter_get(&stats->wait_timeouts);
		for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
			buckets[i] += counter_get(&stats->wait_us[i]);
			count += counter_get(&stats->wait_us[i]);
		}
	}
	out->wait_us_p50 = wait_percentile(buckets, count, 50);
	out->wait_us_p99 = wait_percentile(buckets, count, 99);
}

void stats_worker(const struct node *node, unsigned index, struct worker_stats *out)
{
	const struct engine_stats *engine = engine_stats(worker_engine(node->workers[index]));
	const struct worker_counters *counters = worker_counters(node->workers[index]);
	uint64_t cycles = 0;

	*out = (struct worker_stats){
		.id = index,
		.cpu = (int)counter_get(&counters->cpu),
		.handed_over = counter_get(&engine->handed_over),
		.busy_ratio = control_busy_ratio(node, index),
	};
	for (unsigned path = 0; path < PATH_COUNT; path++) {
		uint64_t packets = counter_get(&engine->path_packets[path]);
		uint64_t path_cycles = counter_get(&counters->path_cycles[path]);

		out->paths[path].packets = packets;
		if (packets)
			out->paths[path].cycles_per_packet = (double)path_cycles / (double)packets;
		out->packets += packets;
		cycles += path_cycles;
	}
	if (out->packets)
		out->cycles_per_packet = (double)cycles / (double)out->packets;
}
