// What a decision costs by the number of rules, walked and compiled, alone and in batches. A query
// hits a rule drawn at random (or, one in eight, none), so that all of the list is in use.
//
//   rules [--rounds N]
//
// Lists: `targets` is a rule for each protected address and port; `sources` a blocklist of source
// prefixes and a rule that allows the rest; `ranges` has prefixes of all lengths on both sides and
// port ranges; `targets6` is `targets` in IPv6. Prints one JSON document; cycles are the TSC's, the
// smallest of all rounds, per decision. Exit status 1 when the two classifiers disagreed.
#include "base/bytes.h"
#include "base/check.h"
#include "weir/classifier_acl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#define QUERIES	       8192
#define BATCH	       32
#define ROUNDS_DEFAULT 20
#define WALKED_MAX     256 // queries of a round where a list of many rows is walked

enum list {
	LIST_TARGETS,
	LIST_SOURCES,
	LIST_RANGES,
	LIST_OVERLAPS,
	LIST_TARGETS6,
	LIST_COUNT,
};

static const char *const list_names[LIST_COUNT] = {
	"targets", "sources", "ranges", "overlaps", "targets6"};
static const uint32_t sizes[] = {4, 8, 10, 16, 32, 64, 100, 1000, 10000};

static struct rule_query queries[QUERIES];
static struct rule_decision decisions[QUERIES], expected[QUERIES];
static uint64_t random_state = 1;
static unsigned rounds = ROUNDS_DEFAULT;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

static struct prefix prefix4(uint32_t address, uint8_t bits)
{
	struct prefix prefix = {.bits = (uint8_t)(96 + bits), .family = 4};
	uint8_t ip[4];

	be32_put(ip, address);
	prefix.addr = addr_from_ip4(ip);
	prefix.addr = addr_mask(&prefix.addr, prefix.bits);
	return prefix;
}

static struct prefix prefix6(uint32_t host)
{
	struct prefix prefix = {.bits = 128, .family = 6};

	be32_put(prefix.addr.b, 0x20010db8);
	be32_put(prefix.addr.b + 12, host);
	return prefix;
}

static void write_range(uint16_t *low, uint16_t *high)
{
	*low = (uint16_t)draw(65536);
	*high = (uint16_t)(*low + draw(65536u - *low));
}

static void write_ranges_row(struct rule_row *row)
{
	row->src = prefix4(draw(UINT32_MAX), (uint8_t)(8 + draw(25)));
	row->dst = prefix4(0xc6000000 | draw(1 << 20), (uint8_t)(16 + draw(17)));
	write_range(&row->dport_low, &row->dport_high);
	row->protocol = draw(2) ? RULE_TCP : RULE_UDP;
}

// As bad as it gets: every row may meet every other one, in all dimensions.
static void write_overlaps_row(struct rule_row *row)
{
	row->src = prefix4(draw(UINT32_MAX), (uint8_t)draw(33));
	row->dst = prefix4(draw(UINT32_MAX), (uint8_t)draw(33));
	if (draw(2))
		write_range(&row->sport_low, &row->sport_high);
	if (draw(2))
		write_range(&row->dport_low, &row->dport_high);
	row->protocol = draw(2) ? RULE_TCP : RULE_UDP;
}

static void write_row(struct rule_row *row, enum list list, uint32_t index, uint32_t count)
{
	*row = (struct rule_row){.sport_high = UINT16_MAX,
		.dport_high = UINT16_MAX,
		.protocol = RULE_TCP,
		.from = RULE_FROM_OUTSIDE,
		.rule = index};
	if (list == LIST_RANGES)
		write_ranges_row(row);
	else if (list == LIST_OVERLAPS)
		write_overlaps_row(row);
	else if (list == LIST_SOURCES && index + 1 < count) {
		row->src = prefix4(draw(UINT32_MAX), (uint8_t)(16 + draw(17)));
		row->action = RULE_DENY;
		row->protocol = RULE_ANY;
	} else if (list == LIST_SOURCES) {
		row->dst = prefix4(0xc6336400, 24);
	} else {
		row->dst = list == LIST_TARGETS ? prefix4(0xc6330000 | index / 2, 32)
						: prefix6(index / 2);
		row->dport_low = row->dport_high = index % 2 ? 443 : 80;
	}
}

static struct addr draw_address(const struct prefix *prefix, bool ip4)
{
	struct addr addr = prefix->addr;

	if (prefix->family == 0)
		addr = ip4 ? prefix4(0xc6336400, 32).addr : prefix6(0).addr;
	for (unsigned bit = prefix->family || !ip4 ? prefix->bits : 120; bit < 128; bit++)
		addr.b[bit / 8] |= (uint8_t)(draw(2) << (7 - bit % 8));
	return addr;
}

