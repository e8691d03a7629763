#include "replay/synthetic.h"

#include "base/bytes.h"
#include "base/check.h"
#include "pkt/checksum.h"
#include "pkt/view.h"

#include <string.h>

#define PORT_LOW	 1024
#define PORT_USUAL	 80 // where the service has it
#define PORTS		 (UINT16_MAX + 1 - PORT_LOW)
#define HOSTS_MAX	 65536
#define NS_PER_S	 1000000000ULL
#define WINDOW		 64000
#define PAYLOAD_BYTES	 6 // of established segments: with IPv4 the shortest frame there is
#define ETHERNET_BYTES	 14
#define IP4_BYTES	 20
#define IP6_BYTES	 40
#define TCP_BYTES	 20
#define SYN_OPTION_BYTES 20
#define ACK_OPTION_BYTES 12
#define TTL		 64
#define GROUP		 32 // packets of one side in a row: a device hands out bursts

typedef unsigned __int128 wide; // an address as a number

const char *synthetic_kind_name(enum synthetic_kind kind)
{
	static const char *const names[SYNTHETIC_KINDS] = {"syn", "ack", "mix", "established"};

	return names[kind];
}

enum synthetic_kind synthetic_kind_of(const char *name, size_t len)
{
	enum synthetic_kind kind = SYNTHETIC_SYN;

	while (kind < SYNTHETIC_KINDS && (strlen(synthetic_kind_name(kind)) != len ||
						 memcmp(synthetic_kind_name(kind), name, len) != 0))
		kind++;
	return kind;
}

// splitmix64: what matters is that packets have nothing to do with each other.
static uint64_t mix(uint64_t number)
{
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
	number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
	return number ^ (number >> 31);
}

static uint64_t draw(struct synthetic *load)
{
	return mix(load->random += 0x9e3779b97f4a7c15);
}

// --- who there is ---

static wide wide_of(const struct addr *addr)
{
	return (wide)be64_get(addr->b) << 64 | be64_get(addr->b + 8);
}

static struct addr addr_of(wide number)
{
	struct addr addr;

	be64_put(addr.b, (uint64_t)(number >> 64));
	be64_put(addr.b + 8, (uint64_t)number);
	return addr;
}

// Bits of the 16-byte form.
static unsigned limit_bits(const struct synthetic_config *config)
{
	return config->clients.family == 4 ? 96 + config->prefix_bits : config->prefix_bits;
}

static unsigned host_bits(const struct synthetic_config *config)
{
	unsigned bits = limit_bits(config);

	return 128 - (bits > config->clients.bits ? bits : config->clients.bits);
}

static uint32_t host_count(const struct synthetic_config *config)
{
	unsigned bits = host_bits(config);

	return bits >= 16 ? HOSTS_MAX : 1u << bits;
}

static uint32_t block_flows(const struct synthetic_config *config)
{
	uint32_t most = host_count(config) * PORTS;

	return config->prefix_flows < most ? config->prefix_flows : most;
}

uint64_t synthetic_flows_most(const struct synthetic_config *config)
{
	unsigned bits = 128u - config->clients.bits - host_bits(config);

	return (bits < 32 ? 1ULL << bits : UINT32_MAX) * block_flows(config);
}

uint64_t synthetic_prefixes(const struct synthetic_config *config)
{
	uint32_t block = block_flows(config);

	return ((uint64_t)config->flows + block - 1) / block;
}

struct synthetic_end synthetic_server(const struct service *service)
{
	const struct prefix *to = &service->to[0];
	const struct port_range *ports = &service->ports[0];
	uint16_t port = ports->low > 0 ? ports->low : ports->high;
	wide base = wide_of(&to->addr);

	if (ports->low <= PORT_USUAL && PORT_USUAL <= ports->high)
		port = PORT_USUAL;

	// The network's own address is nobody's.
	return (struct synthetic_end){
		.addr = addr_of(to->bits < 127 ? base | 1 : base), .port = port};
}

size_t synthetic_bytes(const struct synthetic_config *config)
{
	return 2 * (size_t)config->flows * sizeof(uint32_t);
}

