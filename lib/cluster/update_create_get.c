#include "cluster/update_create.h"

#include "base/check.h"

#include <string.h>

static void set_key(struct flow_record *record, const struct create_ends *ends, uint8_t protocol)
{
	bool inside = record->bits & FLOW_CLIENT_INSIDE;

	record->key = (struct flow_key){
		.outer = inside ? ends->server : ends->client,
		.inner = inside ? ends->client : ends->server,
		.outer_port = inside ? ends->server_port : ends->client_port,
		.inner_port = inside ? ends->client_port : ends->server_port,
		.protocol = protocol,
	};
}

// False for IPv4 in the dress of IPv6, too: an address has one spelling.
static bool get_addr(struct cursor *in, bool ip6, struct addr *addr)
{
	const uint8_t *bytes = cursor_take(in, ip6 ? 16 : 4);

	if (bytes == NULL)
		return false;
	*addr = ip6 ? addr_from_ip6(bytes) : addr_from_ip4(bytes);
	return addr_is_ip4(addr) != ip6;
}

// The rest of the server's address and port; false where the row does not cover them.
static bool get_server(struct cursor *in, const struct row *row, struct create_ends *ends)
{
	size_t len = create_suffix_bytes(row);
	const uint8_t *suffix = cursor_take(in, len);
	unsigned port = row->port_first;

	if (suffix == NULL)
		return false;
	ends->server = row->prefix.addr;
	memcpy(ends->server.b + sizeof(ends->server.b) - len, suffix, len);
	if (create_port_bytes(row) == 1)
		port += cursor_get8(in);
	else if (create_port_bytes(row) == 2)
		port += cursor_get16(in);
	ends->server_port = (uint16_t)port;
	return port <= row->port_last && prefix_contains(&row->prefix, &ends->server);
}

static bool get_compact(struct cursor *in, const struct rows *rows, struct flow_record *record)
{
	uint8_t at = cursor_get8(in);
	const struct row *row;
	struct create_ends ends;

	if (at == ROW_NONE || !rows->row[at].valid)
		return false;
	row = &rows->row[at];
	record->mode = row->mode;
	record->service = row->service;
	record->bits = FLOW_CONFIRMED | (row->client_inside ? FLOW_CLIENT_INSIDE : 0);
	if (!get_addr(in, row->prefix.family == 6, &ends.client))
		return false;
	ends.client_port = cursor_get16(in);
	if (!get_server(in, row, &ends))
		return false;
	set_key(record, &ends, PROTOCOL_TCP);
	record->translation.d = cursor_get32(in);
	record->translation.e = (uint32_t)(int16_t)cursor_get16(in);
	return true;
}

// What the first byte cannot say stands in the next; a protocol has one spelling.
static bool get_protocol(struct cursor *in, uint8_t first, uint8_t *protocol)
{
	*protocol = first & ~CREATE_FULL_IP6;
	if (*protocol != 0)
		return true;
	*protocol = cursor_get8(in);
	return (*protocol & CREATE_FULL_IP6) != 0;
}

static bool get_full(
	struct cursor *in, const struct rows *rows, bool inside, struct flow_record *record)
{
	uint8_t first = cursor_get8(in);
	bool ip6 = first & CREATE_FULL_IP6;
	uint8_t protocol;
	uint16_t service;
	struct create_ends ends;

	if (!get_protocol(in, first, &protocol) || !get_addr(in, ip6, &ends.client) ||
		!get_addr(in, ip6, &ends.server))
		return false;
	ends.client_port = cursor_get16(in);
	ends.server_port = cursor_get16(in);
	record->mode = cursor_get8(in);
	record->bits = FLOW_CONFIRMED | (inside ? FLOW_CLIENT_INSIDE : 0);
	set_key(record, &ends, protocol);
	service = cursor_get16(in);
	record->service = rows_service(rows, service);
	record->translation.d = cursor_get32(in);
	record->translation.e = cursor_get32(in);
	return service < SERVICE_COUNT_MAX || service == SERVICE_NONE;
}

static struct rescale get_rescale(struct cursor *in)
{
	uint8_t both = cursor_get8(in);

	return (struct rescale){.left = both >> 4 & 15u, .right = both & 15u};
}

static void get_common(struct cursor *in, const struct update_codec *codec, uint8_t flags,
	struct flow_record *record)
{
	struct translation *t = &record->translation;
	uint8_t shifts = cursor_get8(in);

