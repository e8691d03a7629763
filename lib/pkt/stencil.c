#include "pkt/stencil.h"

#include "pkt/checksum.h"

#include <stddef.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define FIRST_AT	 10
#define FIRST_END	 (FIRST_AT + STENCIL_BYTES)
#define ETHERTYPE_AT	 12
#define IP_AT		 14
#define SRC_AT		 (IP_AT + 12)
#define DST_AT		 (IP_AT + 16)
#define TCP_AT		 (IP_AT + 20)
#define DPORT_AT	 (TCP_AT + 2)
#define END_MAX		 (TCP_AT + 40)
#define TIMESTAMPS_BYTES 8
#define HALF		 0x8000 // taken off each word, for the processor multiplies signed ones

struct range {
	uint8_t from, to;
};

// What may be anything.
static const struct range open_ranges[] = {
	{IP_AT + 1, IP_AT + 2},						 // TOS
	{IP_AT + 4, IP_AT + 6},						 // identification
	{IP_AT + 8, IP_AT + 9},						 // TTL
	{IP_AT + 10, IP_AT + 12},					 // checksum
	{SRC_AT, DST_AT}, {TCP_AT, DPORT_AT}, {TCP_AT + 4, TCP_AT + 12}, // SEG.SEQ, SEG.ACK
	{TCP_AT + 14, TCP_AT + 20}, // window, checksum, urgent pointer
};

#define OPEN_RANGES  (sizeof(open_ranges) / sizeof(open_ranges[0]))
#define FLAGS_AT     (IP_AT + 6)
#define FLAGS_COVERS 0x3f // not the bit that is reserved, nor DF

// Of one of the destination's bytes.
static uint8_t dst_covered(unsigned byte, unsigned dst_bits)
{
	uint32_t covered = (uint32_t)(UINT64_MAX << (32 - dst_bits));

	return (uint8_t)(covered >> (24 - 8 * byte));
}

static uint8_t covered_bits(unsigned at, struct stencil_bounds bounds)
{
	for (unsigned i = 0; i < OPEN_RANGES; i++)
		if (at >= open_ranges[i].from && at < open_ranges[i].to)
			return 0;
	if (bounds.timestamps_at != 0 && at >= bounds.timestamps_at &&
		at - bounds.timestamps_at < TIMESTAMPS_BYTES)
		return 0;
	if (at >= DST_AT && at < TCP_AT)
		return dst_covered(at - DST_AT, bounds.dst_bits);
	return at == FLAGS_AT ? FLAGS_COVERS : UINT8_MAX;
}

static bool may_be_cut(const struct frame *frame, const struct view *view)
{
	return view->bits == (VIEW_IP4 | VIEW_TCP) && view->l3 == IP_AT && view->l4 == TCP_AT &&
	       view->payload == view->end && view->end <= END_MAX &&
	       (frame->flags == 0 || frame->flags == (FRAME_L3_GOOD | FRAME_L4_GOOD));
}

// What stands in both pieces counts in the first.
static void cut_byte(struct stencil *stencil, unsigned piece, unsigned i, unsigned at,
	struct stencil_bounds bounds)
{
	bool ours = piece == 0 ? at >= ETHERTYPE_AT : at >= FIRST_END;

	stencil->covered[piece][i] = ours ? covered_bits(at, bounds) : 0;
	if (i % 2 != 0 || !ours)
		return;
	stencil->tcp_words[piece][i / 2] = at >= SRC_AT;
	stencil->more[1] += at >= SRC_AT ? HALF : 0;
	if (piece == 0)
		stencil->ip_words[i / 2] = at >= IP_AT && at < TCP_AT;
}

bool stencil_cut(struct stencil *stencil, const struct frame *frame, const struct view *view,
	struct stencil_bounds bounds)
{
	unsigned tcp_bytes = (unsigned)(view->end - TCP_AT);

	if (!may_be_cut(frame, view) || bounds.dst_bits < 8 || bounds.dst_bits > 32)
		return false;
	memset(stencil, 0, sizeof(*stencil));
	stencil->about = stencil_about(frame);
	stencil->second_at = (uint16_t)(view->end - STENCIL_BYTES);
	memcpy(stencil->expected[0], frame->data + FIRST_AT, STENCIL_BYTES);
	memcpy(stencil->expected[1], frame->data + stencil->second_at, STENCIL_BYTES);
	stencil->more[0] = (TCP_AT - IP_AT) / 2 * HALF;
	stencil->more[1] = (uint32_t)(checksum_word(tcp_bytes) + checksum_word(PROTOCOL_TCP));
	for (unsigned i = 0; i < STENCIL_BYTES; i++) {
		cut_byte(stencil, 0, i, FIRST_AT + i, bounds);
		cut_byte(stencil, 1, i, stencil->second_at + i, bounds);
	}
	for (unsigned i = 0; i < STENCIL_BYTES; i++) {
		stencil->expected[0][i] &= stencil->covered[0][i];
		stencil->expected[1][i] &= stencil->covered[1][i];
	}
	memcpy(&stencil->to, frame->data + DST_AT, sizeof(stencil->to));
	memcpy(&stencil->to_covered, &stencil->covered[0][DST_AT - FIRST_AT],
		sizeof(stencil->to_covered));
	stencil->to &= stencil->to_covered;
	return true;
}