void synthetic_init(struct synthetic *load, const struct synthetic_config *config, void *memory)
{
	uint32_t *numbers = memory;

	CHECK(config->flows <= synthetic_flows_most(config) && config->rate > 0);
	*load = (struct synthetic){.config = *config,
		.server = synthetic_server(config->service),
		.server_side =
			config->service->from == RULE_FROM_INSIDE ? SIDE_OUTSIDE : SIDE_INSIDE,
		.host_bits = host_bits(config),
		.hosts = host_count(config),
		.block = block_flows(config),
		.random = mix(config->seed),
		.told = {numbers, numbers + config->flows}};
}

static struct synthetic_end client_of(const struct synthetic *load, uint32_t flow)
{
	uint32_t in_block = flow % load->block;
	wide number = wide_of(&load->config.clients.addr);

	number += (wide)(flow / load->block) << load->host_bits;
	number += in_block % load->hosts;
	return (struct synthetic_end){
		.addr = addr_of(number), .port = (uint16_t)(PORT_LOW + in_block / load->hosts)};
}

// False for what is no client's.
static bool find_flow(
	const struct synthetic *load, const struct addr *addr, uint16_t port, uint32_t *flow)
{
	wide number = wide_of(addr) - wide_of(&load->config.clients.addr);
	wide host = number & (((wide)1 << load->host_bits) - 1), block = number >> load->host_bits;
	uint64_t in_block;

	if (host >= load->hosts || block > load->config.flows || port < PORT_LOW)
		return false;
	in_block = (uint64_t)(port - PORT_LOW) * load->hosts + (uint64_t)host;
	if (in_block >= load->block ||
		(uint64_t)block * load->block + in_block >= load->config.flows)
		return false;
	*flow = (uint32_t)((uint64_t)block * load->block + in_block);
	return true;
}

static uint32_t isn_of(const struct synthetic *load, uint32_t flow, bool server)
{
	return (uint32_t)mix(load->config.seed ^ ((uint64_t)flow << 1 | server));
}

// --- packets ---

struct segment_text {
	struct synthetic_end from, to;
	uint8_t side;
	uint8_t flags;
	uint32_t seq, ack;
	unsigned option_bytes;
	unsigned payload_bytes;
	uint32_t tsval; // in the options
};

static void put_options(uint8_t *at, const struct segment_text *text)
{
	static const uint8_t syn[SYN_OPTION_BYTES] = {
		2, 4, 1460 >> 8, 1460 & 0xff, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7};
	static const uint8_t plain[SYN_OPTION_BYTES] = {
		2, 4, 1460 >> 8, 1460 & 0xff, 4, 2, 1, 1, 1, 3, 3, 7};
	static const uint8_t stamps[ACK_OPTION_BYTES] = {1, 1, 8, 10};

	if (text->option_bytes == SYN_OPTION_BYTES) {
		memcpy(at, syn, sizeof(syn));
		be32_put(at + 8, text->tsval);
	} else if (text->flags & TCP_SYN) {
		memcpy(at, plain, text->option_bytes);
	} else if (text->option_bytes > 0) {
		memcpy(at, stamps, sizeof(stamps));
		be32_put(at + 4, text->tsval);
		be32_put(at + 8, ~text->tsval);
	}
}

static unsigned put_ip4(uint8_t *ip, const struct segment_text *text, unsigned upper_bytes)
{
	ip[0] = 0x45;
	be16_put(ip + 2, (uint16_t)(IP4_BYTES + upper_bytes));
	be16_put(ip + 6, 0x4000); // may not be fragmented
	ip[8] = TTL;
	ip[9] = PROTOCOL_TCP;
	memcpy(ip + 12, text->from.addr.b + 12, 4);
	memcpy(ip + 16, text->to.addr.b + 12, 4);
	be16_put(ip + 10, checksum_finish(checksum_add(0, ip, IP4_BYTES)));
	return IP4_BYTES;
}

static unsigned put_ip6(uint8_t *ip, const struct segment_text *text, unsigned upper_bytes)
{
	ip[0] = 0x60;
	be16_put(ip + 4, (uint16_t)upper_bytes);
	ip[6] = PROTOCOL_TCP;
	ip[7] = TTL;
	memcpy(ip + 8, text->from.addr.b, ADDR_BYTES);
	memcpy(ip + 24, text->to.addr.b, ADDR_BYTES);
	return IP6_BYTES;
}

