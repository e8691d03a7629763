// Proves: TCP.md 7.2: what every node must have of a flow travels whole, in as few bytes as was
// promised. The engine's numbers, both ways.
#include "update_fixture.h"

#include "base/check.h"

static struct rows rows;
static struct policy policy;
static struct message message, back;

static int set_up(void **state)
{
	(void)state;
	fixture_web(&policy);
	rows_build(&rows, &policy, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	policy_finish(&policy);
	return 0;
}

// Sends `message`, asserts that all of it arrived in `back`, returns its bytes on the wire. One
// byte less room, and nothing is written; one byte less of it, and nothing is read.
static size_t travel(const struct update_codec *codec)
{
	uint8_t wire[WIRE_BYTES_MAX];
	struct cursor out = cursor_write(wire, sizeof(wire)), in;
	const uint8_t *body;
	size_t len, body_len;

	assert_true(update_put(&out, codec, &message));
	len = (size_t)(out.at - wire);
	memset(&back, 0xa5, sizeof(back));
	in = cursor_read(wire, len);
	assert_true(update_get(&in, codec, &back, &body, &body_len));
	assert_int_equal(cursor_left(&in), 0);
	assert_null(body);
	fixture_assert_arrived(codec, &message, &back);
	assert_int_equal(back.node, codec->sender);
	assert_int_equal(back.worker | back.why | back.flow_count, 0);

	out = cursor_write(wire, len - 1);
	assert_false(update_put(&out, codec, &message));
	assert_ptr_equal(out.at, wire);
	assert_false(out.failed);
	for (size_t cut = 0; cut < len; cut++) {
		in = cursor_read(wire, cut);
		assert_false(update_get(&in, codec, &back, &body, &body_len));
	}
	return len;
}

// Bytes on Ethernet, per message, times 1000, where full datagrams of 1472 bytes carry messages of
// `len` bytes.
static unsigned amortised_milli(size_t len)
{
	return (unsigned)(1000 * DATAGRAM_FRAME_BYTES / (DATAGRAM_BODY_BYTES / len));
}

static void a_create_takes_20_bytes(void **state)
{
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	fixture_opened(&message, 4);
	assert_int_equal(travel(&codec), 20);
	assert_true(amortised_milli(20) <= 22000);
	message.body.record.translation.bits = TRANSLATE_TIMESTAMPS;
	message.body.record.translation.ts_offset = 0x12345678;
	assert_int_equal(travel(&codec), 24);
	fixture_opened(&message, 6);
	assert_int_equal(travel(&codec), 39);
}

static void a_full_create_takes_28_bytes(void **state)
{
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		fixture_opened(&message, family);
		message.body.record.service = SERVICE_NONE;
		assert_int_equal(travel(&codec), family == 4 ? 28 : 52);
		message.body.record.translation.bits = TRANSLATE_TIMESTAMPS;
		message.body.record.translation.ts_offset = 0x12345678;
		assert_int_equal(travel(&codec), family == 4 ? 32 : 56);
	}
}

static void a_change_takes_7_bytes(void **state)
{
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	fixture_opened(&message, 4);
	message.type = MESSAGE_CHANGED;
	message.body.flow = (struct message_flow){
		.key = message.body.record.key, .incarnation = 0xabcdef01, .generation = 1};
	for (unsigned bits = 0; bits < 8; bits++) {
		message.body.flow.bits = (uint8_t)bits;
		assert_int_equal(travel(&codec), 7);
	}
	assert_true(amortised_milli(7) <= 8000);
}

static void named_flows(void **state)
{
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	fixture_opened(&message, 6);
	message.body.flow = (struct message_flow){
		.key = message.body.record.key, .incarnation = 0xabcdef01, .generation = 77};
	message.type = MESSAGE_CONFIRMED;
	assert_int_equal(travel(&codec), 11);
	message.type = MESSAGE_NONE;
	assert_int_equal(travel(&codec), 9);
	message.type = MESSAGE_FRAME;
	message.frame_side = SIDE_INSIDE;
	message.frame_len = MESSAGE_FRAME_MAX;
	memset(message.frame, 0x5a, MESSAGE_FRAME_MAX);
	assert_int_equal(travel(&codec), 12 + MESSAGE_FRAME_MAX);
	message.frame_side = SIDE_OUTSIDE;
	message.frame_len = 1;
	assert_int_equal(travel(&codec), 13);
}

