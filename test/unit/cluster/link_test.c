// The cluster's own port as a host: what it takes, answers and ignores, and what it writes. Frames
// come from packet.h, whose checksums are computed apart from lib/pkt.
#include "base/bytes.h"
#include "cluster/link.h"
#include "packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OWN4   "203.0.113.225"
#define PEER4  "203.0.113.226"
#define FAR4   "198.51.100.7"
#define GATE4  "203.0.113.238"
#define OWN6   "2001:db8:5::1"
#define PEER6  "2001:db8:5::2"
#define PORT   47800
#define SECOND 1000000000ULL

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t gate_mac[6] = {2, 0, 0, 0, 0, 3};
static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return addr;
}

static struct link_config config4(void)
{
	struct link_config config = {.address = address(OWN4),
		.has_gateway = true,
		.gateway = address(GATE4),
		.udp_port = PORT,
		.peer_count = 2,
		.peers = {{address(PEER4), PORT}, {address(FAR4), 9}}};

	memcpy(config.mac, own_mac, 6);
	assert_int_equal(prefix_parse(&config.network, "203.0.113.224/28"), 0);
	return config;
}

static struct link_config config6(void)
{
	struct link_config config = {.address = address(OWN6),
		.udp_port = PORT,
		.peer_count = 1,
		.peers = {{address(PEER6), PORT}}};

	memcpy(config.mac, own_mac, 6);
	assert_int_equal(prefix_parse(&config.network, "2001:db8:5::/64"), 0);
	return config;
}

// A packet of the peer to this host; `packet` says what is different.
struct sent {
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame;
	struct link_frame io;
};

static void build(struct sent *sent, struct packet packet, bool ip6)
{
	packet.ip6 = ip6;
	packet.client = packet.client ? packet.client : ip6 ? PEER6 : PEER4;
	packet.server = packet.server ? packet.server : ip6 ? OWN6 : OWN4;
	packet.client_port = packet.client_port ? packet.client_port : PORT;
	packet.server_port = packet.server_port ? packet.server_port : PORT;
	packet.protocol = packet.protocol ? packet.protocol : PROTOCOL_UDP;
	sent->frame = packet_build(sent->room, &packet);
	memcpy(sent->frame.data, own_mac, 6);
	memcpy(sent->frame.data + 6, peer_mac, 6);
	sent->io = (struct link_frame){.data = sent->frame.data,
		.len = sent->frame.len,
		.room = sent->frame.len + sent->frame.tailroom};
}

static enum link_verdict give(struct link *link, struct sent *sent, uint64_t now_ns)
{
	sent->io.len = sent->frame.len;
	return link_receive(link, now_ns, &sent->io);
}

// ARP from a host; the target's MAC is left out.
static void build_arp(struct sent *sent, uint16_t operation, const uint8_t *mac, const char *from,
	const char *about)
{
	struct addr sender = address(from), target = address(about);
	uint8_t *frame = sent->room;

	memset(frame, 0, 60);
	memcpy(frame, operation == 1 ? broadcast : own_mac, 6);
	memcpy(frame + 6, mac, 6);
	be16_put(frame + 12, 0x0806);
	memcpy(frame + 14, "\0\1\x08\0\6\4", 6);
	be16_put(frame + 20, operation);
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, sender.b + 12, 4);
	memcpy(frame + 38, target.b + 12, 4);
	sent->frame = (struct frame){.data = frame, .len = 60};
	sent->io = (struct link_frame){.data = frame, .len = 60, .room = sizeof(sent->room)};
}

static void teach4(struct link *link, const uint8_t *mac, const char *who, uint64_t now_ns)
{
	struct sent sent;

	build_arp(&sent, 2, mac, who, OWN4);
	assert_int_equal(give(link, &sent, now_ns), LINK_NOTHING);
}

// A solicitation (135) or advertisement (136) about `target` with one MAC option.
static void build_nd(struct sent *sent, uint8_t type, struct packet packet, const char *target,
	const uint8_t *mac)
{
	struct addr about = address(target);
	uint8_t body[24];

	memcpy(body, about.b, 16);
	body[16] = type == 135 ? 1 : 2;
	body[17] = 1;
	memcpy(body + 18, mac, 6);
	packet.protocol = PROTOCOL_ICMP;
	packet.type = type;
	packet.ttl = packet.ttl ? packet.ttl : 255;
	packet.payload = (struct bytes){body, sizeof(body)};
	build(sent, packet, true);
}

