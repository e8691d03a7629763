// The EAL's arguments are derived here. Its output goes through our log: warnings as they come, and
// on a failed start the last lines are what the operator gets to read.
#include "weir/eal.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "weir/node.h"
#include "weir/port.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#define ARGUMENTS_MAX  48
#define ARGUMENT_BYTES 1024
#define MIB	       (1u << 20)

struct arguments {
	char text[ARGUMENTS_MAX][ARGUMENT_BYTES];
	char *list[ARGUMENTS_MAX + 1];
	int count;
};

__attribute__((format(printf, 2, 3))) static void add(
	struct arguments *arguments, const char *format, ...)
{
	va_list values;

	CHECK(arguments->count < ARGUMENTS_MAX);
	char *text = arguments->text[arguments->count];
	va_start(values, format);
	vsnprintf(text, ARGUMENT_BYTES, format, values);
	va_end(values);
	arguments->list[arguments->count++] = text;
}

// DPDK's log stream: one call of ours for each line of theirs.
static ssize_t on_output(void *cookie, const char *text, size_t len)
{
	uint32_t level = (uint32_t)rte_log_cur_msg_loglevel();
	size_t left = len;

	(void)cookie;
	while (left > 0) {
		size_t line = strcspn(text, "\n");

		if (line > left)
			line = left;
		if (line > 0)
			log_write(level <= RTE_LOG_ERR ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG,
				"dpdk: %.*s", (int)line, text);
		size_t step = line < left ? line + 1 : line;
		text += step;
		left -= step;
	}
	return (ssize_t)len;
}

static int take_output(void)
{
	static const cookie_io_functions_t functions = {.write = on_output};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (!stream)
		return -ERR_MEMORY;
	setvbuf(stream, NULL, _IOLBF, 0);
	return rte_openlog_stream(stream) ? -ERR_MEMORY : 0;
}

// A number from a one-line file of the kernel, 0 where there is none.
static uint64_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	uint64_t number = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

static uint64_t free_huge_mb(void)
{
	return 2 * read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") +
	       1024 * read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");
}

static int choose_memory(struct node *node, struct arguments *arguments)
{
	const struct config_eal *eal = &node->config->eal;
	uint64_t huge_mb = free_huge_mb();
	uint64_t free_mb = node_available_mb();

	node->huge_pages = eal->hugepages != CHOICE_OFF && huge_mb >= eal->memory_mb;
	if (eal->hugepages == CHOICE_ON && !node->huge_pages) {
		log_error("eal.hugepages = \"on\", but %" PRIu64 " MiB of huge pages are free and "
			  "eal.memory_mb = %u: raise vm.nr_hugepages, or set hugepages to \"auto\"",
			huge_mb, eal->memory_mb);
		return -ERR_MEMORY;
	}
	if (!node->huge_pages && free_mb < eal->memory_mb) {
		log_error("eal.memory_mb = %u, but only %" PRIu64 " MiB are available: lower it",
			eal->memory_mb, free_mb);
		return -ERR_MEMORY;
	}
	add(arguments, "-m");
	add(arguments, "%u", eal->memory_mb);
	if (node->huge_pages) {
		add(arguments, "--in-memory");
		return 0;
	}
	if (eal->hugepages == CHOICE_AUTO)
		log_info("no huge pages: %" PRIu64 " MiB of them are free, %u are wanted; ordinary "
			 "memory is used, which is slower",
			huge_mb, eal->memory_mb);
	add(arguments, "--no-huge");
	add(arguments, "--no-shconf");
	return 0;
}

// Processors of a list such as "2-5,7", in order. -ERR_MALFORMED.
static int parse_cpus(const char *text, unsigned *cpus, unsigned max, unsigned *count)
{
	*count = 0;
	while (*text) {
		char *end;
		unsigned long low = strtoul(text, &end, 10), high = low;

		if (end == text)
			return -ERR_MALFORMED;
		if (*end == '-') {
			text = end + 1;
			high = strtoul(text, &end, 10);
			if (end == text)
				return -ERR_MALFORMED;
		}
		for (unsigned long cpu = low; cpu <= high && *count < max; cpu++)
			cpus[(*count)++] = (unsigned)cpu;
		if (*end && *end != ',')
			return -ERR_MALFORMED;
		text = *end ? end + 1 : end;
	}
	return 0;
}

