#include "cluster/keys.h"

#include "base/bytes.h"
#include "base/error.h"

#include <openssl/crypto.h>

#include <string.h>

#define COUNTER_OFFSET 8

// Where the parts lie in the exported material.
#define SALTS_OFFSET (2 * RECORD_KEY_BYTES)

int keys_init(struct keys *keys, EVP_CIPHER *cipher, const uint8_t material[HANDSHAKE_KEYS_BYTES],
	bool client)
{
	const uint8_t *salts = material + SALTS_OFFSET;
	const unsigned own = client ? 0 : 1, other = client ? 1 : 0;

	memset(keys, 0, sizeof(*keys));
	if (record_key_init(&keys->seal, cipher, material + own * RECORD_KEY_BYTES,
		    salts + own * RECORD_SALT_BYTES, true) != 0)
		return -ERR_CRYPTO;
	if (record_key_init(&keys->open, cipher, material + other * RECORD_KEY_BYTES,
		    salts + other * RECORD_SALT_BYTES, false) != 0) {
		keys_finish(keys);
		return -ERR_CRYPTO;
	}
	keys->valid = true;
	return 0;
}

void keys_finish(struct keys *keys)
{
	record_key_finish(&keys->seal);
	record_key_finish(&keys->open);
	OPENSSL_cleanse(keys, sizeof(*keys));
}

void keys_move(struct keys *to, struct keys *from)
{
	keys_finish(to);
	*to = *from;
	OPENSSL_cleanse(from, sizeof(*from));
}

bool keys_seal(struct keys *keys, uint8_t *data, size_t plain_len)
{
	if (keys->sealed >= KEYS_RECORDS_MAX)
		return false;
	// A counter whose sealing fails is not used again.
	be64_put(data + COUNTER_OFFSET, ++keys->sealed);
	return record_seal(&keys->seal, data, plain_len);
}

enum keys_result keys_open(struct keys *keys, uint8_t *data, size_t len)
{
	uint64_t counter = be64_get(data + COUNTER_OFFSET);

	if (!window_is_fresh(&keys->window, counter))
		return KEYS_REPLAYED;
	if (!record_open(&keys->open, data, len)) {
		keys->forgeries++;
		return KEYS_FORGED;
	}
	window_mark(&keys->window, counter);
	return KEYS_OPENED;
}
