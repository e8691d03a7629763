// A form of the command table cut into elements.
#pragma once

#include "weir/console/grammar.h"

// One place of a form: alternatives separated by |, each a lower-case keyword or an upper-case
// type.
struct form_element {
	const char *text;
	uint8_t len;
	bool group;    // the first of an optional group
	bool optional; // inside an optional group
	bool exact;    // no `any`: part of a TUPLE
};

struct form {
	struct form_element element[GRAMMAR_ELEMENTS_MAX];
	unsigned count;
	unsigned path; // how many leading elements are keywords that must be there
};

// Cuts a form. Forms are constants of the program: one that is wrong fails a CHECK.
void form_parse(struct form *form, const char *text);

// Calls back for each alternative: a keyword, or a type with keyword NULL.
#define FORM_KEYWORD_BYTES 24
struct form_alternative {
	char keyword[FORM_KEYWORD_BYTES]; // empty for a type
	enum grammar_type type;
};

// The alternative behind `*at` (0 to begin with); false at the end.
bool form_next(const struct form_element *element, unsigned *at, struct form_alternative *out);

const char *form_type_name(enum grammar_type type);

// Writes the keywords a form begins with. Returns their length, less than `room`.
size_t form_path(const char *text, char *out, size_t room);
