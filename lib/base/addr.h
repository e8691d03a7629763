// Addresses and prefixes. One form for both families: 16 bytes, IPv4 as ::ffff:a.b.c.d.
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDR_BYTES	16
#define ADDR_TEXT_BYTES 64 // longest text plus "/128" and NUL

struct addr {
	uint8_t b[ADDR_BYTES];
};

// bits: 0..128, counted in the 16-byte form, so an IPv4 /24 has 120. family: 4, 6, or 0 for
// "any address of either family" (bits 0).
struct prefix {
	struct addr addr; // host bits are zero
	uint8_t bits;
	uint8_t family;
};

#define ADDR_IP4_BITS 96 // of ::ffff:0.0.0.0/96, which is all of IPv4

struct addr addr_from_ip4(const uint8_t ip[4]);
struct addr addr_from_ip6(const uint8_t ip[16]);

static inline bool addr_is_ip4(const struct addr *addr)
{
	return be64_get(addr->b) == 0 && be32_get(addr->b + 8) == 0xffff;
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return ((be64_get(a->b) ^ be64_get(b->b)) | (be64_get(a->b + 8) ^ be64_get(b->b + 8))) == 0;
}

// Clears the bits behind the first `bits` (0..128).
struct addr addr_mask(const struct addr *addr, unsigned bits);

// The first `bits` of 64 set; more than 64 count as 64. A shift by 64 is undefined, hence the 0.
static inline uint64_t addr_mask64(unsigned bits)
{
	if (bits == 0)
		return 0;
	return bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
}

// True where addr lies in prefix, families respected.
static inline bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	uint64_t high = be64_get(prefix->addr.b) ^ be64_get(addr->b);
	uint64_t low = be64_get(prefix->addr.b + 8) ^ be64_get(addr->b + 8);
	unsigned bits = prefix->bits;

	if (prefix->family == 0)
		return true;
	if ((prefix->family == 4) != addr_is_ip4(addr))
		return false;
	return ((high & addr_mask64(bits)) | (low & addr_mask64(bits > 64 ? bits - 64 : 0))) == 0;
}

// How many of the address's first bits say whether it lies in the prefix or not: whatever shares
// them does as it does, in its family.
unsigned prefix_deciding_bits(const struct prefix *prefix, const struct addr *addr);

// Parses "192.0.2.1" or "2001:db8::1". 0 or -ERR_MALFORMED.
int addr_parse(struct addr *out, const char *text);

// Parses ADDRESS[/BITS] or "any". -ERR_MALFORMED, -ERR_RANGE (bits too large), -ERR_EXISTS where
// host bits are set: an operator who writes 192.0.2.1/24 meant something else.
int prefix_parse(struct prefix *out, const char *text);

// Writes the usual text form into out (ADDR_TEXT_BYTES) and returns out.
char *addr_format(const struct addr *addr, char out[ADDR_TEXT_BYTES]);
char *prefix_format(const struct prefix *prefix, char out[ADDR_TEXT_BYTES]);
