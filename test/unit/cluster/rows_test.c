// The row table: made from a policy, declared in messages, read by a peer with services of its own.
#include "update_fixture.h"

#include "base/check.h"

static struct rows rows, peer;

static void assert_row(const struct row *row, const char *prefix, uint16_t first, uint16_t last)
{
	struct prefix expected = fixture_prefix(prefix);

	assert_true(row->valid);
	assert_memory_equal(&row->prefix.addr, &expected.addr, sizeof(expected.addr));
	assert_int_equal(row->prefix.bits, expected.bits);
	assert_int_equal(row->prefix.family, expected.family);
	assert_int_equal(row->port_first, first);
	assert_int_equal(row->port_last, last);
}

static void a_zeroed_table_knows_nothing(void **state)
{
	static const struct rows zero;
	struct addr server = fixture_addr("198.51.100.10");

	(void)state;
	assert_int_equal(rows_find(&zero, 0, &server, 80), ROW_NONE);
	assert_int_equal(rows_service(&zero, 0), SERVICE_NONE);
}

static void services_become_rows(void **state)
{
	struct policy policy;

	(void)state;
	fixture_policy(&policy, 6);
	policy.services[0].to[0] = fixture_prefix("198.51.100.0/24");
	policy.services[0].to[1] = fixture_prefix("2001:db8:2::/64");
	policy.services[0].to_count = 2;
	policy.services[0].ports[0].low = policy.services[0].ports[0].high = 443;
	policy.services[1].protocol = RULE_UDP;
	policy.services[2].mode = MODE_BYPASS;
	policy.services[3].from = RULE_FROM_INSIDE; // to any
	policy.services[3].mode = MODE_TRACK;
	policy.services[4].protocol = RULE_ANY;
	policy.services[4].from = RULE_FROM_ANY;
	policy.services[4].to[0] = fixture_prefix("203.0.113.7");
	policy.services[5].protocol = RULE_ICMP;
	rows_build(&rows, &policy, 200);
	assert_int_equal(rows.generation, 200);
	// One of each service first, then the others.
	assert_row(&rows.row[0], "198.51.100.0/24", 443, 443);
	assert_row(&rows.row[1], "0.0.0.0/0", 0, 65535);
	assert_row(&rows.row[2], "203.0.113.7", 0, 65535);
	assert_row(&rows.row[3], "2001:db8:2::/64", 443, 443);
	assert_row(&rows.row[4], "::/0", 0, 65535);
	for (unsigned i = 5; i < ROWS_MAX; i++)
		assert_false(rows.row[i].valid);
	assert_int_equal(rows.row[1].mode, MODE_TRACK);
	assert_true(rows.row[1].client_inside && rows.row[4].client_inside);
	assert_false(rows.row[0].client_inside || rows.row[2].client_inside);
	assert_int_equal(rows.row[4].service, 3);
	assert_int_equal(rows.row[4].declared, 3);
	assert_string_equal(rows.row[4].name, "service-3");
	assert_int_equal(rows_service(&rows, 3), 3);
	assert_int_equal(rows_service(&rows, 1), SERVICE_NONE);
	assert_int_equal(rows_service(&rows, SERVICE_NONE), SERVICE_NONE);
	policy_finish(&policy);
}

static void found_by_service_address_and_port(void **state)
{
	struct addr in = fixture_addr("198.51.100.255"), out = fixture_addr("198.51.101.0");
	struct addr in6 = fixture_addr("2001:db8:2::1");
	struct policy policy;

	(void)state;
	fixture_web(&policy);
	policy.services[2].to[0] = fixture_prefix("198.51.0.0/16");
	policy.services[2].to[1] = fixture_prefix("198.51.100.0/24");
	policy.services[2].to_count = 2;
	rows_build(&rows, &policy, 1);
	assert_int_equal(rows_find(&rows, 0, &in, 1), 0);
	assert_int_equal(rows_find(&rows, 0, &in, 65535), 0);
	assert_int_equal(rows_find(&rows, 0, &in, 0), ROW_NONE);
	assert_int_equal(rows_find(&rows, 0, &out, 80), ROW_NONE);
	assert_int_equal(rows_find(&rows, 0, &in6, 80), ROW_NONE);
	assert_int_equal(rows_find(&rows, 1, &in6, 80), 1);
	assert_int_equal(rows_find(&rows, 2, &in, 80), 2); // the first of two
	assert_int_equal(rows_find(&rows, 2, &out, 80), 2);
	assert_int_equal(rows_find(&rows, 3, &in, 80), ROW_NONE);
	assert_int_equal(rows_find(&rows, SERVICE_NONE, &in, 80), ROW_NONE);
	policy_finish(&policy);
}

