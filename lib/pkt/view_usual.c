// The short cuts for most of what arrives: TCP without tags, IP options, extension headers or
// fragments, and right in every respect. view.c says what is wrong with the rest.
#include "base/bytes.h"
#include "base/cpu.h"
#include "pkt/checksum.h"
#include "pkt/view.h"

#include <string.h>

#define ETHERNET_BYTES	 14
#define ETHERTYPE_IP4	 0x0800
#define ETHERTYPE_IP6	 0x86dd
#define IP4_HEADER_BYTES 20
#define IP6_HEADER_BYTES 40
#define TCP_HEADER_BYTES 20
#define FRAGMENT	 0x3fff // offset, and whether more follow

// TCP behind an IP header without options in a packet of `ip_bytes`. False, and nothing done, for
// what is not well-formed.
static ALWAYS_INLINE bool take_tcp(
	struct view *view, const struct frame *frame, bool ip4, unsigned ip_bytes)
{
	const unsigned ip_header_bytes = ip4 ? IP4_HEADER_BYTES : IP6_HEADER_BYTES;
	const uint8_t *ip = frame->data + ETHERNET_BYTES, *tcp = ip + ip_header_bytes;
	unsigned header_bytes = (tcp[12] >> 4) * 4u;

	if (header_bytes < TCP_HEADER_BYTES || ip_bytes < ip_header_bytes + header_bytes ||
		ip_bytes > frame->len - (unsigned)ETHERNET_BYTES)
		return false;
	// Every member: what is left out would have to be cleared first.
	*view = (struct view){.data = frame->data,
		.bits = (ip4 ? VIEW_IP4 : VIEW_IP6) | VIEW_TCP,
		.ethertype = ip4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6,
		.l3 = ETHERNET_BYTES,
		.l4 = (uint16_t)(ETHERNET_BYTES + ip_header_bytes),
		.payload = (uint16_t)(ETHERNET_BYTES + ip_header_bytes + header_bytes),
		.end = (uint16_t)(ETHERNET_BYTES + ip_bytes),
		.limit = (uint16_t)(ETHERNET_BYTES + ip_bytes),
		.protocol = PROTOCOL_TCP,
		.ttl = ip[ip4 ? 8 : 7],
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
		.src = ip4 ? addr_from_ip4(ip + 12) : addr_from_ip6(ip + 8),
		.dst = ip4 ? addr_from_ip4(ip + 16) : addr_from_ip6(ip + 24)};
	return true;
}

// Ethertype, version and header length; fragment offset and protocol.
static ALWAYS_INLINE bool parse_ip4(struct view *view, const struct frame *frame)
{
	const uint8_t *ip = frame->data + ETHERNET_BYTES;

	return frame->len >= ETHERNET_BYTES + IP4_HEADER_BYTES + TCP_HEADER_BYTES &&
	       be32_get(ip - 2) >> 8 == (ETHERTYPE_IP4 << 8 | 0x45) &&
	       (be32_get(ip + 6) & (FRAGMENT << 16 | 0xff)) == PROTOCOL_TCP &&
	       take_tcp(view, frame, true, be16_get(ip + 2));
}

