// How keys are made: one attempt at a time, by the client, answered by the server.
//
// A handshake datagram names the incarnations of both sides. The server starts nothing for one that
// does not name its own: it answers with a bare header, from which the client learns it. Who cannot
// hear the answers, because he only forges the source address, therefore makes the server keep
// nothing, and breaks no attempt of the client, whose incarnation he does not know either. Who does
// hear them holds the one attempt for HANDSHAKE_HOLD_NS at a time, and running keys always stay
// until the peer was heard under new ones (channel.c).
//
//	client                                            server
//	bare header (X, 0), every 100 ms..1 s    ->
//	                                         <-       bare header (S, X)
//	method's bytes (X, S)                    <->      method's bytes (S, X)
//
// A rekey starts at the last line. If the server has another incarnation by then, it answers as in
// the second. A server that wants new keys sends a bare header with the id of the current ones.
#include "cluster/channel_internal.h"

#include "base/bytes.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <string.h>

// "weir" 1 | cluster name | ids of client and server | incarnations | key id
#define BOUND_BYTES (5 + CLUSTER_NAME_BYTES + 2 * 2 + 2 * 8 + 2)

static void make_bound(const struct channel *channel, uint8_t bound[BOUND_BYTES])
{
	const struct channel_config *config = &channel->config;
	const struct attempt *attempt = &channel->attempt;
	const bool client = channel->client;
	uint8_t *at = bound + 5;

	memset(bound, 0, BOUND_BYTES);
	memcpy(bound, "weir\1", 5);
	memcpy(at, config->cluster, strnlen(config->cluster, CLUSTER_NAME_BYTES));
	at += CLUSTER_NAME_BYTES;
	be16_put(at, client ? config->id : config->peer);
	be16_put(at + 2, client ? config->peer : config->id);
	be64_put(at + 4, client ? config->incarnation : attempt->peer_incarnation);
	be64_put(at + 12, client ? attempt->peer_incarnation : config->incarnation);
	be16_put(at + 20, attempt->key_id);
}

static void end_handshake(struct channel *channel)
{
	if (channel->attempt.handshake != NULL)
		channel->config.methods->end(channel->attempt.handshake);
	channel->attempt.handshake = NULL;
}

void channel_handshake_end(struct channel *channel)
{
	end_handshake(channel);
	channel->attempt.open = false;
}

// The next attempt, question or request waits longer than the one before.
static void back_off(struct channel *channel, uint64_t now_ns)
{
	channel->start_ns = now_ns + channel->backoff_ns;
	channel->backoff_ns *= 2;
	if (channel->backoff_ns > HANDSHAKE_BACKOFF_MAX_NS)
		channel->backoff_ns = HANDSHAKE_BACKOFF_MAX_NS;
}

static void fail(struct channel *channel, uint64_t now_ns, const char *fallback)
{
	struct attempt *attempt = &channel->attempt;
	const char *why = "";

	if (attempt->handshake != NULL)
		why = channel->config.methods->error(attempt->handshake);
	snprintf(channel->error, sizeof(channel->error), "%s", why[0] != 0 ? why : fallback);
	attempt->state = HANDSHAKE_FAILED;
	attempt->retry_ns = now_ns + channel->backoff_ns;
	back_off(channel, now_ns);
}

static void begin(
	struct channel *channel, uint64_t now_ns, uint64_t peer_incarnation, uint16_t key_id)
{
	const struct channel_config *config = &channel->config;

	end_handshake(channel);
	channel->attempt = (struct attempt){
		.open = true,
		.handshake = config->methods->start(config->context, config->peer, channel->client),
		.state = HANDSHAKE_RUNNING,
		.key_id = key_id,
		.peer_incarnation = peer_incarnation,
		.started_ns = now_ns,
	};
	if (channel->attempt.handshake == NULL)
		fail(channel, now_ns, "no handshake could be started: out of memory");
}

