#include "cluster/record.h"

#include "base/bytes.h"
#include "base/error.h"
#include "cluster/channel.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <string.h>

#define COUNTER_OFFSET 8

EVP_CIPHER *record_cipher(void)
{
	return EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

int record_key_init(struct record_key *key, EVP_CIPHER *cipher,
	const uint8_t bytes[RECORD_KEY_BYTES], const uint8_t salt[RECORD_SALT_BYTES], bool seal)
{
	memcpy(key->salt, salt, RECORD_SALT_BYTES);
	key->ctx = EVP_CIPHER_CTX_new();
	if (key->ctx != NULL &&
		EVP_CipherInit_ex2(key->ctx, cipher, bytes, NULL, seal ? 1 : 0, NULL) == 1)
		return 0;
	record_key_finish(key);
	ERR_clear_error();
	return -ERR_CRYPTO;
}

void record_key_finish(struct record_key *key)
{
	EVP_CIPHER_CTX_free(key->ctx); // wipes the key schedule
	OPENSSL_cleanse(key, sizeof(*key));
}

// The nonce (salt, xored with the header's counter) and the associated data (the header).
static bool begin(struct record_key *key, const uint8_t *header)
{
	uint8_t nonce[RECORD_SALT_BYTES];
	uint8_t *low = nonce + RECORD_SALT_BYTES - 8;
	int len;

	memcpy(nonce, key->salt, sizeof(nonce));
	be64_put(low, be64_get(low) ^ be64_get(header + COUNTER_OFFSET));
	return EVP_CipherInit_ex2(key->ctx, NULL, NULL, nonce, -1, NULL) == 1 &&
	       EVP_CipherUpdate(key->ctx, NULL, &len, header, DATAGRAM_HEADER_BYTES) == 1;
}

static bool update(struct record_key *key, uint8_t *text, size_t len)
{
	int done;

	return EVP_CipherUpdate(key->ctx, text, &done, text, (int)len) == 1 && done == (int)len;
}

bool record_seal(struct record_key *key, uint8_t *data, size_t plain_len)
{
	uint8_t *text = data + DATAGRAM_HEADER_BYTES, *tag = text + plain_len;
	int len;

	if (begin(key, data) && update(key, text, plain_len) &&
		EVP_CipherFinal_ex(key->ctx, tag, &len) == 1 &&
		EVP_CIPHER_CTX_ctrl(key->ctx, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG_BYTES, tag) == 1)
		return true;
	ERR_clear_error();
	return false;
}

bool record_open(struct record_key *key, uint8_t *data, size_t len)
{
	size_t text_len = len - DATAGRAM_HEADER_BYTES - RECORD_TAG_BYTES;
	uint8_t *text = data + DATAGRAM_HEADER_BYTES, *tag = text + text_len;
	int done;

	if (begin(key, data) && update(key, text, text_len) &&
		EVP_CIPHER_CTX_ctrl(key->ctx, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG_BYTES, tag) == 1 &&
		EVP_CipherFinal_ex(key->ctx, tag, &done) == 1)
		return true;
	ERR_clear_error();
	return false;
}
