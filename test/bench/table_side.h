// A table of flows as the benchmark drives it: ours, or what it is compared with. Bursts of keys,
// each key in the form either side takes; what making them costs is not measured.
#pragma once

#include "flow/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BURST 32

// What rte_hash is given: addresses, ports and protocol of IPv4, no more.
struct key4 {
	uint32_t outer, inner;
	uint16_t outer_port, inner_port;
	uint32_t protocol;
};
_Static_assert(sizeof(struct key4) == 16, "hashed as bytes: no padding");

struct burst {
	struct flow_key keys[BURST];
	struct key4 keys4[BURST];
	uint64_t stamps[BURST + 1]; // TSC behind each insert
};

struct table_side {
	const char *name;
	// A table for `capacity` flows on pages of 2 MiB (huge) or 4 KiB, all of them touched.
	void *(*create)(uint32_t capacity, bool huge);
	void (*destroy)(void *table);
	void (*clear)(void *table);
	// Both return how many of the burst were found, or inserted.
	unsigned (*lookup)(void *table, struct burst *burst);
	unsigned (*insert)(void *table, struct burst *burst);
	// Sum of what the lookups read of the states: nothing of them may be optimised away.
	uint64_t (*sum)(const void *table);
	size_t (*bytes)(const void *table); // everything the table takes, states included
	bool (*on_huge_pages)(const void *table);
};

extern const struct table_side table_ours, table_rte;

// Anonymous memory on pages of the wanted size, all touched. Ends the process where there is none.
void *pages_map(size_t bytes, bool huge);
void pages_unmap(void *memory, size_t bytes);
// Bytes the mapping takes, whole huge pages.
size_t pages_round(size_t bytes);
// Whether most of the mapping is on huge pages, as the kernel says.
bool pages_are_huge(const void *memory);

static inline uint64_t stamp(void)
{
	return __builtin_ia32_rdtsc();
}
