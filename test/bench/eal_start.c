// DPDK's environment layer and nothing else: prints the monotonic clock when it stands.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>

int main(int argc, char **argv)
{
	struct timespec now;

	if (rte_eal_init(argc, argv) < 0)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%" PRIu64 "\n", (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec);
	fflush(stdout);
	_exit(0);
}
