// What the table cannot say: values that depend on each other, names, devices, floors.
#pragma once

#include "cfg/document.h"

// Reports everything that is wrong. Values marked bad are left alone: they were reported.
void document_check(struct document *document);

// The parts, in the order document_check() runs them.
void check_node(struct document *document);
void check_ports(struct document *document);
void check_services(struct document *document);
void check_rules(struct document *document);
void check_cluster(struct document *document); // cluster.c

// Names of a list's elements: present, of the allowed characters, unique.
void check_names(struct document *document, enum key list, enum key name);

// Rows a rule expands to.
uint64_t rule_row_count(struct document *document, struct element *rule);

// True where a packet may have its source in one and its destination in the other.
static inline bool families_meet(const struct prefix *source, const struct prefix *to)
{
	return source->family == 0 || to->family == 0 || source->family == to->family;
}

#define RULE_ROWS_MAX 65536
