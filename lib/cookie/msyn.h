// The m.SYN cookie: a replaced client ISN that carries the owner's id (S0; M2, M3, M5).
//
//   31-15  top 17 bits of ISN_c
//   14-13  T0 = time_org mod 4
//   12-0   (Hash13 + ID_fw) mod 2^13
//
// Hash13 = SipHash-2-4(msyn key of time_org's epoch, tuple || ((ISN_c >> 15) << 4 | T0)) mod 2^13.
// Thirteen bits are weak against guessing by design: a match is a routing hint, never a permission.
#pragma once

#include "cookie/keyring.h"
#include "cookie/tuple.h"

#include <stdbool.h>
#include <stdint.h>

#define MSYN_ID_BITS 13

// The cookie for a SYN sent at `tick` with ISN `isn_client`, owner `id` (0..8191). The tuple is the
// SYN's as it is sent to the server.
uint32_t msyn_make(const struct epoch_keys *keys, const struct tuple *tuple, uint32_t isn_client,
	uint32_t tick, uint16_t id);

// The owner's id in `cookie` (SEG.ACK - 1 of a SYN/ACK; the tuple turned round so that it stands as
// in the SYN), at tick `tick`: time_input = tick + 1 - ((tick + 1 - T0) mod 4). -ERR_MISSING where
// it is above max_id or its key is not in the ring, else 0.
int msyn_decode(const struct keyring *ring, const struct tuple *tuple, uint32_t cookie,
	uint32_t tick, uint16_t max_id, uint16_t *id);
