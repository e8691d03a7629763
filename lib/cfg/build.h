// From a document without errors to the typed configuration and its policy.
#pragma once

#include "cfg/config.h"
#include "cfg/document.h"

// Fills everything but file and sha256. False where memory is short.
bool config_build(struct config *config, struct document *document);

// Heap memory; NULL where memory is short.
struct policy *policy_build(struct document *document);
