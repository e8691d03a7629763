#include "pkt/answer.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/cpu.h"
#include "base/error.h"
#include "pkt/checksum.h"

#include <string.h>

#define ETHERNET_BYTES	   14
#define IP4_HEADER_BYTES   20
#define TCP_HEADER_BYTES   20
#define OPTIONS_MOST_BYTES 20 // of most SYNs: MSS, SACK permitted, timestamps, window scale

static uint32_t wire32(uint32_t value)
{
	return __builtin_bswap32(value);
}

static void store32(uint8_t *p, uint32_t word)
{
	memcpy(p, &word, sizeof(word));
}

static void store64(uint8_t *p, uint32_t first, uint32_t second)
{
	uint64_t words = first | (uint64_t)second << 32;

	memcpy(p, &words, sizeof(words));
}

// The checksum field's bits of a word whose first half it is.
static uint32_t finished(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}

// Where options_write() puts TSval.
static uint16_t tsval_at(const struct options *options)
{
	unsigned at = TCP_HEADER_BYTES + 2;

	if (!(options->bits & OPTION_TIMESTAMPS))
		return 0;
	at += options->bits & OPTION_MSS ? 4 : 0;
	at += options->bits & OPTION_SACK_OK ? 2 : 0;
	return (uint16_t)at;
}

void answer_form_init(struct answer_form *form, const struct craft *craft)
{
	struct options options = craft->options;
	uint8_t bytes[OPTIONS_BYTES_MAX];
	unsigned option_bytes, ttl = craft->ttl != 0 ? craft->ttl : CRAFT_TTL;

	options.tsval = options.tsecr = 0;
	option_bytes = options_write(bytes, &options);
	CHECK(option_bytes <= sizeof(form->options));
	memset(form, 0, sizeof(*form));
	memcpy(form->options, bytes, option_bytes);
	form->tsval_at = tsval_at(&options);
	form->tcp_bytes = (uint16_t)(TCP_HEADER_BYTES + option_bytes);
	form->ip_front = wire32(0x45000000u | (IP4_HEADER_BYTES + form->tcp_bytes)) |
			 (uint64_t)wire32(0x4000) << 32; // DF
	form->ip_upper = wire32(ttl << 24 | PROTOCOL_TCP << 16);
	form->tcp_upper = wire32(
		(uint32_t)form->tcp_bytes << 26 | (uint32_t)craft->tcp_flags << 16 | craft->window);
	form->ip_sum = checksum_halves(form->ip_front) + form->ip_upper;
	form->tcp_sum = checksum_add(0, form->options, option_bytes) + form->tcp_upper +
			checksum_word(PROTOCOL_TCP + form->tcp_bytes);
}

void answer_form_set_window(struct answer_form *form, uint16_t window)
{
	form->tcp_sum -= form->tcp_upper;
	form->tcp_upper = (form->tcp_upper & UINT16_MAX) | wire32(window);
	form->tcp_sum += form->tcp_upper;
}

// The two addresses change places in registers: pieces of a copy would not be stored as they are
// loaded.
static void swap_macs(uint8_t *l2)
{
	uint64_t front = host64_get(l2), back = host64_get(l2 + 4); // bytes 0-7 and 4-11
	uint64_t swapped = back >> 16 | front << 48;

	memcpy(l2, &swapped, sizeof(swapped));
	store32(l2 + 8, (uint32_t)(front >> 16));
}

// Returns what the numbers in them add to the sum.
static uint64_t write_options(
	uint8_t *tcp, const struct answer_form *form, const struct answer_numbers *numbers)
{
	uint8_t *to = tcp + TCP_HEADER_BYTES;
	uint32_t tsval, tsecr;

	if (form->tcp_bytes == TCP_HEADER_BYTES + OPTIONS_MOST_BYTES)
		memcpy(to, form->options, OPTIONS_MOST_BYTES);
	else
		memcpy(to, form->options, form->tcp_bytes - TCP_HEADER_BYTES);
	if (form->tsval_at == 0)
		return 0;
	tsval = wire32(numbers->tsval);
	tsecr = wire32(numbers->tsecr);
	store64(tcp + form->tsval_at, tsval, tsecr);
	return (uint64_t)tsval + tsecr;
}

// What is exchanged between a segment and its answer, as stored in the answer.
struct ends {
	uint32_t src, dst, ports;
};

static ALWAYS_INLINE void write_at(struct frame *frame, unsigned l3, const struct ends *ends,
	const struct answer_form *form, const struct answer_numbers *numbers)
{
	uint32_t len = l3 + IP4_HEADER_BYTES + form->tcp_bytes;
	uint32_t room = (uint32_t)frame->len + frame->tailroom - len;
	uint8_t *ip = frame->data + l3, *tcp = ip + IP4_HEADER_BYTES;
	uint32_t seq = wire32(numbers->seq), ack = wire32(numbers->ack);
	uint64_t addresses = (uint64_t)ends->src + ends->dst, sum;

	swap_macs(frame->data);
	memcpy(ip, &form->ip_front, sizeof(form->ip_front));
	store64(ip + 8, form->ip_upper | finished(form->ip_sum + addresses) << 16, ends->src);
	store64(ip + 16, ends->dst, ends->ports);
	store64(tcp + 4, seq, ack);
	sum = form->tcp_sum + addresses + ends->ports + seq + ack +
	      write_options(tcp, form, numbers);
	store64(tcp + 12, form->tcp_upper, finished(sum));
	frame->len = (uint16_t)len;
	frame->tailroom = (uint16_t)(room < UINT16_MAX ? room : UINT16_MAX);
	frame->flags = 0;
}

// In line wherever programs are optimised as a whole.
extern ALWAYS_INLINE int answer_write(struct frame *frame, const struct view *view,
	const struct answer_form *form, const struct answer_numbers *numbers)
{
	const struct ends ends = {.src = host32_get(view->dst.b + 12),
		.dst = host32_get(view->src.b + 12),
		.ports = wire32((uint32_t)view->dport << 16 | view->sport)};
	uint32_t room = (uint32_t)frame->len + frame->tailroom;

	if ((uint32_t)view->l3 + IP4_HEADER_BYTES + form->tcp_bytes > room)
		return -ERR_MEMORY;
	write_at(frame, view->l3, &ends, form, numbers);
	return 0;
}

extern ALWAYS_INLINE void answer_write_cut(
	struct frame *frame, const struct answer_form *form, const struct answer_numbers *numbers)
{
	const uint8_t *ip = frame->data + ETHERNET_BYTES;
	uint32_t ports = host32_get(ip + IP4_HEADER_BYTES);
	const struct ends ends = {.src = host32_get(ip + 16),
		.dst = host32_get(ip + 12),
		.ports = ports << 16 | ports >> 16};

	write_at(frame, ETHERNET_BYTES, &ends, form, numbers);
}