// 200 services of 4 rows: the names of all, and rows for 55 / 3 more.
static void a_full_table_has_every_name(void **state)
{
	struct addr server = fixture_addr("203.0.113.7");
	struct policy policy;

	(void)state;
	fixture_policy(&policy, 200);
	for (unsigned i = 0; i < 200; i++)
		policy.services[i].to_count = 2;
	rows_build(&rows, &policy, 1);
	for (uint16_t i = 0; i < 200; i++) {
		assert_int_equal(rows_find(&rows, i, &server, 80), i);
		assert_int_equal(rows_service(&rows, i), i);
	}
	assert_true(rows.row[ROWS_MAX - 1].valid);
	policy_finish(&policy);
}

// All ROWS messages of a table, each in `room` bytes, into `peer`.
static unsigned declare(const struct policy *policy, size_t room)
{
	uint8_t wire[WIRE_BYTES_MAX];
	unsigned next = 0, messages = 0;

	for (;; messages++) {
		struct cursor out = cursor_write(wire, room), in;
		struct message message;
		const uint8_t *body;
		size_t len;

		if (!update_put_rows(&out, &rows, &next)) {
			assert_ptr_equal(out.at, wire);
			return messages;
		}
		in = cursor_read(wire, (size_t)(out.at - wire));
		assert_int_equal(update_peek(&in).type, UPDATE_ROWS);
		assert_false(update_peek(&in).early);
		assert_true(update_get(
			&in, &(struct update_codec){.rows = &peer}, &message, &body, &len));
		assert_int_equal(message.type, 0);
		assert_int_equal(cursor_left(&in), 0);
		assert_true(update_get_rows(&peer, policy, body, len));
	}
}

static void assert_declared(void)
{
	for (unsigned i = 0; i < ROWS_MAX; i++) {
		assert_int_equal(peer.row[i].valid, rows.row[i].valid);
		if (!rows.row[i].valid)
			continue;
		assert_memory_equal(
			&peer.row[i].prefix, &rows.row[i].prefix, sizeof(rows.row[i].prefix));
		assert_int_equal(peer.row[i].mode, rows.row[i].mode);
		assert_int_equal(peer.row[i].client_inside, rows.row[i].client_inside);
		assert_int_equal(peer.row[i].declared, rows.row[i].declared);
		assert_int_equal(peer.row[i].port_first, rows.row[i].port_first);
		assert_int_equal(peer.row[i].port_last, rows.row[i].port_last);
		assert_string_equal(peer.row[i].name, rows.row[i].name);
	}
}

static void a_table_travels_in_any_pieces(void **state)
{
	static const size_t rooms[] = {45, 100, DATAGRAM_BODY_BYTES, WIRE_BYTES_MAX};
	struct policy policy;

	(void)state;
	fixture_policy(&policy, 100);
	for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
		unsigned messages;

		rows_build(&rows, &policy, (uint8_t)(i + 1));
		messages = declare(&policy, rooms[i]);
		assert_true(messages >= 200 * 20 / rooms[i] && messages <= 200);
		assert_int_equal(peer.generation, i + 1);
		assert_declared();
	}
	assert_int_equal(declare(&policy, 20), 0); // not one fits
	policy_finish(&policy);
}

static void an_empty_table_is_declared(void **state)
{
	struct policy policy, none;

	(void)state;
	policy_init(&none);
	fixture_policy(&policy, 2);
	rows_build(&rows, &policy, 1);
	assert_int_equal(declare(&policy, WIRE_BYTES_MAX), 1);
	assert_true(peer.row[0].valid);
	rows_build(&rows, &none, 2);
	assert_int_equal(declare(&policy, WIRE_BYTES_MAX), 1);
	assert_int_equal(peer.generation, 2);
	assert_declared();
	assert_int_equal(rows_service(&peer, 0), SERVICE_NONE);
	policy_finish(&policy);
}