static void draw_queries(const struct rule_row *rows, uint32_t count)
{
	for (unsigned i = 0; i < QUERIES; i++) {
		const struct rule_row *row = &rows[draw(count)];
		bool ip4 = row->src.family == 4 || row->dst.family == 4;

		queries[i] = (struct rule_query){.src = draw_address(&row->src, ip4),
			.dst = draw_address(&row->dst, ip4),
			.sport = (uint16_t)(row->sport_low +
					    draw(1u + row->sport_high - row->sport_low)),
			.dport = (uint16_t)(row->dport_low +
					    draw(1u + row->dport_high - row->dport_low)),
			.protocol = row->protocol == RULE_UDP ? 17 : 6};
		if (draw(8) == 0)
			queries[i].dst.b[13] ^= 0x80;
	}
}

static double measure(const struct classifier *classifier, unsigned count, unsigned batch)
{
	uint64_t best = UINT64_MAX;

	for (unsigned round = 0; round < rounds; round++) {
		uint64_t start = rte_rdtsc_precise(), took;

		for (unsigned i = 0; i < count; i += batch)
			classifier_decide(classifier, &queries[i], &decisions[i], batch);
		took = rte_rdtsc_precise() - start;
		best = took < best ? took : best;
	}
	return (double)best / count;
}

static unsigned disagreements(unsigned count)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < count; i++)
		wrong += decisions[i].rule != expected[i].rule ||
			 decisions[i].allow != expected[i].allow;
	return wrong;
}

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats stats;

	rte_malloc_get_socket_stats(0, &stats);
	return stats.heap_allocsz_bytes;
}

static unsigned run(enum list list, uint32_t count, bool first)
{
	struct rule_row *rows = calloc(count, sizeof(*rows));
	struct classifier linear = {.ops = &classifier_linear, .rows = rows, .row_count = count};
	struct classifier acl = linear;
	unsigned walked = count > 100 ? WALKED_MAX : QUERIES, wrong = 0;
	size_t heap = heap_bytes();
	uint64_t start;
	double build_ms;

	CHECK(rows != NULL);
	for (uint32_t i = 0; i < count; i++)
		write_row(&rows[i], list, i, count);
	draw_queries(rows, count);
	start = rte_rdtsc();
	CHECK(classifier_acl_compile(&acl) == 0);
	build_ms = (double)(rte_rdtsc() - start) * 1e3 / (double)rte_get_tsc_hz();
	printf("%s\n  {\"list\": \"%s\", \"rules\": %u, \"build_ms\": %.1f, \"bytes\": %zu, ",
		first ? "" : ",", list_names[list], count, build_ms, heap_bytes() - heap);
	classifier_decide(&linear, queries, expected, QUERIES);
	printf("\"linear_1\": %.1f, ", measure(&linear, walked, 1));
	printf("\"linear_%u\": %.1f, ", BATCH, measure(&linear, walked, BATCH));
	printf("\"acl_1\": %.1f, ", measure(&acl, QUERIES, 1));
	wrong += disagreements(QUERIES);
	memset(decisions, 0, sizeof(decisions));
	printf("\"acl_%u\": %.1f}", BATCH, measure(&acl, QUERIES, BATCH));
	wrong += disagreements(QUERIES);
	fflush(stdout);
	acl.ops->destroy(&acl);
	free(rows);
	return wrong;
}

static void eal_start(void)
{
	static char words[][32] = {"rules", "--no-huge", "--no-pci", "-m", "512", "--no-shconf",
		"--no-telemetry", "--file-prefix=weir-rules", "--log-level=error"};
	char *list[ARRAY_LEN(words) + 1] = {NULL};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		list[i] = words[i];
	CHECK(rte_eal_init(ARRAY_LEN(words), list) >= 0);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{"rounds", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	unsigned wrong = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
		rounds = option == 'r' ? (unsigned)strtoul(optarg, NULL, 10) : 0;
	if (rounds == 0 || optind != argc) {
		fprintf(stderr, "usage: rules [--rounds N]\n");
		return 2;
	}
	eal_start();
	printf("{\"batch\": %u, \"rounds\": %u, \"lists\": [", BATCH, rounds);
	for (enum list list = 0; list < LIST_COUNT; list++) {
		for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
			wrong += run(list, sizes[i], list == 0 && i == 0);
	}
	printf("],\n \"wrong\": %u}\n", wrong);
	rte_eal_cleanup();
	return wrong != 0;
}
