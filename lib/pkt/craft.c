#include "pkt/craft.h"

#include "base/check.h"
#include "base/error.h"
#include "pkt/checksum.h"
#include "pkt/ip6.h"

#include <string.h>

#define L2_BYTES_MAX	 (14 + 4 * VIEW_TAGS_MAX)
#define IP4_HEADER_BYTES 20
#define TCP_HEADER_BYTES 20
#define TCP_WORDS	 (TCP_HEADER_BYTES / 4)
#define WORDS_MAX	 (TCP_WORDS + OPTIONS_BYTES_MAX / 4)

// Headers are made as words of 32 bits in the order of the wire, which are summed before they are
// stored: to load what was just stored in other sizes makes the processor wait.
struct segment {
	bool ip4;
	uint8_t ttl;
	uint32_t flow_label;
	struct addr src, dst;
	uint32_t words[WORDS_MAX]; // TCP header with options
	unsigned word_count;
};

static uint32_t wire32(uint32_t value)
{
	return __builtin_bswap32(value);
}

static uint32_t wire16s(unsigned first, unsigned second)
{
	return wire32(first << 16 | second);
}

// The layouts of whole sets, as most SYNs offer them, without options_write()'s way over bytes.
static unsigned put_options(uint32_t *words, const struct options *options)
{
	const unsigned most = OPTION_MSS | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_WSCALE;
	uint8_t bytes[OPTIONS_BYTES_MAX];
	unsigned len;

	if (options->bits == most && options->wscale <= OPTIONS_WSCALE_MAX) {
		words[0] = wire16s(0x0204, options->mss);
		words[1] = wire32(0x0402080a);
		words[2] = wire32(options->tsval);
		words[3] = wire32(options->tsecr);
		words[4] = wire32(0x03030001u | (uint32_t)options->wscale << 8);
		return 5;
	}
	if (options->bits == OPTION_MSS) {
		words[0] = wire16s(0x0204, options->mss);
		return 1;
	}
	len = options_write(bytes, options);
	memcpy(words, bytes, len);
	return len / 4;
}

// Everything taken from the model before the first byte is written: it may be the same memory.
static void segment_init(
	struct segment *segment, const struct view *model, const struct craft *craft)
{
	bool reply = craft->reply;
	unsigned ports_first = reply ? model->dport : model->sport;
	unsigned ports_second = reply ? model->sport : model->dport;
	uint32_t bytes;

	segment->ip4 = model->bits & VIEW_IP4;
	segment->ttl = craft->ttl != 0 ? craft->ttl : CRAFT_TTL;
	segment->flow_label =
		segment->ip4 || reply ? 0 : be32_get(model->data + model->l3) & 0x000fffff;
	segment->src = reply ? model->dst : model->src;
	segment->dst = reply ? model->src : model->dst;
	segment->word_count = TCP_WORDS + put_options(segment->words + TCP_WORDS, &craft->options);
	bytes = segment->word_count * 4;
	segment->words[0] = wire16s(ports_first, ports_second);
	segment->words[1] = wire32(craft->seq);
	segment->words[2] = wire32(craft->ack);
	segment->words[3] = wire32(bytes << 26 | (uint32_t)craft->tcp_flags << 16 | craft->window);
	segment->words[4] = 0; // checksum and urgent pointer
}

static uint64_t sum_words(uint64_t sum, const uint32_t *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		sum += words[i];
		__asm__("" : "+r"(sum));
	}
	return sum;
}

static uint64_t sum_addresses(const struct segment *segment)
{
	uint32_t words[8];
	unsigned skip = segment->ip4 ? 3 : 0;

	memcpy(words, &segment->src, ADDR_BYTES);
	memcpy(words + 4, &segment->dst, ADDR_BYTES);
	return sum_words(sum_words(0, words + skip, 4 - skip), words + 4 + skip, 4 - skip);
}

// The checksum field's bits of a word whose second or first half it is.
static uint32_t finished(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}

