// The flow table beside DPDK's rte_hash: lookups of what is there and of what is not in bursts of
// 32, with the state read, and inserts from an empty table to 90 % of its capacity. The sides take
// turns; both see the same keys in the same order. Of lookups the best of a round's short windows
// counts, of inserts the medians of short stretches: other work on the machine is in neither.
// Beside our inserts runs a loop that does nothing but read the TSC: its gaps are the machine's.
//
//   tables [--flows N] [--rounds N] [--pages huge|small] [--cpu N]
//
// Prints one JSON document: of each round the TSC cycles per lookup and insert, and the gaps over
// 10 us; the bytes per flow of both tables when they take no more.
#include "clients.h"
#include "table_side.h"

#include "base/check.h"
#include "engine/engine.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>

#define SIDES	      2
#define GAP_LEVELS    6 // 1, 2, 5, 10, 20, 50 us
#define GAP_LONG      3 // the first of those over 10 us
#define WINDOWS	      32
#define WINDOW_BURSTS 128
#define STRETCH	      256 // inserts
#define SEGMENTS      32  // of a fill
#define LOAD_PERCENT  90
#define FULL_MISSES   64 // bursts without room for any: it is full

struct settings {
	uint32_t flows; // capacity
	unsigned rounds;
	bool huge;
	char *cpu;
};

struct round {
	double hit, miss, insert;  // TSC cycles each
	uint64_t gaps[GAP_LEVELS]; // stretches over gap_us[] between two inserts
	uint64_t insert_cycles;	   // TSC, of all inserts
	uint64_t worst;
};

static const struct table_side *const sides[SIDES] = {&table_ours, &table_rte};
static const double gap_us[GAP_LEVELS] = {1, 2, 5, 10, 20, 50};
static uint64_t gap_cycles[GAP_LEVELS];
static uint64_t random_state;

