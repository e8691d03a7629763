#include "cfg/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ERRORS_MAX 256

bool errors_start(struct config_errors *errors)
{
	errors->count = 0;
	errors->list = calloc(ERRORS_MAX, sizeof(*errors->list));
	return errors->list != NULL;
}

// Bytes of the UTF-8 character at p; 0 where there is none.
static unsigned character_len(const unsigned char *p)
{
	unsigned len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

	if (len == 1)
		return 1;
	// Longer forms than needed, surrogates, and what is behind the last character.
	if (*p < 0xc2 || *p > 0xf4 || (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
		(*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	for (unsigned i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

// What an operator typed is shown to a terminal, where nothing in it may be a command, and goes
// into JSON, which is UTF-8.
static void make_printable(char *text)
{
	unsigned char *p = (unsigned char *)text;

	while (*p != '\0') {
		unsigned len = character_len(p);

		if (len == 0 || *p < 0x20 || *p == 0x7f)
			*p = '?';
		p += len ? len : 1;
	}
}

void errors_add(struct config_errors *errors, const char *file, struct place place,
	const char *path, const char *format, ...)
{
	struct config_error *error = &errors->list[errors->count];
	size_t room = sizeof(error->text);
	va_list arguments;
	int len;

	if (errors->count == ERRORS_MAX)
		return;
	error->order = (uint64_t)place.set << 48 | (uint64_t)(place.set ? 0 : place.line) << 16 |
		       errors->count;
	errors->count++;
	if (errors->count == ERRORS_MAX) {
		error->order = UINT64_MAX;
		path = NULL;
		format = "there are more errors than these";
	}
	len = snprintf(error->text, room, "%.200s:%u: %s%s", place.set ? "--set" : file,
		place.set ? place.set : place.line, path ? path : "", path ? ": " : "");
	if (len >= 0 && (size_t)len < room) {
		va_start(arguments, format);
		vsnprintf(error->text + len, room - (size_t)len, format, arguments);
		va_end(arguments);
	}
	make_printable(error->text);
}

static int compare_order(const void *a, const void *b)
{
	const struct config_error *one = a, *two = b;

	return one->order < two->order ? -1 : one->order > two->order;
}

void errors_sort(struct config_errors *errors)
{
	qsort(errors->list, errors->count, sizeof(*errors->list), compare_order);
}

const char *hint_format(const char *hint, char *out, size_t size)
{
	out[0] = '\0';
	if (hint != NULL)
		snprintf(out, size, " (did you mean `%s'?)", hint);
	return out;
}
