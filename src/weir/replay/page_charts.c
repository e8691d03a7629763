// The two charts with axes: throughput over the capture's time, and the latency's distribution.
#include "weir/replay/chart.h"
#include "weir/replay/page_private.h"

#include <math.h>

#define NS_PER_S     1e9
#define CELLS_OCTAVE 4 // columns of the latency chart for each doubling
#define DESCRIPTION  400
#define LATENCY_MARK 3
#define EDGE	     0.0005 // share of packets at either end that is not drawn

struct series {
	const char *name;
	const char *class;
	uint64_t (*value)(const struct timeline_bucket *bucket);
};

static uint64_t offered(const struct timeline_bucket *bucket)
{
	return bucket->offered;
}

static uint64_t sent(const struct timeline_bucket *bucket)
{
	return bucket->sent;
}

static uint64_t dropped(const struct timeline_bucket *bucket)
{
	return bucket->dropped;
}

static const struct series series[] = {
	{"offered (solid)", "one", offered},
	{"left (dashed)", "two", sent},
	{"dropped (dotted)", "three", dropped},
};
#define SERIES (sizeof(series) / sizeof(series[0]))

// Buckets drawn: a rate over next to no time, at the end, says nothing.
static unsigned drawn(const struct replay_report *report)
{
	const struct timeline *timeline = &report->timeline;
	uint64_t begin_ns = (timeline->used > 0 ? timeline->used - 1 : 0) * timeline->width_ns;

	if (timeline->used > 1 && report->capture_ns < begin_ns + timeline->width_ns / 2)
		return timeline->used - 1;
	return timeline->used;
}

// The last bucket is as long as there was something to put into it.
static double seconds_of(const struct replay_report *report, unsigned i)
{
	uint64_t begin_ns = i * report->timeline.width_ns, width_ns = report->timeline.width_ns;

	if (report->capture_ns > begin_ns && report->capture_ns - begin_ns < width_ns)
		width_ns = report->capture_ns - begin_ns;
	return (double)width_ns / NS_PER_S;
}

static double rate(const struct replay_report *report, const struct series *one, unsigned i)
{
	return (double)one->value(&report->timeline.buckets[i]) / seconds_of(report, i);
}

static double highest(const struct replay_report *report)
{
	double high = 0;

	for (unsigned s = 0; s < SERIES; s++)
		for (unsigned i = 0; i < drawn(report); i++)
			high = fmax(high, rate(report, &series[s], i));
	return high;
}

static double end_s(const struct replay_report *report, unsigned i)
{
	double at = (double)(i + 1) * (double)report->timeline.width_ns / NS_PER_S;
	double end = (double)report->capture_ns / NS_PER_S;

	return end > 0 && at > end ? end : at;
}

static void steps(
	const struct chart *chart, const struct replay_report *report, const struct series *one)
{
	double width_s = (double)report->timeline.width_ns / NS_PER_S;

	for (unsigned i = 0; i < drawn(report); i++)
		fprintf(chart->out, "%s%.1f %.1fH%.1f", i == 0 ? "M" : "L",
			chart_x(chart, i * width_s), chart_y(chart, rate(report, one, i)),
			chart_x(chart, end_s(report, i)));
}

static void draw_series(const struct chart *chart, const struct replay_report *report)
{
	if (report->timeline.used == 0)
		return;
	fprintf(chart->out, "<path class=\"area\" d=\"");
	steps(chart, report, &series[0]);
	fprintf(chart->out, "V%.1fH%.1fZ\"/>\n", chart_y(chart, 0), chart_x(chart, 0));
	for (unsigned s = 0; s < SERIES; s++) {
		fprintf(chart->out, "<path class=\"line %s\" d=\"", series[s].class);
		steps(chart, report, &series[s]);
		fputs("\"/>\n", chart->out);
	}
}

static void draw_legend(const struct chart *chart)
{
	double x = chart->left + 160;

	for (unsigned s = 0; s < SERIES; s++, x += 150)
		fprintf(chart->out,
			"<path class=\"line %s\" d=\"M%.1f 8h28\"/>"
			"<text class=\"mark\" x=\"%.1f\" y=\"12\">%s</text>\n",
			series[s].class, x, x + 34, series[s].name);
}

