#include "table.h"

#include <string.h>

#define RUNS 10

// Of the runs with one number of nodes.
static struct sums {
	uint64_t busy_ns, busiest_ns, connections;
	uint64_t held_least, held_most;
} sums;

static void add(struct sim *sim)
{
	uint64_t busiest = 0;

	for (unsigned i = 0; i < sim->scenario.nodes; i++) {
		const struct appliance *node = &sim->nodes[i];

		sums.busy_ns += node->busy_ns;
		busiest = node->busy_ns > busiest ? node->busy_ns : busiest;
		sums.held_least = sim->flows[i] < sums.held_least ? sim->flows[i] : sums.held_least;
		sums.held_most = sim->flows[i] > sums.held_most ? sim->flows[i] : sums.held_most;
	}
	sums.busiest_ns += busiest;
}

static void print_row(const struct sim *sim)
{
	double connections = (double)sums.connections;

	printf("%5u %12.0f %12.0f %12.0f %8llu..%-4llu %10u\n", sim->scenario.nodes,
		connections / ((double)sums.busy_ns / 1e9),
		connections / ((double)sums.busy_ns / sim->scenario.nodes / 1e9),
		connections / ((double)sums.busiest_ns / 1e9), (unsigned long long)sums.held_least,
		(unsigned long long)sums.held_most, sim->nodes[0].config.flows);
}

bool table_print(struct sim *sim, uint64_t seed)
{
	static const char *const names[] = {"table2", "table4", "table8"};

	sim->measures = true;
	sim->ended = add;
	puts("share = \"all\": connections of all nodes per CPU-second of one core that runs them\n"
	     "all, of one core for each, and of the busiest; sessions held by the nodes at the "
	     "end\n"
	     "of a run of 200 connections (least..most); and the most sessions the cluster can "
	     "hold\n"
	     "nodes     one core  core a node     busiest      held by   capacity");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(&sums, 0, sizeof(sums));
		sums.held_least = UINT64_MAX;
		sim->totals.opened = 0;
		for (uint64_t run = 0; run < RUNS; run++)
			if (!sim_run(sim, names[i], seed + run))
				return false;
		sums.connections = sim->totals.opened;
		print_row(sim);
	}
	return true;
}