static void put_tcp(uint8_t *tcp, const struct segment_text *text, unsigned bytes)
{
	uint64_t sum = checksum_word(PROTOCOL_TCP) + checksum_word(bytes);

	be16_put(tcp, text->from.port);
	be16_put(tcp + 2, text->to.port);
	be32_put(tcp + 4, text->seq);
	be32_put(tcp + 8, text->ack);
	tcp[12] = (uint8_t)((TCP_BYTES + text->option_bytes) / 4 << 4);
	tcp[13] = text->flags;
	be16_put(tcp + 14, WINDOW);
	put_options(tcp + TCP_BYTES, text);
	// Zeros in front of an IPv4 address; what marks the family there is no part of the packet.
	sum = checksum_add(sum, text->from.addr.b + (addr_is_ip4(&text->from.addr) ? 12 : 0),
		addr_is_ip4(&text->from.addr) ? 4 : ADDR_BYTES);
	sum = checksum_add(sum, text->to.addr.b + (addr_is_ip4(&text->to.addr) ? 12 : 0),
		addr_is_ip4(&text->to.addr) ? 4 : ADDR_BYTES);
	be16_put(tcp + 16, checksum_finish(checksum_add(sum, tcp, bytes)));
}

static void put(
	struct synthetic *load, const struct segment_text *text, struct synthetic_packet *packet)
{
	bool ip4 = addr_is_ip4(&text->from.addr);
	bool from_server = text->side == load->server_side;
	unsigned bytes = TCP_BYTES + text->option_bytes + text->payload_bytes, ip_bytes;
	uint8_t *frame = load->buffer;

	memset(frame, 0, sizeof(load->buffer));
	frame[0] = frame[6] = 2; // of nobody: 02:00:00:00:00:01 is the clients', :02 the server's
	frame[5] = from_server ? 1 : 2;
	frame[11] = from_server ? 2 : 1;
	be16_put(frame + 12, ip4 ? 0x0800 : 0x86dd);
	ip_bytes = ip4 ? put_ip4(frame + ETHERNET_BYTES, text, bytes)
		       : put_ip6(frame + ETHERNET_BYTES, text, bytes);
	put_tcp(frame + ETHERNET_BYTES + ip_bytes, text, bytes);
	packet->data = frame;
	packet->len = (uint16_t)(ETHERNET_BYTES + ip_bytes + bytes);
	packet->side = text->side;
}

static struct segment_text from_client(const struct synthetic *load, struct synthetic_end client)
{
	return (struct segment_text){
		.from = client, .to = load->server, .side = (uint8_t)!load->server_side};
}

static struct segment_text from_server(const struct synthetic *load, struct synthetic_end client)
{
	return (struct segment_text){.from = load->server, .to = client, .side = load->server_side};
}

// --- opening ---

static void put_syn_of(struct synthetic *load, uint32_t flow, struct synthetic_packet *packet)
{
	struct segment_text text = from_client(load, client_of(load, flow));

	text.flags = TCP_SYN;
	text.seq = isn_of(load, flow, false);
	text.option_bytes = ACK_OPTION_BYTES;
	put(load, &text, packet);
}

static void put_answer(struct synthetic *load, const struct synthetic_answer *answer,
	struct synthetic_packet *packet)
{
	struct synthetic_end client = client_of(load, answer->flow);
	struct segment_text text =
		answer->server ? from_server(load, client) : from_client(load, client);

	text.flags = answer->server ? TCP_SYN | TCP_ACK : TCP_ACK;
	text.seq = isn_of(load, answer->flow, answer->server) + !answer->server;
	text.ack = load->told[answer->server][answer->flow] + 1;
	text.option_bytes = answer->server ? ACK_OPTION_BYTES : 0;
	put(load, &text, packet);
}

bool synthetic_ask(struct synthetic *load, struct synthetic_packet *packet)
{
	*packet = (struct synthetic_packet){0};
	if (load->waiting > 0) {
		put_answer(load, &load->answers[load->first % SYNTHETIC_ANSWERS], packet);
		load->first++;
		load->waiting--;
		return true;
	}
	if (load->asked == load->config.flows || load->asked - load->opened >= SYNTHETIC_OPENING)
		return false;
	put_syn_of(load, load->asked++, packet);
	return true;
}

