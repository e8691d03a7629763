// The console's grammar: a line becomes a command with typed arguments, or an error that names the
// word and what was meant. Completion asks the same code what could follow. No I/O, no allocation.
#pragma once

#include "weir/console/match.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAMMAR_LINE_BYTES   4096
#define GRAMMAR_WORDS_MAX    32
#define GRAMMAR_ELEMENTS_MAX 16 // of one form
#define GRAMMAR_CHOICES_MAX  64
#define GRAMMAR_CHOICE_BYTES 64

struct grammar_command {
	const char *form; // see table.h
	const char *help;
	const char *example;
};

// X(TYPE, word in forms). MATCH and TUPLE stand for the five after them and `[in SIDE]`.
#define GRAMMAR_TYPES(X)                                                                           \
	X(PORT, "PORT")                                                                            \
	X(SERVICE, "SERVICE")                                                                      \
	X(PEER, "PEER")                                                                            \
	X(SCOPE, "finder|all|none")                                                                \
	X(LEVEL, "LEVEL")                                                                          \
	X(FILE, "FILE")                                                                            \
	X(NUMBER, "NUMBER")                                                                        \
	X(WORDS, "WORDS")                                                                          \
	X(PROTOCOL, "PROTOCOL")                                                                    \
	X(SOURCE, "SRC")                                                                           \
	X(SOURCE_PORT, "SPORT")                                                                    \
	X(DESTINATION, "DST")                                                                      \
	X(DESTINATION_PORT, "DPORT")                                                               \
	X(SIDE, "SIDE")

enum grammar_type {
#define X(name, word) TYPE_##name,
	GRAMMAR_TYPES(X)
#undef X
		TYPE_COUNT
};

// Words that could stand somewhere; each once.
struct grammar_choices {
	char word[GRAMMAR_CHOICES_MAX][GRAMMAR_CHOICE_BYTES];
	unsigned count;
	uint32_t types; // bits of enum grammar_type: values of these types could stand there, too
};

// Adds a word unless it is there, too long, or the list is full.
void grammar_choice_add(struct grammar_choices *choices, const char *word);

struct grammar {
	const struct grammar_command *commands;
	unsigned command_count;
	// Adds the names that exist now: of ports (PORT), services (SERVICE) and peers (PEER).
	void (*values)(void *context, enum grammar_type type, struct grammar_choices *out);
	void *context;
};

// A line cut into words. "..." keeps blanks together; \ is an ordinary character.
struct grammar_line {
	char text[GRAMMAR_LINE_BYTES];
	const char *word[GRAMMAR_WORDS_MAX];
	uint16_t column[GRAMMAR_WORDS_MAX]; // of the word's first character in the line
	unsigned count;
	bool open; // the line ends inside or directly behind its last word
};

struct grammar_args {
	unsigned command; // index in the table
	uint32_t given;	  // bits of enum grammar_type
	const char *port; // name or number, with TYPE_PORT in `given`; else the word beside it in
			  // the form was there (all, drop)
	const char *service;
	const char *peer;
	const char *scope; // finder, all or none
	const char *level;
	const char *file;
	uint64_t number;
	struct match match;
	const char *const *words; // TYPE_WORDS: all that follow
	unsigned word_count;
};

struct grammar_error {
	const char *code; // "unknown_command" or "bad_argument"
	unsigned column;  // of the failing word in the line, and its length
	unsigned length;
	char message[256];
	char hint[512]; // empty where there is none
};

// Cuts `text` into words. 0, or -ERR_MALFORMED (a control character, an open quote, not UTF-8),
// -ERR_RANGE (too long, too many words), with `error` filled.
int grammar_split(struct grammar_line *line, const char *text, struct grammar_error *error);

// Finds the command and its arguments, which point into `line`. 0 or -ERR_MALFORMED with `error`.
int grammar_parse(const struct grammar *grammar, const struct grammar_line *line,
	struct grammar_args *args, struct grammar_error *error);

// The words that could take the place of the last word of `text`, or follow it where it ends in a
// blank. Sorted by name.
void grammar_complete(const struct grammar *grammar, const char *text, struct grammar_choices *out);

// True where `command`'s path starts with these words (each may be shortened). For `help`.
bool grammar_path_starts(
	const struct grammar_command *command, const char *const *words, unsigned count);

// The nearest of `choices` to a misspelt word, or NULL where none is near.
const char *grammar_nearest(const struct grammar_choices *choices, const char *word);
