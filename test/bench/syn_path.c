// What one frame costs in the engine, by the path it takes: a loop over prepared frames in batches
// of 32, no device, no DPDK. Every path has its own engine. Windows of all paths take turns, so
// that what disturbs the machine disturbs all of them; of each path the smallest window counts.
//
//   syn_path [--rounds N] [--only NAME,...]
//
// Prints one JSON document. Cycles are the TSC's; core_per_tsc is how many core cycles passed per
// TSC cycle at best, found by timing instructions of known latency. Exit status 1 when a frame got
// another verdict than its path has.
#include "scene.h"
#include "stages.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_DEFAULT 100
#define STAGE_BATCHES  32
#define CHAIN_STEPS    100000
#define IMUL_CYCLES    3 // latency of a 64-bit multiplication on every x86-64 since 2008

static const struct scene_settings paths[] = {
	{.name = "syn", .kind = SCENE_SYN, .batches = 128},
	{.name = "syn_plain", .kind = SCENE_SYN, .plain = true, .batches = 128},
	{.name = "syn_v6", .kind = SCENE_SYN, .ip6 = true, .batches = 128},
	{.name = "syn_verified", .kind = SCENE_SYN, .verified = true, .batches = 128},
	{.name = "ack_bad_ts", .kind = SCENE_ACK, .batches = 128},
	{.name = "ack_bad", .kind = SCENE_ACK, .plain = true, .batches = 128},
	{.name = "ack_limited", .kind = SCENE_ACK, .limited = true, .batches = 128},
	{.name = "to_server_1k", .kind = SCENE_TO_SERVER, .flows = 1024, .batches = 128},
	{.name = "to_server_64k", .kind = SCENE_TO_SERVER, .flows = 65536, .batches = 128},
	{.name = "to_server_1m", .kind = SCENE_TO_SERVER, .flows = 1 << 20, .batches = 128},
	{.name = "to_client_1k", .kind = SCENE_TO_CLIENT, .flows = 1024, .batches = 128},
	{.name = "to_client_64k", .kind = SCENE_TO_CLIENT, .flows = 65536, .batches = 128},
	{.name = "to_client_1m", .kind = SCENE_TO_CLIENT, .flows = 1 << 20, .batches = 128},
	{.name = "rules_10", .kind = SCENE_SYN, .rules = 10, .batches = 128},
	{.name = "rules_10000", .kind = SCENE_SYN, .rules = 10000, .batches = 2},
};

#define PATH_MAX_COUNT (sizeof(paths) / sizeof(paths[0]))

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static double tsc_hz(uint64_t tsc_begin, uint64_t ns_begin)
{
	return (double)(tsc_read() - tsc_begin) * 1e9 / (double)(clock_ns() - ns_begin);
}

// Core cycles per TSC cycle: a chain of multiplications that each wait for the one before.
static double core_per_tsc(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned turn = 0; turn < 50; turn++) {
		uint64_t x = turn, start = tsc_read(), took;

		for (unsigned i = 0; i < CHAIN_STEPS; i += 10)
			__asm__ volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
					 "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
					 "imul %0, %0\n imul %0, %0"
					 : "+r"(x));
		took = tsc_read() - start;
		best = took < best ? took : best;
	}
	return (double)IMUL_CYCLES * CHAIN_STEPS / (double)best;
}

// Cycles of the measurement itself, per frame.
static double overhead(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t start = tsc_read(), took = tsc_read() - start;

		best = took < best ? took : best;
	}
	return (double)best / SCENE_BATCH;
}

