// The appliance itself, with a console for measuring: whole `weir run`, but that lines on standard
// input are answered on standard output, one of JSON for each.
//
//   line CONFIG [PATH=VALUE]...
//
//	flows N     installs N established flows; from then on each frame that arrives is made one
// of 		    a random flow before the worker gets it. What that takes is counted by itself
// count       the counters now
//
// It ends with standard input. Frames that are rewritten must be of flow 0 (captures.py).
#include "clients.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "pkt/checksum.h"
#include "weir/boot.h"
#include "weir/console/console.h"
#include "weir/control.h"
#include "weir/node.h"
#include "weir/port.h"
#include "weir/stats.h"
#include "weir/worker.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define CLIENT_ISN  1000
#define SERVER	    0xc633640au // 198.51.100.10
#define SERVER_ISN  9000
#define D	    5000
#define TS_OFFSET   777
#define WANTED	    32	  // cells of the worker's mailbox asked for at once
#define REWRITE_MAX 20000 // TSC cycles; what took longer was interrupted, and is not counted

struct line {
	struct event *input, *installer;
	char text[128];
	size_t len;
	uint32_t wanted, installed; // flows
	bool rewrites;
	_Atomic uint32_t flows; // of the frames; 0: they stay as they are
	_Atomic uint64_t rewrite_cycles;
	_Atomic uint64_t first_ns; // when the first packet was sent
	uint64_t random;	   // the worker's
};

static struct line line;

// --- frames ---

static uint32_t draw_flow(uint32_t flows)
{
	uint64_t z = (line.random += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z ^= z >> 31;
	return (uint32_t)((z >> 32) * flows >> 32);
}

static uint16_t on_receive(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count,
	uint16_t room, void *argument)
{
	uint32_t flows = atomic_load_explicit(&line.flows, memory_order_relaxed);
	uint64_t start = rte_rdtsc(), took;

	(void)port;
	(void)queue;
	(void)room;
	for (uint16_t i = 0; i < count && flows > 0; i++)
		frame_set_flow(
			rte_pktmbuf_mtod(mbufs[i], uint8_t *), argument != NULL, draw_flow(flows));
	took = rte_rdtsc() - start;
	if (took < REWRITE_MAX)
		counter_add(&line.rewrite_cycles, took);
	return count;
}

static uint16_t on_send(
	uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count, void *argument)
{
	(void)port;
	(void)queue;
	(void)mbufs;
	(void)argument;
	if (atomic_load_explicit(&line.first_ns, memory_order_relaxed) == 0)
		atomic_store_explicit(&line.first_ns, node_now_ns(), memory_order_relaxed);
	return count;
}

static int watch_ports(const struct node *node)
{
	for (unsigned i = 0; i < node->port_count; i++) {
		const struct port *port = &node->ports[i];
		// What comes from inside is the server's.
		void *from_server = port->config->side == SIDE_INSIDE ? &line : NULL;

		if (!rte_eth_add_rx_callback(port->id, 0, on_receive, from_server) ||
			!rte_eth_add_tx_callback(port->id, 0, on_send, NULL))
			return -ERR_MEMORY;
	}
	return 0;
}

// --- flows ---

static struct addr addr4(uint32_t ip)
{
	uint8_t bytes[4];

	be32_put(bytes, ip);
	return addr_from_ip4(bytes);
}

static struct flow_record record_of(uint32_t flow)
{
	struct flow_record record = {.mode = MODE_PROXY,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 7},
		.incarnation = 1,
		.cookie = SERVER_ISN + D - 1, // of an older segment: these acknowledge data
		.isn_client = CLIENT_ISN,
		.translation = {.d = D,
			.ts_offset = TS_OFFSET,
			.bits = TRANSLATE_TIMESTAMPS | TRANSLATE_WINDOW,
			.to_client = {.left = 7, .right = 8}}};

	record.key = (struct flow_key){.outer = addr4(flow_client(flow)),
		.inner = addr4(SERVER),
		.outer_port = flow_port(flow),
		.inner_port = 80,
		.protocol = PROTOCOL_TCP};
	return record;
}

static void answer_flows(const struct node *node)
{
	struct flow_stats stats;

	stats_flow(node, &stats);
	printf("{\"flows\": %" PRIu64 "}\n", stats.total);
	fflush(stdout);
}

