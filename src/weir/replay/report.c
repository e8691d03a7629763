#include "weir/replay/report.h"

#include "base/reason.h"
#include "tcp/track.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <x86intrin.h>

#define SAMPLES_MAX (1u << 24)

uint64_t replay_cycles(void)
{
	return __rdtsc();
}

int replay_report_open(struct replay_report *report, size_t packets)
{
	report->sample_room = packets < SAMPLES_MAX ? packets : SAMPLES_MAX;
	report->samples = malloc((report->sample_room + 1) * sizeof(*report->samples));
	return report->samples == NULL;
}

void replay_report_close(struct replay_report *report)
{
	free(report->samples);
	report->samples = NULL;
}

void replay_report_turn(struct replay_report *report, uint64_t cycles, unsigned frames)
{
	if (frames == 0)
		return;
	report->cycles += cycles;
	if (report->sample_count < report->sample_room)
		report->samples[report->sample_count++] =
			cycles < UINT32_MAX ? (uint32_t)cycles : UINT32_MAX;
}

static int by_value(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

// Cycles of the time-stamp counter per nanosecond, measured over a short while.
static double cycles_per_ns(void)
{
	struct timespec from, to;
	uint64_t start = replay_cycles(), ns;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		clock_gettime(CLOCK_MONOTONIC, &to);
		ns = (uint64_t)((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec -
				from.tv_nsec);
	} while (ns < 5000000);
	return (double)(replay_cycles() - start) / (double)ns;
}

static double quantile_ns(const struct replay_report *report, double part, double scale)
{
	size_t at = (size_t)((double)report->sample_count * part);

	if (report->sample_count == 0)
		return 0;
	if (at >= report->sample_count)
		at = report->sample_count - 1;
	return (double)report->samples[at] / scale;
}

static json_t *latency(struct replay_report *report)
{
	double scale = cycles_per_ns();

	qsort(report->samples, report->sample_count, sizeof(*report->samples), by_value);
	return json_pack("{s:f, s:f, s:f}", "p50", quantile_ns(report, 0.5, scale), "p99",
		quantile_ns(report, 0.99, scale), "p999", quantile_ns(report, 0.999, scale));
}

static json_int_t value(const counter *c)
{
	return (json_int_t)counter_get(c);
}

static json_t *reasons(const struct engine_stats *stats, json_int_t *total)
{
	json_t *object = json_object();

	*total = 0;
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		json_int_t dropped = value(&stats->dropped[i]);

		*total += dropped;
		if (dropped > 0)
			json_object_set_new(object, reason_name(i), json_integer(dropped));
	}
	return object;
}

static json_t *packets(
	const struct replay_report *report, const struct engine_stats *stats, json_int_t dropped)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "read",
		(json_int_t)report->read, "forwarded", (json_int_t)report->forwarded, "generated",
		value(&stats->generated), "consumed", value(&stats->consumed), "dropped", dropped,
		"queued", value(&stats->queued), "transmitted", (json_int_t)report->sent,
		"withheld", (json_int_t)0);
}

static json_t *flows(const struct engine_stats *stats)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "created", value(&stats->flows_created),
		"closed", value(&stats->flows_closed), "expired", value(&stats->flows_expired),
		"evicted", value(&stats->flows_evicted), "refused", value(&stats->flows_refused));
}

static json_t *machine(void)
{
	struct utsname name;

	if (uname(&name) != 0)
		return json_object();
	return json_pack("{s:s, s:s, s:s}", "kernel", name.release, "arch", name.machine, "version",
		WEIR_VERSION);
}

static json_t *document(struct replay_report *report, const struct replay_options *options,
	const struct engine_stats *stats)
{
	json_int_t dropped;
	json_t *why = reasons(stats, &dropped);
	json_t *seed = options->seeded ? json_integer((json_int_t)options->seed) : json_null();
	double seconds = (double)report->elapsed_ns / 1e9;
	double pps = seconds > 0 ? (double)report->read / seconds : 0;
	double each = report->read > 0 ? (double)report->cycles / (double)report->read : 0;

	return json_pack("{s:i, s:s, s:o, s:b, s:o, s:o, s:o, s:f, s:f, s:[], s:o, s:o}", "schema",
		1, "command", options->command, "seed", seed, "truncated", report->truncated,
		"packets", packets(report, stats, dropped), "reasons", why, "flows", flows(stats),
		"pps", pps, "cycles_per_packet", each, "stages", "latency_ns", latency(report),
		"machine", machine());
}

int replay_report_write(struct replay_report *report, const struct replay_options *options,
	const struct engine_stats *stats)
{
	json_t *json = document(report, options, stats);
	int status;

	if (json == NULL) {
		fprintf(stderr, "weir: replay: not enough memory for the report\n");
		return 1;
	}
	if (options->json != NULL) {
		status = json_dump_file(json, options->json, JSON_INDENT(2));
		if (status != 0)
			fprintf(stderr, "weir: replay: cannot write %s\n", options->json);
	} else {
		status = json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(json);
	return status != 0;
}