static void datagrams_of_peers_are_taken(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct link_config config = ip6 ? config6() : config4();
		struct link link;
		struct sent sent;

		link_init(&link, &config);
		build(&sent, (struct packet){.payload = BYTES("hello"), .pad_to = 100}, ip6);
		assert_int_equal(give(&link, &sent, 1), LINK_DATAGRAM);
		assert_int_equal(sent.io.peer, 0);
		assert_int_equal(sent.io.payload_len, 5);
		assert_memory_equal(sent.io.payload, "hello", 5);
	}
	(void)state;
}

static void a_peer_behind_the_gateway_has_its_own_port(void **state)
{
	struct link_config config = config4();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build(&sent, (struct packet){.client = FAR4, .client_port = 9, .payload = BYTES("x")},
		false);
	assert_int_equal(give(&link, &sent, 1), LINK_DATAGRAM);
	assert_int_equal(sent.io.peer, 1);
	// The address alone is not enough.
	build(&sent, (struct packet){.client = FAR4, .payload = BYTES("x")}, false);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	assert_int_equal(counter_get(&link.stats.foreign), 1);
	(void)state;
}

static void others_are_foreign_or_ignored(void **state)
{
	static const struct {
		struct packet packet;
		unsigned foreign;
	} cases[] = {
		{{.client = "203.0.113.229"}, 1},
		{{.client_port = 1}, 1},
		{{.server_port = 1}, 0},
		{{.server = "203.0.113.228"}, 0},
		{{.protocol = 6}, 0},
		{{.more_fragments = true}, 0},
		{{.fragment_offset = 8}, 0},
		{{.ip_options = BYTES("\1\1\1\1")}, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct link_config config = config4();
		struct link link;
		struct sent sent;

		link_init(&link, &config);
		build(&sent, cases[i].packet, false);
		assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
		assert_int_equal(counter_get(&link.stats.foreign), cases[i].foreign);
		assert_int_equal(
			counter_get(&link.stats.wrong_port), cases[i].packet.server_port != 0);
		assert_int_equal(counter_get(&link.stats.ignored),
			!cases[i].foreign && !cases[i].packet.server_port);
		assert_int_equal(link.stranger.udp_port != 0, cases[i].foreign);
		if (cases[i].packet.client_port)
			assert_int_equal(link.stranger.udp_port, cases[i].packet.client_port);
	}
	(void)state;
}

static struct link_way way_after(struct link *link, struct packet packet)
{
	struct sent sent;

	build(&sent, packet, false);
	give(link, &sent, 1);
	return link_way(link, 0);
}

// What a peer's address sends and is no datagram of the peer says what is wrong.
static void strays_are_remembered_until_a_good_datagram(void **state)
{
	const struct packet good = {.payload = BYTES("x")};
	struct link_config config = config4();
	struct link_way way;
	struct link link;

	link_init(&link, &config);
	way = way_after(&link, (struct packet){.server_port = 47801});
	assert_int_equal(way.to_port, 47801);
	way = way_after(&link, (struct packet){.client_port = 47802});
	assert_int_equal(way.from_port, 47802);
	assert_false(way.bad_checksums);
	way = way_after(&link, (struct packet){.client = "203.0.113.229", .server_port = 5});
	assert_int_equal(way.to_port, 47801);
	struct sent sent;
	build(&sent, good, false);
	sent.io.data[sent.io.len - 1] ^= 1;
	give(&link, &sent, 1);
	assert_true(link_way(&link, 0).bad_checksums);
	way = way_after(&link, good);
	assert_true(way.to_port == 0 && way.from_port == 0 && !way.bad_checksums);
	assert_int_equal(link_way(&link, 1).to_port, 0);
	(void)state;
}

static void whom_a_peer_seeks_is_remembered(void **state)
{
	struct link_config config = config4();
	struct sent sent;
	struct link link;

	link_init(&link, &config);
	build_arp(&sent, 1, broadcast, PEER4, "203.0.113.230");
	give(&link, &sent, 1);
	assert_true(link_way(&link, 0).seeks);
	struct addr sought = address("203.0.113.230");
	assert_memory_equal(link_way(&link, 0).sought.b, sought.b, sizeof(sought.b));
	build_arp(&sent, 1, broadcast, PEER4, OWN4);
	give(&link, &sent, 1);
	assert_false(link_way(&link, 0).seeks);
	build_arp(&sent, 1, broadcast, PEER4, GATE4);
	give(&link, &sent, 1);
	build_arp(&sent, 1, broadcast, "203.0.113.229", "203.0.113.230");
	give(&link, &sent, 1);
	assert_false(link_way(&link, 0).seeks || link_way(&link, 1).seeks);
	(void)state;
}

static void who_does_not_answer_is_silent(void **state)
{
	struct link_config config = config4();
	uint8_t frame[LINK_FRAME_MAX];
	struct link link;

	link_init(&link, &config);
	for (unsigned i = 1; i <= 20; i++) {
		while (link_ask(&link, i * SECOND, frame) > 0)
			;
		assert_int_equal(link_way(&link, 0).hop_is_silent, i > 2);
		assert_int_equal(link_way(&link, 1).hop_is_silent, i > 2);
	}
	teach4(&link, peer_mac, PEER4, 21 * SECOND);
	assert_false(link_way(&link, 0).hop_is_silent);
	assert_true(link_way(&link, 1).hop_is_silent);
	struct addr gateway = address(GATE4);
	assert_memory_equal(link_way(&link, 1).hop.b, gateway.b, sizeof(gateway.b));
	(void)state;
}

static void frames_for_others_are_ignored(void **state)
{
	struct link_config config = config4();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build(&sent, (struct packet){.payload = BYTES("x")}, false);
	memcpy(sent.frame.data, gate_mac, 6);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	memcpy(sent.frame.data, own_mac, 6);
	assert_int_equal(give(&link, &sent, 1), LINK_DATAGRAM);
	(void)state;
}

static void a_changed_byte_is_a_bad_checksum(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		size_t ip = 14, udp = ip6 ? 54 : 34;
		const size_t places[] = {ip6 ? udp + 8 : ip + 8, udp + 8, udp + 6};
		struct link_config config = ip6 ? config6() : config4();
		struct link link;
		struct sent sent;

		link_init(&link, &config);
		for (unsigned i = 0; i < 3; i++) {
			build(&sent, (struct packet){.payload = BYTES("hello")}, ip6);
			sent.frame.data[places[i]] ^= 1;
			assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
			assert_int_equal(counter_get(&link.stats.bad_checksum), i + 1);
		}
	}
	(void)state;
}