void page_throughput(const struct replay_report *report, FILE *out)
{
	double end = report->timeline.used > 0 ? end_s(report, drawn(report) - 1) : 1;
	struct chart chart = {.out = out, .x_high = end, .y_high = 1.05 * highest(report)};
	char description[DESCRIPTION], high[CHART_NUMBER_BYTES];

	snprintf(description, sizeof(description),
		"Packets offered, left and dropped in each second of the %s, in %u steps of "
		"%g s over %.6g s; the highest is %s packets per second.",
		page_clock(report), report->timeline.used,
		(double)report->timeline.width_ns / NS_PER_S, end,
		chart_number(highest(report), high));
	chart_begin(&chart, "Packets per second over time", description);
	chart_axis_y(&chart, "packets/s");
	chart_axis_x(&chart, report->synthetic ? "load's time, s" : "capture time, s");
	draw_series(&chart, report);
	draw_legend(&chart);
	chart_end(&chart);
}

// --- latency ---

// Column i begins here, in ns.
static double column_ns(double low, unsigned i)
{
	return low * exp2((double)i / CELLS_OCTAVE);
}

static double share_below(const struct replay_report *report, double ns)
{
	const struct histogram *latency = &report->latency;

	if (latency->count == 0)
		return 0;
	return histogram_below(latency, ns * report->machine.cycles_per_ns) /
	       (double)latency->count;
}

static void draw_columns(
	const struct chart *chart, const struct replay_report *report, unsigned columns)
{
	for (unsigned i = 0; i < columns; i++) {
		double from = column_ns(chart->x_low, i), to = column_ns(chart->x_low, i + 1);
		double part = share_below(report, to) - share_below(report, from);
		double y = chart_y(chart, 100 * part);

		if (part > 0)
			fprintf(chart->out,
				"<rect class=\"one\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
				"height=\"%.1f\"/>\n",
				chart_x(chart, from) + 0.5, y,
				chart_x(chart, to) - chart_x(chart, from) - 1,
				chart_y(chart, 0) - y);
	}
}

static void draw_sum(
	const struct chart *chart, const struct replay_report *report, unsigned columns)
{
	double span = chart->height - chart->top - chart->bottom;

	fputs("<path class=\"line two\" d=\"", chart->out);
	for (unsigned i = 0; i <= columns; i++) {
		double ns = column_ns(chart->x_low, i);

		fprintf(chart->out, "%s%.1f %.1f", i == 0 ? "M" : "L", chart_x(chart, ns),
			chart->height - chart->bottom - span * share_below(report, ns));
	}
	fputs("\"/>\n", chart->out);
}

static void draw_marks(const struct chart *chart, const struct replay_report *report)
{
	static const struct {
		double part;
		const char *name;
	} marks[LATENCY_MARK] = {{0.5, "p50"}, {0.99, "p99"}, {0.999, "p99.9"}};

	for (unsigned i = 0; i < LATENCY_MARK; i++) {
		double ns = replay_report_latency_ns(report, marks[i].part);
		double x, y = chart->top + 12 + 15 * i;
		bool last = i == LATENCY_MARK - 1; // near the edge

		if (ns < chart->x_low || ns > chart->x_high)
			continue;
		x = chart_x(chart, ns);
		fprintf(chart->out,
			"<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text class=\"mark\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
			x, x, chart->top, chart->height - chart->bottom, last ? x - 4 : x + 4, y,
			last ? "end" : "start", marks[i].name);
	}
}

static double tallest(const struct replay_report *report, double low, unsigned columns)
{
	double high = 0;

	for (unsigned i = 0; i < columns; i++)
		high = fmax(high, share_below(report, column_ns(low, i + 1)) -
					  share_below(report, column_ns(low, i)));
	return high;
}

void page_latency(const struct replay_report *report, FILE *out)
{
	double low = exp2(floor(log2(fmax(1, replay_report_latency_ns(report, EDGE) / 1.05))));
	double high = fmax(2 * low, replay_report_latency_ns(report, 1 - EDGE) * 1.05);
	unsigned columns = (unsigned)ceil(log2(high / low) * CELLS_OCTAVE);
	struct chart chart = {.out = out,
		.x_low = low,
		.x_high = column_ns(low, columns),
		.x_log = 1,
		.y_high = 105 * tallest(report, low, columns)};
	char description[DESCRIPTION], half[CHART_NUMBER_BYTES], most[CHART_NUMBER_BYTES];

	snprintf(description, sizeof(description),
		"Half of all packets had their verdict within %s, 99 percent within %s.",
		chart_time(replay_report_latency_ns(report, 0.5), half),
		chart_time(replay_report_latency_ns(report, 0.99), most));
	chart_begin(&chart, "Distribution of the latency", description);
	chart_axis_y(&chart, "% of packets in each column");
	chart_axis_x(&chart, "latency, logarithmic");
	chart_axis_percent(&chart);
	draw_columns(&chart, report, columns);
	draw_sum(&chart, report, columns);
	draw_marks(&chart, report);
	chart_end(&chart);
}
