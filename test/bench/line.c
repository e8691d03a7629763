// The appliance itself, with a console for measuring: whole `weir run`, but that lines on standard
// input are answered on standard output, one of JSON for each.
//
//   line CONFIG [PATH=VALUE]...
//
// flows N: installs N established flows.
// rewrite N: the same; from then on each frame that arrives is made one of a random flow of them
//   before the worker gets it, behind a first frame from either side of each. What that takes is
//   counted by itself.
// grow N K: installs more, until they are N, K in each turn of the worker, and times its turns
//   beside turns that install none and beside a loop that does nothing but read the TSC.
// count: the counters now.
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
#include "weir/worker_internal.h"

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

#define REWRITE_MAX 20000 // TSC cycles; what took longer was interrupted, and is not counted
#define INSTALL_MS  1	  // of a turn, at most, where turns are not timed
#define GROWING_MS  10	  // of turns that add flows; then half as long of others, and of the loop
#define LONG_US	    20

enum window { GROWING = 0, STEADY, NOTHING, WINDOW_COUNT };
static const char *const window_names[WINDOW_COUNT] = {"growing", "steady", "nothing"};

// The worker's, between two turns or two looks at the TSC.
struct gaps {
	counter count;
	counter cycles; // TSC, of all
	counter longs;	// over LONG_US
	counter worst;
};

struct line {
	struct event *input, *installer;
	char text[128];
	size_t len;
	bool rewrites;
	uint64_t populated_bytes; // when the flows began to grow

	// what the worker shall do: written before `wanted` is
	bool grows;
	uint32_t step;		 // flows in a turn, then
	_Atomic uint32_t wanted; // flows
	_Atomic uint32_t flows;	 // of the frames; 0: they stay as they are

	// the worker's
	struct worker *worker;
	_Atomic uint32_t installed; // flows
	_Atomic uint32_t shown[2];  // of them: whose client, whose server was heard
	uint64_t turn, change;	    // TSC: of the last turn, and when the window ends
	bool growing; // one side's frames are enough then: a turn of two bursts is long
	enum window window;
	struct gaps gaps[WINDOW_COUNT];
	_Atomic uint64_t rewrite_cycles;
	_Atomic uint64_t first_ns; // when the first packet was sent
	uint64_t random;
};

static struct line line;

// --- flows ---

// A letter is as good from here as from the control core, and needs nobody else's turn.
static void install(uint32_t first, unsigned count)
{
	static struct message cells[ENGINE_BATCH_MAX];
	struct message *messages[ENGINE_BATCH_MAX];
	struct batch batch = {.now_ns = node_now_ns(),
		.tick = line.worker->tick,
		.tick_part = line.worker->tick_part,
		.messages_in = messages,
		.messages_in_count = count};

	for (unsigned i = 0; i < count; i++) {
		cells[i].type = MESSAGE_INSTALL;
		cells[i].body.record = client_record(first + i);
		messages[i] = &cells[i];
	}
	engine_run(line.worker->engine, &batch);
	atomic_store_explicit(&line.installed, first + count, memory_order_release);
}

static double seconds_of(const counter *cycles)
{
	return (double)counter_get(cycles) / (double)rte_get_tsc_hz();
}

static void install_some(uint32_t left)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * INSTALL_MS;

	while (left > 0 && rte_rdtsc() < end) {
		unsigned count = left < ENGINE_BATCH_MAX ? left : ENGINE_BATCH_MAX;

		install(line.installed, count);
		left -= count;
	}
}

// --- turns ---

static void add_gap(struct gaps *gaps, uint64_t cycles, uint64_t hz)
{
	counter_add(&gaps->count, 1);
	counter_add(&gaps->cycles, cycles);
	if (cycles > hz / 1000000 * LONG_US)
		counter_add(&gaps->longs, 1);
	if (cycles > counter_get(&gaps->worst))
		atomic_store_explicit(&gaps->worst, cycles, memory_order_relaxed);
}

static void do_nothing(uint64_t hz)
{
	uint64_t before = rte_rdtsc(), end = before + hz / 2000 * GROWING_MS, now;

	for (; before < end; before = now) {
		now = rte_rdtsc();
		add_gap(&line.gaps[NOTHING], now - before, hz);
	}
}

// Once a turn of the worker, while flows grow.
static void time_turn(void)
{
	uint64_t now = rte_rdtsc(), hz = rte_get_tsc_hz();

	if (line.turn != 0)
		add_gap(&line.gaps[line.window], now - line.turn, hz);
	if (now >= line.change) {
		if (line.window == STEADY)
			do_nothing(hz);
		line.window = line.window == STEADY ? GROWING : STEADY;
		now = rte_rdtsc();
		line.change = now + hz / (line.window == GROWING ? 1000 : 2000) * GROWING_MS;
	}
	line.turn = now;
}

