// rte_pktmbuf_pool_create() with flags, and with memory of our own.
//
// Without huge pages the EAL's memory is a file in small ones, and each packet costs misses of the
// TLB: for its buffer's header, for its data, and for what those pushed out of it, the flow
// table's. Memory of our own gets large pages where the system gives them to who asks (as those of
// the tables do, worker.c); where it does not, it is as good as the EAL's.
#include "weir/packet_pool.h"

#include <sys/mman.h>

#include <rte_lcore.h>
#include <rte_mbuf.h>

#define PAGE_SHIFT	 12
#define LARGE_PAGE_BYTES (2UL << 20)

// A whole number of large pages, or NULL.
static void *map_large(size_t bytes)
{
	uint8_t *memory = mmap(NULL, bytes + LARGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	uint8_t *aligned = RTE_PTR_ALIGN_CEIL(memory, LARGE_PAGE_BYTES);
	size_t before = (size_t)(aligned - memory);
	if (before)
		munmap(memory, before);
	munmap(aligned + bytes, LARGE_PAGE_BYTES - before);
	madvise(aligned, bytes, MADV_HUGEPAGE);
	return aligned;
}

static void unmap_large(struct rte_mempool_memhdr *chunk, void *bytes)
{
	munmap(chunk->addr, (size_t)bytes);
}

// True where all buffers have their place. The one chunk begins where the memory does.
static bool populate_own(struct rte_mempool *pool)
{
	bool crosses = pool->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG;
	size_t least, align;
	ssize_t wanted = rte_mempool_op_calc_mem_size_default(
		pool, pool->size, crosses ? 0 : PAGE_SHIFT, &least, &align);

	if (wanted <= 0)
		return false;
	size_t bytes = RTE_ALIGN_CEIL((size_t)wanted, LARGE_PAGE_BYTES);
	void *memory = map_large(bytes);
	return memory && rte_mempool_populate_virt(pool, memory, bytes, LARGE_PAGE_BYTES,
				 unmap_large, (void *)bytes) == (int)pool->size;
}

struct rte_mempool *packet_pool_create(const struct packet_pool *config)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = config->data_bytes};
	struct rte_mempool *pool = rte_mempool_create_empty(config->name, config->buffers,
		(unsigned)sizeof(struct rte_mbuf) + config->data_bytes, config->cache,
		sizeof(private), (int)rte_socket_id(), config->flags);

	if (!pool)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	if (config->own_memory ? !populate_own(pool) : rte_mempool_populate_default(pool) < 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}
