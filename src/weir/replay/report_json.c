// The report as JSON.
#include "weir/replay/notes.h"

#include "base/check.h"
#include "base/reason.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1e9

static json_t *count(uint64_t number)
{
	return json_integer((json_int_t)number);
}

// What somebody typed need not be UTF-8, which JSON is.
static json_t *typed(const char *text)
{
	json_t *json = json_string(text);
	char *copy;

	if (json != NULL || (copy = strdup(text)) == NULL)
		return json;
	for (char *at = copy; *at != '\0'; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

static json_t *packets(const struct replay_report *report)
{
	json_t *json = json_object();

	json_object_set_new(json, "read", count(replay_report_captured(report)));
	json_object_set_new(json, "forwarded", count(report->outcomes[REPLAY_FORWARDED].packets));
	json_object_set_new(json, "generated", count(replay_report_stat(report, STAT(generated))));
	json_object_set_new(json, "consumed", count(replay_report_stat(report, STAT(consumed))));
	json_object_set_new(json, "dropped", count(replay_report_dropped(report)));
	json_object_set_new(json, "queued", count(replay_report_stat(report, STAT(queued))));
	json_object_set_new(json, "transmitted", count(replay_report_sent(report)));
	json_object_set_new(json, "withheld", count(replay_report_withheld(report)));
	json_object_set_new(json, "repeated", count(replay_report_repeated(report)));
	json_object_set_new(json, "cut", count(report->cut_packets));
	json_object_set_new(json, "unexplained", json_integer(replay_report_unexplained(report)));
	return json;
}

// Why packets were withheld.
static json_t *causes(const struct replay_report *report)
{
	json_t *json = json_object();

	for (unsigned i = 0; report->played != NULL && i < PLAYER_CAUSE_COUNT; i++)
		if (report->played->withheld[i] > 0)
			json_object_set_new(
				json, player_cause_name(i), count(report->played->withheld[i]));
	return json;
}

static json_t *reasons(const struct replay_part *parts, unsigned part_count)
{
	json_t *json = json_object();

	for (unsigned i = 1; i < REASON_COUNT; i++) {
		uint64_t dropped = 0;

		for (unsigned p = 0; p < part_count; p++)
			dropped += replay_part_stat(&parts[p], STAT_DROPPED(i));
		if (dropped > 0)
			json_object_set_new(json, reason_name(i), count(dropped));
	}
	return json;
}

static json_t *flows(const struct replay_part *parts, unsigned part_count)
{
	static const struct {
		const char *name;
		size_t at;
	} keys[] = {{"created", STAT(flows_created)}, {"closed", STAT(flows_closed)},
		{"expired", STAT(flows_expired)}, {"evicted", STAT(flows_evicted)},
		{"refused", STAT(flows_refused)}};
	json_t *json = json_object();

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		uint64_t sum = 0;

		for (unsigned p = 0; p < part_count; p++)
			sum += replay_part_stat(&parts[p], keys[i].at);
		json_object_set_new(json, keys[i].name, count(sum));
	}
	return json;
}

// --- by node ---

static json_t *part_packets(const struct replay_part *part)
{
	static const struct {
		const char *name;
		size_t at;
	} keys[] = {{"generated", STAT(generated)}, {"from_peers", STAT(from_peers)},
		{"consumed", STAT(consumed)}, {"queued", STAT(queued)},
		{"to_peers", STAT(to_peers)}};
	json_t *json = json_object();

	json_object_set_new(json, "received", count(part->read));
	json_object_set_new(json, "forwarded", count(part->outcomes[REPLAY_FORWARDED].packets));
	json_object_set_new(json, "transmitted", count(replay_part_sent(part)));
	json_object_set_new(json, "dropped", count(replay_part_dropped(part)));
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		json_object_set_new(json, keys[i].name, count(replay_part_stat(part, keys[i].at)));
	json_object_set_new(json, "unexplained", json_integer(replay_part_unexplained(part)));
	return json;
}

static json_t *part_cluster(const struct replay_part *part)
{
	json_t *json = json_object();

	json_object_set_new(
		json, "tx_bytes", count(replay_part_peer_stat(part, PEER_STAT(tx_bytes))));
	json_object_set_new(
		json, "rx_bytes", count(replay_part_peer_stat(part, PEER_STAT(rx_bytes))));
	json_object_set_new(
		json, "updates_sent", count(replay_part_peer_stat(part, PEER_STAT(updates_sent))));
	json_object_set_new(json, "updates_applied",
		count(replay_part_peer_stat(part, PEER_STAT(updates_applied))));
	json_object_set_new(
		json, "synack_to_owner", count(replay_part_stat(part, STAT(synack_to_owner))));
	json_object_set_new(json, "synack_from_finder",
		count(replay_part_stat(part, STAT(synack_from_finder))));
	json_object_set_new(json, "shared", count(replay_part_stat(part, STAT(shared))));
	json_object_set_new(
		json, "wait_timeouts", count(replay_part_stat(part, STAT(wait_timeouts))));
	json_object_set_new(json, "cycles", count(part->talk.cycles));
	return json;
}

static json_t *part_json(const struct replay_part *part)
{
	json_t *takes = json_array(), *json;

	for (unsigned side = 0; side < 2; side++)
		if (part->takes[side])
			json_array_append_new(takes, json_string(side ? "inside" : "outside"));
	json = json_pack("{s:o, s:o, s:o}", "node", typed(part->node), "file", typed(part->file),
		"takes", takes);
	if (json == NULL)
		return NULL;
	json_object_set_new(json, "packets", part_packets(part));
	json_object_set_new(json, "reasons", reasons(part, 1));
	json_object_set_new(json, "flows", flows(part, 1));
	json_object_set_new(json, "cycles_per_packet", json_real(replay_cost_each(&part->engine)));
	if (part->peer != NULL)
		json_object_set_new(json, "cluster", part_cluster(part));
	return json;
}

static json_t *nodes(const struct replay_report *report)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < report->part_count; i++)
		json_array_append_new(json, part_json(&report->parts[i]));
	return json;
}

