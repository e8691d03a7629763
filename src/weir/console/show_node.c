// The commands that show what the counters say: status, ports, drops, flows in total, workers.
#include "weir/console/console_private.h"

#include "common/log.h"
#include "weir/cluster/sync.h"
#include "weir/cluster/watch.h"
#include "weir/control.h"
#include "weir/node.h"
#include "weir/port.h"
#include "weir/stats.h"

#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>

// Peers whose services are others: what both carry does not come through. A peer that is away
// disturbs nobody.
static void add_disagreements(const struct node *node, json_t *list)
{
	struct sync_news news;

	if (!node->sync)
		return;
	sync_news(node->sync, &news);
	for (unsigned i = 0; i < node->config->cluster.peer_count; i++)
		if (news.states[i] == PEER_ACTIVE && *news.differs[i])
			json_array_append_new(list,
				json_sprintf("peer %s does not agree: %s",
					node->config->cluster.peers[i].name, news.differs[i]));
}

static void add_wrong_checksums(const struct node *node, json_t *list)
{
	for (unsigned i = 0; i < node->port_count; i++) {
		uint64_t arrived, wrong = control_wrong_checksums(node, i, &arrived);

		if (wrong)
			json_array_append_new(list,
				json_sprintf("port %s: %llu of %llu packets had wrong checksums: "
					     "does their sender leave them to a NIC? there: "
					     "ethtool -K INTERFACE tx off",
					node->ports[i].config->name, (unsigned long long)wrong,
					(unsigned long long)arrived));
	}
}

// What keeps this node from its work, in sentences.
static json_t *problems(struct node *node)
{
	json_t *list = json_array();
	char text[WATCH_TEXT_BYTES];

	for (unsigned i = 0; i < node->device_count; i++) {
		const char *name = node->ports[i].config->name;

		if (port_is_gone(&node->ports[i]))
			json_array_append_new(list,
				json_sprintf("port %s: interface %s is gone, or was made anew: "
					     "restart weir once it is there",
					name, port_interface(&node->ports[i])));
		else if (!control_link_up(node, i))
			json_array_append_new(list, json_sprintf("port %s has no link", name));
	}
	add_wrong_checksums(node, list);
	add_disagreements(node, list);
	for (unsigned i = 0; node->sync && i < node->config->cluster.peer_count; i++)
		if (watch_peer_trouble(node, i, text))
			json_array_append_new(list, json_string(text));
	return list;
}

void command_show_status(struct session *session)
{
	struct status_stats s;

	stats_status(session->node, &s);
	session_answer(
		session, json_pack("{s:s,s:I,s:s,s:s,s:I,s:s,s:b,s:o}", "state", s.state,
				 "uptime_s", (json_int_t)s.uptime_s, "version", s.version,
				 "config_file", session->node->file, "config_generation",
				 (json_int_t)s.config_generation, "config_sha256", s.config_sha256,
				 "huge_pages", s.huge_pages, "problems", problems(session->node)));
}

// Answers with one row of `list` for each port the command names.
static void answer_ports(struct session *session, const char *list,
	void (*add)(struct session *session, unsigned port, json_t *rows))
{
	json_t *rows = json_array();

	if (session->args.given >> TYPE_PORT & 1)
		add(session, session_port(session), rows);
	else
		for (unsigned i = 0; i < session->node->device_count; i++)
			add(session, i, rows);
	session_answer(session, json_pack("{s:o}", list, rows));
}

static void add_port_info(struct session *session, unsigned port, json_t *rows)
{
	struct port_info info;
	char mac[18];

	stats_port_info(session->node, port, &info);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", info.mac[0], info.mac[1],
		info.mac[2], info.mac[3], info.mac[4], info.mac[5]);
	json_array_append_new(rows,
		json_pack("{s:i,s:s,s:s,s:s,s:o,s:o,s:i,s:s,s:i,s:i,s:s,s:b}", "id", port, "name",
			info.name, "side", reply_side(info.side), "device", info.device, "driver",
			reply_name(info.driver), "peer", reply_name(info.peer), "mtu", info.mtu,
			"mac", mac, "rx_queues", info.rx_queues, "tx_queues", info.tx_queues,
			"link", control_link_up(session->node, port) ? "up" : "down", "promiscuous",
			info.promiscuous));
}

static void add_port_stats(struct session *session, unsigned port, json_t *rows)
{
	const struct port_stats *zero = &session->console->cleared[port];
	struct port_stats s;

	stats_port(session->node, port, &s);
	json_array_append_new(rows,
		json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name", s.name, "side",
			reply_side(s.side), "device", s.device, "link", s.link ? "up" : "down",
			"rx_packets", reply_count(s.rx_packets - zero->rx_packets), "rx_bytes",
			reply_count(s.rx_bytes - zero->rx_bytes), "rx_missed",
			reply_count(s.rx_missed - zero->rx_missed), "rx_errors",
			reply_count(s.rx_errors - zero->rx_errors), "tx_packets",
			reply_count(s.tx_packets - zero->tx_packets), "tx_bytes",
			reply_count(s.tx_bytes - zero->tx_bytes), "tx_refused",
			reply_count(s.tx_refused - zero->tx_refused)));
}

