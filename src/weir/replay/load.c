#include "weir/replay/load.h"

#include "engine/engine.h"
#include "flow/table.h"
#include "limit/prefix_limit.h"
#include "weir/node.h"
#include "weir/replay/interrupt.h"
#include "weir/replay/machine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define COUNT_DEFAULT	 10000000
#define RATE_DEFAULT	 10000000
#define FLOWS_DEFAULT	 1000 // of a mix; established ones: half of what the table takes
#define COUNT_MAX	 1000000000000
#define STEP_NS		 1000000ULL
#define PATIENCE_STEPS	 100 // of PATIENCE_NS: nothing that opens a connection takes longer
#define PATIENCE_NS	 100000000ULL
#define LARGE_PAGE_BYTES (2ULL << 20)
#define NS_PER_S	 1000000000ULL
#define MIB		 ((double)(1ULL << 20))
#define GIB		 ((double)(1ULL << 30))

__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...)
{
	va_list arguments;

	fputs("weir: replay: --synthetic: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return 1;
}

bool replay_parse_count(const char *text, uint64_t most, uint64_t *out)
{
	uint64_t unit = 1;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	*out = strtoull(text, &end, 10);
	if (*end == 'k' || *end == 'M' || *end == 'G')
		unit = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : 1000000000;
	if (end[unit > 1] != '\0' || *out > most / unit)
		return false;
	*out *= unit;
	return true;
}

// --- what is asked for ---

const char *load_check(const char *text)
{
	size_t len = strcspn(text, ":");
	enum synthetic_kind kind = synthetic_kind_of(text, len);
	uint64_t flows;

	if (kind == SYNTHETIC_KINDS)
		return "--synthetic takes syn, ack, mix or established, with :FLOWS behind it for "
		       "connections that are open before";
	if (text[len] == '\0')
		return NULL;
	if (!replay_parse_count(text + len + 1, SYNTHETIC_FLOWS_MAX, &flows))
		return "--synthetic: FLOWS is a number up to 100M, such as 5000, 64k or 1M";
	if (flows == 0 && kind >= SYNTHETIC_MIX)
		return "--synthetic: it takes at least one connection";
	return NULL;
}

// Of what load_check() finds nothing wrong with.
static void parse_kind(const char *text, struct synthetic_config *config, bool *has_flows)
{
	size_t len = strcspn(text, ":");
	uint64_t flows = 0;

	config->kind = (uint8_t)synthetic_kind_of(text, len);
	*has_flows =
		text[len] == ':' && replay_parse_count(text + len + 1, SYNTHETIC_FLOWS_MAX, &flows);
	config->flows = (uint32_t)flows;
}

static const struct service *find_service(const struct policy *policy)
{
	for (unsigned i = 0; i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];

		if ((service->protocol == RULE_TCP || service->protocol == RULE_ANY) &&
			service->to_count > 0 && service->port_count > 0)
			return service;
	}
	return NULL;
}

static int choose_clients(const struct replay_options *options, struct synthetic_config *config)
{
	unsigned family = addr_is_ip4(&config->service->to[0].addr) ? 4 : 6;
	char text[ADDR_TEXT_BYTES];

	if (!options->has_clients) {
		prefix_parse(&config->clients, family == 4 ? "10.0.0.0/8" : "2001:db8::/32");
		return 0;
	}
	config->clients = options->clients;
	if (config->clients.family == family)
		return 0;
	return refuse(
		"clients of service `%s' are of IPv%u, as the first of its prefixes, %s: give "
		"--clients such a prefix",
		config->service->name, family, addr_format(&config->service->to[0].addr, text));
}

static int describe(const struct replay_options *options, const struct config *config,
	struct synthetic_config *out)
{
	const struct policy_limits *limits = &config->policy->limits;
	bool has_flows;

