// TCP options. TCP.md 2.1-2.3, 2.5-2.7, 2.9-2.12 as far as parsing and writing go, and section 10.
#include "base/check.h"
#include "base/error.h"
#include "packet.h"
#include "pkt/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OFFSET(ip6) (14 + ((ip6) ? 40 : 20) + 20) // of the options in an untagged frame

// Parses options inside a frame without a byte behind them, for one family.
static int parse_in(bool ip6, struct options *options, struct bytes bytes)
{
	struct packet packet = {.ip6 = ip6, .flags = TCP_SYN, .options = bytes};
	struct frame frame = packet_build_exact(&packet);
	struct view view = packet_view(&frame);
	int err = options_parse(options, &view);

	free(frame.data);
	return err;
}

static int parse(struct options *options, struct bytes bytes)
{
	return parse_in(false, options, bytes);
}

static void t2_1_none(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, (struct bytes){NULL, 0}), 0);
	assert_int_equal(options.bits, 0);
	assert_int_equal(options.mss, 0);
	assert_int_equal(options.wscale, OPTIONS_WSCALE_NONE);
}

// What Linux sends, in both families.
static void t2_1_usual_syn(void **state)
{
	struct options options;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		assert_int_equal(parse_in(ip6, &options,
					 (struct bytes)BYTES("\x02\x04\x05\xb4\x04\x02\x08\x0a"
							     "\x11\x22\x33\x44\x55\x66\x77\x88"
							     "\x01\x03\x03\x07")),
			0);
		assert_int_equal(options.bits,
			OPTION_MSS | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_WSCALE);
		assert_int_equal(options.mss, 1460);
		assert_int_equal(options.wscale, 7);
		assert_int_equal(options.tsval, 0x11223344);
		assert_int_equal(options.tsecr, 0x55667788);
		assert_int_equal(options.timestamps_at, OFFSET(ip6) + 8);
	}
}

static void t2_1_eol_ends(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(
		parse(&options, (struct bytes)BYTES("\x03\x03\x02\x00\x02\x04\x05\xb4")), 0);
	assert_int_equal(options.bits, OPTION_WSCALE);
	// Behind EOL nothing counts, not even a broken length.
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x00\x02\xff\xff")), 0);
	assert_int_equal(options.bits, 0);
}

static void t2_1_unaligned(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(
		parse(&options, (struct bytes)BYTES("\x01\x08\x0a\x00\x00\x00\x01\x00\x00\x00"
						    "\x02\x02\x04\x05\xb4")),
		0);
	assert_int_equal(options.bits, OPTION_TIMESTAMPS | OPTION_MSS);
	assert_int_equal(options.timestamps_at, OFFSET(false) + 3);
	assert_int_equal(options.tsecr, 2);
}

static void t2_1_first_of_duplicates_wins(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x02\x04\x05\xb4\x02\x04\x00\x40"
							     "\x03\x03\x01\x03\x03\x02")),
		0);
	assert_int_equal(options.mss, 1460);
	assert_int_equal(options.wscale, 1);
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x08\x0a"
							     "AAAABBBB"
							     "\x08\x0a"
							     "CCCCDDDD")),
		0);
	assert_int_equal(options.tsval, 0x41414141);
	assert_int_equal(options.timestamps_at, OFFSET(false) + 2);
}

// Section 10: lengths 0, 1 and 255 for every kind, and options before the bad one are kept.
static void t2_1_bad_lengths(void **state)
{
	static const uint8_t lengths[] = {0, 1, 255};
	struct options options;

	(void)state;
	for (unsigned kind = 2; kind < 256; kind++) {
		for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
			uint8_t bytes[40] = {3, 3, 5, (uint8_t)kind, lengths[i]};

			assert_int_equal(
				parse(&options, (struct bytes){bytes, 40}), -ERR_MALFORMED);
			assert_true(options.bits & OPTION_WSCALE);
			assert_int_equal(options.wscale, 5);
		}
	}
}

// Every kind whose length is fixed, with every other length.
static void t2_1_wrong_lengths(void **state)
{
	struct options options;

	(void)state;
	for (unsigned kind = 2; kind < 256; kind++) {
		for (unsigned len = 2; len <= 40; len++) {
			uint8_t bytes[40] = {(uint8_t)kind, (uint8_t)len};
			bool good = true;

			if (kind == 2)
				good = len == 4;
			else if (kind == 3)
				good = len == 3;
			else if (kind == 4)
				good = len == 2;
			else if (kind == 5)
				good = len == 10 || len == 18 || len == 26 || len == 34;
			else if (kind == 8)
				good = len == 10;
			assert_int_equal(parse(&options, (struct bytes){bytes, 40}),
				good ? 0 : -ERR_MALFORMED);
		}
	}
}

