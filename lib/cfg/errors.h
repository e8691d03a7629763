// Collects what is wrong with a configuration.
#pragma once

#include "cfg/config.h"

// Where a value came from: a line of the file, or the n-th --set.
struct place {
	unsigned line; // with a set: the line that it overrides, 0 for none
	unsigned set;  // 1..n; 0: the file
};

// Allocates the list whole, so that adding to it cannot fail. False where memory is short.
bool errors_start(struct config_errors *errors);

// Adds "FILE:LINE: PATH: reason", or "--set:N: PATH: reason". `path` may be NULL (broken syntax).
// Past a bound it says so once and counts no further.
__attribute__((format(printf, 5, 6))) void errors_add(struct config_errors *errors,
	const char *file, struct place place, const char *path, const char *format, ...);

// Sorts by line, then by number of the --set; of one line, what was added first comes first.
void errors_sort(struct config_errors *errors);

// Writes " (did you mean `x'?)" for a hint, "" for NULL.
const char *hint_format(const char *hint, char *out, size_t size);
