#include "packet.h"

#include "base/addr.h"
#include "base/check.h"
#include "base/cursor.h"

#include <stdlib.h>
#include <string.h>

enum {
	EXTENSION_ROUTING = 43,
	EXTENSION_FRAGMENT = 44,
	EXTENSION_AUTHENTICATION = 51,
};

// The packet with its defaults filled in and its direction applied.
struct ends {
	struct addr src, dst;
	uint16_t sport, dport;
	uint8_t protocol;
};

static uint64_t sum_bytes(uint64_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	return sum;
}

static uint16_t finish(uint64_t sum)
{
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

static struct addr address(const char *text, const char *otherwise)
{
	struct addr addr;

	CHECK(addr_parse(&addr, text != NULL ? text : otherwise) == 0);
	return addr;
}

static struct ends find_ends(const struct packet *p)
{
	struct addr client = address(p->client, p->ip6 ? "2001:db8:1::10" : "192.0.2.10");
	struct addr server = address(p->server, p->ip6 ? "2001:db8:2::10" : "198.51.100.10");
	uint16_t client_port = p->client_port != 0 ? p->client_port : 40000;
	uint16_t server_port = p->server_port != 0 ? p->server_port : 80;
	uint8_t protocol = p->protocol != 0 ? p->protocol : PROTOCOL_TCP;

	return (struct ends){
		.src = p->from_server ? server : client,
		.dst = p->from_server ? client : server,
		.sport = p->from_server ? server_port : client_port,
		.dport = p->from_server ? client_port : server_port,
		.protocol = protocol == PROTOCOL_ICMP && p->ip6 ? PROTOCOL_ICMP6 : protocol,
	};
}

static void put_bytes_padded(struct cursor *c, struct bytes bytes)
{
	cursor_put(c, bytes.data, bytes.len);
	for (unsigned len = bytes.len; len % 4 != 0; len++)
		cursor_put8(c, 0);
}

static void put_ethernet(struct cursor *c, const struct packet *p)
{
	static const uint8_t client[6] = {2, 0, 0, 0, 0, 1}, server[6] = {2, 0, 0, 0, 0, 2};

	cursor_put(c, p->from_server ? client : server, 6);
	cursor_put(c, p->from_server ? server : client, 6);
	for (unsigned i = 0; i < ARRAY_LEN(p->tags) && p->tags[i] != 0; i++) {
		cursor_put16(c, p->tags[i]);
		cursor_put16(c, (uint16_t)(100 + i));
	}
	cursor_put16(c, p->ip6 ? 0x86dd : 0x0800);
}

static void put_ip4(struct cursor *c, const struct packet *p, const struct ends *ends)
{
	unsigned words = 5 + (p->ip_options.len + 3u) / 4;

	cursor_put8(c, (uint8_t)(4 << 4 | words));
	cursor_put8(c, p->tos);
	cursor_put16(c, 0); // total length: fix_lengths()
	cursor_put16(c, p->id);
	cursor_put16(c, (uint16_t)(p->dont_fragment << 14 | p->more_fragments << 13 |
				   p->fragment_offset / 8));
	cursor_put8(c, p->ttl != 0 ? p->ttl : 64);
	cursor_put8(c, ends->protocol);
	cursor_put16(c, 0); // checksum: fix_checksums()
	cursor_put(c, ends->src.b + 12, 4);
	cursor_put(c, ends->dst.b + 12, 4);
	put_bytes_padded(c, p->ip_options);
}

static void put_extension(struct cursor *c, const struct packet *p, uint8_t type, uint8_t next)
{
	static const uint8_t zeros[22];

	cursor_put8(c, next);
	switch (type) {
	case EXTENSION_ROUTING:
		cursor_put8(c, 0);
		cursor_put16(c, (uint16_t)(p->routing_type << 8));
		cursor_put32(c, 0);
		break;
	case EXTENSION_FRAGMENT:
		cursor_put8(c, 0);
		cursor_put16(c, (uint16_t)(p->fragment_offset | p->more_fragments));
		cursor_put32(c, p->id);
		break;
	case EXTENSION_AUTHENTICATION:
		cursor_put8(c, 4);
		cursor_put(c, zeros, 22);
		break;
	default: // options: one PadN
		cursor_put8(c, 0);
		cursor_put16(c, 1 << 8 | 4);
		cursor_put32(c, 0);
	}
}

static void put_ip6(struct cursor *c, const struct packet *p, const struct ends *ends)
{
	const uint8_t *types = p->extensions.data;
	unsigned count = p->extensions.len;

	cursor_put32(c, 6u << 28 | (uint32_t)p->tos << 20 | p->flow_label);
	cursor_put16(c, 0); // payload length: fix_lengths()
	cursor_put8(c, count > 0 ? types[0] : ends->protocol);
	cursor_put8(c, p->ttl != 0 ? p->ttl : 64);
	cursor_put(c, ends->src.b, 16);
	cursor_put(c, ends->dst.b, 16);
	for (unsigned i = 0; i < count; i++)
		put_extension(c, p, types[i], i + 1 < count ? types[i + 1] : ends->protocol);
}

static void put_tcp(struct cursor *c, const struct packet *p, const struct ends *ends)
{
	unsigned words = 5 + (p->options.len + 3u) / 4;

	cursor_put16(c, ends->sport);
	cursor_put16(c, ends->dport);
	cursor_put32(c, p->seq);
	cursor_put32(c, p->ack);
	cursor_put8(c, (uint8_t)(words << 4 | p->ae));
	cursor_put8(c, p->flags);
	cursor_put16(c, p->window);
	cursor_put32(c, 0);
	put_bytes_padded(c, p->options);
}

static void put_upper(struct cursor *c, const struct packet *p, const struct ends *ends)
{
	if (p->no_upper)
		return;
	if (ends->protocol == PROTOCOL_TCP) {
		put_tcp(c, p, ends);
	} else if (ends->protocol == PROTOCOL_UDP) {
		cursor_put16(c, ends->sport);
		cursor_put16(c, ends->dport);
		cursor_put16(c, (uint16_t)(8 + p->payload.len));
		cursor_put16(c, 0);
	} else if (ends->protocol == PROTOCOL_ICMP || ends->protocol == PROTOCOL_ICMP6) {
		cursor_put8(c, p->type);
		cursor_put8(c, p->code);
		cursor_put16(c, 0);
		cursor_put32(c, p->rest);
	}
}

static void fix_ip(uint8_t *ip, const uint8_t *end, bool ip6)
{
	if (ip6) {
		be16_put(ip + 4, (uint16_t)(end - ip - 40));
		return;
	}
	be16_put(ip + 2, (uint16_t)(end - ip));
	be16_put(ip + 10, finish(sum_bytes(0, ip, (ip[0] & 0x0f) * 4u)));
}

// Offset of the checksum in the upper-layer header, 0 for a protocol without one.
static unsigned checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return 16;
	case PROTOCOL_UDP:
		return 6;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMP6:
		return 2;
	default:
		return 0;
	}
}

