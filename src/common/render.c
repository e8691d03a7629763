#include "common/render.h"

#include "common/drop_text.h"
#include "common/flow_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX	64
#define TABLE_WIDTH_MAX 160 // a wider one is turned,
#define TURNED_ROWS_MAX 8   // unless it has more rows
#define MANUAL_WIDTH	80

// A growing string. Text that cannot be had for want of memory ends the program: it is a client.
struct text {
	char *data;
	size_t len;
};

static void text_add(struct text *text, const char *data, size_t len)
{
	char *grown = realloc(text->data, text->len + len + 1);

	if (!grown)
		abort();
	memcpy(grown + text->len, data, len);
	grown[text->len + len] = '\0';
	text->data = grown;
	text->len += len;
}

__attribute__((format(printf, 2, 3))) static void text_format(
	struct text *text, const char *format, ...)
{
	char part[64];
	va_list args;

	va_start(args, format);
	vsnprintf(part, sizeof(part), format, args);
	va_end(args);
	text_add(text, part, strlen(part));
}

// C0, DEL, and C1 in its UTF-8 form. Jansson lets no invalid UTF-8 in.
static unsigned control_len(const unsigned char *p)
{
	if (*p < 0x20 || *p == 0x7f)
		return 1;
	return *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0 ? 2 : 0;
}

static void text_escape(struct text *text, const char *from, const char *keep)
{
	const unsigned char *p = (const unsigned char *)from;

	text_add(text, "", 0);
	while (*p) {
		unsigned len = strchr(keep, *p) ? 0 : control_len(p);

		if (len == 0)
			text_add(text, (const char *)p++, 1);
		for (; len; len--)
			text_format(text, "\\x%02x", *p++);
	}
}

void render_text(const char *text, const char *keep, FILE *out)
{
	struct text escaped = {.data = NULL};

	text_escape(&escaped, text, keep);
	fputs(escaped.data, out);
	free(escaped.data);
}

// Characters of UTF-8 text: every byte but continuations.
static int width(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += (*text & 0xc0) != 0x80;
	return count;
}

