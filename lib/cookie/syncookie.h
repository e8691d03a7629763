// The cookie of `proxy` mode: the sequence number of the SYN/ACK (P1, TCP.md 1.4-1.8).
//
//   without timestamps           with timestamps (the ACK has the option)
//   31     epoch mod 2           31     epoch mod 2
//   30-29  MSS index   } xor     30-28  MSS index } xor pad
//   28     SACK        } pad     27-0   MAC (28 bits)
//   27-24  wscale      }
//   23-0   MAC (24 bits)         TSval 5-2 wscale, 1 SACK, 0 ECN: xor pad
//
// H = SipHash-2-4(cookie key of the epoch, tuple || ISN_c), 64 bits. Without timestamps the field
// of options is MSS << 5 | SACK << 4 | wscale, its pad H[30:24], and the MAC the low 24 bits of
// H[31:0] + options * (H[63:32] | 1). With timestamps it is MSS << 6 | wscale << 2 | SACK << 1 |
// ECN, its pad H[62:60] above H[29:24], and the MAC the low 28 bits of H[63:32] + options *
// (H[31:0] | 1). So a segment whose TSecr echoes another timestamp than that of the SYN/ACK proves
// nothing. syncookie.c's head says which table entries exist and where they come from.
#pragma once

#include "cookie/keyring.h"
#include "cookie/tuple.h"

#include <stdbool.h>
#include <stdint.h>

#define SYNCOOKIE_TSVAL_BITS  6 // low bits of TSval that carry options
#define SYNCOOKIE_TSVAL_MASK  ((1u << SYNCOOKIE_TSVAL_BITS) - 1)
#define SYNCOOKIE_MAC_BITS    24
#define SYNCOOKIE_MAC_BITS_TS 28 // with timestamps

// What was agreed with the client: offered by it and announced by us.
struct agreed {
	uint16_t mss;	// client's offer; encoding rounds it down to the table
	uint8_t wscale; // the client's shift, 0..14; 15: no window scaling on this connection
	bool sack;
	bool timestamps; // chooses the layout
	bool ecn;	 // only with timestamps
};

struct syncookie {
	uint32_t seq;	// sequence number of the SYN/ACK
	uint32_t tsval; // its TSval, with agreed.timestamps
};

// Makes the cookie for a SYN. `clock` gives the high 26 bits of TSval (milliseconds of any
// monotonic clock; the low 6 bits are replaced).
struct syncookie syncookie_make(const struct epoch_keys *keys, const struct tuple *tuple,
	uint32_t isn_client, const struct agreed *agreed, uint32_t clock);

// In two steps, where tuple_hash(keys->cookie, tuple, isn_client) was taken before: what was agreed
// as the cookie's field of options, and the cookie with it.
uint32_t syncookie_options(const struct agreed *agreed, bool ip4);
static inline struct syncookie syncookie_seal(
	uint32_t epoch, uint64_t hash, uint32_t options, bool timestamps, uint32_t clock);

// Checks an ACK that arrived at tick `tick` (cluster counter): `seq_server` = SEG.ACK - 1,
// `isn_client` = SEG.SEQ - 1. `agreed->timestamps` says in which layout (does the ACK have the
// option?), and `tsecr` is then its TSecr. The epoch bit picks the key: the current epoch's where
// the parity fits, else the previous one in the first half of an epoch and the next one in the
// second. Fills agreed (mss = the table's value). One hash. False where no key is there.
bool syncookie_check(const struct keyring *ring, uint32_t tick, const struct tuple *tuple,
	uint32_t isn_client, uint32_t seq_server, uint32_t tsecr, struct agreed *agreed);

// The same where tuple_hash() was taken before, with the cookie key of syncookie_keys(): NULL
// where no key is there.
const struct epoch_keys *syncookie_keys(
	const struct keyring *ring, uint32_t tick, uint32_t seq_server);
bool syncookie_check_hash(
	uint64_t hash, bool ip4, uint32_t seq_server, uint32_t tsecr, struct agreed *agreed);
// All of that but what was agreed: its field of options is in `options`.
static inline bool syncookie_uncover(
	uint64_t hash, uint32_t seq_server, uint32_t tsecr, bool timestamps, uint32_t *options);

// The table's value that `mss` is rounded down to. family: 4 or 6; 0 (absent) is 536 or 1220.
uint16_t syncookie_mss(uint16_t mss, int family, bool timestamps);

// The epoch whose key and announced profile belong to a cookie seen at `tick`: the current one
// where the epoch bit fits, else the previous one in the first half of an epoch, the next one in
// the second (TCP.md 1.6).
static inline uint32_t syncookie_epoch(uint32_t tick, uint32_t seq_server)
{
	uint32_t epoch = tick / KEYRING_TICKS_PER_EPOCH;

	if ((seq_server >> 31) == (epoch & 1))
		return epoch;
	return tick % KEYRING_TICKS_PER_EPOCH < KEYRING_TICKS_PER_EPOCH / 2 ? epoch - 1 : epoch + 1;
}

// --- the field of options and what hides it, as above ---

// The bits of the hash that hide the options.
static inline uint32_t syncookie_pad(uint64_t hash, bool timestamps)
{
	uint32_t tsval = (uint32_t)(hash >> 24) & SYNCOOKIE_TSVAL_MASK;

	if (!timestamps)
		return (uint32_t)(hash >> 24) & 0x7f;
	return (uint32_t)(hash >> 60 & 7) << SYNCOOKIE_TSVAL_BITS | tsval;
}

// a + options * b of the other bits; b is odd, so that every option counts.
static inline uint32_t syncookie_mac(uint64_t hash, uint32_t options, bool timestamps)
{
	uint32_t a = (uint32_t)(timestamps ? hash >> 32 : hash);
	uint32_t b = (uint32_t)(timestamps ? hash : hash >> 32) | 1;
	unsigned bits = timestamps ? SYNCOOKIE_MAC_BITS_TS : SYNCOOKIE_MAC_BITS;

	return (a + options * b) & ((1u << bits) - 1);
}

static inline struct syncookie syncookie_seal(
	uint32_t epoch, uint64_t hash, uint32_t options, bool timestamps, uint32_t clock)
{
	uint32_t hidden = options ^ syncookie_pad(hash, timestamps);
	uint32_t seq = epoch << 31 | syncookie_mac(hash, options, timestamps);

	if (!timestamps)
		return (struct syncookie){.seq = seq | hidden << SYNCOOKIE_MAC_BITS};
	return (struct syncookie){
		.seq = seq | hidden >> SYNCOOKIE_TSVAL_BITS << SYNCOOKIE_MAC_BITS_TS,
		.tsval = (hidden & SYNCOOKIE_TSVAL_MASK) | (clock & ~SYNCOOKIE_TSVAL_MASK)};
}

static inline bool syncookie_uncover(
	uint64_t hash, uint32_t seq_server, uint32_t tsecr, bool timestamps, uint32_t *options)
{
	unsigned bits = timestamps ? SYNCOOKIE_MAC_BITS_TS : SYNCOOKIE_MAC_BITS;
	uint32_t hidden = (seq_server & 0x7fffffff) >> bits;

	if (timestamps)
		hidden = hidden << SYNCOOKIE_TSVAL_BITS | (tsecr & SYNCOOKIE_TSVAL_MASK);
	*options = hidden ^ syncookie_pad(hash, timestamps);
	return (seq_server & ((1u << bits) - 1)) == syncookie_mac(hash, *options, timestamps);
}
