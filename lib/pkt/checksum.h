// Internet checksums (RFC 1071) and their incremental update (RFC 1624 equation 3).
#pragma once

#include <stddef.h>
#include <stdint.h>

// Adds the 16-bit big-endian words of `len` bytes to `sum`, not folded. An odd last byte counts as
// padded with 0, so of several calls only the last may have an odd length.
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

// Folds and complements a sum into the value to store (host order).
uint16_t checksum_finish(uint64_t sum);

// New checksum after a 16-bit or 32-bit field changed. All in host order.
uint16_t checksum_update16(uint16_t checksum, uint16_t from, uint16_t to);
uint16_t checksum_update32(uint16_t checksum, uint32_t from, uint32_t to);

// The same for a 32-bit field at `offset` bytes from where the sum starts: at an odd offset its
// bytes stand in the other halves of the words.
uint16_t checksum_update32_at(uint16_t checksum, unsigned offset, uint32_t from, uint32_t to);