static void print_path(struct scene *scene, double hz, double ratio, double spent)
{
	const struct scene_settings *set = &scene->set;
	double least, median;

	qsort(scene->windows, scene->window_count, sizeof(*scene->windows), compare);
	least = (double)scene->windows[0] / 256 - spent;
	median = (double)scene->windows[scene->window_count / 2] / 256 - spent;
	printf("{\"name\": \"%s\", \"flows\": %u, \"rules\": %u, \"frame_bytes\": %u, "
	       "\"huge_pages\": %s, \"packets\": %llu, \"unexpected\": %llu, "
	       "\"tsc_cycles\": %.1f, \"tsc_cycles_median\": %.1f, \"core_cycles\": %.1f, "
	       "\"ns\": %.1f, \"mpps\": %.2f}",
		set->name, set->flows, scene->node.policy.row_count, scene->frame_bytes,
		scene->huge_pages ? "true" : "false",
		(unsigned long long)scene->window_count * set->batches * SCENE_BATCH,
		(unsigned long long)scene->unexpected, least, median, least * ratio,
		least * 1e9 / hz, hz / least / 1e6);
}

static void stages_round(struct scene *scene, uint64_t best[STAGE_COUNT])
{
	uint64_t cycles[STAGE_COUNT] = {0};

	for (unsigned i = 0; i < STAGE_BATCHES; i++)
		stages_run(scene, cycles);
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		best[i] = cycles[i] < best[i] ? cycles[i] : best[i];
}

static void print_stages(const uint64_t best[STAGE_COUNT], double ratio, double spent)
{
	for (unsigned i = 0; i < STAGE_COUNT; i++) {
		double cycles = (double)best[i] / (STAGE_BATCHES * SCENE_BATCH) - spent;

		printf("%s\n  {\"name\": \"%s\", \"tsc_cycles\": %.1f, \"core_cycles\": %.1f}",
			i ? "," : "", stage_names[i], cycles, cycles * ratio);
	}
}

// NULL: all are wanted.
static bool is_among(const char *name, const char *names)
{
	size_t len = strlen(name);

	while (names != NULL &&
		(strncmp(names, name, len) != 0 || strchr(",", names[len]) == NULL)) {
		names = strchr(names, ',');
		if (names++ == NULL)
			return false;
	}
	return true;
}

static unsigned create_scenes(struct scene **scenes, const char *only, unsigned rounds)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PATH_MAX_COUNT; i++) {
		if (is_among(paths[i].name, only))
			scenes[count++] = scene_create(&paths[i], rounds);
	}
	return count;
}

static void usage(void)
{
	fprintf(stderr, "usage: syn_path [--rounds N] [--only NAME,...]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"rounds", required_argument, NULL, 'r'},
		{"only", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	struct scene *scenes[PATH_MAX_COUNT];
	uint64_t best[STAGE_COUNT], unexpected = 0, ns_begin = clock_ns(), tsc_begin = tsc_read();
	unsigned rounds = ROUNDS_DEFAULT, count;
	const char *only = NULL;
	double hz, ratio = core_per_tsc(), spent = overhead();
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'o')
			only = optarg;
		else
			usage();
	}
	if (rounds == 0 || optind != argc)
		usage();
	count = create_scenes(scenes, only, rounds);
	if (count == 0)
		usage();
	memset(best, 0xff, sizeof(best));
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < count; i++)
			scene_window(scenes[i]);
		if (scenes[0]->set.kind == SCENE_SYN)
			stages_round(scenes[0], best);
	}
	hz = tsc_hz(tsc_begin, ns_begin);
	printf("{\"tsc_hz\": %.0f, \"core_per_tsc\": %.3f, \"batch\": %u, \"rounds\": %u,\n"
	       " \"paths\": [",
		hz, ratio, SCENE_BATCH, rounds);
	for (unsigned i = 0; i < count; i++) {
		printf("%s\n  ", i ? "," : "");
		print_path(scenes[i], hz, ratio, spent);
		unexpected += scenes[i]->unexpected;
	}
	printf("],\n \"stages\": [");
	if (scenes[0]->set.kind == SCENE_SYN)
		print_stages(best, ratio, spent);
	printf("]}\n");
	for (unsigned i = 0; i < count; i++)
		scene_destroy(scenes[i]);
	return unexpected != 0;
}
