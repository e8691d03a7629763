// Rows and queries from bytes: the classifier must decide what a second reading of each row says,
// bit by bit, however the queries are batched.
#include "fuzz.h"
#include "rule/rule.h"

#include "base/check.h"
#include "base/cursor.h"

#define ROWS_MAX    32
#define QUERIES_MAX 64

// Addresses of few bits that differ, so that prefixes do match.
static struct addr take_addr(struct cursor *in, bool four)
{
	static const struct addr base4 = {{[10] = 0xff, [11] = 0xff, [12] = 192}};
	struct addr addr = four ? base4 : (struct addr){{0x20, 0x01}};

	addr.b[14] = cursor_get8(in);
	addr.b[15] = cursor_get8(in);
	return addr;
}

static struct prefix take_prefix(struct cursor *in)
{
	uint8_t kind = cursor_get8(in);
	bool four = kind & 1;
	struct prefix prefix = {.family = four ? 4 : 6, .bits = (uint8_t)(128 - (kind >> 1) % 20)};

	prefix.addr = take_addr(in, four);
	if (kind > 240)
		return (struct prefix){.family = 0};
	prefix.addr = addr_mask(&prefix.addr, prefix.bits);
	return prefix;
}

static struct rule_row take_row(struct cursor *in)
{
	struct rule_row row = {.src = take_prefix(in), .dst = take_prefix(in)};

	row.sport_low = cursor_get8(in);
	row.sport_high = cursor_get16(in);
	row.dport_low = cursor_get8(in);
	row.dport_high = cursor_get16(in);
	row.protocol = cursor_get8(in) % (RULE_OTHER + 1);
	row.number = cursor_get8(in);
	row.from = cursor_get8(in) % 3;
	row.action = cursor_get8(in) % 2;
	row.is_signed = cursor_get8(in) % 2;
	return row;
}

static struct rule_query take_query(struct cursor *in)
{
	static const uint8_t protocols[] = {1, 6, 17, 58};
	uint8_t kind = cursor_get8(in);
	struct rule_query query = {.src = take_addr(in, kind & 1), .dst = take_addr(in, kind & 1)};

	query.side = kind >> 1 & 1;
	query.protocol = kind & 4 ? kind : protocols[kind >> 3 & 3];
	query.sport = cursor_get16(in);
	query.dport = cursor_get16(in);
	return query;
}

static bool prefix_says(const struct prefix *prefix, const struct addr *addr)
{
	bool four = true;

	for (unsigned i = 0; i < 12; i++)
		four = four && addr->b[i] == (i < 10 ? 0 : 0xff);
	if (prefix->family != 0 && four != (prefix->family == 4))
		return false;
	for (unsigned bit = 0; bit < prefix->bits; bit++)
		if ((prefix->addr.b[bit / 8] ^ addr->b[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool row_says(const struct rule_row *row, const struct rule_query *query)
{
	uint8_t icmp = query->dst.b[0] == 0 ? 1 : 58;
	const int numbers[] = {query->protocol, 6, 17, icmp, row->number};

	if (numbers[row->protocol] != query->protocol)
		return false;
	if (row->from != 0 && row->from - 1 != query->side)
		return false;
	if (query->sport < row->sport_low || query->sport > row->sport_high ||
		query->dport < row->dport_low || query->dport > row->dport_high)
		return false;
	return prefix_says(&row->src, &query->src) && prefix_says(&row->dst, &query->dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor in = cursor_read(data, len);
	struct rule_row rows[ROWS_MAX];
	struct rule_query queries[QUERIES_MAX];
	struct rule_decision together[QUERIES_MAX], alone;
	uint32_t row_count = cursor_get8(&in) % (ROWS_MAX + 1);
	unsigned count = 0;
	struct classifier classifier = {&classifier_linear, rows, row_count, NULL};

	for (uint32_t i = 0; i < row_count; i++) {
		rows[i] = take_row(&in);
		rows[i].rule = i;
	}
	while (count < QUERIES_MAX && cursor_left(&in) > 0)
		queries[count++] = take_query(&in);
	classifier_decide(&classifier, queries, together, count);
	for (unsigned i = 0; i < count; i++) {
		uint32_t first = 0;

		while (first < row_count && !row_says(&rows[first], &queries[i]))
			first++;
		classifier_decide(&classifier, &queries[i], &alone, 1);
		CHECK(alone.rule == together[i].rule);
		CHECK(together[i].rule == (first < row_count ? first : RULE_DEFAULT));
		CHECK(together[i].allow == (first < row_count && rows[first].action == RULE_ALLOW));
		CHECK(together[i].is_signed == (first < row_count && rows[first].is_signed));
	}
	classifier.ops->destroy(&classifier);
	return 0;
}