static json_t *told(const struct replay_report *report)
{
	struct replay_note notes[REPLAY_NOTES_MAX];
	unsigned count = replay_notes(report, notes);
	json_t *json = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(json,
			json_pack("{s:s, s:s}", "note", notes[i].name, "text", notes[i].text));
	return json;
}

// --- costs ---

static json_t *cost(const char *name, const struct replay_cost *cost)
{
	return json_pack("{s:s, s:I, s:I, s:f}", "name", name, "packets", (json_int_t)cost->packets,
		"cycles", (json_int_t)cost->cycles, "cycles_per_packet", replay_cost_each(cost));
}

static json_t *stages(const struct replay_report *report)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < replay_report_stages(report); i++)
		json_array_append_new(json, cost(replay_stage_name(i), &report->stages[i]));
	return json;
}

static json_t *outcomes(const struct replay_report *report)
{
	json_t *json = json_array();
	char name[64];

	for (unsigned i = 0; i < REPLAY_DROPPED; i++)
		json_array_append_new(json, cost(replay_outcome_name(i), &report->outcomes[i]));
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		if (report->reasons[i].packets == 0)
			continue;
		snprintf(name, sizeof(name), "dropped %s", reason_name(i));
		json_array_append_new(json, cost(name, &report->reasons[i]));
	}
	return json;
}

static json_t *latency(const struct replay_report *report)
{
	return json_pack("{s:f, s:f, s:f}", "p50", replay_report_latency_ns(report, 0.5), "p99",
		replay_report_latency_ns(report, 0.99), "p999",
		replay_report_latency_ns(report, 0.999));
}

static json_t *sources(const struct replay_report *report)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < report->source_count; i++) {
		const struct replay_source_facts *source = &report->sources[i];

		json_array_append_new(
			json, json_pack("{s:o, s:s, s:b, s:I}", "file", typed(source->path),
				      "link_type", source->link_type, "gzip", source->compressed,
				      "bytes", (json_int_t)source->size_bytes));
	}
	return json;
}

// The load that was made, null where packets are of captures.
static json_t *synthetic(const struct replay_report *report)
{
	const struct synthetic *load = report->synthetic;
	char server[ADDR_TEXT_BYTES], clients[ADDR_TEXT_BYTES];
	const struct prefix *from;

	if (load == NULL)
		return json_null();
	from = &load->config.clients;
	addr_format(&load->server.addr, server);
	addr_format(&from->addr, clients);
	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:i, s:s, s:i, s:{s:I, s:I, s:f}}", "kind",
		synthetic_kind_name(load->config.kind), "flows", (json_int_t)load->config.flows,
		"count", (json_int_t)load->config.count, "rate_pps", (json_int_t)load->config.rate,
		"service", load->config.service->name, "server", server, "port",
		(int)load->server.port, "clients", clients, "clients_bits",
		(int)from->bits - (from->family == 4 ? 96 : 0), "opening", "flows",
		(json_int_t)load->opened, "packets", (json_int_t)report->opening_packets,
		"elapsed_s", (double)report->opening_ns / NS_PER_S);
}

