// Sealing and opening records: AES-256-GCM in place (WIRE.md section 1). A context per key and
// direction; per record only the nonce is set, nothing is allocated.
#pragma once

#include <openssl/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_KEY_BYTES  32
#define RECORD_SALT_BYTES 12

struct record_key {
	EVP_CIPHER_CTX *ctx; // NULL: no key
	uint8_t salt[RECORD_SALT_BYTES];
};

// The cipher, looked up once and shared by many keys; EVP_CIPHER_free() it. NULL: not available.
EVP_CIPHER *record_cipher(void);

// 0 or -ERR_CRYPTO. `seal`: for record_seal(), else for record_open().
int record_key_init(struct record_key *key, EVP_CIPHER *cipher,
	const uint8_t bytes[RECORD_KEY_BYTES], const uint8_t salt[RECORD_SALT_BYTES], bool seal);
void record_key_finish(struct record_key *key); // wipes; harmless where there is no key

// The datagram's header, with the counter, stands at data; the plaintext behind it is encrypted and
// RECORD_TAG_BYTES of tag follow. False where the crypto library fails.
bool record_seal(struct record_key *key, uint8_t *data, size_t plain_len);
// A whole datagram, header and tag included, of at least DATAGRAM_HEADER_BYTES + RECORD_TAG_BYTES.
// False where it is not what the peer sealed; the bytes behind the header are spoilt then.
bool record_open(struct record_key *key, uint8_t *data, size_t len);
