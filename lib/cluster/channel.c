// Records under up to three sets of keys.
//
// `current` seals. Those of a finished handshake wait in `next` until a record of the peer was
// opened under them: only then it is sure that both have them, made for the same incarnations,
// whatever somebody in between did to the handshake. The client starts, with empty records under
// `next`; the server, which opens one, takes the keys into use and answers; so does the client when
// it hears that. The former keys go to `previous` and open what is still on its way: no record is
// lost. Keys of a former incarnation of the peer go at once, so that records of two associations
// never mix. Refusals before crypto are in the order of their price. Everything here is driven by
// datagrams and the caller's now_ns.
#include "cluster/channel_internal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <stdio.h>
#include <string.h>

#define EMPTY_BYTES (DATAGRAM_HEADER_BYTES + RECORD_TAG_BYTES)

size_t channel_bytes(void)
{
	return sizeof(struct channel);
}

// A hash to spread values, no secret.
static uint16_t hash16(const void *data, size_t len)
{
	return (uint16_t)siphash24((struct siphash_key){{0, 0}}, data, len);
}

struct channel *channel_init(void *memory, const struct channel_config *config)
{
	struct channel *channel = memory;

	CHECK(config->id != config->peer && config->incarnation != 0);
	channel->config = *config;
	if (config->rekey_ns == 0)
		channel->config.rekey_ns = REKEY_NS_DEFAULT;
	if (config->rekey_records == 0)
		channel->config.rekey_records = REKEY_RECORDS_DEFAULT;
	channel->cipher = record_cipher();
	CHECK(channel->cipher != NULL);
	channel->client = config->id < config->peer;
	channel->tag = hash16(config->cluster, strnlen(config->cluster, CLUSTER_NAME_BYTES));
	// Not those of a life before, most likely: the peer still has them.
	channel->key_id = hash16(&config->incarnation, sizeof(config->incarnation));
	channel->backoff_ns = HANDSHAKE_BACKOFF_MIN_NS;
	return channel;
}

static void forget_keys(struct channel *channel)
{
	keys_finish(&channel->current);
	keys_finish(&channel->previous);
	keys_finish(&channel->next);
}

void channel_finish(struct channel *channel)
{
	channel_handshake_end(channel);
	forget_keys(channel);
	EVP_CIPHER_free(channel->cipher);
	channel->cipher = NULL;
}

void channel_install(struct channel *channel, uint64_t now_ns, struct keys *keys)
{
	counter_add(&channel->stats.handshakes, 1);
	keys->made_ns = now_ns;
	keys->until_ns = now_ns + (channel->client ? KEYS_TRIED_NS : KEYS_NEXT_NS);
	keys_move(&channel->next, keys);
	channel->try_ns = now_ns;
}

// The peer was heard under the next keys. True where the association is a new one.
static bool take_over(struct channel *channel, uint64_t now_ns)
{
	bool is_new = channel->next.peer_incarnation != channel->peer_incarnation;

	if (is_new) {
		keys_finish(&channel->current);
		keys_finish(&channel->previous);
	} else {
		counter_add(&channel->stats.rekeys, 1);
		keys_move(&channel->previous, &channel->current);
		channel->previous.until_ns = now_ns + KEYS_PREVIOUS_NS;
	}
	keys_move(&channel->current, &channel->next);
	channel->peer_incarnation = channel->current.peer_incarnation;
	channel->wanted = false;
	channel->backoff_ns = HANDSHAKE_BACKOFF_MIN_NS;
	channel->start_ns = now_ns + HANDSHAKE_BACKOFF_MIN_NS;
	channel->error[0] = 0;
	channel->refused_ns = 0;
	if (!channel->client)
		channel->key_id = channel->current.id;
	return is_new;
}

static void age_keys(struct channel *channel, uint64_t now_ns)
{
	if (channel->next.valid && now_ns >= channel->next.until_ns) {
		keys_finish(&channel->next);
		snprintf(channel->error, sizeof(channel->error),
			"the peer does not use the keys that were agreed on");
	}
	if (channel->previous.valid && now_ns >= channel->previous.until_ns)
		keys_finish(&channel->previous);
}

static struct keys *keys_of(struct channel *channel, uint16_t id)
{
	struct keys *const sets[] = {&channel->current, &channel->next, &channel->previous};

	for (unsigned i = 0; i < ARRAY_LEN(sets); i++)
		if (sets[i]->valid && sets[i]->id == id)
			return sets[i];
	return NULL;
}

void channel_refuse(struct channel *channel, uint64_t now_ns)
{
	counter_add(&channel->stats.bad_auth, 1);
	channel->refused_ns = now_ns + (now_ns == 0);
}

bool channel_is_refused(const struct channel *channel, uint64_t now_ns)
{
	return channel->refused_ns != 0 && now_ns - channel->refused_ns < CHANNEL_REFUSED_NS;
}

static enum channel_event refuse(struct channel *channel)
{
	counter_add(&channel->stats.bad_auth, 1);
	return CHANNEL_NOTHING;
}

static enum channel_event feed_sealed(
	struct channel *channel, uint64_t now_ns, uint8_t *data, size_t len)
{
	struct keys *keys = keys_of(channel, be16_get(data + 6));

