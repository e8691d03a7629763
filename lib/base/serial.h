// Serial number arithmetic modulo 2^32 (RFC 1982; RFC 9293 3.4).
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline bool serial_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool serial_after(uint32_t a, uint32_t b)
{
	return serial_before(b, a);
}

static inline uint32_t serial_max(uint32_t a, uint32_t b)
{
	return serial_before(a, b) ? b : a;
}
