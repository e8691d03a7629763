// The engine's turn.
//
// Life cycle: engine_init() lays everything out in one block of the caller's memory and drops
// frames as `stopped` until a policy arrives. Each engine_run() then does, in this order: messages
// (a new policy or key counts for the frames of the same call), frames, half-open contexts whose
// turn has come, one slice of ageing. All of it is bounded by ENGINE_BATCH_MAX and the *_SLICE
// constants.
//
// Who writes what: the engine alone writes everything here. Counters may be read by any thread
// (base/counter.h); nothing else may.
//
// Frames are decided in passes: the first parses all of them, others do for the whole burst what is
// cheaper for many (hashes, rules, cookies) and prefetch the buckets and then the flows it will
// look at, so that the misses of a burst overlap; the last decides.
#include "engine/internal.h"

#include "base/check.h"

#include <string.h>

struct layout {
	size_t bad_acks, prefixes, openings, pool, table, total;
};

static size_t line_up(size_t bytes)
{
	return (bytes + CPU_CACHE_LINE_BYTES - 1) & ~(size_t)(CPU_CACHE_LINE_BYTES - 1);
}

// Half-open contexts: one for so many flows.
#define OPENING_SHARE 4

uint32_t engine_openings(uint32_t capacity, uint64_t queue_total_bytes)
{
	uint64_t cells = queue_total_bytes / HOLD_CELL_BYTES;
	uint32_t share = capacity / OPENING_SHARE + 1;

	return cells < share ? (uint32_t)cells : share;
}

// A flow that takes another one's place is counted before that one is not.
static uint32_t prefix_entries(const struct engine_config *config)
{
	return config->capacity + 1;
}

// In the order in which pages are wanted, for who gives the memory its pages from the front: what
// the first packets use anywhere, then what they use from its first entry on.
static struct layout engine_layout(const struct engine_config *config)
{
	struct layout at;

	at.bad_acks = line_up(sizeof(struct engine));
	at.prefixes = at.bad_acks + line_up(rate_limit_bytes());
	at.openings = at.prefixes + line_up(prefix_limit_bytes(prefix_entries(config)));
	at.pool = at.openings + line_up(config->openings * sizeof(struct opening));
	at.table = at.pool + line_up(hold_pool_bytes(config->queue_total_bytes));
	at.total = at.table + line_up(flow_table_bytes(config->capacity));
	return at;
}

size_t engine_bytes(const struct engine_config *config)
{
	return engine_layout(config).total;
}

struct engine *engine_init(void *memory, const struct engine_config *config)
{
	struct layout at = engine_layout(config);
	struct engine *engine = memory;
	uint8_t *base = memory;

	CHECK(config->port_count <= ENGINE_PORTS_MAX && config->worker < config->workers);
	engine->config = *config;
	engine->table_key = siphash_key(config->table_key);
	engine->bad_acks = rate_limit_init(base + at.bad_acks, engine->table_key);
	engine->prefixes =
		prefix_limit_init(base + at.prefixes, prefix_entries(config), engine->table_key);
	engine->openings = (struct opening *)(void *)(base + at.openings);
	engine->pool = hold_pool_init(base + at.pool, config->queue_total_bytes);
	engine->table = flow_table_init(base + at.table, config->capacity);
	engine->opening_free = FLOW_NONE;
	// Until told otherwise every node is there (tests, and a node that is alone).
	engine->view = (struct message_view){.active = UINT64_MAX, .decodes = true};
	return engine;
}

struct frame *engine_lend(struct engine *engine)
{
	struct batch *batch = engine->batch;

	return batch->out_used < batch->out_room ? &batch->out[batch->out_used] : NULL;
}

void engine_sent(struct engine *engine, struct frame *frame, uint8_t port)
{
	frame->port = port;
	frame->flags = 0;
	engine->batch->out_used++;
}

struct message *engine_message(struct engine *engine, enum message_type type, uint16_t node)
{
	struct batch *batch = engine->batch;
	struct message *message;

	if (batch->messages_out_used >= batch->messages_out_room)
		return NULL;
	message = batch->messages_out[batch->messages_out_used++];
	message->type = (uint8_t)type;
	message->why = 0;
	message->node = node;
	message->worker = engine->config.worker;
	message->frame_len = 0;
	message->flow_count = 0;
	return message;
}

bool engine_may_reset(struct engine *engine)
{
	uint64_t second = engine->now_ns / NS_PER_S;

	if (second != engine->reset_second) {
		engine->reset_second = second;
		engine->resets = 0;
	}
	if (engine->resets >= engine->policy->limits.reset_per_s)
		return false;
	engine->resets++;
	return true;
}

void verdict_drop(struct arrival *arrival, enum reason reason)
{
	arrival->verdict->kind = VERDICT_DROP;
	arrival->verdict->reason = (uint8_t)reason;
}

