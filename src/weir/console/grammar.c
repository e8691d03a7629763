// Two steps. The path: word by word the commands whose path goes on with this word, an exact one
// before a shortened one, which must be the only keyword it can mean. Then the arguments of the one
// command that is left, element by element; an optional group is entered when its first element
// accepts the word. Completion takes the same steps and collects what is expected at the end.
#include "weir/console/grammar.h"

#include "base/check.h"
#include "base/error.h"
#include "weir/console/form.h"
#include "weir/console/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS_MAX 64

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

// How a word stands for a keyword.
enum fit {
	FIT_NONE = 0,
	FIT_SHORT,
	FIT_EXACT,
};

static enum fit keyword_fit(const char *keyword, const char *word)
{
	if (strcmp(keyword, word) == 0)
		return FIT_EXACT;
	return *word && starts_with(keyword, word) ? FIT_SHORT : FIT_NONE;
}

// Commands that the words so far can still mean.
struct candidates {
	uint8_t command[COMMANDS_MAX];
	unsigned count;
};

static void path_word(char out[FORM_KEYWORD_BYTES], const struct grammar_command *command,
	unsigned depth, bool *has)
{
	struct form form;
	struct form_alternative alternative;
	unsigned at = 0;

	form_parse(&form, command->form);
	*has = depth < form.path && form_next(&form.element[depth], &at, &alternative);
	if (*has)
		memcpy(out, alternative.keyword, FORM_KEYWORD_BYTES);
}

static void candidates_all(const struct grammar *grammar, struct candidates *out)
{
	CHECK(grammar->command_count <= COMMANDS_MAX);
	out->count = grammar->command_count;
	for (unsigned i = 0; i < out->count; i++)
		out->command[i] = (uint8_t)i;
}

// Keywords the candidates have at `depth`.
static void path_choices(const struct grammar *grammar, const struct candidates *candidates,
	unsigned depth, struct grammar_choices *out)
{
	char keyword[FORM_KEYWORD_BYTES];
	bool has;

	for (unsigned i = 0; i < candidates->count; i++) {
		path_word(keyword, &grammar->commands[candidates->command[i]], depth, &has);
		if (has)
			grammar_choice_add(out, keyword);
	}
}

// The one keyword of `choices` the word means; NULL where it is none, or several (*several).
static const char *choose(const struct grammar_choices *choices, const char *word, bool *several)
{
	const char *found = NULL;

	*several = false;
	for (unsigned i = 0; i < choices->count; i++) {
		enum fit fit = keyword_fit(choices->word[i], word);

		if (fit == FIT_EXACT) {
			*several = false;
			return choices->word[i];
		}
		*several |= fit == FIT_SHORT && found;
		if (fit == FIT_SHORT)
			found = choices->word[i];
	}
	return *several ? NULL : found;
}

static void keep(const struct grammar *grammar, struct candidates *candidates, unsigned depth,
	const char *keyword)
{
	char have[FORM_KEYWORD_BYTES];
	unsigned kept = 0;
	bool has;

	for (unsigned i = 0; i < candidates->count; i++) {
		path_word(have, &grammar->commands[candidates->command[i]], depth, &has);
		if (has && strcmp(have, keyword) == 0)
			candidates->command[kept++] = candidates->command[i];
	}
	candidates->count = kept;
}

// Follows the path as far as the first `limit` words go. Returns the depth reached.
static unsigned walk(const struct grammar *grammar, const struct grammar_line *line, unsigned limit,
	struct candidates *candidates, bool *several)
{
	struct grammar_choices choices;
	const char *keyword;
	unsigned depth = 0;

	candidates_all(grammar, candidates);
	for (*several = false; depth < limit; depth++) {
		choices.count = 0;
		path_choices(grammar, candidates, depth, &choices);
		keyword = choose(&choices, line->word[depth], several);
		if (!keyword)
			break;
		keep(grammar, candidates, depth, keyword);
	}
	return depth;
}

// The candidate whose path ends at `depth`, or NULL.
static const struct grammar_command *ended(
	const struct grammar *grammar, const struct candidates *candidates, unsigned depth)
{
	struct form form;

	for (unsigned i = 0; i < candidates->count; i++) {
		form_parse(&form, grammar->commands[candidates->command[i]].form);
		if (form.path == depth)
			return &grammar->commands[candidates->command[i]];
	}
	return NULL;
}

static void set_hint(
	struct grammar_error *error, const struct grammar_choices *choices, const char *word)
{
	const char *nearest = *word ? grammar_nearest(choices, word) : NULL;
	size_t used;

