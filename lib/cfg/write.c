#include "cfg/write.h"

#include "cfg/scalar.h"

#include <inttypes.h>

// Where the text goes, and how far in.
struct writer {
	FILE *out;
	struct document *document;
	struct element *element;
	bool explain;
	bool commented;
	unsigned depth;
};

static void write_keys(struct writer *writer, enum key from, enum key end);

static void line_start(const struct writer *writer)
{
	for (unsigned i = 0; i < writer->depth; i++)
		fputc('\t', writer->out);
	if (writer->commented)
		fputs("# ", writer->out);
}

static void explain_range(FILE *out, const struct schema_key *entry)
{
	switch (entry->type) {
	case TYPE_INT:
		fprintf(out, "%" PRId64 "..%" PRId64 "; ", entry->min, entry->max);
		break;
	case TYPE_BOOL:
		fputs("true or false; ", out);
		break;
	case TYPE_CHOICE:
		fprintf(out, "%s; ", entry->choices);
		break;
	case TYPE_LIST:
	case TYPE_PREFIXES:
		fprintf(out, "at most %" PRId64 "; ", entry->max);
		break;
	default:
		break;
	}
}

static void explain(const struct writer *writer, enum key key)
{
	const struct schema_key *entry = &schema[key];

	if (!writer->explain)
		return;
	line_start(writer);
	fprintf(writer->out, "# %s\n", entry->doc);
	if (entry->type == TYPE_GROUP)
		return;
	line_start(writer);
	fputs("# ", writer->out);
	explain_range(writer->out, entry);
	if (entry->initial == NULL && entry->type != TYPE_LIST)
		fputs("must be given; ", writer->out);
	else if (entry->initial != NULL && entry->initial[0] != '\0')
		fprintf(writer->out, "default %s; ", entry->initial);
	if (entry->floor != 0)
		fprintf(writer->out, "floor %" PRId64 "; ", entry->floor);
	fprintf(writer->out, "%s\n", entry->restart ? "restart" : "reload");
}

static void write_group(struct writer *writer, enum key key)
{
	bool commented = writer->commented;

	writer->commented = commented || (writer->explain && schema[key].optional);
	line_start(writer);
	fprintf(writer->out, "%s = {\n", schema_name(key));
	writer->depth++;
	write_keys(writer, key + 1, schema_end(key));
	writer->depth--;
	line_start(writer);
	fputs("};\n", writer->out);
	writer->commented = commented;
}

static void write_list(struct writer *writer, enum key key)
{
	struct value *list = &writer->document->values[key];
	const char *example = writer->explain ? schema[key].example : NULL;

	line_start(writer);
	fprintf(writer->out, "%s = (", schema_name(key));
	for (unsigned i = 0; i < list->count; i++) {
		writer->element = &list->elements[i];
		fputs(i ? ", {\n" : "{\n", writer->out);
		writer->depth++;
		write_keys(writer, key + 1, schema_end(key));
		writer->depth--;
		line_start(writer);
		fputc('}', writer->out);
	}
	writer->element = NULL;
	if (example != NULL)
		fprintf(writer->out, ", %s", example);
	fputs(");\n", writer->out);
}

static void write_key(struct writer *writer, enum key key)
{
	const struct value *value = value_of(writer->document, writer->element, key);

	explain(writer, key);
	if (schema[key].type == TYPE_GROUP) {
		write_group(writer, key);
		return;
	}
	if (schema[key].type == TYPE_LIST) {
		write_list(writer, key);
		return;
	}
	line_start(writer);
	fprintf(writer->out, "%s = ", schema_name(key));
	scalar_print(writer->out, key, value);
	fputs(";\n", writer->out);
}

// The keys from..end-1, those inside groups and lists by the key that holds them.
static void write_keys(struct writer *writer, enum key from, enum key end)
{
	for (enum key key = from; key < end; key = schema_end(key)) {
		const struct value *value = value_of(writer->document, writer->element, key);

		if (schema[key].optional && !value->given && !writer->explain)
			continue;
		if (writer->explain && key != from)
			fputc('\n', writer->out);
		write_key(writer, key);
	}
}

void document_write(FILE *out, struct document *document, bool explain_keys)
{
	struct writer writer = {.out = out, .document = document, .explain = explain_keys};

	write_keys(&writer, 0, KEY_COUNT);
}
