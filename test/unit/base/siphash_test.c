// SipHash against the authors' published value and against OpenSSL's implementation.
#include "base/check.h"
#include "base/siphash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN_MAX 130

static EVP_MAC *mac;

// OpenSSL writes the 64 bits little-endian, as the reference code does.
static uint64_t openssl_siphash(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *data,
	size_t len, unsigned c, unsigned d)
{
	size_t size = 8, written = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	uint8_t out[8];
	uint64_t hash = 0;

	assert_non_null(ctx);
	assert_int_equal(EVP_MAC_init(ctx, key, SIPHASH_KEY_BYTES, params), 1);
	assert_int_equal(EVP_MAC_update(ctx, data, len), 1);
	assert_int_equal(EVP_MAC_final(ctx, out, &written, sizeof(out)), 1);
	assert_int_equal(written, sizeof(out));
	EVP_MAC_CTX_free(ctx);
	for (int i = 7; i >= 0; i--)
		hash = hash << 8 | out[i];
	return hash;
}

static void fill(uint8_t *data, size_t len, unsigned step)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * step + (step > 1 ? 17 : 0));
}

static void published_vector(void **state)
{
	uint8_t bytes[16];
	struct siphash_key key;

	(void)state;
	fill(bytes, sizeof(bytes), 1);
	key = siphash_key(bytes);
	assert_true(key.k[0] == 0x0706050403020100);
	assert_true(siphash24(key, bytes, 15) == 0xa129ca6149be45e5);
	assert_true(siphash24(key, bytes, 14) != 0xa129ca6149be45e5);
}

static void every_length_against_openssl(void **state)
{
	uint8_t data[LEN_MAX + 8], key_bytes[SIPHASH_KEY_BYTES];
	struct siphash_key key;

	(void)state;
	fill(data, sizeof(data), 151);
	fill(key_bytes, sizeof(key_bytes), 89);
	key = siphash_key(key_bytes);
	for (size_t len = 0; len <= LEN_MAX; len++) {
		const uint8_t *p = data + len % 8; // every alignment

		assert_true(siphash24(key, p, len) == openssl_siphash(key_bytes, p, len, 2, 4));
		assert_true(siphash13(key, p, len) == openssl_siphash(key_bytes, p, len, 1, 3));
	}
}

static void long_input(void **state)
{
	static uint8_t data[70000]; // the length byte wraps
	uint8_t key_bytes[SIPHASH_KEY_BYTES] = {1};
	struct siphash_key key = siphash_key(key_bytes);

	(void)state;
	fill(data, sizeof(data), 7);
	for (size_t len = 250; len < sizeof(data); len = len * 2 + 1)
		assert_true(
			siphash13(key, data, len) == openssl_siphash(key_bytes, data, len, 1, 3));
}

static int fetch_mac(void **state)
{
	(void)state;
	mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	return mac != NULL ? 0 : -1;
}

static int free_mac(void **state)
{
	(void)state;
	EVP_MAC_free(mac);
	return 0;
}

// Every lane, of messages that differ, against one by one.
static void lanes_are_as_one_by_one(void **state)
{
	const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	uint8_t data[SIPHASH_LANES][LEN_MAX];
	const void *messages[SIPHASH_LANES];
	uint64_t hashes[SIPHASH_LANES];

	(void)state;
	for (unsigned lane = 0; lane < SIPHASH_LANES; lane++) {
		fill(data[lane], sizeof(data[lane]), 7 * lane + 3);
		messages[lane] = data[lane] + lane; // any alignment
	}
	for (size_t len = 0; len <= 64; len++) {
		siphash13_lanes(key, messages, len, hashes);
		for (unsigned lane = 0; lane < SIPHASH_LANES; lane++)
			assert_true(hashes[lane] == siphash13(key, messages[lane], len));
	}
	assert_true(hashes[0] != hashes[1]);
}

static void words_are_as_one_by_one(void **state)
{
	const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	uint64_t words[SIPHASH_WORDS_MAX][SIPHASH_LANES], hashes[SIPHASH_LANES];

	(void)state;
	fill((uint8_t *)words, sizeof(words), 5);
	for (unsigned count = 0; count <= SIPHASH_WORDS_MAX; count++) {
		siphash24_words(key, words, count, hashes);
		for (unsigned lane = 0; lane < SIPHASH_LANES; lane++) {
			uint64_t message[SIPHASH_WORDS_MAX];

			for (unsigned i = 0; i < count; i++)
				message[i] = words[i][lane];
			assert_true(hashes[lane] == siphash24(key, message, 8 * count));
		}
	}
	assert_true(hashes[0] != hashes[1]);
}

// Two blocks of them, each as by itself.
static void blocks_are_as_one_by_one(void **state)
{
	const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	uint64_t words[2 * SIPHASH_WORDS_MAX][SIPHASH_LANES];
	uint64_t hashes[2 * SIPHASH_LANES], expected[SIPHASH_LANES];

	(void)state;
	fill((uint8_t *)words, sizeof(words), 5);
	words[SIPHASH_WORDS_MAX][0]++; // what is filled repeats itself
	for (unsigned count = 0; count <= SIPHASH_WORDS_MAX; count++) {
		siphash24_words_two(key, words, count, hashes);
		siphash24_words(key, words, count, expected);
		assert_memory_equal(hashes, expected, sizeof(expected));
		siphash24_words(key, words + count, count, expected);
		assert_memory_equal(hashes + SIPHASH_LANES, expected, sizeof(expected));
	}
	assert_true(hashes[0] != hashes[SIPHASH_LANES]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vector),
		cmocka_unit_test(every_length_against_openssl),
		cmocka_unit_test(long_input),
		cmocka_unit_test(lanes_are_as_one_by_one),
		cmocka_unit_test(words_are_as_one_by_one),
		cmocka_unit_test(blocks_are_as_one_by_one),
	};

	return cmocka_run_group_tests(tests, fetch_mac, free_mac);
}
