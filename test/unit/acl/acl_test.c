// Proves: C7 (first match wins, the last one denies) for compiled lists: they decide as the walk
// over the rows does. Lists and queries are drawn at random, most queries so that they hit.
#include "weir/classifier_acl.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#define BATCH_MAX 200
#define ROWS_MAX  10000

static struct rule_row rows[ROWS_MAX];
static struct rule_query queries[BATCH_MAX];
static struct rule_decision walked[BATCH_MAX], compiled[BATCH_MAX];
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

static uint8_t draw_of(const uint8_t *list, size_t count)
{
	return list[draw((uint32_t)count)];
}

// Addresses of a family, few enough in their first half that prefixes nest and repeat.
static struct addr draw_address(uint8_t family)
{
	struct addr addr = {.b = {0x20, 0x01, 0x0d, 0xb8}};
	uint8_t ip4[4] = {10, (uint8_t)draw(8), (uint8_t)draw(256), (uint8_t)draw(256)};

	if (family == 4)
		return addr_from_ip4(ip4);
	addr.b[5] = (uint8_t)draw(8);
	for (unsigned i = 6; i < ADDR_BYTES; i++)
		addr.b[i] = (uint8_t)draw(256);
	return addr;
}

// The longer the list, the smaller the prefixes: the first rows must leave the last something.
static struct prefix draw_prefix(uint8_t family, uint32_t count)
{
	struct prefix prefix = {.family = family};

	if (family == 0)
		return prefix;
	if (draw(2 * count) == 0)
		prefix.bits = family == 4 ? 96 : 0;
	else if (family == 4)
		prefix.bits = (uint8_t)(128 - draw(count < 1000 ? 20 : 8));
	else
		prefix.bits = (uint8_t)(128 - draw(count < 1000 ? 100 : 60));
	prefix.addr = draw_address(family);
	prefix.addr = addr_mask(&prefix.addr, prefix.bits);
	return prefix;
}

static void draw_range(uint16_t *low, uint16_t *high)
{
	switch (draw(3)) {
	case 0:
		*low = 0;
		*high = UINT16_MAX;
		return;
	case 1:
		*low = *high = (uint16_t)draw(1024);
		return;
	default:
		*low = (uint16_t)draw(65536);
		*high = (uint16_t)(*low + draw(65536u - *low));
	}
}

static struct rule_row draw_row(uint32_t index, uint32_t count)
{
	static const uint8_t numbers[] = {0, 1, 6, 17, 47, 50, 58, 255};
	uint8_t family = draw(2) ? 4 : 6;
	struct rule_row row = {.protocol = (uint8_t)draw(5),
		.sport_high = UINT16_MAX,
		.number = draw_of(numbers, sizeof(numbers)),
		.from = (uint8_t)draw(3),
		.action = (uint8_t)draw(2),
		.is_signed = draw(4) == 0,
		.rule = index / 3};

	row.src = draw_prefix(draw(3) ? family : 0, count);
	row.dst = draw_prefix(row.src.family && draw(4) == 0 ? 0 : family, count);
	if (draw(2 * count) == 0)
		row.src = row.dst = draw_prefix(0, count);
	draw_range(&row.dport_low, &row.dport_high);
	if (draw(10) == 0)
		draw_range(&row.sport_low, &row.sport_high);
	if (draw(1000) == 0)
		row.dport_low = (uint16_t)(row.dport_high + 1); // nothing, or, after 65535, all
	if (draw(1000) == 0)
		row.src = draw_prefix(row.dst.family == 4 ? 6 : 4, count); // nothing
	return row;
}

static struct addr draw_inside(const struct prefix *prefix, uint8_t family)
{
	struct addr addr = draw_address(family);

	if (prefix->family == 0)
		return addr;
	for (unsigned bit = 0; bit < prefix->bits; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		addr.b[bit / 8] =
			(uint8_t)((addr.b[bit / 8] & ~mask) | (prefix->addr.b[bit / 8] & mask));
	}
	return addr;
}

