#include "base/siphash.h"

#include "base/bytes.h"
#include "base/cpu.h"

#include <string.h>

// SipHash is defined on little-endian words, which are loaded in the host's order.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

struct state {
	uint64_t v0, v1, v2, v3;
};

static ALWAYS_INLINE uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
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

// What follows the whole words of a message: its last bytes, and its length at the top.
static ALWAYS_INLINE uint64_t load_last(const void *data, size_t len)
{
	const uint8_t *p = (const uint8_t *)data + len / 8 * 8;
	uint64_t last = (uint64_t)len << 56;
	unsigned at = 0;
	uint32_t four;

	if (len & 4) {
		memcpy(&four, p, sizeof(four));
		last |= four;
		at = 4;
	}
	for (; at < len % 8; at++)
		last |= (uint64_t)p[at] << 8 * at;
	return last;
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

	for (size_t at = 0; at + 8 <= len; at += 8)
		absorb(&s, host64_get(p + at), word_rounds);
	absorb(&s, load_last(p, len), word_rounds);
	s.v2 ^= 0xff;
	mix(&s, end_rounds);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct siphash_key siphash_key(const uint8_t bytes[SIPHASH_KEY_BYTES])
{
	return (struct siphash_key){{host64_get(bytes), host64_get(bytes + 8)}};
}

uint64_t siphash24(struct siphash_key key, const void *data, size_t len)
{
	return siphash(key, data, len, 2, 4);
}

uint64_t siphash13(struct siphash_key key, const void *data, size_t len)
{
	return siphash(key, data, len, 1, 3);
}

// --- several at once ---
//
// One message in each lane of a vector. A round depends on the one before it, so a processor that
// works on one message mostly waits; and a vector costs little more than a word. The vectors go by
// pointer alone: how they would be passed depends on the instruction set.

typedef uint64_t lanes __attribute__((vector_size(8 * SIPHASH_LANES)));

static ALWAYS_INLINE void lanes_rotate(lanes *v, unsigned bits)
{
	*v = *v << bits | *v >> (64 - bits);
}

static ALWAYS_INLINE void lanes_mix(lanes v[4], unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		v[0] += v[1];
		v[2] += v[3];
		lanes_rotate(&v[1], 13);
		lanes_rotate(&v[3], 16);
		v[1] ^= v[0];
		v[3] ^= v[2];
		lanes_rotate(&v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		lanes_rotate(&v[1], 17);
		lanes_rotate(&v[3], 21);
		v[1] ^= v[2];
		v[3] ^= v[0];
		lanes_rotate(&v[2], 32);
	}
}

static ALWAYS_INLINE void lanes_absorb(lanes v[4], const lanes *words, unsigned rounds)
{
	v[3] ^= *words;
	lanes_mix(v, rounds);
	v[0] ^= *words;
}

// The same word in each lane: element by element becomes one instruction, a sum with 0 does not.
static ALWAYS_INLINE void lanes_fill(lanes *v, uint64_t word)
{
	for (unsigned lane = 0; lane < SIPHASH_LANES; lane++)
		(*v)[lane] = word;
}

static ALWAYS_INLINE void lanes_load(lanes *words, const void *const data[SIPHASH_LANES], size_t at)
{
	uint64_t loaded[SIPHASH_LANES];

	for (unsigned lane = 0; lane < SIPHASH_LANES; lane++)
		loaded[lane] = host64_get((const uint8_t *)data[lane] + at);
	memcpy(words, loaded, sizeof(*words));
}

// The last 0 to 7 bytes of each message, with its length.
static ALWAYS_INLINE void lanes_load_last(
	lanes *words, const void *const data[SIPHASH_LANES], size_t len)
{
	uint64_t loaded[SIPHASH_LANES];

	for (unsigned lane = 0; lane < SIPHASH_LANES; lane++)
		loaded[lane] = load_last(data[lane], len);
	memcpy(words, loaded, sizeof(*words));
}

static ALWAYS_INLINE void lanes_begin(lanes v[4], struct siphash_key key)
{
	lanes_fill(&v[0], key.k[0] ^ 0x736f6d6570736575);
	lanes_fill(&v[1], key.k[1] ^ 0x646f72616e646f6d);
	lanes_fill(&v[2], key.k[0] ^ 0x6c7967656e657261);
	lanes_fill(&v[3], key.k[1] ^ 0x7465646279746573);
}

static ALWAYS_INLINE void lanes_end(lanes v[4], unsigned rounds, uint64_t out[SIPHASH_LANES])
{
	lanes all;

	v[2] ^= 0xff;
	lanes_mix(v, rounds);
	all = v[0] ^ v[1] ^ v[2] ^ v[3];
	memcpy(out, &all, sizeof(all));
}

static ALWAYS_INLINE void lanes_hash(struct siphash_key key, const void *const data[SIPHASH_LANES],
	size_t len, unsigned word_rounds, unsigned end_rounds, uint64_t out[SIPHASH_LANES])
{
	lanes v[4], words;

	lanes_begin(v, key);
	for (size_t at = 0; at + 8 <= len; at += 8) {
		lanes_load(&words, data, at);
		lanes_absorb(v, &words, word_rounds);
	}
	if (len % 8 == 0)
		lanes_fill(&words, (uint64_t)len << 56);
	else
		lanes_load_last(&words, data, len);
	lanes_absorb(v, &words, word_rounds);
	lanes_end(v, end_rounds, out);
}

static ALWAYS_INLINE void lanes_hash_words(struct siphash_key key,
	const uint64_t (*words)[SIPHASH_LANES], unsigned count, uint64_t out[SIPHASH_LANES])
{
	lanes v[4], word;

	lanes_begin(v, key);
	for (unsigned i = 0; i < count; i++) {
		memcpy(&word, words[i], sizeof(word));
		lanes_absorb(v, &word, 2);
	}
	lanes_fill(&word, (uint64_t)count * 8 << 56);
	lanes_absorb(v, &word, 2);
	lanes_end(v, 4, out);
}

static ALWAYS_INLINE void lanes_hash_two(struct siphash_key key,
	const uint64_t (*words)[SIPHASH_LANES], unsigned count, uint64_t out[2 * SIPHASH_LANES])
{
	lanes v[4], w[4], word;

	lanes_begin(v, key);
	lanes_begin(w, key);
	for (unsigned i = 0; i < count; i++) {
		lanes second;

		memcpy(&word, words[i], sizeof(word));
		memcpy(&second, words[count + i], sizeof(second));
		lanes_absorb(v, &word, 2);
		lanes_absorb(w, &second, 2);
	}
	lanes_fill(&word, (uint64_t)count * 8 << 56);
	lanes_absorb(v, &word, 2);
	lanes_absorb(w, &word, 2);
	lanes_end(v, 4, out);
	lanes_end(w, 4, out + SIPHASH_LANES);
}

// Each pair of round counts in the instruction set that is there; AVX-512 rotates in one
// instruction.
#ifdef __x86_64__
#define LANES_IN(name, isa, word_rounds, end_rounds)                                               \
	__attribute__((target(isa))) static void name(struct siphash_key key,                      \
		const void *const data[SIPHASH_LANES], size_t len, uint64_t out[SIPHASH_LANES])    \
	{                                                                                          \
		lanes_hash(key, data, len, word_rounds, end_rounds, out);                          \
	}
LANES_IN(lanes13_avx512, "avx512f", 1, 3)
LANES_IN(lanes13_avx2, "avx2", 1, 3)

#define WORDS_IN(name, isa)                                                                        \
	__attribute__((target(isa))) static void name(struct siphash_key key,                      \
		const uint64_t(*words)[SIPHASH_LANES], unsigned count,                             \
		uint64_t out[SIPHASH_LANES])                                                       \
	{                                                                                          \
		lanes_hash_words(key, words, count, out);                                          \
	}
WORDS_IN(words24_avx512, "avx512f")
WORDS_IN(words24_avx2, "avx2")

// Less than that has no registers for two.
__attribute__((target("avx512f"))) static void two24_avx512(struct siphash_key key,
	const uint64_t (*words)[SIPHASH_LANES], unsigned count, uint64_t out[2 * SIPHASH_LANES])
{
	lanes_hash_two(key, words, count, out);
}
#endif

void siphash13_lanes(struct siphash_key key, const void *const data[SIPHASH_LANES], size_t len,
	uint64_t out[SIPHASH_LANES])
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f")) {
		lanes13_avx512(key, data, len, out);
		return;
	}
	if (__builtin_cpu_supports("avx2")) {
		lanes13_avx2(key, data, len, out);
		return;
	}
