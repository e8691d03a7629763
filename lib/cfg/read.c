#include "cfg/read.h"

#include "cfg/scalar.h"

#include <inttypes.h>
#include <string.h>

#define WHY_BYTES 256

static void read_group(struct document *document, struct element *element, enum key parent,
	const config_setting_t *group);

static struct place place_of(const config_setting_t *setting)
{
	unsigned set = (unsigned)(uintptr_t)config_setting_get_hook(setting);

	return (struct place){.line = setting->line || set ? setting->line : 1, .set = set};
}

static void report_unknown(struct document *document, const struct element *element,
	enum key parent, const config_setting_t *setting)
{
	const char *name = config_setting_name(setting);
	char path[256] = "";
	char hint[96];

	if (parent != KEY_NONE)
		path_format(element, parent, path, sizeof(path) - 1);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s%s",
		parent != KEY_NONE ? "." : "", name);
	if (parent == KEY_NONE && schema_is_later(name)) {
		errors_add(document->errors, document->file, place_of(setting), path, SCHEMA_LATER);
		return;
	}
	errors_add(document->errors, document->file, place_of(setting), path, "unknown key%s",
		hint_format(schema_nearest(parent, name), hint, sizeof(hint)));
}

// What a key takes, with an example.
static const char *expected(enum key key, char *out, size_t size)
{
	const struct schema_key *entry = &schema[key];
	const char *example = entry->example ? entry->example : entry->initial;

	switch (entry->type) {
	case TYPE_INT:
		snprintf(out, size, "a whole number such as %s", example);
		break;
	case TYPE_BOOL:
		snprintf(out, size, "true or false");
		break;
	case TYPE_TEXT:
		snprintf(out, size, "a text in quotes such as \"%s\"", example);
		break;
	case TYPE_CHOICE:
		snprintf(out, size, "one of %s, in quotes", entry->choices);
		break;
	case TYPE_PROTOCOL:
		snprintf(out, size, "one of %s in quotes, or a protocol number", entry->choices);
		break;
	case TYPE_PREFIXES:
		snprintf(out, size, "prefixes such as [ \"192.0.2.0/24\", \"2001:db8::/32\" ]");
		break;
	case TYPE_RANGES:
		snprintf(out, size, "numbers such as \"80\", \"80,443\" or \"1-%" PRId64 "\"",
			entry->max);
		break;
	case TYPE_GROUP:
		snprintf(out, size, "a group such as %s = { ... };", schema_name(key));
		break;
	case TYPE_LIST:
		snprintf(out, size,
			"a list of groups such as %s = ( { name = \"...\"; }, { ... } );",
			schema_name(key));
		break;
	}
	return out;
}

static const char *found(const config_setting_t *setting, char *out, size_t size)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(out, size, "the number %lld", config_setting_get_int64(setting));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(out, size, "a number with a fraction");
		break;
	case CONFIG_TYPE_STRING:
		snprintf(out, size, "the text \"%.64s\"", config_setting_get_string(setting));
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(out, size, "%s", config_setting_get_bool(setting) ? "true" : "false");
		break;
	case CONFIG_TYPE_GROUP:
		snprintf(out, size, "a group");
		break;
	default:
		snprintf(out, size, "%s",
			config_setting_length(setting) ? "a list" : "an empty list");
		break;
	}
	return out;
}

static void report_type(struct document *document, struct element *element, enum key key,
	const config_setting_t *setting)
{
	char want[128];
	char have[128];

	report(document, element, key, "expected %s, found %s", expected(key, want, sizeof(want)),
		found(setting, have, sizeof(have)));
}

static bool is_integer(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_INT ||
	       config_setting_type(setting) == CONFIG_TYPE_INT64;
}

static bool is_text(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_STRING;
}

// Where the name is fit to be shown, messages use it instead of the position.
static void label_element(struct element *element, const config_setting_t *group)
{
	const char *name = NULL;

	if (config_setting_lookup_string(group, "name", &name) && *name != '\0' &&
		strlen(name) < sizeof(element->label) && strpbrk(name, ".[ ") == NULL)
		snprintf(element->label, sizeof(element->label), "%s", name);
}

static void read_list(struct document *document, enum key key, const config_setting_t *list)
{
	struct value *value = &document->values[key];
	unsigned count = (unsigned)config_setting_length(list);

	if (!config_setting_is_list(list)) {
		report_type(document, NULL, key, list);
		return;
	}
	if (count > schema[key].max) {
		report(document, NULL, key, "%u elements; %" PRId64 " at most", count,
			schema[key].max);
		return;
	}
	if (!elements_create(value, key, count)) {
		report(document, NULL, key, "out of memory");
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		struct element *element = &value->elements[i];
		const config_setting_t *group = config_setting_get_elem(list, i);

		element->place = place_of(group);
		if (config_setting_is_group(group)) {
			label_element(element, group);
			read_group(document, element, key, group);
		} else {
			report_type(document, element, key, group);
			element->bad = true;
		}
	}
}