	error->hint[0] = '\0';
	if (nearest) {
		snprintf(error->hint, sizeof(error->hint), "did you mean `%s'?", nearest);
		return;
	}
	if (choices->count == 0 && !choices->types)
		return;
	used = (size_t)snprintf(error->hint, sizeof(error->hint), "expected");
	for (unsigned i = 0; i < choices->count && used < sizeof(error->hint); i++)
		used += (size_t)snprintf(error->hint + used, sizeof(error->hint) - used, "%s %s",
			i ? "," : "", choices->word[i]);
	for (unsigned type = 0; type < TYPE_COUNT && used < sizeof(error->hint); type++)
		if (choices->types >> type & 1)
			used += (size_t)snprintf(error->hint + used, sizeof(error->hint) - used,
				"%s %s", used > strlen("expected") ? "," : "",
				form_type_name((enum grammar_type)type));
}

// Points the error at word `index`, or behind the line's end.
static void error_at(struct grammar_error *error, const char *code, const struct grammar_line *line,
	unsigned index)
{
	error->code = code;
	error->hint[0] = '\0';
	if (index < line->count) {
		error->column = line->column[index];
		error->length = (unsigned)strlen(line->word[index]);
		return;
	}
	error->column = line->count ? line->column[line->count - 1] +
					      (unsigned)strlen(line->word[line->count - 1]) + 1
				    : 0;
	error->length = 1;
}

static int fail_path(const struct grammar *grammar, const struct grammar_line *line,
	const struct candidates *candidates, unsigned depth, struct grammar_error *error)
{
	const char *word = depth < line->count ? line->word[depth] : "";
	struct grammar_choices choices = {.count = 0};
	struct grammar_choices fitting = {.count = 0};

	path_choices(grammar, candidates, depth, &choices);
	for (unsigned i = 0; i < choices.count; i++)
		if (keyword_fit(choices.word[i], word))
			grammar_choice_add(&fitting, choices.word[i]);
	error_at(error, "unknown_command", line, depth);
	if (line->count == 0)
		snprintf(error->message, sizeof(error->message), "no command");
	else if (depth >= line->count)
		snprintf(error->message, sizeof(error->message),
			"the command is incomplete behind `%.100s'", line->word[depth - 1]);
	else if (fitting.count)
		snprintf(error->message, sizeof(error->message), "`%.100s' is ambiguous", word);
	else
		snprintf(error->message, sizeof(error->message), "unknown word `%.100s'", word);
	set_hint(error, fitting.count ? &fitting : &choices, fitting.count ? "" : word);
	return -ERR_MALFORMED;
}

static void element_choices(const struct grammar *grammar, const struct form_element *element,
	struct grammar_choices *out)
{
	struct form_alternative alternative;

	for (unsigned at = 0; form_next(element, &at, &alternative);) {
		if (alternative.keyword[0])
			grammar_choice_add(out, alternative.keyword);
		else
			value_choices(grammar, alternative.type, element->exact, out);
	}
}

static bool element_accepts(const struct grammar *grammar, const struct form_element *element,
	const char *word, struct grammar_args *args, const char **why)
{
	struct form_alternative alternative;

	*why = "is not expected here";
	for (unsigned at = 0; form_next(element, &at, &alternative);) {
		if (!alternative.keyword[0]) {
			if (value_parse(grammar, alternative.type, element->exact, word, args, why))
				continue;
			args->given |= 1u << alternative.type;
		} else if (keyword_fit(alternative.keyword, word) == FIT_NONE) {
			continue;
		}
		return true;
	}
	return false;
}

// Index behind the optional group that begins at `at`.
static unsigned group_end(const struct form *form, unsigned at)
{
	do
		at++;
	while (at < form->count && form->element[at].optional && !form->element[at].group);
	return at;
}

// How far the arguments fit: on return, `word` is the first word and `element` the first element
// not used up, `why` the reason the word did not fit (NULL where there was nothing to fit it to).
struct progress {
	unsigned word, element;
	const char *why;
	struct grammar_choices expected; // by the last word that was asked for
};

static void parse_args(const struct grammar *grammar, const struct form *form,
	const struct grammar_line *line, struct grammar_args *args, struct progress *progress)
{
	const struct form_element *element;
	struct grammar_args before;

	for (; progress->element < form->count; progress->element++) {
		element = &form->element[progress->element];
		element_choices(grammar, element, &progress->expected);
		if (progress->word == line->count) {
			if (!element->group)
				return;
			progress->element = group_end(form, progress->element) - 1;
			continue;
		}
		before = *args;
		if (element_accepts(
			    grammar, element, line->word[progress->word], args, &progress->why)) {
			progress->word++;
			progress->expected = (struct grammar_choices){.count = 0};
			if (args->given >> TYPE_WORDS & 1)
				progress->word = line->count;
			continue;
		}
		*args = before;
		if (!element->group)
			return;
		progress->element = group_end(form, progress->element) - 1;
	}
}

