#include "replay/greeting.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"

#define FLIGHT_BYTES 8
#define REPEAT_NS    100000000ULL

static void *start(void *context, uint16_t peer, bool client)
{
	struct greetings *all = context;

	(void)peer; // there is one
	for (unsigned i = 0; i < GREETINGS_MAX; i++) {
		struct greeting *greeting = &all->list[i];

		if (greeting->used)
			continue;
		*greeting = (struct greeting){.of = all,
			.used = true,
			.client = client,
			.to_send = client,
			.own = all->number++};
		return greeting;
	}
	return NULL;
}

static enum handshake_state feed(void *handshake, const uint8_t *data, size_t len)
{
	struct greeting *greeting = handshake;

	if (len != FLIGHT_BYTES)
		return greeting->state;
	if (greeting->state == HANDSHAKE_RUNNING)
		greeting->peer = be64_get(data);
	greeting->to_send = !greeting->client;
	return greeting->state = HANDSHAKE_DONE;
}

static size_t next(void *handshake, uint64_t now_ns, uint8_t *out, size_t room)
{
	struct greeting *greeting = handshake;
	bool again = greeting->client && greeting->state == HANDSHAKE_RUNNING &&
		     now_ns - greeting->sent_ns >= REPEAT_NS;

	CHECK(room >= FLIGHT_BYTES);
	if (!greeting->to_send && !again)
		return 0;
	greeting->to_send = false;
	greeting->sent_ns = now_ns;
	be64_put(out, greeting->own);
	return FLIGHT_BYTES;
}

static int export(
	void *handshake, const uint8_t *bound, size_t bound_len, uint8_t out[HANDSHAKE_KEYS_BYTES])
{
	const struct greeting *greeting = handshake;
	struct siphash_key key = {{greeting->client ? greeting->own : greeting->peer,
		greeting->client ? greeting->peer : greeting->own}};
	uint64_t base = siphash24(key, bound, bound_len);

	for (uint64_t i = 0; i < HANDSHAKE_KEYS_BYTES / sizeof(base); i++)
		be64_put(out + i * sizeof(base),
			siphash24((struct siphash_key){{base, i}}, "keys", 4));
	return 0;
}

static const char *error(void *handshake)
{
	(void)handshake;
	return "";
}

static void end(void *handshake)
{
	((struct greeting *)handshake)->used = false;
}

const struct handshake_methods greeting_methods = {
	.start = start,
	.feed = feed,
	.next = next,
	.export = export,
	.error = error,
	.end = end,
};
