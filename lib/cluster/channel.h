// The secured channel to one peer: handshakes, keys, records, replay windows, rekeying
// (WIRE.md section 1; RELIABILITY 5). Allocates only inside libcrypto and the handshake method,
// when keys change.
#pragma once

#include "base/counter.h"
#include "cluster/handshake.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATAGRAM_BYTES_MAX    1472
#define DATAGRAM_HEADER_BYTES 16
#define RECORD_TAG_BYTES      16
#define CLUSTER_NAME_BYTES    64
#define CHANNEL_REFUSED_NS    15000000000ULL // three attempts at least are made in that time

struct channel_config {
	char cluster[CLUSTER_NAME_BYTES];
	uint16_t id;	      // own
	uint16_t peer;	      // the lower one is the client
	uint64_t incarnation; // own, random, of this life; not 0
	const struct handshake_methods *methods;
	void *context;		// of methods->start
	uint64_t rekey_ns;	// 0: 120 s
	uint32_t rekey_records; // 0: 2^22
};

// Written by the channel alone; any thread reads.
struct channel_stats {
	counter handshakes; // done
	counter rekeys;	    // new keys taken into use with the same incarnation
	counter bad_auth;   // refused before or by crypto
	counter replayed;
	counter version;
};

enum channel_event {
	CHANNEL_NOTHING, // consumed or refused
	CHANNEL_RECORD,	 // a record was opened: its plaintext lies in the datagram's own bytes
	// Keys with a new incarnation of the peer are in use, both ways. If it was a record that
	// said so, its content is lost: the peer sends what matters again.
	CHANNEL_UP,
};

struct channel;

size_t channel_bytes(void);
// In `memory` (channel_bytes(), aligned to CPU_CACHE_LINE_BYTES, zeroed); the caller keeps it.
struct channel *channel_init(void *memory, const struct channel_config *config);
void channel_finish(struct channel *channel); // frees keys and handshakes

// One datagram of the peer, decrypted in place. With CHANNEL_RECORD *plain and *plain_len are set;
// the plaintext lies inside data.
enum channel_event channel_feed(struct channel *channel, uint64_t now_ns, uint8_t *data, size_t len,
	uint8_t **plain, size_t *plain_len);

// Seals data[DATAGRAM_HEADER_BYTES .. + plain_len), at least a byte, in place: header in front, tag
// behind (there is room). Returns the datagram's length, 0 where there are no keys.
size_t channel_seal(struct channel *channel, uint64_t now_ns, uint8_t *data, size_t plain_len);

// What the handshakes have to send: one datagram of at most DATAGRAM_BYTES_MAX into data, 0: no
// more. Starts handshakes (the client's side), repeats, rekeys, and forgets old keys. Called until
// it returns 0, at each turn and at least every 100 ms.
size_t channel_poll(struct channel *channel, uint64_t now_ns, uint8_t *data);

// True where records can be sealed.
bool channel_is_up(const struct channel *channel);
// Incarnation of the peer the keys in use belong to.
uint64_t channel_peer_incarnation(const struct channel *channel);
// `cluster rekey`: new keys now; the server asks the client for them.
void channel_rekey(struct channel *channel);
// The liveness check lost the peer: the client starts over with handshakes, the server waits for
// them (keys stay valid until new ones). Keys younger than patience_ns are given a chance.
void channel_restart(struct channel *channel, uint64_t now_ns, uint64_t patience_ns);
// Somebody answers at the peer's address and, in the last CHANNEL_REFUSED_NS, did not prove to be
// the peer, or named another cluster or id. Says nothing of keys that work.
bool channel_is_refused(const struct channel *channel, uint64_t now_ns);
const struct channel_stats *channel_stats(const struct channel *channel);
// Why the last handshake failed, or nothing is heard but strangers; "" after one that was done.
const char *channel_error(const struct channel *channel);
