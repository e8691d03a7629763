#include "weir/console/table.h"

#include "base/reason.h"

const struct grammar_command command_table[COMMAND_COUNT] = {
#define X(name, form, help, example) [COMMAND_##name] = {form, help, example},
	COMMANDS(X)
#undef X
};

const struct command_field command_fields[] = {
#define X(command, name, meaning) {COMMAND_##command, name, meaning},
	COMMAND_FIELDS(X)
#undef X
#define X(name, meaning) {COMMAND_show_drop, "reasons." #name, meaning},
		REASONS(X)
#undef X
			{.name = NULL},
};