static uint8_t row_protocol(const struct rule_row *row, uint8_t family)
{
	static const uint8_t numbers[] = {1, 6, 17, 47, 58, 99};

	switch ((enum rule_protocol)row->protocol) {
	case RULE_TCP:
		return 6;
	case RULE_UDP:
		return 17;
	case RULE_ICMP:
		return draw(16) ? (family == 4 ? 1 : 58) : (family == 4 ? 58 : 1);
	case RULE_OTHER:
		return row->number;
	default:
		return draw_of(numbers, sizeof(numbers));
	}
}

// One end of the range, next to it, or inside it.
static uint16_t draw_port(uint16_t low, uint16_t high)
{
	switch (draw(8)) {
	case 0:
		return low;
	case 1:
		return high;
	case 2:
		return (uint16_t)(low - 1);
	case 3:
		return (uint16_t)(high + 1);
	default:
		return (uint16_t)(low + draw(high < low ? 1 : 1u + high - low));
	}
}

static struct rule_query draw_query(uint32_t count)
{
	const struct rule_row *row = &rows[draw(count)];
	uint8_t family = row->src.family ? row->src.family : row->dst.family;
	struct rule_query query;

	if (family == 0)
		family = draw(2) ? 4 : 6;
	query = (struct rule_query){.src = draw_inside(&row->src, family),
		.dst = draw_inside(&row->dst, family),
		.sport = draw_port(row->sport_low, row->sport_high),
		.dport = draw_port(row->dport_low, row->dport_high),
		.protocol = row_protocol(row, family),
		.side = (uint8_t)(row->from == RULE_FROM_ANY ? draw(2)
							     : row->from == RULE_FROM_INSIDE)};
	if (draw(8) == 0)
		query.dst.b[draw(ADDR_BYTES)] ^= (uint8_t)(1 << draw(8));
	if (draw(8) == 0)
		query.src.b[draw(ADDR_BYTES)] ^= (uint8_t)(1 << draw(8));
	if (draw(16) == 0)
		query.side ^= 1;
	if (draw(16) == 0) // far from all prefixes but the shortest
		query.src = query.dst = (struct addr){.b = {0xfd, [15] = (uint8_t)draw(256)}};
	return query;
}

static void assert_same(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(compiled[i].rule, walked[i].rule);
		assert_int_equal(compiled[i].allow, walked[i].allow);
		assert_int_equal(compiled[i].is_signed, walked[i].is_signed);
	}
}

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.heap_allocsz_bytes;
}

static struct classifier compile(uint32_t count)
{
	struct classifier classifier = {
		.ops = &classifier_linear, .rows = rows, .row_count = count};

	assert_int_equal(classifier_acl_compile(&classifier), 0);
	assert_ptr_equal(classifier.ops, &classifier_acl);
	return classifier;
}

static void destroy(struct classifier *classifier)
{
	classifier->ops->destroy(classifier);
	assert_ptr_equal(classifier->ops, &classifier_linear);
	assert_null(classifier->state);
}

static void compare(uint32_t count, unsigned total, uint64_t seed)
{
	size_t heap = heap_bytes();
	struct classifier classifier;
	unsigned allowed = 0, denied = 0, missed = 0, late = 0;

	random_state = seed;
	for (uint32_t i = 0; i < count; i++)
		rows[i] = draw_row(i, count);
	classifier = compile(count);
	for (unsigned done = 0, now; done < total; done += now) {
		now = 1 + draw(draw(4) ? BATCH_MAX : 1);
		for (unsigned i = 0; i < now; i++)
			queries[i] = draw_query(count);
		memset(compiled, 0xa5, sizeof(compiled));
		classifier_linear.decide(&classifier, queries, walked, now);
		classifier_decide(&classifier, queries, compiled, now);
		assert_same(now);
		for (unsigned i = 0; i < now; i++) {
			allowed += walked[i].allow;
			missed += walked[i].rule == RULE_DEFAULT;
			denied += walked[i].rule != RULE_DEFAULT && !walked[i].allow;
			late += walked[i].rule != RULE_DEFAULT && walked[i].rule >= count / 6;
		}
	}
	// The draw is worth something: all outcomes are frequent, and the rows of the second half
	// decide.
	assert_true(allowed > total / 10 && denied > total / 10 && missed > total / 10);
	assert_true(late > total / 10);
	destroy(&classifier);
	assert_int_equal(heap_bytes(), heap);
}

