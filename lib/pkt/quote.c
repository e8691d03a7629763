#include "pkt/quote.h"

#include "base/check.h"
#include "base/error.h"
#include "pkt/checksum.h"
#include "pkt/ip6.h"
#include "pkt/options.h"

#include <string.h>

#define IP4_HEADER_BYTES    20
#define IP4_FRAGMENT_OFFSET 0x1fff
#define UPPER_BYTES_MIN	    8 // what every quote must have of the upper layer (RFC 792)
#define ICMP_CHECKSUM	    2

// Offsets in the quoted TCP header.
enum {
	SEQ = 4,
	ACK = 8,
	CHECKSUM = 16,
	HEADER_BYTES = 20,
};

// Finds the upper layer behind a quoted IPv4 header; the checksum and the length of a quote are
// often wrong, because routers quote what they had changed, so neither is looked at.
static int find_upper_ip4(struct quote *quote, const struct view *view)
{
	const uint8_t *ip = view->data + quote->l3;
	unsigned room = view->limit - quote->l3;
	unsigned header_bytes;

	if (room < IP4_HEADER_BYTES || ip[0] >> 4 != 4)
		return -ERR_MALFORMED;
	header_bytes = (ip[0] & 0x0f) * 4u;
	if (header_bytes < IP4_HEADER_BYTES || header_bytes > room ||
		(be16_get(ip + 6) & IP4_FRAGMENT_OFFSET) != 0)
		return -ERR_MALFORMED;
	quote->l4 = (uint16_t)(quote->l3 + header_bytes);
	quote->protocol = ip[9];
	quote->src = addr_from_ip4(ip + 12);
	quote->dst = addr_from_ip4(ip + 16);
	return 0;
}

static int find_upper_ip6(struct quote *quote, const struct view *view)
{
	const uint8_t *ip = view->data + quote->l3;
	struct ip6_chain chain = {.at = (uint16_t)(quote->l3 + IP6_HEADER_BYTES)};

	if (view->limit - quote->l3 < IP6_HEADER_BYTES || ip[0] >> 4 != 6)
		return -ERR_MALFORMED;
	chain.next = ip[6];
	if (ip6_walk(&chain, view->data, view->limit) != IP6_WALK_WHOLE ||
		(chain.fragment & IP6_FRAGMENT_OFFSET) != 0)
		return -ERR_MALFORMED;
	quote->l4 = chain.at;
	quote->protocol = chain.next;
	quote->src = addr_from_ip6(ip + 8);
	quote->dst = addr_from_ip6(ip + 24);
	return 0;
}

static void parse_timestamps(struct quote *quote, const struct view *view, unsigned room)
{
	unsigned header_bytes = (view->data[quote->l4 + 12] >> 4) * 4u;
	struct options options;

	if (header_bytes < HEADER_BYTES || header_bytes > room)
		return;
	options_parse_range(&options, view->data, (uint16_t)(quote->l4 + HEADER_BYTES),
		(uint16_t)(quote->l4 + header_bytes));
	if (!(options.bits & OPTION_TIMESTAMPS))
		return;
	quote->bits |= QUOTE_TIMESTAMPS;
	quote->timestamps_at = options.timestamps_at;
}

static void parse_tcp(struct quote *quote, const struct view *view, unsigned room)
{
	const uint8_t *tcp = view->data + quote->l4;

	quote->bits |= QUOTE_PORTS | QUOTE_SEQ;
	quote->sport = be16_get(tcp);
	quote->dport = be16_get(tcp + 2);
	quote->seq = be32_get(tcp + SEQ);
	if (room < 12)
		return;
	quote->bits |= QUOTE_ACK;
	quote->ack = be32_get(tcp + ACK);
	if (room >= 14)
		quote->tcp_flags = tcp[13];
	if (room < CHECKSUM + 2)
		return;
	quote->bits |= QUOTE_CHECKSUM;
	parse_timestamps(quote, view, room);
}

static void parse_udp(struct quote *quote, const struct view *view)
{
	const uint8_t *udp = view->data + quote->l4;

	quote->bits |= QUOTE_PORTS | QUOTE_CHECKSUM;
	quote->sport = be16_get(udp);
	quote->dport = be16_get(udp + 2);
}

