#include "weir/replay/inside.h"

#include "pkt/view.h"

#include <stdlib.h>

#define ETHERNET_BYTES	  14
#define HEADERS_BYTES	  (20 + 20) // of IPv4 and TCP, at least
#define ETHERTYPE_VERSION 0x080045  // and header length
#define FRAGMENT_PROTOCOL 0x3fff00ff
#define IP4_IN_ADDR	  0xffff00000000

static void take(struct inside *inside, const struct prefix *prefix)
{
	unsigned bits = prefix->bits;

	inside->prefixes[inside->count++] = (struct inside_prefix){.high = be64_get(prefix->addr.b),
		.low = be64_get(prefix->addr.b + 8),
		.high_mask = addr_mask64(bits),
		.low_mask = addr_mask64(bits > 64 ? bits - 64 : 0)};
}

static void take_all(struct inside *inside, const struct prefix *prefixes, unsigned count, bool ip6)
{
	for (unsigned i = 0; i < count; i++)
		if ((prefixes[i].family == 6) == ip6)
			take(inside, &prefixes[i]);
}

static void take_services(struct inside *inside, const struct policy *policy, bool ip6)
{
	for (unsigned i = 0; i < policy->service_count; i++)
		take_all(inside, policy->services[i].to, policy->services[i].to_count, ip6);
}

static unsigned count_of(const struct policy *policy)
{
	unsigned count = 0;

	for (unsigned i = 0; i < policy->service_count; i++)
		count += policy->services[i].to_count;
	return count;
}

int inside_open(struct inside *inside, const struct prefix *prefixes, unsigned count,
	const struct policy *policy)
{
	unsigned most = count > 0 ? count : count_of(policy);

	*inside = (struct inside){.prefixes = calloc(most + 1, sizeof(*inside->prefixes))};
	if (inside->prefixes == NULL)
		return 1;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		take_all(inside, prefixes, count, ip6);
		if (count == 0)
			take_services(inside, policy, ip6);
		if (!ip6)
			inside->ip4_count = inside->count;
	}
	return 0;
}

void inside_close(struct inside *inside)
{
	free(inside->prefixes);
	inside->prefixes = NULL;
}

bool inside_has_source(const struct inside *inside, const uint8_t *data, unsigned len, bool *has)
{
	const uint8_t *ip = data + ETHERNET_BYTES;
	unsigned ip_bytes, tcp_header_bytes;

	if (len < ETHERNET_BYTES + HEADERS_BYTES || be32_get(ip - 2) >> 8 != ETHERTYPE_VERSION ||
		(be32_get(ip + 6) & FRAGMENT_PROTOCOL) != PROTOCOL_TCP)
		return false;
	ip_bytes = be16_get(ip + 2);
	tcp_header_bytes = (ip[20 + 12] >> 4) * 4u;
	if (tcp_header_bytes < 20 || ip_bytes < 20 + tcp_header_bytes ||
		ip_bytes > len - ETHERNET_BYTES)
		return false;
	*has = inside_has_words(inside, 0, IP4_IN_ADDR | be32_get(ip + 12), true);
	return true;
}
