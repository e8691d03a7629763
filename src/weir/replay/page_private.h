// What the files of the page share.
#pragma once

#include "weir/replay/page.h"

// page_text.c
// Escaped for HTML, bytes that are no UTF-8 replaced.
void page_text(FILE *out, const char *text);
// With a separator at every third digit.
void page_count(FILE *out, uint64_t number);
// A cell with a bar as long as `part` (0 to 1) of the full length; the number stands beside it.
void page_bar(FILE *out, double part, const char *class);
void page_style(FILE *out);
// Whose time the virtual clock has: "capture" or "load".
const char *page_clock(const struct replay_report *report);

// page_charts.c
void page_throughput(const struct replay_report *report, FILE *out);
void page_latency(const struct replay_report *report, FILE *out);

// page_nodes.c
// What each node did; nothing where there is one.
void page_nodes(const struct replay_report *report, FILE *out);
