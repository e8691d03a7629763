// Frames in and out. Neighbours: each peer on the own network, and the gateway for the others, has
// an entry from the start. It is unknown until an ARP or neighbour discovery message of its address
// tells its MAC (any later one renews it), is asked for once a second until then and every
// LINK_STALE_NS afterwards, and is unknown again when LINK_QUESTIONS_MAX questions in a row got no
// answer. What such a message says is not authenticated; what the datagrams say is (channel.h).
#include "cluster/link.h"

#include "base/bytes.h"
#include "base/check.h"
#include "pkt/checksum.h"

#include <string.h>

#define MAC_BYTES	 6
#define ETHER_BYTES	 14
#define ETHER_ARP	 0x0806
#define ETHER_IP4	 0x0800
#define ETHER_IP6	 0x86dd
#define ARP_BYTES	 28
#define ARP_REQUEST	 1
#define ARP_REPLY	 2
#define IP4_BYTES	 20
#define IP4_DF		 0x4000
#define IP6_BYTES	 40
#define UDP_BYTES	 8
#define TTL		 64
#define ND_HOPS		 255 // anything less was forwarded (RFC 4861 7.1)
#define ND_BYTES	 32  // message and one address option
#define PROTOCOL_ICMP	 1
#define PROTOCOL_UDP	 17
#define PROTOCOL_ICMP6	 58
#define ECHO4_REQUEST	 8
#define ECHO4_REPLY	 0
#define ECHO6_REQUEST	 128
#define ECHO6_REPLY	 129
#define ND_SOLICITATION	 135
#define ND_ADVERTISEMENT 136
#define ND_SOURCE	 1 // options
#define ND_TARGET	 2
#define NS_PER_S	 1000000000ULL

static const uint8_t mac_broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_all_nodes[MAC_BYTES] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t ip6_all_nodes[16] = {0xff, 0x02, [15] = 1};
static const uint8_t ip6_solicited[16] = {0xff, 0x02, [11] = 1, 0xff}; // and 3 bytes of the address
static const uint8_t ip6_none[16];

// One frame on its way through link_receive().
struct visit {
	struct link *link;
	uint64_t now_ns;
	struct link_frame *io;
};

static unsigned add_neighbour(struct link *link, const struct addr *address)
{
	struct link_neighbour *neighbour;

	for (unsigned i = 0; i < link->neighbour_count; i++)
		if (addr_equal(&link->neighbours[i].address, address))
			return i;
	neighbour = &link->neighbours[link->neighbour_count];
	neighbour->address = *address;
	return link->neighbour_count++;
}

void link_init(struct link *link, const struct link_config *config)
{
	CHECK(config->peer_count <= LINK_PEERS_MAX);
	memset(link, 0, sizeof(*link));
	link->config = *config;
	link->ip4 = addr_is_ip4(&config->address);
	for (unsigned i = 0; i < config->peer_count; i++) {
		const struct addr *address = &config->peers[i].address;
		bool on_link = prefix_contains(&config->network, address);

		CHECK(on_link || config->has_gateway);
		link->hop[i] = (uint8_t)add_neighbour(link, on_link ? address : &config->gateway);
	}
}

static enum link_verdict count(counter *what)
{
	counter_add(what, 1);
	return LINK_NOTHING;
}

static const uint8_t *ip4_of(const struct addr *addr)
{
	return addr->b + 12;
}

// Somebody says this address has this MAC: believed of neighbours, who else is not written down.
static void learn(struct visit *visit, const struct addr *address, const uint8_t *mac)
{
	struct link *link = visit->link;
	static const uint8_t none[MAC_BYTES];

	if ((mac[0] & 1) || memcmp(mac, none, MAC_BYTES) == 0)
		return;
	for (unsigned i = 0; i < link->neighbour_count; i++) {
		struct link_neighbour *neighbour = &link->neighbours[i];

		if (!addr_equal(&neighbour->address, address))
			continue;
		memcpy(neighbour->mac, mac, MAC_BYTES);
		neighbour->known = true;
		neighbour->questions = 0;
		neighbour->renewed_ns = visit->now_ns;
	}
}

static void put_ether(const struct link *link, uint8_t *frame, const uint8_t *to, uint16_t type)
{
	memcpy(frame, to, MAC_BYTES);
	memcpy(frame + MAC_BYTES, link->config.mac, MAC_BYTES);
	be16_put(frame + 2 * MAC_BYTES, type);
}