static void parse_icmp(struct quote *quote, const struct view *view)
{
	const uint8_t *icmp = view->data + quote->l4;

	if (!view_icmp_type_is_query(view->bits, icmp[0]))
		return; // nobody answers an error with an error
	quote->bits |= QUOTE_PORTS;
	quote->icmp_id = be16_get(icmp + 4);
}

// RFC 1191 4 and RFC 4443 3.2.
static uint32_t stated_mtu(const struct view *view)
{
	const uint8_t *icmp = view->data + view->l4;

	if (view->bits & VIEW_IP6)
		return view->icmp_type == 2 ? be32_get(icmp + 4) : 0;
	return view->icmp_type == 3 && view->icmp_code == 4 ? be16_get(icmp + 6) : 0;
}

int quote_parse(struct quote *quote, const struct view *view)
{
	bool ip6 = view->bits & VIEW_IP6;
	unsigned room;
	int err;

	memset(quote, 0, sizeof(*quote));
	quote->l3 = view->payload;
	err = ip6 ? find_upper_ip6(quote, view) : find_upper_ip4(quote, view);
	if (err != 0)
		return err;
	room = view->limit - quote->l4;
	if (room < UPPER_BYTES_MIN)
		return -ERR_MALFORMED;
	quote->mtu = stated_mtu(view);
	if (quote->protocol == PROTOCOL_TCP)
		parse_tcp(quote, view, room);
	else if (quote->protocol == PROTOCOL_UDP)
		parse_udp(quote, view);
	else if (quote->protocol == (ip6 ? PROTOCOL_ICMP6 : PROTOCOL_ICMP))
		parse_icmp(quote, view);
	return 0;
}

// The outer ICMP checksum, after 4 bytes at an offset from frame->data changed.
static void mend_outer(struct view *view, uint16_t offset, uint32_t from, uint32_t to)
{
	uint8_t *sum_at = view->data + view->l4 + ICMP_CHECKSUM;

	be16_put(sum_at,
		checksum_update32_at(be16_get(sum_at), (unsigned)(offset - view->l4), from, to));
}

// Adds to 4 quoted bytes and mends the checksums around them; returns the new value.
static uint32_t shift32(struct view *view, const struct quote *quote, uint16_t offset, uint32_t by)
{
	uint8_t *sum_at = view->data + quote->l4 + CHECKSUM;
	uint32_t from = be32_get(view->data + offset);
	uint32_t to = from + by;

	be32_put(view->data + offset, to);
	mend_outer(view, offset, from, to);
	if (quote->bits & QUOTE_CHECKSUM) {
		uint16_t old = be16_get(sum_at);
		uint16_t new = checksum_update32_at(old, (unsigned)(offset - quote->l4), from, to);

		be16_put(sum_at, new);
		mend_outer(view, (uint16_t)(quote->l4 + CHECKSUM), (uint32_t)old << 16,
			(uint32_t) new << 16);
	}
	return to;
}

void quote_translate(struct view *view, struct quote *quote, const struct quote_shift *shift)
{
	// Without ACK the acknowledgement and TSecr mean nothing and were sent as they are. Flags
	// of 0 are flags that were not quoted: assume an ACK, which all but the first segment have.
	bool has_ack = quote->tcp_flags == 0 || (quote->tcp_flags & TCP_ACK);

	CHECK(quote->protocol == PROTOCOL_TCP);
	if (quote->bits & QUOTE_SEQ)
		quote->seq = shift32(view, quote, (uint16_t)(quote->l4 + SEQ), shift->seq);
	if ((quote->bits & QUOTE_ACK) && has_ack)
		quote->ack = shift32(view, quote, (uint16_t)(quote->l4 + ACK), shift->ack);
	if (!(quote->bits & QUOTE_TIMESTAMPS))
		return;
	shift32(view, quote, quote->timestamps_at, shift->tsval);
	if (has_ack)
		shift32(view, quote, (uint16_t)(quote->timestamps_at + 4), shift->tsecr);
}
