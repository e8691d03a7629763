#include "weir/replay/histogram.h"

static unsigned cell_of(uint64_t value)
{
	unsigned shift, cell;

	if (value < 2 * HISTOGRAM_PARTS)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value / HISTOGRAM_PARTS);
	cell = shift * HISTOGRAM_PARTS + (unsigned)(value >> shift);
	return cell < HISTOGRAM_CELLS ? cell : HISTOGRAM_CELLS - 1;
}

uint64_t histogram_low(unsigned cell)
{
	unsigned shift = cell / HISTOGRAM_PARTS;

	if (cell < 2 * HISTOGRAM_PARTS)
		return cell;
	return (uint64_t)(HISTOGRAM_PARTS + cell % HISTOGRAM_PARTS) << (shift - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times)
{
	histogram->cells[cell_of(value)] += times;
	histogram->count += times;
}

double histogram_quantile(const struct histogram *histogram, double part)
{
	double wanted = part * (double)histogram->count;
	uint64_t seen = 0;

	if (histogram->count == 0)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += histogram->cells[i];
		if (histogram->cells[i] > 0 && (double)seen >= wanted)
			return (double)(histogram_low(i) + histogram_low(i + 1)) / 2;
	}
	return (double)histogram_low(HISTOGRAM_CELLS - 1);
}

double histogram_below(const struct histogram *histogram, double value)
{
	double below = 0;

	for (unsigned i = 0; i + 1 < HISTOGRAM_CELLS; i++) {
		double low = (double)histogram_low(i), high = (double)histogram_low(i + 1);

		if (low >= value)
			break;
		if (high <= value)
			below += (double)histogram->cells[i];
		else
			below += (double)histogram->cells[i] * (value - low) / (high - low);
	}
	return below;
}