static ALWAYS_INLINE bool parse_ip6(struct view *view, const struct frame *frame)
{
	const uint8_t *ip = frame->data + ETHERNET_BYTES;

	return frame->len >= ETHERNET_BYTES + IP6_HEADER_BYTES + TCP_HEADER_BYTES &&
	       be32_get(ip - 2) >> 12 == ((uint32_t)ETHERTYPE_IP6 << 4 | 6) &&
	       ip[6] == PROTOCOL_TCP &&
	       take_tcp(view, frame, false, IP6_HEADER_BYTES + be16_get(ip + 4));
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

static ALWAYS_INLINE bool ip_sum_good(const uint8_t *ip)
{
	uint32_t last;

	memcpy(&last, ip + 16, sizeof(last));
	return checksum_is_good(add(add(host64_get(ip), host64_get(ip + 8)), last));
}

// From the addresses, which are the last of the IP header, to the end: 28 bytes at least.
static ALWAYS_INLINE bool tcp_sum_good(const uint8_t *tcp, unsigned addr_bytes, unsigned tcp_bytes)
{
	const uint8_t *p = tcp - 2 * addr_bytes, *end = tcp + tcp_bytes;
	uint64_t sum = checksum_word(tcp_bytes) + checksum_word(PROTOCOL_TCP);
	unsigned rest = tcp_bytes % 8; // the addresses are whole words

	if (tcp_bytes > CHECKSUM_SHORT_BYTES)
		return checksum_is_good(checksum_add_long(sum, p, 2 * addr_bytes + tcp_bytes));
	sum = add(add(add(sum, host64_get(p)), host64_get(p + 8)), host64_get(p + 16));
	for (p += 24; p + 8 <= end; p += 8)
		sum = add(sum, host64_get(p));
	if (rest > 0)
		sum = add(sum, host64_get(end - 8) >> (64 - 8 * rest));
	return checksum_is_good(sum);
}

static ALWAYS_INLINE bool sums_good(const uint8_t *ip, unsigned ip_bytes, bool ip4)
{
	if (!ip4)
		return tcp_sum_good(ip + IP6_HEADER_BYTES, ADDR_BYTES, ip_bytes - IP6_HEADER_BYTES);
	return ip_sum_good(ip) &&
	       tcp_sum_good(ip + IP4_HEADER_BYTES, 4, ip_bytes - IP4_HEADER_BYTES);
}

// Neither "this network", loopback, multicast nor behind it (view_check_addresses()).
static bool is_plain_ip4(unsigned net)
{
	return net - 1 < 223 && net != 127;
}

// Global unicast, 2000::/3.
static bool is_plain_ip6(unsigned top)
{
	return top >> 5 == 1;
}

static ALWAYS_INLINE bool ends_good(const uint8_t *ip, const struct view *view, bool ip4)
{
	bool plain = ip4 ? is_plain_ip4(ip[12]) && is_plain_ip4(ip[16])
			 : is_plain_ip6(ip[8]) && is_plain_ip6(ip[24]);

	return plain && view->sport != 0 && view->dport != 0 &&
	       (view->sport != view->dport || !addr_equal(&view->src, &view->dst));
}

static ALWAYS_INLINE bool is_right(const struct view *view, const struct frame *frame, bool ip4)
{
	const uint8_t *ip = frame->data + ETHERNET_BYTES;

	if (!ends_good(ip, view, ip4))
		return false;
	if (frame->flags == 0)
		return sums_good(ip, (unsigned)(view->end - ETHERNET_BYTES), ip4);
	return frame->flags == (FRAME_L3_GOOD | FRAME_L4_GOOD) ||
	       (!ip4 && frame->flags == FRAME_L4_GOOD);
}

enum reason view_parse(struct view *view, const struct frame *frame)
{
	return parse_ip4(view, frame) || parse_ip6(view, frame) ? REASON_NONE
								: view_parse_any(view, frame);
}

enum reason view_verify(const struct view *view, const struct frame *frame)
{
	const uint8_t known = FRAME_L3_GOOD | FRAME_L3_BAD | FRAME_L4_GOOD | FRAME_L4_BAD;

	if (view->bits == (VIEW_IP4 | VIEW_TCP) && !(frame->flags & (known | FRAME_TRUNCATED)))
		return sums_good(view->data + view->l3, (unsigned)(view->end - view->l3), true)
			       ? REASON_NONE
			       : REASON_bad_checksum;
	return view_verify_any(view, frame);
}

// Apart from IPv4's, which is then the shorter.
__attribute__((noinline)) static bool take_ip6(struct view *view, const struct frame *frame)
{
	return parse_ip6(view, frame) && is_right(view, frame, false);
}

// In line wherever programs are optimised as a whole.
extern ALWAYS_INLINE bool view_take_usual(struct view *view, const struct frame *frame)
{
	if (parse_ip4(view, frame))
		return is_right(view, frame, true);
	return take_ip6(view, frame);
}