// Section 10: truncated at every offset. A cut behind a whole option is no error.
static void t2_1_truncated(void **state)
{
	static const uint8_t whole[] = {
		2, 4, 5, 0xb4, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 4, 2, 3, 3, 7, 34, 4, 9, 9};
	struct options options;

	(void)state;
	for (uint16_t len = 0; len <= sizeof(whole); len++) {
		bool boundary = len == 0 || len == 4 || len == 14 || len == 16 || len == 19 ||
				len == sizeof(whole);
		uint8_t *bytes = malloc(len + 1u);

		memcpy(bytes + 1, whole, len); // odd, and a read behind is seen
		assert_int_equal(options_parse_range(&options, bytes, 1, (uint16_t)(len + 1)),
			boundary ? 0 : -ERR_MALFORMED);
		assert_int_equal((options.bits & OPTION_MSS) != 0, len >= 4);
		assert_int_equal((options.bits & OPTION_TIMESTAMPS) != 0, len >= 14);
		free(bytes);
	}
}

static void t2_2_mss_zero_is_absent(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x02\x04\x00\x00")), 0);
	assert_int_equal(options.bits & OPTION_MSS, 0);
	assert_int_equal(options.mss, 0);
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x02\x04\x00\x01")), 0);
	assert_int_equal(options.bits & OPTION_MSS, OPTION_MSS);
	assert_int_equal(options.mss, 1);
}

// Section 10: offers of shift 0, absent, 14, 15, 255.
static void t2_3_wscale(void **state)
{
	static const uint8_t offers[][2] = {{0, 0}, {1, 1}, {14, 14}, {15, 14}, {255, 14}};
	struct options options;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		uint8_t bytes[3] = {3, 3, offers[i][0]};

		assert_int_equal(parse(&options, (struct bytes){bytes, 3}), 0);
		assert_int_equal(options.bits, OPTION_WSCALE);
		assert_int_equal(options.wscale, offers[i][1]);
	}
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x01")), 0);
	assert_int_equal(options.wscale, OPTIONS_WSCALE_NONE);
}

static void t2_6_sack_blocks(void **state)
{
	struct options options;

	(void)state;
	for (uint8_t count = 1; count <= OPTIONS_SACK_MAX; count++) {
		uint8_t bytes[40] = {1, 5, (uint8_t)(2 + 8 * count)};

		assert_int_equal(parse(&options, (struct bytes){bytes, 40}), 0);
		assert_int_equal(options.bits, OPTION_SACK);
		assert_int_equal(options.sack_count, count);
		assert_int_equal(options.sack_at, OFFSET(false) + 3);
	}
	// None, a half, and five blocks.
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x05\x02")), -ERR_MALFORMED);
	assert_int_equal(
		parse(&options, (struct bytes)BYTES("\x05\x06\x00\x00\x00\x01")), -ERR_MALFORMED);
	assert_int_equal(options.sack_count, 0);
}

static void t2_9_fast_open(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x01\x22\x02")), 0);
	assert_int_equal(options.bits, OPTION_FAST_OPEN);
	assert_int_equal(options.fast_open_at, OFFSET(false) + 1);
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x22\x0a"
							     "cookie01")),
		0);
	assert_int_equal(options.fast_open_at, OFFSET(false));
}

static void t2_10_to_12_other_kinds(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x1e\x04\x00\x81")), 0);
	assert_int_equal(options.bits, OPTION_MPTCP);
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x13\x12"
							     "0123456789abcdef")),
		0);
	assert_int_equal(options.bits, OPTION_SIGNED);
	assert_int_equal(parse(&options, (struct bytes)BYTES("\x1d\x04\x01\x01")), 0);
	assert_int_equal(options.bits, OPTION_SIGNED);
	// Unknown kinds are skipped by their length: 254 (SMC) with an MSS behind it.
	assert_int_equal(parse(&options, (struct bytes)BYTES("\xfe\x06\xe2\xd4\xc3\xd9"
							     "\x02\x04\x02\x00")),
		0);
	assert_int_equal(options.bits, OPTION_MSS);
	assert_int_equal(options.mss, 512);
}

// All sixteen combinations: what is written is what is parsed, and only that.
#define ALL_KINDS                                                                                  \
	"\x02\x04\x05\xb4\x04\x02\x08\x0a\x11\x22\x33\x44\x55\x66\x77\x88\x01\x03\x03\x07"         \
	"\x08\x0a\x01\x02\x03\x04\x05\x06\x07\x08\x22\x02"

// What is named is gone, duplicates too, and nothing else; the checksum follows.
static void strip(void **state)
{
	struct packet packet = {.flags = TCP_SYN, .options = BYTES(ALL_KINDS)};

	(void)state;
	for (unsigned bits = 0; bits < 1 << 8; bits++) {
		struct frame frame = packet_build_exact(&packet);
		struct view view = packet_view(&frame);
		struct options before, after;

		assert_int_equal(options_parse(&before, &view), 0);
		options_strip(&view, (uint16_t)bits);
		assert_true(packet_good(&frame));
		assert_int_equal(options_parse(&after, &view), 0);
		assert_int_equal(after.bits, before.bits & ~bits);
		free(frame.data);
	}
}

