#include "segment.h"

#include "base/bytes.h"
#include "base/check.h"

enum {
	ETHERNET_BYTES = 14,
	IP4_BYTES = 20,
	IP6_BYTES = 40,
	TCP_BYTES = 20,
	UDP_BYTES = 8,
	TYPE_IP4 = 0x0800,
	TYPE_IP6 = 0x86dd,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	HOPS = 64,
};

// Sum of big-endian words, not folded.
static uint64_t add(uint64_t sum, const uint8_t *p, size_t len)
{
	for (; len >= 4; p += 4, len -= 4)
		sum += be32_get(p);
	for (; len >= 2; p += 2, len -= 2)
		sum += be16_get(p);
	return len == 1 ? sum + (uint64_t)(p[0] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint8_t protocol_of(const struct segment *segment)
{
	return segment->datagram ? PROTOCOL_UDP : PROTOCOL_TCP;
}

static uint64_t upper_sum(const uint8_t *ip, const uint8_t *upper, size_t len)
{
	bool ip6 = ip[0] >> 4 == 6;
	uint64_t sum = add(ip[ip6 ? 6 : 9] + len, ip + (ip6 ? 8 : 12), ip6 ? 32 : 8);

	return add(sum, upper, len);
}

static uint8_t *put_timestamps(uint8_t *at, const struct segment *segment)
{
	at[0] = at[1] = 1;
	at[2] = 8;
	at[3] = 10;
	be32_put(at + 4, segment->tsval);
	be32_put(at + 8, segment->tsecr);
	return at + 12;
}

static uint8_t *put_sacks(uint8_t *at, const struct segment *segment)
{
	at[0] = at[1] = 1;
	at[2] = 5;
	at[3] = (uint8_t)(2 + 8 * segment->sack_count);
	at += 4;
	for (unsigned i = 0; i < segment->sack_count; i++, at += 8) {
		be32_put(at, segment->sack[i][0]);
		be32_put(at + 4, segment->sack[i][1]);
	}
	return at;
}

static uint8_t *put_options(uint8_t *at, const struct segment *segment)
{
	if (segment->mss != 0) {
		at[0] = 2;
		at[1] = 4;
		be16_put(at + 2, segment->mss);
		at += 4;
	}
	if (segment->wscale != SEGMENT_NO_SCALE) {
		at[0] = 1;
		at[1] = at[2] = 3;
		at[3] = segment->wscale;
		at += 4;
	}
	if (segment->sack_ok) {
		at[0] = at[1] = 1;
		at[2] = 4;
		at[3] = 2;
		at += 4;
	}
	if (segment->timestamps)
		at = put_timestamps(at, segment);
	if (segment->sack_count > 0)
		at = put_sacks(at, segment);
	return at;
}

static uint8_t *put_ip(uint8_t *ip, const struct segment *segment, size_t upper_len)
{
	if (!addr_is_ip4(&segment->src)) {
		be32_put(ip, 6u << 28);
		be16_put(ip + 4, (uint16_t)upper_len);
		ip[6] = protocol_of(segment);
		ip[7] = HOPS;
		memcpy(ip + 8, segment->src.b, 16);
		memcpy(ip + 24, segment->dst.b, 16);
		return ip + IP6_BYTES;
	}
	memset(ip, 0, IP4_BYTES);
	ip[0] = 0x45;
	be16_put(ip + 2, (uint16_t)(IP4_BYTES + upper_len));
	ip[6] = 0x40;
	ip[8] = HOPS;
	ip[9] = protocol_of(segment);
	memcpy(ip + 12, segment->src.b + 12, 4);
	memcpy(ip + 16, segment->dst.b + 12, 4);
	be16_put(ip + 10, (uint16_t)~fold(add(0, ip, IP4_BYTES)));
	return ip + IP4_BYTES;
}

// Returns its end.
static uint8_t *put_tcp(uint8_t *tcp, const struct segment *segment)
{
	uint8_t *payload = put_options(tcp + TCP_BYTES, segment);

	be32_put(tcp + 4, segment->seq);
	be32_put(tcp + 8, segment->flags & FLAG_ACK ? segment->ack : 0);
	tcp[12] = (uint8_t)((payload - tcp) / 4 << 4);
	tcp[13] = segment->flags;
	be16_put(tcp + 14, segment->window);
	be32_put(tcp + 16, 0);
	return payload;
}

static uint8_t *put_udp(uint8_t *udp, const struct segment *segment)
{
	be16_put(udp + 4, (uint16_t)(UDP_BYTES + segment->payload_len));
	be16_put(udp + 6, 0);
	return udp + UDP_BYTES;
}

uint16_t segment_write(const struct segment *segment, uint8_t *out)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	bool ip4 = addr_is_ip4(&segment->src);
	uint8_t *ip = out + ETHERNET_BYTES;
	uint8_t *upper = ip + (ip4 ? IP4_BYTES : IP6_BYTES);
	uint8_t *payload = segment->datagram ? put_udp(upper, segment) : put_tcp(upper, segment);
	size_t len = (size_t)(payload - upper) + segment->payload_len;

	memcpy(out, addresses, sizeof(addresses));
	be16_put(out + 12, ip4 ? TYPE_IP4 : TYPE_IP6);
	put_ip(ip, segment, len);
	be16_put(upper, segment->sport);
	be16_put(upper + 2, segment->dport);
	if (segment->payload_len > 0)
		memcpy(payload, segment->payload, segment->payload_len);
	be16_put(upper + (segment->datagram ? 6 : 16), (uint16_t)~fold(upper_sum(ip, upper, len)));
	return (uint16_t)((size_t)(upper - out) + len);
}

static bool read_option(struct segment *segment, const uint8_t *at, unsigned len)
{
	switch (at[0]) {
	case 2:
		segment->mss = be16_get(at + 2);
		return len == 4;
	case 3:
		segment->wscale = at[2];
		return len == 3;
	case 4:
		segment->sack_ok = true;
		return len == 2;
	case 5:
		segment->sack_count = (len - 2) / 8;
		if (len < 10 || len > 34 || (len - 2) % 8 != 0)
			return false;
		for (unsigned i = 0; i < segment->sack_count; i++) {
			segment->sack[i][0] = be32_get(at + 2 + 8 * i);
			segment->sack[i][1] = be32_get(at + 6 + 8 * i);
		}
		return true;
	case 8:
		segment->timestamps = true;
		segment->tsval = be32_get(at + 2);
		segment->tsecr = be32_get(at + 6);
		return len == 10;
	default:
		return true;
	}
}

static bool read_options(struct segment *segment, const uint8_t *at, const uint8_t *end)
{
	while (at < end && at[0] != 0) {
		if (at[0] == 1) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at ||
			!read_option(segment, at, at[1]))
			return false;
		at += at[1];
	}
	return true;
}

