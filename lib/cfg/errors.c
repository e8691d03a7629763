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

// What an operator typed is shown to a terminal: nothing in it may be a command to that.
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
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
	error->order = (uint64_t)place.set << 48 | (uint64_t)place.line << 16 | errors->count;
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