	record->wscale[TO_SERVER] = shifts >> 4;
	record->wscale[TO_CLIENT] = shifts & 15;
	record->incarnation = create_incarnation(codec->tick, cursor_get16(in));
	if (flags & CREATE_TIMESTAMPS) {
		t->bits |= TRANSLATE_TIMESTAMPS;
		t->ts_offset = cursor_get32(in);
	}
	if (flags & CREATE_WINDOW) {
		t->bits |= TRANSLATE_WINDOW;
		t->to_client = get_rescale(in);
		t->to_server = get_rescale(in);
	}
}

// Bytes of a field's value; 0: unknown.
static unsigned field_bytes(uint8_t type)
{
	static const uint8_t bytes[] = {
		[FIELD_GENERATION] = 2,
		[FIELD_STRIP] = 1,
		[FIELD_COOKIE] = 4,
		[FIELD_ISN] = 4,
		[FIELD_OWNER] = 2,
		[FIELD_STATE] = 1,
		[FIELD_BITS] = 1,
		[FIELD_INCARNATION] = 4,
		[FIELD_E] = 4,
	};

	return type < ARRAY_LEN(bytes) ? bytes[type] : 0;
}

static bool set_field(struct flow_record *record, uint8_t type, uint32_t value)
{
	switch (type) {
	case FIELD_GENERATION:
		record->generation = (uint16_t)value;
		return true;
	case FIELD_STRIP:
		record->translation.bits |= value & CREATE_STRIP_BITS;
		return (value & ~CREATE_STRIP_BITS) == 0;
	case FIELD_COOKIE:
		record->cookie = value;
		return true;
	case FIELD_ISN:
		record->isn_client = value;
		return true;
	case FIELD_OWNER:
		record->owner = (uint16_t)value;
		return true;
	case FIELD_STATE:
		record->state = (uint8_t)value;
		return true;
	case FIELD_BITS:
		record->bits &= (uint8_t)~FLOW_CONFIRMED;
		record->bits |= value & FLOW_CONFIRMED;
		return (value & ~FLOW_CONFIRMED) == 0;
	case FIELD_INCARNATION:
		record->incarnation = value;
		return true;
	default:
		record->translation.e = value;
		return true;
	}
}

static bool get_fields(struct cursor *in, struct flow_record *record)
{
	uint8_t total = cursor_get8(in);
	const uint8_t *bytes = cursor_take(in, total);
	struct cursor fields = cursor_read(bytes, bytes == NULL ? 0 : total);

	while (cursor_left(&fields) > 0) {
		uint8_t type = cursor_get8(&fields);
		uint8_t len = cursor_get8(&fields);
		const uint8_t *value = cursor_take(&fields, len);
		uint32_t number = 0;

		if (value == NULL)
			return false;
		if (field_bytes(type) == 0)
			continue;
		if (field_bytes(type) != len)
			return false;
		for (unsigned i = 0; i < len; i++)
			number = number << 8 | value[i];
		if (!set_field(record, type, number))
			return false;
	}
	return true;
}

static bool get_frame(struct cursor *in, struct message *message)
{
	uint16_t len = cursor_get16(in);
	const uint8_t *frame = cursor_take(in, len);

	if (frame == NULL || len == 0 || len > MESSAGE_FRAME_MAX)
		return false;
	memcpy(message->frame, frame, len);
	message->frame_len = len;
	message->frame_side =
		message->body.record.bits & FLOW_CLIENT_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
	return true;
}

bool create_get(
	struct cursor *in, const struct update_codec *codec, uint8_t first, struct message *message)
{
	struct flow_record *record = &message->body.record;

	*record = (struct flow_record){
		.state = TCP_ESTABLISHED, .owner = codec->sender, .generation = 1};
	if (first & CREATE_FULL) {
		if (!get_full(in, codec->rows, first & CREATE_INSIDE, record))
			return false;
	} else if (first & CREATE_INSIDE || !get_compact(in, codec->rows, record)) {
		return false;
	}
	get_common(in, codec, first, record);
	if (first & CREATE_MORE && !get_fields(in, record))
		return false;
	if (first & CREATE_FRAME && !get_frame(in, message))
		return false;
	return !in->failed && create_is_valid(record);
}
