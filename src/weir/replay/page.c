#include "weir/replay/page.h"

#include "base/reason.h"
#include "weir/replay/chart.h"
#include "weir/replay/notes.h"
#include "weir/replay/page_private.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1e9
#define MIB	 (1024.0 * 1024.0)

static double percent(uint64_t part, uint64_t of)
{
	return of > 0 ? 100.0 * (double)part / (double)of : 0;
}

static void head_row(FILE *out, const char *const names[])
{
	fputs("<thead><tr>", out);
	for (unsigned i = 0; names[i] != NULL; i++) {
		// A leading `#' asks for a column of numbers.
		bool number = names[i][0] == '#';

		fprintf(out, "<th scope=\"col\"%s>%s</th>", number ? " class=\"n\"" : "",
			names[i] + number);
	}
	fputs("</tr></thead>\n<tbody>\n", out);
}

static void table_end(FILE *out)
{
	fputs("</tbody></table>\n", out);
}

static void figure(FILE *out, const char *name, const char *value, const char *unit)
{
	fprintf(out, "<li><span>%s</span> <strong>%s</strong> <small>%s</small></li>\n", name,
		value, unit);
}

static void figures(const struct replay_report *report, FILE *out)
{
	char text[CHART_NUMBER_BYTES], unit[80];

	fputs("<ul class=\"figures\">\n", out);
	figure(out, "The engine alone", chart_number(replay_report_engine_pps(report), text),
		"packets/s, one core");
	figure(out, "As played", chart_number(replay_report_pps(report), text),
		"packets/s, reading included");
	snprintf(text, sizeof(text), "%.0f", replay_report_cycles(report));
	snprintf(unit, sizeof(unit), "cycles/packet on average, median %.0f",
		replay_report_median(report));
	figure(out, "Cost", text, unit);
	figure(out, "Latency p50", chart_time(replay_report_latency_ns(report, 0.5), text),
		"half of the packets");
	figure(out, "Latency p99", chart_time(replay_report_latency_ns(report, 0.99), text),
		"99 of 100 packets");
	snprintf(text, sizeof(text), "%.2f", percent(replay_report_dropped(report), report->read));
	snprintf(unit, sizeof(unit), "%% of packets offered: %" PRIu64 " of %" PRIu64,
		replay_report_dropped(report), report->read);
	figure(out, "Dropped", text, unit);
	fputs("</ul>\n", out);
}

static void load(const struct replay_report *report, FILE *out)
{
	const struct synthetic *load = report->synthetic;
	char server[ADDR_TEXT_BYTES];

	fprintf(out, "Synthetic load <code>%s</code> of ", synthetic_kind_name(load->config.kind));
	page_count(out, load->config.count);
	fputs(" packets to service <code>", out);
	page_text(out, load->config.service->name);
	fprintf(out, "</code> (%s, port %u), ", addr_format(&load->server.addr, server),
		load->server.port);
	page_count(out, load->opened);
	fprintf(out, " connections opened before it in %.3f s",
		(double)report->opening_ns / NS_PER_S);
}

static void sources(const struct replay_report *report, FILE *out)
{
	fputs("<p class=\"quiet\">", out);
	if (report->synthetic != NULL)
		load(report, out);
	for (unsigned i = 0; i < report->source_count; i++) {
		const struct replay_source_facts *source = &report->sources[i];

		fputs(i > 0 ? " and <code>" : "<code>", out);
		page_text(out, source->path);
		fprintf(out, "</code> (link type %s%s)", source->link_type,
			source->compressed ? ", gzip" : "");
	}
	fprintf(out, ", %.6g s of %s time, %" PRIu32 " %s, %.3f s of the clock</p>\n",
		(double)report->capture_ns / NS_PER_S, page_clock(report), report->loops_done,
		report->loops_done == 1 ? "loop" : "loops", (double)report->elapsed_ns / NS_PER_S);
}

static void notes(const struct replay_report *report, FILE *out)
{
	struct replay_note told[REPLAY_NOTES_MAX];
	unsigned count = replay_notes(report, told);

	for (unsigned i = 0; i < count; i++) {
		fprintf(out, "<p class=\"note\"><strong>%s.</strong> ", told[i].title);
		page_text(out, told[i].text);
		fputs("</p>\n", out);
	}
}

