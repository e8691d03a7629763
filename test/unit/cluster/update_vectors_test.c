// Proves: TCP.md 7.2 against an independent encoder, written from the text of WIRE.md:
// test/vectors/update.py. Both ways: our bytes are its bytes, and its bytes give what it meant.
#include "cluster/part.h"
#include "update_fixture.h"
#include "reader.h"

#include <inttypes.h>
#include <stdio.h>

#define LINE_BYTES_MAX 16384

enum kind {
	KIND_TABLE,
	KIND_ROW,
	KIND_CREATE,
	KIND_CHANGE,
	KIND_CONFIRMED,
	KIND_FRAME,
	KIND_NONE,
	KIND_EMIT,
	KIND_PARTS,
	KIND_COUNT
};

static const char *const kind_names[KIND_COUNT] = {
	"table", "row", "create", "change", "confirmed", "frame", "none", "emit", "parts"};

// What lives from line to line.
static struct rows table;
static struct policy policy;
static unsigned counts[KIND_COUNT];

static uint32_t next_decimal(struct reader *reader)
{
	return next_number(reader, 10);
}

static uint32_t next_hex(struct reader *reader)
{
	return next_number(reader, 16);
}

static struct flow_key next_key(struct reader *reader)
{
	struct flow_key key = {.protocol = PROTOCOL_TCP};

	key.outer = next_addr(reader);
	key.outer_port = (uint16_t)next_decimal(reader);
	key.inner = next_addr(reader);
	key.inner_port = (uint16_t)next_decimal(reader);
	return key;
}

static struct rescale next_rescale(struct reader *reader)
{
	struct rescale rescale;

	rescale.left = next_decimal(reader) & 15;
	rescale.right = next_decimal(reader) & 15;
	return rescale;
}

// The rest of the line is `wire`; ours must be the same, and all of it must be read.
static void check_put(
	struct reader *reader, const struct update_codec *codec, const struct message *message)
{
	uint8_t wire[WIRE_BYTES_MAX], out[WIRE_BYTES_MAX];
	size_t len = next_bytes(reader, wire, sizeof(wire));
	struct cursor cursor = cursor_write(out, sizeof(out));
	const uint8_t *body;
	size_t body_len;
	static struct message back;

	assert_string_equal(reader->rest, "");
	assert_true(update_put(&cursor, codec, message));
	assert_int_equal(cursor.at - out, len);
	assert_memory_equal(out, wire, len);

	memset(&back, 0xa5, sizeof(back));
	cursor = cursor_read(wire, len);
	assert_true(update_get(&cursor, codec, &back, &body, &body_len));
	assert_int_equal(cursor_left(&cursor), 0);
	assert_int_equal(back.node, codec->sender);
	fixture_assert_arrived(codec, message, &back);
}

static void check_table(struct reader *reader)
{
	uint8_t generation = (uint8_t)next_decimal(reader);
	unsigned count = next_decimal(reader), next = 0;
	uint8_t wire[WIRE_BYTES_MAX], out[WIRE_BYTES_MAX];
	size_t len = next_bytes(reader, wire, sizeof(wire));
	struct cursor cursor = cursor_write(out, sizeof(out));

	assert_true(len > 3 && wire[0] == UPDATE_ROWS);
	assert_true(update_get_rows(&table, &policy, wire + 3, len - 3));
	assert_int_equal(table.generation, generation);
	for (unsigned i = 0; i < ROWS_MAX; i++)
		count -= table.row[i].valid;
	assert_int_equal(count, 0);
	assert_true(update_put_rows(&cursor, &table, &next));
	assert_int_equal(cursor.at - out, len);
	assert_memory_equal(out, wire, len);
	assert_false(update_put_rows(&cursor, &table, &next));
}

static void check_row(struct reader *reader)
{
	const struct row *row = &table.row[next_decimal(reader)];
	char name[SERVICE_NAME_BYTES];
	struct addr prefix;

	assert_true(row->valid);
	assert_int_equal(row->declared, next_decimal(reader));
	assert_int_equal(row->service, row->declared);
	assert_int_equal(row->mode, next_decimal(reader));
	assert_int_equal(row->client_inside, next_decimal(reader));
	prefix = next_addr(reader);
	assert_memory_equal(&prefix, &row->prefix.addr, sizeof(prefix));
	assert_int_equal(row->prefix.family, addr_is_ip4(&prefix) ? 4 : 6);
	assert_int_equal(
		row->prefix.bits, next_decimal(reader) + (row->prefix.family == 4 ? 96 : 0));
	assert_int_equal(row->port_first, next_decimal(reader));
	assert_int_equal(row->port_last, next_decimal(reader));
	snprintf(name, sizeof(name), "service-%u", row->service);
	assert_string_equal(row->name, name);
}