// The upper layer's first byte, NULL where the header is damaged; *end is set behind its last.
static const uint8_t *read_ip(
	struct segment *segment, const uint8_t *ip, size_t len, const uint8_t **end)
{
	if (len >= IP6_BYTES && ip[0] >> 4 == 6) {
		segment->src = addr_from_ip6(ip + 8);
		segment->dst = addr_from_ip6(ip + 24);
		segment->datagram = ip[6] == PROTOCOL_UDP;
		*end = ip + IP6_BYTES + be16_get(ip + 4);
		return ip[6] == protocol_of(segment) && *end <= ip + len ? ip + IP6_BYTES : NULL;
	}
	if (len < IP4_BYTES || ip[0] != 0x45 || fold(add(0, ip, IP4_BYTES)) != 0xffff)
		return NULL;
	segment->src = addr_from_ip4(ip + 12);
	segment->dst = addr_from_ip4(ip + 16);
	segment->datagram = ip[9] == PROTOCOL_UDP;
	*end = ip + be16_get(ip + 2);
	return ip[9] == protocol_of(segment) && *end <= ip + len ? ip + IP4_BYTES : NULL;
}

static bool read_tcp(struct segment *segment, const uint8_t *tcp, const uint8_t *end)
{
	unsigned header;

	if (end - tcp < TCP_BYTES)
		return false;
	header = (tcp[12] >> 4) * 4u;
	if (header < TCP_BYTES || header > end - tcp)
		return false;
	segment->seq = be32_get(tcp + 4);
	segment->ack = be32_get(tcp + 8);
	segment->flags = tcp[13] & 0x1f;
	segment->window = be16_get(tcp + 14);
	segment->payload = tcp + header;
	return read_options(segment, tcp + TCP_BYTES, tcp + header);
}

static bool read_udp(struct segment *segment, const uint8_t *udp, const uint8_t *end)
{
	segment->payload = udp + UDP_BYTES;
	return end - udp >= UDP_BYTES && be16_get(udp + 4) == end - udp;
}

// A datagram over IPv4 needs no checksum: damage that leaves 0 in its place leaves none.
static bool has_good_sum(
	const struct segment *segment, const uint8_t *ip, const uint8_t *upper, const uint8_t *end)
{
	if (segment->datagram && ip[0] >> 4 == 4 && be16_get(upper + 6) == 0)
		return true;
	return fold(upper_sum(ip, upper, (size_t)(end - upper))) == 0xffff;
}

bool segment_read(struct segment *segment, const uint8_t *frame, uint16_t len)
{
	const uint8_t *ip = frame + ETHERNET_BYTES, *end, *upper;

	*segment = (struct segment){.wscale = SEGMENT_NO_SCALE};
	if (len < ETHERNET_BYTES + IP4_BYTES)
		return false;
	upper = read_ip(segment, ip, (size_t)(len - ETHERNET_BYTES), &end);
	if (upper == NULL || end - upper < UDP_BYTES || !has_good_sum(segment, ip, upper, end))
		return false;
	segment->sport = be16_get(upper);
	segment->dport = be16_get(upper + 2);
	if (!(segment->datagram ? read_udp : read_tcp)(segment, upper, end))
		return false;
	segment->payload_len = (uint16_t)(end - segment->payload);
	return true;
}
