// A node played by a test: it proves who it is, and then says what it likes. For what no cluster
// would ever send.
#pragma once

#include "cluster/delivery.h"
#include "cluster/hello.h"
#include "net.h"

struct rogue {
	struct net *net;
	unsigned host, peer;
	struct channel *channel;
	void *memory;
	uint64_t nonce_lives;
	struct keyed_context keys;
	uint32_t number;       // of its latest record
	uint64_t beat_time_ns; // of the latest heartbeat of the peer
	uint64_t beats;	       // heartbeats of the peer that arrived
	struct heartbeat heard;
};

// Plays `host`, which must be down, towards `peer`. The net's `raw` is rogue_arrive, its context
// the rogue.
void rogue_start(struct rogue *rogue, struct net *net, unsigned host, unsigned peer);
void rogue_finish(struct rogue *rogue);
void rogue_arrive(struct net *net, struct net_flight *flight);
// Lets time pass until there are keys.
bool rogue_connect(struct rogue *rogue);
// A record with these messages: the next number where `numbered`, else none.
void rogue_say(struct rogue *rogue, bool numbered, const void *messages, size_t len);
// A whole plaintext.
void rogue_say_raw(struct rogue *rogue, const void *plain, size_t len);
void rogue_hello(struct rogue *rogue, const struct hello *hello);
// With time and echo filled in.
void rogue_beat(struct rogue *rogue, struct heartbeat *beat);