static void answer(struct synthetic *load, uint32_t flow, bool server, uint32_t told)
{
	load->told[server][flow] = told;
	if (load->waiting == SYNTHETIC_ANSWERS)
		return; // the box says it again
	load->answers[(load->first + load->waiting++) % SYNTHETIC_ANSWERS] =
		(struct synthetic_answer){.flow = flow, .server = server};
}

void synthetic_hear(struct synthetic *load, const struct frame *frame, enum side side)
{
	bool to_server = side == load->server_side;
	struct frame copy = *frame;
	struct view view;
	uint32_t flow;

	if (view_parse(&view, &copy) != REASON_NONE || !(view.bits & VIEW_TCP) ||
		!find_flow(load, to_server ? &view.src : &view.dst,
			to_server ? view.sport : view.dport, &flow))
		return;
	switch (view.tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) {
	case TCP_SYN:
		if (to_server)
			answer(load, flow, true, view.seq);
		break;
	case TCP_SYN | TCP_ACK:
		if (!to_server)
			answer(load, flow, false, view.seq);
		break;
	case TCP_ACK:
		load->opened += to_server;
		break;
	default:
		break;
	}
}

// --- the load ---

static struct synthetic_end draw_client(struct synthetic *load)
{
	const struct prefix *clients = &load->config.clients;
	uint64_t random = draw(load);
	wide host = (wide)draw(load) << 64 | random;

	if (clients->bits > 0)
		host &= ((wide)1 << (128 - clients->bits)) - 1;
	return (struct synthetic_end){.addr = addr_of(wide_of(&clients->addr) + host),
		.port = (uint16_t)(PORT_LOW + (random >> 32) % PORTS)};
}

static void put_syn(struct synthetic *load, struct synthetic_packet *packet)
{
	struct segment_text text = from_client(load, draw_client(load));
	uint64_t random = draw(load);

	text.flags = TCP_SYN;
	text.seq = (uint32_t)random;
	text.option_bytes = SYN_OPTION_BYTES;
	text.tsval = (uint32_t)(random >> 32);
	put(load, &text, packet);
}

static void put_forged(struct synthetic *load, struct synthetic_packet *packet)
{
	struct segment_text text = from_client(load, draw_client(load));
	uint64_t random = draw(load);

	text.flags = TCP_ACK;
	text.seq = (uint32_t)random;
	text.ack = (uint32_t)(random >> 32);
	text.option_bytes = ACK_OPTION_BYTES;
	text.tsval = (uint32_t)(random >> 16);
	put(load, &text, packet);
}

static void put_established(struct synthetic *load, bool server, struct synthetic_packet *packet)
{
	uint64_t random = draw(load);
	uint32_t flow = (uint32_t)((random >> 32) * load->config.flows >> 32);
	struct synthetic_end client = client_of(load, flow);
	struct segment_text text = server ? from_server(load, client) : from_client(load, client);

	text.flags = TCP_ACK | TCP_PSH;
	text.seq = isn_of(load, flow, server) + 1;
	text.ack = load->told[server][flow] + 1;
	text.payload_bytes = PAYLOAD_BYTES;
	put(load, &text, packet);
}

// Of a mix a quarter is of each kind: SYNs, forged ACKs, established clients, their server.
static void put_mixed(struct synthetic *load, struct synthetic_packet *packet)
{
	uint64_t third = draw(load) % 3;

	if (load->made / GROUP % 4 == 3)
		put_established(load, true, packet);
	else if (third == 0)
		put_established(load, false, packet);
	else if (third == 1)
		put_syn(load, packet);
	else
		put_forged(load, packet);
}

bool synthetic_next(struct synthetic *load, struct synthetic_packet *packet)
{
	const struct synthetic_config *config = &load->config;

	if (load->made == config->count)
		return false;
	switch ((enum synthetic_kind)config->kind) {
	case SYNTHETIC_SYN:
		put_syn(load, packet);
		break;
	case SYNTHETIC_ACK:
		put_forged(load, packet);
		break;
	case SYNTHETIC_MIX:
		put_mixed(load, packet);
		break;
	default:
		put_established(load, load->made / GROUP % 2 == 1, packet);
		break;
	}
	packet->at_ns = load->made / config->rate * NS_PER_S +
			load->made % config->rate * NS_PER_S / config->rate;
	load->made++;
	return true;
}