#endif
	for (unsigned lane = 0; lane < SIPHASH_LANES; lane++)
		out[lane] = siphash13(key, data[lane], len);
}

static uint64_t hash_words(struct siphash_key key, const uint64_t (*words)[SIPHASH_LANES],
	unsigned count, unsigned lane)
{
	uint64_t message[SIPHASH_WORDS_MAX];

	for (unsigned i = 0; i < count; i++)
		message[i] = words[i][lane];
	return siphash24(key, message, count * sizeof(message[0]));
}

void siphash24_words(struct siphash_key key, const uint64_t (*words)[SIPHASH_LANES], unsigned count,
	uint64_t out[SIPHASH_LANES])
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f")) {
		words24_avx512(key, words, count, out);
		return;
	}
	if (__builtin_cpu_supports("avx2")) {
		words24_avx2(key, words, count, out);
		return;
	}
#endif
	for (unsigned lane = 0; lane < SIPHASH_LANES; lane++)
		out[lane] = hash_words(key, words, count, lane);
}

void siphash24_words_two(struct siphash_key key, const uint64_t (*words)[SIPHASH_LANES],
	unsigned count, uint64_t out[2 * SIPHASH_LANES])
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f")) {
		two24_avx512(key, words, count, out);
		return;
	}
#endif
	siphash24_words(key, words, count, out);
	siphash24_words(key, words + count, count, out + SIPHASH_LANES);
}
