// One rte_acl context per address family. A row becomes a rule in the context of each family it can
// match; its priority falls with its index, so that the first match is the best one. Queries are
// brought into the form the contexts search, a key, in chunks: rte_acl searches several at a time.
//
// The first byte of a key, `kind`, tells protocol and side together. The protocols that rows name
// are numbered, all others are 0; the top bit is the side.
//
// Life cycle: built whole by the control thread, then read by the workers, destroyed by the control
// thread when the last worker has given the policy back. Nothing in it is ever written in between.
#include "weir/classifier_acl.h"

#include "base/bytes.h"
#include "base/error.h"
#include "common/log.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_acl.h>
#include <rte_memory.h>

#define CHUNK		64 // queries searched together
#define FIELDS_MAX	11
#define KIND_INSIDE	0x80
#define KIND_CLASS_MAX	0x7f
#define PROTOCOLS	256
#define IP4_OFFSET	12 // of an IPv4 address in the 16-byte form
#define BUILD_BYTES_MAX (512ULL << 20)

#define PROTOCOL_ICMP  1
#define PROTOCOL_TCP   6
#define PROTOCOL_UDP   17
#define PROTOCOL_ICMP6 58

enum family {
	FAMILY_4,
	FAMILY_6,
	FAMILY_COUNT,
};

// What a context searches: numbers in network order. Groups of four bytes follow the first byte.
struct key {
	uint8_t kind;
	uint8_t unused[3];
	struct addr dst;
	struct addr src;
	uint8_t sport[2];
	uint8_t dport[2];
};

_Static_assert(sizeof(struct key) == 40, "no holes: rte_acl reads it in words");

RTE_ACL_RULE_DEF(acl_rule, FIELDS_MAX);

struct tries {
	struct rte_acl_ctx *context; // NULL: no row of this family
	uint8_t class_of[PROTOCOLS]; // number of the protocol in `kind`
	unsigned class_count;
};

struct compiled {
	struct tries tries[FAMILY_COUNT];
};

static unsigned address_offset(enum family family)
{
	return family == FAMILY_4 ? IP4_OFFSET : 0;
}

static void add_field(struct rte_acl_config *config, uint8_t type, uint8_t size, size_t offset)
{
	unsigned n = config->num_fields++;

	config->defs[n] = (struct rte_acl_field_def){
		.type = type,
		.size = size,
		.field_index = (uint8_t)n,
		.input_index = (uint8_t)((offset + 3) / 4),
		.offset = (uint32_t)offset,
	};
}

static void describe(struct rte_acl_config *config, enum family family)
{
	config->num_categories = 1;
	add_field(config, RTE_ACL_FIELD_TYPE_BITMASK, 1, offsetof(struct key, kind));
	for (unsigned i = address_offset(family); i < ADDR_BYTES; i += 4)
		add_field(config, RTE_ACL_FIELD_TYPE_MASK, 4, offsetof(struct key, dst) + i);
	for (unsigned i = address_offset(family); i < ADDR_BYTES; i += 4)
		add_field(config, RTE_ACL_FIELD_TYPE_MASK, 4, offsetof(struct key, src) + i);
	add_field(config, RTE_ACL_FIELD_TYPE_RANGE, 2, offsetof(struct key, sport));
	add_field(config, RTE_ACL_FIELD_TYPE_RANGE, 2, offsetof(struct key, dport));
	// Two ports are one word.
	config->defs[config->num_fields - 1].input_index =
		config->defs[config->num_fields - 2].input_index;
}

static bool prefix_meets(const struct prefix *prefix, enum family family)
{
	return prefix->family == 0 || prefix->family == (family == FAMILY_4 ? 4 : 6);
}

static bool row_meets(const struct rule_row *row, enum family family)
{
	return prefix_meets(&row->src, family) && prefix_meets(&row->dst, family) &&
	       row->sport_low <= row->sport_high && row->dport_low <= row->dport_high;
}

static uint8_t row_protocol(const struct rule_row *row, enum family family)
{
	switch ((enum rule_protocol)row->protocol) {
	case RULE_TCP:
		return PROTOCOL_TCP;
	case RULE_UDP:
		return PROTOCOL_UDP;
	case RULE_ICMP:
		return family == FAMILY_4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6;
	default:
		return row->number;
	}
}

// Fields of one row, in the order of describe().
static unsigned set_kind(struct rte_acl_field *field, const struct rule_row *row, uint8_t class)
{
	field->value.u8 = row->protocol == RULE_ANY ? 0 : class;
	field->mask_range.u8 = row->protocol == RULE_ANY ? 0 : KIND_CLASS_MAX;
	if (row->from != RULE_FROM_ANY)
		field->mask_range.u8 |= KIND_INSIDE;
	if (row->from == RULE_FROM_INSIDE)
		field->value.u8 |= KIND_INSIDE;
	return 1;
}

