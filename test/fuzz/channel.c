// Datagrams of anybody to both ends of a channel that works. An input is a list of (how, length,
// bytes): the bytes as they are, or behind a header that is right as far as a listener knows.
// Nothing that was not sealed by the peer may be opened, and no input may stop genuine records.
#include "fuzz.h"

#include "keyed_handshake.h"
#include "pair.h"

#include "base/bytes.h"
#include "base/check.h"

#include <string.h>

#define HEADER 24

// The common header and incarnations of the genuine peer, as the bits of `how` say.
static void make_header(struct pair *pair, unsigned to, uint8_t how, uint8_t data[HEADER])
{
	uint8_t sealed[DATAGRAM_BYTES_MAX];

	CHECK(pair_seal(pair, 1 - to, 0, sealed) > 0);
	memcpy(data, sealed, DATAGRAM_HEADER_BYTES); // a fresh counter, the current key id
	if ((how & 2) == 0)
		return;
	data[1] = 1;
	data[7] = (uint8_t)(data[7] + (how >> 4));
	be64_put(data + 8, pair->ends[1 - to].config.incarnation + (how >> 2 & 1));
	be64_put(data + 16, pair->ends[to].config.incarnation + (how >> 3 & 1));
}

static size_t take(struct pair *pair, const uint8_t *in, size_t len)
{
	uint8_t data[HEADER + 255];
	const uint8_t how = in[0];
	const unsigned to = how & 1;
	size_t header = 0, body = in[1];

	if (body > len - 2)
		body = len - 2;
	if (how >= 4) {
		header = (how & 2) != 0 ? HEADER : DATAGRAM_HEADER_BYTES;
		make_header(pair, to, how, data);
	}
	memcpy(data + header, in + 2, body);
	CHECK(pair_inject(pair, to, data, header + body) != CHANNEL_RECORD);
	return 2 + body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct keyed_context contexts[2] = {{.id = 3, .nonce = 1}, {.id = 7, .nonce = 1 << 20}};
	static struct pair pair;
	unsigned records;

	pair_init(&pair, &keyed_methods, (void *const[]){&contexts[0], &contexts[1]});
	CHECK(pair_connect(&pair, 10000000, 1000000000));
	while (len >= 2) {
		size_t taken = take(&pair, data, len);

		data += taken;
		len -= taken;
		pair_turn(&pair);
		pair.now_ns += 50000000;
	}
	records = pair.ends[0].records + pair.ends[1].records;
	CHECK(pair_send(&pair, 0, 1) && pair_send(&pair, 1, 1));
	pair_turn(&pair);
	CHECK(pair.ends[0].records + pair.ends[1].records == records + 2);
	pair_finish(&pair);
	CHECK(contexts[0].alive + contexts[1].alive == 0);
	return 0;
}
