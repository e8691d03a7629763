// Frames in and out. Neighbours: each peer on the own network, and the gateway for the others, has
// an entry from the start. It is unknown until an ARP or neighbour discovery message of its address
// tells its MAC (any later one renews it), is asked for once a second until then and every
// LINK_STALE_NS afterwards, and is unknown again when LINK_QUESTIONS_MAX questions in a row got no
// answer. What such a message says is not authenticated; what the datagrams say is (channel.h).
#include "cluster/link_internal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "pkt/checksum.h"

#include <string.h>

#define ETHER_ARP	 0x0806
#define ETHER_IP4	 0x0800
#define ARP_BYTES	 28
#define ARP_REQUEST	 1
#define ARP_REPLY	 2
#define IP4_BYTES	 20
#define IP4_DF		 0x4000
#define UDP_BYTES	 8
#define PROTOCOL_ICMP	 1
#define ECHO4_REQUEST	 8
#define ECHO4_REPLY	 0
#define NS_PER_S	 1000000000ULL
#define SILENT_QUESTIONS 2 // unanswered, and the neighbour is taken for absent

static const uint8_t mac_broadcast[LINK_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

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

enum link_verdict link_count(counter *what)
{
	counter_add(what, 1);
	return LINK_NOTHING;
}

static const uint8_t *ip4_of(const struct addr *addr)
{
	return addr->b + 12;
}

void link_learn(struct link_visit *visit, const struct addr *address, const uint8_t *mac)
{
	struct link *link = visit->link;
	static const uint8_t none[LINK_MAC_BYTES];

	if ((mac[0] & 1) || memcmp(mac, none, LINK_MAC_BYTES) == 0)
		return;
	for (unsigned i = 0; i < link->neighbour_count; i++) {
		struct link_neighbour *neighbour = &link->neighbours[i];

		if (!addr_equal(&neighbour->address, address))
			continue;
		memcpy(neighbour->mac, mac, LINK_MAC_BYTES);
		neighbour->known = true;
		neighbour->silent = false;
		neighbour->questions = 0;
		neighbour->renewed_ns = visit->now_ns;
	}
}

void link_put_ether(const struct link *link, uint8_t *frame, const uint8_t *to, uint16_t type)
{
	memcpy(frame, to, LINK_MAC_BYTES);
	memcpy(frame + LINK_MAC_BYTES, link->config.mac, LINK_MAC_BYTES);
	be16_put(frame + 2 * LINK_MAC_BYTES, type);
}

static void put_arp(const struct link *link, uint8_t *arp, uint16_t operation,
	const uint8_t *target_mac, const uint8_t *target_ip)
{
	be16_put(arp, 1); // Ethernet
	be16_put(arp + 2, ETHER_IP4);
	arp[4] = LINK_MAC_BYTES;
	arp[5] = 4;
	be16_put(arp + 6, operation);
	memcpy(arp + 8, link->config.mac, LINK_MAC_BYTES);
	memcpy(arp + 14, ip4_of(&link->config.address), 4);
	memmove(arp + 18, target_mac, LINK_MAC_BYTES);
	memmove(arp + 24, target_ip, 4);
}

enum link_verdict link_answer(struct link_visit *visit, size_t len)
{
	visit->io->payload = visit->io->data;
	visit->io->payload_len = len;
	return LINK_ANSWER;
}

// A peer with this address, or the number of peers.
static unsigned peer_at(const struct link *link, const struct addr *address)
{
	unsigned peer = 0;

	while (peer < link->config.peer_count &&
		!addr_equal(&link->config.peers[peer].address, address))
		peer++;
	return peer;
}

// Whom a peer looks for says which address it takes this host, or another one, to have.
static void note_sought(struct link *link, const struct addr *sender, const uint8_t *ip)
{
	struct addr sought = addr_from_ip4(ip);
	unsigned peer = peer_at(link, sender);
	bool known = addr_equal(&sought, &link->config.address);

	if (peer == link->config.peer_count)
		return;
	for (unsigned i = 0; i < link->config.peer_count; i++)
		known |= addr_equal(&link->config.peers[i].address, &sought);
	known |= link->config.has_gateway && addr_equal(&link->config.gateway, &sought);
	link->ways[peer].seeks = !known;
	link->ways[peer].sought = sought;
}

static enum link_verdict take_arp(struct link_visit *visit)
{
	struct link *link = visit->link;
	uint8_t *arp = visit->io->data + ETHER_BYTES;
	uint8_t mac[LINK_MAC_BYTES], ip[4];
	struct addr sender;
	uint16_t operation;

	if (visit->io->len < ETHER_BYTES + ARP_BYTES)
		return link_count(&link->stats.malformed);
	operation = be16_get(arp + 6);
	if (be16_get(arp) != 1 || be16_get(arp + 2) != ETHER_IP4 || arp[4] != LINK_MAC_BYTES ||
		arp[5] != 4 || (operation != ARP_REQUEST && operation != ARP_REPLY))
		return link_count(&link->stats.ignored);
	sender = addr_from_ip4(arp + 14);
	link_learn(visit, &sender, arp + 8);
	if (operation == ARP_REQUEST)
		note_sought(link, &sender, arp + 24);
	if (memcmp(arp + 24, ip4_of(&link->config.address), 4) != 0 ||
		addr_equal(&sender, &link->config.address))
		return link_count(&link->stats.ignored);
	if (operation == ARP_REPLY)
		return LINK_NOTHING;
	memcpy(mac, arp + 8, LINK_MAC_BYTES);
	memcpy(ip, arp + 14, 4);
	link_put_ether(link, visit->io->data, mac, ETHER_ARP);
	put_arp(link, arp, ARP_REPLY, mac, ip);
	counter_add(&link->stats.answered, 1);
	return link_answer(visit, ETHER_BYTES + ARP_BYTES);
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

uint64_t link_sum(const struct link *link, const uint8_t *ip, uint8_t protocol, const uint8_t *data,
	size_t len)
{
	return link->ip4 ? sum_transport(ip + 12, 8, protocol, data, len)
			 : sum_transport(ip + 8, 32, protocol, data, len);
}

// Of a peer's address, but with another port at either end.
static enum link_verdict take_stray(
	struct link *link, const struct addr *source, uint16_t from_port, uint16_t to_port)
{
	unsigned peer = peer_at(link, source);

	if (to_port != link->config.udp_port) {
		if (peer == link->config.peer_count)
			return link_count(&link->stats.ignored);
		link->ways[peer].to_port = to_port;
		return link_count(&link->stats.wrong_port);
	}
	if (peer < link->config.peer_count)
		link->ways[peer].from_port = from_port;
	link->stranger = (struct link_peer){*source, from_port};
	return link_count(&link->stats.foreign);
}

enum link_verdict link_take_udp(
	struct link_visit *visit, const uint8_t *ip, uint8_t *udp, size_t len)
{
	struct link *link = visit->link;
	struct addr source = link->ip4 ? addr_from_ip4(ip + 12) : addr_from_ip6(ip + 8);
	unsigned peer = 0;
	size_t udp_len;

	if (len < UDP_BYTES)
		return link_count(&link->stats.malformed);
	udp_len = be16_get(udp + 4);
	if (udp_len < UDP_BYTES || udp_len > len)
		return link_count(&link->stats.malformed);
	while (peer < link->config.peer_count &&
		(link->config.peers[peer].udp_port != be16_get(udp) ||
			!addr_equal(&link->config.peers[peer].address, &source)))
		peer++;
	if (peer == link->config.peer_count || be16_get(udp + 2) != link->config.udp_port)
		return take_stray(link, &source, be16_get(udp), be16_get(udp + 2));
	// Peers always send a checksum; 0 says there is none.
	if (be16_get(udp + 6) == 0 ||
		checksum_finish(link_sum(link, ip, PROTOCOL_UDP, udp, udp_len)) != 0) {
		link->ways[peer].bad_checksums = true;
		return link_count(&link->stats.bad_checksum);
	}
	link->ways[peer] = (struct link_way){.to_port = 0};
	visit->io->peer = peer;
	visit->io->payload = udp + UDP_BYTES;
	visit->io->payload_len = udp_len - UDP_BYTES;
	return LINK_DATAGRAM;
}

bool link_may_echo(struct link_visit *visit)
{
	struct link *link = visit->link;
	uint64_t second = visit->now_ns / NS_PER_S;

	if (link->echo_second != second) {
		link->echo_second = second;
		link->echo_count = 0;
	}
	return link->echo_count++ < LINK_ECHO_PER_S;
}

void link_turn_ether(struct link_visit *visit)
{
	uint8_t mac[LINK_MAC_BYTES];

	memcpy(mac, visit->io->data + LINK_MAC_BYTES, LINK_MAC_BYTES);
	memcpy(visit->io->data, mac, LINK_MAC_BYTES);
	memcpy(visit->io->data + LINK_MAC_BYTES, visit->link->config.mac, LINK_MAC_BYTES);
}

void link_swap(uint8_t *a, uint8_t *b, size_t len)
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

static enum link_verdict take_icmp4(
	struct link_visit *visit, uint8_t *ip, uint8_t *icmp, size_t len)
{
	struct link *link = visit->link;

	if (len < 8 || icmp[0] != ECHO4_REQUEST || icmp[1] != 0 || !link_may_echo(visit))
		return link_count(&link->stats.ignored);
	if (checksum_finish(checksum_add(0, icmp, len)) != 0)
		return link_count(&link->stats.bad_checksum);
	icmp[0] = ECHO4_REPLY;
	be16_put(icmp + 2,
		checksum_update16(be16_get(icmp + 2), ECHO4_REQUEST << 8, ECHO4_REPLY << 8));
	link_turn_ether(visit);
	link_swap(ip + 12, ip + 16, 4);
	ip[8] = TTL;
	put_ip4_checksum(ip);
	counter_add(&link->stats.echoed, 1);
	return link_answer(visit, ETHER_BYTES + IP4_BYTES + len);
}

static enum link_verdict take_ip4(struct link_visit *visit)
{
	struct link *link = visit->link;
	uint8_t *ip = visit->io->data + ETHER_BYTES;
	size_t len = visit->io->len - ETHER_BYTES, total;

	if (len < IP4_BYTES)
		return link_count(&link->stats.malformed);
	total = be16_get(ip + 2);
	if (ip[0] >> 4 != 4 || total < IP4_BYTES || total > len)
		return link_count(&link->stats.malformed);
	// No options, no fragments: peers send neither.
	if (ip[0] != (4 << 4 | IP4_BYTES / 4) || (be16_get(ip + 6) & 0x3fff) != 0 ||
		memcmp(ip + 16, ip4_of(&link->config.address), 4) != 0)
		return link_count(&link->stats.ignored);
	if (checksum_finish(checksum_add(0, ip, IP4_BYTES)) != 0)
		return link_count(&link->stats.bad_checksum);
	if (ip[9] == PROTOCOL_UDP)
		return link_take_udp(visit, ip, ip + IP4_BYTES, total - IP4_BYTES);
	if (ip[9] == PROTOCOL_ICMP && !(visit->io->data[0] & 1))
		return take_icmp4(visit, ip, ip + IP4_BYTES, total - IP4_BYTES);
	return link_count(&link->stats.ignored);
}

static enum link_verdict take(struct link_visit *visit)
{
	struct link *link = visit->link;
	const uint8_t *frame = visit->io->data;
	uint16_t type;

	if (visit->io->len < ETHER_BYTES)
		return link_count(&link->stats.malformed);
	// Ports hear frames for others, too.
	if (!(frame[0] & 1) && memcmp(frame, link->config.mac, LINK_MAC_BYTES) != 0)
		return link_count(&link->stats.ignored);
	type = be16_get(frame + 2 * LINK_MAC_BYTES);
	if (link->ip4 && type == ETHER_ARP)
		return take_arp(visit);
	if (link->ip4 && type == ETHER_IP4)
		return take_ip4(visit);
	if (!link->ip4 && type == ETHER_IP6)
		return link6_take(visit);
	return link_count(&link->stats.ignored);
}

enum link_verdict link_receive(struct link *link, uint64_t now_ns, struct link_frame *frame)
{
	struct link_visit visit = {.link = link, .now_ns = now_ns, .io = frame};

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
	link_put_ether(link, frame, hop->mac, link->ip4 ? ETHER_IP4 : ETHER_IP6);
	if (link->ip4)
		put_ip4(link, ip, &to->address, len);
	else
		link6_put_header(link, ip, to->address.b, PROTOCOL_UDP, TTL, len);
	be16_put(udp, link->config.udp_port);
	be16_put(udp + 2, to->udp_port);
	be16_put(udp + 4, (uint16_t)len);
	be16_put(udp + 6, 0);
	checksum = checksum_finish(link_sum(link, ip, PROTOCOL_UDP, udp, len));
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
	static const uint8_t none[LINK_MAC_BYTES];

	if (!link->ip4)
		return link6_question(link, neighbour, frame);
	link_put_ether(link, frame, neighbour->known ? neighbour->mac : mac_broadcast, ETHER_ARP);
	put_arp(link, frame + ETHER_BYTES, ARP_REQUEST, none, ip4_of(&neighbour->address));
	return ETHER_BYTES + ARP_BYTES;
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
		if (neighbour->questions >= SILENT_QUESTIONS)
			neighbour->silent = true;
		neighbour->questions++;
		neighbour->asked_ns = now_ns;
		return put_question(link, neighbour, frame);
	}
	return 0;
}

struct link_way link_way(const struct link *link, unsigned peer)
{
	const struct link_neighbour *hop = &link->neighbours[link->hop[peer]];
	struct link_way way = link->ways[peer];

	CHECK(peer < link->config.peer_count);
	way.hop_is_silent = hop->silent;
	way.hop = hop->address;
	return way;
}