static void no_checksum_is_none(void **state)
{
	struct link_config config = config4();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build(&sent, (struct packet){.payload = BYTES("x"), .no_checksum = true}, false);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	assert_int_equal(counter_get(&link.stats.bad_checksum), 1);
	(void)state;
}

// No length is believed beyond the frame: with exact memory a sanitizer sees a read behind it.
static void cut_frames_are_malformed(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct link_config config = ip6 ? config6() : config4();
		struct sent sent;

		build(&sent, (struct packet){.payload = BYTES("hello")}, ip6);
		for (uint16_t len = 0; len < sent.frame.len; len++) {
			uint8_t *exact = test_malloc(len ? len : 1);
			struct link_frame io = {.data = exact, .len = len, .room = len};
			struct link link;

			link_init(&link, &config);
			memcpy(exact, sent.frame.data, len);
			assert_int_equal(link_receive(&link, 1, &io), LINK_NOTHING);
			assert_int_equal(counter_get(&link.stats.malformed), 1);
			test_free(exact);
		}
	}
	(void)state;
}

static void lying_lengths_are_malformed(void **state)
{
	struct link_config config = config4();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	for (uint16_t len = 0; len < 8; len++) {
		build(&sent, (struct packet){.payload = BYTES("x")}, false);
		be16_put(sent.frame.data + 38, len);
		assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	}
	build(&sent, (struct packet){.payload = BYTES("x")}, false);
	be16_put(sent.frame.data + 38, 10);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	assert_int_equal(counter_get(&link.stats.malformed), 9);
	(void)state;
}