static void done(struct channel *channel, uint64_t now_ns)
{
	const struct channel_config *config = &channel->config;
	uint8_t bound[BOUND_BYTES], material[HANDSHAKE_KEYS_BYTES];
	struct keys keys = {0};
	int error;

	make_bound(channel, bound);
	error = config->methods->export(channel->attempt.handshake, bound, sizeof(bound), material);
	if (error == 0)
		error = keys_init(&keys, channel->cipher, material, channel->client);
	OPENSSL_cleanse(material, sizeof(material));
	if (error != 0) {
		fail(channel, now_ns, "no keys could be made");
		return;
	}
	keys.id = channel->attempt.key_id;
	keys.peer_incarnation = channel->attempt.peer_incarnation;
	channel->known = channel->attempt.peer_incarnation;
	channel_install(channel, now_ns, &keys);
}

static void feed_attempt(struct channel *channel, uint64_t now_ns, const uint8_t *bytes, size_t len)
{
	struct attempt *attempt = &channel->attempt;
	enum handshake_state was = attempt->state, is;

	if (attempt->handshake == NULL || was == HANDSHAKE_FAILED)
		return;
	is = channel->config.methods->feed(attempt->handshake, bytes, len);
	if (was != HANDSHAKE_RUNNING) // what comes late changes nothing, but may be answered
		return;
	attempt->state = is;
	if (is == HANDSHAKE_DONE)
		done(channel, now_ns);
	if (is == HANDSHAKE_FAILED) {
		channel_refuse(channel, now_ns);
		fail(channel, now_ns, "the handshake failed");
	}
}

static bool is_of_attempt(const struct attempt *attempt, uint64_t incarnation, uint16_t key_id)
{
	return attempt->open && attempt->peer_incarnation == incarnation &&
	       attempt->key_id == key_id;
}

static bool is_key_in_use(const struct channel *channel, uint16_t id)
{
	return (channel->current.valid && channel->current.id == id) ||
	       (channel->previous.valid && channel->previous.id == id) ||
	       (channel->next.valid && channel->next.id == id);
}

// Whether the server turns to a handshake other than the one it knows.
static bool may_begin(
	const struct channel *channel, uint64_t now_ns, uint64_t incarnation, uint16_t key_id)
{
	const struct attempt *attempt = &channel->attempt;
	uint64_t age_ns = now_ns - attempt->started_ns;
	const struct keys *next = &channel->next;
	bool other = next->valid && next->id == key_id && next->peer_incarnation != incarnation;

	// A late piece of a finished one. But keys made with an incarnation that was damaged on the
	// way nobody will ever use.
	if (is_key_in_use(channel, key_id) && !other)
		return false;
	if (!attempt->open)
		return true;
	// A late piece of a former one; but an id that was damaged on the way, or forged, must not
	// keep the client's own out for longer than any attempt does.
	if (incarnation == attempt->peer_incarnation && (int16_t)(key_id - attempt->key_id) < 0)
		return age_ns >= HANDSHAKE_HOLD_NS;
	return age_ns >=
	       (attempt->state == HANDSHAKE_RUNNING ? HANDSHAKE_HOLD_NS : HANDSHAKE_BACKOFF_MIN_NS);
}

// The client does not know that its attempt failed here, perhaps on bytes that were not its own,
// and goes on with it. Not start_ns: each request of the server's for new keys moves that on.
static bool may_try_again(const struct channel *channel, uint64_t now_ns)
{
	return channel->attempt.state == HANDSHAKE_FAILED && now_ns >= channel->attempt.retry_ns;
}

static void note_answer(struct channel *channel, const uint8_t *data)
{
	if (channel->answer_count < CHANNEL_ANSWERS)
		channel->answers[channel->answer_count++] =
			(struct answer){be64_get(data + 8), be16_get(data + 6)};
}

// A client's first question, of one who does not know this node yet.
static bool is_question(const uint8_t *data, size_t len)
{
	return len == HANDSHAKE_HEADER_BYTES && be64_get(data + 8) != 0 && be64_get(data + 16) == 0;
}

