#include "rule/rule.h"

#include <stddef.h>

#define PROTOCOL_ICMP  1
#define PROTOCOL_TCP   6
#define PROTOCOL_UDP   17
#define PROTOCOL_ICMP6 58

static bool protocol_matches(const struct rule_row *row, const struct rule_query *query)
{
	switch ((enum rule_protocol)row->protocol) {
	case RULE_ANY:
		return true;
	case RULE_TCP:
		return query->protocol == PROTOCOL_TCP;
	case RULE_UDP:
		return query->protocol == PROTOCOL_UDP;
	case RULE_ICMP:
		// ICMPv6 inside IPv4, or the reverse, is not what the operator meant.
		return query->protocol ==
		       (addr_is_ip4(&query->dst) ? PROTOCOL_ICMP : PROTOCOL_ICMP6);
	case RULE_OTHER:
		return query->protocol == row->number;
	}
	return false;
}

static bool side_matches(const struct rule_row *row, const struct rule_query *query)
{
	return row->from == RULE_FROM_ANY ||
	       row->from == (query->side == 0 ? RULE_FROM_OUTSIDE : RULE_FROM_INSIDE);
}

// Rows without ports or types carry the full range, so the comparison needs no case of its own.
bool rule_row_matches_source(const struct rule_row *row, const struct addr *src, uint16_t sport)
{
	return sport >= row->sport_low && sport <= row->sport_high &&
	       prefix_contains(&row->src, src);
}

bool rule_row_matches_rest(const struct rule_row *row, const struct rule_query *query)
{
	return side_matches(row, query) && protocol_matches(row, query) &&
	       query->dport >= row->dport_low && query->dport <= row->dport_high &&
	       prefix_contains(&row->dst, &query->dst);
}

bool rule_row_matches(const struct rule_row *row, const struct rule_query *query)
{
	return rule_row_matches_rest(row, query) &&
	       rule_row_matches_source(row, &query->src, query->sport);
}

static struct rule_decision decide_one(
	const struct classifier *classifier, const struct rule_query *query)
{
	for (uint32_t i = 0; i < classifier->row_count; i++) {
		const struct rule_row *row = &classifier->rows[i];

		if (rule_row_matches(row, query))
			return (struct rule_decision){.rule = row->rule,
				.allow = row->action == RULE_ALLOW,
				.is_signed = row->is_signed};
	}
	return (struct rule_decision){.rule = RULE_DEFAULT};
}

static void linear_decide(const struct classifier *classifier, const struct rule_query *queries,
	struct rule_decision *decisions, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		decisions[i] = decide_one(classifier, &queries[i]);
}

// The rows are the whole of it: there is no state to free.
static void linear_destroy(struct classifier *classifier)
{
	classifier->state = NULL;
}

const struct classifier_ops classifier_linear = {
	.name = "linear",
	.decide = linear_decide,
	.destroy = linear_destroy,
};
