// What an update of the cluster costs, on the wire and on the processor, without devices: a sender,
// a receiver and its engine in one thread (duo.h). All flows are created, then each is changed,
// then each is closed, in an order that has nothing to do with that of creation.
//
//   updates [--flows N]
//
// Prints one JSON document. Of each phase the median over windows of turns counts, because the
// machine is shared. `applier` is the receiver's cluster_run() and engine_run(), the confirmations
// it makes included. Exit status 1 when an update was not applied.
#include "base/check.h"
#include "duo.h"
#include "scene.h"
#include "supply.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLOWS_DEFAULT (1u << 20)
#define WINDOW_TURNS  32
#define PARTS	      3

static const char *const phase_names[PHASE_COUNT] = {"created", "changed", "closed"};

static const struct form forms[] = {{.name = "ip4"}, {.name = "ip6", .ip6 = true},
	{.name = "ip4_full", .full = true}, {.name = "ip6_full", .ip6 = true, .full = true},
	{.name = "ip4_translated", .timestamps = true}};

struct run {
	struct supply supply;
	struct duo *duo;
	double tsc_hz;
	uint64_t *windows[PARTS]; // sender, receiver, engine; each x 256 per update
	unsigned window_count;
	unsigned rows; // printed
};

static void keep_window(struct run *run, const struct duo_cost *cost, unsigned updates)
{
	const uint64_t parts[PARTS] = {cost->sender, cost->receiver, cost->engine};

	for (unsigned i = 0; i < PARTS; i++)
		run->windows[i][run->window_count] = parts[i] * 256 / updates;
	run->window_count++;
}

static void settle(struct run *run)
{
	struct duo_cost ignored = {0};

	do
		duo_turn(run->duo, 0, &ignored);
	while (!duo_is_quiet(run->duo));
}

static void run_phase(struct run *run, enum phase phase)
{
	struct duo_cost cost = {0};
	unsigned turns = 0;

	run->window_count = 0;
	for (uint32_t at = 0; at < run->supply.flows; at += CLUSTER_BATCH_MAX) {
		for (uint32_t i = 0; i < CLUSTER_BATCH_MAX; i++)
			supply_write(&run->supply, phase, at + i, run->duo->posts[i]);
		duo_turn(run->duo, CLUSTER_BATCH_MAX, &cost);
		if (++turns % WINDOW_TURNS == 0) {
			keep_window(run, &cost, WINDOW_TURNS * CLUSTER_BATCH_MAX);
			cost = (struct duo_cost){0};
		}
	}
	settle(run);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

// Median cost in ns of one update.
static double median_ns(const struct run *run, unsigned part)
{
	uint64_t *windows = run->windows[part];

	qsort(windows, run->window_count, sizeof(*windows), compare);
	return (double)windows[run->window_count / 2] / 256 * 1e9 / run->tsc_hz;
}

struct totals {
	uint64_t bytes, datagrams, back_bytes, back_datagrams, sent, applied;
};

static struct totals totals_of(const struct duo *duo)
{
	const struct cluster_peer_stats *sender = duo_stats(duo, DUO_SENDER);
	const struct cluster_peer_stats *receiver = duo_stats(duo, DUO_RECEIVER);

	return (struct totals){.bytes = counter_get(&sender->tx_bytes),
		.datagrams = duo->nodes[DUO_SENDER].datagrams,
		.back_bytes = counter_get(&receiver->tx_bytes),
		.back_datagrams = duo->nodes[DUO_RECEIVER].datagrams,
		.sent = counter_get(&sender->updates_sent),
		.applied = counter_get(&receiver->updates_applied)};
}

static double wire_bytes(uint64_t bytes, uint64_t datagrams, uint64_t updates)
{
	return (double)(bytes + datagrams * DUO_WIRE_BYTES) / (double)updates;
}

static bool print_phase(struct run *run, enum phase phase, const struct totals *before)
{
	const struct totals after = totals_of(run->duo);
	uint64_t sent = after.sent - before->sent, applied = after.applied - before->applied;
	double sender = median_ns(run, 0), receiver = median_ns(run, 1), engine = median_ns(run, 2);

	printf("%s\n  {\"form\": \"%s\", \"phase\": \"%s\", \"updates\": %llu, \"applied\": %llu, "
	       "\"bytes_per_update\": %.2f, \"updates_per_datagram\": %.1f, "
	       "\"bytes_back_per_update\": %.2f, "
	       "\"sender_ns\": %.1f, \"receiver_ns\": %.1f, \"engine_ns\": %.1f, "
	       "\"applied_per_s\": %.0f}",
		run->rows++ == 0 ? "" : ",", run->supply.form->name, phase_names[phase],
		(unsigned long long)sent, (unsigned long long)applied,
		wire_bytes(after.bytes - before->bytes, after.datagrams - before->datagrams, sent),
		(double)sent / (double)(after.datagrams - before->datagrams),
		wire_bytes(after.back_bytes - before->back_bytes,
			after.back_datagrams - before->back_datagrams, sent),
		sender, receiver, engine, 1e9 / (receiver + engine));
	return sent == run->supply.flows && applied == run->supply.flows;
}

static uint64_t state_count(const struct run *run, unsigned state)
{
	return counter_get(&engine_stats(run->duo->node->engine)->states[state]);
}

// What the engine must show after a phase, as far as time has not taken it away again.
static bool is_applied(const struct run *run, enum phase phase)
{
	static const uint8_t states[PHASE_COUNT] = {TCP_ESTABLISHED, TCP_CLOSING, TCP_CLOSED};

	return state_count(run, states[phase]) == run->supply.flows;
}

static bool run_form(struct run *run)
{
	bool good = true;

	run->duo = duo_create(run->supply.flows);
	run->supply.tick = duo_tick(run->duo);
	run->supply.service = run->duo->node->services[0].id;
	for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
		struct totals before = totals_of(run->duo);

		run_phase(run, (enum phase)phase);
		good &= print_phase(run, (enum phase)phase, &before);
		good &= is_applied(run, (enum phase)phase);
	}
	duo_destroy(run->duo);
	return good;
}

static double measure_tsc_hz(void)
{
	struct timespec begin, end;
	uint64_t start = tsc_read();

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &end);
	while ((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec < 50000000);
	return (double)(tsc_read() - start) * 1e9 /
	       (double)((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec);
}

static void usage(void)
{
	fprintf(stderr, "usage: updates [--flows N] [--only FORM]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"flows", required_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	struct run run = {
		.supply = {.flows = FLOWS_DEFAULT, .to = DUO_RECEIVER}, .tsc_hz = measure_tsc_hz()};
	const char *only = NULL;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'f')
			run.supply.flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'o')
			only = optarg;
		else
			usage();
	}
	if (optind != argc || run.supply.flows < WINDOW_TURNS * CLUSTER_BATCH_MAX ||
		(run.supply.flows & (run.supply.flows - 1)) != 0)
		usage();
	for (unsigned i = 0; i < PARTS; i++)
		run.windows[i] = calloc(run.supply.flows / CLUSTER_BATCH_MAX, sizeof(uint64_t));
	printf("{\"flows\": %u, \"tsc_hz\": %.0f, \"wire_bytes\": %d, \"rows\": [",
		run.supply.flows, run.tsc_hz, DUO_WIRE_BYTES);
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		run.supply.form = &forms[i];
		if (only == NULL || strcmp(only, forms[i].name) == 0)
			good &= run_form(&run);
	}
	printf("]}\n");
	for (unsigned i = 0; i < PARTS; i++)
		free(run.windows[i]);
	return good ? 0 : 1;
}
