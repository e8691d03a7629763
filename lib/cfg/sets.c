#include "cfg/nearest.h"
#include "cfg/read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT_BYTES 72

// One --set on its way down the tree.
struct set {
	struct document *document;
	struct place place;
	const char *path; // whole, for messages
	const char *rest; // what is not walked yet
	const char *value;
	char component[COMPONENT_BYTES];
};

static void set_refuse(const struct set *set, const char *reason, const char *hint)
{
	char text[96];

	errors_add(set->document->errors, set->document->file, set->place, set->path, "%s%s",
		reason, hint_format(hint, text, sizeof(text)));
}

static void set_unknown(const struct set *set, enum key parent)
{
	if (parent == KEY_NONE && schema_is_later(set->component))
		set_refuse(set, SCHEMA_LATER, NULL);
	else
		set_refuse(set, "unknown key", schema_nearest(parent, set->component));
}

// Takes the next component of the path; false where there is none.
static bool set_next(struct set *set)
{
	size_t len = strcspn(set->rest, ".");

	if (*set->rest == '\0')
		return false;
	snprintf(set->component, sizeof(set->component), "%.*s",
		len < COMPONENT_BYTES ? (int)len : COMPONENT_BYTES - 1, set->rest);
	set->rest += len;
	set->rest += *set->rest == '.';
	return true;
}

// The list element whose `name` is the next component.
static config_setting_t *set_element(struct set *set, const config_setting_t *list)
{
	int count = config_setting_is_list(list) ? config_setting_length(list) : 0;
	struct nearest nearest;

	if (!set_next(set)) {
		set_refuse(set, "is a list: name an element and a key, such as services.lab.mode",
			NULL);
		return NULL;
	}
	nearest = nearest_start(set->component);
	for (int i = 0; i < count; i++) {
		config_setting_t *element = config_setting_get_elem(list, (unsigned)i);
		const char *name = NULL;

		if (!config_setting_is_group(element) ||
			!config_setting_lookup_string(element, "name", &name))
			continue;
		if (strcmp(name, set->component) == 0)
			return element;
		nearest_offer(&nearest, name);
	}
	set_refuse(set, "there is no element of this name", nearest.best);
	return NULL;
}

static void mark(const struct set *set, config_setting_t *setting)
{
	if (setting != NULL)
		config_setting_set_hook(setting, (void *)(uintptr_t)set->place.set);
}

static config_setting_t *member(const struct set *set, config_setting_t *parent, int type)
{
	config_setting_t *setting = config_setting_get_member(parent, set->component);

	if (setting == NULL) {
		setting = config_setting_add(parent, set->component, type);
		mark(set, setting);
	}
	return setting;
}

static bool is_whole_number(const char *text, long long *number)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 10);
	return *text != '\0' && *end == '\0' && errno == 0;
}

// True where the file says the same, so that nothing is overridden.
static bool is_same(const config_setting_t *setting, const char *text)
{
	long long number;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		return strcmp(config_setting_get_string(setting), text) == 0;
	case CONFIG_TYPE_BOOL:
		return strcmp(config_setting_get_bool(setting) ? "true" : "false", text) == 0;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return is_whole_number(text, &number) &&
		       number == config_setting_get_int64(setting);
	default:
		return false;
	}
}

// Replaces the value. What is no number or boolean goes in as text, and reading says so.
static void set_store(const struct set *set, config_setting_t *parent, enum key key)
{
	enum schema_type type = schema[key].type;
	config_setting_t *setting = config_setting_get_member(parent, set->component);
	unsigned line = setting != NULL && !is_same(setting, set->value) ? setting->line : 0;
	long long number;

	config_setting_remove(parent, set->component);
	if (type == TYPE_INT && is_whole_number(set->value, &number)) {
		setting = config_setting_add(parent, set->component, CONFIG_TYPE_INT64);
		if (setting != NULL)
			config_setting_set_int64(setting, number);
	} else if (type == TYPE_BOOL &&
		   (strcmp(set->value, "true") == 0 || strcmp(set->value, "false") == 0)) {
		setting = config_setting_add(parent, set->component, CONFIG_TYPE_BOOL);
		if (setting != NULL)
			config_setting_set_bool(setting, set->value[0] == 't');
	} else {
		setting = config_setting_add(parent, set->component, CONFIG_TYPE_STRING);
		if (setting != NULL)
			config_setting_set_string(setting, set->value);
	}
	if (setting != NULL)
		setting->line = line;
	mark(set, setting);
}

// Walks table and tree side by side. A setting of the wrong type in the file ends the walk without
// a word: reading reports it.
static void set_walk(struct set *set, config_setting_t *setting)
{
	enum key parent = KEY_NONE;

	while (setting != NULL && set_next(set)) {
		enum key key = schema_child(parent, set->component);

		if (key == KEY_NONE) {
			set_unknown(set, parent);
			return;
		}
		if (schema[key].type == TYPE_GROUP) {
			setting = member(set, setting, CONFIG_TYPE_GROUP);
		} else if (schema[key].type == TYPE_LIST) {
			setting = member(set, setting, CONFIG_TYPE_LIST);
			setting = setting ? set_element(set, setting) : NULL;
		} else if (*set->rest != '\0') {
			set_refuse(set, "the path goes on behind a value", NULL);
			return;
		} else {
			set_store(set, setting, key);
			return;
		}
		parent = key;
	}
	if (setting != NULL)
		set_refuse(set, "names a group: set one of its keys", NULL);
}

static void set_apply(config_t *tree, struct document *document, const char *text, unsigned number)
{
	struct set set = {.document = document, .place = {.set = number}};
	const char *equals = strchr(text, '=');
	char *path;

	if (equals == NULL || equals == text) {
		set.path = text;
		set_refuse(&set, "is not PATH=VALUE, such as services.lab.mode=track", NULL);
		return;
	}
	path = strndup(text, (size_t)(equals - text));
	set.path = path;
	if (path == NULL) {
		set.path = text;
		set_refuse(&set, "out of memory", NULL);
		return;
	}
	// `ports` is a list in the file and cannot hold a key of its own.
	set.rest = strcmp(path, "ports.follow_link") == 0 ? "follow_link" : path;
	set.value = equals + 1;
	set_walk(&set, config_root_setting(tree));
	free(path);
}

void tree_apply_sets(
	config_t *tree, struct document *document, const char *const *sets, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		set_apply(tree, document, sets[i], i + 1);
}
