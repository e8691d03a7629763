// What was seen of a peer, look by look, and the one sentence about what is wrong with it, for the
// log and the console. From what it is given alone: no clock, no node.
#pragma once

#include "base/addr.h"
#include "cluster/cluster.h"
#include "weir/cluster/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_WATCH_TEXT_BYTES 640
#define PEER_WATCH_LOSSES     3 // so many in PEER_WATCH_LOSSES_NS, and the peer comes and goes
#define PEER_WATCH_LOSSES_NS  10000000000ULL

// What is to be seen of it now.
struct peer_sight {
	enum peer_state state;
	const char *name;
	const char *at;	   // its address and port
	const char *error; // what the cluster knows of it, "": nothing
	const struct addr *address, *own_address;
	uint16_t udp_port, own_udp_port;
	bool waits; // this node has the higher id, and sends nothing before the peer does
	struct transport_way way;
	uint64_t rx_bytes;  // of all datagrams from its address, refused ones among them
	uint32_t detect_ms; // of this node
	uint32_t join_ms;   // how long this node waits for others before it goes on alone
};

// All zero: not looked at yet. Read-only for all but the functions below.
struct peer_watch {
	enum peer_state state;
	bool begun;
	bool left;				   // it said that it goes, and went
	bool told;				   // that it does not answer, since it was active
	uint64_t since_ns;			   // it is in this state
	uint64_t inactive_ns;			   // it was active last, or since the first look
	uint64_t rx_bytes, rx_ns;		   // when these changed last
	uint64_t losses_ns[PEER_WATCH_LOSSES - 1]; // the latest ones before the latest
	uint64_t lost_ns;			   // the latest
	uint64_t flaps_told_ns, refused_told_ns;   // when the log was told, 0: not yet
	char error[192];			   // why it was refused then
};

// A look. True where its state is another one.
bool peer_watch_see(struct peer_watch *watch, const struct peer_sight *sight, uint64_t now_ns);

// What is wrong with it, behind a look at the same sight. False, and "": nothing, or nothing yet.
bool peer_watch_trouble(const struct peer_watch *watch, const struct peer_sight *sight,
	uint64_t now_ns, char out[PEER_WATCH_TEXT_BYTES]);

// True where the log should be told that now. It is taken as told.
bool peer_watch_tells(struct peer_watch *watch, const struct peer_sight *sight, uint64_t now_ns);
