// Typed arguments. Used by grammar.c alone.
#pragma once

#include "weir/console/grammar.h"

// Adds the words of the type that can be listed, and the type where there are others. `exact`: no
// `any` (a TUPLE).
void value_choices(const struct grammar *grammar, enum grammar_type type, bool exact,
	struct grammar_choices *out);

// Parses a word into its place in args. 0, or an error and why the word is none ("is no port").
int value_parse(const struct grammar *grammar, enum grammar_type type, bool exact, const char *word,
	struct grammar_args *args, const char **why);
