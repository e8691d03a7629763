#include "weir/replay/chart.h"

#include <math.h>

#define WIDTH	 860
#define HEIGHT	 260
#define TICKS_X	 8
#define TICKS_Y	 5
#define NO_RANGE 1e-12

struct unit {
	double size;
	const char *name;
};

// The largest of `count` units that the value is not smaller than, else the last one. Whole numbers
// are written whole, the rest with three digits.
static char *in_units(
	double value, const struct unit *units, unsigned count, char out[CHART_NUMBER_BYTES])
{
	unsigned i = 0, digits;

	while (i + 1 < count && fabs(value) < units[i].size * 0.9995)
		i++;
	value /= units[i].size;
	digits = fabs(value) >= 9.995 ? 1 : 2;
	if (fabs(value) >= 99.95 || fabs(value - round(value)) < NO_RANGE)
		digits = 0;
	snprintf(out, CHART_NUMBER_BYTES, "%.*f%s", (int)digits, value, units[i].name);
	return out;
}

char *chart_number(double value, char out[CHART_NUMBER_BYTES])
{
	static const struct unit units[] = {{1e9, " G"}, {1e6, " M"}, {1e3, " k"}, {1, ""}};

	return in_units(value, units, 4, out);
}

char *chart_time(double ns, char out[CHART_NUMBER_BYTES])
{
	static const struct unit units[] = {{1e9, " s"}, {1e6, " ms"}, {1e3, " µs"}, {1, " ns"}};

	return in_units(ns, units, 4, out);
}

double chart_step(double range, unsigned count)
{
	double rough = range / count, power = pow(10, floor(log10(rough)));

	if (rough <= power)
		return power;
	if (rough <= 2 * power)
		return 2 * power;
	return rough <= 5 * power ? 5 * power : 10 * power;
}

double chart_x(const struct chart *chart, double value)
{
	double span = chart->width - chart->left - chart->right;
	double part = chart->x_log ? (log(value) - log(chart->x_low)) /
					     (log(chart->x_high) - log(chart->x_low))
				   : (value - chart->x_low) / (chart->x_high - chart->x_low);

	return chart->left + span * part;
}

double chart_y(const struct chart *chart, double value)
{
	double span = chart->height - chart->top - chart->bottom;

	return chart->height - chart->bottom -
	       span * (value - chart->y_low) / (chart->y_high - chart->y_low);
}

void chart_begin(struct chart *chart, const char *title, const char *description)
{
	chart->width = WIDTH;
	chart->height = HEIGHT;
	chart->left = 64;
	chart->right = 56;
	chart->top = 26;
	chart->bottom = 40;
	if (chart->x_high - chart->x_low < NO_RANGE)
		chart->x_high = chart->x_low + 1;
	if (chart->y_high - chart->y_low < NO_RANGE)
		chart->y_high = chart->y_low + 1;
	fprintf(chart->out,
		"<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" "
		"aria-label=\"%s\">\n<title>%s</title>\n<desc>%s</desc>\n",
		WIDTH, HEIGHT, title, title, description);
}

void chart_end(const struct chart *chart)
{
	fputs("</svg>\n", chart->out);
}

static void tick_x(const struct chart *chart, double value)
{
	double x = chart_x(chart, value), y = chart->height - chart->bottom;
	char text[CHART_NUMBER_BYTES];

	fprintf(chart->out,
		"<line class=\"tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
		"<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
		x, x, y, y + 5, x, y + 18,
		chart->x_log ? chart_time(value, text) : chart_number(value, text));
}

// 1, 2 and 5 of each decade that lie within.
static void ticks_log(const struct chart *chart)
{
	static const double parts[] = {1, 2, 5};

	for (double power = pow(10, floor(log10(chart->x_low))); power <= chart->x_high;
		power *= 10)
		for (unsigned i = 0; i < 3; i++)
			if (parts[i] * power >= chart->x_low && parts[i] * power <= chart->x_high)
				tick_x(chart, parts[i] * power);
}

void chart_axis_x(const struct chart *chart, const char *unit)
{
	double y = chart->height - chart->bottom;
	double step = chart_step(chart->x_high - chart->x_low, TICKS_X);

	fprintf(chart->out,
		"<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
		"<text class=\"unit\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
		chart->left, chart->width - chart->right, y, y, chart->width - chart->right, y + 35,
		unit);
	if (chart->x_log) {
		ticks_log(chart);
		return;
	}
	for (unsigned i = 0; chart->x_low + i * step <= chart->x_high * (1 + NO_RANGE); i++)
		tick_x(chart, chart->x_low + i * step);
}

void chart_axis_y(const struct chart *chart, const char *unit)
{
	double step = chart_step(chart->y_high - chart->y_low, TICKS_Y);
	char text[CHART_NUMBER_BYTES];

	for (unsigned i = 0; chart->y_low + i * step <= chart->y_high * (1 + NO_RANGE); i++) {
		double value = chart->y_low + i * step, y = chart_y(chart, value);

		fprintf(chart->out,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text class=\"label\" x=\"%.1f\" y=\"%.1f\" "
			"text-anchor=\"end\">%s</text>\n",
			chart->left, chart->width - chart->right, y, y, chart->left - 8, y + 4,
			chart_number(value, text));
	}
	fprintf(chart->out, "<text class=\"unit\" x=\"0\" y=\"12\">%s</text>\n", unit);
}

void chart_axis_percent(const struct chart *chart)
{
	double x = chart->width - chart->right;
	double span = chart->height - chart->top - chart->bottom;

	for (unsigned percent = 0; percent <= 100; percent += 25)
		fprintf(chart->out, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">%u %%</text>\n",
			x + 8, chart->height - chart->bottom - span * percent / 100 + 4, percent);
	fprintf(chart->out,
		"<text class=\"unit\" x=\"%.1f\" y=\"12\" text-anchor=\"end\">share of "
		"packets</text>\n",
		chart->width);
}
