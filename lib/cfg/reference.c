#include "cfg/scalar.h"
#include "cfg/write.h"

#include <stdlib.h>

static const char head[] =
	"# Every key of a configuration: what it means, its range, its default, and whether a "
	"reload\n"
	"# applies a change or a restart is needed. Made from the program's own table by\n"
	"# `weir check --reference'.\n\n";

// The table's example, or its default.
static void fill_example(struct document *document, struct element *element, enum key key)
{
	const struct schema_key *entry = &schema[key];
	char why[128];

	if (entry->type != TYPE_GROUP && entry->type != TYPE_LIST)
		scalar_parse(value_of(document, element, key), key,
			entry->example ? entry->example : entry->initial, why, sizeof(why));
}

static bool fill_examples(struct document *document)
{
	enum key key = 0;

	while (key < KEY_COUNT) {
		struct value *value = &document->values[key];
		enum key end = schema_end(key);

		if (schema[key].type != TYPE_LIST) {
			fill_example(document, NULL, key++);
			continue;
		}
		if (!elements_create(value, key, 1))
			return false;
		while (++key < end)
			fill_example(document, &value->elements[0], key);
	}
	return true;
}

char *config_reference(void)
{
	struct config_errors errors = {0};
	struct document *document = document_create("", &errors);
	char *text = NULL;
	size_t len;
	FILE *out = document ? open_memstream(&text, &len) : NULL;

	if (out != NULL && fill_examples(document)) {
		fputs(head, out);
		document_write(out, document, true);
	}
	if (out != NULL)
		fclose(out);
	document_destroy(document);
	return text;
}