static void print_padded(const char *text, int room, bool right, FILE *out)
{
	int blanks = room - width(text);

	if (right && blanks > 0)
		fprintf(out, "%*s", blanks, "");
	fputs(text, out);
	if (!right && blanks > 0)
		fprintf(out, "%*s", blanks, "");
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

// A value that fits into a cell. Lists of plain values are joined with commas.
static void text_value(struct text *text, const json_t *value)
{
	const json_t *item;
	size_t index;

	text_add(text, "", 0);
	switch (json_typeof(value)) {
	case JSON_STRING:
		text_escape(text, json_string_value(value), "");
		return;
	case JSON_INTEGER:
		text_format(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return;
	case JSON_REAL:
		text_format(text, "%.2f", json_real_value(value));
		return;
	case JSON_TRUE:
		text_add(text, "yes", 3);
		return;
	case JSON_FALSE:
		text_add(text, "no", 2);
		return;
	case JSON_NULL:
		text_add(text, "-", 1);
		return;
	case JSON_ARRAY:
		if (json_array_size(value) == 0)
			text_add(text, "-", 1);
		json_array_foreach(value, index, item)
		{
			if (index)
				text_add(text, ",", 1);
			text_value(text, item);
		}
		return;
	case JSON_OBJECT:
		text_add(text, "{}", 2);
		return;
	}
}

static bool is_table(const json_t *value)
{
	return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static bool is_verbatim(const json_t *value)
{
	return json_is_string(value) && strchr(json_string_value(value), '\n');
}

// A list of sentences, not of words.
static bool is_sentences(const json_t *value)
{
	const char *first = json_string_value(json_array_get(value, 0));

	return first && strchr(first, ' ');
}

// What follows the plain values.
static bool is_block(const json_t *value)
{
	return is_table(value) || is_verbatim(value) || is_sentences(value);
}

// Plain values of an object in their order, nested objects flattened, as lists of names and texts.
struct cells {
	char *name[COLUMNS_MAX];
	char *value[COLUMNS_MAX];
	bool number[COLUMNS_MAX];
	unsigned count;
};

static void cells_add(struct cells *cells, const char *prefix, const json_t *object)
{
	struct text name, value;
	const json_t *member;
	const char *key;

	json_object_foreach((json_t *)object, key, member)
	{
		name = value = (struct text){.data = NULL};
		text_escape(&name, prefix, "");
		text_escape(&name, key, "");
		if (json_is_object(member) && json_object_size(member)) {
			text_add(&name, ".", 1);
			cells_add(cells, name.data, member);
			free(name.data);
			continue;
		}
		if (is_block(member) || cells->count == COLUMNS_MAX) {
			free(name.data);
			continue;
		}
		text_value(&value, member);
		cells->name[cells->count] = name.data;
		cells->value[cells->count] = value.data;
		cells->number[cells->count++] = json_is_number(member);
	}
}

static void cells_free(struct cells *cells)
{
	for (unsigned i = 0; i < cells->count; i++) {
		free(cells->name[i]);
		free(cells->value[i]);
	}
	cells->count = 0;
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

static void render_object(const json_t *object, FILE *out)
{
	struct cells cells = {.count = 0};
	int names = 0, numbers = 0;
	bool counters = true; // numbers alone, in a column of their own

	cells_add(&cells, "", object);
	for (unsigned i = 0; i < cells.count; i++) {
		names = max(names, width(cells.name[i]));
		numbers = max(numbers, width(cells.value[i]));
		counters = counters && cells.number[i];
	}
	for (unsigned i = 0; i < cells.count; i++) {
		print_padded(cells.name[i], names + 2, false, out);
		print_padded(cells.value[i], counters ? numbers : 0, true, out);
		fputc('\n', out);
	}
	cells_free(&cells);
}

// Columns of a table: the union of its rows' cells, so that a row may lack one.
struct column {
	char *name;
	int width;
	bool number;
};

static struct column *column_of(struct column *columns, unsigned *count, const char *name)
{
	for (unsigned i = 0; i < *count; i++)
		if (strcmp(columns[i].name, name) == 0)
			return &columns[i];
	if (*count == COLUMNS_MAX)
		return NULL;
	columns[*count] =
		(struct column){.name = strdup(name), .width = width(name), .number = true};
	if (!columns[*count].name)
		abort();
	return &columns[(*count)++];
}

static unsigned measure(const json_t *rows, struct column columns[COLUMNS_MAX])
{
	struct cells cells = {.count = 0};
	struct column *column;
	unsigned count = 0;
	const json_t *row;
	size_t index;

	json_array_foreach(rows, index, row)
	{
		cells_add(&cells, "", row);
		for (unsigned i = 0; i < cells.count; i++) {
			column = column_of(columns, &count, cells.name[i]);
			if (!column)
				continue;
			column->width = max(column->width, width(cells.value[i]));
			column->number &= cells.number[i];
		}
		cells_free(&cells);
	}
	return count;
}

static void print_cell(const struct column *column, const char *text, bool last, FILE *out)
{
	print_padded(text, last && !column->number ? 0 : column->width, column->number, out);
	fputs(last ? "\n" : "  ", out);
}

static const char *cell_of(const struct cells *cells, const char *name)
{
	for (unsigned i = 0; i < cells->count; i++)
		if (strcmp(cells->name[i], name) == 0)
			return cells->value[i];
	return "-";
}

static void render_row(const json_t *row, const struct column *columns, unsigned count, FILE *out)
{
	struct cells cells = {.count = 0};

	cells_add(&cells, "", row);
	for (unsigned c = 0; c < count; c++) {
		const char *text = cell_of(&cells, columns[c].name);

		print_cell(&columns[c], text, c + 1 == count, out);
	}
	cells_free(&cells);
}

// A wide table of few rows is turned on its side: a line for each column, headed by the first one.
static void render_turned(
	const json_t *rows, const struct column *columns, unsigned count, FILE *out)
{
	struct cells cells[TURNED_ROWS_MAX] = {0};
	int names = 0, widths[TURNED_ROWS_MAX] = {0};
	size_t row_count = json_array_size(rows);

	for (unsigned c = 0; c < count; c++)
		names = max(names, width(columns[c].name));
	for (size_t r = 0; r < row_count; r++) {
		cells_add(&cells[r], "", json_array_get(rows, r));
		for (unsigned i = 0; i < cells[r].count; i++)
			widths[r] = max(widths[r], width(cells[r].value[i]));
	}
	for (unsigned c = 0; c < count; c++) {
		print_padded(columns[c].name, names, false, out);
		for (size_t r = 0; r < row_count; r++) {
			fputs("  ", out);
			print_padded(cell_of(&cells[r], columns[c].name), widths[r], true, out);
		}
		fputc('\n', out);
	}
	for (size_t r = 0; r < row_count; r++)
		cells_free(&cells[r]);
}

static void render_table(const json_t *rows, FILE *out)
{
	struct column columns[COLUMNS_MAX];
	unsigned count = measure(rows, columns);
	const json_t *row;
	size_t index;
	int total = 0;

	for (unsigned c = 0; c < count; c++)
		total += columns[c].width + 2;
	if (total > TABLE_WIDTH_MAX && json_array_size(rows) <= TURNED_ROWS_MAX) {
		render_turned(rows, columns, count, out);
	} else {
		for (unsigned c = 0; c < count; c++)
			print_cell(&columns[c], columns[c].name, c + 1 == count, out);
		json_array_foreach(rows, index, row) render_row(row, columns, count, out);
	}
	for (unsigned c = 0; c < count; c++)
		free(columns[c].name);
}

static void render_flows(const json_t *flows, FILE *out)
{
	json_t *rows = flow_rows(flows);

	render_table(rows, out);
	json_decref(rows);
}

// Words of a sentence, indented, in lines of MANUAL_WIDTH.
static void render_wrapped(const char *text, FILE *out)
{
	int used = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (used == 0 || used + 1 + (int)len > MANUAL_WIDTH) {
			fprintf(out, "%s    ", used ? "\n" : "");
			used = 4;
		} else {
			fputc(' ', out);
			used++;
		}
		fprintf(out, "%.*s", (int)len, text);
		used += (int)len;
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

// A line for each field of the command's answer.
static void render_fields(const json_t *fields, FILE *out)
{
	const json_t *meaning;
	const char *name;
	int names = 0;

	json_object_foreach((json_t *)fields, name, meaning) names = max(names, width(name));
	json_object_foreach((json_t *)fields, name, meaning)
	{
		fputs("      ", out);
		print_padded(name, names + 2, false, out);
		render_text(string_of(fields, name), "", out);
		fputc('\n', out);
	}
}

// `help`: a list of commands reads as a manual.
static void render_manual(const json_t *commands, FILE *out)
{
	const json_t *command, *example;
	size_t index;

	json_array_foreach(commands, index, command)
	{
		render_text(string_of(command, "command"), "", out);
		fputc('\n', out);
		render_wrapped(string_of(command, "help"), out);
		example = json_object_get(command, "example");
		if (example) {
			fputs("    example: ", out);
			render_text(string_of(command, "example"), "", out);
			fputc('\n', out);
		}
		render_fields(json_object_get(command, "fields"), out);
	}
}

static void render_lines(const char *place, const char *prefix, const json_t *list, FILE *out)
{
	const json_t *one;
	size_t index;

	json_array_foreach(list, index, one)
	{
		render_text(place, "", out);
		fputs(prefix, out);
		render_text(json_is_string(one) ? json_string_value(one) : "", "", out);
		fputc('\n', out);
	}
}

// What follows the plain values of `object`: its tables and texts, each behind an empty line and,
// where there is more than one thing to tell apart, its name.
static void render_blocks(const json_t *object, bool titled, FILE *out)
{
	const json_t *member;
	const char *key;

	json_object_foreach((json_t *)object, key, member)
	{
		if (!is_block(member))
			continue;
		if (titled) {
			fputc('\n', out);
			render_text(key, "", out);
			fputc('\n', out);
		}
		if (is_table(member) && strcmp(key, "commands") == 0)
			render_manual(member, out);
		else if (is_table(member) && strcmp(key, "flows") == 0)
			render_flows(member, out);
		else if (is_table(member))
			render_table(member, out);
		else if (is_sentences(member))
			render_lines("", "", member, out);
		else
			render_text(json_string_value(member), "\n\t", out);
	}
}

void render_document(const json_t *document, FILE *out)
{
	json_t *data = drop_explained(json_object_get(document, "data"));

	render_object(data, out);
	render_blocks(data, json_object_size(data) > 1, out);
	json_decref(data);
}

// One line for each thing that is wrong: the details where there are any, else the message.
static void render_messages(const json_t *error, const char *place, FILE *out)
{
	const json_t *details = json_object_get(error, "details");

	render_lines(place, "error: ", details, out);
	if (json_array_size(details))
		return;
	render_text(place, "", out);
	fputs("error: ", out);
	render_text(string_of(error, "message"), "\n", out);
	fputc('\n', out);
}

void render_error(const json_t *document, const char *place, const char *command, FILE *out)
{
	const json_t *error = json_object_get(document, "error");
	const json_t *column = json_object_get(error, "column");
	json_int_t at = json_integer_value(column);
	json_int_t length = json_integer_value(json_object_get(error, "length"));

	render_messages(error, place, out);
	if (json_is_integer(column) && at >= 0 && at <= (json_int_t)strlen(command)) {
		fputs("  ", out);
		render_text(command, "", out);
		fprintf(out, "\n  %*s", (int)at, "");
		for (json_int_t i = 0; i < length && i < 80; i++)
			fputc('^', out);
		fputc('\n', out);
	}
	if (*string_of(error, "hint")) {
		fputs("hint: ", out);
		render_text(string_of(error, "hint"), "\n", out);
		fputc('\n', out);
	}
}
