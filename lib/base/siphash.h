// SipHash (Aumasson and Bernstein, 2012): a keyed hash with published analysis, for everything an
// attacker can steer. 2-4 for cookies, 1-3 for tables.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_BYTES 16

struct siphash_key {
	uint64_t k[2];
};

// Reads SIPHASH_KEY_BYTES little-endian, as the reference vectors do.
struct siphash_key siphash_key(const uint8_t bytes[SIPHASH_KEY_BYTES]);

// 64-bit SipHash-2-4 of `len` bytes at `data`.
uint64_t siphash24(struct siphash_key key, const void *data, size_t len);

// 64-bit SipHash-1-3 of `len` bytes at `data`.
uint64_t siphash13(struct siphash_key key, const void *data, size_t len);

// The same of several messages of one length: side by side, where the processor has registers for
// that.
#define SIPHASH_LANES 8
void siphash13_lanes(struct siphash_key key, const void *const data[SIPHASH_LANES], size_t len,
	uint64_t out[SIPHASH_LANES]);

// SipHash-2-4 of messages of `count` words of 8 bytes, up to SIPHASH_WORDS_MAX, as they lie in
// memory: word i of message m is words[i][m].
#define SIPHASH_WORDS_MAX 8
void siphash24_words(struct siphash_key key, const uint64_t (*words)[SIPHASH_LANES], unsigned count,
	uint64_t out[SIPHASH_LANES]);

// The same of twice as many messages, in two blocks of `count` words: each waits while the other is
// mixed.
void siphash24_words_two(struct siphash_key key, const uint64_t (*words)[SIPHASH_LANES],
	unsigned count, uint64_t out[2 * SIPHASH_LANES]);
