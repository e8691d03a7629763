// The clients of a bench: that of a flow, and frames that change it.
#pragma once

#include "base/bytes.h"
#include "pkt/checksum.h"

#include <stdbool.h>
#include <stdint.h>

#define CLIENT_NET  0xc6120000u // 198.18.0.0/15
#define CLIENT_MASK 0x1ffffu
#define CLIENT_BITS 17
#define CLIENT_PORT 40000

static inline uint32_t flow_client(uint32_t flow)
{
	return CLIENT_NET | (flow & CLIENT_MASK);
}

static inline uint16_t flow_port(uint32_t flow)
{
	return (uint16_t)(CLIENT_PORT + (flow >> CLIENT_BITS));
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
