// A document as libconfig text.
#pragma once

#include "cfg/document.h"

#include <stdio.h>

// With `explain`, each key has its meaning, range, default and how it is applied above it, lists
// have their further example, and optional groups are written as comments.
void document_write(FILE *out, struct document *document, bool explain);
