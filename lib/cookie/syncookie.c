// Encoding and checking of the SYN cookie. Nothing is stored: what the ACK needs later is in the 31
// low bits of the sequence number, which are the options above a field of zeros, xored with as many
// bits of the hash. So the options are masked and the zeros become the MAC, and one xor and one
// compare check it.
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

#define EPOCH_SHIFT  31
#define BODY_MASK    ((1u << EPOCH_SHIFT) - 1)
#define MAC_BITS     24 // without timestamps
#define MAC_BITS_TS  28
#define MSS_SHIFT    29 // without timestamps; with them MAC_BITS_TS
#define SACK_SHIFT   28
#define WSCALE_MASK  15u
#define TSVAL_MASK   ((1u << SYNCOOKIE_TSVAL_BITS) - 1)
#define TSVAL_WSCALE 2 // shifts inside TSval's bits
#define TSVAL_SACK   1

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

static const struct mss_table *mss_table(const struct tuple *tuple, bool timestamps)
{
	return &mss_tables[tuple_is_ip4(tuple)][timestamps];
}

// The bits of the hash that are pad and MAC of the sequence number.
static uint32_t body(uint64_t hash, bool timestamps)
{
	return (uint32_t)(timestamps ? hash >> 32 : hash) & BODY_MASK;
}

// The bits of the hash that are the pad of TSval.
static uint32_t tsval_pad(uint64_t hash)
{
	return (uint32_t)(hash >> 24) & TSVAL_MASK;
}

struct syncookie syncookie_make(const struct epoch_keys *keys, const struct tuple *tuple,
	uint32_t isn_client, const struct agreed *agreed, uint32_t clock)
{
	uint64_t hash = tuple_hash(keys->cookie, tuple, isn_client);
	uint32_t mss = mss_index(mss_table(tuple, agreed->timestamps), agreed->mss);
	uint32_t wscale = agreed->wscale;
	struct syncookie cookie = {.seq = keys->epoch << EPOCH_SHIFT};
	uint32_t options;

	CHECK(wscale <= WSCALE_MASK);
	if (!agreed->timestamps) {
		options = mss << MSS_SHIFT | (uint32_t)agreed->sack << SACK_SHIFT |
			  wscale << MAC_BITS;
	} else {
		options = mss << MAC_BITS_TS;
		cookie.tsval = wscale << TSVAL_WSCALE | (uint32_t)agreed->sack << TSVAL_SACK |
			       (uint32_t)agreed->ecn;
		cookie.tsval = (cookie.tsval ^ tsval_pad(hash)) | (clock & ~TSVAL_MASK);
	}
	cookie.seq |= options ^ body(hash, agreed->timestamps);
	return cookie;
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

bool syncookie_check(const struct keyring *ring, uint32_t tick, const struct tuple *tuple,
	uint32_t isn_client, uint32_t seq_server, uint32_t tsecr, struct agreed *agreed)
{
	const struct epoch_keys *keys = keyring_get(ring, epoch_of(tick, seq_server));
	const bool timestamps = agreed->timestamps;
	const unsigned mac_bits = timestamps ? MAC_BITS_TS : MAC_BITS;
	uint64_t hash;
	uint32_t options;

	if (keys == NULL)
		return false;
	hash = tuple_hash(keys->cookie, tuple, isn_client);
	options = (seq_server & BODY_MASK) ^ body(hash, timestamps);
	if ((options & ((1u << mac_bits) - 1)) != 0)
		return false;
	if (!timestamps) {
		agreed->mss = mss_table(tuple, false)->values[options >> MSS_SHIFT];
		agreed->sack = options >> SACK_SHIFT & 1;
		agreed->wscale = options >> MAC_BITS & WSCALE_MASK;
		agreed->ecn = false;
	} else {
		tsecr ^= tsval_pad(hash);
		agreed->mss = mss_table(tuple, true)->values[options >> MAC_BITS_TS];
		agreed->wscale = tsecr >> TSVAL_WSCALE & WSCALE_MASK;
		agreed->sack = tsecr >> TSVAL_SACK & 1;
		agreed->ecn = tsecr & 1;
	}
	return true;
}
