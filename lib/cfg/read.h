// From libconfig's tree to a document: the walk that knows every key, and reports every one it does
// not know, of the wrong type or out of range.
#pragma once

#include "cfg/document.h"

#include <libconfig.h>

// Parses `text` into tree (config_init done). False: broken syntax, reported.
bool tree_parse(config_t *tree, struct document *document, const char *text);

// Changes the tree as "PATH=VALUE" says, for each of the sets.
void tree_apply_sets(
	config_t *tree, struct document *document, const char *const *sets, unsigned count);

// Reads every value of the tree, then fills in defaults and reports what is missing.
void document_read(struct document *document, const config_t *tree);
