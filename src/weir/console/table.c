#include "weir/console/table.h"

const struct grammar_command command_table[COMMAND_COUNT] = {
#define X(name, form, help, example) [COMMAND_##name] = {form, help, example},
	COMMANDS(X)
#undef X
};