static void check_create(struct reader *reader)
{
	static struct message message;
	struct flow_record *record = &message.body.record;
	struct update_codec codec = {.rows = &table};

	codec.sender = (uint16_t)next_decimal(reader);
	codec.tick = next_hex(reader);
	codec.whole = next_decimal(reader);
	memset(record, 0, sizeof(*record));
	message.type = MESSAGE_OPENED;
	record->key = next_key(reader);
	record->mode = (uint8_t)next_decimal(reader);
	record->state = (uint8_t)next_decimal(reader);
	record->bits = next_decimal(reader) ? FLOW_CLIENT_INSIDE : 0;
	record->bits |= next_decimal(reader) ? FLOW_CONFIRMED : 0;
	record->wscale[TO_SERVER] = (uint8_t)next_decimal(reader);
	record->wscale[TO_CLIENT] = (uint8_t)next_decimal(reader);
	record->service = (uint16_t)next_decimal(reader);
	record->owner = (uint16_t)next_decimal(reader);
	record->generation = (uint16_t)next_decimal(reader);
	record->incarnation = next_hex(reader);
	record->translation.d = next_hex(reader);
	record->translation.e = next_hex(reader);
	record->translation.ts_offset = next_hex(reader);
	record->translation.bits = (uint8_t)next_decimal(reader);
	record->translation.to_client = next_rescale(reader);
	record->translation.to_server = next_rescale(reader);
	record->cookie = next_hex(reader);
	record->isn_client = next_hex(reader);
	message.frame_len = (uint16_t)next_bytes(reader, message.frame, MESSAGE_FRAME_MAX);
	check_put(reader, &codec, &message);
}

static void check_named(struct reader *reader, enum kind kind)
{
	static const uint8_t types[KIND_COUNT] = {[KIND_CHANGE] = MESSAGE_CHANGED,
		[KIND_CONFIRMED] = MESSAGE_CONFIRMED,
		[KIND_FRAME] = MESSAGE_FRAME,
		[KIND_NONE] = MESSAGE_NONE,
		[KIND_EMIT] = MESSAGE_EMIT};
	static struct message message;
	struct update_codec codec = {.rows = &table, .sender = 5};
	uint8_t key[SIPHASH_KEY_BYTES];

	assert_int_equal(next_bytes(reader, key, sizeof(key)), sizeof(key));
	codec.key = siphash_key(key);
	message.type = types[kind];
	message.frame_len = 0;
	message.body.flow = (struct message_flow){.key = next_key(reader)};
	if (kind == KIND_CHANGE || kind == KIND_CONFIRMED)
		message.body.flow.incarnation = next_hex(reader);
	if (kind == KIND_CHANGE)
		message.body.flow.bits = (uint8_t)next_decimal(reader);
	if (kind == KIND_CONFIRMED)
		message.body.flow.generation = (uint16_t)next_decimal(reader);
	if (kind == KIND_FRAME || kind == KIND_EMIT) {
		message.body.flow.generation = (uint16_t)next_decimal(reader);
		message.frame_side = (uint8_t)next_decimal(reader);
		message.frame_len = (uint16_t)next_bytes(reader, message.frame, MESSAGE_FRAME_MAX);
	}
	check_put(reader, &codec, &message);
}

static void check_parts(struct reader *reader)
{
	static uint8_t message[PART_MESSAGE_BYTES], said[2 * PART_MESSAGE_BYTES];
	static uint8_t wire[sizeof(said)];
	static struct parts parts;
	size_t room = next_decimal(reader);
	size_t message_len = next_bytes(reader, message, sizeof(message));
	size_t said_len = next_bytes(reader, said, sizeof(said)), len = 0;
	struct cursor in = cursor_read(said, said_len);
	bool done = false;

	for (size_t at = 0; at < message_len;) {
		struct cursor out = cursor_write(wire + len, room);

		at = part_put(&out, message, message_len, at);
		len = (size_t)(out.at - wire);
	}
	assert_int_equal(len, said_len);
	assert_memory_equal(wire, said, len);
	while (cursor_left(&in) > 0) {
		assert_false(done);
		assert_int_equal(cursor_get8(&in), UPDATE_PART);
		len = cursor_get16(&in);
		assert_true(part_get(&parts, cursor_take(&in, len), len, &done));
	}
	assert_true(done && !in.failed);
	assert_int_equal(parts.len, message_len);
	assert_memory_equal(parts.bytes, message, message_len);
}

static void check_line(char *line)
{
	struct reader reader = {line};
	const char *name = next_text(&reader);
	unsigned kind = 0;

	while (strcmp(kind_names[kind], name) != 0) {
		kind++;
		assert_true(kind < KIND_COUNT);
	}
	counts[kind]++;
	switch (kind) {
	case KIND_TABLE:
		check_table(&reader);
		break;
	case KIND_ROW:
		check_row(&reader);
		break;
	case KIND_CREATE:
		check_create(&reader);
		break;
	case KIND_PARTS:
		check_parts(&reader);
		break;
	default:
		check_named(&reader, kind);
	}
}

static void vectors(void **state)
{
	FILE *file = fopen(VECTORS "/update.txt", "r");
	char line[LINE_BYTES_MAX];

	(void)state;
	assert_non_null(file);
	fixture_policy(&policy, 8);
	while (fgets(line, sizeof(line), file) != NULL)
		check_line(line);
	fclose(file);
	policy_finish(&policy);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		assert_true(counts[kind] >= (kind == KIND_TABLE ? 2 : 9));
	assert_true(counts[KIND_CREATE] >= 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
