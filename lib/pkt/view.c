#include "pkt/view.h"

#include "pkt/checksum.h"
#include "pkt/ip6.h"

#include <string.h>

#define ETHERNET_BYTES	 14
#define TAG_BYTES	 4
#define IP4_HEADER_BYTES 20
#define TCP_HEADER_BYTES 20
#define UDP_HEADER_BYTES 8
#define ICMP_BYTES	 8

#define IP4_FRAGMENT_OFFSET 0x1fff // in units of 8 bytes
#define IP4_FRAGMENT_MORE   0x2000

enum ethertype {
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_IP6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_QINQ_OLD = 0x9100,
};

enum ip4_option {
	IP4_OPTION_EOL = 0,
	IP4_OPTION_NOP = 1,
	IP4_OPTION_LSRR = 131,
	IP4_OPTION_SSRR = 137,
};

static bool is_tag(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ ||
	       ethertype == ETHERTYPE_QINQ_OLD;
}

static bool parse_ethernet(struct view *view, const struct frame *frame)
{
	unsigned at = ETHERNET_BYTES;

	if (frame->len < ETHERNET_BYTES)
		return false;
	view->ethertype = be16_get(view->data + at - 2);
	for (unsigned tags = 0; is_tag(view->ethertype); tags++) {
		if (tags == VIEW_TAGS_MAX || frame->len - at < TAG_BYTES)
			return false;
		at += TAG_BYTES;
		view->ethertype = be16_get(view->data + at - 2);
	}
	view->l3 = (uint16_t)at;
	view->l4 = view->l3;
	view->payload = view->l3;
	view->end = frame->len;
	view->limit = frame->len;
	return true;
}

// Where the packet ends by its own word, which only a cut capture may put behind the frame.
static bool set_end(struct view *view, const struct frame *frame, uint32_t ip_bytes)
{
	uint32_t end = view->l3 + ip_bytes;

	if (end > UINT16_MAX || (end > frame->len && !(frame->flags & FRAME_TRUNCATED)))
		return false;
	view->end = (uint16_t)end;
	view->limit = view->end < frame->len ? view->end : frame->len;
	return true;
}

// `bytes` is what this fragment adds behind `offset`, in the count that IP limits to 65535.
static bool set_fragment(struct view *view, uint32_t offset, bool more, uint32_t bytes)
{
	view->bits |= VIEW_FRAGMENT;
	if (offset == 0)
		view->bits |= VIEW_FIRST;
	if (more && (view->end - view->l4) % 8 != 0)
		return false;
	return offset + bytes <= UINT16_MAX;
}

// A header that ends behind the packet's bytes: what a fragment may do and nothing else.
static enum reason cut_short(const struct view *view)
{
	bool cut_by_fragmentation = (view->bits & VIEW_FRAGMENT) && view->limit == view->end;

	return cut_by_fragmentation ? REASON_NONE : REASON_malformed;
}

static enum reason parse_tcp(struct view *view)
{
	const uint8_t *tcp = view->data + view->l4;
	unsigned room = view->limit - view->l4;
	unsigned header_bytes;

	if (room < TCP_HEADER_BYTES)
		return cut_short(view);
	header_bytes = (tcp[12] >> 4) * 4u;
	if (header_bytes < TCP_HEADER_BYTES)
		return REASON_malformed;
	if (room < header_bytes)
		return cut_short(view);
	view->bits |= VIEW_TCP;
	view->payload = (uint16_t)(view->l4 + header_bytes);
	view->sport = be16_get(tcp);
	view->dport = be16_get(tcp + 2);
	view->seq = be32_get(tcp + 4);
	view->ack = be32_get(tcp + 8);
	view->tcp_ae = tcp[12] & 1;
	view->tcp_flags = tcp[13];
	view->window = be16_get(tcp + 14);
	return REASON_NONE;
}

static enum reason parse_udp(struct view *view)
{
	const uint8_t *udp = view->data + view->l4;
	uint16_t bytes;