// The answer's header tells a client that it is refused, and why: its operator would not know. What
// looks like an answer, a bare header that names an incarnation, has none, so that no two nodes
// answer each other for ever.
void channel_handshake_stranger(struct channel *channel, const uint8_t *data, size_t len)
{
	if (channel->client || len < HANDSHAKE_HEADER_BYTES || be64_get(data + 8) == 0)
		return;
	if (len > HANDSHAKE_HEADER_BYTES || is_question(data, len))
		note_answer(channel, data);
}

static void feed_server(struct channel *channel, uint64_t now_ns, const uint8_t *data, size_t len)
{
	const struct answer from = {be64_get(data + 8), be16_get(data + 6)};

	if (be64_get(data + 16) != channel->config.incarnation || len == HANDSHAKE_HEADER_BYTES) {
		note_answer(channel, data);
		return;
	}
	if (!is_of_attempt(&channel->attempt, from.incarnation, from.key_id) ||
		may_try_again(channel, now_ns)) {
		if (!may_begin(channel, now_ns, from.incarnation, from.key_id))
			return;
		begin(channel, now_ns, from.incarnation, from.key_id);
	}
	feed_attempt(channel, now_ns, data + HANDSHAKE_HEADER_BYTES, len - HANDSHAKE_HEADER_BYTES);
}

// A bare header: the server tells its incarnation, or asks for new keys.
static void hear_server(
	struct channel *channel, uint64_t now_ns, uint64_t incarnation, uint16_t key_id)
{
	if (channel->current.valid && key_id == channel->current.id &&
		incarnation == channel->peer_incarnation) {
		// Anybody who listens can say this: not too often.
		if (now_ns - channel->current.made_ns >= HANDSHAKE_BACKOFF_MAX_NS)
			channel->wanted = true;
		return;
	}
	if (key_id != channel->key_id || incarnation == channel->known)
		return;
	channel->known = incarnation;
	if (channel->attempt.open && channel->attempt.state == HANDSHAKE_RUNNING) {
		// It went to the former life of the server. The pace of attempts stays.
		channel->start_ns = channel->attempt.started_ns + HANDSHAKE_BACKOFF_MIN_NS;
		channel_handshake_end(channel);
	} else {
		channel->start_ns = now_ns;
	}
}

// Two clients ask each other for ever: one of them takes the other's id for a higher one.
static void refuse_other_client(
	struct channel *channel, uint64_t now_ns, const uint8_t *data, size_t len)
{
	if (channel_is_heard(channel, now_ns) || !is_question(data, len)) {
		counter_add(&channel->stats.bad_auth, 1);
		return;
	}
	channel_refuse(channel, now_ns);
	snprintf(channel->error, sizeof(channel->error),
		"the peer takes this node for another one than id %u: correct its cluster.peers",
		channel->config.id);
}

static void feed_client(struct channel *channel, uint64_t now_ns, const uint8_t *data, size_t len)
{
	uint64_t incarnation = be64_get(data + 8);
	uint16_t key_id = be16_get(data + 6);

	if (be64_get(data + 16) != channel->config.incarnation) {
		refuse_other_client(channel, now_ns, data, len);
		return;
	}
	if (len == HANDSHAKE_HEADER_BYTES)
		hear_server(channel, now_ns, incarnation, key_id);
	else if (is_of_attempt(&channel->attempt, incarnation, key_id))
		feed_attempt(channel, now_ns, data + HANDSHAKE_HEADER_BYTES,
			len - HANDSHAKE_HEADER_BYTES);
}

void channel_handshake_feed(
	struct channel *channel, uint64_t now_ns, const uint8_t *data, size_t len)
{
	if (len < HANDSHAKE_HEADER_BYTES || be64_get(data + 8) == 0) {
		counter_add(&channel->stats.bad_auth, 1);
		return;
	}
	if (channel->client)
		feed_client(channel, now_ns, data, len);
	else
		feed_server(channel, now_ns, data, len);
}

