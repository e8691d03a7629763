#include "pkt/checksum.h"

// Carries go to a second word, which is added once at the end.
__extension__ typedef unsigned __int128 wide_sum;

uint64_t checksum_add_long(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	wide_sum even = 0, odd = 0;

	for (; len >= 16; len -= 16, p += 16) {
		even += host64_get(p);
		odd += host64_get(p + 8);
	}
	even += odd;
	if (len >= 8) {
		even += host64_get(p);
		p += 8;
	}
	sum += (uint64_t)(even >> 64) + ((uint64_t)even >> 32) + (uint32_t)even;
	return checksum_add_rest(sum, p, len & 7);
}

// What is left of a sum of words in host order.
static uint16_t finish(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}

uint16_t checksum_update16(uint16_t checksum, uint16_t from, uint16_t to)
{
	return finish((uint64_t)(uint16_t)~checksum + (uint16_t)~from + to);
}

uint16_t checksum_update32(uint16_t checksum, uint32_t from, uint32_t to)
{
	uint64_t removed = (uint64_t)(uint16_t) ~(from >> 16) + (uint16_t)~from;

	return finish((uint16_t)~checksum + removed + (to >> 16) + (uint16_t)to);
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