	if (view->limit - view->l4 < UDP_HEADER_BYTES)
		return cut_short(view);
	bytes = be16_get(udp + 4);
	if (bytes < UDP_HEADER_BYTES)
		return REASON_malformed;
	// A first fragment states the length of the whole datagram.
	if (!(view->bits & VIEW_FRAGMENT) && bytes > view->end - view->l4)
		return REASON_malformed;
	view->bits |= VIEW_UDP;
	view->payload = (uint16_t)(view->l4 + UDP_HEADER_BYTES);
	view->sport = be16_get(udp);
	view->dport = be16_get(udp + 2);
	return REASON_NONE;
}

static enum reason parse_icmp(struct view *view)
{
	const uint8_t *icmp = view->data + view->l4;

	if (view->limit - view->l4 < ICMP_BYTES)
		return cut_short(view);
	view->bits |= VIEW_ICMP;
	view->payload = (uint16_t)(view->l4 + ICMP_BYTES);
	view->icmp_type = icmp[0];
	view->icmp_code = icmp[1];
	if (view_is_icmp_query(view))
		view->icmp_id = be16_get(icmp + 4);
	return REASON_NONE;
}

static enum reason parse_upper(struct view *view)
{
	view->payload = view->l4;
	if ((view->bits & VIEW_FRAGMENT) && !(view->bits & VIEW_FIRST))
		return REASON_NONE;
	if (view->protocol == PROTOCOL_TCP)
		return parse_tcp(view);
	if (view->protocol == PROTOCOL_UDP)
		return parse_udp(view);
	if (view->protocol == (view->bits & VIEW_IP4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6))
		return parse_icmp(view);
	return REASON_NONE;
}

// RFC 791: each option but the two of one byte has a length that counts the whole option.
static enum reason parse_ip4_options(struct view *view)
{
	unsigned at = view->l3 + IP4_HEADER_BYTES;

	view->bits |= VIEW_IP_OPTIONS;
	while (at < view->l4 && view->data[at] != IP4_OPTION_EOL) {
		uint8_t kind = view->data[at];

		if (kind == IP4_OPTION_NOP) {
			at++;
			continue;
		}
		if (view->l4 - at < 2 || view->data[at + 1] < 2 ||
			view->data[at + 1] > view->l4 - at)
			return REASON_bad_option;
		if (kind == IP4_OPTION_LSRR || kind == IP4_OPTION_SSRR)
			view->bits |= VIEW_SOURCE_ROUTE;
		at += view->data[at + 1];
	}
	return REASON_NONE;
}

static enum reason parse_ip4(struct view *view, const struct frame *frame)
{
	const uint8_t *ip = view->data + view->l3;
	unsigned header_bytes, total_bytes, fragment;
	enum reason reason = REASON_NONE;

	if (frame->len - view->l3 < IP4_HEADER_BYTES || ip[0] >> 4 != 4)
		return REASON_malformed;
	header_bytes = (ip[0] & 0x0f) * 4u;
	total_bytes = be16_get(ip + 2);
	if (header_bytes < IP4_HEADER_BYTES || total_bytes < header_bytes ||
		!set_end(view, frame, total_bytes) || view->limit - view->l3 < (int)header_bytes)
		return REASON_malformed;
	view->bits = VIEW_IP4;
	view->l4 = (uint16_t)(view->l3 + header_bytes);
	view->ttl = ip[8];
	view->protocol = ip[9];
	view->src = addr_from_ip4(ip + 12);
	view->dst = addr_from_ip4(ip + 16);
	fragment = be16_get(ip + 6);
	if ((fragment & (IP4_FRAGMENT_OFFSET | IP4_FRAGMENT_MORE)) &&
		!set_fragment(view, (fragment & IP4_FRAGMENT_OFFSET) * 8,
			fragment & IP4_FRAGMENT_MORE, total_bytes))
		return REASON_malformed;
	if (header_bytes > IP4_HEADER_BYTES)
		reason = parse_ip4_options(view);
	return reason != REASON_NONE ? reason : parse_upper(view);
}