static void put_arp(const struct link *link, uint8_t *arp, uint16_t operation,
	const uint8_t *target_mac, const uint8_t *target_ip)
{
	be16_put(arp, 1); // Ethernet
	be16_put(arp + 2, ETHER_IP4);
	arp[4] = MAC_BYTES;
	arp[5] = 4;
	be16_put(arp + 6, operation);
	memcpy(arp + 8, link->config.mac, MAC_BYTES);
	memcpy(arp + 14, ip4_of(&link->config.address), 4);
	memmove(arp + 18, target_mac, MAC_BYTES);
	memmove(arp + 24, target_ip, 4);
}

static enum link_verdict answer(struct visit *visit, size_t len)
{
	visit->io->payload = visit->io->data;
	visit->io->payload_len = len;
	return LINK_ANSWER;
}

static enum link_verdict take_arp(struct visit *visit)
{
	struct link *link = visit->link;
	uint8_t *arp = visit->io->data + ETHER_BYTES;
	uint8_t mac[MAC_BYTES], ip[4];
	struct addr sender;
	uint16_t operation;

	if (visit->io->len < ETHER_BYTES + ARP_BYTES)
		return count(&link->stats.malformed);
	operation = be16_get(arp + 6);
	if (be16_get(arp) != 1 || be16_get(arp + 2) != ETHER_IP4 || arp[4] != MAC_BYTES ||
		arp[5] != 4 || (operation != ARP_REQUEST && operation != ARP_REPLY))
		return count(&link->stats.ignored);
	sender = addr_from_ip4(arp + 14);
	learn(visit, &sender, arp + 8);
	if (memcmp(arp + 24, ip4_of(&link->config.address), 4) != 0 ||
		addr_equal(&sender, &link->config.address))
		return count(&link->stats.ignored);
	if (operation == ARP_REPLY)
		return LINK_NOTHING;
	memcpy(mac, arp + 8, MAC_BYTES);
	memcpy(ip, arp + 14, 4);
	put_ether(link, visit->io->data, mac, ETHER_ARP);
	put_arp(link, arp, ARP_REPLY, mac, ip);
	counter_add(&link->stats.answered, 1);
	return answer(visit, ETHER_BYTES + ARP_BYTES);
}

// Sum of the pseudo-header and `len` bytes of IPv6 or IPv4 payload.
static uint64_t sum_transport(const uint8_t *addresses, size_t addresses_len, uint8_t protocol,
	const uint8_t *data, size_t len)
{
	uint8_t rest[4];

	be16_put(rest, (uint16_t)len);
	be16_put(rest + 2, protocol);
	return checksum_add(
		checksum_add(checksum_add(0, addresses, addresses_len), rest, 4), data, len);
}

static uint64_t sum_ip(const struct link *link, const uint8_t *ip, uint8_t protocol,
	const uint8_t *data, size_t len)
{
	return link->ip4 ? sum_transport(ip + 12, 8, protocol, data, len)
			 : sum_transport(ip + 8, 32, protocol, data, len);
}

// A datagram to this host: from which peer, and is it whole?
static enum link_verdict take_udp(struct visit *visit, const uint8_t *ip, uint8_t *udp, size_t len)
{
	struct link *link = visit->link;
	struct addr source = link->ip4 ? addr_from_ip4(ip + 12) : addr_from_ip6(ip + 8);
	unsigned peer = 0;
	size_t udp_len;

	if (len < UDP_BYTES)
		return count(&link->stats.malformed);
	udp_len = be16_get(udp + 4);
	if (udp_len < UDP_BYTES || udp_len > len)
		return count(&link->stats.malformed);
	if (be16_get(udp + 2) != link->config.udp_port)
		return count(&link->stats.ignored);
	while (peer < link->config.peer_count &&
		(link->config.peers[peer].udp_port != be16_get(udp) ||
			!addr_equal(&link->config.peers[peer].address, &source)))
		peer++;
	if (peer == link->config.peer_count)
		return count(&link->stats.foreign);
	// Peers always send a checksum; 0 says there is none.
	if (be16_get(udp + 6) == 0 ||
		checksum_finish(sum_ip(link, ip, PROTOCOL_UDP, udp, udp_len)) != 0)
		return count(&link->stats.bad_checksum);
	visit->io->peer = peer;
	visit->io->payload = udp + UDP_BYTES;
	visit->io->payload_len = udp_len - UDP_BYTES;
	return LINK_DATAGRAM;
}