static void ten_rows(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		random_state = seed;
		for (uint32_t i = 0; i < 10; i++)
			rows[i] = draw_row(i, 10);
		struct classifier classifier = compile(10);

		for (unsigned i = 0; i < 5000; i++) {
			queries[0] = draw_query(10);
			classifier_linear.decide(&classifier, queries, walked, 1);
			classifier_decide(&classifier, queries, compiled, 1);
			assert_same(1);
		}
		destroy(&classifier);
	}
	(void)state;
}

static void a_hundred_rows(void **state)
{
	compare(100, 100000, 2);
	(void)state;
}

static void a_thousand_rows(void **state)
{
	compare(1000, 100000, 3);
	(void)state;
}

// Fewer queries: the walk is what takes the time.
static void ten_thousand_rows(void **state)
{
	compare(10000, 20000, 4);
	(void)state;
}

static struct rule_query tcp4(void)
{
	uint8_t ip[4] = {10, 0, 0, 1};

	return (struct rule_query){
		.src = addr_from_ip4(ip), .dst = addr_from_ip4(ip), .dport = 80, .protocol = 6};
}

// Rows of one family only: the other one has no tries at all.
static void a_family_without_rows_is_denied(void **state)
{
	struct rule_query both[2] = {tcp4(), tcp4()};
	struct classifier classifier;

	random_state = 1;
	both[1].src = both[1].dst = draw_address(6);
	rows[0] = (struct rule_row){.sport_high = UINT16_MAX, .dport_high = UINT16_MAX};
	rows[0].dst = (struct prefix){both[0].dst, 128, 4};
	classifier = compile(1);
	classifier_decide(&classifier, both, compiled, 2);
	assert_true(compiled[0].allow);
	assert_int_equal(compiled[0].rule, 0);
	assert_false(compiled[1].allow);
	assert_int_equal(compiled[1].rule, RULE_DEFAULT);
	destroy(&classifier);
	(void)state;
}

static void no_row_denies_everything(void **state)
{
	struct rule_query query = tcp4();
	struct classifier classifier = compile(0);

	classifier_decide(&classifier, &query, compiled, 1);
	assert_int_equal(compiled[0].rule, RULE_DEFAULT);
	assert_false(compiled[0].allow);
	destroy(&classifier);
	(void)state;
}

static void write_numbered_rows(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		rows[i] = (struct rule_row){.sport_high = UINT16_MAX,
			.dport_high = UINT16_MAX,
			.protocol = RULE_OTHER,
			.number = (uint8_t)i,
			.rule = i};
}

static void short_lists_stay_linear(void **state)
{
	struct policy policy;

	policy_init(&policy);
	write_numbered_rows(CLASSIFIER_LINEAR_ROWS_MAX + 1);
	policy.classifier.rows = rows;
	policy.classifier.row_count = CLASSIFIER_LINEAR_ROWS_MAX;
	assert_int_equal(classifier_acl_build(&policy), 0);
	assert_ptr_equal(policy.classifier.ops, &classifier_linear);
	policy.classifier.row_count++;
	assert_int_equal(classifier_acl_build(&policy), 0);
	assert_ptr_equal(policy.classifier.ops, &classifier_acl);
	policy_finish(&policy);
	assert_ptr_equal(policy.classifier.ops, &classifier_linear);
	(void)state;
}

