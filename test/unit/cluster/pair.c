#include "pair.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_BYTES 64
#define TURN_NS	    10000000ULL

uint32_t pair_random(struct pair *pair, uint32_t bound)
{
	pair->random = pair->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(pair->random >> 33) % bound;
}

unsigned pair_tries(void)
{
	const char *size = getenv("WEIR_TEST_SIZE");

	return size != NULL && strcmp(size, "quick") != 0 ? 1000000 : 100000;
}

static void start(struct pair_end *end)
{
	end->memory = aligned_alloc(CPU_CACHE_LINE_BYTES, channel_bytes());
	CHECK(end->memory != NULL);
	memset(end->memory, 0, channel_bytes());
	end->channel = channel_init(end->memory, &end->config);
}

void pair_init(struct pair *pair, const struct handshake_methods *methods, void *const contexts[2])
{
	memset(pair, 0, sizeof(*pair));
	pair->random = 1;
	pair->now_ns = 1;
	for (unsigned i = 0; i < 2; i++) {
		pair->ends[i].config = (struct channel_config){
			.cluster = "lab",
			.id = i == 0 ? 3 : 7,
			.peer = i == 0 ? 7 : 3,
			.incarnation = i == 0 ? 0x1000 : 0x2000,
			.methods = methods,
			.context = contexts[i],
		};
		start(&pair->ends[i]);
	}
}

static void stop(struct pair_end *end)
{
	channel_finish(end->channel);
	free(end->memory);
}

void pair_finish(struct pair *pair)
{
	stop(&pair->ends[0]);
	stop(&pair->ends[1]);
}

void pair_restart(struct pair *pair, unsigned end)
{
	stop(&pair->ends[end]);
	pair->ends[end].config.incarnation++;
	start(&pair->ends[end]);
}

static void put(struct pair *pair, unsigned to, const uint8_t *data, size_t len)
{
	unsigned copies = 1;

	if (pair_random(pair, 100) < pair->loss)
		copies = 0;
	else if (pair_random(pair, 100) < pair->repeat)
		copies = 2;
	if (copies == 0 && data[1] == 2 && len > DATAGRAM_HEADER_BYTES + RECORD_TAG_BYTES)
		pair->lost++;
	for (; copies > 0 && pair->count < PAIR_WIRE_MAX; copies--) {
		struct pair_datagram *datagram = &pair->wire[pair->count++];

		datagram->to = to;
		datagram->len = len;
		memcpy(datagram->data, data, len);
	}
}

enum channel_event pair_inject(struct pair *pair, unsigned to, const uint8_t *data, size_t len)
{
	struct pair_end *end = &pair->ends[to];
	uint8_t *copy = malloc(len > 0 ? len : 1); // of its own size, for the sanitizer
	uint8_t *plain;
	size_t plain_len;
	enum channel_event event;

	CHECK(copy != NULL);
	memcpy(copy, data, len);
	event = channel_feed(end->channel, pair->now_ns, copy, len, &plain, &plain_len);
	if (event == CHANNEL_UP)
		end->ups++;
	if (event == CHANNEL_RECORD) {
		CHECK(plain_len == PLAIN_BYTES && plain == copy + DATAGRAM_HEADER_BYTES);
		end->records++;
		end->sum += be64_get(plain);
	}
	free(copy);
	return event;
}

// Datagrams that are held back by chance arrive in the next turn.
static void deliver(struct pair *pair)
{
	unsigned count = pair->count, held = 0;

	for (unsigned i = 0; i < count; i++) {
		if (pair_random(pair, 100) < pair->reorder)
			pair->wire[held++] = pair->wire[i];
		else
			pair_inject(pair, pair->wire[i].to, pair->wire[i].data, pair->wire[i].len);
	}
	pair->count = held;
}

void pair_turn(struct pair *pair)
{
	uint8_t data[DATAGRAM_BYTES_MAX];
	size_t len;

	for (unsigned i = 0; i < 2; i++)
		while ((len = channel_poll(pair->ends[i].channel, pair->now_ns, data)) > 0)
			put(pair, 1 - i, data, len);
	deliver(pair);
}

bool pair_connect(struct pair *pair, uint64_t step_ns, uint64_t max_ns)
{
	const uint64_t end_ns = pair->now_ns + max_ns;

	do {
		pair_turn(pair);
		if (channel_is_up(pair->ends[0].channel) && channel_is_up(pair->ends[1].channel))
			return true;
		pair->now_ns += step_ns;
	} while (pair->now_ns < end_ns);
	return false;
}

void pair_run(struct pair *pair, uint64_t ns)
{
	for (uint64_t end_ns = pair->now_ns + ns; pair->now_ns < end_ns; pair->now_ns += TURN_NS)
		pair_turn(pair);
}

size_t pair_seal(
	struct pair *pair, unsigned from, uint64_t number, uint8_t data[DATAGRAM_BYTES_MAX])
{
	memset(data, 0x5a, DATAGRAM_HEADER_BYTES + PLAIN_BYTES);
	be64_put(data + DATAGRAM_HEADER_BYTES, number);
	return channel_seal(pair->ends[from].channel, pair->now_ns, data, PLAIN_BYTES);
}

bool pair_send(struct pair *pair, unsigned from, uint64_t number)
{
	uint8_t data[DATAGRAM_BYTES_MAX];
	size_t len = pair_seal(pair, from, number, data);

	if (len > 0)
		put(pair, 1 - from, data, len);
	return len > 0;
}
