// Rows of `show flow` as people read them: endpoints as ADDRESS:PORT, and columns that fit a
// terminal of 120 characters for IPv4. Nothing is left out.
#pragma once

#include <jansson.h>

// A new list with a row of text for each flow of the console's answer.
json_t *flow_rows(const json_t *flows);
