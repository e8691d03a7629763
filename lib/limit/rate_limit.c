// Rates per prefix: an array of buckets, each the events of one second of the caller's clock. Two
// prefixes that share a bucket share its rate; the hash is keyed, so nobody chooses with whom. A
// bucket of an earlier second counts as empty, so nothing has to be refilled.
#include "limit/rate_limit.h"

#define NS_PER_S 1000000000u

struct bucket {
	uint32_t second;
	uint32_t count;
};

struct rate_limit {
	struct siphash_key key;
	struct bucket total;
	struct bucket prefixes[RATE_LIMIT_BUCKETS];
};

size_t rate_limit_bytes(void)
{
	return sizeof(struct rate_limit);
}

struct rate_limit *rate_limit_init(void *memory, struct siphash_key key)
{
	struct rate_limit *limit = memory;

	limit->key = key;
	return limit;
}

static struct bucket *bucket_of(
	struct rate_limit *limit, const struct addr *addr, unsigned bits4, unsigned bits6)
{
	struct addr prefix = addr_mask(addr, addr_is_ip4(addr) ? 96 + bits4 : bits6);

	return &limit->prefixes[siphash13(limit->key, &prefix, sizeof(prefix)) %
				RATE_LIMIT_BUCKETS];
}

// Events of the running second.
static uint32_t bucket_count(const struct bucket *bucket, uint32_t second)
{
	return bucket->second == second ? bucket->count : 0;
}

static void bucket_add(struct bucket *bucket, uint32_t second)
{
	uint32_t count = bucket_count(bucket, second);

	bucket->second = second;
	bucket->count = count < UINT32_MAX ? count + 1 : count;
}

bool rate_limit_allows(struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6, uint32_t prefix_per_s, uint32_t total_per_s)
{
	uint32_t second = (uint32_t)(now_ns / NS_PER_S);
	uint32_t count = bucket_count(bucket_of(limit, addr, bits4, bits6), second);

	if (bucket_count(&limit->total, second) < total_per_s)
		return count < prefix_per_s;
	return count == 0 && prefix_per_s > 0;
}

void rate_limit_count(struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6)
{
	uint32_t second = (uint32_t)(now_ns / NS_PER_S);

	bucket_add(bucket_of(limit, addr, bits4, bits6), second);
	bucket_add(&limit->total, second);
}
