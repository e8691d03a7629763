// A pool of packet buffers.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

struct packet_pool {
	const char *name;
	uint32_t buffers;
	uint16_t data_bytes; // of each, with its headroom
	uint16_t cache;	     // buffers kept by each thread
	unsigned flags;	     // RTE_MEMPOOL_F_*
	bool own_memory;     // not the EAL's; for devices that are software
};

// NULL where there is no memory. rte_mempool_free() gives back all of it.
struct rte_mempool *packet_pool_create(const struct packet_pool *pool);