static size_t put_header(
	const struct channel *channel, uint8_t *data, uint16_t key_id, uint64_t receiver)
{
	channel_header(channel, data, CHANNEL_HANDSHAKE, key_id);
	be64_put(data + 8, channel->config.incarnation);
	be64_put(data + 16, receiver);
	return HANDSHAKE_HEADER_BYTES;
}

// Where the method has an idea why it takes so long, the peer answered, but not as it should. Where
// it has none, what the peer was refused for a moment ago says more.
static void give_up(struct channel *channel, uint64_t now_ns)
{
	void *handshake = channel->attempt.handshake;
	char former[CHANNEL_ERROR_BYTES];

	if (handshake != NULL && channel->config.methods->error(handshake)[0] != 0)
		channel_refuse(channel, now_ns);
	memcpy(former, channel->error, sizeof(former));
	fail(channel, now_ns,
		channel_is_refused(channel, now_ns) && former[0] != 0 ? former
								      : "the peer does not answer");
}

// What the attempt has to send; ends what is over.
static size_t poll_attempt(struct channel *channel, uint64_t now_ns, uint8_t *data)
{
	struct attempt *attempt = &channel->attempt;
	size_t len = 0;

	if (!attempt->open)
		return 0;
	if (now_ns - attempt->started_ns >= HANDSHAKE_LIMIT_NS) {
		if (attempt->state == HANDSHAKE_RUNNING)
			give_up(channel, now_ns);
		channel_handshake_end(channel);
		return 0;
	}
	if (attempt->handshake != NULL)
		len = channel->config.methods->next(attempt->handshake, now_ns,
			data + HANDSHAKE_HEADER_BYTES, DATAGRAM_BYTES_MAX - HANDSHAKE_HEADER_BYTES);
	if (len > 0)
		return len + put_header(channel, data, attempt->key_id, attempt->peer_incarnation);
	if (attempt->state == HANDSHAKE_FAILED)
		end_handshake(channel);
	return 0;
}

static bool wants_keys(const struct channel *channel, uint64_t now_ns)
{
	const struct keys *keys = &channel->current;
	const struct channel_config *config = &channel->config;

	if (channel->next.valid) // the peer may use them already
		return false;
	if (!keys->valid || channel->wanted || keys->forgeries >= KEYS_FORGERIES_MAX / 2)
		return true;
	return channel->client && (now_ns - keys->made_ns >= config->rekey_ns || // its business
					  keys->sealed >= config->rekey_records ||
					  keys->window.highest >= config->rekey_records);
}

static uint16_t fresh_key_id(struct channel *channel)
{
	do
		channel->key_id++;
	while (is_key_in_use(channel, channel->key_id));
	return channel->key_id;
}

// The client starts an attempt, or asks for the server's incarnation; the server asks for an
// attempt.
static size_t poll_start(struct channel *channel, uint64_t now_ns, uint8_t *data)
{
	const bool running = channel->attempt.open && channel->attempt.state == HANDSHAKE_RUNNING;

	if (running || now_ns < channel->start_ns || !wants_keys(channel, now_ns))
		return 0;
	if (!channel->client) {
		if (channel->peer_incarnation == 0)
			return 0;
		back_off(channel, now_ns);
		return put_header(channel, data, channel->key_id, channel->peer_incarnation);
	}
	if (channel->known == 0) {
		back_off(channel, now_ns);
		return put_header(channel, data, fresh_key_id(channel), 0);
	}
	begin(channel, now_ns, channel->known, fresh_key_id(channel));
	return poll_attempt(channel, now_ns, data);
}

size_t channel_handshake_poll(struct channel *channel, uint64_t now_ns, uint8_t *data)
{
	size_t len = poll_attempt(channel, now_ns, data);

	if (len == 0 && channel->answer_count > 0) {
		const struct answer *answer = &channel->answers[--channel->answer_count];

		return put_header(channel, data, answer->key_id, answer->incarnation);
	}
	return len > 0 ? len : poll_start(channel, now_ns, data);
}