// Each field that is not as usual costs its own bytes, and comes back.
static void unusual_fields(void **state)
{
	struct update_codec codec = fixture_codec(&rows);
	struct flow_record *record = &message.body.record;

	(void)state;
	fixture_opened(&message, 4);
	record->generation = 2;
	assert_int_equal(travel(&codec), 20 + 1 + 4);
	record->owner = 63;
	assert_int_equal(travel(&codec), 25 + 4);
	record->state = TCP_CLOSING;
	assert_int_equal(travel(&codec), 29 + 3);
	record->bits &= (uint8_t)~FLOW_CONFIRMED;
	assert_int_equal(travel(&codec), 32 + 3);
	record->translation.bits = TRANSLATE_SACK_STRIP | TRANSLATE_ECN_STRIP;
	assert_int_equal(travel(&codec), 35 + 3);
	record->translation.bits |= TRANSLATE_WINDOW;
	record->translation.to_client = (struct rescale){14, 7};
	record->translation.to_server = (struct rescale){1, 2};
	assert_int_equal(travel(&codec), 38 + 2);
	record->cookie = 0x01020304;
	record->isn_client = 0xfffefdfc;
	assert_int_equal(travel(&codec), 40);
	codec.whole = true;
	assert_int_equal(travel(&codec), 40 + 6 + 6);
	record->translation.e = 0x8000;
	assert_int_equal(travel(&codec), 52 + 6);
	record->incarnation = 7;
	assert_int_equal(travel(&codec), 58 + 6);
	message.frame_len = 60;
	assert_int_equal(travel(&codec), 64 + 2 + 60);
}

static void e_takes_two_bytes_up_to_its_edges(void **state)
{
	static const uint32_t within[] = {0, 1, 0x7fff, 0xffff8000, 0xffffffff};
	static const uint32_t beyond[] = {0x8000, 0xffff7fff, 0x80000000, 0x7fffffff, 0x10000};
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	fixture_opened(&message, 4);
	for (size_t i = 0; i < ARRAY_LEN(within); i++) {
		message.body.record.translation.e = within[i];
		assert_int_equal(travel(&codec), 20);
	}
	for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
		message.body.record.translation.e = beyond[i];
		assert_int_equal(travel(&codec), 27);
	}
}

// A tick of 15 before the record's is the oldest two bytes can say; ticks wrap, and so do their low
// 20 bits in an incarnation.
static void incarnations_of_the_last_ticks_take_two_bytes(void **state)
{
	static const uint32_t ticks[] = {
		0, 5, 15, 16, 1000, 0xfffff, 0x100000, 0xfffffff0, UINT32_MAX};
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	fixture_opened(&message, 4);
	for (size_t i = 0; i < ARRAY_LEN(ticks); i++) {
		codec.tick = ticks[i];
		for (uint32_t age = 0; age <= 40; age++) {
			message.body.record.incarnation = (ticks[i] - age) << 12 | 0xfff;
			assert_int_equal(travel(&codec), age <= 15 ? 20 : 27);
		}
		message.body.record.incarnation = (ticks[i] + 1) << 12;
		assert_int_equal(travel(&codec), 27);
	}
}

// A row of one port, of 256, of more; of prefixes that end at a byte or not.
static void rows_of_all_shapes(void **state)
{
	static const struct {
		const char *prefix, *server;
		uint16_t first, last;
		size_t len;
	} shapes[] = {
		{"198.51.100.0/24", "198.51.100.255", 80, 80, 18},
		{"198.51.100.0/24", "198.51.100.0", 80, 335, 19},
		{"198.51.100.0/24", "198.51.100.1", 80, 336, 20},
		{"198.51.100.1", "198.51.100.1", 80, 80, 17},
		{"198.51.100.128/25", "198.51.100.254", 80, 80, 18},
		{"198.51.0.0/17", "198.51.127.1", 80, 80, 19},
		{"any", "203.0.113.7", 0, 65535, 23},
		{"2001:db8:2::/47", "2001:db8:3::10", 0, 65535, 29 + 11 + 2},
		{"2001:db8:2::10", "2001:db8:2::10", 80, 80, 29},
		{"any", "2001:db8:2::10", 0, 65535, 29 + 16 + 2},
	};
	struct update_codec codec = fixture_codec(&rows);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct addr server = fixture_addr(shapes[i].server);
		struct policy one;

		fixture_policy(&one, 1);
		one.services[0].to[0] = fixture_prefix(shapes[i].prefix);
		one.services[0].ports[0].low = shapes[i].first;
		one.services[0].ports[0].high = shapes[i].last;
		rows_build(&rows, &one, 2);
		fixture_opened(&message, addr_is_ip4(&server) ? 4 : 6);
		message.body.record.service = 0;
		message.body.record.key.inner = server;
		message.body.record.key.inner_port = shapes[i].first;
		assert_int_equal(travel(&codec), shapes[i].len);
		message.body.record.key.inner_port = shapes[i].last;
		assert_int_equal(travel(&codec), shapes[i].len);
		policy_finish(&one);
	}
	rows_build(&rows, &policy, 1);
}

