#include "cookie/keyring.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <string.h>

#define INFO_BYTES_MAX 32

struct input {
	const uint8_t *secret;
	size_t secret_len;
	uint32_t epoch;
};

// HKDF-SHA256 (RFC 5869) with an empty salt and info = label || be32 epoch.
static int derive(
	EVP_KDF_CTX *ctx, struct siphash_key *key, const struct input *in, const char *label)
{
	uint8_t info[INFO_BYTES_MAX];
	uint8_t bytes[SIPHASH_KEY_BYTES];
	size_t label_len = strlen(label);
	int done;

	CHECK(label_len + 4 <= sizeof(info));
	memcpy(info, label, label_len);
	be32_put(info + label_len, in->epoch);
	// OSSL_PARAM has no const; the library only reads these.
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)in->secret, in->secret_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, label_len + 4),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF_CTX_reset(ctx);
	done = EVP_KDF_derive(ctx, bytes, sizeof(bytes), params);
	if (done == 1)
		*key = siphash_key(bytes);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return done == 1 ? 0 : -ERR_CRYPTO;
}

int keyring_derive(struct epoch_keys *out, const uint8_t *secret, size_t secret_len, uint32_t epoch)
{
	const struct input in = {.secret = secret, .secret_len = secret_len, .epoch = epoch};
	EVP_KDF *kdf;
	EVP_KDF_CTX *ctx;
	int error = -ERR_CRYPTO;

	if (secret_len < KEYRING_SECRET_BYTES_MIN || secret_len > KEYRING_SECRET_BYTES_MAX)
		return -ERR_RANGE;
	kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	ctx = EVP_KDF_CTX_new(kdf); // NULL for NULL
	EVP_KDF_free(kdf);
	if (ctx != NULL) {
		out->epoch = epoch;
		error = derive(ctx, &out->cookie, &in, "weir cookie");
		if (error == 0)
			error = derive(ctx, &out->msyn, &in, "weir msyn");
		EVP_KDF_CTX_free(ctx);
	}
	if (error != 0)
		keyring_wipe(out);
	return error;
}

void keyring_wipe(struct epoch_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}

static unsigned slot(uint32_t epoch)
{
	return epoch % ARRAY_LEN(((struct keyring *)0)->epochs);
}

void keyring_put(struct keyring *ring, const struct epoch_keys *keys)
{
	ring->epochs[slot(keys->epoch)] = *keys;
	ring->valid[slot(keys->epoch)] = 1;
}

const struct epoch_keys *keyring_get(const struct keyring *ring, uint32_t epoch)
{
	const struct epoch_keys *keys = &ring->epochs[slot(epoch)];

	return ring->valid[slot(epoch)] && keys->epoch == epoch ? keys : NULL;
}
