// Proves: RELIABILITY 5 lines 2 and 3 (AES-256-GCM records; nonce = salt xor counter, header
// authenticated, a key per direction), WIRE.md section 1.
#include "base/bytes.h"
#include "base/error.h"
#include "cluster/channel.h"
#include "cluster/keys.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT	     "sixteen and more bytes of text"
#define TEXT_LEN     (sizeof(TEXT) - 1)
#define DATAGRAM_LEN (DATAGRAM_HEADER_BYTES + TEXT_LEN + RECORD_TAG_BYTES)

// Computed with Python's `cryptography`: exported material 0, 1, 2 ... 95, tag of the cluster
// 0xbeef, key id 0x1234. The client's first record, and the server's second.
static const char CLIENT_1[] =
	"0102beef0003123400000000000000011661c746bd6ab014fc958fc6859a6265f6e4"
	"3580abddd6136ece6e17b0f2ff72be0ac6482b5233097824c0c91b77";
static const char SERVER_2[] =
	"0102beef000712340000000000000002df8ddc8577773804d34bd21faecf686e6f3c"
	"39821ca6fa6c5d46b8b3fe751e44e9b14c5ef9b5e11d65672cea342f";

static unsigned allocations; // of libcrypto

static void *count_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return malloc(size);
}

static void *count_realloc(void *memory, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return realloc(memory, size);
}

static void count_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	free(memory);
}

struct sides {
	EVP_CIPHER *cipher;
	struct keys client, server;
};

static void setup(struct sides *sides)
{
	uint8_t material[HANDSHAKE_KEYS_BYTES];

	for (uint8_t i = 0; i < sizeof(material); i++)
		material[i] = i;
	sides->cipher = record_cipher();
	assert_non_null(sides->cipher);
	assert_int_equal(keys_init(&sides->client, sides->cipher, material, true), 0);
	assert_int_equal(keys_init(&sides->server, sides->cipher, material, false), 0);
}

static void teardown(struct sides *sides)
{
	keys_finish(&sides->client);
	keys_finish(&sides->server);
	keys_finish(&sides->server); // harmless
	EVP_CIPHER_free(sides->cipher);
	assert_int_equal(ERR_peek_error(), 0);
}

static void write_plain(uint8_t data[DATAGRAM_LEN], uint16_t sender)
{
	data[0] = 1;
	data[1] = 2;
	be16_put(data + 2, 0xbeef);
	be16_put(data + 4, sender);
	be16_put(data + 6, 0x1234);
	memcpy(data + DATAGRAM_HEADER_BYTES, TEXT, TEXT_LEN);
}

static void assert_hex(const uint8_t *data, size_t len, const char *hex)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * DATAGRAM_LEN + 1] = "";

	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[data[i] >> 4];
		text[2 * i + 1] = digits[data[i] & 15];
	}
	assert_string_equal(text, hex);
}

static void golden(void **state)
{
	struct sides sides;
	uint8_t data[DATAGRAM_LEN];

	(void)state;
	setup(&sides);
	write_plain(data, 3);
	assert_true(keys_seal(&sides.client, data, TEXT_LEN));
	assert_hex(data, sizeof(data), CLIENT_1);
	assert_int_equal(keys_open(&sides.server, data, sizeof(data)), KEYS_OPENED);
	assert_memory_equal(data + DATAGRAM_HEADER_BYTES, TEXT, TEXT_LEN);
	for (unsigned i = 0; i < 2; i++) {
		write_plain(data, 7);
		assert_true(keys_seal(&sides.server, data, TEXT_LEN));
	}
	assert_hex(data, sizeof(data), SERVER_2);
	assert_int_equal(keys_open(&sides.client, data, sizeof(data)), KEYS_OPENED);
	teardown(&sides);
}

static void each_bit_counts(void **state)
{
	struct sides sides;
	uint8_t sealed[DATAGRAM_LEN], data[DATAGRAM_LEN];

	(void)state;
	setup(&sides);
	write_plain(sealed, 3);
	assert_true(keys_seal(&sides.client, sealed, TEXT_LEN));
	for (unsigned bit = 0; bit < 8 * DATAGRAM_LEN; bit++) {
		memcpy(data, sealed, sizeof(data));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		// Counter 0 is refused by the window already.
		assert_int_equal(keys_open(&sides.server, data, sizeof(data)),
			be64_get(data + 8) == 0 ? KEYS_REPLAYED : KEYS_FORGED);
	}
	assert_int_equal(sides.server.forgeries, 8 * DATAGRAM_LEN - 1);
	// The window was not moved by any of it; the own direction's key opens nothing.
	memcpy(data, sealed, sizeof(data));
	assert_int_equal(keys_open(&sides.client, data, sizeof(data)), KEYS_FORGED);
	memcpy(data, sealed, sizeof(data));
	assert_int_equal(keys_open(&sides.server, data, sizeof(data)), KEYS_OPENED);
	memcpy(data, sealed, sizeof(data));
	assert_int_equal(keys_open(&sides.server, data, sizeof(data)), KEYS_REPLAYED);
	teardown(&sides);
}

static void each_length(void **state)
{
	const size_t most = DATAGRAM_BYTES_MAX - DATAGRAM_HEADER_BYTES - RECORD_TAG_BYTES;
	struct sides sides;
	uint8_t data[DATAGRAM_BYTES_MAX], plain[DATAGRAM_BYTES_MAX];

	(void)state;
	setup(&sides);
	memset(plain, 0x33, sizeof(plain));
	for (size_t len = 0; len <= most; len++) {
		memcpy(data, plain, sizeof(data));
		assert_true(keys_seal(&sides.client, data, len));
		if (len >= 16)
			assert_memory_not_equal(data + DATAGRAM_HEADER_BYTES, plain, len);
		assert_int_equal(keys_open(&sides.server, data,
					 DATAGRAM_HEADER_BYTES + len + RECORD_TAG_BYTES),
			KEYS_OPENED);
		assert_memory_equal(data + DATAGRAM_HEADER_BYTES, plain, len);
	}
	teardown(&sides);
}

static void no_allocation_per_record(void **state)
{
	struct sides sides;
	uint8_t data[DATAGRAM_LEN];
	unsigned before = 0;

	(void)state;
	setup(&sides);
	for (unsigned i = 0; i < 1000; i++) {
		if (i == 10) // the first ones may set up the thread's error queue
			before = allocations;
		write_plain(data, 3);
		assert_true(keys_seal(&sides.client, data, TEXT_LEN));
		data[DATAGRAM_LEN - 1] ^= i % 2;
		assert_int_equal(keys_open(&sides.server, data, sizeof(data)),
			i % 2 ? KEYS_FORGED : KEYS_OPENED);
	}
	assert_true(before > 0);
	assert_int_equal(allocations, before);
	teardown(&sides);
}

static void sealing_ends(void **state)
{
	struct sides sides;
	uint8_t data[DATAGRAM_LEN];

	(void)state;
	setup(&sides);
	sides.client.sealed = KEYS_RECORDS_MAX - 1;
	write_plain(data, 3);
	assert_true(keys_seal(&sides.client, data, TEXT_LEN));
	assert_false(keys_seal(&sides.client, data, TEXT_LEN));
	assert_int_equal(sides.client.sealed, KEYS_RECORDS_MAX);
	teardown(&sides);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
		cmocka_unit_test(each_bit_counts),
		cmocka_unit_test(each_length),
		cmocka_unit_test(no_allocation_per_record),
		cmocka_unit_test(sealing_ends),
	};

	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
