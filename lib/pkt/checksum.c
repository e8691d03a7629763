#include "pkt/checksum.h"

#include <string.h>

// Ones' complement addition does not care about byte order (RFC 1071 2): the words are added as the
// host loads them, in 64 bits with the carries in a second word, and swapped once at the end.
__extension__ typedef unsigned __int128 wide_sum;

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

// The last 0 to 7 bytes, as a word padded with zeros.
static uint64_t load_rest(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	if (len & 4) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		v = word;
		p += 4;
	}
	for (unsigned i = 0; i < (len & 3); i++)
		v += (uint64_t)p[i] << (i % 2 * 8);
	return v;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	return (uint16_t)sum;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	wide_sum even = 0, odd = 0;

	for (; len >= 16; len -= 16, p += 16) {
		even += load64(p);
		odd += load64(p + 8);
	}
	even += odd;
	if (len >= 8) {
		even += load64(p);
		p += 8;
	}
	even += load_rest(p, len & 7);
	even = (even >> 64) + (uint64_t)even;
	return sum + __builtin_bswap16(fold((uint64_t)(even >> 64) + fold((uint64_t)even)));
}

uint16_t checksum_finish(uint64_t sum)
{
	return (uint16_t)~fold(sum);
}

uint16_t checksum_update16(uint16_t checksum, uint16_t from, uint16_t to)
{
	return checksum_finish((uint64_t)(uint16_t)~checksum + (uint16_t)~from + to);
}

uint16_t checksum_update32(uint16_t checksum, uint32_t from, uint32_t to)
{
	uint64_t removed = (uint64_t)(uint16_t) ~(from >> 16) + (uint16_t)~from;

	return checksum_finish((uint16_t)~checksum + removed + (to >> 16) + (uint16_t)to);
}

static uint32_t swap_halves(uint32_t v)
{
	return v << 8 | v >> 24;
}

uint16_t checksum_update32_at(uint16_t checksum, unsigned offset, uint32_t from, uint32_t to)
{
	if (offset % 2 == 0)
		return checksum_update32(checksum, from, to);
	return checksum_update32(checksum, swap_halves(from), swap_halves(to));
}
