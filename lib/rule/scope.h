// What the rules say of everything that is sent to one place: queries that differ in nothing but
// the source's address, within its family, the source's port, and the last bits of the destination.
#pragma once

#include "rule/rule.h"

#include <stdbool.h>
#include <stdint.h>

#define RULE_SCOPE_ROWS_MAX 4

struct rule_scope {
	struct rule_decision decision; // of all that none of `rows` matches
	unsigned dst_bits;	       // of the destination, which the others share
	unsigned row_count;
	const struct rule_row *rows[RULE_SCOPE_ROWS_MAX]; // look at the source, and come first
};

// Finds the scope of `query` in the rows of the classifier, one by one. False where more of them
// look at the source than a scope has room for.
bool rule_scope_find(struct rule_scope *scope, const struct classifier *classifier,
	const struct rule_query *query);

// True where the decision is this source's; else the classifier must be asked.
bool rule_scope_holds(const struct rule_scope *scope, const struct addr *src, uint16_t sport);