static void protocols_that_cannot_be_told_apart_stay_linear(void **state)
{
	size_t heap = heap_bytes();
	struct rule_query query = tcp4();
	struct policy policy;

	policy_init(&policy);
	write_numbered_rows(128);
	policy.classifier.rows = rows;
	policy.classifier.row_count = 127;
	assert_int_equal(classifier_acl_build(&policy), 0);
	for (unsigned number = 0; number < 256; number++) {
		query.protocol = (uint8_t)number;
		query.side = number & 1;
		classifier_decide(&policy.classifier, &query, compiled, 1);
		assert_int_equal(compiled[0].rule, number < 127 ? number : RULE_DEFAULT);
	}
	destroy(&policy.classifier);
	policy.classifier.row_count = 128;
	assert_int_equal(classifier_acl_build(&policy), -ERR_FULL);
	assert_ptr_equal(policy.classifier.ops, &classifier_linear);
	query.protocol = 127;
	classifier_decide(&policy.classifier, &query, compiled, 1);
	assert_int_equal(compiled[0].rule, 127);
	assert_int_equal(heap_bytes(), heap);
	policy_finish(&policy);
	(void)state;
}

// Takes all of DPDK's memory but pieces smaller than a list of 1000 rows needs.
static unsigned exhaust(void **blocks, unsigned max)
{
	unsigned count = 0;

	for (size_t bytes = 64u << 20; bytes >= 1u << 16; bytes /= 2) {
		while (count < max && (blocks[count] = rte_malloc(NULL, bytes, 0)) != NULL)
			count++;
	}
	return count;
}

static void without_memory_the_list_stays_linear(void **state)
{
	struct rule_query query = tcp4();
	void *blocks[1024];
	unsigned count;
	size_t heap;
	struct policy policy;

	policy_init(&policy);
	random_state = 5;
	for (uint32_t i = 0; i < 1000; i++)
		rows[i] = draw_row(i, 1000);
	rows[0] = (struct rule_row){.sport_high = UINT16_MAX, .dport_high = UINT16_MAX};
	policy.classifier.rows = rows;
	policy.classifier.row_count = 1000;
	count = exhaust(blocks, ARRAY_LEN(blocks));
	heap = heap_bytes();
	assert_int_equal(classifier_acl_build(&policy), -ERR_MEMORY);
	assert_ptr_equal(policy.classifier.ops, &classifier_linear);
	assert_int_equal(heap_bytes(), heap);
	classifier_decide(&policy.classifier, &query, compiled, 1);
	assert_true(compiled[0].allow);
	while (count > 0)
		rte_free(blocks[--count]);
	assert_int_equal(classifier_acl_build(&policy), 0);
	assert_ptr_equal(policy.classifier.ops, &classifier_acl);
	policy_finish(&policy);
	(void)state;
}

static int start(void **state)
{
	static char words[][32] = {"acl", "--no-huge", "--no-pci", "-m", "256", "--no-shconf",
		"--no-telemetry", "--file-prefix=weir-unit-acl", "--log-level=critical"};
	char *list[ARRAY_LEN(words) + 1] = {NULL};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		list[i] = words[i];
	return rte_eal_init(ARRAY_LEN(words), list) < 0;
}

static int stop(void **state)
{
	(void)state;
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_rows),
		cmocka_unit_test(a_hundred_rows),
		cmocka_unit_test(a_thousand_rows),
		cmocka_unit_test(ten_thousand_rows),
		cmocka_unit_test(a_family_without_rows_is_denied),
		cmocka_unit_test(no_row_denies_everything),
		cmocka_unit_test(short_lists_stay_linear),
		cmocka_unit_test(protocols_that_cannot_be_told_apart_stay_linear),
		cmocka_unit_test(without_memory_the_list_stays_linear),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
