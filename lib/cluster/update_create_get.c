#include "cluster/update_create.h"

#include "base/bytes.h"
#include "base/check.h"

#include <string.h>

// Where a record's key has who is who: what is read is written in its place, once.
struct ends {
	struct addr *client, *server;
	uint16_t *client_port, *server_port;
};

static struct ends ends_in(struct flow_key *key, bool inside)
{
	if (inside)
		return (struct ends){&key->inner, &key->outer, &key->inner_port, &key->outer_port};
	return (struct ends){&key->outer, &key->inner, &key->outer_port, &key->inner_port};
}

// Moves *bytes. False for IPv4 in the dress of IPv6, too: an address has one spelling.
static bool get_addr(const uint8_t **bytes, bool ip6, struct addr *addr)
{
	static const uint8_t ip4_start[12] = {[10] = 0xff, [11] = 0xff};
	size_t len = ip6 ? 16 : 4;

	memcpy(addr->b, ip6 ? *bytes : ip4_start, sizeof(ip4_start));
	memcpy(addr->b + sizeof(ip4_start), *bytes + len - 4, 4);
	*bytes += len;
	return !ip6 || !addr_is_ip4(addr);
}

// Of the first byte that is not the prefix's alone, its bits are the prefix's. An address of
// the other family does not lie in it, either.
static bool covers(const struct row *row, const uint8_t *suffix, const struct addr *server)
{
	unsigned at = row->prefix.bits / 8, shared = row->prefix.bits % 8;

	if (shared != 0 && (suffix[0] ^ row->prefix.addr.b[at]) >> (8 - shared) != 0)
		return false;
	return row->prefix.family == 4 || !addr_is_ip4(server);
}

// The rest of the server's address and port; false where the row does not cover them.
static bool get_server(const uint8_t *bytes, const struct row *row, struct ends *ends)
{
	size_t len = create_suffix_bytes(row);
	unsigned port = row->port_first;

	*ends->server = row->prefix.addr;
	memcpy(ends->server->b + sizeof(ends->server->b) - len, bytes, len);
	if (create_port_bytes(row) == 1)
		port += bytes[len];
	else if (create_port_bytes(row) == 2)
		port += be16_get(bytes + len);
	*ends->server_port = (uint16_t)port;
	return port <= row->port_last && covers(row, bytes, ends->server);
}

static bool get_compact(struct cursor *in, const struct rows *rows, struct flow_record *record)
{
	uint8_t at = cursor_get8(in);
	const struct row *row;
	const uint8_t *bytes;
	size_t server_bytes;
	struct ends ends;
	bool ip6;

	if (at == ROW_NONE || !rows->row[at].valid)
		return false;
	row = &rows->row[at];
	ip6 = row->prefix.family == 6;
	server_bytes = create_suffix_bytes(row) + create_port_bytes(row);
	bytes = cursor_take(in, (ip6 ? 16 : 4) + 2 + server_bytes + 4 + 2);
	if (bytes == NULL)
		return false;
	record->mode = row->mode;
	record->service = row->service;
	record->bits = FLOW_CONFIRMED | (row->client_inside ? FLOW_CLIENT_INSIDE : 0);
	ends = ends_in(&record->key, row->client_inside);
	if (!get_addr(&bytes, ip6, ends.client))
		return false;
	*ends.client_port = be16_get(bytes);
	if (!get_server(bytes + 2, row, &ends))
		return false;
	bytes += 2 + server_bytes;
	record->translation.d = be32_get(bytes);
	record->translation.e = (uint32_t)(int16_t)be16_get(bytes + 4);
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
	struct ends ends = ends_in(&record->key, inside);
	uint8_t first = cursor_get8(in);
	bool ip6 = first & CREATE_FULL_IP6;
	bool known = get_protocol(in, first, &record->key.protocol);
	const uint8_t *bytes = cursor_take(in, (ip6 ? 32 : 8) + 4 + 1 + 2 + 8);
	uint16_t service;

	if (!known || bytes == NULL || !get_addr(&bytes, ip6, ends.client) ||
		!get_addr(&bytes, ip6, ends.server))
		return false;
	*ends.client_port = be16_get(bytes);
	*ends.server_port = be16_get(bytes + 2);
	record->mode = bytes[4];
	record->bits = FLOW_CONFIRMED | (inside ? FLOW_CLIENT_INSIDE : 0);
	service = be16_get(bytes + 5);
	record->service = rows_service(rows, service);
	record->translation.d = be32_get(bytes + 7);
	record->translation.e = be32_get(bytes + 11);
	return service < SERVICE_COUNT_MAX || service == SERVICE_NONE;
}

static struct rescale rescale_of(uint8_t both)
{
	return (struct rescale){.left = both >> 4 & 15u, .right = both & 15u};
}

static bool get_common(struct cursor *in, const struct update_codec *codec, uint8_t flags,
	struct flow_record *record)
{
	size_t len = 3 + (flags & CREATE_TIMESTAMPS ? 4 : 0) + (flags & CREATE_WINDOW ? 2 : 0);
	const uint8_t *bytes = cursor_take(in, len);
	struct translation *t = &record->translation;

	if (bytes == NULL)
		return false;
	record->wscale[TO_SERVER] = bytes[0] >> 4;
	record->wscale[TO_CLIENT] = bytes[0] & 15;
	record->incarnation = create_incarnation(codec->tick, be16_get(bytes + 1));
	if (flags & CREATE_TIMESTAMPS) {
		t->bits |= TRANSLATE_TIMESTAMPS;
		t->ts_offset = be32_get(bytes + 3);
	}
	if (flags & CREATE_WINDOW) {
		t->bits |= TRANSLATE_WINDOW;
		t->to_client = rescale_of(bytes[len - 2]);
		t->to_server = rescale_of(bytes[len - 1]);
	}
	return true;
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

	*record = (struct flow_record){.key.protocol = PROTOCOL_TCP,
		.state = TCP_ESTABLISHED,
		.owner = codec->sender,
		.generation = 1};
	if (first & CREATE_FULL) {
		if (!get_full(in, codec->rows, first & CREATE_INSIDE, record))
			return false;
	} else if (first & CREATE_INSIDE || !get_compact(in, codec->rows, record)) {
		return false;
	}
	if (!get_common(in, codec, first, record))
		return false;
	if (first & CREATE_MORE && !get_fields(in, record))
		return false;
	if (first & CREATE_FRAME && !get_frame(in, message))
		return false;
	return !in->failed && create_is_valid(record);
}