static unsigned set_prefix(
	struct rte_acl_field *fields, const struct prefix *prefix, enum family family)
{
	unsigned first = address_offset(family), count = 0;

	for (unsigned at = first; at < ADDR_BYTES; at += 4, count++) {
		unsigned bits = prefix->bits > 8 * at ? prefix->bits - 8 * at : 0;

		fields[count].value.u32 = be32_get(prefix->addr.b + at);
		fields[count].mask_range.u32 = bits > 32 ? 32 : bits;
		if (bits == 0)
			fields[count].value.u32 = 0;
	}
	return count;
}

static unsigned set_range(struct rte_acl_field *field, uint16_t low, uint16_t high)
{
	field->value.u16 = low;
	field->mask_range.u16 = high;
	return 1;
}

static int add_row(
	struct tries *tries, enum family family, const struct rule_row *row, uint32_t index)
{
	struct acl_rule rule = {.data = {.category_mask = 1,
					.priority = (int32_t)(RTE_ACL_MAX_PRIORITY - index),
					.userdata = index + 1}};
	struct rte_acl_field *field = rule.field;
	uint8_t *class = &tries->class_of[row_protocol(row, family)];

	if (row->protocol != RULE_ANY && *class == 0) {
		if (tries->class_count == KIND_CLASS_MAX)
			return -ERR_FULL;
		*class = (uint8_t)++tries->class_count;
	}
	field += set_kind(field, row, *class);
	field += set_prefix(field, &row->dst, family);
	field += set_prefix(field, &row->src, family);
	field += set_range(field, row->sport_low, row->sport_high);
	field += set_range(field, row->dport_low, row->dport_high);
	return rte_acl_add_rules(tries->context, (struct rte_acl_rule *)&rule, 1) ? -ERR_MEMORY : 0;
}

static int create(struct tries *tries, enum family family, unsigned fields, uint32_t rules)
{
	static unsigned made; // control thread; contexts are told apart by name
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param parameters = {.name = name,
		.socket_id = SOCKET_ID_ANY,
		.rule_size = RTE_ACL_RULE_SZ(fields),
		.max_rule_num = rules};

	snprintf(name, sizeof(name), "rules%c-%u", family == FAMILY_4 ? '4' : '6', made++);
	tries->context = rte_acl_create(&parameters);
	return tries->context ? 0 : -ERR_MEMORY;
}

// Bytes of private memory this process has. 0 where the system does not say.
static uint64_t private_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

// rte_acl needs much more memory while it builds than for the result, and the more, the more rules
// overlap; it takes it from malloc() without a bound. Nobody else in this process allocates much
// while the control thread is here, so that the process's limit is a bound for the build, in time
// as well. Without a max_size in its configuration rte_acl makes more and smaller tries, in a
// fraction of the time and memory of the few big ones, which are not faster to search.
static int build_bounded(struct rte_acl_ctx *context, const struct rte_acl_config *config)
{
	uint64_t now = private_bytes();
	struct rlimit before, during;
	int error;

	if (now == 0 || getrlimit(RLIMIT_DATA, &before))
		return -ERR_MEMORY;
	during = before;
	if (now + BUILD_BYTES_MAX < during.rlim_cur)
		during.rlim_cur = now + BUILD_BYTES_MAX;
	if (setrlimit(RLIMIT_DATA, &during))
		return -ERR_MEMORY;
	error = rte_acl_build(context, config);
	setrlimit(RLIMIT_DATA, &before);
	return error ? -ERR_MEMORY : 0;
}

static int build_family(
	struct tries *tries, enum family family, const struct classifier *classifier)
{
	struct rte_acl_config config = {0};
	uint32_t rules = 0;
	int error;

	for (uint32_t i = 0; i < classifier->row_count; i++)
		rules += row_meets(&classifier->rows[i], family);
	if (rules == 0)
		return 0;
	describe(&config, family);
	error = create(tries, family, config.num_fields, rules);
	for (uint32_t i = 0; i < classifier->row_count && !error; i++) {
		if (row_meets(&classifier->rows[i], family))
			error = add_row(tries, family, &classifier->rows[i], i);
	}
	if (error)
		return error;
	// 8 searches at a time with ordinary loads: the gathers of AVX2, the default, are slower.
	// Where there is no SSE the default stays.
	rte_acl_set_ctx_classify(tries->context, RTE_ACL_CLASSIFY_SSE);
	return build_bounded(tries->context, &config);
}

static void compiled_free(struct compiled *compiled)
{
	for (unsigned family = 0; compiled && family < FAMILY_COUNT; family++)
		rte_acl_free(compiled->tries[family].context);
	free(compiled);
}

