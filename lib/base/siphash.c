#include "base/siphash.h"

#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

// bytes.h loads big-endian; SipHash is defined on little-endian words, which is the host's order.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

struct state {
	uint64_t v0, v1, v2, v3;
};

static ALWAYS_INLINE uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static ALWAYS_INLINE uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static ALWAYS_INLINE void mix(struct state *s, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

static ALWAYS_INLINE void absorb(struct state *s, uint64_t word, unsigned rounds)
{
	s->v3 ^= word;
	mix(s, rounds);
	s->v0 ^= word;
}

// The round counts are constants at both callers, so that each gets its own unrolled copy.
static ALWAYS_INLINE uint64_t siphash(struct siphash_key key, const uint8_t *p, size_t len,
	unsigned word_rounds, unsigned end_rounds)
{
	struct state s = {
		key.k[0] ^ 0x736f6d6570736575,
		key.k[1] ^ 0x646f72616e646f6d,
		key.k[0] ^ 0x6c7967656e657261,
		key.k[1] ^ 0x7465646279746573,
	};
	uint64_t last = (uint64_t)len << 56;

	for (size_t words = len / 8; words > 0; words--, p += 8)
		absorb(&s, load(p), word_rounds);
	for (unsigned i = 0; i < len % 8; i++)
		last |= (uint64_t)p[i] << 8 * i;
	absorb(&s, last, word_rounds);
	s.v2 ^= 0xff;
	mix(&s, end_rounds);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct siphash_key siphash_key(const uint8_t bytes[SIPHASH_KEY_BYTES])
{
	return (struct siphash_key){{load(bytes), load(bytes + 8)}};
}

uint64_t siphash24(struct siphash_key key, const void *data, size_t len)
{
	return siphash(key, data, len, 2, 4);
}

uint64_t siphash13(struct siphash_key key, const void *data, size_t len)
{
	return siphash(key, data, len, 1, 3);
}