// One entry of an array of prefixes or ranges: whole, so that an error names the entry.
static bool read_entry(struct document *document, struct element *element, enum key key,
	const config_setting_t *entry)
{
	struct value *value = value_of(document, element, key);
	const char *text = is_text(entry) ? config_setting_get_string(entry) : NULL;
	char why[WHY_BYTES];
	int failed;

	if (text != NULL && schema[key].type == TYPE_PREFIXES) {
		failed = prefix_add(value, key, text, why, sizeof(why));
	} else if (text != NULL) {
		failed = range_add(value, key, text, why, sizeof(why));
	} else if (is_integer(entry) && schema[key].type == TYPE_RANGES) {
		failed =
			scalar_store(value, key, config_setting_get_int64(entry), why, sizeof(why));
	} else {
		report_type(document, element, key, entry);
		return false;
	}
	if (failed != 0) {
		value->place = place_of(entry);
		report(document, element, key, "%s", why);
	}
	return failed == 0;
}

static void read_entries(struct document *document, struct element *element, enum key key,
	const config_setting_t *array)
{
	int count = config_setting_length(array);

	if (count == 0)
		report_type(document, element, key, array);
	for (int i = 0; i < count; i++) {
		config_setting_t *entry = config_setting_get_elem(array, (unsigned)i);

		if (!read_entry(document, element, key, entry))
			return;
	}
}

static void read_scalar(struct document *document, struct element *element, enum key key,
	const config_setting_t *setting)
{
	enum schema_type type = schema[key].type;
	struct value *value = value_of(document, element, key);
	bool takes_integer = type == TYPE_INT || type == TYPE_PROTOCOL || type == TYPE_RANGES;
	bool takes_text = type != TYPE_INT && type != TYPE_BOOL && type != TYPE_GROUP;
	char why[WHY_BYTES];
	int failed = 0;

	if (type == TYPE_BOOL && config_setting_type(setting) == CONFIG_TYPE_BOOL)
		value->number = config_setting_get_bool(setting);
	else if (takes_integer && is_integer(setting))
		failed = scalar_store(
			value, key, config_setting_get_int64(setting), why, sizeof(why));
	else if (takes_text && is_text(setting))
		failed = scalar_parse(
			value, key, config_setting_get_string(setting), why, sizeof(why));
	else
		report_type(document, element, key, setting);
	if (failed != 0)
		report(document, element, key, "%s", why);
}

static void read_value(struct document *document, struct element *element, enum key key,
	const config_setting_t *setting)
{
	struct value *value = value_of(document, element, key);
	enum schema_type type = schema[key].type;
	bool is_array = config_setting_is_array(setting) || config_setting_is_list(setting);

	value->given = true;
	value->place = place_of(setting);
	if (type == TYPE_LIST)
		read_list(document, key, setting);
	else if (type == TYPE_GROUP && config_setting_is_group(setting))
		read_group(document, element, key, setting);
	else if ((type == TYPE_PREFIXES || type == TYPE_RANGES) && is_array)
		read_entries(document, element, key, setting);
	else
		read_scalar(document, element, key, setting);
}

static void read_group(struct document *document, struct element *element, enum key parent,
	const config_setting_t *group)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		enum key key = schema_child(parent, config_setting_name(setting));

		if (key == KEY_NONE)
			report_unknown(document, element, parent, setting);
		else
			read_value(document, element, key, setting);
	}
}

// Whether the key belongs to an optional group that is not there: then nothing of it is missing.
static bool is_absent(const struct document *document, enum key key)
{
	for (enum key group = 0; group < key; group++)
		if (schema[group].type == TYPE_GROUP && schema[group].optional &&
			schema_end(group) > key && !document->values[group].given)
			return true;
	return false;
}

// A value that is missing or was refused becomes the default, so that later checks see no nonsense.
static void fill(struct document *document, struct element *element, enum key key)
{
	struct value *value = value_of(document, element, key);
	const struct schema_key *entry = &schema[key];
	char text[128];

	if (entry->type == TYPE_GROUP || entry->type == TYPE_LIST || (value->given && !value->bad))
		return;
	scalar_clear(value);
	value->bad = value->bad || (element != NULL && element->bad);
	if (entry->initial != NULL)
		scalar_parse(value, key, entry->initial, text, sizeof(text));
	else if (!value->bad && !is_absent(document, key))
		report(document, element, key, "is missing: give %s",
			expected(key, text, sizeof(text)));
}

static void fill_list(struct document *document, enum key list)
{
	struct value *value = &document->values[list];
	enum key end = schema_end(list);

	for (unsigned i = 0; i < value->count; i++)
		for (enum key key = list + 1; key < end; key++)
			fill(document, &value->elements[i], key);
}

void document_read(struct document *document, const config_t *tree)
{
	enum key key = 0;

	read_group(document, NULL, KEY_NONE, config_root_setting(tree));
	while (key < KEY_COUNT) {
		if (schema[key].type == TYPE_LIST) {
			fill_list(document, key);
			key = schema_end(key);
		} else {
			fill(document, NULL, key);
			key++;
		}
	}
}
