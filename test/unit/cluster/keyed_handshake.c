#include "keyed_handshake.h"

#include "base/bytes.h"
#include "base/check.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>
#include <string.h>

#define MAC_BYTES    32
#define FLIGHT_BYTES (8 + MAC_BYTES)
#define PLACE_BYTES  (1 + 2 * 2 + 2 * 8) // what the MAC is over
#define REPEAT_NS    100000000ULL

struct handshake {
	struct keyed_context *context;
	enum handshake_state state;
	bool client;
	bool to_send;
	uint64_t sent_ns;
	uint16_t client_id, server_id;
	uint64_t client_nonce, server_nonce; // the client's flight is made with server_nonce 0
	const char *error;
};

static void hmac(const struct keyed_context *context, const uint8_t *data, size_t len,
	uint8_t out[MAC_BYTES])
{
	unsigned out_len = MAC_BYTES;

	CHECK(HMAC(EVP_sha256(), context->secret, KEYED_SECRET_BYTES, data, len, out, &out_len) !=
		NULL);
}

static void place(const struct handshake *handshake, uint8_t label, uint64_t server_nonce,
	uint8_t out[PLACE_BYTES])
{
	out[0] = label;
	be16_put(out + 1, handshake->client_id);
	be16_put(out + 3, handshake->server_id);
	be64_put(out + 5, handshake->client_nonce);
	be64_put(out + 13, server_nonce);
}

static void flight_mac(const struct handshake *handshake, bool of_client, uint8_t mac[MAC_BYTES])
{
	uint8_t data[PLACE_BYTES];

	place(handshake, of_client ? 'C' : 'S', of_client ? 0 : handshake->server_nonce, data);
	hmac(handshake->context, data, sizeof(data), mac);
}

static void *start(void *context, uint16_t peer, bool client)
{
	struct keyed_context *keyed = context;
	struct handshake *handshake = calloc(1, sizeof(*handshake));

	if (handshake == NULL)
		return NULL;
	keyed->started++;
	keyed->alive++;
	handshake->context = keyed;
	handshake->client = client;
	handshake->to_send = client;
	handshake->client_id = client ? keyed->id : peer;
	handshake->server_id = client ? peer : keyed->id;
	*(client ? &handshake->client_nonce : &handshake->server_nonce) = keyed->nonce++;
	handshake->error = "";
	return handshake;
}

static enum handshake_state feed(void *of, const uint8_t *data, size_t len)
{
	struct handshake *handshake = of;
	uint8_t mac[MAC_BYTES];

	if (handshake->state == HANDSHAKE_FAILED || len != FLIGHT_BYTES)
		return handshake->state;
	if (handshake->state == HANDSHAKE_DONE) {
		handshake->to_send = !handshake->client;
		return HANDSHAKE_DONE;
	}
	*(handshake->client ? &handshake->server_nonce : &handshake->client_nonce) = be64_get(data);
	flight_mac(handshake, !handshake->client, mac);
	if (CRYPTO_memcmp(mac, data + 8, MAC_BYTES) != 0) {
		handshake->error = "the peer has another secret";
		return handshake->state = HANDSHAKE_FAILED;
	}
	handshake->to_send = !handshake->client;
	return handshake->state = HANDSHAKE_DONE;
}

static size_t next(void *of, uint64_t now_ns, uint8_t *out, size_t room)
{
	struct handshake *handshake = of;
	const bool again = handshake->client && handshake->state == HANDSHAKE_RUNNING &&
			   now_ns - handshake->sent_ns >= REPEAT_NS;

	CHECK(room >= FLIGHT_BYTES);
	if (!handshake->to_send && !again)
		return 0;
	handshake->to_send = false;
	handshake->sent_ns = now_ns;
	be64_put(out, handshake->client ? handshake->client_nonce : handshake->server_nonce);
	flight_mac(handshake, handshake->client, out + 8);
	return FLIGHT_BYTES;
}

static int export(
	void *of, const uint8_t *bound, size_t bound_len, uint8_t out[HANDSHAKE_KEYS_BYTES])
{
	const struct handshake *handshake = of;
	uint8_t data[PLACE_BYTES + 256];

	CHECK(handshake->state == HANDSHAKE_DONE && bound_len <= 256);
	memcpy(data + PLACE_BYTES, bound, bound_len);
	for (uint8_t i = 0; i < HANDSHAKE_KEYS_BYTES / MAC_BYTES; i++) {
		place(handshake, i, handshake->server_nonce, data);
		hmac(handshake->context, data, PLACE_BYTES + bound_len, out + i * MAC_BYTES);
	}
	return 0;
}

static const char *error(void *of)
{
	return ((struct handshake *)of)->error;
}

static void end(void *of)
{
	struct handshake *handshake = of;

	handshake->context->alive--;
	free(handshake);
}

const struct handshake_methods keyed_methods = {
	.start = start,
	.feed = feed,
	.next = next,
	.export = export,
	.error = error,
	.end = end,
};
