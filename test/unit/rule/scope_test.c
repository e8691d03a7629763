// What a scope says of a source is what the classifier says of it: random rows, random queries.
#include "draw.h"
#include "rule/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS	20000
#define ROWS	12
#define SOURCES 32

// Few bits differ, so that prefixes do match.
static struct addr draw_addr(bool ip4)
{
	static const struct addr base4 = {{[10] = 0xff, [11] = 0xff, [12] = 192}};
	struct addr addr = ip4 ? base4 : (struct addr){{0x20, 0x01}};

	addr.b[12] = (uint8_t)(addr.b[12] + draw(2));
	addr.b[15] = (uint8_t)draw(4);
	return addr;
}

static struct prefix draw_prefix(void)
{
	bool ip4 = draw(3) > 0;
	struct prefix prefix = {.family = ip4 ? 4 : 6};
	struct addr addr = draw_addr(ip4);

	if (draw(3) == 0)
		return (struct prefix){.family = 0};
	prefix.bits = (uint8_t)(ip4 ? 96 + draw(3) * 16 : draw(3) * 64);
	if (draw(3) == 0)
		prefix.bits = (uint8_t)(128 - draw(3));
	prefix.addr = addr_mask(&addr, prefix.bits);
	return prefix;
}

static struct rule_row draw_row(uint32_t rule)
{
	struct rule_row row = {.src = draw_prefix(),
		.dst = draw_prefix(),
		.sport_high = UINT16_MAX,
		.dport_high = UINT16_MAX,
		.protocol = (uint8_t)(draw(2) ? RULE_ANY : draw(RULE_OTHER + 1)),
		.number = (uint8_t)draw(20),
		.from = (uint8_t)(draw(2) ? RULE_FROM_ANY : draw(3)),
		.action = (uint8_t)draw(2),
		.is_signed = draw(2),
		.rule = rule};

	if (draw(4) == 0)
		row.sport_low = (uint16_t)draw(4);
	if (draw(4) == 0)
		row.sport_high = (uint16_t)draw(4);
	if (draw(3) == 0)
		row.dport_low = (uint16_t)draw(4);
	if (draw(3) == 0)
		row.dport_high = (uint16_t)draw(4);
	return row;
}

// Another address with the same first bits.
static struct addr draw_beyond(const struct addr *addr, bool ip4, unsigned bits)
{
	struct addr same = addr_mask(addr, bits), other = draw_addr(ip4),
		    front = addr_mask(&other, bits);

	for (unsigned i = 0; i < ADDR_BYTES; i++)
		other.b[i] ^= front.b[i] ^ same.b[i];
	return other;
}

static void as_the_classifier(void **state)
{
	struct rule_row rows[ROWS];
	struct classifier classifier = {&classifier_linear, rows, 0, NULL};
	unsigned found = 0, held = 0, asked = 0, looked = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool ip4 = draw(2);
		struct rule_query query = {.src = draw_addr(ip4),
			.dst = draw_addr(ip4),
			.sport = (uint16_t)draw(5),
			.dport = (uint16_t)draw(5),
			.protocol = draw(4) ? 6 : (uint8_t)draw(20),
			.side = (uint8_t)draw(2)};
		struct rule_scope scope;

		classifier.row_count = draw(ROWS + 1);
		for (uint32_t i = 0; i < classifier.row_count; i++)
			rows[i] = draw_row(i);
		if (!rule_scope_find(&scope, &classifier, &query))
			continue;
		found++;
		looked += scope.row_count > 0;
		for (unsigned i = 0; i < SOURCES; i++) {
			struct rule_decision decision;

			asked++;
			query.src = draw_addr(ip4);
			query.sport = (uint16_t)draw(5);
			query.dst = draw_beyond(&query.dst, ip4, scope.dst_bits);
			if (!rule_scope_holds(&scope, &query.src, query.sport))
				continue;
			held++;
			classifier_decide(&classifier, &query, &decision, 1);
			assert_int_equal(scope.decision.rule, decision.rule);
			assert_int_equal(scope.decision.allow, decision.allow);
			assert_int_equal(scope.decision.is_signed, decision.is_signed);
		}
	}
	assert_in_range(found, ROUNDS / 2, ROUNDS - 1);
	assert_in_range(looked, ROUNDS / 8, ROUNDS);
	assert_in_range(held, asked / 2, asked - asked / 100);
}

// Rows that look at no source, or only at another family's, leave nothing to be asked.
static void all_of_it_where_no_row_looks(void **state)
{
	struct rule_row rows[3];
	struct classifier classifier = {&classifier_linear, rows, 3, NULL};
	struct rule_query query = {.protocol = 6, .dport = 80};
	struct rule_scope scope;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		rows[i] = (struct rule_row){
			.sport_high = UINT16_MAX, .dport_high = UINT16_MAX, .rule = i};
	assert_int_equal(prefix_parse(&rows[0].src, "2001:db8::/32"), 0);
	assert_int_equal(prefix_parse(&rows[1].dst, "192.0.2.2"), 0);
	assert_int_equal(prefix_parse(&rows[2].src, "0.0.0.0/0"), 0);
	assert_int_equal(addr_parse(&query.src, "10.0.0.1"), 0);
	assert_int_equal(addr_parse(&query.dst, "192.0.2.1"), 0);
	assert_true(rule_scope_find(&scope, &classifier, &query));
	assert_int_equal(scope.row_count, 0);
	assert_int_equal(scope.decision.rule, 2);
	assert_true(rule_scope_holds(&scope, &query.dst, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_classifier),
		cmocka_unit_test(all_of_it_where_no_row_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
