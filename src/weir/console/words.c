// Cutting lines into words, and lists of words that could have been meant.
#include "weir/console/grammar.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

// Bytes of the UTF-8 sequence at p, 0 where it is none. Overlong forms and surrogates are none.
static unsigned utf8_len(const unsigned char *p)
{
	unsigned len = *p < 0x80		 ? 1
		       : *p >= 0xc2 && *p < 0xe0 ? 2
		       : *p >= 0xe0 && *p < 0xf0 ? 3
						 : 4;

	if (*p >= 0xf5 || (*p >= 0x80 && *p < 0xc2))
		return 0;
	for (unsigned i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0) ||
		(*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] >= 0x90))
		return 0;
	return len;
}

static bool is_printable(const unsigned char *p, unsigned len)
{
	if (len == 1)
		return *p == '\t' || (*p >= 0x20 && *p != 0x7f);
	return len > 2 || *p != 0xc2 || p[1] >= 0xa0;
}

static int fail(struct grammar_error *error, int rc, unsigned column, const char *message)
{
	error->code = "bad_argument";
	error->column = column;
	error->length = 1;
	error->hint[0] = '\0';
	snprintf(error->message, sizeof(error->message), "%s", message);
	return rc;
}

static int check_text(const char *text, struct grammar_error *error)
{
	const unsigned char *p = (const unsigned char *)text;

	for (unsigned at = 0, len; p[at]; at += len) {
		if (at >= GRAMMAR_LINE_BYTES - 1)
			return fail(error, -ERR_RANGE, 0, "the line is too long");
		len = utf8_len(p + at);
		if (len == 0 || !is_printable(p + at, len))
			return fail(
				error, -ERR_MALFORMED, at, "a character that cannot be printed");
	}
	return 0;
}

// Takes one word out of line->text at `at`; its quotes are removed in place. Returns where to go
// on.
static unsigned take_word(struct grammar_line *line, unsigned at, bool *quoted)
{
	char *to = line->text + at;

	line->word[line->count] = to;
	line->column[line->count++] = (uint16_t)at;
	for (*quoted = false; line->text[at]; at++) {
		char c = line->text[at];

		if (c == '"')
			*quoted = !*quoted;
		else if (!*quoted && (c == ' ' || c == '\t'))
			break;
		else
			*to++ = c;
	}
	line->open = line->text[at] == '\0';
	if (!line->open)
		at++;
	*to = '\0';
	return at;
}

int grammar_split(struct grammar_line *line, const char *text, struct grammar_error *error)
{
	int rc = check_text(text, error);
	bool quoted = false;

	memset(line, 0, sizeof(*line));
	if (rc)
		return rc;
	snprintf(line->text, sizeof(line->text), "%s", text);
	for (unsigned at = strspn(line->text, " \t"); line->text[at];
		at += strspn(line->text + at, " \t")) {
		if (line->count == GRAMMAR_WORDS_MAX)
			return fail(error, -ERR_RANGE, at, "too many words");
		at = take_word(line, at, &quoted);
		if (quoted)
			return fail(error, -ERR_MALFORMED, line->column[line->count - 1],
				"a \" without its end");
	}
	return 0;
}

void grammar_choice_add(struct grammar_choices *choices, const char *word)
{
	for (unsigned i = 0; i < choices->count; i++)
		if (strcmp(choices->word[i], word) == 0)
			return;
	if (choices->count < GRAMMAR_CHOICES_MAX && strlen(word) < GRAMMAR_CHOICE_BYTES)
		memcpy(choices->word[choices->count++], word, strlen(word) + 1);
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

// Edit distance with insertion, deletion, substitution, and swap of neighbours (optimal string
// alignment). Words longer than a choice are far from all of them.
static unsigned distance(const char *a, const char *b)
{
	unsigned row[3][GRAMMAR_CHOICE_BYTES];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len >= GRAMMAR_CHOICE_BYTES || b_len >= GRAMMAR_CHOICE_BYTES)
		return UINT32_MAX;
	for (unsigned j = 0; j <= b_len; j++)
		row[0][j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *older = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			now[j] = least(before[j] + 1, now[j - 1] + 1,
				before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				older[j - 2] + 1 < now[j])
				now[j] = older[j - 2] + 1;
		}
	}
	return row[a_len % 3][b_len];
}

const char *grammar_nearest(const struct grammar_choices *choices, const char *word)
{
	size_t len = strlen(word);
	unsigned best = len < 3 ? 1 : len < 6 ? 2 : 3; // farther than that is another word
	const char *nearest = NULL;

	for (unsigned i = 0; i < choices->count; i++) {
		unsigned far = distance(word, choices->word[i]);

		if (far < best || (far == best && !nearest)) {
			best = far;
			nearest = choices->word[i];
		}
	}
	return nearest;
}