static int fail_args(const struct grammar_line *line, const struct progress *progress,
	const struct grammar_choices *siblings, struct grammar_error *error)
{
	struct grammar_choices choices = progress->expected;
	const char *word = progress->word < line->count ? line->word[progress->word] : "";

	error_at(error, "bad_argument", line, progress->word);
	for (unsigned i = 0; i < siblings->count; i++)
		grammar_choice_add(&choices, siblings->word[i]);
	if (!*word)
		snprintf(error->message, sizeof(error->message), "an argument is missing");
	else
		snprintf(error->message, sizeof(error->message), "`%.100s' %s", word,
			progress->why ? progress->why : "is one word too many");
	set_hint(error, &choices, word);
	return -ERR_MALFORMED;
}

int grammar_parse(const struct grammar *grammar, const struct grammar_line *line,
	struct grammar_args *args, struct grammar_error *error)
{
	struct progress progress = {.why = NULL};
	struct grammar_choices siblings = {.count = 0};
	struct candidates candidates;
	const struct grammar_command *command;
	struct form form;
	unsigned depth;
	bool several;

	memset(args, 0, sizeof(*args));
	match_init(&args->match);
	depth = walk(grammar, line, line->count, &candidates, &several);
	command = ended(grammar, &candidates, depth);
	if (!command || several)
		return fail_path(grammar, line, &candidates, depth, error);
	form_parse(&form, command->form);
	args->command = (unsigned)(command - grammar->commands);
	args->words = line->word + depth;
	args->word_count = line->count - depth;
	progress.word = progress.element = depth;
	parse_args(grammar, &form, line, args, &progress);
	if (progress.word == line->count && progress.element == form.count)
		return 0;
	if (progress.word == depth)
		path_choices(grammar, &candidates, depth, &siblings);
	return fail_args(line, &progress, &siblings, error);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

// What could follow the words of `line`. Recurses for commands about commands (help).
static void collect(
	const struct grammar *grammar, const struct grammar_line *line, struct grammar_choices *out)
{
	struct progress progress = {.why = NULL};
	struct grammar_args args = {.given = 0};
	struct candidates candidates;
	const struct grammar_command *command;
	struct form form;
	bool several;
	unsigned depth = walk(grammar, line, line->count, &candidates, &several);

	if (depth == line->count)
		path_choices(grammar, &candidates, depth, out);
	command = several ? NULL : ended(grammar, &candidates, depth);
	if (!command)
		return;
	form_parse(&form, command->form);
	progress.word = progress.element = depth;
	parse_args(grammar, &form, line, &args, &progress);
	if (progress.word != line->count)
		return;
	out->types = progress.expected.types;
	for (unsigned i = 0; i < progress.expected.count; i++)
		grammar_choice_add(out, progress.expected.word[i]);
	if ((args.given | out->types) >> TYPE_WORDS & 1) {
		struct grammar_line rest = {.count = line->count - depth};

		memcpy(rest.word, line->word + depth, rest.count * sizeof(rest.word[0]));
		if (depth > 0)
			collect(grammar, &rest, out);
	}
}

void grammar_complete(const struct grammar *grammar, const char *text, struct grammar_choices *out)
{
	struct grammar_choices all = {.count = 0};
	struct grammar_error error;
	struct grammar_line line;
	const char *last = "";

	memset(out, 0, sizeof(*out));
	if (grammar_split(&line, text, &error))
		return;
	if (line.open && line.count)
		last = line.word[--line.count];
	collect(grammar, &line, &all);
	out->types = all.types;
	for (unsigned i = 0; i < all.count; i++)
		if (starts_with(all.word[i], last))
			grammar_choice_add(out, all.word[i]);
	qsort(out->word, out->count, sizeof(out->word[0]), by_name);
}

bool grammar_path_starts(
	const struct grammar_command *command, const char *const *words, unsigned count)
{
	char keyword[FORM_KEYWORD_BYTES];
	bool has;

	for (unsigned i = 0; i < count; i++) {
		path_word(keyword, command, i, &has);
		if (!has || keyword_fit(keyword, words[i]) == FIT_NONE)
			return false;
	}
	return true;
}
