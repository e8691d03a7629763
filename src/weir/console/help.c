#include "weir/console/help.h"

#include "weir/console/table.h"

#include <string.h>

static bool is_wanted(unsigned command, const char *const *words, unsigned count)
{
	if (count == 1 && strcmp(words[0], "all") == 0)
		return true;
	return grammar_path_starts(&command_table[command], words, count);
}

static json_t *fields_of(unsigned command)
{
	json_t *fields = json_object();

	for (const struct command_field *field = command_fields; field->name; field++)
		if (field->command == command)
			json_object_set_new(fields, field->name, json_string(field->meaning));
	return fields;
}

// With words, or `all`, it is the manual; the fields of the answers come where one object is asked
// about (`help show drop`).
json_t *help_rows(const char *const *words, unsigned count)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < COMMAND_COUNT; i++) {
		const struct grammar_command *command = &command_table[i];
		json_t *row;

		if (!is_wanted(i, words, count))
			continue;
		row = json_pack("{s:s,s:s}", "command", command->form, "help", command->help);
		if (count > 0)
			json_object_set_new(row, "example", json_string(command->example));
		if (count > 1)
			json_object_set_new(row, "fields", fields_of(i));
		json_array_append_new(rows, row);
	}
	return rows;
}