void verdict_forward(struct engine *engine, struct arrival *arrival)
{
	arrival->verdict->kind = VERDICT_FORWARD;
	arrival->verdict->reason = REASON_NONE;
	arrival->verdict->port = engine->config.ports[arrival->frame->port].peer;
}

// An arrived packet answered in place counts as one consumed and one generated.
void verdict_reply(struct engine *engine, struct arrival *arrival)
{
	arrival->verdict->kind = VERDICT_REPLY;
	arrival->verdict->reason = REASON_NONE;
	arrival->verdict->port = arrival->frame->port;
	counter_add(&engine->stats.consumed, 1);
	counter_add(&engine->stats.generated, 1);
}

void verdict_consume(struct engine *engine, struct arrival *arrival)
{
	arrival->verdict->kind = VERDICT_CONSUME;
	arrival->verdict->reason = REASON_NONE;
	counter_add(&engine->stats.consumed, 1);
}

static void count_verdict(struct engine *engine, const struct arrival *arrival)
{
	const struct verdict *verdict = arrival->verdict;

	if (verdict->kind == VERDICT_WORKER) {
		counter_add(&engine->stats.handed_over, 1);
		return;
	}
	counter_add(&engine->stats.received, 1);
	counter_add(&engine->stats.path_packets[arrival->path], 1);
	if (verdict->kind == VERDICT_DROP) {
		CHECK(verdict->reason > REASON_NONE && verdict->reason < REASON_COUNT);
		counter_add(&engine->stats.dropped[verdict->reason], 1);
	}
}

static void decide(struct engine *engine, struct arrival *arrival, bool ready)
{
	if (ready)
		ingress_decide(engine, arrival);
	arrival->verdict->rule = arrival->rule;
	count_verdict(engine, arrival);
}

// What most others are not: flood_take() looks closer.
static ALWAYS_INLINE bool seems_first_syn(const struct frame *frame)
{
	return frame->len >= 54 && frame->data[14] == 0x45 &&
	       (frame->data[47] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static void frames_take(struct engine *engine)
{
	struct batch *batch = engine->batch;
	bool ready[ENGINE_BATCH_MAX];
	unsigned count = 0; // that are not of a flood

	CHECK(batch->frame_count <= ENGINE_BATCH_MAX);
	const bool flooded = flood_begin(engine);
	for (unsigned i = 0; i < batch->frame_count; i++) {
		struct arrival *arrival = &engine->arrivals[count];

		engine->flood.kind_of[i] = NULL;
		if (flooded && seems_first_syn(&batch->frames[i]) && flood_take(engine, i))
			continue;
		arrival->frame = &batch->frames[i];
		arrival->verdict = &batch->verdicts[i];
		arrival->from_peer = false;
		ready[count++] = ingress_prepare(engine, arrival);
	}
	flood_hash(engine);
	ingress_hash_batch(engine, count);
	admit_batch(engine, count);
	syn_batch(engine, count);
	if (ingress_prefetch_flows(engine, count) > 0)
		proof_batch(engine, count);
	count = 0;
	for (unsigned i = 0; i < batch->frame_count; i++) {
		if (engine->flood.kind_of[i] != NULL) {
			flood_answer(engine, i);
			continue;
		}
		decide(engine, &engine->arrivals[count], ready[count]);
		count++;
	}
	flood_end(engine);
}

void engine_run(struct engine *engine, struct batch *batch)
{
	engine->batch = batch;
	engine->now_ns = batch->now_ns;
	engine->now_ms = (uint32_t)(batch->now_ns / NS_PER_MS);
	engine->tick = batch->tick;
	engine->tick_part = batch->tick_part;
	batch->out_used = 0;
	batch->messages_out_used = 0;
	messages_take(engine);
	frames_take(engine);
	if (engine->policy != NULL) {
		if (!batch->stopped)
			opening_run(engine);
		ageing_slice(engine);
	}
	engine->batch = NULL;
}

const struct engine_stats *engine_stats(const struct engine *engine)
{
	return &engine->stats;
}

const struct engine_service_stats *engine_service_stats(
	const struct engine *engine, uint16_t service)
{
	return &engine->services[service];
}

uint64_t engine_rule_hits(const struct engine *engine, uint32_t rule)
{
	if (rule == RULE_DEFAULT)
		return counter_get(&engine->stats.rule_hits_default);
	return rule < RULE_COUNT_MAX ? counter_get(&engine->rule_hits[rule]) : 0;
}

uint64_t engine_flow_count(const struct engine *engine)
{
	return flow_table_count(engine->table);
}

uint64_t engine_queued_bytes(const struct engine *engine)
{
	return hold_pool_used_bytes(engine->pool);
}

uint64_t engine_idle_ns(const struct engine *engine, uint64_t now_ns)
{
	(void)now_ns;
	if (engine->drain_count > 0)
		return 0;
	return engine->opening_used > 0 ? NS_PER_MS : UINT64_MAX;
}