static void arp_for_us_is_answered(void **state)
{
	struct link_config config = config4();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build_arp(&sent, 1, gate_mac, "203.0.113.230", OWN4);
	assert_int_equal(give(&link, &sent, 1), LINK_ANSWER);
	assert_int_equal(sent.io.payload_len, 42);
	assert_memory_equal(sent.io.payload, gate_mac, 6);
	assert_memory_equal(sent.io.payload + 6, own_mac, 6);
	assert_memory_equal(sent.io.payload + 12, "\x08\x06\0\1\x08\0\6\4\0\2", 10);
	assert_memory_equal(sent.io.payload + 22, own_mac, 6);
	assert_memory_equal(sent.io.payload + 28, "\xcb\0\x71\xe1", 4);
	assert_memory_equal(sent.io.payload + 32, gate_mac, 6);
	assert_memory_equal(sent.io.payload + 38, "\xcb\0\x71\xe6", 4);
	build_arp(&sent, 1, gate_mac, "203.0.113.230", "203.0.113.231");
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	// Somebody else who claims the address gets no answer.
	build_arp(&sent, 1, gate_mac, OWN4, OWN4);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	(void)state;
}

static void datagrams_leave_once_the_neighbour_is_known(void **state)
{
	struct link_config config = config4();
	uint8_t frame[LINK_FRAME_MAX + 1] = {0};
	struct frame out = {.data = frame};
	struct link link;
	size_t at;

	link_init(&link, &config);
	at = link_headers_bytes(&link);
	assert_int_equal(at, LINK_HEADERS4_BYTES);
	assert_int_equal(link_wrap(&link, frame, 0, 5), 0);
	assert_int_equal(counter_get(&link.stats.unresolved), 1);
	teach4(&link, peer_mac, PEER4, 1);
	memcpy(frame + at, "hello", 5);
	out.len = (uint16_t)link_wrap(&link, frame, 0, 5);
	assert_int_equal(out.len, at + 5);
	assert_true(packet_good(&out));
	assert_memory_equal(frame, peer_mac, 6);
	assert_memory_equal(frame + 6, own_mac, 6);
	assert_int_equal(be16_get(frame + 20), 0x4000); // never in fragments
	assert_memory_equal(frame + 26, "\xcb\0\x71\xe1\xcb\0\x71\xe2", 8);
	assert_int_equal(be16_get(frame + 34), PORT);
	assert_int_equal(be16_get(frame + 36), PORT);
	// The other peer is behind the gateway, which nobody told of yet.
	assert_int_equal(link_wrap(&link, frame, 1, 5), 0);
	teach4(&link, gate_mac, GATE4, 1);
	out.len = (uint16_t)link_wrap(&link, frame, 1, 5);
	assert_true(packet_good(&out));
	assert_memory_equal(frame, gate_mac, 6);
	assert_memory_equal(frame + 30, "\xc6\x33\x64\7", 4);
	assert_int_equal(be16_get(frame + 36), 9);
	(void)state;
}

static void the_longest_frame_has_1514_bytes(void **state)
{
	struct link_config config = config4();
	uint8_t frame[LINK_FRAME_MAX + 1] = {0};
	struct link link;

	link_init(&link, &config);
	teach4(&link, peer_mac, PEER4, 1);
	assert_int_equal(link_wrap(&link, frame, 0, 1472), 1514);
	assert_int_equal(link_wrap(&link, frame, 0, 1473), 0);
	(void)state;
}

static void what_one_link_writes_another_reads(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct link_config config = ip6 ? config6() : config4();
		struct link_config other = config;
		struct link_frame io;
		uint8_t frame[LINK_FRAME_MAX];
		struct link a, b;
		size_t len;

		other.address = config.peers[0].address;
		other.peers[0].address = config.address;
		memcpy(other.mac, peer_mac, 6);
		link_init(&a, &config);
		link_init(&b, &other);
		// a asks, b answers, a learns, and b learnt from the question.
		len = link_ask(&a, SECOND, frame);
		assert_in_range(len, 42, 86);
		io = (struct link_frame){.data = frame, .len = len, .room = sizeof(frame)};
		assert_int_equal(link_receive(&b, SECOND, &io), LINK_ANSWER);
		io = (struct link_frame){
			.data = frame, .len = io.payload_len, .room = sizeof(frame)};
		assert_int_equal(link_receive(&a, SECOND, &io), LINK_NOTHING);
		for (size_t bytes = 0; bytes < 40; bytes++) {
			memset(frame + link_headers_bytes(&a), (int)bytes, bytes);
			len = link_wrap(&a, frame, 0, bytes);
			assert_int_equal(len, link_headers_bytes(&a) + bytes);
			io = (struct link_frame){.data = frame, .len = len, .room = len};
			assert_int_equal(link_receive(&b, SECOND, &io), LINK_DATAGRAM);
			assert_int_equal(io.payload_len, bytes);
			assert_int_not_equal(link_wrap(&b, frame, 0, bytes), 0);
		}
	}
	(void)state;
}