static void write_ip4(uint8_t *ip, const struct segment *segment, uint64_t addresses)
{
	unsigned bytes = IP4_HEADER_BYTES + segment->word_count * 4;
	uint32_t words[3] = {wire16s(0x4500, bytes), wire16s(0, 0x4000), // DF
		wire16s((unsigned)segment->ttl << 8 | PROTOCOL_TCP, 0)};

	words[2] |= finished(sum_words(addresses, words, 3)) << 16;
	memcpy(ip, words, sizeof(words));
	memcpy(ip + 12, segment->src.b + 12, 4);
	memcpy(ip + 16, segment->dst.b + 12, 4);
}

static void write_ip6(uint8_t *ip, const struct segment *segment)
{
	be32_put(ip, 6u << 28 | segment->flow_label);
	be16_put(ip + 4, (uint16_t)(segment->word_count * 4));
	ip[6] = PROTOCOL_TCP;
	ip[7] = segment->ttl;
	memcpy(ip + 8, segment->src.b, ADDR_BYTES);
	memcpy(ip + 24, segment->dst.b, ADDR_BYTES);
}

static void write_tcp(uint8_t *tcp, const struct segment *segment, uint64_t addresses)
{
	uint64_t sum = addresses + checksum_word(PROTOCOL_TCP + segment->word_count * 4);
	uint16_t checksum;

	for (unsigned i = 0; i < segment->word_count; i++) {
		sum += segment->words[i];
		memcpy(tcp + 4 * i, &segment->words[i], 4);
		__asm__("" : "+r"(sum)); // word by word, as they were stored: see above
	}
	checksum = (uint16_t)~checksum_fold(sum);
	memcpy(tcp + 16, &checksum, sizeof(checksum));
}

// The two addresses change places in registers: pieces of a copy would not be stored as they are
// loaded.
static void swap_macs(uint8_t *out, const uint8_t *l2)
{
	uint64_t front, back; // bytes 0-7 and 4-11
	uint32_t rest;

	memcpy(&front, l2, sizeof(front));
	memcpy(&back, l2 + 4, sizeof(back));
	rest = (uint32_t)(front >> 16);
	front = back >> 16 | front << 48;
	memcpy(out, &front, sizeof(front));
	memcpy(out + 8, &rest, sizeof(rest));
}

static void write_l2(uint8_t *out, const struct view *model, bool reply)
{
	if (out != model->data)
		memcpy(out, model->data, model->l3);
	if (reply)
		swap_macs(out, model->data);
}

int craft_tcp(struct frame *out, const struct view *model, const struct craft *craft)
{
	uint32_t room = (uint32_t)out->len + out->tailroom;
	uint16_t ip_bytes, len;
	struct segment segment;
	uint64_t addresses;

	CHECK((model->bits & VIEW_TCP) && model->l3 <= L2_BYTES_MAX);
	segment_init(&segment, model, craft);
	ip_bytes = segment.ip4 ? IP4_HEADER_BYTES : IP6_HEADER_BYTES;
	len = (uint16_t)(model->l3 + ip_bytes + segment.word_count * 4);
	if (len > room)
		return -ERR_MEMORY;
	addresses = sum_addresses(&segment);
	write_l2(out->data, model, craft->reply);
	if (segment.ip4)
		write_ip4(out->data + model->l3, &segment, addresses);
	else
		write_ip6(out->data + model->l3, &segment);
	write_tcp(out->data + model->l3 + ip_bytes, &segment, addresses);
	out->len = len;
	out->tailroom = (uint16_t)(room - len < UINT16_MAX ? room - len : UINT16_MAX);
	out->flags = 0;
	return 0;
}

void craft_reset_for(struct craft *craft, const struct view *model)
{
	memset(craft, 0, sizeof(*craft));
	craft->reply = true;
	craft->tcp_flags = TCP_RST;
	if (model->tcp_flags & TCP_ACK) {
		craft->seq = model->ack;
		return;
	}
	craft->tcp_flags = TCP_RST | TCP_ACK;
	craft->ack = model->seq + view_seg_len(model);
}