static void at_turn(void)
{
	uint32_t left = atomic_load_explicit(&line.wanted, memory_order_acquire) - line.installed;

	if (left == 0)
		return;
	line.growing = line.grows;
	if (line.growing)
		time_turn();
	if (!line.growing)
		install_some(left);
	else if (line.window == GROWING)
		install_some(left < line.step ? left : line.step);
}

// --- frames ---

static uint32_t draw_flow(uint32_t flows)
{
	uint64_t z = (line.random += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z ^= z >> 31;
	return (uint32_t)((z >> 32) * flows >> 32);
}

// At first each flow in its turn.
static uint32_t next_flow(uint32_t flows, bool from_server)
{
	uint32_t shown = atomic_load_explicit(&line.shown[from_server], memory_order_relaxed);

	if (shown >= flows)
		return draw_flow(flows);
	atomic_store_explicit(&line.shown[from_server], shown + 1, memory_order_relaxed);
	return shown;
}

static uint16_t on_receive(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count,
	uint16_t room, void *argument)
{
	uint32_t flows = atomic_load_explicit(&line.flows, memory_order_relaxed);
	uint64_t start, took;

	(void)port;
	(void)queue;
	(void)room;
	if (argument == NULL)
		at_turn();
	if (argument != NULL && line.growing) {
		rte_pktmbuf_free_bulk(mbufs, count);
		return 0;
	}
	if (count == 0 || flows == 0)
		return count;
	start = rte_rdtsc();
	for (uint16_t i = 0; i < count; i++)
		frame_set_flow(rte_pktmbuf_mtod(mbufs[i], uint8_t *), argument != NULL,
			next_flow(flows, argument != NULL));
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

// --- what the control core does about flows ---

static void print_gaps(const char *name, const struct gaps *gaps)
{
	printf(", \"%s\": {\"count\": %" PRIu64 ", \"seconds\": %.6f, \"longs\": %" PRIu64
	       ", \"worst_us\": %.1f}",
		name, counter_get(&gaps->count), seconds_of(&gaps->cycles),
		counter_get(&gaps->longs), seconds_of(&gaps->worst) * 1e6);
}

static void answer_flows(const struct node *node)
{
	struct flow_stats stats;

	stats_flow(node, &stats);
	printf("{\"flows\": %" PRIu64, stats.total);
	if (line.grows) {
		printf(", \"memory_bytes\": %" PRIu64 ", \"populated_bytes\": [%" PRIu64
		       ", %" PRIu64 "]",
			stats.memory_bytes, line.populated_bytes, stats.populated_bytes);
		for (unsigned i = 0; i < WINDOW_COUNT; i++)
			print_gaps(window_names[i], &line.gaps[i]);
	}
	printf("}\n");
	fflush(stdout);
}

// Until the worker has them.
static void on_install(evutil_socket_t fd, short what, void *argument)
{
	const struct timeval soon = {.tv_usec = 1000};
	uint32_t installed = atomic_load_explicit(&line.installed, memory_order_acquire);

	(void)fd;
	(void)what;
	if (installed != line.wanted) {
		event_add(line.installer, &soon);
		return;
	}
	if (!line.grows)
		atomic_store_explicit(
			&line.flows, line.rewrites ? installed : 0, memory_order_relaxed);
	answer_flows(argument);
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
	       ", \"dropped\": %" PRIu64 ", \"shown\": [%u, %u], \"rewrite_cycles\": %" PRIu64
	       ", \"engine_cycles\": %.0f, \"busy_cycles\": %" PRIu64 ", \"reasons\": {",
		node_state_name(node_get_state(node)), node_now_ns(), rte_get_tsc_hz(),
		counter_get(&line.first_ns), drop.received, drop.transmitted, drop.dropped,
		line.shown[0], line.shown[1], counter_get(&line.rewrite_cycles), engine,
		counter_get(&worker_counters(node->workers[0])->cycles_busy));
	print_reasons(&drop);
	printf("}}\n");
	fflush(stdout);
}

// --- the console ---

static void begin_install(const char *number, bool rewrites)
{
	const struct timeval now = {0};

	line.rewrites = rewrites;
	atomic_store_explicit(
		&line.wanted, (uint32_t)strtoul(number, NULL, 10), memory_order_release);
	event_add(line.installer, &now);
}

static void begin_growth(const struct node *node, const char *text)
{
	struct flow_stats stats;
	char *step;

	stats_flow(node, &stats);
	line.populated_bytes = stats.populated_bytes;
	strtoul(text, &step, 10);
	line.step = (uint32_t)strtoul(step, NULL, 10);
	line.grows = true;
	begin_install(text, line.rewrites);
}

static void obey(struct node *node, const char *text)
{
	if (strcmp(text, "count") == 0) {
		answer_count(node);
	} else if (strncmp(text, "flows ", 6) == 0) {
		begin_install(text + 6, false);
	} else if (strncmp(text, "rewrite ", 8) == 0) {
		begin_install(text + 8, true);
	} else if (strncmp(text, "grow ", 5) == 0) {
		begin_growth(node, text + 5);
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
	line.worker = node->workers[0];
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
