// What ageing takes: turns without packets of an engine with flows and of one without, side by
// side.
//
//   ageing [--flows N] [--rounds N]
//
// Prints one JSON document: of each round the share of a processor the turns of one second take,
// had the worker nothing else to do than one turn each STEP_NS, and the turns over 20 us, beside
// those of a loop that reads the TSC as long.
#include "scene.h"

#include "base/check.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEP_NS	     50000
#define WINDOW_TURNS 20000 // a second of the engine's clock
#define LONG_US	     20

struct window {
	uint64_t cycles; // TSC
	unsigned longs;	 // turns over LONG_US
	uint64_t worst;
};

static uint64_t long_cycles;

static void add(struct window *window, uint64_t took)
{
	window->cycles += took;
	window->longs += took > long_cycles;
	window->worst = took > window->worst ? took : window->worst;
}

static struct window turns(struct scene *scene)
{
	struct window window = {0};

	for (unsigned i = 0; i < WINDOW_TURNS; i++) {
		struct batch batch = {
			.now_ns = scene->node.now_ns += STEP_NS, .tick = scene->node.tick};
		uint64_t start = tsc_read();

		engine_run(scene->node.engine, &batch);
		add(&window, tsc_read() - start);
	}
	return window;
}

static struct window nothing(uint64_t cycles)
{
	struct window window = {0};
	uint64_t before = tsc_read();

	while (window.cycles < cycles) {
		uint64_t now = tsc_read();

		add(&window, now - before);
		before = now;
	}
	return window;
}

static double tsc_hz(void)
{
	struct timespec pause = {.tv_nsec = 50000000}, begin, end;
	uint64_t start = tsc_read();

	clock_gettime(CLOCK_MONOTONIC, &begin);
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double)(tsc_read() - start) /
	       ((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9);
}

static void print_window(const char *name, const struct window *window, double hz)
{
	printf("\"%s\": {\"share\": %.6f, \"seconds\": %.6f, \"longs\": %u, \"worst_us\": %.1f}",
		name, (double)window->cycles / hz / (WINDOW_TURNS * (double)STEP_NS * 1e-9),
		(double)window->cycles / hz, window->longs, (double)window->worst * 1e6 / hz);
}

static void usage(void)
{
	fprintf(stderr, "usage: ageing [--flows N] [--rounds N]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"flows", required_argument, NULL, 'f'},
		{"rounds", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	struct scene_settings full = {.kind = SCENE_TO_SERVER, .flows = 1 << 20},
			      empty = {.kind = SCENE_SYN};
	struct scene *with, *without;
	unsigned rounds = 11;
	double hz = tsc_hz();
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'f')
			full.flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else
			usage();
	}
	if (rounds == 0 || full.flows == 0 || optind != argc)
		usage();
	long_cycles = (uint64_t)(LONG_US * hz / 1e6);
	with = scene_create(&full, 1);
	without = scene_create(&empty, 1);
	printf("{\"flows\": %u, \"rounds\": [", full.flows);
	for (unsigned round = 0; round < rounds; round++) {
		struct window idle = turns(without), ageing = turns(with),
			      loop = nothing(ageing.cycles);

		printf("%s\n  {", round ? "," : "");
		print_window("without", &idle, hz);
		printf(", ");
		print_window("with", &ageing, hz);
		printf(", ");
		print_window("nothing", &loop, hz);
		printf("}");
	}
	printf("],\n \"left\": %" PRIu64 "}\n", engine_flow_count(with->node.engine));
	scene_destroy(with);
	scene_destroy(without);
	return 0;
}
