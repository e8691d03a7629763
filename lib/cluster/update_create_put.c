#include "cluster/update_create.h"

#include "base/bytes.h"

#include <string.h>

#define FIELDS_BYTES_MAX 41 // all fields of enum create_field

static struct create_ends ends_of(const struct flow_record *record)
{
	const struct flow_key *key = &record->key;

	if (record->bits & FLOW_CLIENT_INSIDE)
		return (struct create_ends){
			key->inner, key->outer, key->inner_port, key->outer_port};
	return (struct create_ends){key->outer, key->inner, key->outer_port, key->inner_port};
}

static bool shifts_are_valid(const struct translation *t)
{
	return !(t->bits & TRANSLATE_WINDOW) || (t->to_client.left <= OPTIONS_WSCALE_MAX &&
							t->to_client.right <= OPTIONS_WSCALE_MAX &&
							t->to_server.left <= OPTIONS_WSCALE_MAX &&
							t->to_server.right <= OPTIONS_WSCALE_MAX);
}

bool create_is_valid(const struct flow_record *record)
{
	return (record->key.protocol == PROTOCOL_TCP || record->mode == MODE_TRACK) &&
	       addr_is_ip4(&record->key.outer) == addr_is_ip4(&record->key.inner) &&
	       record->mode <= MODE_BYPASS && record->state < TCP_STATE_COUNT &&
	       record->owner < NODES_MAX &&
	       (record->service < SERVICE_COUNT_MAX || record->service == SERVICE_NONE) &&
	       record->wscale[TO_SERVER] <= OPTIONS_WSCALE_NONE &&
	       record->wscale[TO_CLIENT] <= OPTIONS_WSCALE_NONE &&
	       shifts_are_valid(&record->translation);
}

static bool e_is_short(uint32_t e)
{
	return (uint32_t)(int16_t)e == e;
}

static void put_field(struct cursor *out, enum create_field type, unsigned bytes, uint32_t value)
{
	cursor_put8(out, (uint8_t)type);
	cursor_put8(out, (uint8_t)bytes);
	if (bytes == 1)
		cursor_put8(out, (uint8_t)value);
	else if (bytes == 2)
		cursor_put16(out, (uint16_t)value);
	else
		cursor_put32(out, value);
}

static void put_fields(struct cursor *out, const struct update_codec *codec,
	const struct flow_record *record, bool full)
{
	const struct translation *t = &record->translation;

	if (record->generation != 1)
		put_field(out, FIELD_GENERATION, 2, record->generation);
	if (t->bits & CREATE_STRIP_BITS)
		put_field(out, FIELD_STRIP, 1, t->bits & CREATE_STRIP_BITS);
	if (codec->whole && record->cookie != 0)
		put_field(out, FIELD_COOKIE, 4, record->cookie);
	if (codec->whole && record->isn_client != 0)
		put_field(out, FIELD_ISN, 4, record->isn_client);
	if (record->owner != codec->sender)
		put_field(out, FIELD_OWNER, 2, record->owner);
	if (record->state != TCP_ESTABLISHED)
		put_field(out, FIELD_STATE, 1, record->state);
	if (!(record->bits & FLOW_CONFIRMED))
		put_field(out, FIELD_BITS, 1, 0);
	if (create_incarnation(codec->tick, (uint16_t)record->incarnation) != record->incarnation)
		put_field(out, FIELD_INCARNATION, 4, record->incarnation);
	if (!full && !e_is_short(t->e))
		put_field(out, FIELD_E, 4, t->e);
}

static void put_addr(struct cursor *out, const struct addr *addr, bool ip6)
{
	size_t len = ip6 ? 16 : 4;

	cursor_put(out, addr->b + sizeof(addr->b) - len, len);
}

// The same where there is room. Returns the end.
static uint8_t *addr_put(uint8_t *p, const struct addr *addr, bool ip6)
{
	memcpy(p, ip6 ? addr->b : addr->b + 12, 4);
	if (ip6)
		memcpy(p + 4, addr->b + 4, 12);
	return p + (ip6 ? 16 : 4);
}

static void put_compact(struct cursor *out, const struct rows *rows, uint8_t at,
	const struct flow_record *record, const struct create_ends *ends)
{
	const struct row *row = &rows->row[at];
	bool ip6 = row->prefix.family == 6;
	size_t suffix = create_suffix_bytes(row), port_bytes = create_port_bytes(row);
	uint16_t port = (uint16_t)(ends->server_port - row->port_first);
	uint8_t *p = cursor_give(out, 1 + (ip6 ? 16 : 4) + 2 + suffix + port_bytes + 6);

	if (p == NULL)
		return;
	*p++ = at;
	p = addr_put(p, &ends->client, ip6);
	be16_put(p, ends->client_port);
	p += 2;
	for (size_t i = 0; i < suffix; i++)
		*p++ = ends->server.b[sizeof(ends->server.b) - suffix + i];
	if (port_bytes == 1)
		*p = (uint8_t)port;
	else if (port_bytes == 2)
		be16_put(p, port);
	p += port_bytes;
	be32_put(p, record->translation.d);
	be16_put(p + 4, (uint16_t)record->translation.e);
}

