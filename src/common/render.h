// Answers of the console as text for people, from the JSON document alone: objects become `key
// value` lines (nested ones flattened with dots), lists of objects tables with a header, text of
// several lines is printed as it is. Numbers are right aligned. Control characters are always
// escaped, so that nothing a peer chose can drive a terminal.
#pragma once

#include <jansson.h>
#include <stdio.h>

// Writes document["data"].
void render_document(const json_t *document, FILE *out);

// Writes document["error"] for the command line that caused it, its failing word marked. `place`
// ("FILE:LINE: ", or empty) goes before each error.
void render_error(const json_t *document, const char *place, const char *command, FILE *out);

// Writes text with control characters as \xNN. `keep` are characters that pass ("\n").
void render_text(const char *text, const char *keep, FILE *out);
