// The clients of a bench: that of a flow, its state, and frames that change it.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "engine/message.h"
#include "pkt/checksum.h"

#include <stdbool.h>
#include <stdint.h>

#define CLIENT_NET  0xc6120000u // 198.18.0.0/15
#define CLIENT_MASK 0x1ffffu
#define CLIENT_BITS 17
#define CLIENT_PORT 40000
#define CLIENT_ISN  1000
#define SERVER	    0xc633640au // 198.51.100.10
#define SERVER_ISN  9000
#define D	    5000 // server's numbers plus this are the client's
#define TS_OFFSET   777

static inline uint32_t flow_client(uint32_t flow)
{
	return CLIENT_NET | (flow & CLIENT_MASK);
}

static inline uint16_t flow_port(uint32_t flow)
{
	return (uint16_t)(CLIENT_PORT + (flow >> CLIENT_BITS));
}

static inline struct addr addr4(uint32_t ip)
{
	uint8_t bytes[4];

	be32_put(bytes, ip);
	return addr_from_ip4(bytes);
}

// An established connection of that client.
static inline struct flow_record client_record(uint32_t flow)
{
	struct flow_record record = {.mode = MODE_PROXY,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 7},
		.incarnation = 1,
		.cookie = SERVER_ISN + D - 1, // of an older segment: these acknowledge data
		.isn_client = CLIENT_ISN,
		.translation = {.d = D,
			.ts_offset = TS_OFFSET,
			.bits = TRANSLATE_TIMESTAMPS | TRANSLATE_WINDOW,
			.to_client = {.left = 7, .right = 8}}};

	record.key = (struct flow_key){
		.outer_port = flow_port(flow), .inner_port = 80, .protocol = PROTOCOL_TCP};
	record.key.outer = addr4(flow_client(flow));
	record.key.inner = addr4(SERVER);
	return record;
}

// Gives a frame, made for flow 0, the client of another flow.
static inline void frame_set_flow(uint8_t *data, bool from_server, uint32_t flow)
{
	uint8_t *ip = data + 14, *tcp = ip + 20;
	uint8_t *address = ip + (from_server ? 16 : 12), *port = tcp + (from_server ? 2 : 0);
	uint16_t sum = be16_get(tcp + 16);

	sum = checksum_update32(sum, flow_client(0), flow_client(flow));
	sum = checksum_update16(sum, flow_port(0), flow_port(flow));
	be16_put(tcp + 16, sum);
	be16_put(ip + 10, checksum_update32(be16_get(ip + 10), flow_client(0), flow_client(flow)));
	be32_put(address, flow_client(flow));
	be16_put(port, flow_port(flow));
}
