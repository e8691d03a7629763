// The player between anything and anything: segments of a few connections, ICMP errors about them
// and raw bytes are offered, others said to be emitted. Every packet is accounted for at any time,
// nothing is read or written outside a frame, and checksums that were right stay right.
//
// Input: records of a head of 12 bytes and as many payload bytes as head[11] says, modulo 64.
#include "fuzz.h"

#include "base/bytes.h"
#include "base/check.h"
#include "packet.h"
#include "replay/player.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES	 12
#define MEMORY_BYTES	 65536
#define CONNECTIONS	 3
#define ROOM_BYTES	 512
#define NS_PER_STEP	 1000000u
#define FUZZ_IP6	 0x04
#define FUZZ_FROM_INSIDE 0x01
#define FUZZ_EMITTED	 0x02

static struct service service;
static uint64_t now_ns;

static struct player *fresh_player(void)
{
	static _Alignas(64) uint8_t memory[MEMORY_BYTES];
	const struct player_config config = {.services = &service,
		.service_count = 1,
		.connections = CONNECTIONS,
		.hold_bytes = 8192,
		.connection_bytes = 4096,
		.connection_frames = 12};

	service = (struct service){.to_count = 2,
		.protocol = RULE_TCP,
		.from = RULE_FROM_OUTSIDE,
		.mode = MODE_PROXY,
		.port_count = 1,
		.ports = {{1, 82}}};
	CHECK(prefix_parse(&service.to[0], "198.51.100.0/24") == 0);
	CHECK(prefix_parse(&service.to[1], "2001:db8:2::/64") == 0);
	CHECK(player_bytes(&config) <= sizeof(memory));
	memset(memory, 0, sizeof(memory));
	now_ns = 0;
	return player_init(memory, &config);
}

static void check(const struct player *player)
{
	const struct player_counts *counts = player_counts(player);
	uint64_t sum = counts->passed + counts->played + counts->held;

	for (unsigned i = 0; i < PLAYER_CAUSE_COUNT; i++)
		sum += counts->withheld[i];
	CHECK(sum == counts->offered);
}

// The segment a head describes: numbers are near to each other, so that connections happen.
static struct packet describe(const uint8_t *head, const uint8_t *payload)
{
	static const uint8_t flags[8] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH,
		TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK, TCP_SYN | TCP_ECE | TCP_CWR};
	uint8_t options = head[9] % 32, text = head[11] % 64;
	struct packet packet = {.ip6 = head[0] & FUZZ_IP6,
		.from_server = head[0] & FUZZ_FROM_INSIDE,
		.client_port = (uint16_t)(1 + head[1] % 4),
		.server_port = (uint16_t)(80 + head[1] / 64),
		.flags = flags[head[2] % 8],
		.seq = (uint32_t)head[3] << 24 | head[4],
		.ack = (uint32_t)head[5] << 24 | head[6],
		.window = be16_get(head + 7),
		.tos = head[10] & 3};

	packet.options = (struct bytes){payload, options < text ? options : text};
	packet.payload.data = payload + packet.options.len;
	packet.payload.len = (uint16_t)(text - packet.options.len);
	return packet;
}

// A frame of exactly its size and PLAYER_HEADROOM_BYTES in front of it. head[10] may turn it into
// an ICMP error that quotes it, or into bytes that are no packet, or cut it.
static struct frame make(const uint8_t *head, const uint8_t *payload, uint8_t **memory)
{
	uint8_t room[PACKET_ROOM_BYTES], error_room[PACKET_ROOM_BYTES];
	struct packet packet = describe(head, payload);
	struct frame frame = packet_build(room, &packet);

	if (head[10] & 0x10) {
		struct packet error = {.ip6 = packet.ip6,
			.from_server = !packet.from_server,
			.protocol = PROTOCOL_ICMP,
			.type = 3,
			.code = 4};

		error.payload = (struct bytes){frame.data + 14, (uint16_t)(frame.len - 14)};
		frame = packet_build(error_room, &error);
	}
	if (head[10] & 0x20)
		frame.data[14 + head[9] % (frame.len - 14)] ^= head[11];
	if (head[10] & 0x40) {
		frame.len = (uint16_t)(frame.len - head[9] % 32);
		frame.flags = FRAME_TRUNCATED;
	}
	*memory = malloc(PLAYER_HEADROOM_BYTES + frame.len);
	CHECK(*memory != NULL);
	memcpy(*memory + PLAYER_HEADROOM_BYTES, frame.data, frame.len);
	return (struct frame){.data = *memory + PLAYER_HEADROOM_BYTES,
		.len = frame.len,
		.headroom = PLAYER_HEADROOM_BYTES,
		.flags = frame.flags};
}

static bool is_good(const struct frame *frame)
{
	struct view view;

	return view_parse(&view, frame) == REASON_NONE && view_verify(&view, frame) == REASON_NONE;
}

static void drain(struct player *player)
{
	uint8_t room[PLAYER_HEADROOM_BYTES + ROOM_BYTES];
	struct frame out;

	do {
		out = (struct frame){.data = room + PLAYER_HEADROOM_BYTES,
			.headroom = PLAYER_HEADROOM_BYTES,
			.tailroom = ROOM_BYTES};
		check(player);
	} while (player_next(player, &out));
}

static void step(struct player *player, const uint8_t *head, const uint8_t *payload)
{
	enum side side = head[0] & FUZZ_FROM_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
	uint8_t *memory;
	struct frame frame = make(head, payload, &memory);
	bool good = is_good(&frame);

	now_ns += NS_PER_STEP;
	if (head[0] & FUZZ_EMITTED)
		player_emitted(
			player, &frame, side == SIDE_INSIDE ? SIDE_OUTSIDE : SIDE_INSIDE, now_ns);
	else if (player_offer(player, &frame, side, now_ns) == PLAYER_PLAY)
		CHECK(is_good(&frame) == good);
	check(player);
	if (!(head[0] & 0x80)) // callers that forget are no reason to lose a packet
		drain(player);
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct player *player = fresh_player();

	while (len >= HEAD_BYTES && len - HEAD_BYTES >= data[11] % 64) {
		size_t used = HEAD_BYTES + data[11] % 64u;

		step(player, data, data + HEAD_BYTES);
		data += used;
		len -= used;
	}
	player_finish(player);
	check(player);
	CHECK(player_counts(player)->held == 0);
	return 0;
}
