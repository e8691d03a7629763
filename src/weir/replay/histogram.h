// Counts values by size, so that their distribution is known whatever their number: each power of
// two is divided into HISTOGRAM_PARTS equal parts, so a value is known to about 3 %.
#pragma once

#include <stdint.h>

#define HISTOGRAM_PARTS 32
#define HISTOGRAM_CELLS (HISTOGRAM_PARTS * 60)

struct histogram {
	uint64_t count;
	uint64_t cells[HISTOGRAM_CELLS];
};

// Counts `value` `times` times.
void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times);

// The value that `part` (0 to 1) of all are not larger than: the middle of its cell. 0 where
// nothing was counted.
double histogram_quantile(const struct histogram *histogram, double part);

// Smallest value of a cell.
uint64_t histogram_low(unsigned cell);

// How many are smaller than `value`, of which cells it cuts count by their part below it.
double histogram_below(const struct histogram *histogram, double value);
