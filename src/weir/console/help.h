// What `help` shows, made from the command table: the appliance answers with it, and weirctl prints
// it where no appliance runs.
#pragma once

#include <jansson.h>

// A row for each command that starts with these words (none, or `all`: for each command), with its
// example where words are given. An empty list where no command does.
json_t *help_rows(const char *const *words, unsigned count);