static int build(struct compiled *compiled, const struct classifier *classifier)
{
	int error = 0;

	for (enum family family = 0; family < FAMILY_COUNT && !error; family++)
		error = build_family(&compiled->tries[family], family, classifier);
	return error;
}

int classifier_acl_compile(struct classifier *classifier)
{
	struct compiled *compiled = calloc(1, sizeof(*compiled));
	int error = compiled ? build(compiled, classifier) : -ERR_MEMORY;

	if (error) {
		compiled_free(compiled);
		return error;
	}
	classifier->state = compiled;
	classifier->ops = &classifier_acl;
	return 0;
}

int classifier_acl_build(struct policy *policy)
{
	struct classifier *classifier = &policy->classifier;
	int error;

	if (classifier->row_count <= CLASSIFIER_LINEAR_ROWS_MAX)
		return 0;
	error = classifier_acl_compile(classifier);
	if (error == -ERR_FULL)
		log_warning("the rules name more than %u protocols: they are searched one by one, "
			    "which is slow rows=%u",
			KIND_CLASS_MAX, classifier->row_count);
	else if (error)
		log_warning("the rules do not fit compiled: they are searched one by one, which "
			    "is slow; raise eal.memory_mb, or have fewer that overlap rows=%u",
			classifier->row_count);
	else
		log_info("the rules are compiled rows=%u", classifier->row_count);
	return error;
}

static void acl_destroy(struct classifier *classifier)
{
	compiled_free(classifier->state);
	classifier->state = NULL;
	classifier->ops = &classifier_linear;
}

// Queries of one family on their way through its context.
struct chunk {
	struct key keys[CHUNK];
	const uint8_t *pointers[CHUNK];
	uint32_t results[CHUNK];
	unsigned at[CHUNK]; // index of the query
	unsigned count;
};

// addr_is_ip4() in line: two for each query.
static enum family address_family(const struct addr *addr)
{
	return be64_get(addr->b) == 0 && be32_get(addr->b + 8) == 0xffff ? FAMILY_4 : FAMILY_6;
}

static void chunk_add(
	struct chunk *chunk, const struct tries *tries, const struct rule_query *query, unsigned at)
{
	struct key *key = &chunk->keys[chunk->count];

	key->kind = (uint8_t)(tries->class_of[query->protocol] | (query->side ? KIND_INSIDE : 0));
	key->dst = query->dst;
	key->src = query->src;
	be16_put(key->sport, query->sport);
	be16_put(key->dport, query->dport);
	chunk->pointers[chunk->count] = (const uint8_t *)key;
	chunk->at[chunk->count++] = at;
}

// found: index of the row + 1, 0 where none matched.
static struct rule_decision decision_of(const struct rule_row *rows, uint32_t found)
{
	const struct rule_row *row;

	if (found == 0)
		return (struct rule_decision){.rule = RULE_DEFAULT};
	row = &rows[found - 1];
	return (struct rule_decision){
		.rule = row->rule, .allow = row->action == RULE_ALLOW, .is_signed = row->is_signed};
}

static void chunk_decide(struct chunk *chunk, const struct tries *tries,
	const struct rule_row *rows, struct rule_decision *decisions)
{
	if (tries->context)
		rte_acl_classify(tries->context, chunk->pointers, chunk->results, chunk->count, 1);
	for (unsigned i = 0; i < chunk->count; i++)
		decisions[chunk->at[i]] = decision_of(rows, tries->context ? chunk->results[i] : 0);
}

static void acl_decide(const struct classifier *classifier, const struct rule_query *queries,
	struct rule_decision *decisions, unsigned count)
{
	const struct compiled *compiled = classifier->state;

	while (count > 0) {
		unsigned now = count < CHUNK ? count : CHUNK;
		struct chunk chunks[FAMILY_COUNT];

		chunks[FAMILY_4].count = chunks[FAMILY_6].count = 0;
		for (unsigned i = 0; i < now; i++) {
			enum family family = address_family(&queries[i].dst);

			// No packet has two families; asked nevertheless, the rows know.
			if (address_family(&queries[i].src) != family)
				classifier_linear.decide(classifier, &queries[i], &decisions[i], 1);
			else
				chunk_add(
					&chunks[family], &compiled->tries[family], &queries[i], i);
		}
		for (unsigned f = 0; f < FAMILY_COUNT; f++)
			chunk_decide(&chunks[f], &compiled->tries[f], classifier->rows, decisions);
		queries += now;
		decisions += now;
		count -= now;
	}
}

const struct classifier_ops classifier_acl = {
	.name = "acl",
	.decide = acl_decide,
	.destroy = acl_destroy,
};