// "0,1,5" of a set.
static void format_set(const cpu_set_t *set, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE && used < size; cpu++) {
		if (CPU_ISSET(cpu, set))
			used += (size_t)snprintf(
				out + used, size - used, "%s%d", used ? "," : "", cpu);
	}
}

// Thread 0 is the control core, worker w is thread w + 1. Floating threads may run on every
// processor this process may; pinned workers have one each, and control has the others.
static int place_threads(const struct node *node, struct arguments *arguments)
{
	const char *text = node->config->eal.cpus;
	unsigned cpus[CONFIG_CPUS_MAX], count = 0;
	char lcores[ARGUMENT_BYTES - 16], set_text[512];
	cpu_set_t allowed, rest;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return -ERR_RANGE;
	bool floats = strcmp(text, "any") == 0;
	if (!floats && parse_cpus(text, cpus, CONFIG_CPUS_MAX, &count))
		return -ERR_MALFORMED;
	rest = allowed;
	for (unsigned i = 0; i < count; i++) {
		if (cpus[i] >= CPU_SETSIZE || !CPU_ISSET(cpus[i], &allowed)) {
			log_error("eal.cpus = \"%s\": processor %u is not there, or not for this "
				  "process",
				text, cpus[i]);
			return -ERR_RANGE;
		}
		CPU_CLR(cpus[i], &rest);
	}
	if (!floats && count < node->worker_count) {
		log_error("eal.cpus = \"%s\" has %u processors for eal.workers = %u", text, count,
			node->worker_count);
		return -ERR_RANGE;
	}
	format_set(CPU_COUNT(&rest) ? &rest : &allowed, set_text, sizeof(set_text));
	size_t used = (size_t)snprintf(lcores, sizeof(lcores), "0@(%s)", set_text);
	for (unsigned w = 0; w < node->worker_count && used < sizeof(lcores); w++) {
		if (!floats)
			snprintf(set_text, sizeof(set_text), "%u", cpus[w]);
		used += (size_t)snprintf(
			lcores + used, sizeof(lcores) - used, ",%u@(%s)", w + 1, set_text);
	}
	if (used >= sizeof(lcores)) {
		log_error("too many workers for so many processors: pin them with eal.cpus");
		return -ERR_RANGE;
	}
	add(arguments, "--lcores=%s", lcores);
	add(arguments, "--main-lcore=0");
	return 0;
}

static void allow_devices(const struct node *node, struct arguments *arguments)
{
	bool any = false;

	for (unsigned i = 0; i < node->device_count; i++) {
		if (node->ports[i].kind != PORT_PCI)
			continue;
		any = true;
		add(arguments, "-a");
		add(arguments, "%s", node->ports[i].target);
	}
	if (!any) {
		add(arguments, "--no-pci");
		add(arguments, "--iova-mode=va");
	}
}

int eal_start(struct node *node)
{
	static struct arguments arguments; // EAL keeps pointers into it

	arguments.count = 0;
	add(&arguments, "weir");
	add(&arguments, "--file-prefix=%s", node->config->node);
	add(&arguments, "--no-telemetry");
	add(&arguments, "--log-level=warning");
	allow_devices(node, &arguments);
	if (choose_memory(node, &arguments) || place_threads(node, &arguments))
		return -ERR_RANGE;
	// DPDK's own files go into the runtime folder.
	if (setenv("RUNTIME_DIRECTORY", node->config->runtime, 1) || take_output())
		return -ERR_MEMORY;
	if (rte_eal_init(arguments.count, arguments.list) < 0) {
		log_error("DPDK does not start: %s; the lines above say why",
			rte_strerror(rte_errno));
		return -ERR_MEMORY;
	}
	return 0;
}

void eal_stop(struct node *node)
{
	(void)node;
	rte_eal_cleanup();
}
