#include "base/addr.h"

#include "base/bytes.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define IP4_OFFSET_BITS 96 // bits in front of an IPv4 address in the 16-byte form

typedef uint32_t addr_words __attribute__((vector_size(ADDR_BYTES)));

// Made in one register and so stored in one piece: to load what was just stored in several makes
// the processor wait.
struct addr addr_from_ip4(const uint8_t ip[4])
{
	addr_words words = {0, 0, __builtin_bswap32(0xffff), 0};
	struct addr addr;
	uint32_t last;

	memcpy(&last, ip, sizeof(last));
	words[3] = last;
	memcpy(addr.b, &words, sizeof(addr.b));
	return addr;
}

struct addr addr_from_ip6(const uint8_t ip[16])
{
	struct addr addr;

	memcpy(addr.b, ip, sizeof(addr.b));
	return addr;
}

struct addr addr_mask(const struct addr *addr, unsigned bits)
{
	struct addr masked;

	be64_put(masked.b, be64_get(addr->b) & addr_mask64(bits));
	be64_put(masked.b + 8, be64_get(addr->b + 8) & addr_mask64(bits > 64 ? bits - 64 : 0));
	return masked;
}

// Bits two addresses have in common in front.
static unsigned common_bits(const struct addr *a, const struct addr *b)
{
	uint64_t high = be64_get(a->b) ^ be64_get(b->b);
	uint64_t low = be64_get(a->b + 8) ^ be64_get(b->b + 8);

	if (high != 0)
		return (unsigned)__builtin_clzll(high);
	return 64 + (low != 0 ? (unsigned)__builtin_clzll(low) : 64);
}

unsigned prefix_deciding_bits(const struct prefix *prefix, const struct addr *addr)
{
	unsigned common = common_bits(&prefix->addr, addr);

	if (prefix->family == 0 || (prefix->family == 4) != addr_is_ip4(addr))
		return 0;
	return common < prefix->bits ? common + 1 : prefix->bits;
}

int addr_parse(struct addr *out, const char *text)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, text, ip) == 1) {
		*out = addr_from_ip4(ip);
		return 0;
	}
	if (inet_pton(AF_INET6, text, ip) != 1)
		return -ERR_MALFORMED;
	*out = addr_from_ip6(ip);
	// "::ffff:192.0.2.1" would be a second spelling of an IPv4 address.
	return addr_is_ip4(out) ? -ERR_MALFORMED : 0;
}

// Digits only: strtoul would take signs and spaces.
static int bits_parse(unsigned *bits, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 3 || strspn(text, "0123456789") != len)
		return -ERR_MALFORMED;
	*bits = 0;
	for (; *text != '\0'; text++)
		*bits = *bits * 10 + (unsigned)(*text - '0');
	return 0;
}

// What stands in front of the slash; all of it without one.
static int split_address(struct addr *addr, const char *text, const char *slash)
{
	char part[ADDR_TEXT_BYTES];
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);

	if (len >= sizeof(part))
		return -ERR_MALFORMED;
	memcpy(part, text, len);
	part[len] = '\0';
	return addr_parse(addr, part);
}

int prefix_parse(struct prefix *out, const char *text)
{
	const char *slash = strchr(text, '/');
	unsigned offset_bits, bits;
	struct addr addr, masked;
	int err;

	if (strcmp(text, "any") == 0) {
		memset(out, 0, sizeof(*out));
		return 0;
	}
	err = split_address(&addr, text, slash);
	if (err != 0)
		return err;
	offset_bits = addr_is_ip4(&addr) ? IP4_OFFSET_BITS : 0;
	bits = 128 - offset_bits;
	if (slash != NULL)
		err = bits_parse(&bits, slash + 1);
	if (err != 0)
		return err;
	if (bits > 128 - offset_bits)
		return -ERR_RANGE;
	masked = addr_mask(&addr, bits + offset_bits);
	if (!addr_equal(&masked, &addr))
		return -ERR_EXISTS;
	*out = (struct prefix){.addr = addr,
		.bits = (uint8_t)(bits + offset_bits),
		.family = offset_bits != 0 ? 4 : 6};
	return 0;
}

char *addr_format(const struct addr *addr, char out[ADDR_TEXT_BYTES])
{
	bool ip4 = addr_is_ip4(addr);

	inet_ntop(ip4 ? AF_INET : AF_INET6, ip4 ? addr->b + IP4_OFFSET_BITS / 8 : addr->b, out,
		ADDR_TEXT_BYTES);
	return out;
}

char *prefix_format(const struct prefix *prefix, char out[ADDR_TEXT_BYTES])
{
	size_t len;

	if (prefix->family == 0) {
		memcpy(out, "any", sizeof("any"));
		return out;
	}
	len = strlen(addr_format(&prefix->addr, out));
	snprintf(out + len, ADDR_TEXT_BYTES - len, "/%d",
		prefix->bits - (prefix->family == 4 ? IP4_OFFSET_BITS : 0));
	return out;
}
