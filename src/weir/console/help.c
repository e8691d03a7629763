#include "weir/console/help.h"

#include "weir/console/table.h"

#include <string.h>

static bool is_wanted(unsigned command, const char *const *words, unsigned count)
{
	if (count == 1 && strcmp(words[0], "all") == 0)
		return true;
	return grammar_path_starts(&command_table[command], words, count);
}

// With words, or `all`, it is the manual.
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
		json_array_append_new(rows, row);
	}
	return rows;
}