static json_t *sizes(const struct replay_report *report)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < REPLAY_SIZES; i++)
		json_array_append_new(json,
			json_pack("{s:o, s:I}", "most_bytes",
				replay_size_most(i) ? count(replay_size_most(i)) : json_null(),
				"packets", (json_int_t)report->sizes[i]));
	return json;
}

static json_t *timeline(const struct replay_report *report)
{
	const struct timeline *timeline = &report->timeline;
	json_t *buckets = json_array();

	for (unsigned i = 0; i < timeline->used; i++) {
		const struct timeline_bucket *bucket = &timeline->buckets[i];

		json_array_append_new(buckets,
			json_pack("{s:I, s:I, s:I, s:I, s:I}", "offered",
				(json_int_t)bucket->offered, "bytes", (json_int_t)bucket->bytes,
				"sent", (json_int_t)bucket->sent, "dropped",
				(json_int_t)bucket->dropped, "cycles", (json_int_t)bucket->cycles));
	}
	return json_pack("{s:f, s:o}", "bucket_s", (double)timeline->width_ns / NS_PER_S, "buckets",
		buckets);
}

static json_t *machine(const struct machine *machine)
{
	json_t *governor =
		machine->governor[0] != '\0' ? json_string(machine->governor) : json_null();

	return json_pack("{s:s, s:i, s:s, s:s, s:o, s:f, s:f, s:f, s:f, s:I, s:I, s:s}", "cpu",
		machine->cpu, "cores", (int)machine->cores, "kernel", machine->kernel, "arch",
		machine->arch, "governor", governor, "tsc_hz", machine->cycles_per_ns * NS_PER_S,
		"load", machine->load, "steal_percent", machine->steal_percent, "cpu_s",
		machine->cpu_s, "preemptions", (json_int_t)machine->preemptions,
		"peak_memory_bytes", (json_int_t)machine->peak_bytes, "version", WEIR_VERSION);
}

static void add_figures(json_t *json, const struct replay_report *report)
{
	json_object_set_new(json, "elapsed_s", json_real((double)report->elapsed_ns / NS_PER_S));
	json_object_set_new(json, "capture_s", json_real((double)report->capture_ns / NS_PER_S));
	json_object_set_new(json, "loops", json_integer(report->loops_done));
	json_object_set_new(json, "pps", json_real(replay_report_pps(report)));
	json_object_set_new(json, "engine_pps", json_real(replay_report_engine_pps(report)));
	json_object_set_new(json, "cycles_per_packet", json_real(replay_report_cycles(report)));
	json_object_set_new(json, "cycles_per_packet_p50", json_real(replay_report_median(report)));
	json_object_set_new(json, "packets_per_turn",
		json_real(report->turns > 0 ? (double)report->read / (double)report->turns : 0));
}

static json_t *document(const struct replay_report *report)
{
	const struct replay_options *options = report->options;
	json_t *seed = options->seeded ? json_integer((json_int_t)options->seed) : json_null();
	json_t *json = json_pack("{s:i, s:o, s:o, s:b, s:b, s:o}", "schema", 1, "command",
		typed(options->command), "seed", seed, "truncated", report->truncated,
		"interrupted", report->interrupted, "sources", sources(report));

	if (json == NULL)
		return NULL;
	json_object_set_new(json, "notes", told(report));
	json_object_set_new(json, "synthetic", synthetic(report));
	json_object_set_new(json, "packets", packets(report));
	json_object_set_new(json, "sides",
		json_pack("{s:I, s:I}", "outside", (json_int_t)report->sides[0], "inside",
			(json_int_t)report->sides[1]));
	json_object_set_new(json, "reasons", reasons(report->parts, report->part_count));
	json_object_set_new(json, "withheld", causes(report));
	json_object_set_new(json, "flows", flows(report->parts, report->part_count));
	json_object_set_new(json, "nodes", nodes(report));
	add_figures(json, report);
	json_object_set_new(json, "stages", stages(report));
	json_object_set_new(json, "outcomes", outcomes(report));
	json_object_set_new(json, "latency_ns", latency(report));
	json_object_set_new(json, "sizes", sizes(report));
	json_object_set_new(json, "timeline", timeline(report));
	json_object_set_new(json, "machine", machine(&report->machine));
	return json;
}

int replay_report_write_json(const struct replay_report *report, FILE *out)
{
	json_t *json = document(report);
	int failed = json == NULL || json_dumpf(json, out, JSON_INDENT(2)) != 0;

	if (!failed)
		failed = fputc('\n', out) == EOF || fflush(out) != 0;
	if (json == NULL)
		fprintf(stderr, "weir: replay: not enough memory for the report\n");
	else if (failed)
		fprintf(stderr, "weir: replay: the report cannot be written: %s\n",
			strerror(errno));
	json_decref(json);
	return failed;
}