	if (len < EMPTY_BYTES || keys == NULL)
		return refuse(channel);
	switch (keys_open(keys, data, len)) {
	case KEYS_REPLAYED:
		counter_add(&channel->stats.replayed, 1);
		return CHANNEL_NOTHING;
	case KEYS_FORGED:
		if (keys->forgeries >= KEYS_FORGERIES_MAX)
			keys_finish(keys);
		return refuse(channel);
	case KEYS_OPENED:
		channel->heard_ns = now_ns;
		break;
	}
	if (len == EMPTY_BYTES && !channel->client)
		channel->echo = true;
	if (keys == &channel->next && take_over(channel, now_ns))
		return CHANNEL_UP;
	return len == EMPTY_BYTES ? CHANNEL_NOTHING : CHANNEL_RECORD;
}

bool channel_is_heard(const struct channel *channel, uint64_t now_ns)
{
	return channel_is_up(channel) && now_ns - channel->heard_ns < HANDSHAKE_BACKOFF_MAX_NS;
}

// A misconfigured peer is told apart from an absent one; not while it is heard, because anybody can
// send this.
static enum channel_event refuse_stranger(
	struct channel *channel, uint64_t now_ns, const uint8_t *data, size_t len)
{
	if (!channel_is_heard(channel, now_ns) && be16_get(data + 2) != channel->tag)
		snprintf(channel->error, sizeof(channel->error),
			"the peer belongs to another cluster than %.*s", CLUSTER_NAME_BYTES,
			channel->config.cluster);
	else if (!channel_is_heard(channel, now_ns))
		snprintf(channel->error, sizeof(channel->error),
			"the peer says its id is %u, which is configured as %u", be16_get(data + 4),
			channel->config.peer);
	channel_refuse(channel, now_ns);
	if (data[1] == CHANNEL_HANDSHAKE)
		channel_handshake_stranger(channel, data, len);
	return CHANNEL_NOTHING;
}

enum channel_event channel_feed(struct channel *channel, uint64_t now_ns, uint8_t *data, size_t len,
	uint8_t **plain, size_t *plain_len)
{
	enum channel_event event;

	*plain = NULL;
	*plain_len = 0;
	if (len < DATAGRAM_HEADER_BYTES || len > DATAGRAM_BYTES_MAX)
		return refuse(channel);
	if (data[0] != CHANNEL_VERSION) {
		counter_add(&channel->stats.version, 1);
		return CHANNEL_NOTHING;
	}
	if (data[1] != CHANNEL_HANDSHAKE && data[1] != CHANNEL_SEALED)
		return refuse(channel);
	if (be16_get(data + 2) != channel->tag || be16_get(data + 4) != channel->config.peer)
		return refuse_stranger(channel, now_ns, data, len);
	age_keys(channel, now_ns);
	if (data[1] == CHANNEL_HANDSHAKE) {
		channel_handshake_feed(channel, now_ns, data, len);
		return CHANNEL_NOTHING;
	}
	event = feed_sealed(channel, now_ns, data, len);
	if (event == CHANNEL_RECORD) {
		*plain = data + DATAGRAM_HEADER_BYTES;
		*plain_len = len - EMPTY_BYTES;
	}
	return event;
}

void channel_header(const struct channel *channel, uint8_t *data, uint8_t kind, uint16_t key_id)
{
	data[0] = CHANNEL_VERSION;
	data[1] = kind;
	be16_put(data + 2, channel->tag);
	be16_put(data + 4, channel->config.id);
	be16_put(data + 6, key_id);
}

static size_t seal(struct channel *channel, struct keys *keys, uint8_t *data, size_t plain_len)
{
	if (!keys->valid)
		return 0;
	channel_header(channel, data, CHANNEL_SEALED, keys->id);
	return keys_seal(keys, data, plain_len) ? plain_len + EMPTY_BYTES : 0;
}

size_t channel_seal(struct channel *channel, uint64_t now_ns, uint8_t *data, size_t plain_len)
{
	CHECK(plain_len > 0 && plain_len <= DATAGRAM_BYTES_MAX - EMPTY_BYTES);
	age_keys(channel, now_ns);
	return seal(channel, &channel->current, data, plain_len);
}

// The empty records that bring keys into use.
static size_t poll_empty(struct channel *channel, uint64_t now_ns, uint8_t *data)
{
	if (channel->echo) {
		channel->echo = false;
		return seal(channel, &channel->current, data, 0);
	}
	if (!channel->client || now_ns < channel->try_ns)
		return 0;
	channel->try_ns = now_ns + HANDSHAKE_BACKOFF_MIN_NS;
	return seal(channel, &channel->next, data, 0);
}

size_t channel_poll(struct channel *channel, uint64_t now_ns, uint8_t *data)
{
	size_t len;

	age_keys(channel, now_ns);
	len = poll_empty(channel, now_ns, data);
	return len > 0 ? len : channel_handshake_poll(channel, now_ns, data);
}

bool channel_is_up(const struct channel *channel)
{
	return channel->current.valid;
}

uint64_t channel_peer_incarnation(const struct channel *channel)
{
	return channel->peer_incarnation;
}

void channel_rekey(struct channel *channel)
{
	channel->wanted = true;
}

void channel_restart(struct channel *channel, uint64_t now_ns, uint64_t patience_ns)
{
	if (!channel->client || channel->wanted || channel->next.valid)
		return; // not its turn, or on its way, at its pace
	if (channel->current.valid && now_ns - channel->current.made_ns < patience_ns)
		return; // the peer has had no time to say anything under these
	channel->wanted = true;
	channel->start_ns = now_ns;
}

const struct channel_stats *channel_stats(const struct channel *channel)
{
	return &channel->stats;
}

const char *channel_error(const struct channel *channel)
{
	return channel->error;
}
