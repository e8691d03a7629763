#include "cfg/document.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 160

struct document *document_create(const char *file, struct config_errors *errors)
{
	struct document *document = calloc(1, sizeof(*document));

	if (document == NULL)
		return NULL;
	document->file = file;
	document->errors = errors;
	return document;
}

static void value_finish(struct value *value);

static void element_finish(struct element *element)
{
	enum key end = schema_end(element->list);

	for (enum key key = element->list + 1; key < end; key++)
		value_finish(&element->values[key - element->list - 1]);
	free(element->values);
}

static void value_finish(struct value *value)
{
	if (value->elements != NULL)
		for (unsigned i = 0; i < value->count; i++)
			element_finish(&value->elements[i]);
	free(value->elements);
	free(value->text);
	free(value->prefixes);
	free(value->ranges);
}

void document_destroy(struct document *document)
{
	if (document == NULL)
		return;
	for (enum key key = 0; key < KEY_COUNT; key++)
		value_finish(&document->values[key]);
	free(document);
}

bool elements_create(struct value *list, enum key key, unsigned count)
{
	unsigned values = schema_end(key) - key - 1;

	list->elements = calloc(count ? count : 1, sizeof(*list->elements));
	if (list->elements == NULL)
		return false;
	for (unsigned i = 0; i < count; i++) {
		struct element *element = &list->elements[i];

		element->list = key;
		snprintf(element->label, sizeof(element->label), "[%u]", i);
		element->values = calloc(values, sizeof(*element->values));
		if (element->values == NULL)
			return false;
		list->count = i + 1;
	}
	return true;
}

const char *path_format(const struct element *element, enum key key, char *out, size_t size)
{
	const char *path = schema[key].path;
	size_t list_len;

	if (element == NULL) {
		snprintf(out, size, "%s", path);
		return out;
	}
	list_len = strlen(schema[element->list].path);
	snprintf(out, size, "%.*s%s%s%s", (int)list_len, path, element->label[0] == '[' ? "" : ".",
		element->label, path + list_len);
	return out;
}

struct place place_of_key(const struct document *document, enum key key)
{
	struct place place = {.line = 1};

	if (document->values[key].given)
		return document->values[key].place;
	for (enum key group = 0; group < key; group++)
		if (schema[group].type == TYPE_GROUP && schema_end(group) > key &&
			document->values[group].given)
			place = document->values[group].place;
	return place;
}

void report(
	struct document *document, struct element *element, enum key key, const char *format, ...)
{
	struct value *value = NULL;
	struct place place;
	char path[PATH_BYTES];
	char text[400];
	va_list arguments;

	if (element == NULL || key != element->list) {
		value = value_of(document, element, key);
		value->bad = true;
	}
	if (value != NULL && value->given)
		place = value->place;
	else
		place = element != NULL ? element->place : place_of_key(document, key);
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	errors_add(document->errors, document->file, place,
		path_format(element, key, path, sizeof(path)), "%s", text);
}

bool file_resolve(const char *file, const char *name, char *out, size_t size)
{
	const char *slash = strrchr(file, '/');
	int folder_len = name[0] == '/' || slash == NULL ? 0 : (int)(slash - file) + 1;
	int len = snprintf(out, size, "%.*s%s", folder_len, file, name);

	return len >= 0 && (size_t)len < size;
}
