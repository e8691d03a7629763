// The report as one HTML page that needs nothing else: no script, no file beside it, no network.
#pragma once

#include "weir/replay/report.h"

// Writes the page; errors show in ferror(out).
void page_write(const struct replay_report *report, FILE *out);
