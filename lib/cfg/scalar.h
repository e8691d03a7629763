// Values from and to their text form: what the file's strings, the --set texts and the table's
// defaults have in common.
#pragma once

#include "cfg/document.h"

#include <stdio.h>

// Reads `text` as the type of `key` into value. 0, or -ERR_* with the reason in `why`.
int scalar_parse(struct value *value, enum key key, const char *text, char *why, size_t why_size);

// Stores an integer. The same for TYPE_INT, TYPE_PROTOCOL and TYPE_RANGES.
int scalar_store(struct value *value, enum key key, int64_t number, char *why, size_t why_size);

// Adds one prefix or one range; `text` must be whole.
int prefix_add(struct value *value, enum key key, const char *text, char *why, size_t why_size);
int range_add(struct value *value, enum key key, const char *text, char *why, size_t why_size);

// Forgets the entries of a value: what follows starts anew.
void scalar_clear(struct value *value);

// Writes a value as libconfig text that reads back as the same.
void scalar_print(FILE *out, enum key key, const struct value *value);