static void add_port_xstats(struct session *session, unsigned port, json_t *rows)
{
	uint16_t id = session->node->ports[port].id;
	int count = rte_eth_xstats_get_names(id, NULL, 0);
	struct rte_eth_xstat_name *names = count > 0 ? calloc((size_t)count, sizeof(*names)) : NULL;
	struct rte_eth_xstat *counters = names ? calloc((size_t)count, sizeof(*counters)) : NULL;

	if (counters && rte_eth_xstats_get_names(id, names, (unsigned)count) == count &&
		rte_eth_xstats_get(id, counters, (unsigned)count) == count)
		for (int i = 0; i < count; i++)
			json_array_append_new(rows,
				json_pack("{s:s,s:s,s:o}", "port",
					session->node->ports[port].config->name, "counter",
					names[i].name, "value", reply_count(counters[i].value)));
	free(counters);
	free(names);
}

void command_show_port_info(struct session *session)
{
	answer_ports(session, "ports", add_port_info);
}

void command_show_port_stats(struct session *session)
{
	answer_ports(session, "ports", add_port_stats);
}

void command_show_port_xstats(struct session *session)
{
	answer_ports(session, "counters", add_port_xstats);
}

static void clear_port(struct session *session, unsigned port, json_t *rows)
{
	stats_port(session->node, port, &session->console->cleared[port]);
	json_array_append_new(rows, json_string(session->node->ports[port].config->name));
}

void command_clear_port_stats(struct session *session)
{
	answer_ports(session, "cleared", clear_port);
}

void command_show_drop(struct session *session)
{
	json_t *reasons = json_object(), *meanings = json_object();
	struct drop_stats s;

	stats_drop(session->node, &s);
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		enum reason reason = (enum reason)i;

		json_object_set_new(reasons, reason_name(reason), reply_count(s.reasons[reason]));
		json_object_set_new(
			meanings, reason_name(reason), json_string(reason_text(reason)));
	}
	session_answer(session,
		json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o}", "received",
			reply_count(s.received), "generated", reply_count(s.generated),
			"from_peers", reply_count(s.from_peers), "transmitted",
			reply_count(s.transmitted), "consumed", reply_count(s.consumed), "queued",
			reply_count(s.queued), "to_peers", reply_count(s.to_peers), "dropped",
			reply_count(s.dropped), "unexplained", (json_int_t)s.unexplained, "reasons",
			reasons, "meanings", meanings));
}

// `pending` are flows whose server has not been asked yet: they wait for the cluster.
static json_t *flow_states(const struct flow_stats *s)
{
	return json_pack("{s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "pending", 0, "syn_sent",
		reply_count(s->states[TCP_SYN_SENT]), "syn_recv",
		reply_count(s->states[TCP_SYN_RECV]), "established",
		reply_count(s->states[TCP_ESTABLISHED]), "closing",
		reply_count(s->states[TCP_CLOSING]), "time_wait",
		reply_count(s->states[TCP_TIME_WAIT]), "closed", reply_count(s->states[TCP_CLOSED]),
		"other", reply_count(s->states[TCP_STATE_COUNT]));
}

void command_show_flow_stats(struct session *session)
{
	struct flow_stats s;

	stats_flow(session->node, &s);
	session_answer(session,
		json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:{s:o,s:o,s:o}}", "total",
			reply_count(s.total), "capacity", reply_count(s.capacity), "memory_bytes",
			reply_count(s.memory_bytes), "populated_bytes",
			reply_count(s.populated_bytes), "created", reply_count(s.created), "closed",
			reply_count(s.closed), "expired", reply_count(s.expired), "evicted",
			reply_count(s.evicted), "refused", reply_count(s.refused), "states",
			flow_states(&s), "queue", "segments", reply_count(s.queue_segments),
			"bytes", reply_count(s.queue_bytes), "limit_bytes",
			reply_count(s.queue_limit_bytes)));
}

static json_t *worker_paths(const struct worker_stats *s)
{
	static const char *const names[PATH_COUNT] = {[PATH_SYN] = "syn",
		[PATH_ACK_BAD] = "ack_bad",
		[PATH_ESTABLISHED] = "established",
		[PATH_OTHER] = "other"};
	json_t *paths = json_object();

	for (unsigned i = 0; i < PATH_COUNT; i++)
		json_object_set_new(paths, names[i],
			json_pack("{s:o,s:f}", "packets", reply_count(s->paths[i].packets),
				"cycles_per_packet", s->paths[i].cycles_per_packet));
	return paths;
}

void command_show_worker(struct session *session)
{
	json_t *rows = json_array();
	struct worker_stats s;

	for (unsigned i = 0; i < session->node->worker_count; i++) {
		stats_worker(session->node, i, &s);
		json_array_append_new(rows,
			json_pack("{s:i,s:i,s:o,s:f,s:f,s:o,s:o}", "id", s.id, "cpu", s.cpu,
				"packets", reply_count(s.packets), "cycles_per_packet",
				s.cycles_per_packet, "busy_ratio", s.busy_ratio, "handed_over",
				reply_count(s.handed_over), "paths", worker_paths(&s)));
	}
	session_answer(session, json_pack("{s:o}", "workers", rows));
}
