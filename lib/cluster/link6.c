#include "cluster/link_internal.h"

#include "base/bytes.h"
#include "pkt/checksum.h"

#include <string.h>

#define ND_HOPS		 255 // anything less was forwarded (RFC 4861 7.1)
#define ND_BYTES	 32  // message and one address option
#define PROTOCOL_ICMP6	 58
#define ECHO6_REQUEST	 128
#define ECHO6_REPLY	 129
#define ND_SOLICITATION	 135
#define ND_ADVERTISEMENT 136
#define ND_SOURCE	 1 // options
#define ND_TARGET	 2

static const uint8_t mac_all_nodes[LINK_MAC_BYTES] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t ip6_all_nodes[16] = {0xff, 0x02, [15] = 1};
static const uint8_t ip6_solicited[16] = {0xff, 0x02, [11] = 1, 0xff}; // and 3 bytes of the address
static const uint8_t ip6_none[16];

void link6_put_header(const struct link *link, uint8_t *ip, const uint8_t *to, uint8_t protocol,
	uint8_t hops, size_t payload_len)
{
	be32_put(ip, 6u << 28);
	be16_put(ip + 4, (uint16_t)payload_len);
	ip[6] = protocol;
	ip[7] = hops;
	memcpy(ip + 8, link->config.address.b, 16);
	memcpy(ip + 24, to, 16);
}

// A solicitation or advertisement with the own MAC as its option, behind the header at ip.
static void put_nd(
	const struct link *link, uint8_t *ip, uint8_t type, uint32_t flags, const uint8_t *target)
{
	uint8_t *nd = ip + IP6_BYTES;

	nd[0] = type;
	nd[1] = 0;
	be16_put(nd + 2, 0);
	be32_put(nd + 4, flags);
	memcpy(nd + 8, target, 16);
	nd[24] = type == ND_SOLICITATION ? ND_SOURCE : ND_TARGET;
	nd[25] = 1; // times 8 bytes
	memcpy(nd + 26, link->config.mac, LINK_MAC_BYTES);
	be16_put(nd + 2, checksum_finish(link_sum(link, ip, PROTOCOL_ICMP6, nd, ND_BYTES)));
}

// The MAC in the options of a message of `len` bytes, or NULL.
static const uint8_t *nd_option(const uint8_t *nd, size_t len, uint8_t type)
{
	size_t at = 24;

	while (at + 8 <= len && nd[at + 1] != 0) {
		if (nd[at] == type && nd[at + 1] == 1)
			return nd + at + 2;
		at += 8u * nd[at + 1];
	}
	return NULL;
}

static enum link_verdict advertise(struct link_visit *visit, uint8_t *ip)
{
	struct link *link = visit->link;
	bool probe = memcmp(ip + 8, ip6_none, 16) == 0; // whether anybody has the address
	uint8_t mac[LINK_MAC_BYTES], to[16];

	if (visit->io->room < ETHER_BYTES + IP6_BYTES + ND_BYTES)
		return link_count(&link->stats.ignored);
	memcpy(mac, probe ? mac_all_nodes : visit->io->data + LINK_MAC_BYTES, LINK_MAC_BYTES);
	memcpy(to, probe ? ip6_all_nodes : ip + 8, 16);
	link_put_ether(link, visit->io->data, mac, ETHER_IP6);
	link6_put_header(link, ip, to, PROTOCOL_ICMP6, ND_HOPS, ND_BYTES);
	put_nd(link, ip, ND_ADVERTISEMENT, probe ? 0x20000000 : 0x60000000, link->config.address.b);
	counter_add(&link->stats.answered, 1);
	return link_answer(visit, ETHER_BYTES + IP6_BYTES + ND_BYTES);
}

static enum link_verdict take_nd(
	struct link_visit *visit, uint8_t *ip, const uint8_t *nd, size_t len)
{
	struct link *link = visit->link;
	bool asks = nd[0] == ND_SOLICITATION;
	const uint8_t *mac;
	struct addr about;