static void cost_row(FILE *out, const char *prefix, const char *name,
	const struct replay_cost *cost, uint64_t all, double dearest)
{
	fprintf(out, "<tr><th scope=\"row\">%s%s</th><td class=\"n\">", prefix, name);
	page_count(out, cost->packets);
	fprintf(out, "</td><td class=\"n\">%.2f</td><td class=\"n\">%.0f</td>",
		percent(cost->packets, all), replay_cost_each(cost));
	page_bar(out, dearest > 0 ? replay_cost_each(cost) / dearest : 0,
		prefix[0] ? "three" : "one");
	fputs("</tr>\n", out);
}

static double dearest(const struct replay_report *report)
{
	double most = 0;

	for (unsigned i = 0; i < REPLAY_DROPPED; i++)
		if (replay_cost_each(&report->outcomes[i]) > most)
			most = replay_cost_each(&report->outcomes[i]);
	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (replay_cost_each(&report->reasons[i]) > most)
			most = replay_cost_each(&report->reasons[i]);
	return most;
}

static void outcomes(const struct replay_report *report, FILE *out)
{
	static const char *const names[] = {
		"on arrival", "#packets", "#%", "#cycles/packet", "", NULL};
	double most = dearest(report);

	fprintf(out,
		"<h2>Cost by outcome</h2>\n<p class=\"quiet\">Cycles in the engine. Those of a "
		"turn "
		"(%.1f packets here on average) are divided equally over its packets; "
		"<code>--burst 1</code> tells outcomes of one moment apart.</p>\n<table>\n",
		report->turns > 0 ? (double)report->read / (double)report->turns : 0);
	head_row(out, names);
	for (unsigned i = 0; i < REPLAY_DROPPED; i++)
		if (report->outcomes[i].packets > 0)
			cost_row(out, "", replay_outcome_name(i), &report->outcomes[i],
				report->read, most);
	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (report->reasons[i].packets > 0)
			cost_row(out, "dropped, ", reason_name(i), &report->reasons[i],
				report->read, most);
	table_end(out);
}

static uint64_t most_dropped(const struct replay_report *report)
{
	uint64_t most = 1;

	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (replay_report_stat(report, STAT_DROPPED(i)) > most)
			most = replay_report_stat(report, STAT_DROPPED(i));
	return most;
}

static void reasons(const struct replay_report *report, FILE *out)
{
	static const char *const names[] = {"reason", "what it means", "#packets", "#%", "", NULL};
	uint64_t most = most_dropped(report);

	fputs("<h2>Drop reasons</h2>\n", out);
	if (replay_report_dropped(report) == 0) {
		fputs("<p>Nothing was dropped.</p>\n", out);
		return;
	}
	fputs("<p class=\"quiet\">Whenever it was: on arrival, or after waiting, in percent of "
	      "the ",
		out);
	page_count(out, report->read);
	fputs(" packets offered (read + repeated - withheld). The longest bar is the most frequent "
	      "one.</p>\n<table>\n",
		out);
	head_row(out, names);
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		uint64_t dropped = replay_report_stat(report, STAT_DROPPED(i));

		if (dropped == 0)
			continue;
		fprintf(out, "<tr><th scope=\"row\">%s</th><td class=\"quiet\">", reason_name(i));
		page_text(out, reason_text(i));
		fputs("</td><td class=\"n\">", out);
		page_count(out, dropped);
		fprintf(out, "</td><td class=\"n\">%.2f</td>", percent(dropped, report->read));
		page_bar(out, (double)dropped / (double)most, "three");
		fputs("</tr>\n", out);
	}
	table_end(out);
}