static void neighbours_are_asked_once_a_second(void **state)
{
	struct link_config config = config4();
	uint8_t frame[86];
	struct link link;

	link_init(&link, &config);
	for (unsigned second = 1; second < 20; second++) {
		// The peer and the gateway, each once.
		assert_int_equal(link_ask(&link, second * SECOND, frame), 42);
		assert_memory_equal(frame, broadcast, 6);
		assert_memory_equal(frame + 20, "\0\1", 2);
		assert_int_equal(link_ask(&link, second * SECOND, frame), 42);
		assert_int_equal(link_ask(&link, second * SECOND, frame), 0);
		assert_int_equal(link_ask(&link, second * SECOND + SECOND / 2, frame), 0);
	}
	(void)state;
}

static void a_silent_neighbour_is_forgotten(void **state)
{
	struct link_config config = config4();
	uint64_t now_ns = SECOND;
	uint8_t frame[LINK_FRAME_MAX];
	struct link link;

	config.peer_count = 1;
	link_init(&link, &config);
	teach4(&link, peer_mac, PEER4, now_ns);
	assert_int_equal(link_ask(&link, now_ns + LINK_STALE_NS - 1, frame), 0);
	now_ns += LINK_STALE_NS;
	for (unsigned i = 0; i < LINK_QUESTIONS_MAX; i++) {
		assert_int_equal(link_ask(&link, now_ns, frame), 42);
		assert_memory_equal(frame, peer_mac, 6); // it is asked itself
		assert_int_not_equal(link_wrap(&link, frame, 0, 1), 0);
		now_ns += LINK_ASK_NS;
	}
	assert_int_equal(link_ask(&link, now_ns, frame), 42);
	assert_memory_equal(frame, broadcast, 6);
	assert_int_equal(link_wrap(&link, frame, 0, 1), 0);
	teach4(&link, gate_mac, PEER4, now_ns); // it is back, with another MAC
	assert_int_not_equal(link_wrap(&link, frame, 0, 1), 0);
	assert_memory_equal(frame, gate_mac, 6);
	assert_int_equal(link_ask(&link, now_ns + LINK_ASK_NS, frame), 0);
	(void)state;
}

static void a_group_is_nobodys_mac(void **state)
{
	struct link_config config = config4();
	uint8_t frame[LINK_FRAME_MAX];
	struct link link;

	link_init(&link, &config);
	teach4(&link, broadcast, PEER4, 1);
	assert_int_equal(link_wrap(&link, frame, 0, 1), 0);
	(void)state;
}

static void solicitations_are_answered(void **state)
{
	struct link_config config = config6();
	struct frame answer;
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build_nd(&sent, 135, (struct packet){.server = "ff02::1:ff00:1"}, OWN6, peer_mac);
	memcpy(sent.frame.data, "\x33\x33\xff\0\0\1", 6);
	assert_int_equal(give(&link, &sent, 1), LINK_ANSWER);
	assert_int_equal(sent.io.payload_len, 86);
	answer = (struct frame){.data = sent.io.payload, .len = 86};
	assert_true(packet_good(&answer));
	assert_memory_equal(answer.data, peer_mac, 6);
	assert_int_equal(answer.data[21], 255);
	assert_memory_equal(answer.data + 54, "\x88\0", 2);
	assert_memory_equal(answer.data + 58, "\x60\0\0\0", 4);
	assert_memory_equal(answer.data + 62, config.address.b, 16);
	assert_memory_equal(answer.data + 78, "\2\1", 2);
	assert_memory_equal(answer.data + 80, own_mac, 6);
	// The question told the peer's MAC.
	assert_int_not_equal(link_wrap(&link, sent.room, 0, 1), 0);
	(void)state;
}