static uint64_t draw(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

// Flow number `flow`: clients of a /15 who come again from other ports.
static void burst_set(struct burst *burst, unsigned i, uint32_t flow)
{
	uint32_t client = flow_client(flow), server = SERVER;
	uint16_t port = (uint16_t)(1024 + (flow >> 17));

	burst->keys4[i] = (struct key4){client, server, port, 80, PROTOCOL_TCP};
	burst->keys[i] = (struct flow_key){.outer = addr4(client),
		.inner = addr4(server),
		.outer_port = port,
		.inner_port = 80,
		.protocol = PROTOCOL_TCP};
}

static uint32_t filled(const struct settings *set)
{
	return (uint32_t)((uint64_t)set->flows * LOAD_PERCENT / 100) / BURST * BURST;
}

static uint64_t fenced(void)
{
	__builtin_ia32_lfence();
	return stamp();
}

// One window: TSC cycles per lookup of flows first..first + count - 1.
static double lookups(const struct table_side *side, void *table, uint32_t first, uint32_t count,
	unsigned expected)
{
	static struct burst burst;
	uint64_t cycles = 0;

	for (unsigned b = 0; b < WINDOW_BURSTS; b++) {
		uint64_t start;

		for (unsigned i = 0; i < BURST; i++)
			burst_set(&burst, i, first + (uint32_t)(draw() % count));
		start = fenced();
		CHECK(side->lookup(table, &burst) == expected);
		cycles += fenced() - start;
	}
	return (double)cycles / WINDOW_BURSTS / BURST;
}

static void count_gaps(const struct burst *burst, struct round *round)
{
	for (unsigned i = 0; i < BURST; i++) {
		uint64_t gap = burst->stamps[i + 1] - burst->stamps[i];

		round->worst = gap > round->worst ? gap : round->worst;
		for (unsigned level = 0; level < GAP_LEVELS && gap > gap_cycles[level]; level++)
			round->gaps[level]++;
	}
	round->insert_cycles += burst->stamps[BURST] - burst->stamps[0];
}

// Nothing but the TSC, for as long as `cycles`.
static void fill_nothing(uint64_t cycles, struct round *round)
{
	static struct burst burst;

	while (round->insert_cycles < cycles) {
		burst.stamps[0] = stamp();
		for (unsigned i = 0; i < BURST; i++)
			burst.stamps[i + 1] = stamp();
		count_gaps(&burst, round);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// The sum of the medians of all SEGMENTS parts of the fill: what an insert costs grows with the
// load.
static double segments_sum(double *stretches, uint32_t count)
{
	uint32_t each = count / SEGMENTS;
	double sum = 0;

	for (unsigned segment = 0; segment < SEGMENTS; segment++) {
		double *first = stretches + segment * each;

		qsort(first, each, sizeof(*first), compare);
		sum += first[each / 2];
	}
	return sum;
}

// With `nothing` the empty loop runs in turns with the inserts, as long as they.
static void fill(const struct table_side *side, void *table, uint32_t count, struct round *round,
	struct round *nothing)
{
	static struct burst burst;
	double *stretches = calloc(count / STRETCH + 1, sizeof(*stretches));
	uint64_t begun = 0;
	uint32_t done = 0;

	CHECK(stretches != NULL);
	side->clear(table);
	for (uint32_t flow = 0; flow < count; flow += BURST) {
		for (unsigned i = 0; i < BURST; i++)
			burst_set(&burst, i, flow + i);
		burst.stamps[0] = stamp();
		CHECK(side->insert(table, &burst) == BURST);
		count_gaps(&burst, round);
		if ((flow + BURST) % STRETCH == 0) {
			stretches[done++] = (double)(round->insert_cycles - begun) / STRETCH;
			begun = round->insert_cycles;
			if (nothing != NULL)
				fill_nothing(begun, nothing);
		}
	}
	round->insert = segments_sum(stretches, done) / SEGMENTS;
	free(stretches);
}

static void least(double *value, double other)
{
	if (*value == 0 || other < *value)
		*value = other;
}

// Windows of both sides in turns, each over the same keys.
static void look_up(const struct settings *set, void *const tables[SIDES], unsigned number,
	struct round rounds[SIDES])
{
	uint32_t count = filled(set);

	for (unsigned window = 0; window < WINDOWS; window++) {
		for (unsigned turn = 0; turn < SIDES; turn++) {
			unsigned s = (turn + window) % SIDES;

			random_state = (uint64_t)number << 32 | window;
			least(&rounds[s].hit, lookups(sides[s], tables[s], 0, count, BURST));
			least(&rounds[s].miss, lookups(sides[s], tables[s], count, count, 0));
		}
	}
}

static void print_round(const char *name, const struct round *round)
{
	printf("\"%s\": {\"hit\": %.2f, \"miss\": %.2f, \"insert\": %.2f, \"insert_cycles\": "
	       "%" PRIu64 ", \"worst\": %" PRIu64 ", \"gaps\": [",
		name, round->hit, round->miss, round->insert, round->insert_cycles, round->worst);
	for (unsigned level = 0; level < GAP_LEVELS; level++)
		printf("%s%" PRIu64, level ? ", " : "", round->gaps[level]);
	printf("]}");
}

static void run_round(const struct settings *set, void *const tables[SIDES], unsigned number)
{
	struct round rounds[SIDES] = {0}, nothing = {0};

	for (unsigned turn = 0; turn < SIDES; turn++) {
		unsigned s = (turn + number) % SIDES;

		fill(sides[s], tables[s], filled(set), &rounds[s],
			sides[s] == &table_ours ? &nothing : NULL);
	}
	look_up(set, tables, number, rounds);
	printf("%s\n  {", number ? "," : "");
	for (unsigned s = 0; s < SIDES; s++) {
		print_round(sides[s]->name, &rounds[s]);
		printf(", ");
	}
	print_round("nothing", &nothing);
	printf("}");
}

// How many flows there are when the table takes no more.
static uint32_t most(const struct table_side *side, void *table, uint32_t from)
{
	static struct burst burst;
	uint32_t count = from;
	unsigned misses = 0;

	for (uint32_t flow = from; misses < FULL_MISSES; flow += BURST) {
		unsigned taken;

		for (unsigned i = 0; i < BURST; i++)
			burst_set(&burst, i, flow + i);
		taken = side->insert(table, &burst);
		count += taken;
		misses = taken == 0 ? misses + 1 : 0;
	}
	return count;
}

static double tsc_hz(void)
{
	struct timespec begin, end;
	uint64_t start;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	start = fenced();
	do {
		clock_gettime(CLOCK_MONOTONIC, &end);
		seconds = (double)(end.tv_sec - begin.tv_sec) +
			  (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
	} while (seconds < 0.05);
	return (double)(fenced() - start) / seconds;
}

// What a whole engine takes for each flow: contexts, holds and counters of prefixes beside the
// table.
static double engine_bytes_per_flow(uint32_t flows)
{
	const uint64_t queues = 8 << 20;
	const struct engine_config config = {.capacity = flows,
		.openings = engine_openings(flows, queues),
		.queue_total_bytes = queues,
		.workers = 1,
		.port_count = 2};

	return (double)engine_bytes(&config) / flows;
}

// Fills the table until it takes no more, and ends it.
static void print_memory(const struct settings *set, const struct table_side *side, void *table)
{
	bool huge = side->on_huge_pages(table);
	uint32_t flows = most(side, table, filled(set));

	printf("\"%s\": {\"flows\": %u, \"bytes_per_flow\": %.2f, \"huge_pages\": %s, \"sum\": "
	       "%" PRIu64 "},\n  ",
		side->name, flows, (double)side->bytes(table) / flows, huge ? "true" : "false",
		side->sum(table));
	side->destroy(table);
}

static void run(const struct settings *set)
{
	void *tables[SIDES];
	double hz = tsc_hz();

	for (unsigned level = 0; level < GAP_LEVELS; level++)
		gap_cycles[level] = (uint64_t)(gap_us[level] * hz / 1e6);
	for (unsigned s = 0; s < SIDES; s++)
		tables[s] = sides[s]->create(set->flows, set->huge);
	printf("{\"flows\": %u, \"load_percent\": %u, \"tsc_hz\": %.0f, \"gap_us\": [1, 2, 5, 10, "
	       "20, "
	       "50],\n \"rounds\": [",
		set->flows, LOAD_PERCENT, hz);
	for (unsigned number = 0; number < set->rounds; number++)
		run_round(set, tables, number);
	printf("],\n \"memory\": {");
	for (unsigned s = 0; s < SIDES; s++)
		print_memory(set, sides[s], tables[s]);
	printf("\"engine_bytes_per_flow\": %.2f}}\n", engine_bytes_per_flow(set->flows));
}

static void usage(void)
{
	fprintf(stderr, "usage: tables [--flows N] [--rounds N] [--pages huge|small] [--cpu N]\n");
	exit(2);
}

static void start_dpdk(char *cpu)
{
	static char name[] = "tables", lcores[] = "-l", small[] = "--no-huge", memory[] = "-m64",
		    pci[] = "--no-pci", shared[] = "--no-shconf", telemetry[] = "--no-telemetry",
		    quiet[] = "--log-level=3";
	char *arguments[] = {name, lcores, cpu, small, memory, pci, shared, telemetry, quiet, NULL};

	CHECK(rte_eal_init(ARRAY_LEN(arguments) - 1, arguments) >= 0);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"flows", required_argument, NULL, 'f'},
		{"rounds", required_argument, NULL, 'r'}, {"pages", required_argument, NULL, 'p'},
		{"cpu", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
	static char first_cpu[] = "0";
	struct settings set = {.flows = 1 << 20, .rounds = 11, .huge = true, .cpu = first_cpu};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'f')
			set.flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'r')
			set.rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'p')
			set.huge = strcmp(optarg, "huge") == 0;
		else if (option == 'c')
			set.cpu = optarg;
		else
			usage();
	}
	if (set.rounds == 0 || set.flows < 1 << 16 || optind != argc)
		usage();
	start_dpdk(set.cpu);
	run(&set);
	return 0;
}
