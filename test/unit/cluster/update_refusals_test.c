// A record's bytes are a peer's: every lie in them is refused. Messages are written here byte by
// byte, as WIRE.md has them.
#include "update_fixture.h"

#include "base/check.h"

static struct rows rows;

// Row 0: 198.51.100.0/24 ports 1-65535; row 1: 2001:db8:2::/64; row 2: 203.0.113.128/25, 80-89.
static int set_up(void **state)
{
	struct policy policy;

	(void)state;
	fixture_web(&policy);
	policy.services[2].to[0] = fixture_prefix("203.0.113.128/25");
	policy.services[2].ports[0].low = 80;
	policy.services[2].ports[0].high = 89;
	rows_build(&rows, &policy, 1);
	policy_finish(&policy);
	return 0;
}

static bool reads(const uint8_t *wire, size_t len)
{
	static struct message message;
	struct update_codec codec = fixture_codec(&rows);
	struct cursor in = cursor_read(wire, len);
	const uint8_t *body;
	size_t body_len;

	return update_get(&in, &codec, &message, &body, &body_len) && cursor_left(&in) == 0;
}

struct lie {
	unsigned at;
	uint8_t value;
};

// The message is read as it is, and refused with each of the lies in it, and with its end cut off.
static void assert_refused(
	const uint8_t *good, size_t len, const struct lie *lies, size_t lie_count)
{
	uint8_t bad[256];

	assert_true(len <= sizeof(bad));
	assert_true(reads(good, len));
	for (size_t i = 0; i < lie_count; i++) {
		memcpy(bad, good, len);
		bad[lies[i].at] = lies[i].value;
		assert_false(reads(bad, len));
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_false(reads(good, cut));
}

static void compact_creates(void **state)
{
	static const uint8_t good[] = {
		0x40, 2, 192, 0, 2, 10, 0x9c, 0x40, 0x87, 9, 1, 2, 3, 4, 0, 5, 0x7f, 0x8a, 0xbc};
	static const struct lie lies[] = {
		{0, 0x60},	     // client inside: the row says that
		{0, 0x48},	     // full: other fields
		{1, 3},		     // a row that is not in the table
		{1, 254}, {1, 255},  // and that cannot be
		{8, 0x07},	     // 203.0.113.7 is not in the row's prefix
		{9, 10},	     // port 90 is not in its range
		{9, 255}, {0, 0x41}, // a timestamp offset that is missing
		{0, 0x44},	     // fields
		{0, 0x50},	     // a frame
	};

	(void)state;
	assert_refused(good, sizeof(good), lies, ARRAY_LEN(lies));
}

static void compact_ip6_creates(void **state)
{
	static const uint8_t good[] = {0x40, 1, [2] = 0x20, 1, [12] = 0xff, 0xff, 192, 0, 2, 1, 1,
		2, [27] = 1, 0, 79, 1, 2, 3, 4, 0, 5, 0x7f, 0x8a, 0xbc};
	static const struct lie lies[] = {{1, 0}, {1, 2}}; // IPv4 rows
	uint8_t mapped[sizeof(good)];

	(void)state;
	assert_refused(good, sizeof(good), lies, ARRAY_LEN(lies));
	memcpy(mapped, good, sizeof(good)); // ::ffff:192.0.2.1
	mapped[2] = mapped[3] = 0;
	assert_false(reads(mapped, sizeof(mapped)));
}

static void full_creates(void **state)
{
	static const uint8_t good[] = {0x48, 6, 192, 0, 2, 10, 198, 51, 100, 10, 0x9c, 0x40, 0, 80,
		0, 0, 1, 1, 2, 3, 4, 0, 0, 0, 5, 0x7f, 0x8a, 0xbc};
	static const struct lie lies[] = {
		{1, 17},   // UDP, of mode proxy
		{1, 0},	   // a protocol below 128 in the next byte
		{1, 0x86}, // IPv6: too short
		{14, 4},   // mode
		{15, 1},   // service 257
		{15, 255}, // service 0xff01
	};

	(void)state;
	assert_refused(good, sizeof(good), lies, ARRAY_LEN(lies));
}

static void full_ip6_creates(void **state)
{
	uint8_t good[] = {
		0x68, 0x86, [2] = 0x20, [18] = 0x20, [34] = 1, 2, 3, 4, 0, 0xff, 0xff, [51] = 0};

	(void)state;
	assert_refused(good, sizeof(good), NULL, 0);
	good[2] = 0;
	good[12] = good[13] = 0xff;
	assert_false(reads(good, sizeof(good)));
	good[2] = 0x20;
	assert_true(reads(good, sizeof(good)));
	good[18] = 0;
	good[28] = good[29] = 0xff;
	assert_false(reads(good, sizeof(good)));
	good[2] = 0; // both: one spelling of IPv4 is enough
	assert_false(reads(good, sizeof(good)));
}

static void window_shifts(void **state)
{
	static const uint8_t good[] = {0x42, 2, 192, 0, 2, 10, 0x9c, 0x40, 0x87, 9, 1, 2, 3, 4, 0,
		5, 0xff, 0x8a, 0xbc, 0xee, 0xee};
	static const struct lie lies[] = {{19, 0xfe}, {19, 0xef}, {20, 0xf0}, {20, 0x0f}};

	(void)state;
	assert_refused(good, sizeof(good), lies, ARRAY_LEN(lies));
}

// Each field, an unknown one, and lies in one of them.
static void fields(void **state)
{
	static const uint8_t good[] = {0x44, 2, 192, 0, 2, 10, 0x9c, 0x40, 0x87, 9, 1, 2, 3, 4, 0,
		5, 0x7f, 0x8a, 0xbc, 27, // fields from here
		1, 2, 0, 2,		 // generation
		2, 1, 6,		 // strip bits
		5, 2, 0, 63,		 // owner
		6, 1, 5,		 // state
		7, 1, 0,		 // flow bits
		9, 4, 1, 2, 3, 4,	 // e
		99, 2, 0, 0};		 // unknown
	static const struct lie lies[] = {
		{19, 26},
		{19, 28}, // total
		{21, 1},
		{21, 3},
		{21, 255}, // lengths
		{26, 1},
		{26, 8},
		{26, 0x80}, // strip bits that are none
		{29, 1},
		{30, 64}, // owner
		{33, 6},  // state
		{36, 1},
		{36, 0x42}, // flow bits that do not travel
		{38, 3},
		{44, 1},
		{44, 3},
	};

	(void)state;
	assert_refused(good, sizeof(good), lies, ARRAY_LEN(lies));
}

static void fields_of_wrong_lengths(void **state)
{
	static const uint8_t lengths[] = {0, 2, 1, 4, 4, 2, 1, 1, 4, 4}; // of type 1 ...
	uint8_t wire[] = {0x44, 2, 192, 0, 2, 10, 0x9c, 0x40, 0x87, 9, 1, 2, 3, 4, 0, 5, 0x7f, 0x8a,
		0xbc, [29] = 0};

	(void)state;
	for (uint8_t type = 1; type < ARRAY_LEN(lengths); type++)
		for (uint8_t len = 0; len <= 8; len++) {
			wire[19] = 2 + len;
			wire[20] = type;
			wire[21] = len;
			assert_int_equal(reads(wire, 22u + len), len == lengths[type]);
		}
}

static void frames_of_creates(void **state)
{
	static uint8_t wire[19 + 2 + MESSAGE_FRAME_MAX + 1] = {0x50, 2, 192, 0, 2, 10, 0x9c, 0x40,
		0x87, 9, 1, 2, 3, 4, 0, 5, 0x7f, 0x8a, 0xbc, 0, 3, 1, 2, 3};
	static const struct lie lies[] = {{19, 1}, {20, 4}, {20, 0}, {20, 2}};

	(void)state;
	assert_refused(wire, 24, lies, ARRAY_LEN(lies));
	wire[19] = MESSAGE_FRAME_MAX >> 8;
	wire[20] = 0;
	assert_true(reads(wire, 21 + MESSAGE_FRAME_MAX));
	wire[20] = 1;
	assert_false(reads(wire, 21 + MESSAGE_FRAME_MAX + 1));
}

static void changes(void **state)
{
	static const uint8_t good[] = {0xf0, 1, 2, 3, 4, 5, 6};
	static const struct lie lies[] = {{0, 0x81}, {0, 0xf8}, {0, 0xc2}};

	(void)state;
	assert_refused(good, sizeof(good), lies, ARRAY_LEN(lies));
}

static void named_flows(void **state)
{
	static const uint8_t confirmed[] = {1, 0, 8, 1, 2, 3, 4, 5, 6, 0, 9};
	static const uint8_t none[] = {3, 0, 6, 1, 2, 3, 4, 5, 6};
	static const struct lie confirmed_lies[] = {{2, 7}, {2, 9}, {1, 1}, {0, 3}, {0, 0x80}};
	static const struct lie none_lies[] = {{2, 5}, {2, 7}, {2, 0}, {0, 1}, {0, 2}};

	(void)state;
	assert_refused(confirmed, sizeof(confirmed), confirmed_lies, ARRAY_LEN(confirmed_lies));
	assert_refused(none, sizeof(none), none_lies, ARRAY_LEN(none_lies));
}

static void frames(void **state)
{
	static uint8_t wire[12 + MESSAGE_FRAME_MAX + 1] = {
		2, 0, 10, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0xaa};
	static const struct lie lies[] = {{2, 9}, {2, 11}, {3, 2}, {3, 255}};

	(void)state;
	assert_refused(wire, 13, lies, ARRAY_LEN(lies));
	wire[2] = 9; // no frame
	assert_false(reads(wire, 12));
	wire[1] = (9 + MESSAGE_FRAME_MAX) >> 8;
	wire[2] = (9 + MESSAGE_FRAME_MAX) & 0xff;
	assert_true(reads(wire, 12 + MESSAGE_FRAME_MAX));
	wire[2]++;
	assert_false(reads(wire, 12 + MESSAGE_FRAME_MAX + 1));
}

// What this layer does not know is handed on with its body, or skipped.
static void others_are_handed_on(void **state)
{
	static const uint8_t wire[] = {0x14, 0, 0, 0x3f, 0, 2, 7, 8};
	struct update_codec codec = fixture_codec(&rows);
	struct cursor in = cursor_read(wire, sizeof(wire));
	struct message message;
	const uint8_t *body;
	size_t len;

	(void)state;
	assert_true(update_get(&in, &codec, &message, &body, &len));
	assert_int_equal(message.type, 0);
	assert_int_equal(len, 0);
	assert_true(update_get(&in, &codec, &message, &body, &len));
	assert_int_equal(message.type, 0);
	assert_int_equal(len, 2);
	assert_memory_equal(body, "\x07\x08", 2);
	assert_false(update_get(&in, &codec, &message, &body, &len));
	in = cursor_read(wire, sizeof(wire) - 1);
	assert_true(update_get(&in, &codec, &message, &body, &len));
	assert_false(update_get(&in, &codec, &message, &body, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compact_creates),
		cmocka_unit_test(compact_ip6_creates),
		cmocka_unit_test(full_creates),
		cmocka_unit_test(full_ip6_creates),
		cmocka_unit_test(window_shifts),
		cmocka_unit_test(fields),
		cmocka_unit_test(fields_of_wrong_lengths),
		cmocka_unit_test(frames_of_creates),
		cmocka_unit_test(changes),
		cmocka_unit_test(named_flows),
		cmocka_unit_test(frames),
		cmocka_unit_test(others_are_handed_on),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
