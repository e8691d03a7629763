#include "cookie/msyn.h"

#include "base/error.h"

#define ID_MASK	   ((1u << MSYN_ID_BITS) - 1)
#define TIME_SHIFT MSYN_ID_BITS // where T0 lies
#define TIME_TICKS 4u		// T0 is two bits
#define ISN_SHIFT  15		// bits of the ISN that the cookie replaces

// Hash13 (M3). `isn` may be the ISN or the cookie: only the 17 bits they share are read.
static uint32_t hash13(
	const struct epoch_keys *keys, const struct tuple *tuple, uint32_t isn, uint32_t t0)
{
	return (uint32_t)tuple_hash(keys->msyn, tuple, isn >> ISN_SHIFT << 4 | t0) & ID_MASK;
}

uint32_t msyn_make(const struct epoch_keys *keys, const struct tuple *tuple, uint32_t isn_client,
	uint32_t tick, uint16_t id)
{
	uint32_t t0 = tick % TIME_TICKS;
	uint32_t low = (hash13(keys, tuple, isn_client, t0) + id) & ID_MASK;

	return isn_client >> ISN_SHIFT << ISN_SHIFT | t0 << TIME_SHIFT | low;
}

int msyn_decode(const struct keyring *ring, const struct tuple *tuple, uint32_t cookie,
	uint32_t tick, uint16_t max_id, uint16_t *id)
{
	uint32_t t0 = cookie >> TIME_SHIFT & (TIME_TICKS - 1);
	// The latest tick with these two bits that is at most one ahead of ours (M5).
	uint32_t time_input = tick + 1 - (tick + 1 - t0) % TIME_TICKS;
	const struct epoch_keys *keys = keyring_get(ring, keyring_epoch(time_input));
	uint32_t found;

	if (keys == NULL)
		return -ERR_MISSING;
	found = (cookie - hash13(keys, tuple, cookie, t0)) & ID_MASK;
	if (found > max_id)
		return -ERR_MISSING;
	*id = (uint16_t)found;
	return 0;
}
