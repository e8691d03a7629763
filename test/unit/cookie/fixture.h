// What the tests of lib/cookie share: a tuple of each family, a filled ring, reproducible numbers.
#pragma once

#include "cookie/keyring.h"
#include "cookie/tuple.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SECRET	   ((const uint8_t *)"weir's test secret, 32 bytes long")
#define SECRET_LEN 32

// Every family a test runs for.
#define FAMILIES(family) (int family = 4; family <= 6; family += 2)

// SplitMix64.
static inline uint64_t fixture_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline struct tuple fixture_tuple(int family)
{
	static const uint8_t ip4[2][4] = {{192, 0, 2, 10}, {198, 51, 100, 10}};
	static const uint8_t ip6[2][16] = {{0x20, 0x01, 0x0d, 0xb8, 0, 1, [15] = 0x10},
		{0x20, 0x01, 0x0d, 0xb8, 0, 2, [15] = 0x10}};
	struct tuple tuple = {.sport = 40000, .dport = 80};

	tuple.src = family == 4 ? addr_from_ip4(ip4[0]) : addr_from_ip6(ip6[0]);
	tuple.dst = family == 4 ? addr_from_ip4(ip4[1]) : addr_from_ip6(ip6[1]);
	return tuple;
}

// Keys without libcrypto: a test of a layout wants many epochs, not HKDF.
static inline struct epoch_keys fixture_keys(uint32_t epoch)
{
	uint64_t state = epoch;
	struct epoch_keys keys = {.epoch = epoch};

	for (int i = 0; i < 2; i++) {
		keys.cookie.k[i] = fixture_random(&state);
		keys.msyn.k[i] = fixture_random(&state);
	}
	return keys;
}

// A ring with the epochs before, at and after `tick`, as lib/engine keeps it.
static inline struct keyring fixture_ring(uint32_t tick)
{
	struct keyring ring;

	memset(&ring, 0, sizeof(ring));
	for (uint32_t i = 0; i < 3; i++) {
		struct epoch_keys keys =
			fixture_keys((keyring_epoch(tick) - 1 + i) & KEYRING_EPOCH_MAX);

		keyring_put(&ring, &keys);
	}
	return ring;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

// The long form of a statistical test, for the full run. A sanitizer checks the same code on fewer.
static inline int fixture_full(void)
{
#ifdef __SANITIZE_ADDRESS__
	return 0;
#else
	const char *size = getenv("WEIR_TEST_SIZE");

	return size != NULL && strcmp(size, "quick") != 0;
#endif
}