// As many as the mailbox holds; the rest in the next pass of the loop, which takes the answers.
static void on_install(evutil_socket_t fd, short what, void *argument)
{
	const struct timeval soon = {0}, settled = {.tv_usec = 200000};
	struct node *node = argument;
	struct mailbox *mail = worker_mail(node->workers[0]);
	struct message *cells[WANTED];
	unsigned room = 0;

	(void)fd;
	(void)what;
	if (line.installed == line.wanted) {
		atomic_store_explicit(
			&line.flows, line.rewrites ? line.installed : 0, memory_order_relaxed);
		answer_flows(node);
		return;
	}
	room = mailbox_room(mail, cells, WANTED);
	room = room < line.wanted - line.installed ? room : line.wanted - line.installed;
	for (unsigned i = 0; i < room; i++) {
		cells[i]->type = MESSAGE_INSTALL;
		cells[i]->node = 0;
		cells[i]->worker = 0;
		cells[i]->frame_len = 0;
		cells[i]->body.record = record_of(line.installed++);
	}
	mailbox_post(mail, room);
	event_add(line.installer, line.installed == line.wanted ? &settled : &soon);
}

// --- counters ---

static void print_reasons(const struct drop_stats *drop)
{
	const char *comma = "";

	for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
		if (drop->reasons[reason] == 0)
			continue;
		printf("%s\"%s\": %" PRIu64, comma, reason_name((enum reason)reason),
			drop->reasons[reason]);
		comma = ", ";
	}
}

static void answer_count(const struct node *node)
{
	struct worker_stats worker;
	struct drop_stats drop;
	double engine = 0;

	stats_drop(node, &drop);
	stats_worker(node, 0, &worker);
	for (unsigned path = 0; path < PATH_COUNT; path++)
		engine += worker.paths[path].cycles_per_packet * (double)worker.paths[path].packets;
	printf("{\"state\": \"%s\", \"ns\": %" PRIu64 ", \"tsc_hz\": %" PRIu64
	       ", \"first_ns\": %" PRIu64 ", \"received\": %" PRIu64 ", \"transmitted\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"rewrite_cycles\": %" PRIu64
	       ", \"engine_cycles\": %.0f, \"busy_cycles\": %" PRIu64 ", \"reasons\": {",
		node_state_name(node_get_state(node)), node_now_ns(), rte_get_tsc_hz(),
		counter_get(&line.first_ns), drop.received, drop.transmitted, drop.dropped,
		counter_get(&line.rewrite_cycles), engine,
		counter_get(&worker_counters(node->workers[0])->cycles_busy));
	print_reasons(&drop);
	printf("}}\n");
	fflush(stdout);
}

// --- the console ---

static void begin_install(const char *number, bool rewrites)
{
	const struct timeval now = {0};

	line.wanted = (uint32_t)strtoul(number, NULL, 10);
	line.rewrites = rewrites;
	event_add(line.installer, &now);
}

static void obey(struct node *node, const char *text)
{
	if (strcmp(text, "count") == 0) {
		answer_count(node);
	} else if (strncmp(text, "flows ", 6) == 0) {
		begin_install(text + 6, false);
	} else if (strncmp(text, "rewrite ", 8) == 0) {
		begin_install(text + 8, true);
	} else {
		fprintf(stderr, "line: what is \"%s\"?\n", text);
		control_quit(node);
	}
}

static void on_input(evutil_socket_t fd, short what, void *argument)
{
	struct node *node = argument;
	ssize_t got = read(fd, line.text + line.len, sizeof(line.text) - 1 - line.len);
	char *end;

	(void)what;
	if (got <= 0) {
		control_quit(node);
		return;
	}
	line.len += (size_t)got;
	line.text[line.len] = '\0';
	while ((end = strchr(line.text, '\n')) != NULL) {
		*end = '\0';
		obey(node, line.text);
		line.len -= (size_t)(end + 1 - line.text);
		memmove(line.text, end + 1, line.len + 1);
	}
}

int console_start(struct node *node)
{
	line.input = event_new(node->events, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, node);
	line.installer = event_new(node->events, -1, 0, on_install, node);
	if (!line.input || !line.installer || event_add(line.input, NULL))
		return -ERR_MEMORY;
	return watch_ports(node);
}

void console_stop(struct node *node)
{
	(void)node;
	event_free(line.input);
	event_free(line.installer);
}

int main(int argc, char **argv)
{
	static struct node node;

	if (argc < 2) {
		fprintf(stderr, "usage: line CONFIG [PATH=VALUE]...\n");
		return 2;
	}
	node.file = argv[1];
	node.sets = (const char *const *)argv + 2;
	node.set_count = (unsigned)argc - 2;
	node.lock = (struct lock_file)LOCK_FILE_NONE;
	return boot_run(&node);
}