// Neither "this network", loopback, multicast nor behind it; a port; and not from itself.
static ALWAYS_INLINE bool source_good(const uint8_t *data)
{
	unsigned net = data[SRC_AT];
	uint16_t sport = host16_get(data + TCP_AT);

	return net - 1 < 223 && net != 127 && sport != 0 &&
	       (host32_get(data + SRC_AT) != host32_get(data + DST_AT) ||
		       sport != host16_get(data + DPORT_AT));
}

static bool is_covered(const uint8_t *p, const uint8_t *expected, const uint8_t *covered)
{
	uint8_t differing = 0;

	for (unsigned i = 0; i < STENCIL_BYTES; i++)
		differing |= (uint8_t)((p[i] ^ expected[i]) & covered[i]);
	return differing == 0;
}

static int32_t sum_words(int32_t sum, const uint8_t *p, const uint16_t *words)
{
	for (unsigned i = 0; i < STENCIL_BYTES / 2; i++)
		sum += (int16_t)(host16_get(p + 2 * i) ^ HALF) * words[i];
	return sum;
}

bool stencil_fits_any(const struct stencil *stencil, const struct frame *frame)
{
	const uint8_t *first = frame->data + FIRST_AT, *second;
	int32_t ip, tcp;

	if (stencil->about == 0 || stencil_about(frame) != stencil->about ||
		!source_good(frame->data))
		return false;
	second = frame->data + stencil->second_at;
	if (!is_covered(first, stencil->expected[0], stencil->covered[0]) ||
		!is_covered(second, stencil->expected[1], stencil->covered[1]))
		return false;
	ip = sum_words(stencil->more[0], first, stencil->ip_words);
	tcp = sum_words(stencil->more[1], first, stencil->tcp_words[0]);
	tcp = sum_words(tcp, second, stencil->tcp_words[1]);
	return frame->flags != 0 ||
	       (checksum_is_good((uint32_t)ip) && checksum_is_good((uint32_t)tcp));
}

#ifdef __x86_64__
#define WIDE __attribute__((target("avx2")))

static ALWAYS_INLINE WIDE __m256i load(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

static ALWAYS_INLINE WIDE __m256i differing(
	__m256i piece, const struct stencil *stencil, unsigned i)
{
	return _mm256_and_si256(
		_mm256_xor_si256(piece, load(stencil->expected[i])), load(stencil->covered[i]));
}

// Both sums side by side. They are of few words: folded once, a good one is 65535 and no other is.
static ALWAYS_INLINE WIDE bool sums_good(
	const struct stencil *stencil, __m256i first, __m256i second)
{
	const __m256i half = _mm256_set1_epi16((int16_t)HALF);
	const __m128i more = _mm_loadu_si128((const __m128i *)stencil->more);
	__m256i ip, tcp, both;
	__m128i sums;

	first = _mm256_xor_si256(first, half);
	second = _mm256_xor_si256(second, half);
	ip = _mm256_madd_epi16(first, load(stencil->ip_words));
	tcp = _mm256_add_epi32(_mm256_madd_epi16(first, load(stencil->tcp_words[0])),
		_mm256_madd_epi16(second, load(stencil->tcp_words[1])));
	both = _mm256_add_epi32(_mm256_unpacklo_epi32(ip, tcp), _mm256_unpackhi_epi32(ip, tcp));
	sums = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
	sums = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
	sums = _mm_add_epi32(sums, more);
	sums = _mm_add_epi32(_mm_srli_epi32(sums, 16), _mm_and_si128(sums, _mm_set1_epi32(0xffff)));
	return _mm_cvtsi128_si64(sums) == 0x0000ffff0000ffff;
}

// In line wherever programs are optimised as a whole.
extern ALWAYS_INLINE WIDE bool stencil_fits_wide(
	const struct stencil *stencil, const struct frame *frame)
{
	__m256i first, second, wrong;

	if (stencil_about(frame) != stencil->about || stencil->about == 0)
		return false;
	first = load(frame->data + FIRST_AT);
	second = load(frame->data + stencil->second_at);
	wrong = _mm256_or_si256(differing(first, stencil, 0), differing(second, stencil, 1));
	return _mm256_testz_si256(wrong, wrong) && source_good(frame->data) &&
	       (frame->flags != 0 || sums_good(stencil, first, second));
}
#else
bool stencil_fits_wide(const struct stencil *stencil, const struct frame *frame)
{
	return stencil_fits_any(stencil, frame);
}
#endif
