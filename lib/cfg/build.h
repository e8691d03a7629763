// From a document without errors to the typed configuration and its policy.
#pragma once

#include "cfg/config.h"
#include "cfg/document.h"

// Fills everything but file and sha256. False where memory is short.
bool config_build(struct config *config, struct document *document);

// The group `cluster` and what it says to the policy (cluster.c).
void build_cluster(struct config *config, struct document *document);
void build_port(struct config_port *port, struct document *document, struct element *element);

// Heap memory; NULL where memory is short.
struct policy *policy_build(struct document *document);