static void causes(const struct replay_report *report, FILE *out)
{
	static const char *const names[] = {"withheld", "why", "#packets", "#%", "", NULL};
	uint64_t withheld = replay_report_withheld(report);

	if (withheld == 0)
		return;
	fputs("<h2>Withheld</h2>\n<p class=\"quiet\">Packets of captured ends that were never "
	      "offered, in percent of the ",
		out);
	page_count(out, replay_report_captured(report));
	fputs(" packets read.</p>\n<table>\n", out);
	head_row(out, names);
	for (unsigned i = 0; i < PLAYER_CAUSE_COUNT; i++) {
		uint64_t count = report->played->withheld[i];

		if (count == 0)
			continue;
		fprintf(out,
			"<tr><th scope=\"row\">%s</th><td class=\"quiet\">%s</td><td class=\"n\">",
			player_cause_name(i), player_cause_text(i));
		page_count(out, count);
		fprintf(out, "</td><td class=\"n\">%.2f</td>",
			percent(count, replay_report_captured(report)));
		page_bar(out, percent(count, withheld) / 100, "three");
		fputs("</tr>\n", out);
	}
	table_end(out);
}

static void size_row(const struct replay_report *report, FILE *out, unsigned class)
{
	unsigned low = class > 0 ? replay_size_most(class - 1) + 1 : 0;

	if (replay_size_most(class) > 0)
		fprintf(out, "<tr><th scope=\"row\">%u to %u</th><td class=\"n\">", low,
			replay_size_most(class));
	else
		fprintf(out, "<tr><th scope=\"row\">%u and more</th><td class=\"n\">", low);
	page_count(out, report->sizes[class]);
	fprintf(out, "</td><td class=\"n\">%.2f</td>", percent(report->sizes[class], report->read));
	page_bar(out, percent(report->sizes[class], report->read) / 100, "one");
	fputs("</tr>\n", out);
}

static void sizes(const struct replay_report *report, FILE *out)
{
	static const char *const names[] = {"bytes", "#packets", "#%", "", NULL};

	fprintf(out,
		"<h2>Packet sizes</h2>\n<p class=\"quiet\">Bytes of the frame as captured, without "
		"its check sequence; %.0f on average. The bar is the share of all packets.</p>\n"
		"<table>\n",
		report->read > 0 ? (double)report->bytes / (double)report->read : 0);
	head_row(out, names);
	for (unsigned i = 0; i < REPLAY_SIZES; i++)
		size_row(report, out, i);
	table_end(out);
}

static void stages(const struct replay_report *report, FILE *out)
{
	static const char *const names[] = {"stage", "", "#ms", "#%", "", NULL};
	uint64_t all = 0;

	for (unsigned i = 0; i < replay_report_stages(report); i++)
		all += report->stages[i].cycles;
	fputs("<h2>Where the program's time went</h2>\n<p class=\"quiet\">Only <em>engine</em>, "
	      "<em>idle</em> and <em>cluster</em> are work that a worker has, too.</p>\n<table>\n",
		out);
	head_row(out, names);
	for (unsigned i = 0; i < replay_report_stages(report); i++) {
		const struct replay_cost *stage = &report->stages[i];

		fprintf(out,
			"<tr><th scope=\"row\">%s</th><td class=\"quiet\">%s</td>"
			"<td class=\"n\">%.2f</td><td class=\"n\">%.1f</td>",
			replay_stage_name(i), replay_stage_text(i),
			(double)stage->cycles / report->machine.cycles_per_ns / 1e6,
			percent(stage->cycles, all));
		page_bar(out, percent(stage->cycles, all) / 100, "one");
		fputs("</tr>\n", out);
	}
	table_end(out);
}

static void total(FILE *out, const char *name, uint64_t number, const char *meaning)
{
	fprintf(out, "<tr><th scope=\"row\">%s</th><td class=\"n\">", name);
	page_count(out, number);
	fprintf(out, "</td><td class=\"quiet\">%s</td></tr>\n", meaning);
}

