#include "cluster/agree.h"

#include <stdarg.h>
#include <stdio.h>

struct comparison {
	const struct rows *own, *theirs;
	const char *peer;
	char *text;
	size_t room;
	unsigned count;
};

// The first row a table has for a service of this node's id; NULL: none.
static const struct row *first_row(const struct rows *rows, uint16_t service)
{
	uint8_t at = service < SERVICE_COUNT_MAX ? rows->first[service] : ROW_NONE;

	return at == ROW_NONE ? NULL : &rows->row[at];
}

static const struct row *next_row(const struct rows *rows, const struct row *row)
{
	return row->next == ROW_NONE ? NULL : &rows->row[row->next];
}

static bool is_full(const struct rows *rows)
{
	return rows->row[ROWS_MAX - 1].valid;
}

static bool covers_same(const struct row *a, const struct row *b)
{
	return a->port_first == b->port_first && a->port_last == b->port_last &&
	       a->prefix.family == b->prefix.family && a->prefix.bits == b->prefix.bits &&
	       addr_equal(&a->prefix.addr, &b->prefix.addr);
}

// Each row of one table's service is one of the other's, too, in whatever order.
static bool is_within(const struct rows *a, const struct rows *b, uint16_t service)
{
	for (const struct row *one = first_row(a, service); one != NULL; one = next_row(a, one)) {
		const struct row *other = first_row(b, service);

		while (other != NULL && !covers_same(one, other))
			other = next_row(b, other);
		if (other == NULL)
			return false;
	}
	return true;
}

// Counts a difference; the first gets words.
__attribute__((format(printf, 2, 3))) static void differ(
	struct comparison *comparison, const char *format, ...)
{
	va_list arguments;

	if (comparison->count++ > 0)
		return;
	va_start(arguments, format);
	vsnprintf(comparison->text, comparison->room, format, arguments);
	va_end(arguments);
}

static void compare_service(struct comparison *comparison, const struct row *own)
{
	const struct rows *a = comparison->own, *b = comparison->theirs;
	const struct row *other = first_row(b, own->service);

	if (other == NULL)
		differ(comparison, "service %.63s is only here", own->name);
	else if (own->mode != other->mode)
		differ(comparison, "service %.63s: mode %s here, %s at %.63s", own->name,
			flow_mode_name((enum flow_mode)own->mode),
			flow_mode_name((enum flow_mode)other->mode), comparison->peer);
	else if (own->client_inside != other->client_inside)
		differ(comparison, "service %.63s: the side of clients differs", own->name);
	else if (!is_full(a) && !is_full(b) &&
		 !(is_within(a, b, own->service) && is_within(b, a, own->service)))
		differ(comparison, "service %.63s: ports/prefixes differ", own->name);
}

// The services this node does not have, or keeps no flows of.
static void compare_foreign(struct comparison *comparison)
{
	bool seen[SERVICE_COUNT_MAX] = {false};

	for (unsigned i = 0; i < ROWS_MAX; i++) {
		const struct row *row = &comparison->theirs->row[i];

		if (!row->valid || seen[row->declared] ||
			first_row(comparison->own, row->service) != NULL)
			continue;
		seen[row->declared] = true;
		differ(comparison, "service %.63s is only at %.63s", row->name, comparison->peer);
	}
}

// The names are the peer's, and are shown to terminals and in JSON.
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

unsigned rows_differ(const struct rows *own, const struct rows *theirs, const char *peer,
	char *text, size_t room)
{
	struct comparison comparison = {
		.own = own, .theirs = theirs, .peer = peer, .text = text, .room = room};

	text[0] = '\0';
	if (own->generation == 0 || theirs->generation == 0)
		return 0;
	for (unsigned i = 0; i < ROWS_MAX; i++) {
		const struct row *row = &own->row[i];

		if (row->valid && row == first_row(own, row->service))
			compare_service(&comparison, row);
	}
	compare_foreign(&comparison);
	make_printable(text);
	return comparison.count;
}
