// What nodes say about themselves: the bodies of HELLO, HEARTBEAT and SECRET (WIRE.md section 5).
#pragma once

#include "base/cursor.h"
#include "base/siphash.h"
#include "cluster/channel.h"
#include "cluster/update.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_SECRET_BYTES 32

struct hello {
	uint8_t lowest, highest; // format versions
	uint16_t max_id;
	uint8_t table_key[SIPHASH_KEY_BYTES];
	uint8_t workers;
	char node[CLUSTER_NAME_BYTES];
};

// Which secret it is (secret.h). Number 0: none.
struct generation {
	uint64_t founded_ns; // what the cluster counter was when its cluster was founded
	uint64_t number;
};

enum heartbeat_state {
	HEARTBEAT_JOINING = 0,
	HEARTBEAT_ACTIVE = 1,
	HEARTBEAT_DRAINING = 2,
};

struct heartbeat {
	uint8_t state; // enum heartbeat_state
	bool alone;
	uint32_t age_s;
	uint64_t counter_ns;
	uint64_t time_ns; // the sender's clock
	uint64_t echo_ns; // the latest time_ns heard from the receiver, 0: it is not heard
	uint64_t held_ns; // how long ago that was
	struct generation generation; // of the secret
};

struct secret {
	struct generation generation;
	uint32_t first_epoch;
	uint8_t bytes[CLUSTER_SECRET_BYTES];
};

// Each writes a whole message; false, and nothing written, where it does not fit.
bool hello_put(struct cursor *out, const struct hello *hello);
bool heartbeat_put(struct cursor *out, const struct heartbeat *beat);
// `newest`: generation of the newest secret the sender has.
bool secret_put(struct cursor *out, const struct secret *secret, struct generation newest);
bool bye_put(struct cursor *out);

// From a message's body. False: malformed.
bool hello_get(struct hello *hello, const uint8_t *body, size_t len);
bool heartbeat_get(struct heartbeat *beat, const uint8_t *body, size_t len);
bool secret_get(struct secret *secret, struct generation *newest, const uint8_t *body, size_t len);