// Computes with the bytes of the checksum field as zeros.
static uint16_t upper_checksum(
	const uint8_t *ip, const uint8_t *upper, size_t len, uint8_t protocol)
{
	unsigned offset = checksum_offset(protocol);
	bool ip6 = ip[0] >> 4 == 6;
	uint64_t sum = 0;

	if (protocol != PROTOCOL_ICMP)
		sum = sum_bytes(protocol + len, ip + (ip6 ? 8 : 12), ip6 ? 32 : 8);
	sum = sum_bytes(sum, upper, offset);
	sum = sum_bytes(sum, upper + offset + 2, len - offset - 2);
	if (protocol == PROTOCOL_UDP && finish(sum) == 0)
		return 0xffff;
	return finish(sum);
}

struct frame packet_build(uint8_t room[PACKET_ROOM_BYTES], const struct packet *p)
{
	uint8_t *data = room + PACKET_HEADROOM_BYTES;
	struct cursor c = cursor_write(data, PACKET_ROOM_BYTES - PACKET_HEADROOM_BYTES);
	struct ends ends = find_ends(p);
	unsigned sum_at = checksum_offset(ends.protocol);
	uint8_t *ip, *upper;

	put_ethernet(&c, p);
	ip = c.at;
	if (p->ip6)
		put_ip6(&c, p, &ends);
	else
		put_ip4(&c, p, &ends);
	upper = c.at;
	put_upper(&c, p, &ends);
	cursor_put(&c, p->payload.data, p->payload.len);
	fix_ip(ip, c.at, p->ip6);
	if (!p->no_upper && !p->no_checksum && sum_at != 0)
		be16_put(upper + sum_at,
			upper_checksum(ip, upper, (size_t)(c.at - upper), ends.protocol));
	while (c.at - data < p->pad_to)
		cursor_put8(&c, 0xee);
	CHECK(!c.failed);
	return (struct frame){.data = data,
		.len = (uint16_t)(c.at - data),
		.headroom = PACKET_HEADROOM_BYTES,
		.tailroom = (uint16_t)(c.end - c.at)};
}

struct frame packet_build_exact(const struct packet *packet)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, packet);
	uint8_t *data = malloc(frame.len);

	CHECK(data != NULL);
	memcpy(data, frame.data, frame.len);
	return (struct frame){.data = data, .len = frame.len};
}

struct view packet_view(const struct frame *frame)
{
	struct view view;

	CHECK(view_parse(&view, frame) == REASON_NONE);
	return view;
}

uint16_t packet_upper_checksum(const struct view *view)
{
	const uint8_t *upper = view->data + view->l4;
	size_t len = (size_t)(view->end - view->l4);

	if (view->protocol == PROTOCOL_UDP)
		len = be16_get(upper + 4);
	return upper_checksum(view->data + view->l3, upper, len, view->protocol);
}

bool packet_good(const struct frame *frame)
{
	struct view view;
	const uint8_t *ip;
	uint16_t checksum;

	if (view_parse(&view, frame) != REASON_NONE)
		return false;
	ip = view.data + view.l3;
	if (view.bits & VIEW_IP4 && finish(sum_bytes(0, ip, (ip[0] & 0x0f) * 4u)) != 0)
		return false;
	if (view.bits & VIEW_FRAGMENT || !(view.bits & (VIEW_TCP | VIEW_UDP | VIEW_ICMP)))
		return true;
	checksum = be16_get(view.data + view.l4 + checksum_offset(view.protocol));
	if (view.bits & VIEW_UDP && view.bits & VIEW_IP4 && checksum == 0)
		return true;
	return checksum == packet_upper_checksum(&view);
}
