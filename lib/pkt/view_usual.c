// The short cuts for most of what arrives: TCP in IPv4, without tags, IP options or fragments, and
// right in every respect. view.c says what is wrong with the rest.
#include "pkt/checksum.h"
#include "pkt/view.h"

#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define ETHERNET_BYTES	 14
#define ETHERTYPE_IP4	 0x0800
#define IP4_HEADER_BYTES 20
#define TCP_HEADER_BYTES 20
#define FRAGMENT	 0x3fff // offset, and whether more follow

// False, and nothing done, for anything else, and for what is not well-formed.
static ALWAYS_INLINE bool parse(struct view *view, const struct frame *frame)
{
	const uint8_t *ip = frame->data + ETHERNET_BYTES, *tcp = ip + IP4_HEADER_BYTES;
	unsigned total_bytes, header_bytes;

	if (frame->len < ETHERNET_BYTES + IP4_HEADER_BYTES + TCP_HEADER_BYTES)
		return false;
	// Ethertype, version and header length; fragment offset and protocol.
	if (be32_get(ip - 2) >> 8 != (ETHERTYPE_IP4 << 8 | 0x45) ||
		(be32_get(ip + 6) & (FRAGMENT << 16 | 0xff)) != PROTOCOL_TCP)
		return false;
	total_bytes = be16_get(ip + 2);
	header_bytes = (tcp[12] >> 4) * 4u;
	if (header_bytes < TCP_HEADER_BYTES || total_bytes < IP4_HEADER_BYTES + header_bytes ||
		total_bytes > frame->len - (unsigned)ETHERNET_BYTES)
		return false;
	// Every member: what is left out would have to be cleared first.
	*view = (struct view){.data = frame->data,
		.bits = VIEW_IP4 | VIEW_TCP,
		.ethertype = ETHERTYPE_IP4,
		.l3 = ETHERNET_BYTES,
		.l4 = ETHERNET_BYTES + IP4_HEADER_BYTES,
		.payload = (uint16_t)(ETHERNET_BYTES + IP4_HEADER_BYTES + header_bytes),
		.end = (uint16_t)(ETHERNET_BYTES + total_bytes),
		.limit = (uint16_t)(ETHERNET_BYTES + total_bytes),
		.protocol = PROTOCOL_TCP,
		.ttl = ip[8],
		.tcp_flags = tcp[13],
		.tcp_ae = tcp[12] & 1,
		.icmp_type = 0,
		.icmp_code = 0,
		.icmp_id = 0,
		.sport = be16_get(tcp),
		.dport = be16_get(tcp + 2),
		.window = be16_get(tcp + 14),
		.seq = be32_get(tcp + 4),
		.ack = be32_get(tcp + 8),
		.src = addr_from_ip4(ip + 12),
		.dst = addr_from_ip4(ip + 16)};
	return true;
}

// Adds a word, and what it carries out of the top at the bottom: checksum_fold() takes the sum as
// it is.
static ALWAYS_INLINE uint64_t add(uint64_t sum, uint64_t word)
{
	sum += word;
	sum += sum < word;
	__asm__("" : "+r"(sum)); // vectors pay for more than a header has
	return sum;
}

static ALWAYS_INLINE uint64_t load64(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static ALWAYS_INLINE bool ip_sum_good(const uint8_t *ip)
{
	uint32_t last;

	memcpy(&last, ip + 16, sizeof(last));
	return checksum_is_good(add(add(load64(ip), load64(ip + 8)), last));
}

// From the addresses, which are the last of the IP header, to the end.
static ALWAYS_INLINE bool tcp_sum_good(const uint8_t *ip, unsigned tcp_bytes)
{
	const uint8_t *p = ip + 12;
	unsigned bytes = 8 + tcp_bytes, rest = bytes % 8;
	uint64_t sum = checksum_word(tcp_bytes) + checksum_word(PROTOCOL_TCP);

	if (bytes > CHECKSUM_SHORT_BYTES)
		return checksum_is_good(checksum_add_long(sum, p, bytes));
	for (unsigned at = 0; at + 8 <= bytes; at += 8)
		sum = add(sum, load64(p + at));
	if (rest > 0)
		sum = add(sum, load64(p + bytes - 8) >> (64 - 8 * rest));
	return checksum_is_good(sum);
}

static ALWAYS_INLINE bool sums_good(const uint8_t *ip, unsigned tcp_bytes)
{
	return ip_sum_good(ip) && tcp_sum_good(ip, tcp_bytes);
}

// Neither "this network", loopback, multicast nor behind it (view_check_addresses()).
static bool is_plain(unsigned net)
{
	return net - 1 < 223 && net != 127;
}

static ALWAYS_INLINE bool ends_good(const uint8_t *ip, const struct view *view)
{
	return is_plain(ip[12]) && is_plain(ip[16]) && view->sport != 0 && view->dport != 0 &&
	       (view->sport != view->dport || be32_get(ip + 12) != be32_get(ip + 16));
}

enum reason view_parse(struct view *view, const struct frame *frame)
{
	return parse(view, frame) ? REASON_NONE : view_parse_any(view, frame);
}

enum reason view_verify(const struct view *view, const struct frame *frame)
{
	const uint8_t known = FRAME_L3_GOOD | FRAME_L3_BAD | FRAME_L4_GOOD | FRAME_L4_BAD;

	if (view->bits == (VIEW_IP4 | VIEW_TCP) && !(frame->flags & (known | FRAME_TRUNCATED)))
		return sums_good(view->data + view->l3, (unsigned)(view->end - view->l4))
			       ? REASON_NONE
			       : REASON_bad_checksum;
	return view_verify_any(view, frame);
}

bool view_take_usual(struct view *view, const struct frame *frame)
{
	const uint8_t *ip = frame->data + ETHERNET_BYTES;

	if (!parse(view, frame) || !ends_good(ip, view))
		return false;
	if (frame->flags == 0)
		return sums_good(ip, (unsigned)(view->end - view->l4));
	return frame->flags == (FRAME_L3_GOOD | FRAME_L4_GOOD);
}