// What the walk over the extension headers found. A chain that goes on behind a first fragment
// leaves `protocol` at the header that is missing, without an upper-layer bit (RFC 7112).
static enum reason parse_ip6_chain(struct view *view)
{
	struct ip6_chain chain = {
		.at = (uint16_t)(view->l3 + IP6_HEADER_BYTES), .next = view->protocol};
	enum ip6_walk walk = ip6_walk(&chain, view->data, view->limit);
	uint16_t payload_bytes = (uint16_t)(view->end - view->l3 - IP6_HEADER_BYTES);

	if (walk == IP6_WALK_BAD)
		return REASON_malformed;
	if (chain.source_route)
		view->bits |= VIEW_SOURCE_ROUTE;
	view->l4 = chain.fragment_at;
	if ((chain.fragment & (IP6_FRAGMENT_OFFSET | IP6_FRAGMENT_MORE)) &&
		!set_fragment(view, chain.fragment & IP6_FRAGMENT_OFFSET,
			chain.fragment & IP6_FRAGMENT_MORE, payload_bytes - 8u))
		return REASON_malformed;
	view->l4 = chain.at;
	view->payload = chain.at;
	view->protocol = chain.next;
	return walk == IP6_WALK_SHORT ? cut_short(view) : parse_upper(view);
}

static enum reason parse_ip6(struct view *view, const struct frame *frame)
{
	const uint8_t *ip = view->data + view->l3;

	if (frame->len - view->l3 < IP6_HEADER_BYTES || ip[0] >> 4 != 6)
		return REASON_malformed;
	// A jumbogram states payload length 0 and then a hop-by-hop header, which does not fit.
	if (!set_end(view, frame, (uint32_t)IP6_HEADER_BYTES + be16_get(ip + 4)))
		return REASON_malformed;
	view->bits = VIEW_IP6;
	view->protocol = ip[6];
	view->ttl = ip[7];
	view->src = addr_from_ip6(ip + 8);
	view->dst = addr_from_ip6(ip + 24);
	return parse_ip6_chain(view);
}

enum reason view_parse_any(struct view *view, const struct frame *frame)
{
	memset(view, 0, sizeof(*view));
	view->data = frame->data;
	if (!parse_ethernet(view, frame))
		return REASON_malformed;
	if (view->ethertype == ETHERTYPE_IP4)
		return parse_ip4(view, frame);
	if (view->ethertype == ETHERTYPE_IP6)
		return parse_ip6(view, frame);
	return REASON_NONE;
}

bool view_icmp_type_is_query(uint16_t bits, uint8_t icmp_type)
{
	if (bits & VIEW_IP6)
		return icmp_type == 128 || icmp_type == 129;
	return icmp_type == 0 || icmp_type == 8 || icmp_type == 13 || icmp_type == 14;
}

bool view_is_icmp_query(const struct view *view)
{
	return (view->bits & VIEW_ICMP) && view_icmp_type_is_query(view->bits, view->icmp_type);
}

// IPv4: unreachable, source quench, redirect, time exceeded, parameter problem (RFC 1122 3.2.2).
// IPv6: unreachable, too big, time exceeded, parameter problem (RFC 4443).
bool view_is_icmp_error(const struct view *view)
{
	uint8_t type = view->icmp_type;

	if (!(view->bits & VIEW_ICMP))
		return false;
	if (view->bits & VIEW_IP6)
		return type >= 1 && type <= 4;
	return (type >= 3 && type <= 5) || type == 11 || type == 12;
}

uint16_t view_checksum_at(const struct view *view)
{
	unsigned offset = view->bits & VIEW_TCP ? 16 : view->bits & VIEW_UDP ? 6 : 2;

	return (uint16_t)(view->l4 + offset);
}

uint64_t view_sum_upper(const struct view *view)
{
	const uint8_t *upper = view->data + view->l4;
	unsigned bytes =
		view->bits & VIEW_UDP ? be16_get(upper + 4) : (unsigned)(view->end - view->l4);
	uint64_t sum = checksum_word(bytes) + checksum_word(view->protocol);

	if (view->bits & VIEW_IP6)
		sum = checksum_add(sum, view->data + view->l3 + 8, 32);
	else if (view->bits & VIEW_ICMP) // version 4 has no pseudo-header
		sum = 0;
	else
		sum = checksum_add(sum, view->data + view->l3 + 12, 8);
	return checksum_add(sum, upper, bytes);
}

