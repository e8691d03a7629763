#include "rule/scope.h"

// True where every source of the family matches.
static bool is_blind(const struct rule_row *row, bool ip4)
{
	if (row->sport_low != 0 || row->sport_high != UINT16_MAX)
		return false;
	if (row->src.family == 0)
		return true;
	return (row->src.family == 4) == ip4 && row->src.bits <= (ip4 ? ADDR_IP4_BITS : 0);
}

// True where no source of the family does.
static bool is_foreign(const struct rule_row *row, bool ip4)
{
	return row->src.family != 0 && (row->src.family == 4) != ip4;
}

bool rule_scope_find(struct rule_scope *scope, const struct classifier *classifier,
	const struct rule_query *query)
{
	bool ip4 = addr_is_ip4(&query->src);

	*scope = (struct rule_scope){.decision = {.rule = RULE_DEFAULT}};
	for (uint32_t i = 0; i < classifier->row_count; i++) {
		const struct rule_row *row = &classifier->rows[i];

		unsigned bits = prefix_deciding_bits(&row->dst, &query->dst);

		if (is_foreign(row, ip4))
			continue;
		scope->dst_bits = bits > scope->dst_bits ? bits : scope->dst_bits;
		if (!rule_row_matches_rest(row, query))
			continue;
		if (is_blind(row, ip4)) {
			scope->decision = (struct rule_decision){.rule = row->rule,
				.allow = row->action == RULE_ALLOW,
				.is_signed = row->is_signed};
			return true;
		}
		if (scope->row_count == RULE_SCOPE_ROWS_MAX)
			return false;
		scope->rows[scope->row_count++] = row;
	}
	return true;
}

bool rule_scope_holds(const struct rule_scope *scope, const struct addr *src, uint16_t sport)
{
	for (unsigned i = 0; i < scope->row_count; i++)
		if (rule_row_matches_source(scope->rows[i], src, sport))
			return false;
	return true;
}
