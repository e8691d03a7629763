// Encoding and checking of the SYN cookie. Nothing is stored: what the ACK needs later is in the
// sequence number (and in TSval), and all of it comes from one hash of tuple and ISN. Some of its
// bits mask the options; others are a and b of the MAC a + options * b, a one-time MAC (Carter and
// Wegman): who knows one cookie of a handshake knows nothing of what another choice of options
// would need. The options must be under the MAC because TSval moves on: a segment that comes late,
// to a node that lost the state, echoes a timestamp of the server's, and must prove nothing.
//
// MSS tables. A client's offer is rounded down, so an entry exists where many offers end up; the
// value lost by rounding costs a few percent of goodput, an entry too many costs a MAC bit.
//
//   216   the floor: a smaller offer (MTU 256) only serves to make the server send more headers
//   536   IPv4's default where no MSS was offered (RFC 9293 3.7.1)
//   1220  IPv6's default and its minimum MTU (1280 - 60); in IPv4 for tunnels cut down to 1280
//   1280  IPv6 in stacked tunnels (MTU 1340 and up)
//   1360  MTU 1400 (IPv4: VPN and mobile networks), MTU 1420 (IPv6: WireGuard)
//   1380  IPv6 over MTU 1440: tunnels with encryption
//   1400  MTU 1440 (IPv4), 1460 (IPv6): GRE and IPsec; PPPoE over IPv6 (1432) rounds to it
//   1440  IPv6 over Ethernet (1500 - 60); IPv4: PPPoE (1452), IP in IP (MTU 1480)
//   1460  IPv4 over Ethernet (1500 - 40)
//   8960  IPv4 over jumbo frames (9000 - 40)
//   8940  IPv6 over jumbo frames (9000 - 60)
//
// Without timestamps there are two bits, which keep the floor, the default, Ethernet and the value
// in between that loses least; with them three.
#include "cookie/syncookie.h"

#include "base/check.h"

#define EPOCH_SHIFT 31
#define WSCALE_MASK 15u

// Where the options stand in their field: shifts.
struct layout {
	uint8_t mss, wscale, sack, ecn;
};

static const struct layout layouts[2] = {
	{.mss = 5, .wscale = 0, .sack = 4},
	{.mss = 6, .wscale = 2, .sack = 1, .ecn = 0},
};

struct mss_table {
	uint16_t absent;
	uint16_t count; // a power of two
	uint16_t values[8];
};

// [IPv4][timestamps]
static const struct mss_table mss_tables[2][2] = {
	{
		{1220, 4, {216, 1220, 1360, 1440}},
		{1220, 8, {216, 1220, 1280, 1360, 1380, 1400, 1440, 8940}},
	},
	{
		{536, 4, {216, 536, 1360, 1460}},
		{536, 8, {216, 536, 1220, 1360, 1400, 1440, 1460, 8960}},
	},
};

static unsigned mss_index(const struct mss_table *table, uint16_t mss)
{
	unsigned i = table->count - 1u;

	if (mss == 0)
		mss = table->absent;
	while (i > 0 && table->values[i] > mss)
		i--;
	return i;
}

uint16_t syncookie_mss(uint16_t mss, int family, bool timestamps)
{
	const struct mss_table *table = &mss_tables[family == 4][timestamps];

	return table->values[mss_index(table, mss)];
}

static uint32_t options_put(const struct agreed *agreed, const struct layout *at, unsigned mss)
{
	uint32_t options = mss << at->mss | (uint32_t)agreed->wscale << at->wscale |
			   (uint32_t)agreed->sack << at->sack;

	return agreed->timestamps ? options | (uint32_t)agreed->ecn << at->ecn : options;
}

struct syncookie syncookie_make(const struct epoch_keys *keys, const struct tuple *tuple,
	uint32_t isn_client, const struct agreed *agreed, uint32_t clock)
{
	return syncookie_seal(keys->epoch, tuple_hash(keys->cookie, tuple, isn_client),
		syncookie_options(agreed, tuple_is_ip4(tuple)), agreed->timestamps, clock);
}

uint32_t syncookie_options(const struct agreed *agreed, bool ip4)
{
	const struct mss_table *table = &mss_tables[ip4][agreed->timestamps];

	CHECK(agreed->wscale <= WSCALE_MASK);
	return options_put(agreed, &layouts[agreed->timestamps], mss_index(table, agreed->mss));
}

// The epoch whose cookies have the parity of `seq` and are live at `tick` (TCP.md 1.6).
static uint32_t epoch_of(uint32_t tick, uint32_t seq)
{
	uint32_t epoch = keyring_epoch(tick);
	bool first_half = tick % KEYRING_TICKS_PER_EPOCH < KEYRING_TICKS_PER_EPOCH / 2;

	if (((epoch ^ seq >> EPOCH_SHIFT) & 1) == 0)
		return epoch;
	return (first_half ? epoch - 1 : epoch + 1) & KEYRING_EPOCH_MAX;
}

const struct epoch_keys *syncookie_keys(
	const struct keyring *ring, uint32_t tick, uint32_t seq_server)
{
	return keyring_get(ring, epoch_of(tick, seq_server));
}

bool syncookie_check(const struct keyring *ring, uint32_t tick, const struct tuple *tuple,
	uint32_t isn_client, uint32_t seq_server, uint32_t tsecr, struct agreed *agreed)
{
	const struct epoch_keys *keys = syncookie_keys(ring, tick, seq_server);

	if (keys == NULL)
		return false;
	return syncookie_check_hash(tuple_hash(keys->cookie, tuple, isn_client),
		tuple_is_ip4(tuple), seq_server, tsecr, agreed);
}

bool syncookie_check_hash(
	uint64_t hash, bool ip4, uint32_t seq_server, uint32_t tsecr, struct agreed *agreed)
{
	const bool timestamps = agreed->timestamps;
	const struct layout *at = &layouts[timestamps];
	uint32_t options;

	if (!syncookie_uncover(hash, seq_server, tsecr, timestamps, &options))
		return false;
	agreed->mss = mss_tables[ip4][timestamps].values[options >> at->mss];
	agreed->wscale = options >> at->wscale & WSCALE_MASK;
	agreed->sack = options >> at->sack & 1;
	agreed->ecn = timestamps && (options >> at->ecn & 1);
	return true;
}