	*out = (struct synthetic_config){.service = find_service(config->policy),
		.rate = options->rate ? options->rate : RATE_DEFAULT,
		.count = options->count ? options->count : COUNT_DEFAULT,
		.prefix_flows = limits->per_prefix_flows};
	if (options->duration_s > 0)
		out->count = (uint64_t)(options->duration_s * (double)out->rate + 0.5);
	if (out->count == 0 || out->count > COUNT_MAX)
		return refuse(
			"--duration at that --rate is of no packet, or of too many: 1 to 10^12");
	if (out->service == NULL)
		return refuse(
			"%s has no service of TCP, which the packets would be for", config->file);
	parse_kind(options->synthetic, out, &has_flows);
	if (choose_clients(options, out))
		return 1;
	out->prefix_bits = out->clients.family == 4 ? limits->prefix4 : limits->prefix6;
	if (!has_flows && out->kind == SYNTHETIC_ESTABLISHED)
		out->flows = config->flow_capacity / 2 < SYNTHETIC_FLOWS_MAX
				     ? config->flow_capacity / 2
				     : SYNTHETIC_FLOWS_MAX;
	if (!has_flows && out->kind == SYNTHETIC_MIX)
		out->flows = FLOWS_DEFAULT;
	if (options->seeded)
		out->seed = options->seed;
	else if (getrandom(&out->seed, sizeof(out->seed), 0) < 0)
		return refuse("the system has no randomness: give a --seed");
	return 0;
}

// --- whether there is room for it ---

static int check_limits(const struct synthetic_config *config, struct config *const configs[])
{
	unsigned bits = config->clients.bits - (config->clients.family == 4 ? 96u : 0);
	uint64_t most = synthetic_flows_most(config);
	struct synthetic_config endless = *config;
	char text[ADDR_TEXT_BYTES];

	for (unsigned i = 0; i < REPLAY_NODES_MAX && configs[i] != NULL; i++)
		if (configs[i]->flow_capacity < config->flows)
			return refuse("flows.capacity = %" PRIu32 " of %s holds no %" PRIu32
				      " connections: add --set flows.capacity=%" PRIu32,
				configs[i]->flow_capacity, configs[i]->file, config->flows,
				config->flows);
	if (config->service->flows_max > 0 && config->service->flows_max < config->flows)
		return refuse("service `%s' has a limit of %" PRIu32
			      " connections: ask for no more, or add --set "
			      "services.%s.flows_max=%" PRIu32,
			config->service->name, config->service->flows_max, config->service->name,
			config->flows);
	if (config->flows <= most)
		return 0;
	addr_format(&config->clients.addr, text);
	endless.prefix_flows = UINT32_MAX;
	if (synthetic_flows_most(&endless) < config->flows)
		return refuse("clients in %s/%u have addresses and ports for %" PRIu64
			      " connections, not %" PRIu32 ": give wider --clients",
			text, bits, synthetic_flows_most(&endless), config->flows);
	return refuse("limits.per_prefix_flows = %" PRIu32 " lets clients in %s/%u have %" PRIu64
		      " connections, not %" PRIu32
		      ": raise it with --set limits.per_prefix_flows=N, or give wider --clients",
		config->prefix_flows, text, bits, most, config->flows);
}

// What will be written to of a node's tables: all of the index, the entries of connections, and the
// large pages where their prefixes are counted.
static uint64_t node_bytes(const struct synthetic_config *config, const struct config *node)
{
	uint32_t capacity = node->flow_capacity;
	uint64_t spare = (uint64_t)(capacity - config->flows) * sizeof(struct flow);
	uint64_t counters = synthetic_prefixes(config) * LARGE_PAGE_BYTES;
	uint64_t counters_most = prefix_limit_bytes(capacity);

	return flow_table_bytes(capacity) - spare + node->policy->limits.queue_total_bytes +
	       (counters < counters_most ? counters : counters_most);
}

static int check_memory(const struct synthetic_config *config, struct config *const configs[])
{
	uint64_t available = node_available_mb(), needed = synthetic_bytes(config);

	for (unsigned i = 0; i < REPLAY_NODES_MAX && configs[i] != NULL; i++)
		needed += node_bytes(config, configs[i]);
	if (available != UINT64_MAX && needed >> 20 >= available)
		return refuse("%" PRIu32 " connections in tables of flows.capacity = %" PRIu32
			      " need %.1f GiB of memory, and the system has %.1f GiB: ask for "
			      "fewer, or for a capacity just above them",
			config->flows, configs[0]->flow_capacity, (double)needed / GIB,
			(double)available / 1024);
	if (config->flows > 0)
		fprintf(stderr, "replay: %" PRIu32 " connections take %.0f MiB of memory\n",
			config->flows, (double)needed / MIB);
	return 0;
}

int load_open(struct load *load, const struct replay_options *options,
	struct config *const configs[REPLAY_NODES_MAX])
{
	struct synthetic_config config;

