// Charts as inline SVG: axes with ticks and units, and what is drawn between them. Colours are the
// page's (classes), so that a chart follows light and dark.
#pragma once

#include <stdio.h>

struct chart {
	FILE *out;
	double width, height;		 // of the whole, in SVG units
	double left, right, top, bottom; // margins
	double x_low, x_high;
	double y_low, y_high;
	int x_log; // x is time in ns, on a logarithmic scale
};

// Begins <svg> with a title and a description for who cannot see it. The caller has filled in `out`
// and the ranges; sizes and margins are set here.
void chart_begin(struct chart *chart, const char *title, const char *description);
void chart_end(const struct chart *chart);

// Axes with ticks at round values. `unit` stands at the end of each; `scale` is what a value is
// divided by before it is written.
void chart_axis_x(const struct chart *chart, const char *unit);
void chart_axis_y(const struct chart *chart, const char *unit);
// A second one on the right, 0 to 100 %.
void chart_axis_percent(const struct chart *chart);

// Coordinates of a value.
double chart_x(const struct chart *chart, double value);
double chart_y(const struct chart *chart, double value);

// The next round step for about `count` ticks over `range`.
double chart_step(double range, unsigned count);

// A number for people: 1.2 k, 3.45 M; with up to 3 significant digits. Returns `out`.
#define CHART_NUMBER_BYTES 32
char *chart_number(double value, char out[CHART_NUMBER_BYTES]);
// The same of a time: 850 ns, 1.25 µs.
char *chart_time(double ns, char out[CHART_NUMBER_BYTES]);
