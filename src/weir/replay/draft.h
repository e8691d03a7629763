// A file under construction: it is written beside its name and gets that only when it is whole, so
// nobody finds half of one. What is no regular file (a pipe, /dev/stdout) is written as it is.
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct draft {
	FILE *file; // NULL: nothing is written
	const char *path;
	char *target;	 // what is replaced: the path, or what it links to
	char *temporary; // NULL: written in place
};

// Begins `path` (NULL: nothing, "-": standard output). 0, or 1 after an error message.
int draft_open(struct draft *draft, const char *path);

// Ends it. 0, or 1 after an error message, and then there is no file.
int draft_finish(struct draft *draft);

// Removes what was written, if it was begun and not finished.
void draft_discard(struct draft *draft);
