// sim: runs seeds of a scenario, prints what did not hold and how to see it again.
#include "sim.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	      "  --verbose        a trace of what happens\n",
		out);
}

static void parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'n'}, {"scenario", required_argument, NULL, 'c'},
		{"steps", required_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {0}};
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

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct request request = {
		.seed = 1, .seeds = 1, .steps = UINT64_MAX, .scenario = scenario_name(0)};
	uint64_t failed = 0;
	double start;

	parse(argc, argv, &request);
	sim.steps_max = request.steps;
	sim.verbose = request.verbose;
	start = cpu_s();
	for (uint64_t i = 0; i < request.seeds; i++) {
		uint64_t seed = request.seed + i;

		if (sim_run(&sim, request.scenario, seed))
			continue;
		failed++;
		printf("seed %llu: %s\n  again: sim --scenario %s --seed %llu --verbose\n",
			(unsigned long long)seed, sim.failure, request.scenario,
			(unsigned long long)seed);
	}
	start = cpu_s() - start;
	printf("%s: %llu seeds, %llu failed, %llu steps, %u of %u connections done, %u reset by "
	       "an end, %u excused\n",
		request.scenario, (unsigned long long)request.seeds, (unsigned long long)failed,
		(unsigned long long)sim.totals.steps, sim.totals.done, sim.totals.opened,
		sim.totals.refused, sim.totals.excused);
	printf("%.1f virtual s in %.2f s of CPU: %.0f times real time; fingerprint %016llx\n",
		(double)sim.totals.virtual_ns / 1e9, start,
		(double)sim.totals.virtual_ns / 1e9 / start, (unsigned long long)sim.fingerprint);
	sim_finish(&sim);
	return failed > 0;
}