static void a_probe_for_our_address_is_answered_to_all(void **state)
{
	struct link_config config = config6();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build_nd(&sent, 135, (struct packet){.client = "::", .server = "ff02::1:ff00:1"}, OWN6,
		peer_mac);
	memcpy(sent.frame.data, "\x33\x33\xff\0\0\1", 6);
	assert_int_equal(give(&link, &sent, 1), LINK_ANSWER);
	assert_memory_equal(sent.io.payload, "\x33\x33\0\0\0\1", 6);
	assert_memory_equal(sent.io.payload + 58, "\x20\0\0\0", 4);
	(void)state;
}

static void forwarded_or_other_solicitations_are_not(void **state)
{
	struct link_config config = config6();
	struct link link;
	struct sent sent;

	link_init(&link, &config);
	build_nd(&sent, 135, (struct packet){.ttl = 254}, OWN6, peer_mac);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	build_nd(&sent, 135, (struct packet){.ttl = 255}, PEER6, gate_mac);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	build_nd(&sent, 136, (struct packet){.ttl = 254}, PEER6, peer_mac);
	assert_int_equal(give(&link, &sent, 1), LINK_NOTHING);
	assert_int_equal(counter_get(&link.stats.answered), 0);
	(void)state;
}

static void echo_is_answered_within_bounds(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct link_config config = ip6 ? config6() : config4();
		struct packet echo = {.protocol = PROTOCOL_ICMP,
			.type = ip6 ? 128 : 8,
			.rest = 0x12345678,
			.payload = BYTES("operator")};
		struct frame answer;
		struct link link;
		struct sent sent;

		link_init(&link, &config);
		for (unsigned i = 0; i < LINK_ECHO_PER_S; i++) {
			build(&sent, echo, ip6);
			assert_int_equal(give(&link, &sent, SECOND), LINK_ANSWER);
			answer = (struct frame){
				.data = sent.io.payload, .len = (uint16_t)sent.io.payload_len};
			assert_true(packet_good(&answer));
			assert_memory_equal(answer.data, peer_mac, 6);
			assert_int_equal(answer.data[ip6 ? 54 : 34], ip6 ? 129 : 0);
			assert_memory_equal(answer.data + answer.len - 8, "operator", 8);
		}
		build(&sent, echo, ip6);
		assert_int_equal(give(&link, &sent, 2 * SECOND - 1), LINK_NOTHING);
		build(&sent, echo, ip6);
		assert_int_equal(give(&link, &sent, 2 * SECOND), LINK_ANSWER);
		// Anybody may ask; to a group nobody answers.
		build(&sent, echo, ip6);
		memcpy(sent.frame.data, broadcast, 6);
		assert_int_equal(give(&link, &sent, 2 * SECOND), LINK_NOTHING);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_of_peers_are_taken),
		cmocka_unit_test(a_peer_behind_the_gateway_has_its_own_port),
		cmocka_unit_test(others_are_foreign_or_ignored),
		cmocka_unit_test(strays_are_remembered_until_a_good_datagram),
		cmocka_unit_test(whom_a_peer_seeks_is_remembered),
		cmocka_unit_test(who_does_not_answer_is_silent),
		cmocka_unit_test(frames_for_others_are_ignored),
		cmocka_unit_test(a_changed_byte_is_a_bad_checksum),
		cmocka_unit_test(no_checksum_is_none),
		cmocka_unit_test(cut_frames_are_malformed),
		cmocka_unit_test(lying_lengths_are_malformed),
		cmocka_unit_test(arp_for_us_is_answered),
		cmocka_unit_test(datagrams_leave_once_the_neighbour_is_known),
		cmocka_unit_test(the_longest_frame_has_1514_bytes),
		cmocka_unit_test(what_one_link_writes_another_reads),
		cmocka_unit_test(neighbours_are_asked_once_a_second),
		cmocka_unit_test(a_silent_neighbour_is_forgotten),
		cmocka_unit_test(a_group_is_nobodys_mac),
		cmocka_unit_test(solicitations_are_answered),
		cmocka_unit_test(a_probe_for_our_address_is_answered_to_all),
		cmocka_unit_test(forwarded_or_other_solicitations_are_not),
		cmocka_unit_test(echo_is_answered_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
