// Proves: P1, M2, M3, M5 against an independent computation: test/vectors/cookie.py.
#include "fixture.h"
#include "reader.h"

#include "cookie/msyn.h"
#include "cookie/syncookie.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#define LINE_BYTES_MAX 1024

enum row { ROW_KEYS, ROW_COOKIE, ROW_MSYN, ROW_DECODE, ROW_COUNT };

static const char *const row_names[ROW_COUNT] = {"keys", "cookie", "msyn", "decode"};

static struct tuple next_tuple(struct reader *reader)
{
	struct tuple tuple;

	tuple.src = next_addr(reader);
	tuple.dst = next_addr(reader);
	tuple.sport = (uint16_t)next_number(reader, 10);
	tuple.dport = (uint16_t)next_number(reader, 10);
	return tuple;
}

struct secret {
	uint8_t bytes[KEYRING_SECRET_BYTES_MAX];
	size_t len;
};

static struct secret next_secret(struct reader *reader)
{
	struct secret secret;

	secret.len = next_bytes(reader, secret.bytes, sizeof(secret.bytes));
	return secret;
}

static struct epoch_keys keys_of(const struct secret *secret, uint32_t epoch)
{
	struct epoch_keys keys;

	assert_int_equal(keyring_derive(&keys, secret->bytes, secret->len, epoch), 0);
	return keys;
}

static struct keyring ring_of(const struct secret *secret, uint32_t tick)
{
	struct keyring ring = {0};

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t epoch = (keyring_epoch(tick) - 1 + i) & KEYRING_EPOCH_MAX;
		struct epoch_keys keys = keys_of(secret, epoch);

		keyring_put(&ring, &keys);
	}
	return ring;
}

static void check_keys(struct reader *reader)
{
	struct secret secret = next_secret(reader);
	struct epoch_keys keys = keys_of(&secret, next_number(reader, 16));
	uint8_t cookie[SIPHASH_KEY_BYTES], msyn[SIPHASH_KEY_BYTES];

	next_bytes(reader, cookie, sizeof(cookie));
	next_bytes(reader, msyn, sizeof(msyn));
	struct siphash_key cookie_key = siphash_key(cookie), msyn_key = siphash_key(msyn);

	assert_memory_equal(&keys.cookie, &cookie_key, sizeof(cookie_key));
	assert_memory_equal(&keys.msyn, &msyn_key, sizeof(msyn_key));
}

static struct agreed next_agreed(struct reader *reader)
{
	struct agreed agreed;

	agreed.mss = (uint16_t)next_number(reader, 10);
	agreed.wscale = (uint8_t)next_number(reader, 10);
	agreed.sack = next_number(reader, 10);
	agreed.timestamps = next_number(reader, 10);
	agreed.ecn = next_number(reader, 10);
	return agreed;
}

static void check_cookie(struct reader *reader)
{
	struct secret secret = next_secret(reader);
	struct epoch_keys keys = keys_of(&secret, next_number(reader, 16));
	struct tuple tuple = next_tuple(reader);
	uint32_t isn = next_number(reader, 16);
	struct agreed offer = next_agreed(reader);
	uint32_t clock = next_number(reader, 16);
	struct syncookie cookie = syncookie_make(&keys, &tuple, isn, &offer, clock);
	uint32_t tick = keys.epoch * KEYRING_TICKS_PER_EPOCH;
	struct keyring ring = ring_of(&secret, tick);
	struct agreed back = {.timestamps = offer.timestamps};

	assert_int_equal(cookie.seq, next_number(reader, 16));
	assert_int_equal(cookie.tsval, next_number(reader, 16));
	assert_true(syncookie_check(&ring, tick, &tuple, isn, cookie.seq, cookie.tsval, &back));
	assert_int_equal(back.mss, next_number(reader, 10));
	assert_int_equal(back.wscale, offer.wscale);
	assert_int_equal(back.sack, offer.sack);
	assert_int_equal(back.ecn, offer.ecn);
	assert_false(
		syncookie_check(&ring, tick, &tuple, isn, cookie.seq ^ 1, cookie.tsval, &back));
}

static void check_msyn(struct reader *reader)
{
	struct secret secret = next_secret(reader);
	uint32_t tick = next_number(reader, 16);
	struct epoch_keys keys = keys_of(&secret, keyring_epoch(tick));
	struct tuple tuple = next_tuple(reader);
	uint32_t isn = next_number(reader, 16);
	uint16_t id = (uint16_t)next_number(reader, 10);

	assert_int_equal(msyn_make(&keys, &tuple, isn, tick, id), next_number(reader, 16));
}

static void check_decode(struct reader *reader)
{
	struct secret secret = next_secret(reader);
	uint32_t tick = next_number(reader, 16);
	struct keyring ring = ring_of(&secret, tick);
	struct tuple tuple = next_tuple(reader);
	uint32_t cookie = next_number(reader, 16);
	uint16_t id;

	assert_int_equal(msyn_decode(&ring, &tuple, cookie, tick, 8191, &id), 0);
	assert_int_equal(id, next_number(reader, 10));
}

static enum row check_line(char *line)
{
	static void (*const checks[ROW_COUNT])(struct reader *) = {
		check_keys, check_cookie, check_msyn, check_decode};
	struct reader reader = {line};
	const char *name = next_text(&reader);
	enum row row = 0;

	while (row < ROW_COUNT && strcmp(name, row_names[row]) != 0)
		row++;
	assert_true(row < ROW_COUNT);
	checks[row](&reader);
	assert_string_equal(reader.rest, ""); // no column is left unread
	return row;
}

static void vectors(void **state)
{
	FILE *file = fopen(VECTORS "/cookie.txt", "r");
	char line[LINE_BYTES_MAX];
	unsigned rows[ROW_COUNT] = {0};

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		rows[check_line(line)]++;
	fclose(file);
	assert_true(rows[ROW_KEYS] >= 20 && rows[ROW_COOKIE] >= 100);
	assert_true(rows[ROW_MSYN] >= 100 && rows[ROW_DECODE] >= 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
