// ROWS: a row table in messages (WIRE.md section 4).
#include "cluster/update.h"

#include <string.h>

#define HEAD_BYTES	3  // type, length
#define IP4_OFFSET_BITS 96 // bits in front of an IPv4 address in the 16-byte form

enum row_flag {
	ROW_IP6 = 0x01,
	ROW_CLIENT_INSIDE = 0x02,
};

static void put_row(struct cursor *out, uint8_t at, const struct row *row)
{
	bool ip6 = row->prefix.family == 6;
	size_t len = ip6 ? 16 : 4;
	size_t name_len = strnlen(row->name, SERVICE_NAME_BYTES - 1);

	cursor_put8(out, at);
	cursor_put16(out, row->declared);
	cursor_put8(out, row->mode);
	cursor_put8(
		out, (uint8_t)((ip6 ? ROW_IP6 : 0) | (row->client_inside ? ROW_CLIENT_INSIDE : 0)));
	cursor_put8(out, (uint8_t)(row->prefix.bits - (ip6 ? 0 : IP4_OFFSET_BITS)));
	cursor_put(out, row->prefix.addr.b + sizeof(row->prefix.addr.b) - len, len);
	cursor_put16(out, row->port_first);
	cursor_put16(out, row->port_last);
	cursor_put8(out, (uint8_t)name_len);
	cursor_put(out, row->name, name_len);
}

// Rows from *next on, as many as fit; returns how many.
static uint8_t put_rows(struct cursor *out, const struct rows *rows, unsigned *next)
{
	uint8_t count = 0;

	for (; *next < ROWS_MAX; (*next)++) {
		struct cursor at = *out;

		if (!rows->row[*next].valid)
			continue;
		put_row(&at, (uint8_t)*next, &rows->row[*next]);
		if (at.failed)
			break;
		*out = at;
		count++;
	}
	return count;
}

bool update_put_rows(struct cursor *out, const struct rows *rows, unsigned *next)
{
	struct cursor at = *out;
	uint8_t *head = at.at;
	bool first = *next == 0;
	struct cursor fill;
	uint8_t count;

	if (rows->generation == 0 || *next >= ROWS_MAX)
		return false;
	if (cursor_take(&at, HEAD_BYTES + 2) == NULL)
		return false;
	count = put_rows(&at, rows, next);
	// Nothing written is a whole table only where there is none to write.
	if (count == 0 && !(first && *next == ROWS_MAX))
		return false;
	fill = cursor_write(head, HEAD_BYTES + 2);
	cursor_put8(&fill, UPDATE_ROWS);
	cursor_put16(&fill, (uint16_t)(at.at - head - HEAD_BYTES));
	cursor_put8(&fill, rows->generation);
	cursor_put8(&fill, count);
	*out = at;
	return true;
}

static bool get_prefix(struct cursor *in, bool ip6, struct prefix *prefix)
{
	uint8_t bits = cursor_get8(in);
	const uint8_t *bytes = cursor_take(in, ip6 ? 16 : 4);
	struct addr masked;

	if (bytes == NULL || bits > (ip6 ? 128 : 32))
		return false;
	prefix->addr = ip6 ? addr_from_ip6(bytes) : addr_from_ip4(bytes);
	prefix->bits = (uint8_t)(bits + (ip6 ? 0 : IP4_OFFSET_BITS));
	prefix->family = ip6 ? 6 : 4;
	masked = addr_mask(&prefix->addr, prefix->bits);
	return addr_equal(&masked, &prefix->addr) && addr_is_ip4(&prefix->addr) != ip6;
}

static bool get_name(struct cursor *in, char name[SERVICE_NAME_BYTES])
{
	uint8_t len = cursor_get8(in);
	const uint8_t *bytes = cursor_take(in, len);

	if (bytes == NULL || len == 0 || len >= SERVICE_NAME_BYTES || memchr(bytes, 0, len) != NULL)
		return false;
	memset(name, 0, SERVICE_NAME_BYTES);
	memcpy(name, bytes, len);
	return true;
}

static bool get_row(struct cursor *in, uint8_t *at, struct row *row)
{
	uint8_t flags;

	*at = cursor_get8(in);
	*row = (struct row){.valid = true, .service = SERVICE_NONE};
	row->declared = cursor_get16(in);
	row->mode = cursor_get8(in);
	flags = cursor_get8(in);
	row->client_inside = flags & ROW_CLIENT_INSIDE;
	if (*at == ROW_NONE || row->declared >= SERVICE_COUNT_MAX || row->mode > MODE_BYPASS ||
		(flags & ~(ROW_IP6 | ROW_CLIENT_INSIDE)) != 0 ||
		!get_prefix(in, flags & ROW_IP6, &row->prefix))
		return false;
	row->port_first = cursor_get16(in);
	row->port_last = cursor_get16(in);
	return row->port_first <= row->port_last && get_name(in, row->name);
}

// Reads the rows of a message; into `rows`, or only to see whether they can be read (NULL).
static bool get_rows(struct rows *rows, const uint8_t *body, size_t body_len)
{
	struct cursor in = cursor_read(body, body_len);
	uint8_t generation = cursor_get8(&in);
	uint8_t count = cursor_get8(&in);

	for (unsigned i = 0; i < count; i++) {
		struct row row;
		uint8_t at;

		if (!get_row(&in, &at, &row))
			return false;
		if (rows != NULL)
			rows->row[at] = row;
	}
	return !in.failed && generation != 0 && cursor_left(&in) == 0;
}

bool update_get_rows(
	struct rows *rows, const struct policy *policy, const uint8_t *body, size_t body_len)
{
	if (!get_rows(NULL, body, body_len))
		return false;
	if (rows->generation != body[0])
		rows_clear(rows, body[0]);
	get_rows(rows, body, body_len);
	rows_adopt(rows, policy);
	return true;
}

bool update_put_rows_end(struct cursor *out, uint8_t generation)
{
	if (cursor_left(out) < HEAD_BYTES + 2)
		return false;
	cursor_put8(out, UPDATE_ROWS);
	cursor_put16(out, 2);
	cursor_put8(out, generation);
	cursor_put8(out, 0);
	return true;
}

bool update_rows_end(const uint8_t *body, size_t body_len)
{
	return body_len == 2 && body[1] == 0;
}
