// Rates per prefix: an array of counts, each the events of one second of the caller's clock. Two
// prefixes that share a count share its rate. The hash is keyed and takes the second with it:
// nobody chooses with whom he shares, and not for longer than that. The counts of a cache line have
// one second, and a line of an earlier one counts as empty, so nothing has to be refilled: an event
// is one hash and one line, whatever the flood. The caller alone writes.
//
// What the total is for. A guess from a prefix that made none yet looks like a newcomer's proof:
// without state per SYN only the check tells them apart, and whoever refuses a share of such
// guesses unseen refuses the same share of the newcomers, whose only ACK it may be. So the total
// refuses no prefix its first tries. Above it, a prefix has a quarter of its rate: that cuts off
// who guesses from the addresses he has, and lets a flood from everywhere have what its guesses are
// worth, connections of sources that nobody chose. A wanted source stays as dear as the rate per
// prefix makes it: at 100 a second and two tries each, a day of guessing on average.
//
// Considered and not done: remembering to whom a SYN/ACK went, in a bitmap by time. It is state per
// SYN, a SYN from the same source fills it in for the guess, and in a cluster the ACK may come to
// another node.
//
// The number of counts times that quarter, 6.1 million per worker, is the most that is looked at in
// a second, and what a flood has to fill before all newcomers lose their tries. 500,000 guesses can
// fill 8 %, if each prefix is sent just its quarter at once, and the next second it is others. With
// the default rates (100 of a prefix, 10,000 in total), of clients without timestamps, and guesses
// that have two tries at 24 bits each (TCP.md 1.6; rate_limit_test.c counts them):
//
//   guesses per second                         clients tried   looked at     accepted
//   500,000 from 512 prefixes                         99.7 %    12,900/s        5.6/h
//   500,000 from 20,000 prefixes, 25 each             99.0 %   444,000/s        190/h
//   500,000 from all of IPv4                         100.0 %   500,000/s        215/h
//   2,000,000 from all of IPv4                       100.0 %     2.0 M/s        858/h
#include "limit/rate_limit.h"

#include "base/check.h"
#include "base/cpu.h"

#include <string.h>

#define NS_PER_S	1000000000u
#define LINES		16384 // 1 MiB, so that it may stay in a level 2 cache
#define COUNTS_PER_LINE 15
#define ABOVE_TOTAL	4 // above the total a prefix has one part in so many of its rate

struct line {
	uint32_t second;
	uint32_t counts[COUNTS_PER_LINE]; // events of that second
};
_Static_assert(sizeof(struct line) == CPU_CACHE_LINE_BYTES, "one line of the cache");

struct rate_limit {
	struct siphash_key key;
	uint32_t second;
	uint32_t total;	 // events of that second
	uint32_t *asked; // count of the prefix that was asked about last
	struct line lines[LINES] CPU_ALIGNED;
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

// What is hashed of an address: its prefix, and the second.
struct hashed {
	uint8_t bytes[ADDR_BYTES + sizeof(uint32_t)];
};

static void hashed_set(struct hashed *hashed, uint32_t second, const struct addr *addr,
	unsigned bits4, unsigned bits6)
{
	struct addr prefix = addr_mask(addr, addr_is_ip4(addr) ? 96 + bits4 : bits6);

	memcpy(hashed->bytes, &prefix, ADDR_BYTES);
	memcpy(hashed->bytes + ADDR_BYTES, &second, sizeof(second));
}

static uint32_t second_of(uint64_t now_ns)
{
	return (uint32_t)(now_ns / NS_PER_S);
}

// The rate a prefix has.
static uint64_t rate_of(uint32_t total, uint64_t prefix_per_s, uint64_t total_per_s)
{
	return total < total_per_s ? prefix_per_s : (prefix_per_s + ABOVE_TOTAL - 1) / ABOVE_TOTAL;
}

uint64_t rate_limit_hash(const struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6)
{
	struct hashed hashed;

	hashed_set(&hashed, second_of(now_ns), addr, bits4, bits6);
	return siphash13(limit->key, &hashed, sizeof(hashed));
}

void rate_limit_hashes(const struct rate_limit *limit, uint64_t now_ns,
	const struct rate_limit_many *many, uint64_t hashes[RATE_LIMIT_MANY])
{
	struct hashed hashed[RATE_LIMIT_MANY];
	const void *lanes[RATE_LIMIT_MANY];
	uint64_t all[RATE_LIMIT_MANY];

	for (unsigned i = 0; i < many->count; i++)
		hashed_set(&hashed[i], second_of(now_ns), many->addrs[i], many->bits4, many->bits6);
	for (unsigned i = 0; i < RATE_LIMIT_MANY; i++)
		lanes[i] = &hashed[i < many->count ? i : 0]; // asked for twice costs nothing
	siphash13_lanes(limit->key, lanes, sizeof(hashed[0]), all);
	for (unsigned i = 0; i < many->count; i++) {
		hashes[i] = all[i];
		cpu_prefetch(&limit->lines[all[i] % LINES]);
	}
}

bool rate_limit_seems_to_allow(const struct rate_limit *limit, uint64_t now_ns, uint64_t hash,
	uint64_t prefix_per_s, uint64_t total_per_s)
{
	const struct line *line = &limit->lines[hash % LINES];
	uint32_t second = second_of(now_ns);
	uint32_t count = line->counts[(hash >> 32) % COUNTS_PER_LINE];

	return (line->second == second ? count : 0) <
	       rate_of(limit->second == second ? limit->total : 0, prefix_per_s, total_per_s);
}

bool rate_limit_allows_hash(struct rate_limit *limit, uint64_t now_ns, uint64_t hash,
	uint64_t prefix_per_s, uint64_t total_per_s)
{
	struct line *line = &limit->lines[hash % LINES];
	uint32_t second = second_of(now_ns);

	if (limit->second != second) {
		limit->second = second;
		limit->total = 0;
	}
	if (line->second != second)
		*line = (struct line){.second = second};
	limit->asked = &line->counts[(hash >> 32) % COUNTS_PER_LINE];
	return *limit->asked < rate_of(limit->total, prefix_per_s, total_per_s);
}

bool rate_limit_allows(struct rate_limit *limit, uint64_t now_ns, const struct addr *addr,
	unsigned bits4, unsigned bits6, uint64_t prefix_per_s, uint64_t total_per_s)
{
	return rate_limit_allows_hash(limit, now_ns,
		rate_limit_hash(limit, now_ns, addr, bits4, bits6), prefix_per_s, total_per_s);
}

static void add(uint32_t *count)
{
	*count += *count < UINT32_MAX;
}

void rate_limit_count(struct rate_limit *limit)
{
	CHECK(limit->asked != NULL);
	add(limit->asked);
	add(&limit->total);
}
