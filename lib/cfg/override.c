#include "cfg/config.h"
#include "cfg/document.h"
#include "cfg/scalar.h"

#include <stdlib.h>

static void note(struct config_errors *notes, struct document *document, struct element *element,
	enum key key)
{
	struct value *value = value_of(document, element, key);
	struct place line = {.line = value->place.line};
	char path[160];
	char *text = NULL;
	size_t len;
	FILE *out;

	// A --set that replaced nothing has no line.
	if (value->place.set == 0 || value->place.line == 0)
		return;
	out = open_memstream(&text, &len);
	if (out == NULL)
		return;
	scalar_print(out, key, value);
	fclose(out);
	errors_add(notes, document->file, line, path_format(element, key, path, sizeof(path)),
		"note: overridden by --set: %s is in force", text);
	free(text);
}

static void note_list(struct config_errors *notes, struct document *document, enum key list)
{
	struct value *value = &document->values[list];
	enum key end = schema_end(list);

	for (unsigned i = 0; i < value->count; i++)
		for (enum key key = list + 1; key < end; key++)
			note(notes, document, &value->elements[i], key);
}

void config_overrides(const struct config *config, struct config_errors *notes)
{
	enum key key = 0;

	if (notes->list == NULL && !errors_start(notes))
		return;
	while (key < KEY_COUNT) {
		if (schema[key].type == TYPE_LIST) {
			note_list(notes, config->document, key);
			key = schema_end(key);
		} else {
			note(notes, config->document, NULL, key);
			key++;
		}
	}
	errors_sort(notes);
}
