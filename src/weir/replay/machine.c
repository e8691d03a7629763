#include "weir/replay/machine.h"

#include "weir/replay/cycles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define GOVERNOR     "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
#define NS_PER_S     1000000000ULL
#define MEASURE_NS   5000000 // the cycle counter's rate is known after this
#define STEAL_COLUMN 7	     // of /proc/stat's first line

uint64_t machine_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void read_line(const char *path, char out[MACHINE_TEXT_BYTES])
{
	FILE *file = fopen(path, "r");

	out[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(out, MACHINE_TEXT_BYTES, file) != NULL)
		out[strcspn(out, "\n")] = '\0';
	fclose(file);
}

static void read_cpu(char out[MACHINE_TEXT_BYTES])
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[512], *value;

	snprintf(out, MACHINE_TEXT_BYTES, "unknown");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "model name", 10) != 0 || (value = strchr(line, ':')) == NULL)
			continue;
		value[strcspn(value, "\n")] = '\0';
		snprintf(out, MACHINE_TEXT_BYTES, "%.*s", MACHINE_TEXT_BYTES - 1,
			value + 1 + strspn(value + 1, " "));
		break;
	}
	if (file != NULL)
		fclose(file);
}

static void read_steal(uint64_t *steal, uint64_t *total)
{
	char line[512];
	FILE *file = fopen("/proc/stat", "r");
	char *at = line;

	*steal = *total = 0;
	if (file == NULL)
		return;
	if (fgets(line, sizeof(line), file) != NULL)
		at = line + strcspn(line, " ");
	for (unsigned column = 0; column <= STEAL_COLUMN && *at != '\0'; column++) {
		uint64_t value = strtoull(at, &at, 10);

		*total += value;
		if (column == STEAL_COLUMN)
			*steal = value;
	}
	fclose(file);
}

void machine_begin(struct machine *machine)
{
	struct utsname name;

	*machine = (struct machine){.cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
	if (uname(&name) == 0) {
		snprintf(machine->kernel, MACHINE_TEXT_BYTES, "%s", name.release);
		snprintf(machine->arch, MACHINE_TEXT_BYTES, "%s", name.machine);
	}
	read_cpu(machine->cpu);
	read_line(GOVERNOR, machine->governor);
	getloadavg(&machine->load, 1);
	read_steal(&machine->steal, &machine->total);
	machine->clock_ns = machine_clock_ns();
	machine->clock_cycles = cycles_now();
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

void machine_end(struct machine *machine)
{
	struct rusage usage;
	uint64_t steal, total, ns, cycles;

	read_steal(&steal, &total);
	if (total > machine->total)
		machine->steal_percent =
			100.0 * (double)(steal - machine->steal) / (double)(total - machine->total);
	do {
		cycles = cycles_now();
		ns = machine_clock_ns();
	} while (ns - machine->clock_ns < MEASURE_NS);
	machine->cycles_per_ns =
		(double)(cycles - machine->clock_cycles) / (double)(ns - machine->clock_ns);
	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	machine->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
	machine->preemptions = (uint64_t)usage.ru_nivcsw;
	machine->cpu_s = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}
