// The console's command line: parsing and completion of whatever a client sends.
#include "fuzz.h"

#include "weir/console/table.h"

#include <string.h>

static void values(void *context, enum grammar_type type, struct grammar_choices *out)
{
	(void)context;
	if (type == TYPE_PORT)
		grammar_choice_add(out, "outside");
	if (type == TYPE_SERVICE)
		grammar_choice_add(out, "lab");
	if (type == TYPE_PEER)
		grammar_choice_add(out, "pop-b");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct grammar grammar = {
		.commands = command_table, .command_count = COMMAND_COUNT, .values = values};
	static struct grammar_line line;
	static struct grammar_choices choices;
	char text[GRAMMAR_LINE_BYTES + 16];
	struct grammar_args args;
	struct grammar_error error;

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, data, len);
	text[len] = '\0';
	if (grammar_split(&line, text, &error) == 0)
		(void)grammar_parse(&grammar, &line, &args, &error);
	grammar_complete(&grammar, text, &choices);
	return 0;
}
