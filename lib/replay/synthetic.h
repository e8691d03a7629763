// Load without a capture: SYNs, forged ACKs and segments of established connections, made one by
// one for the clients and the server of one service. The same seed makes the same packets.
//
// The ends of established connections know what the box told them of each other, as real ones do:
//
//	ask()    the next packet that opens a connection, or answers what hear() heard
//	hear()   what left through either side meanwhile
//	next()   afterwards: a packet of the load
//
// So connections are opened whatever the service's mode is. An end sends the same numbers again and
// again then, as if nothing were acknowledged; no more is kept of it than its peer's first one.
//
// Clients lie close together, as many in one prefix as the box lets have connections: the number of
// a connection gives its addresses and ports, and those give its number. Floods come from
// everywhere. No clock, no randomness, no allocation.
#pragma once

#include "base/addr.h"
#include "pkt/frame.h"
#include "service/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNTHETIC_FLOWS_MAX   100000000u
#define SYNTHETIC_FRAME_BYTES 128
#define SYNTHETIC_ANSWERS     256 // a power of two
#define SYNTHETIC_OPENING     32  // connections that are opened at once

enum synthetic_kind {
	SYNTHETIC_SYN,
	SYNTHETIC_ACK,	       // forged: without a connection
	SYNTHETIC_MIX,	       // half established, a quarter SYNs, a quarter forged ACKs
	SYNTHETIC_ESTABLISHED, // of both ends
	SYNTHETIC_KINDS
};

struct synthetic_config {
	uint8_t kind;	// enum synthetic_kind
	uint32_t flows; // connections that are opened first
	uint64_t count; // packets of the load
	uint64_t rate;	// of them, in a second
	uint64_t seed;
	const struct service *service; // of TCP
	struct prefix clients;	       // of the family of the service's first prefix
	unsigned prefix_bits;	       // of a prefix with a limit, in the address's own form
	uint32_t prefix_flows;	       // and the limit
};

struct synthetic_end {
	struct addr addr;
	uint16_t port;
};

struct synthetic_answer {
	uint32_t flow;
	bool server; // who answers
};

struct synthetic {
	struct synthetic_config config;
	struct synthetic_end server;
	uint8_t server_side; // enum side
	unsigned host_bits;  // of a client's address, behind its prefix
	uint32_t hosts;	     // in a prefix
	uint32_t block;	     // connections of a prefix
	uint64_t random;
	uint32_t *told[2]; // by connection: the peer's ISN, as the client and the server heard it
	uint32_t asked;	   // connections begun
	uint32_t opened;   // whose server heard the client's ACK
	uint64_t made;	   // packets of the load
	unsigned first, waiting;
	struct synthetic_answer answers[SYNTHETIC_ANSWERS];
	uint8_t buffer[SYNTHETIC_FRAME_BYTES];
};

// One packet, in the generator's memory until the next one.
struct synthetic_packet {
	const uint8_t *data;
	uint16_t len;
	uint8_t side;	// enum side it arrives on
	uint64_t at_ns; // since the load began
};

// "syn", "ack" ...; SYNTHETIC_KINDS where it is none of them.
const char *synthetic_kind_name(enum synthetic_kind kind);
enum synthetic_kind synthetic_kind_of(const char *name, size_t len);

// Connections that the clients can have, by their number and the limit. `flows` is not looked at.
uint64_t synthetic_flows_most(const struct synthetic_config *config);
// Prefixes that `flows` connections lie in.
uint64_t synthetic_prefixes(const struct synthetic_config *config);
// Where all packets go to: in the service's first prefix and ports.
struct synthetic_end synthetic_server(const struct service *service);

// Memory of the connections, zeroed, for init.
size_t synthetic_bytes(const struct synthetic_config *config);
// At most synthetic_flows_most() flows.
void synthetic_init(struct synthetic *load, const struct synthetic_config *config, void *memory);

// Opening: false where there is nothing to send before something is heard.
bool synthetic_ask(struct synthetic *load, struct synthetic_packet *packet);
void synthetic_hear(struct synthetic *load, const struct frame *frame, enum side side);
static inline bool synthetic_is_open(const struct synthetic *load)
{
	return load->opened >= load->config.flows;
}

// The load: false at its end.
bool synthetic_next(struct synthetic *load, struct synthetic_packet *packet);
