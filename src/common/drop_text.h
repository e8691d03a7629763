// Drop reasons as people read them: a table with what each means.
#pragma once

#include <jansson.h>

// `data` itself (one more reference), or, where it has `reasons` and their `meanings`, a copy with
// one list of rows in their place.
json_t *drop_explained(json_t *data);