static void put_protocol(struct cursor *out, uint8_t protocol, bool ip6)
{
	bool high = (protocol & CREATE_FULL_IP6) != 0;

	cursor_put8(out, (uint8_t)((high ? 0 : protocol) | (ip6 ? CREATE_FULL_IP6 : 0)));
	if (high)
		cursor_put8(out, protocol);
}

static void put_full(
	struct cursor *out, const struct flow_record *record, const struct create_ends *ends)
{
	bool ip6 = !addr_is_ip4(&ends->client);

	put_protocol(out, record->key.protocol, ip6);
	put_addr(out, &ends->client, ip6);
	put_addr(out, &ends->server, ip6);
	cursor_put16(out, ends->client_port);
	cursor_put16(out, ends->server_port);
	cursor_put8(out, record->mode);
	cursor_put16(out, record->service);
	cursor_put32(out, record->translation.d);
	cursor_put32(out, record->translation.e);
}

static uint8_t nibbles(unsigned high, unsigned low)
{
	return (uint8_t)(high << 4 | low);
}

// The row that says the same as the record of service, sides and mode; ROW_NONE.
static uint8_t row_of(
	const struct rows *rows, const struct flow_record *record, const struct create_ends *ends)
{
	uint8_t at = rows_find(rows, record->service, &ends->server, ends->server_port);
	bool inside = record->bits & FLOW_CLIENT_INSIDE;

	if (at == ROW_NONE || record->key.protocol != PROTOCOL_TCP ||
		rows->row[at].mode != record->mode || rows->row[at].client_inside != inside)
		return ROW_NONE;
	return at;
}

static uint8_t flags_of(const struct message *message, bool full, bool more)
{
	const struct flow_record *record = &message->body.record;
	uint8_t flags = 0;

	if (record->translation.bits & TRANSLATE_TIMESTAMPS)
		flags |= CREATE_TIMESTAMPS;
	if (record->translation.bits & TRANSLATE_WINDOW)
		flags |= CREATE_WINDOW;
	if (more)
		flags |= CREATE_MORE;
	if (full)
		flags |= CREATE_FULL;
	if (full && record->bits & FLOW_CLIENT_INSIDE)
		flags |= CREATE_INSIDE;
	if (message->frame_len > 0)
		flags |= CREATE_FRAME;
	return flags;
}

// What both forms have behind e.
static void put_common(struct cursor *out, const struct flow_record *record)
{
	const struct translation *t = &record->translation;
	uint8_t *p = cursor_give(out, 3);

	if (p == NULL)
		return;
	p[0] = nibbles(record->wscale[TO_SERVER], record->wscale[TO_CLIENT]);
	be16_put(p + 1, (uint16_t)record->incarnation);
	if (t->bits & TRANSLATE_TIMESTAMPS)
		cursor_put32(out, t->ts_offset);
	if (t->bits & TRANSLATE_WINDOW) {
		cursor_put8(out, nibbles(t->to_client.left, t->to_client.right));
		cursor_put8(out, nibbles(t->to_server.left, t->to_server.right));
	}
}

bool create_put(struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	const struct flow_record *record = &message->body.record;
	struct create_ends ends = ends_of(record);
	uint8_t row = row_of(codec->rows, record, &ends);
	uint8_t bytes[FIELDS_BYTES_MAX];
	struct cursor fields = cursor_write(bytes, sizeof(bytes));
	uint8_t len;

	if (!create_is_valid(record) || message->frame_len > MESSAGE_FRAME_MAX)
		return false;
	put_fields(&fields, codec, record, row == ROW_NONE);
	len = (uint8_t)(fields.at - bytes);
	cursor_put8(out, UPDATE_CREATE | flags_of(message, row == ROW_NONE, len > 0));
	if (row == ROW_NONE)
		put_full(out, record, &ends);
	else
		put_compact(out, codec->rows, row, record, &ends);
	put_common(out, record);
	if (len > 0) {
		cursor_put8(out, len);
		cursor_put(out, bytes, len);
	}
	if (message->frame_len > 0) {
		cursor_put16(out, message->frame_len);
		cursor_put(out, message->frame, message->frame_len);
	}
	return true;
}