// A peer's table is read in terms of the own services, by name, and follows a new policy.
static void names_map_to_own_services(void **state)
{
	struct policy policy, other;
	struct addr server = fixture_addr("203.0.113.7");

	(void)state;
	fixture_policy(&policy, 3);
	fixture_policy(&other, 2);
	memcpy(other.services[0].name, "service-2", sizeof("service-2"));
	memcpy(other.services[1].name, "service-1", sizeof("service-1"));
	rows_build(&rows, &policy, 9);
	declare(&other, WIRE_BYTES_MAX);
	assert_int_equal(rows_service(&peer, 0), SERVICE_NONE);
	assert_int_equal(rows_service(&peer, 1), 1);
	assert_int_equal(rows_service(&peer, 2), 0);
	assert_int_equal(peer.row[0].service, SERVICE_NONE);
	assert_int_equal(peer.row[2].service, 0);
	assert_int_equal(rows_find(&peer, 0, &server, 80), 2);
	rows_adopt(&peer, &policy);
	assert_int_equal(rows_service(&peer, 0), 0);
	assert_int_equal(rows_service(&peer, 2), 2);
	assert_int_equal(rows_find(&peer, 0, &server, 80), 0);
	policy_finish(&policy);
	policy_finish(&other);
}

static void assert_refused(const struct policy *policy, const uint8_t *body, size_t len)
{
	static struct rows before;

	before = peer;
	assert_false(update_get_rows(&peer, policy, body, len));
	assert_memory_equal(&peer, &before, sizeof(peer));
}

// One row as a peer may send it, byte by byte: each lie is refused and changes nothing.
static void lies_are_refused(void **state)
{
	static const uint8_t good[] = {
		7, 1, 4, 0, 2, 0, 0, 24, 198, 51, 100, 0, 0, 80, 0, 90, 3, 'w', 'e', 'b'};
	static const struct {
		unsigned at;
		uint8_t value;
	} lies[] = {
		{0, 0},		   // generation
		{1, 2},		   // more rows than there are
		{1, 0},		   // bytes behind the last
		{2, 255},	   // row
		{3, 1},		   // service 258
		{5, 4},		   // mode
		{6, 4},		   // flag
		{6, 1},		   // IPv6: too short
		{7, 33},	   // prefix length
		{7, 129},	   // of any family
		{7, 255}, {11, 1}, // bits behind the prefix
		{12, 1},	   // first port 336
		{15, 79},	   // last port
		{16, 0},	   // no name
		{16, 2},	   // a byte behind the name
		{16, 4},	   // a name longer than the message
		{18, 0},	   // a zero in the name
	};
	struct policy policy;

	(void)state;
	fixture_policy(&policy, 1);
	rows_clear(&peer, 6);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		uint8_t body[sizeof(good)];

		memcpy(body, good, sizeof(good));
		body[lies[i].at] = lies[i].value;
		assert_refused(&policy, body, sizeof(body));
	}
	for (size_t len = 0; len < sizeof(good); len++)
		assert_refused(&policy, good, len);
	assert_true(update_get_rows(&peer, &policy, good, sizeof(good)));
	assert_row(&peer.row[4], "198.51.100.0/24", 80, 90);
	assert_int_equal(peer.row[4].service, SERVICE_NONE);
	policy_finish(&policy);
}

// A second row that lies takes the first with it; a name of 64 bytes and an IPv4 prefix in the
// dress of IPv6 are lies.
static void lies_of_other_shapes(void **state)
{
	uint8_t body[2 + 2 * 29 + 64] = {
		1, 1, 0, 0, 0, 0, 1, 128, [18] = 0xff, 0xff, 192, 0, 2, 1, 0, 0, 0, 9, 1, 'w'};
	struct policy policy;

	(void)state;
	fixture_policy(&policy, 1);
	rows_clear(&peer, 1);
	assert_refused(&policy, body, 30);
	body[8] = 0x20;
	assert_true(update_get_rows(&peer, &policy, body, 30));
	rows_clear(&peer, 1);
	body[1] = 2;
	memcpy(body + 30, body + 2, 28);
	assert_true(update_get_rows(&peer, &policy, body, 58));
	body[30] = 255;
	assert_refused(&policy, body, 58);
	body[1] = 1;
	memset(body + 29, 'w', 64);
	body[28] = 63;
	assert_true(update_get_rows(&peer, &policy, body, 29 + 63));
	body[28] = 64;
	assert_refused(&policy, body, 29 + 64);
	policy_finish(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zeroed_table_knows_nothing),
		cmocka_unit_test(services_become_rows),
		cmocka_unit_test(found_by_service_address_and_port),
		cmocka_unit_test(a_full_table_has_every_name),
		cmocka_unit_test(a_table_travels_in_any_pieces),
		cmocka_unit_test(an_empty_table_is_declared),
		cmocka_unit_test(names_map_to_own_services),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(lies_of_other_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
