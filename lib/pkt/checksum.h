// Internet checksums (RFC 1071) and their incremental update (RFC 1624 equation 3).
//
// A sum is of 16-bit words as the host loads them, because ones' complement addition does not care
// about byte order (RFC 1071 2): it is swapped once, at the end. 64 bits hold the sum of 2^32
// halves of words without folding, more than any packet has.
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_SHORT_BYTES 128

// A word of a pseudo-header, in host order, as part of a sum.
static inline uint64_t checksum_word(unsigned value)
{
	return __builtin_bswap16((uint16_t)value);
}

// For long data, in wider steps.
uint64_t checksum_add_long(uint64_t sum, const void *data, size_t len);

// Adds the last 0 to 7 bytes.
static inline uint64_t checksum_add_rest(uint64_t sum, const uint8_t *p, size_t len)
{
	if (len & 4) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		sum += word;
		p += 4;
	}
	if (len & 2) {
		uint16_t half;

		memcpy(&half, p, sizeof(half));
		sum += half;
		p += 2;
	}
	return len & 1 ? sum + *p : sum;
}

// Adds the 8 bytes at p; what is carried out of the top belongs to the bottom. For both halves of a
// pair of sums, which checksum_halves() brings back to one of the usual kind.
static inline uint64_t checksum_carry(uint64_t sum, const uint8_t *p)
{
	uint64_t words;

	memcpy(&words, p, sizeof(words));
	sum += words;
	sum += sum < words;
	__asm__("" : "+r"(sum)); // vectors pay for more than a header has
	return sum;
}

static inline uint64_t checksum_halves(uint64_t sum)
{
	return (sum >> 32) + (uint32_t)sum;
}

// Adds `len` bytes to `sum`. An odd last byte counts as padded with 0, so of several calls only the
// last may have an odd length. Headers are short: those are summed where they are needed.
static inline uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t even = 0, odd = 0;

	if (len > CHECKSUM_SHORT_BYTES)
		return checksum_add_long(sum, data, len);
	for (; len >= 16; len -= 16, p += 16) {
		even = checksum_carry(even, p);
		odd = checksum_carry(odd, p + 8);
	}
	if (len >= 8) {
		even = checksum_carry(even, p);
		p += 8;
	}
	sum += checksum_halves(even) + checksum_halves(odd);
	return checksum_add_rest(sum, p, len & 7);
}

// The sum in 16 bits; 0 only for a sum of nothing but zeros. Added to itself with its halves
// exchanged, a number has the sum of both, with the carry, in the upper half.
static inline __attribute__((always_inline)) uint16_t checksum_fold(uint64_t sum)
{
	uint32_t half;

	sum += sum << 32 | sum >> 32;
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

// Folds and complements a sum into the value to store (host order).
static inline uint16_t checksum_finish(uint64_t sum)
{
	return (uint16_t)~__builtin_bswap16(checksum_fold(sum));
}

// True for the sum of something with a correct checksum in it.
static inline __attribute__((always_inline)) bool checksum_is_good(uint64_t sum)
{
	return checksum_fold(sum) == UINT16_MAX;
}

// New checksum after a 16-bit or 32-bit field changed. All in host order.
uint16_t checksum_update16(uint16_t checksum, uint16_t from, uint16_t to);
uint16_t checksum_update32(uint16_t checksum, uint32_t from, uint32_t to);

// The same for a 32-bit field at `offset` bytes from where the sum starts: at an odd offset its
// bytes stand in the other halves of the words.
uint16_t checksum_update32_at(uint16_t checksum, unsigned offset, uint32_t from, uint32_t to);
