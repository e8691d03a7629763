#include "weir/replay/progress.h"

#include <stdio.h>
#include <unistd.h>

#define NS_PER_S    1000000000ULL
#define PATIENCE_NS NS_PER_S
#define REFRESH_NS  (NS_PER_S / 5)
#define BAR_CELLS   30

void progress_begin(struct progress *progress, uint64_t now_ns, const char *what)
{
	*progress = (struct progress){.what = what,
		.start_ns = now_ns,
		.next_ns = now_ns + PATIENCE_NS,
		.terminal = isatty(STDERR_FILENO) == 1};
}

// Nothing is known while nothing was read.
static double left_s(const struct progress *progress, uint64_t now_ns, double part)
{
	double gone_s = (double)(now_ns - progress->start_ns) / (double)NS_PER_S;

	return part > 0 ? gone_s * (1 - part) / part : 0;
}

static void draw(struct progress *progress, double part, double mpps, double eta_s)
{
	char bar[BAR_CELLS + 1];
	unsigned full = (unsigned)(part * BAR_CELLS);

	for (unsigned i = 0; i < BAR_CELLS; i++)
		bar[i] = i < full ? '#' : '.';
	bar[BAR_CELLS] = '\0';
	fprintf(stderr, "\r%s [%s] %3.0f %%  %7.2f Mpps  %5.0f s left ", progress->what, bar,
		100 * part, mpps, eta_s);
	fflush(stderr);
	progress->shown = true;
}

void progress_tell(
	struct progress *progress, uint64_t now_ns, uint64_t done, uint64_t total, uint64_t packets)
{
	double seconds = (double)(now_ns - progress->start_ns) / (double)NS_PER_S;
	double mpps = seconds > 0 ? (double)packets / seconds / 1e6 : 0;
	double part = total > 0 ? (double)done / (double)total : 0;
	double eta_s = left_s(progress, now_ns, part);
	unsigned tenths = (unsigned)(part * 10);

	progress->next_ns = now_ns + REFRESH_NS;
	if (progress->terminal && total > 0) {
		draw(progress, part, mpps, eta_s);
	} else if (progress->terminal) {
		fprintf(stderr, "\r%s %.1f million packets  %7.2f Mpps ", progress->what,
			(double)packets / 1e6, mpps);
		progress->shown = true;
	} else if (tenths > progress->tenths) {
		fprintf(stderr, "%s: %u %%, %.2f Mpps, %.0f s left\n", progress->what, tenths * 10,
			mpps, eta_s);
		progress->tenths = tenths;
	}
}

// The line goes: what it said is over.
void progress_end(struct progress *progress)
{
	if (progress->shown)
		fprintf(stderr, "\r\033[K");
	progress->shown = false;
}