// True where one more may be answered in this second.
static bool may_echo(struct visit *visit)
{
	struct link *link = visit->link;
	uint64_t second = visit->now_ns / NS_PER_S;

	if (link->echo_second != second) {
		link->echo_second = second;
		link->echo_count = 0;
	}
	return link->echo_count++ < LINK_ECHO_PER_S;
}

static void turn_ether(struct visit *visit)
{
	uint8_t mac[MAC_BYTES];

	memcpy(mac, visit->io->data + MAC_BYTES, MAC_BYTES);
	memcpy(visit->io->data, mac, MAC_BYTES);
	memcpy(visit->io->data + MAC_BYTES, visit->link->config.mac, MAC_BYTES);
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

static void put_ip4_checksum(uint8_t *ip)
{
	be16_put(ip + 10, 0);
	be16_put(ip + 10, checksum_finish(checksum_add(0, ip, IP4_BYTES)));
}

static enum link_verdict take_icmp4(struct visit *visit, uint8_t *ip, uint8_t *icmp, size_t len)
{
	struct link *link = visit->link;

	if (len < 8 || icmp[0] != ECHO4_REQUEST || icmp[1] != 0 || !may_echo(visit))
		return count(&link->stats.ignored);
	if (checksum_finish(checksum_add(0, icmp, len)) != 0)
		return count(&link->stats.bad_checksum);
	icmp[0] = ECHO4_REPLY;
	be16_put(icmp + 2,
		checksum_update16(be16_get(icmp + 2), ECHO4_REQUEST << 8, ECHO4_REPLY << 8));
	turn_ether(visit);
	swap(ip + 12, ip + 16, 4);
	ip[8] = TTL;
	put_ip4_checksum(ip);
	counter_add(&link->stats.echoed, 1);
	return answer(visit, ETHER_BYTES + IP4_BYTES + len);
}

static enum link_verdict take_ip4(struct visit *visit)
{
	struct link *link = visit->link;
	uint8_t *ip = visit->io->data + ETHER_BYTES;
	size_t len = visit->io->len - ETHER_BYTES, total;

	if (len < IP4_BYTES)
		return count(&link->stats.malformed);
	total = be16_get(ip + 2);
	if (ip[0] >> 4 != 4 || total < IP4_BYTES || total > len)
		return count(&link->stats.malformed);
	// No options, no fragments: peers send neither.
	if (ip[0] != (4 << 4 | IP4_BYTES / 4) || (be16_get(ip + 6) & 0x3fff) != 0 ||
		memcmp(ip + 16, ip4_of(&link->config.address), 4) != 0)
		return count(&link->stats.ignored);
	if (checksum_finish(checksum_add(0, ip, IP4_BYTES)) != 0)
		return count(&link->stats.bad_checksum);
	if (ip[9] == PROTOCOL_UDP)
		return take_udp(visit, ip, ip + IP4_BYTES, total - IP4_BYTES);
	if (ip[9] == PROTOCOL_ICMP && !(visit->io->data[0] & 1))
		return take_icmp4(visit, ip, ip + IP4_BYTES, total - IP4_BYTES);
	return count(&link->stats.ignored);
}

static void put_ip6(const struct link *link, uint8_t *ip, const uint8_t *to, uint8_t protocol,
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
	memcpy(nd + 26, link->config.mac, MAC_BYTES);
	be16_put(nd + 2, checksum_finish(sum_ip(link, ip, PROTOCOL_ICMP6, nd, ND_BYTES)));
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

static enum link_verdict advertise(struct visit *visit, uint8_t *ip)
{
	struct link *link = visit->link;
	bool probe = memcmp(ip + 8, ip6_none, 16) == 0; // whether anybody has the address
	uint8_t mac[MAC_BYTES], to[16];

	if (visit->io->room < ETHER_BYTES + IP6_BYTES + ND_BYTES)
		return count(&link->stats.ignored);
	memcpy(mac, probe ? mac_all_nodes : visit->io->data + MAC_BYTES, MAC_BYTES);
	memcpy(to, probe ? ip6_all_nodes : ip + 8, 16);
	put_ether(link, visit->io->data, mac, ETHER_IP6);
	put_ip6(link, ip, to, PROTOCOL_ICMP6, ND_HOPS, ND_BYTES);
	put_nd(link, ip, ND_ADVERTISEMENT, probe ? 0x20000000 : 0x60000000, link->config.address.b);
	counter_add(&link->stats.answered, 1);
	return answer(visit, ETHER_BYTES + IP6_BYTES + ND_BYTES);
}

static enum link_verdict take_nd(struct visit *visit, uint8_t *ip, const uint8_t *nd, size_t len)
{
	struct link *link = visit->link;
	bool asks = nd[0] == ND_SOLICITATION;
	const uint8_t *mac;
	struct addr about;

	if (ip[7] != ND_HOPS || nd[1] != 0 || len < 24)
		return count(&link->stats.ignored);
	mac = nd_option(nd, len, asks ? ND_SOURCE : ND_TARGET);
	about = addr_from_ip6(asks ? ip + 8 : nd + 8);
	if (mac != NULL)
		learn(visit, &about, mac);
	if (!asks)
		return LINK_NOTHING;
	if (memcmp(nd + 8, link->config.address.b, 16) != 0)
		return count(&link->stats.ignored);
	return advertise(visit, ip);
}

static enum link_verdict take_icmp6(struct visit *visit, uint8_t *ip, uint8_t *icmp, size_t len)
{
	struct link *link = visit->link;
	bool unicast = memcmp(ip + 24, link->config.address.b, 16) == 0;

	if (len < 8)
		return count(&link->stats.malformed);
	if (checksum_finish(sum_ip(link, ip, PROTOCOL_ICMP6, icmp, len)) != 0)
		return count(&link->stats.bad_checksum);
	if (icmp[0] == ND_SOLICITATION || icmp[0] == ND_ADVERTISEMENT)
		return take_nd(visit, ip, icmp, len);
	if (icmp[0] != ECHO6_REQUEST || icmp[1] != 0 || !unicast || (visit->io->data[0] & 1) ||
		ip[8] == 0xff || !may_echo(visit))
		return count(&link->stats.ignored);
	icmp[0] = ECHO6_REPLY;
	be16_put(icmp + 2,
		checksum_update16(be16_get(icmp + 2), ECHO6_REQUEST << 8, ECHO6_REPLY << 8));
	turn_ether(visit);
	swap(ip + 8, ip + 24, 16);
	ip[7] = TTL;
	counter_add(&link->stats.echoed, 1);
	return answer(visit, ETHER_BYTES + IP6_BYTES + len);
}

// Own address, all nodes, or the group of everybody whose address ends like the own.
static bool is_for_us(const struct link *link, const uint8_t *to)
{
	const uint8_t *own = link->config.address.b;

	return memcmp(to, own, 16) == 0 || memcmp(to, ip6_all_nodes, 16) == 0 ||
	       (memcmp(to, ip6_solicited, 13) == 0 && memcmp(to + 13, own + 13, 3) == 0);
}

static enum link_verdict take_ip6(struct visit *visit)
{
	struct link *link = visit->link;
	uint8_t *ip = visit->io->data + ETHER_BYTES;
	size_t len = visit->io->len - ETHER_BYTES, payload;

	if (len < IP6_BYTES)
		return count(&link->stats.malformed);
	payload = be16_get(ip + 4);
	if (ip[0] >> 4 != 6 || payload > len - IP6_BYTES)
		return count(&link->stats.malformed);
	if (!is_for_us(link, ip + 24))
		return count(&link->stats.ignored);
	if (ip[6] == PROTOCOL_UDP && memcmp(ip + 24, link->config.address.b, 16) == 0)
		return take_udp(visit, ip, ip + IP6_BYTES, payload);
	if (ip[6] == PROTOCOL_ICMP6)
		return take_icmp6(visit, ip, ip + IP6_BYTES, payload);
	return count(&link->stats.ignored);
}

static enum link_verdict take(struct visit *visit)
{
	struct link *link = visit->link;
	const uint8_t *frame = visit->io->data;
	uint16_t type;

	if (visit->io->len < ETHER_BYTES)
		return count(&link->stats.malformed);
	// Ports hear frames for others, too.
	if (!(frame[0] & 1) && memcmp(frame, link->config.mac, MAC_BYTES) != 0)
		return count(&link->stats.ignored);
	type = be16_get(frame + 2 * MAC_BYTES);
	if (link->ip4 && type == ETHER_ARP)
		return take_arp(visit);
	if (link->ip4 && type == ETHER_IP4)
		return take_ip4(visit);
	if (!link->ip4 && type == ETHER_IP6)
		return take_ip6(visit);
	return count(&link->stats.ignored);
}

enum link_verdict link_receive(struct link *link, uint64_t now_ns, struct link_frame *frame)
{
	struct visit visit = {.link = link, .now_ns = now_ns, .io = frame};

	return take(&visit);
}

size_t link_headers_bytes(const struct link *link)
{
	return link->ip4 ? LINK_HEADERS4_BYTES : LINK_HEADERS6_BYTES;
}

static void put_ip4(const struct link *link, uint8_t *ip, const struct addr *to, size_t payload_len)
{
	ip[0] = 4 << 4 | IP4_BYTES / 4;
	ip[1] = 0;
	be16_put(ip + 2, (uint16_t)(IP4_BYTES + payload_len));
	be16_put(ip + 4, 0);
	be16_put(ip + 6, IP4_DF);
	ip[8] = TTL;
	ip[9] = PROTOCOL_UDP;
	memcpy(ip + 12, ip4_of(&link->config.address), 4);
	memcpy(ip + 16, ip4_of(to), 4);
	put_ip4_checksum(ip);
}

size_t link_wrap(struct link *link, uint8_t *frame, unsigned peer, size_t payload_len)
{
	const struct link_neighbour *hop = &link->neighbours[link->hop[peer]];
	const struct link_peer *to = &link->config.peers[peer];
	uint8_t *ip = frame + ETHER_BYTES;
	uint8_t *udp = ip + (link->ip4 ? IP4_BYTES : IP6_BYTES);
	size_t len = UDP_BYTES + payload_len;
	uint16_t checksum;

	CHECK(peer < link->config.peer_count);
	if (!hop->known || link_headers_bytes(link) + payload_len > LINK_FRAME_MAX) {
		counter_add(&link->stats.unresolved, 1);
		return 0;
	}
	put_ether(link, frame, hop->mac, link->ip4 ? ETHER_IP4 : ETHER_IP6);
	if (link->ip4)
		put_ip4(link, ip, &to->address, len);
	else
		put_ip6(link, ip, to->address.b, PROTOCOL_UDP, TTL, len);
	be16_put(udp, link->config.udp_port);
	be16_put(udp + 2, to->udp_port);
	be16_put(udp + 4, (uint16_t)len);
	be16_put(udp + 6, 0);
	checksum = checksum_finish(sum_ip(link, ip, PROTOCOL_UDP, udp, len));
	be16_put(udp + 6, checksum ? checksum : 0xffff); // 0 would say there is none
	return link_headers_bytes(link) + payload_len;
}

static bool is_due(const struct link_neighbour *neighbour, uint64_t now_ns)
{
	if (neighbour->asked_ns != 0 && now_ns - neighbour->asked_ns < LINK_ASK_NS)
		return false;
	return !neighbour->known || now_ns - neighbour->renewed_ns >= LINK_STALE_NS;
}

// A known neighbour is asked itself, an unknown one's question goes to all.
static size_t put_question(
	const struct link *link, const struct link_neighbour *neighbour, uint8_t *frame)
{
	static const uint8_t none[MAC_BYTES];
	const uint8_t *address = neighbour->address.b;
	uint8_t mac[MAC_BYTES] = {0x33, 0x33, 0xff, address[13], address[14], address[15]};
	uint8_t group[16];

	if (link->ip4) {
		put_ether(
			link, frame, neighbour->known ? neighbour->mac : mac_broadcast, ETHER_ARP);
		put_arp(link, frame + ETHER_BYTES, ARP_REQUEST, none, ip4_of(&neighbour->address));
		return ETHER_BYTES + ARP_BYTES;
	}
	memcpy(group, ip6_solicited, 13);
	memcpy(group + 13, address + 13, 3);
	put_ether(link, frame, neighbour->known ? neighbour->mac : mac, ETHER_IP6);
	put_ip6(link, frame + ETHER_BYTES, neighbour->known ? address : group, PROTOCOL_ICMP6,
		ND_HOPS, ND_BYTES);
	put_nd(link, frame + ETHER_BYTES, ND_SOLICITATION, 0, address);
	return ETHER_BYTES + IP6_BYTES + ND_BYTES;
}

size_t link_ask(struct link *link, uint64_t now_ns, uint8_t *frame)
{
	for (unsigned i = 0; i < link->neighbour_count; i++) {
		struct link_neighbour *neighbour = &link->neighbours[i];

		if (!is_due(neighbour, now_ns))
			continue;
		if (neighbour->questions == LINK_QUESTIONS_MAX) {
			neighbour->known = false;
			neighbour->questions = 0;
		}
		neighbour->questions++;
		neighbour->asked_ns = now_ns;
		return put_question(link, neighbour, frame);
	}
	return 0;
}