static bool ip4_header_good(const struct view *view, const struct frame *frame)
{
	const uint8_t *ip = view->data + view->l3;

	if (frame->flags & (FRAME_L3_GOOD | FRAME_L3_BAD))
		return !(frame->flags & FRAME_L3_BAD);
	return checksum_is_good(checksum_add(0, ip, (ip[0] & 0x0f) * 4u));
}

static bool upper_good(const struct view *view, const struct frame *frame)
{
	if (view->bits & VIEW_UDP && be16_get(view->data + view_checksum_at(view)) == 0)
		return view->bits & VIEW_IP4; // "no checksum"
	if (view->bits & (VIEW_TCP | VIEW_UDP) && frame->flags & (FRAME_L4_GOOD | FRAME_L4_BAD))
		return !(frame->flags & FRAME_L4_BAD);
	if (frame->flags & FRAME_TRUNCATED)
		return true;
	return checksum_is_good(view_sum_upper(view));
}

enum reason view_verify_any(const struct view *view, const struct frame *frame)
{
	if (view->bits & VIEW_IP4 && !ip4_header_good(view, frame))
		return REASON_bad_checksum;
	if (view->bits & VIEW_FRAGMENT || !(view->bits & (VIEW_TCP | VIEW_UDP | VIEW_ICMP)))
		return REASON_NONE;
	return upper_good(view, frame) ? REASON_NONE : REASON_bad_checksum;
}

static bool is_broadcast(const uint8_t ip[4])
{
	return be32_get(ip) == UINT32_MAX;
}

// IPv4: 0/8 is "this network" (RFC 1122 3.2.1.3), 127/8 loopback, 224/4 multicast; 240/4 holds the
// broadcast address.
static bool is_plain(uint32_t ip)
{
	uint32_t net = ip >> 24;

	return net - 1 < 223 && net != 127;
}

static bool addresses_good_ip4(const struct view *view)
{
	const uint8_t *src = view->src.b + 12;
	const uint8_t *dst = view->dst.b + 12;
	bool to_many = dst[0] >> 4 == 14 || is_broadcast(dst);

	if (is_plain(be32_get(src)) && is_plain(be32_get(dst)))
		return true;

	if (dst[0] == 0 || dst[0] == 127 || (to_many && view->protocol == PROTOCOL_TCP))
		return false;
	if (be32_get(src) == 0)
		return view->protocol == PROTOCOL_UDP && is_broadcast(dst);
	return src[0] != 0 && src[0] != 127 && src[0] >> 4 != 14 && !is_broadcast(src);
}

static bool addresses_good_ip6(const struct view *view)
{
	static const struct addr unspecified, loopback = {{[15] = 1}};
	const struct addr *src = &view->src, *dst = &view->dst;

	if (addr_is_ip4(src) || addr_is_ip4(dst))
		return false;
	if (addr_equal(dst, &loopback) || addr_equal(dst, &unspecified) ||
		(dst->b[0] == 0xff && view->protocol == PROTOCOL_TCP))
		return false;
	if (addr_equal(src, &unspecified))
		return view->protocol == PROTOCOL_ICMP6;
	return !addr_equal(src, &loopback) && src->b[0] != 0xff;
}

static bool ports_good(const struct view *view)
{
	if (view->sport == 0 || view->dport == 0)
		return false;
	return view->sport != view->dport || !addr_equal(&view->src, &view->dst);
}

enum reason view_check_addresses(const struct view *view)
{
	bool good = true;

	if (view->bits & VIEW_IP4)
		good = addresses_good_ip4(view);
	else if (view->bits & VIEW_IP6)
		good = addresses_good_ip6(view);
	if (good && view->bits & (VIEW_TCP | VIEW_UDP))
		good = ports_good(view);
	return good ? REASON_NONE : REASON_bad_address;
}
