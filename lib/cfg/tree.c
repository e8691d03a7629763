#include "cfg/read.h"

#include <string.h>

#define INCLUDE "@include"

// libconfig would open the file an @include names; what is checked here must be the whole text, so
// that a check touches no file and the digest covers everything.
static unsigned include_line(const char *text)
{
	unsigned line = 1;

	for (;;) {
		const char *word = text + strspn(text, " \t");
		const char *end = strchr(text, '\n');

		if (strncmp(word, INCLUDE, strlen(INCLUDE)) == 0)
			return line;
		if (end == NULL)
			return 0;
		text = end + 1;
		line++;
	}
}

// Start of line `number`, without what indents it; NULL where nothing follows.
static const char *line_start(const char *text, unsigned number)
{
	while (number > 1 && (text = strchr(text, '\n')) != NULL) {
		text++;
		number--;
	}
	return text && text[strspn(text, " \t\r\n")] ? text + strspn(text, " \t") : NULL;
}

static void report_syntax(struct document *document, const config_t *tree, const char *text)
{
	unsigned number = tree->error_line > 0 ? (unsigned)tree->error_line : 1;
	const char *what = tree->error_text ? tree->error_text : "syntax error";
	const char *line = line_start(text, number);
	int len = line ? (int)strcspn(line, "\r\n") : 0;
	struct place place = {.line = number};

	if (line)
		errors_add(document->errors, document->file, place, NULL, "%s at or before `%.*s'",
			what, len < 80 ? len : 80, line);
	else
		errors_add(document->errors, document->file, place, NULL,
			"%s at or before the end of the file", what);
}

bool tree_parse(config_t *tree, struct document *document, const char *text)
{
	unsigned line = include_line(text);

	if (line != 0) {
		errors_add(document->errors, document->file, (struct place){.line = line}, NULL,
			"@include is not supported: a node has one file");
		return false;
	}
	if (config_read_string(tree, text) == CONFIG_TRUE)
		return true;
	report_syntax(document, tree, text);
	return false;
}
