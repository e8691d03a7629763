// sim: runs seeds of a scenario, prints what did not hold and how to see it again.
#include "sim.h"
#include "table.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FULL_TIMES 20

static const char usage[] =
	"usage: sim [--seed S] [--seeds N] [--scenario NAME] [--steps N] [--verbose] [--table]\n"
	"  --seed S         the first seed, 1\n"
	"  --seeds N        how many, 1\n"
	"  --scenario NAME  mix (everything but wrong clocks), or one of:\n"
	"                  ";

static struct sim sim;

struct request {
	uint64_t seed, seeds, steps;
	const char *scenario;
	bool verbose, table;
};

static void print_usage(FILE *out)
{
	fputs(usage, out);
	for (unsigned i = 1; scenario_name(i) != NULL; i++)
		fprintf(out, " %s", scenario_name(i));
	fputs("\n  --steps N        ends after so many events\n"
	      "  --verbose        a trace of what happens\n"
	      "  --table          what share = \"all\" costs with 2, 4 and 8 nodes\n"
	      "With WEIR_TEST_SIZE=full or soak, 20 times as many seeds.\n",
		out);
}

static void parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'n'}, {"scenario", required_argument, NULL, 'c'},
		{"steps", required_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'},
		{"table", no_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			request->seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			request->seeds = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			request->scenario = optarg;
			break;
		case 't':
			request->steps = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			request->table = true;
			break;
		case 'v':
			request->verbose = true;
			break;
		case 'h':
			print_usage(stdout);
			exit(0);
		default:
			print_usage(stderr);
			exit(2);
		}
	}
}

static bool is_known(const char *scenario)
{
	for (unsigned i = 0; scenario_name(i) != NULL; i++)
		if (strcmp(scenario_name(i), scenario) == 0)
			return true;
	return false;
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_seeds(const struct request *request, uint64_t *failed)
{
	for (uint64_t i = 0; i < request->seeds; i++) {
		unsigned long long seed = request->seed + i;

		if (sim_run(&sim, request->scenario, seed))
			continue;
		++*failed;
		printf("seed %llu: %s\n  again: sim --scenario %s --seed %llu --verbose\n", seed,
			sim.failure, request->scenario, seed);
	}
}

static void report(const struct request *request, uint64_t failed, double cpu)
{
	double virtual_s = (double)sim.totals.virtual_ns / 1e9;

	printf("%s: %llu seeds, %llu failed; %llu steps, %u connections (%u anew): %u done, "
	       "%u reset by an end, %u excused; %u exchanges\n",
		request->scenario, (unsigned long long)request->seeds, (unsigned long long)failed,
		(unsigned long long)sim.totals.steps, sim.totals.opened, sim.totals.reused,
		sim.totals.done, sim.totals.refused, sim.totals.excused, sim.totals.exchanges);
	printf("%.1f virtual s in %.2f s of CPU: %.0f times real time; fingerprint of the last "
	       "%016llx\n",
		virtual_s, cpu, virtual_s / cpu, (unsigned long long)sim.fingerprint);
}

int main(int argc, char **argv)
{
	struct request request = {
		.seed = 1, .seeds = 1, .steps = UINT64_MAX, .scenario = scenario_name(0)};
	const char *size = getenv("WEIR_TEST_SIZE");
	uint64_t failed = 0;
	double start = cpu_s();

	parse(argc, argv, &request);
	if (!is_known(request.scenario)) {
		print_usage(stderr);
		return 2;
	}
	sim.steps_max = request.steps;
	sim.verbose = request.verbose;
	if (size != NULL && strcmp(size, "quick") != 0 && request.seeds > 1)
		request.seeds *= FULL_TIMES;
	if (request.table) {
		failed = !table_print(&sim, request.seed);
		if (failed)
			puts(sim.failure);
	} else {
		run_seeds(&request, &failed);
		report(&request, failed, cpu_s() - start);
	}
	sim_finish(&sim);
	return failed > 0;
}
