// Rules decide whether a packet may start something (C7): an ordered list, first match wins, the
// last one denies. A rule is expanded into one row per (source prefix, destination prefix) pair
// when it is compiled.
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define RULE_NAME_BYTES 64
#define RULE_DEFAULT	UINT32_MAX // the implied last rule, `default`: deny all

enum rule_action {
	RULE_ALLOW,
	RULE_DENY,
};

enum rule_protocol {
	RULE_ANY = 0,
	RULE_TCP,
	RULE_UDP,
	RULE_ICMP,  // the ICMP of the packet's family
	RULE_OTHER, // exactly `number`
};

enum rule_from {
	RULE_FROM_ANY = 0,
	RULE_FROM_OUTSIDE,
	RULE_FROM_INSIDE,
};

// One row of the compiled list. Ports and ICMP types share a field: of TCP and UDP the destination
// port range, of ICMP the type range.
struct rule_row {
	struct prefix src;
	struct prefix dst;
	uint16_t sport_low, sport_high;
	uint16_t dport_low, dport_high;
	uint8_t protocol; // enum rule_protocol
	uint8_t number;	  // IP protocol number with RULE_OTHER
	uint8_t from;	  // enum rule_from
	uint8_t action;	  // enum rule_action
	bool is_signed;	  // TCP.md 2.11: tuples that carry TCP-MD5 or TCP-AO pass untouched
	uint32_t rule;	  // index of the rule it came from, for names and hits
};

// What a packet that starts something is matched by.
struct rule_query {
	struct addr src;
	struct addr dst;
	uint16_t sport;	  // 0 for ICMP and others
	uint16_t dport;	  // ICMP: the type
	uint8_t protocol; // IP protocol number
	uint8_t side;	  // 0: arrived on the outside, 1: inside (enum side)
};

struct rule_decision {
	uint32_t rule; // index of the rule, RULE_DEFAULT where none matched
	bool allow;
	bool is_signed;
};

bool rule_row_matches(const struct rule_row *row, const struct rule_query *query);

// The two halves of that: by the source, and by all the rest.
bool rule_row_matches_source(const struct rule_row *row, const struct addr *src, uint16_t sport);
bool rule_row_matches_rest(const struct rule_row *row, const struct rule_query *query);

// A classifier: made by whoever builds the policy, read by the workers, never changed.
struct classifier {
	const struct classifier_ops *ops;
	const struct rule_row *rows;
	uint32_t row_count;
	void *state; // the implementation's
};

struct classifier_ops {
	const char *name;
	// Decides `count` queries (any number) at once.
	void (*decide)(const struct classifier *classifier, const struct rule_query *queries,
		struct rule_decision *decisions, unsigned count);
	void (*destroy)(struct classifier *classifier); // frees `state` only
};

// The reference: walks the rows in order. Every other classifier is tested against it.
extern const struct classifier_ops classifier_linear;

static inline void classifier_decide(const struct classifier *c, const struct rule_query *queries,
	struct rule_decision *decisions, unsigned count)
{
	c->ops->decide(c, queries, decisions, count);
}
