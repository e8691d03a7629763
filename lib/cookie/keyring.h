// Keys of the cookies, one set per epoch. An epoch is KEYRING_TICKS_PER_EPOCH ticks of the cluster
// counter (16 s each, DESIGN "Cluster counter"); its keys come from the cluster secret by HKDF, so
// nodes that share the secret and the counter agree without talking. Deriving allocates inside
// libcrypto: the control side does it and hands the finished set to the workers.
#pragma once

#include "base/siphash.h"

#include <stddef.h>
#include <stdint.h>

#define KEYRING_SECRET_BYTES_MIN 16 // 128 bits (TCP.md 10)
#define KEYRING_SECRET_BYTES_MAX 64
#define KEYRING_TICKS_PER_EPOCH	 2 // 32 s
#define KEYRING_TICK_NS		 16000000000ULL
#define KEYRING_TICK_PARTS	 4096 // 3.9 ms

// The epoch of a tick. Ticks wrap at 2^32, so epochs wrap at 2^31 and keep their parity there.
#define KEYRING_EPOCH_MAX (UINT32_MAX / KEYRING_TICKS_PER_EPOCH)

static inline uint32_t keyring_epoch(uint32_t tick)
{
	return tick / KEYRING_TICKS_PER_EPOCH;
}

// How many parts of its tick are over.
static inline uint16_t keyring_tick_part(uint64_t counter_ns)
{
	return (uint16_t)(counter_ns % KEYRING_TICK_NS / (KEYRING_TICK_NS / KEYRING_TICK_PARTS));
}

// The keys of one epoch.
struct epoch_keys {
	uint32_t epoch;
	struct siphash_key cookie; // HKDF-SHA256(secret, info = "weir cookie" || be32 epoch)
	struct siphash_key msyn;   // HKDF-SHA256(secret, info = "weir msyn" || be32 epoch)
};

// Derives the keys of `epoch`. secret_len: KEYRING_SECRET_BYTES_MIN..MAX, else -ERR_RANGE;
// -ERR_CRYPTO where libcrypto fails (out is then wiped).
int keyring_derive(
	struct epoch_keys *out, const uint8_t *secret, size_t secret_len, uint32_t epoch);

// Wipes keys that are no longer needed.
void keyring_wipe(struct epoch_keys *keys);

// Keys of the epochs around now; slots that are not filled have .valid = 0. lib/engine keeps one.
struct keyring {
	struct epoch_keys epochs[4]; // epoch e lies in slot e mod 4
	uint8_t valid[4];
};

// Stores a copy in its slot.
void keyring_put(struct keyring *ring, const struct epoch_keys *keys);

// The keys of `epoch`, or NULL.
const struct epoch_keys *keyring_get(const struct keyring *ring, uint32_t epoch);
