// Rates per prefix and in total (TCP.md 1.6). The floods are virtual: a second is what they send in
// one, and the clients' ACKs lie between theirs.
// Proves: attack 3 of the reliability page (the limiter).
#include "limit/rate_limit.h"

#include "base/cpu.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define S	    1000000000u // nanoseconds
#define CLIENTS	    1000	// per second
#define SECONDS	    3
#define PREFIX_RATE 100	  // limits.bad_ack_prefix_per_s
#define TOTAL_RATE  10000 // limits.bad_ack_per_s
#define TS_WORTH    16	  // what an ACK with timestamps may have of both

static const struct siphash_key key = {{5, 6}};

static struct rate_limit *limit_new(void)
{
	void *memory = aligned_alloc(CPU_CACHE_LINE_BYTES, rate_limit_bytes());

	assert_non_null(memory);
	memset(memory, 0, rate_limit_bytes());
	return rate_limit_init(memory, key);
}

static struct addr numbered(uint32_t number)
{
	uint8_t ip[4] = {(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number, 9};

	return addr_from_ip4(ip);
}

// Tries an event and counts it where allowed.
static bool event(struct rate_limit *limit, uint64_t now_ns, uint32_t prefix, uint32_t prefix_per_s,
	uint32_t total_per_s)
{
	struct addr addr = numbered(prefix);
	bool allowed = rate_limit_allows(limit, now_ns, &addr, 24, 56, prefix_per_s, total_per_s);

	if (allowed)
		rate_limit_count(limit);
	return allowed;
}

static void asking_does_not_count(void **state)
{
	struct rate_limit *limit = limit_new();
	struct addr addr = numbered(1);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_true(rate_limit_allows(limit, 5 * (uint64_t)S, &addr, 24, 56, 1, 1));
	rate_limit_count(limit);
	assert_false(rate_limit_allows(limit, 5 * (uint64_t)S, &addr, 24, 56, 1, 10));
	free(limit);
}

static void a_prefix_has_its_rate_each_second(void **state)
{
	struct rate_limit *limit = limit_new();

	(void)state;
	for (uint64_t second = 0; second < 5; second++) {
		for (unsigned i = 0; i < 10; i++)
			assert_true(event(limit, second * S + i * 1000, 1, 10, 1000));
		assert_false(event(limit, second * S + S - 1, 1, 10, 1000));
		assert_true(event(limit, second * S + S - 1, 2, 10, 1000)); // another prefix
	}
	assert_true(event(limit, 1000 * (uint64_t)S, 1, 10, 1000));
	free(limit);
}

// Above the total, whoever guessed is cut off, and a newcomer still gets a quarter of his rate.
static void above_the_total_newcomers_are_tried(void **state)
{
	struct rate_limit *limit = limit_new();
	const uint64_t now_ns = 7 * (uint64_t)S;

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		assert_true(event(limit, now_ns, 1, 100, 30));
	assert_false(event(limit, now_ns, 1, 100, 30));
	for (uint32_t prefix = 2; prefix < 12; prefix++) {
		for (unsigned i = 0; i < 3; i++)
			assert_true(event(limit, now_ns, prefix, 10, 30)); // 2.5, rounded up
		assert_false(event(limit, now_ns, prefix, 10, 30));
	}
	for (unsigned i = 0; i < 30; i++)
		assert_true(event(limit, now_ns + S, 1, 100, 30)); // the next second
	free(limit);
}

static void zero_allows_nothing(void **state)
{
	struct rate_limit *limit = limit_new();

	(void)state;
	assert_false(event(limit, S, 1, 0, 20));
	assert_false(event(limit, S, 1, 0, 0));
	free(limit);
}

static void addresses_share_their_prefix(void **state)
{
	struct rate_limit *limit = limit_new();
	struct addr a, b, c;

	(void)state;
	assert_int_equal(addr_parse(&a, "2001:db8:0:100::1"), 0);
	assert_int_equal(addr_parse(&b, "2001:db8:0:1ff::2"), 0);
	assert_int_equal(addr_parse(&c, "2001:db8:0:200::1"), 0);
	assert_true(rate_limit_allows(limit, S, &a, 24, 56, 1, 100));
	rate_limit_count(limit);
	assert_false(rate_limit_allows(limit, S, &b, 24, 56, 1, 100));
	assert_true(rate_limit_allows(limit, S, &c, 24, 56, 1, 100));
	free(limit);
}

// Rates above 32 bits are rates too: what the configuration allows, times what timestamps are
// worth.
static void rates_may_be_large(void **state)
{
	struct rate_limit *limit = limit_new();
	struct addr addr = numbered(1);

	(void)state;
	assert_true(rate_limit_allows(limit, S, &addr, 24, 56, 1ULL << 32, 1ULL << 32));
	assert_true(rate_limit_allows(limit, S, &addr, 24, 56, 1ULL << 32, 0));
	assert_false(rate_limit_allows(limit, S, &addr, 24, 56, 0, 1ULL << 32));
	free(limit);
}

static uint64_t random_next(uint64_t *seed)
{
	uint64_t z = (*seed += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static struct addr anywhere(uint64_t *seed)
{
	uint64_t draw = random_next(seed);
	uint8_t ip[4];

	memcpy(ip, &draw, sizeof(ip));
	return addr_from_ip4(ip);
}

struct flood {
	const char *name;
	uint32_t per_s;
	uint32_t sources; // 0: all of IPv4, else this many
	unsigned bits4;
	unsigned worth; // of the clients: TS_WORTH with timestamps
};

struct outcome {
	uint32_t tried;	    // clients
	uint32_t looked_at; // guesses, in all seconds
};

// One of the flood's sources: each is a prefix of its own, from 198.0.0.0 on.
static struct addr source(const struct flood *flood, uint64_t *seed)
{
	uint32_t number;
	uint8_t ip[4];

	if (flood->sources == 0)
		return anywhere(seed);
	number = (uint32_t)(random_next(seed) % flood->sources) << (32 - flood->bits4);
	ip[0] = (uint8_t)(198 + (number >> 24));
	ip[1] = (uint8_t)(number >> 16);
	ip[2] = (uint8_t)(number >> 8);
	ip[3] = (uint8_t)number;
	return addr_from_ip4(ip);
}

static bool tried(struct rate_limit *limit, const struct flood *flood, uint64_t now_ns,
	const struct addr *addr, unsigned worth)
{
	return rate_limit_allows(
		limit, now_ns, addr, flood->bits4, 56, PREFIX_RATE * worth, TOTAL_RATE * worth);
}

// Plain guesses at an even pace, and among them the clients' only ACKs: valid, so not counted.
static struct outcome run(const struct flood *flood)
{
	struct rate_limit *limit = limit_new();
	struct outcome outcome = {0};
	uint64_t seed = 42;

	for (uint64_t i = 0; i < (uint64_t)flood->per_s * SECONDS; i++) {
		uint64_t now_ns = i * S / flood->per_s;
		struct addr addr = source(flood, &seed);

		if (tried(limit, flood, now_ns, &addr, 1)) {
			rate_limit_count(limit);
			outcome.looked_at++;
		}
		if (i % (flood->per_s / CLIENTS) == 0) {
			addr = anywhere(&seed);
			outcome.tried += tried(limit, flood, now_ns, &addr, flood->worth);
		}
	}
	free(limit);
	print_message("%s: %.1f %% of the clients tried, %u guesses/s looked at, %.1f accepted/h\n",
		flood->name, 100.0 * outcome.tried / (CLIENTS * SECONDS),
		outcome.looked_at / SECONDS, outcome.looked_at / SECONDS * 2 * 3600.0 / (1 << 24));
	return outcome;
}

static void assert_share(struct outcome outcome, unsigned percent)
{
	assert_in_range(outcome.tried, CLIENTS * SECONDS * percent / 100, CLIENTS * SECONDS);
}

// Sources from everywhere leave the clients their tries.
static void t1_6_flood_from_everywhere(void **state)
{
	static const struct flood half = {"500,000/s, all of IPv4", 500000, 0, 24, 1};
	static const struct flood two = {"2,000,000/s, all of IPv4", 2000000, 0, 24, 1};
	static const struct flood lab = {"500,000/s, 131,072 addresses", 500000, 131072, 32, 1};
	static const struct flood ts = {
		"500,000/s, clients with timestamps", 500000, 0, 24, TS_WORTH};

	(void)state;
	assert_share(run(&half), 99);
	assert_share(run(&two), 99);
	assert_share(run(&lab), 99);
	assert_share(run(&ts), 99);
}

// Few sources are cut off: the total, and beyond it their quarter each.
static void t1_6_flood_from_few_prefixes(void **state)
{
	static const struct flood flood = {"500,000/s, 512 prefixes", 500000, 512, 24, 1};
	struct outcome outcome = run(&flood);

	(void)state;
	assert_share(outcome, 99);
	assert_in_range(outcome.looked_at, SECONDS * TOTAL_RATE,
		SECONDS * (TOTAL_RATE + 512 * PREFIX_RATE / 4));
}

// As many prefixes as the flood can fill with guesses is the worst there is: some clients share
// with one, but not in the next second as well.
static void t1_6_flood_that_fills_prefixes(void **state)
{
	static const struct flood flood = {"500,000/s, 20,000 prefixes", 500000, 20000, 24, 1};

	(void)state;
	assert_share(run(&flood), 95);
}

static bool event_allowed(struct rate_limit *limit, uint64_t now_ns, uint32_t prefix)
{
	struct addr addr = numbered(prefix);

	return rate_limit_allows(limit, now_ns, &addr, 24, 56, 1, UINT32_MAX);
}

// Who shared a count with a prefix does not in the next second.
static void nobody_shares_for_long(void **state)
{
	struct rate_limit *limit = limit_new();
	static bool shares[20000];
	unsigned refused = 0, again = 0;

	(void)state;
	for (uint32_t prefix = 0; prefix < 20000; prefix++)
		event(limit, S, prefix, 1, UINT32_MAX);
	for (uint32_t prefix = 100000; prefix < 120000; prefix++) {
		shares[prefix - 100000] = !event_allowed(limit, S, prefix);
		refused += shares[prefix - 100000];
	}
	assert_in_range(refused, 1000, 2000); // 8 % of the counts are taken
	for (uint32_t prefix = 0; prefix < 20000; prefix++)
		event(limit, 2 * (uint64_t)S, prefix, 1, UINT32_MAX);
	for (uint32_t prefix = 100000; prefix < 120000; prefix++)
		again += shares[prefix - 100000] && !event_allowed(limit, 2 * (uint64_t)S, prefix);
	assert_in_range(again, 1, refused / 6); // 8 % of those, not all of them
	free(limit);
}

// Events of random prefixes of both families, asked about one by one and many at once.
static void many_are_as_one_by_one(void **state)
{
	struct rate_limit *limit = limit_new();
	uint64_t now_ns = S;
	unsigned allowances = 0, refusals = 0;

	(void)state;
	for (unsigned turn = 0; turn < 20000; turn++) {
		struct addr addrs[RATE_LIMIT_MANY];
		struct rate_limit_many many = {.bits4 = 24, .bits6 = 56};
		uint64_t hashes[RATE_LIMIT_MANY];

		many.count = 1 + turn % RATE_LIMIT_MANY;
		for (unsigned i = 0; i < many.count; i++) {
			addrs[i] = numbered((uint32_t)random() % 64);
			if (random() % 2)
				addrs[i].b[0] = 0x20;
			many.addrs[i] = &addrs[i];
		}
		rate_limit_hashes(limit, now_ns, &many, hashes);
		for (unsigned i = 0; i < many.count; i++) {
			bool seems, allowed;

			assert_true(hashes[i] == rate_limit_hash(limit, now_ns, &addrs[i], 24, 56));
			seems = rate_limit_seems_to_allow(limit, now_ns, hashes[i], 8, 300);
			allowed = rate_limit_allows(limit, now_ns, &addrs[i], 24, 56, 8, 300);
			assert_int_equal(seems, allowed);
			assert_int_equal(
				rate_limit_allows_hash(limit, now_ns, hashes[i], 8, 300), allowed);
			allowances += allowed;
			refusals += !allowed;
			if (allowed)
				rate_limit_count(limit);
		}
		if (turn % 500 == 499)
			now_ns += S;
	}
	assert_true(refusals > 10000 && allowances > 1000);
	free(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_are_as_one_by_one),
		cmocka_unit_test(asking_does_not_count),
		cmocka_unit_test(a_prefix_has_its_rate_each_second),
		cmocka_unit_test(above_the_total_newcomers_are_tried),
		cmocka_unit_test(zero_allows_nothing),
		cmocka_unit_test(addresses_share_their_prefix),
		cmocka_unit_test(rates_may_be_large),
		cmocka_unit_test(t1_6_flood_from_everywhere),
		cmocka_unit_test(t1_6_flood_from_few_prefixes),
		cmocka_unit_test(t1_6_flood_that_fills_prefixes),
		cmocka_unit_test(nobody_shares_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
