// Addresses and prefixes: text forms, masks, and that the two families never meet.
#include "base/addr.h"
#include "base/check.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct addr parsed(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return addr;
}

static struct prefix parsed_prefix(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(&prefix, text), 0);
	return prefix;
}

static bool contains(const char *prefix_text, const char *addr_text)
{
	struct prefix prefix = parsed_prefix(prefix_text);
	struct addr addr = parsed(addr_text);

	return prefix_contains(&prefix, &addr);
}

static void forms(void **state)
{
	static const uint8_t ip4[4] = {192, 0, 2, 1};
	struct addr addr = addr_from_ip4(ip4), other = parsed("192.0.2.1");
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};

	(void)state;
	assert_memory_equal(addr.b, mapped, 16);
	assert_true(addr_equal(&addr, &other));
	assert_true(addr_is_ip4(&addr));
	other = parsed("192.0.2.2");
	assert_false(addr_equal(&addr, &other));
	other = parsed("2001:db8::1");
	assert_false(addr_is_ip4(&other));
	addr = addr_from_ip6(other.b);
	assert_true(addr_equal(&addr, &other));
}

static void parse_refuses(void **state)
{
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "256.0.0.1", " 1.2.3.4",
		"1.2.3.4 ", "2001:db8::1::2", "fe80::1%eth0", "::ffff:192.0.2.1", "any",
		"1.2.3.4/8"};
	struct addr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(addr_parse(&addr, bad[i]), -ERR_MALFORMED);
}

static void mask_all_bits(void **state)
{
	struct addr ones;

	(void)state;
	memset(ones.b, 0xff, sizeof(ones.b));
	for (unsigned bits = 0; bits <= 128; bits++) {
		struct addr masked = addr_mask(&ones, bits);

		for (unsigned bit = 0; bit < 128; bit++)
			assert_int_equal(masked.b[bit / 8] >> (7 - bit % 8) & 1, bit < bits);
	}
}

static void prefix_round_trip(void **state)
{
	static const struct {
		const char *in, *out;
		uint8_t bits, family;
	} rows[] = {
		{"any", "any", 0, 0},
		{"0.0.0.0/0", "0.0.0.0/0", 96, 4},
		{"192.0.2.0/24", "192.0.2.0/24", 120, 4},
		{"192.0.2.1", "192.0.2.1/32", 128, 4},
		{"192.0.2.128/25", "192.0.2.128/25", 121, 4},
		{"::/0", "::/0", 0, 6},
		{"2001:db8::/32", "2001:db8::/32", 32, 6},
		{"2001:DB8:0:0::7", "2001:db8::7/128", 128, 6},
	};
	char text[ADDR_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix prefix = parsed_prefix(rows[i].in);

		assert_int_equal(prefix.bits, rows[i].bits);
		assert_int_equal(prefix.family, rows[i].family);
		assert_string_equal(prefix_format(&prefix, text), rows[i].out);
	}
}

static void prefix_refuses(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{"", ERR_MALFORMED},
		{"192.0.2.0/", ERR_MALFORMED},
		{"/24", ERR_MALFORMED},
		{"192.0.2.0/+24", ERR_MALFORMED},
		{"192.0.2.0/-1", ERR_MALFORMED},
		{"192.0.2.0/24 ", ERR_MALFORMED},
		{"192.0.2.0/24/8", ERR_MALFORMED},
		{"192.0.2.0/0000024", ERR_MALFORMED},
		{"2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8",
			ERR_MALFORMED},
		{"anything", ERR_MALFORMED},
		{"192.0.2.0/33", ERR_RANGE},
		{"2001:db8::/129", ERR_RANGE},
		{"192.0.2.1/24", ERR_EXISTS},
		{"2001:db8::1/64", ERR_EXISTS},
		{"::1/0", ERR_EXISTS},
	};
	struct prefix prefix;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(prefix_parse(&prefix, rows[i].text), -rows[i].err);
}

static void prefix_families(void **state)
{
	(void)state;
	assert_true(contains("any", "192.0.2.1"));
	assert_true(contains("any", "2001:db8::1"));
	assert_true(contains("0.0.0.0/0", "192.0.2.1"));
	assert_false(contains("0.0.0.0/0", "2001:db8::1"));
	assert_false(contains("0.0.0.0/0", "::1"));
	assert_true(contains("::/0", "2001:db8::1"));
	assert_false(contains("::/0", "192.0.2.1"));
}

static void prefix_edges(void **state)
{
	(void)state;
	assert_true(contains("192.0.2.0/24", "192.0.2.255"));
	assert_false(contains("192.0.2.0/24", "192.0.3.0"));
	assert_false(contains("192.0.2.0/24", "192.0.1.255"));
	assert_true(contains("192.0.2.7", "192.0.2.7"));
	assert_false(contains("192.0.2.7", "192.0.2.6"));
	assert_true(contains("2001:db8::/63", "2001:db8:0:1:ffff::"));
	assert_false(contains("2001:db8::/63", "2001:db8:0:2::"));
	assert_true(contains("2001:db8::/65", "2001:db8::7fff:0:0:1"));
	assert_false(contains("2001:db8::/65", "2001:db8:0:0:8000::"));
}

// What shares the bits that decide is in the prefix or not, as the address is; one bit fewer would
// not do.
static void prefix_bits_that_decide(void **state)
{
	static const char *const prefixes[] = {
		"198.51.100.0/24", "198.51.100.10", "0.0.0.0/0", "2001:db8::/32", "any", "::/0"};
	static const struct {
		const char *addr;
		unsigned bits[ARRAY_LEN(prefixes)];
	} rows[] = {
		{"198.51.100.10", {96 + 24, 128, 96, 0, 0, 0}},
		{"198.51.100.11", {96 + 24, 128, 96, 0, 0, 0}},
		{"198.51.100.138", {96 + 24, 96 + 25, 96, 0, 0, 0}},
		{"198.51.101.10", {96 + 24, 96 + 24, 96, 0, 0, 0}},
		{"10.0.0.1", {96 + 1, 96 + 1, 96, 0, 0, 0}},
		{"2001:db8::1", {0, 0, 0, 32, 0, 0}},
		{"2001:db9::1", {0, 0, 0, 32, 0, 0}},
		{"3001:db8::1", {0, 0, 0, 4, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t j = 0; j < ARRAY_LEN(prefixes); j++) {
			struct addr addr = parsed(rows[i].addr);
			struct prefix prefix;

			assert_int_equal(prefix_parse(&prefix, prefixes[j]), 0);
			assert_int_equal(prefix_deciding_bits(&prefix, &addr), rows[i].bits[j]);
		}
}

static void format(void **state)
{
	static const char *const texts[] = {"192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "::1",
		"2001:db8::1", "1111:2222:3333:4444:5555:6666:7777:8888"};
	char out[ADDR_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct addr addr = parsed(texts[i]);

		assert_ptr_equal(addr_format(&addr, out), out);
		assert_string_equal(out, texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(mask_all_bits),
		cmocka_unit_test(prefix_round_trip),
		cmocka_unit_test(prefix_refuses),
		cmocka_unit_test(prefix_families),
		cmocka_unit_test(prefix_edges),
		cmocka_unit_test(prefix_bits_that_decide),
		cmocka_unit_test(format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
