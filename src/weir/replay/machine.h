// What ran the replay: without it no figure means anything.
#pragma once

#include <stdint.h>

#define MACHINE_TEXT_BYTES 128

struct machine {
	char cpu[MACHINE_TEXT_BYTES]; // model
	char kernel[MACHINE_TEXT_BYTES];
	char arch[MACHINE_TEXT_BYTES];
	char governor[MACHINE_TEXT_BYTES]; // "" where the system has none to show
	unsigned cores;			   // online
	double cycles_per_ns;		   // of the cycle counter
	double load;			   // of the last minute, at the start
	double steal_percent;		   // of the time between begin and end
	uint64_t steal, total;		   // jiffies at the begin
	uint64_t clock_ns, clock_cycles;   // at the begin
	double cpu_s;			   // processor time of this program
	uint64_t preemptions;		   // times it had to make room for others
	uint64_t peak_bytes;		   // largest resident memory
};

void machine_begin(struct machine *machine);
void machine_end(struct machine *machine);

// Monotonic.
uint64_t machine_clock_ns(void);