	*load = (struct load){.used = options->synthetic != NULL};
	if (!load->used)
		return 0;
	if (describe(options, configs[0], &config) || check_limits(&config, configs) ||
		check_memory(&config, configs))
		return 1;
	load->memory_bytes = synthetic_bytes(&config) + 1;
	load->memory = mmap(NULL, load->memory_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (load->memory == MAP_FAILED) {
		load->memory = NULL;
		return refuse("not enough memory");
	}
	madvise(load->memory, load->memory_bytes, MADV_HUGEPAGE);
	synthetic_init(&load->synthetic, &config, load->memory);
	return 0;
}

void load_close(struct load *load)
{
	if (load->memory != NULL)
		munmap(load->memory, load->memory_bytes);
	load->memory = NULL;
}

// --- opening ---

void load_hear(struct load *load, const struct frame *frame, uint8_t side)
{
	synthetic_hear(&load->synthetic, frame, (enum side)side);
}

static void offer(struct load *load, struct site *site, struct burst *burst)
{
	if (burst->count == 0)
		return;
	load->offered += burst->count;
	box_offer(site_taker(site, burst->side), burst->frames, burst->verdicts, burst->count);
	for (unsigned i = 0; i < burst->count; i++)
		if (burst->verdicts[i].kind == VERDICT_FORWARD ||
			burst->verdicts[i].kind == VERDICT_REPLY)
			load_hear(load, &burst->frames[i], burst->verdicts[i].port);
	burst->count = 0;
	site_exchange(site);
}

// What can be sent now. False where that is nothing.
static bool send(struct load *load, struct site *site, struct burst *burst)
{
	struct synthetic_packet made;
	struct replay_packet packet = {0};
	bool any = false;

	for (unsigned i = 0; i < SYNTHETIC_OPENING && synthetic_ask(&load->synthetic, &made); i++) {
		packet.data = made.data;
		packet.len = made.len;
		if (burst->count == burst->most || (burst->count > 0 && made.side != burst->side))
			offer(load, site, burst);
		packet.side = made.side;
		burst_add(burst, &packet, site->now_ns);
		any = true;
	}
	offer(load, site, burst);
	return any;
}

// The reason most of what did not get through was dropped for.
static int explain(const struct load *load, const struct site *site)
{
	unsigned worst = REASON_NONE;
	uint64_t most = 0;

	for (unsigned b = 0; b < site->count; b++) {
		const struct engine_stats *stats = engine_stats(site->boxes[b].engine);

		for (unsigned i = 1; i < REASON_COUNT; i++) {
			if (counter_get(&stats->dropped[i]) <= most)
				continue;
			most = counter_get(&stats->dropped[i]);
			worst = i;
		}
	}
	return refuse("of %" PRIu32 " connections %" PRIu32 " could be opened%s%s%s",
		load->synthetic.config.flows, load->synthetic.opened,
		worst != REASON_NONE ? "; most packets of others were dropped as " : "",
		worst != REASON_NONE ? reason_name(worst) : "",
		worst != REASON_NONE ? ": see to the configuration's rules, services and limits"
				     : "");
}

static void tell(const struct load *load, struct progress *progress)
{
	uint64_t now_ns = machine_clock_ns();

	if (now_ns >= progress->next_ns)
		progress_tell(progress, now_ns, load->synthetic.opened,
			load->synthetic.config.flows, load->offered);
}

static int open_all(
	struct load *load, struct site *site, struct burst *burst, struct progress *progress)
{
	const struct synthetic *synthetic = &load->synthetic;
	unsigned patience = PATIENCE_STEPS;
	uint64_t due_ns;

	while (!synthetic_is_open(synthetic) && interrupt_signal() == 0) {
		if (send(load, site, burst)) {
			patience = PATIENCE_STEPS;
			tell(load, progress);
		} else if (patience-- == 0) {
			return explain(load, site);
		} else if (site_advance(site, site->now_ns + PATIENCE_NS)) {
			return 1;
		}
		due_ns = load->offered / synthetic->config.rate * NS_PER_S +
			 load->offered % synthetic->config.rate * NS_PER_S / synthetic->config.rate;
		if (due_ns >= site->now_ns + STEP_NS && site_advance(site, due_ns))
			return 1;
	}
	return site_advance(site, site->now_ns + STEP_NS);
}

int load_establish(
	struct load *load, struct site *site, struct burst *burst, struct progress *progress)
{
	uint64_t start_ns = machine_clock_ns();
	int status = 0;

	if (!load->used || load->synthetic.config.flows == 0)
		return 0;
	progress_begin(progress, start_ns, "opening connections");
	load->opening = true;
	status = open_all(load, site, burst, progress);
	load->opening = false;
	progress_end(progress);
	load->open_ns = machine_clock_ns() - start_ns;
	site_begin(site);
	return status;
}