// What a row does not say exactly is said in full: another mode or side, a server outside.
static void what_no_row_covers_is_said_in_full(void **state)
{
	static const struct rows none;
	struct update_codec codec = fixture_codec(&rows);
	struct flow_record *record = &message.body.record;

	(void)state;
	fixture_opened(&message, 4);
	record->mode = MODE_TRACK;
	assert_int_equal(travel(&codec), 28);
	fixture_opened(&message, 4);
	record->key.inner_port = 0;
	assert_int_equal(travel(&codec), 28);
	fixture_opened(&message, 4);
	record->bits |= FLOW_CLIENT_INSIDE;
	assert_int_equal(travel(&codec), 28);
	record->key.outer = fixture_addr("198.51.100.10");
	record->key.outer_port = 80;
	record->translation.e = 0x12345678;
	assert_int_equal(travel(&codec), 28);
	codec.rows = &none;
	record->service = SERVICE_NONE;
	assert_int_equal(travel(&codec), 28);
}

// UDP, ICMP and others, even of a service that has rows; numbers from 128 on take a byte more. They
// are tracked, or nothing.
static void other_protocols(void **state)
{
	static const uint8_t protocols[] = {1, 17, 47, 58, 127, 128, 132, 255};
	struct update_codec codec = fixture_codec(&rows);
	uint8_t wire[64];
	struct cursor out = cursor_write(wire, sizeof(wire));

	(void)state;
	policy.services[0].mode = policy.services[1].mode = MODE_TRACK;
	rows_build(&rows, &policy, 1);
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		for (int family = 4; family <= 6; family += 2) {
			size_t len = (family == 4 ? 28 : 52) + (protocols[i] >= 128);

			fixture_opened(&message, family);
			message.body.record.key.protocol = protocols[i];
			message.body.record.mode = MODE_TRACK;
			message.body.record.translation = (struct translation){0};
			assert_int_equal(travel(&codec), len);
			message.body.record.bits |= FLOW_CLIENT_INSIDE;
			assert_int_equal(travel(&codec), len);
			message.body.record.mode = MODE_MSYN;
			assert_false(update_put(&out, &codec, &message));
			assert_ptr_equal(out.at, wire);
		}
	}
	policy.services[0].mode = policy.services[1].mode = MODE_PROXY;
	rows_build(&rows, &policy, 1);
}

// Clients inside: the server is the outer host.
static void a_client_inside(void **state)
{
	struct update_codec codec = fixture_codec(&rows);
	struct policy one;

	(void)state;
	fixture_policy(&one, 1);
	one.services[0].from = RULE_FROM_INSIDE;
	one.services[0].to[0] = fixture_prefix("203.0.113.0/24");
	rows_build(&rows, &one, 3);
	fixture_opened(&message, 4);
	message.body.record.bits |= FLOW_CLIENT_INSIDE;
	message.body.record.key.outer = fixture_addr("203.0.113.7");
	message.body.record.key.outer_port = 443;
	assert_int_equal(travel(&codec), 20);
	policy_finish(&one);
	rows_build(&rows, &policy, 1);
}

// Shifts and a timestamp offset without their bits mean nothing and stay at home.
static void what_means_nothing_does_not_travel(void **state)
{
	struct update_codec codec = fixture_codec(&rows);
	struct translation *t = &message.body.record.translation;
	uint8_t wire[64];
	struct cursor out = cursor_write(wire, sizeof(wire)), in;
	const uint8_t *body;
	size_t body_len;

	(void)state;
	fixture_opened(&message, 4);
	t->ts_offset = 5;
	t->to_client = (struct rescale){7, 7};
	message.body.record.bits |= FLOW_COUNTED | FLOW_PROVEN;
	assert_true(update_put(&out, &codec, &message));
	assert_int_equal(out.at - wire, 20);
	in = cursor_read(wire, 20);
	assert_true(update_get(&in, &codec, &back, &body, &body_len));
	t->ts_offset = 0;
	t->to_client = (struct rescale){0, 0};
	message.body.record.bits = FLOW_CONFIRMED;
	fixture_assert_arrived(&codec, &message, &back);
}

// The peer knows the services by other ids, or not at all.
static void services_are_the_receivers(void **state)
{
	static struct rows theirs;
	struct update_codec codec = fixture_codec(&rows);
	struct policy own;

	(void)state;
	fixture_policy(&own, 2);
	memcpy(own.services[1].name, "service-0", sizeof("service-0"));
	memcpy(own.services[0].name, "other", sizeof("other"));
	theirs = rows;
	rows_adopt(&theirs, &own);
	for (unsigned full = 0; full < 2; full++)
		for (int family = 4; family <= 6; family += 2) {
			uint8_t wire[64];
			struct cursor cursor = cursor_write(wire, sizeof(wire));
			const uint8_t *body;
			size_t body_len;

			fixture_opened(&message, family);
			message.body.record.mode = full ? MODE_TRACK : MODE_PROXY;
			codec.rows = &rows;
			assert_true(update_put(&cursor, &codec, &message));
			cursor = cursor_read(wire, (size_t)(cursor.at - wire));
			codec.rows = &theirs;
			assert_true(update_get(&cursor, &codec, &back, &body, &body_len));
			assert_int_equal(back.body.record.service, family == 4 ? 1 : SERVICE_NONE);
		}
	policy_finish(&own);
}