// A malformed option ends the walk, as it does for the parser.
static void strip_stops_where_the_parser_does(void **state)
{
	struct packet packet = {.flags = TCP_SYN, .options = BYTES("\x04\x02\x03\x09\x04\x02")};
	struct frame frame = packet_build_exact(&packet);
	struct view view = packet_view(&frame);

	(void)state;
	options_strip(&view, UINT16_MAX);
	assert_memory_equal(frame.data + OFFSET(false), "\x01\x01\x03\x09\x04\x02", 6);
	assert_true(packet_good(&frame));
	free(frame.data);
}

static void write_round_trip(void **state)
{
	static const uint16_t bits[] = {
		OPTION_MSS, OPTION_SACK_OK, OPTION_TIMESTAMPS, OPTION_WSCALE};
	static const unsigned bytes[] = {4, 2, 10, 3};

	(void)state;
	for (unsigned set = 0; set < 16; set++) {
		struct options in = {.mss = 1220, .wscale = 0, .tsval = 0xfffffffe, .tsecr = 77};
		struct options out;
		uint8_t wire[OPTIONS_BYTES_MAX];
		unsigned len, expected = 0;

		for (unsigned i = 0; i < 4; i++) {
			in.bits |= set >> i & 1 ? bits[i] : 0;
			expected += set >> i & 1 ? bytes[i] : 0;
		}
		len = options_write(wire, &in);
		assert_int_equal(len, (expected + 3) / 4 * 4);
		assert_int_equal(options_parse_range(&out, wire, 0, (uint16_t)len), 0);
		assert_int_equal(out.bits, in.bits);
		assert_int_equal(out.mss, in.bits & OPTION_MSS ? 1220 : 0);
		assert_int_equal(out.wscale, in.bits & OPTION_WSCALE ? 0 : OPTIONS_WSCALE_NONE);
		assert_int_equal(out.tsval, in.bits & OPTION_TIMESTAMPS ? 0xfffffffe : 0);
		assert_int_equal(out.tsecr, in.bits & OPTION_TIMESTAMPS ? 77 : 0);
	}
}

static void write_exact_bytes(void **state)
{
	static const uint8_t expected[] = {
		2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 3, 14, 1};
	struct options options = {
		.bits = 0xffff, .mss = 1460, .wscale = 14, .tsval = 1, .tsecr = 2, .sack_count = 3};
	uint8_t wire[OPTIONS_BYTES_MAX];

	(void)state;
	// Whatever else the bits say is not reflected.
	assert_int_equal(options_write(wire, &options), sizeof(expected));
	assert_memory_equal(wire, expected, sizeof(expected));
	options = (struct options){.bits = OPTION_WSCALE, .wscale = OPTIONS_WSCALE_NONE};
	assert_int_equal(options_write(wire, &options), 0);
}

// The usual layouts are read without a walk: whatever bytes stand there, the walk says the same.
static void short_cuts_are_walks(void **state)
{
	static const uint8_t usual[][20] = {
		{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7},
		{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
	};

	(void)state;
	for (unsigned layout = 0; layout < 2; layout++)
		for (unsigned i = 0; i < 20 * 256; i++) {
			struct options options, walked;
			uint16_t len = layout == 0 ? 20 : 12;
			uint8_t bytes[20];
			int err;

			memcpy(bytes, usual[layout], sizeof(bytes));
			bytes[i / 256] = (uint8_t)i;
			err = options_parse_range(&options, bytes, 0, len);
			assert_int_equal(err, options_walk_range(&walked, bytes, 0, len));
			assert_memory_equal(&options, &walked, sizeof(options));
			err = options_parse_range(&options, bytes, 0, len - 1);
			assert_int_equal(err, options_walk_range(&walked, bytes, 0, len - 1));
			assert_memory_equal(&options, &walked, sizeof(options));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_cuts_are_walks),
		cmocka_unit_test(t2_1_none),
		cmocka_unit_test(t2_1_usual_syn),
		cmocka_unit_test(t2_1_eol_ends),
		cmocka_unit_test(t2_1_unaligned),
		cmocka_unit_test(t2_1_first_of_duplicates_wins),
		cmocka_unit_test(t2_1_bad_lengths),
		cmocka_unit_test(t2_1_wrong_lengths),
		cmocka_unit_test(t2_1_truncated),
		cmocka_unit_test(t2_2_mss_zero_is_absent),
		cmocka_unit_test(t2_3_wscale),
		cmocka_unit_test(t2_6_sack_blocks),
		cmocka_unit_test(t2_9_fast_open),
		cmocka_unit_test(t2_10_to_12_other_kinds),
		cmocka_unit_test(strip),
		cmocka_unit_test(strip_stops_where_the_parser_does),
		cmocka_unit_test(write_round_trip),
		cmocka_unit_test(write_exact_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
