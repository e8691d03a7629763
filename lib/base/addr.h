// Addresses and prefixes. One form for both families: 16 bytes, IPv4 as ::ffff:a.b.c.d.
#pragma once

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

struct addr addr_from_ip4(const uint8_t ip[4]);
struct addr addr_from_ip6(const uint8_t ip[16]);
bool addr_is_ip4(const struct addr *addr);
bool addr_equal(const struct addr *a, const struct addr *b);

// Clears the bits behind the first `bits` (0..128).
struct addr addr_mask(const struct addr *addr, unsigned bits);

// True where addr lies in prefix, families respected.
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);

// Parses "192.0.2.1" or "2001:db8::1". 0 or -ERR_MALFORMED.
int addr_parse(struct addr *out, const char *text);

// Parses ADDRESS[/BITS] or "any". -ERR_MALFORMED, -ERR_RANGE (bits too large), -ERR_EXISTS where
// host bits are set: an operator who writes 192.0.2.1/24 meant something else.
int prefix_parse(struct prefix *out, const char *text);

// Writes the usual text form into out (ADDR_TEXT_BYTES) and returns out.
char *addr_format(const struct addr *addr, char out[ADDR_TEXT_BYTES]);
char *prefix_format(const struct prefix *prefix, char out[ADDR_TEXT_BYTES]);
