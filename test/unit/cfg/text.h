// What the tests of configurations share: files, and a minimal text that is valid.
#pragma once

#include "cfg/config.h"
#include "cfg_paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINIMAL                                                                                    \
	"node = \"a\";\n"                                                                          \
	"ports = ( { name = \"o\"; side = \"outside\"; device = \"null\"; },\n"                    \
	"          { name = \"i\"; side = \"inside\"; device = \"null\"; } );\n"

#define MINIMAL_SHA256 "2868ee57aadfade15ef77e76df4a0d5862bc8bb259d975921ceca67a221d4afe"

// The content of a file, heap memory.
static inline char *text_read(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);
	size_t len;

	assert_non_null(file);
	assert_non_null(text);
	len = fread(text, 1, (1 << 20) - 1, file);
	fclose(file);
	text[len] = '\0';
	return text;
}

static inline void errors_print(const struct config_errors *errors)
{
	for (unsigned i = 0; i < errors->count; i++)
		print_message("  %s\n", errors->list[i].text);
}

// Parses what must be good.
static inline struct config *text_accept(const char *text, const char *const *sets, unsigned count)
{
	struct config_errors errors;
	struct config *config = config_parse("t.cfg", text, sets, count, &errors);

	errors_print(&errors);
	assert_non_null(config);
	assert_int_equal(errors.count, 0);
	config_errors_free(&errors);
	return config;
}

// Parses what must be refused with exactly one error, and compares that.
static inline void text_refuse(
	const char *text, const char *const *sets, unsigned count, const char *error)
{
	struct config_errors errors;
	struct config *config = config_parse("t.cfg", text, sets, count, &errors);

	assert_null(config);
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.list[0].text, error);
	config_errors_free(&errors);
}
