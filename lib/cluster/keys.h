// The keys of one handshake: one for each direction, the counter of what was sealed, the replay
// window of what was opened, and the limits of both.
#pragma once

#include "cluster/handshake.h"
#include "cluster/record.h"
#include "cluster/window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What GCM's confidentiality allows for datagrams of this size (RFC 9001, appendix B.1.1): sealing
// ends here. Rekeying comes long before.
#define KEYS_RECORDS_MAX (1ULL << 28)
// Failed openings that close the keys; RFC 9147 allows 2^36. Half of them ask for a rekey.
#define KEYS_FORGERIES_MAX (1ULL << 32)

struct keys {
	bool valid;
	uint16_t id;
	uint64_t peer_incarnation;
	uint64_t made_ns;
	uint64_t until_ns; // of those not in use: when they are forgotten
	uint64_t sealed;
	uint64_t forgeries;
	struct record_key seal, open;
	struct window window;
};

enum keys_result {
	KEYS_OPENED,
	KEYS_REPLAYED,
	KEYS_FORGED,
};

// From what the handshake exported. 0 or -ERR_CRYPTO.
int keys_init(struct keys *keys, EVP_CIPHER *cipher, const uint8_t material[HANDSHAKE_KEYS_BYTES],
	bool client);
void keys_finish(struct keys *keys); // wipes; harmless where there are none
// `from` goes to `to`, whose former keys are finished.
void keys_move(struct keys *to, struct keys *from);

// Writes the counter into the header at data and seals what follows. False: out of records.
bool keys_seal(struct keys *keys, uint8_t *data, size_t plain_len);
// Opens a datagram of at least header and tag.
enum keys_result keys_open(struct keys *keys, uint8_t *data, size_t len);