static void totals(const struct replay_report *report, FILE *out)
{
	int64_t unexplained = replay_report_unexplained(report);

	fprintf(out,
		"<h2>Totals</h2>\n<p class=\"quiet\">read + repeated + generated = transmitted + "
		"consumed + queued + dropped + withheld%s</p>\n<table><tbody>\n",
		report->part_count > 1 ? "; what nodes hand to each other cancels out" : "");
	total(out, "read", replay_report_captured(report), "packets of the capture");
	total(out, "from outside", report->sides[0], "of these");
	total(out, "from inside", report->sides[1], "of these");
	total(out, "generated", replay_report_stat(report, STAT(generated)),
		"frames the engine made");
	total(out, "transmitted", replay_report_sent(report), "what left, through either port");
	total(out, "forwarded", report->outcomes[REPLAY_FORWARDED].packets, "of these");
	total(out, "consumed", replay_report_stat(report, STAT(consumed)),
		"what the box took: it answers itself, or keeps them until a server has");
	total(out, "queued", replay_report_stat(report, STAT(queued)), "waiting at the end");
	total(out, "dropped", replay_report_dropped(report), "for the reasons above");
	total(out, "withheld", replay_report_withheld(report),
		"of a captured end, for the causes below");
	total(out, "repeated", replay_report_repeated(report), "by a captured end, besides");
	total(out, "unexplained", (uint64_t)(unexplained < 0 ? -unexplained : unexplained),
		"0, or something is wrong");
	total(out, "flows created", replay_report_stat(report, STAT(flows_created)), "");
	total(out, "flows closed", replay_report_stat(report, STAT(flows_closed)),
		"ended in order");
	total(out, "flows expired", replay_report_stat(report, STAT(flows_expired)), "fell silent");
	total(out, "flows evicted", replay_report_stat(report, STAT(flows_evicted)),
		"made room for others");
	total(out, "flows refused", replay_report_stat(report, STAT(flows_refused)),
		"a limit was reached");
	table_end(out);
}

static void fact(FILE *out, const char *name, const char *value)
{
	fprintf(out, "<tr><th scope=\"row\">%s</th><td>", name);
	page_text(out, value);
	fputs("</td></tr>\n", out);
}

static void machine(const struct replay_report *report, FILE *out)
{
	const struct machine *machine = &report->machine;
	char text[512];

	fputs("<h2>Machine and command</h2>\n<table><tbody>\n", out);
	snprintf(text, sizeof(text), "%s, %u cores; the replay uses one", machine->cpu,
		machine->cores);
	fact(out, "processor", text);
	snprintf(text, sizeof(text), "%.3f GHz, governor %s", machine->cycles_per_ns,
		machine->governor[0] ? machine->governor : "not shown by the system");
	fact(out, "cycle counter", text);
	snprintf(text, sizeof(text),
		"load %.2f at the start, %.2f %% of the time stolen, preempted %" PRIu64 " times",
		machine->load, machine->steal_percent, machine->preemptions);
	fact(out, "disturbance", text);
	snprintf(text, sizeof(text), "%.2f s, of all its work", machine->cpu_s);
	fact(out, "processor time", text);
	snprintf(text, sizeof(text), "%.1f MiB at most", (double)machine->peak_bytes / MIB);
	fact(out, "memory", text);
	snprintf(text, sizeof(text), "Linux %s, %s", machine->kernel, machine->arch);
	fact(out, "kernel", text);
	fact(out, "version", WEIR_VERSION);
	table_end(out);
	fputs("<pre>", out);
	page_text(out, report->options->command);
	fputs("</pre>\n", out);
}

void page_write(const struct replay_report *report, FILE *out)
{
	char text[CHART_NUMBER_BYTES];

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<title>Weir: replay</title>\n",
		out);
	page_style(out);
	fputs("</head>\n<body>\n<main>\n<h1>Weir: replay</h1>\n", out);
	sources(report, out);
	notes(report, out);
	figures(report, out);
	fprintf(out, "<h2>Throughput over the %s's time</h2>\n", page_clock(report));
	page_throughput(report, out);
	page_nodes(report, out);
	outcomes(report, out);
	fputs("<h2>Latency</h2>\n<p class=\"quiet\">From the offer of a packet to the end of its "
	      "turn: columns are the packets, the dashed line adds them up.",
		out);
	fprintf(out, " The slowest turn took %s.</p>\n",
		chart_time(replay_report_latency_ns(report, 1), text));
	page_latency(report, out);
	reasons(report, out);
	causes(report, out);
	sizes(report, out);
	stages(report, out);
	totals(report, out);
	machine(report, out);
	fputs("</main>\n</body>\n</html>\n", out);
}