	if (ip[7] != ND_HOPS || nd[1] != 0 || len < 24)
		return link_count(&link->stats.ignored);
	mac = nd_option(nd, len, asks ? ND_SOURCE : ND_TARGET);
	about = addr_from_ip6(asks ? ip + 8 : nd + 8);
	if (mac != NULL)
		link_learn(visit, &about, mac);
	if (!asks)
		return LINK_NOTHING;
	if (memcmp(nd + 8, link->config.address.b, 16) != 0)
		return link_count(&link->stats.ignored);
	return advertise(visit, ip);
}

static enum link_verdict take_icmp6(
	struct link_visit *visit, uint8_t *ip, uint8_t *icmp, size_t len)
{
	struct link *link = visit->link;
	bool unicast = memcmp(ip + 24, link->config.address.b, 16) == 0;

	if (len < 8)
		return link_count(&link->stats.malformed);
	if (checksum_finish(link_sum(link, ip, PROTOCOL_ICMP6, icmp, len)) != 0)
		return link_count(&link->stats.bad_checksum);
	if (icmp[0] == ND_SOLICITATION || icmp[0] == ND_ADVERTISEMENT)
		return take_nd(visit, ip, icmp, len);
	if (icmp[0] != ECHO6_REQUEST || icmp[1] != 0 || !unicast || (visit->io->data[0] & 1) ||
		ip[8] == 0xff || !link_may_echo(visit))
		return link_count(&link->stats.ignored);
	icmp[0] = ECHO6_REPLY;
	be16_put(icmp + 2,
		checksum_update16(be16_get(icmp + 2), ECHO6_REQUEST << 8, ECHO6_REPLY << 8));
	link_turn_ether(visit);
	link_swap(ip + 8, ip + 24, 16);
	ip[7] = TTL;
	counter_add(&link->stats.echoed, 1);
	return link_answer(visit, ETHER_BYTES + IP6_BYTES + len);
}

// Own address, all nodes, or the group of everybody whose address ends like the own.
static bool is_for_us(const struct link *link, const uint8_t *to)
{
	const uint8_t *own = link->config.address.b;

	return memcmp(to, own, 16) == 0 || memcmp(to, ip6_all_nodes, 16) == 0 ||
	       (memcmp(to, ip6_solicited, 13) == 0 && memcmp(to + 13, own + 13, 3) == 0);
}

enum link_verdict link6_take(struct link_visit *visit)
{
	struct link *link = visit->link;
	uint8_t *ip = visit->io->data + ETHER_BYTES;
	size_t len = visit->io->len - ETHER_BYTES, payload;

	if (len < IP6_BYTES)
		return link_count(&link->stats.malformed);
	payload = be16_get(ip + 4);
	if (ip[0] >> 4 != 6 || payload > len - IP6_BYTES)
		return link_count(&link->stats.malformed);
	if (!is_for_us(link, ip + 24))
		return link_count(&link->stats.ignored);
	if (ip[6] == PROTOCOL_UDP && memcmp(ip + 24, link->config.address.b, 16) == 0)
		return link_take_udp(visit, ip, ip + IP6_BYTES, payload);
	if (ip[6] == PROTOCOL_ICMP6)
		return take_icmp6(visit, ip, ip + IP6_BYTES, payload);
	return link_count(&link->stats.ignored);
}

size_t link6_question(
	const struct link *link, const struct link_neighbour *neighbour, uint8_t *frame)
{
	const uint8_t *address = neighbour->address.b;
	uint8_t mac[LINK_MAC_BYTES] = {0x33, 0x33, 0xff, address[13], address[14], address[15]};
	uint8_t group[16];

	memcpy(group, ip6_solicited, 13);
	memcpy(group + 13, address + 13, 3);
	link_put_ether(link, frame, neighbour->known ? neighbour->mac : mac, ETHER_IP6);
	link6_put_header(link, frame + ETHER_BYTES, neighbour->known ? address : group,
		PROTOCOL_ICMP6, ND_HOPS, ND_BYTES);
	put_nd(link, frame + ETHER_BYTES, ND_SOLICITATION, 0, address);
	return ETHER_BYTES + IP6_BYTES + ND_BYTES;
}