static void early_ones_are_known_by_their_first_byte(void **state)
{
	static const uint8_t early[] = {0x01, 0x02, 0x03, 0x40, 0x5f, 0x7f, 0x04};
	static const uint8_t late[] = {0x00, 0x05, 0x10, 0x11, 0x12, 0x13, 0x14, 0x3f, 0x80, 0xff};
	struct cursor in = cursor_read(NULL, 0);

	(void)state;
	assert_false(update_peek(&in).early);
	for (size_t i = 0; i < ARRAY_LEN(early); i++) {
		in = cursor_read(&early[i], 1);
		assert_true(update_peek(&in).early);
		assert_int_equal(cursor_left(&in), 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(late); i++) {
		in = cursor_read(&late[i], 1);
		assert_false(update_peek(&in).early);
	}
	in = cursor_read(&early[5], 1);
	assert_int_equal(update_peek(&in).type, UPDATE_CREATE);
	in = cursor_read(&late[9], 1);
	assert_int_equal(update_peek(&in).type, UPDATE_CHANGE);
	in = cursor_read(&late[5], 1);
	assert_int_equal(update_peek(&in).type, UPDATE_SECRET);
}

// What the engine never says, and what the wire has no words for.
static void what_cannot_be_said_is_not(void **state)
{
	static const uint8_t types[] = {MESSAGE_POLICY, MESSAGE_INSTALL, MESSAGE_VIEW,
		MESSAGE_LEARNT, MESSAGE_SECRET, MESSAGE_REPLY, 0, 255};
	struct update_codec codec = fixture_codec(&rows);
	uint8_t wire[WIRE_BYTES_MAX];
	struct cursor out = cursor_write(wire, sizeof(wire));
	struct flow_record *record = &message.body.record;

	(void)state;
	fixture_opened(&message, 4);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		message.type = types[i];
		assert_false(update_put(&out, &codec, &message));
	}
#define ASSERT_UNSAID(change)                                                                      \
	fixture_opened(&message, 4);                                                               \
	assert_true(update_put(&out, &codec, &message));                                           \
	out = cursor_write(wire, sizeof(wire));                                                    \
	change;                                                                                    \
	assert_false(update_put(&out, &codec, &message));                                          \
	assert_ptr_equal(out.at, wire)
	ASSERT_UNSAID(record->key.protocol = PROTOCOL_UDP);
	ASSERT_UNSAID(record->key.outer = fixture_addr("2001:db8::1"));
	ASSERT_UNSAID(record->mode = 4);
	ASSERT_UNSAID(record->state = TCP_STATE_COUNT);
	ASSERT_UNSAID(record->owner = NODES_MAX);
	ASSERT_UNSAID(record->service = SERVICE_COUNT_MAX);
	ASSERT_UNSAID(record->wscale[1] = 16);
	ASSERT_UNSAID(message.frame_len = MESSAGE_FRAME_MAX + 1);
	ASSERT_UNSAID(message.type = MESSAGE_CHANGED; message.body.flow.bits = 8);
	ASSERT_UNSAID(message.type = MESSAGE_FRAME); // without a frame
	ASSERT_UNSAID(message.type = MESSAGE_FRAME; message.frame_len = 1; message.frame_side = 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_create_takes_20_bytes),
		cmocka_unit_test(a_full_create_takes_28_bytes),
		cmocka_unit_test(a_change_takes_7_bytes),
		cmocka_unit_test(named_flows),
		cmocka_unit_test(unusual_fields),
		cmocka_unit_test(e_takes_two_bytes_up_to_its_edges),
		cmocka_unit_test(incarnations_of_the_last_ticks_take_two_bytes),
		cmocka_unit_test(rows_of_all_shapes),
		cmocka_unit_test(what_no_row_covers_is_said_in_full),
		cmocka_unit_test(other_protocols),
		cmocka_unit_test(a_client_inside),
		cmocka_unit_test(what_means_nothing_does_not_travel),
		cmocka_unit_test(services_are_the_receivers),
		cmocka_unit_test(early_ones_are_known_by_their_first_byte),
		cmocka_unit_test(what_cannot_be_said_is_not),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
