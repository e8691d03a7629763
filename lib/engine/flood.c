// SYNs that are like one before. In a flood nearly all differ in nothing but source and numbers.
// So of a SYN that was answered in the usual way (syn.c) its kind is remembered: a stencil that
// tells such frames by a few comparisons, what rules and services said of it, wherever it comes
// from, and the form of its answer. What fits gets the same answer without ever being parsed,
// asked about or looked up.
//
// Who writes what: syn_answer() has a kind learnt; the next call's frames are held against it, and
// those that fit are answered in their turn among the others. A new policy, and new keys or
// profiles, make all kinds forgotten; another epoch makes those of the last one useless. Nothing
// else an answer is made of changes but the window, which is looked at each time.
//
// A kind is of all destinations that no rule or service tells apart, so a flood over a whole prefix
// is of one. Learning costs what many SYNs do, and the more, the more rules there are: a flood that
// is never the same twice may cause it only so often.
#include "engine/internal.h"

#include <string.h>

#define FRONT_BYTES	34u   // in front of the TCP header
#define FLOOD_FEW	4     // frames in a call: no flood
#define LEARN_NS	20000 // between two kinds at least
#define LEARN_STEP_NS	250   // and for each row of the rules and prefix of a service
#define LEARN_STEPS_MAX 4096  // a stall of more is too long

void flood_forget(struct engine *engine)
{
	const struct policy *policy = engine->policy;
	struct flood *flood = &engine->flood;

	for (unsigned i = 0; i < FLOOD_KINDS; i++)
		flood->marks[i].about = 0;
	if (policy == NULL)
		return;
	flood->steps = policy->classifier.row_count;
	for (unsigned i = 0; i < policy->service_count; i++)
		flood->steps += policy->services[i].to_count;
}

static ALWAYS_INLINE bool scope_holds(const struct flood_kind *kind, const struct frame *frame)
{
	const uint8_t *tcp = frame->data + FRONT_BYTES;
	struct addr src;

	if (kind->scope.row_count == 0)
		return true;
	src = addr_from_ip4(tcp - 8);
	return rule_scope_holds(&kind->scope, &src, be16_get(tcp));
}

static ALWAYS_INLINE void add_words(struct flood *flood, unsigned at, const struct frame *frame)
{
	const uint8_t *tuple = frame->data + FRONT_BYTES - 8;
	uint64_t(*words)[SIPHASH_LANES] = flood->words[at / SIPHASH_LANES];

	memcpy(&words[0][at % SIPHASH_LANES], tuple, 8);
	memcpy(&words[1][at % SIPHASH_LANES], tuple + 8, 8);
}

static ALWAYS_INLINE bool is_of(const struct flood *flood, const struct flood_kind *kind,
	const struct frame *frame, bool wide)
{
	return (wide ? stencil_fits_wide(&kind->stencil, frame)
		     : stencil_fits_any(&kind->stencil, frame)) &&
	       kind->epoch == flood->keys->epoch && scope_holds(kind, frame);
}

static ALWAYS_INLINE bool take(
	struct flood *flood, const struct frame *frame, unsigned i, bool wide)
{
	uint64_t about = stencil_about(frame), to = host64_get(frame->data + FRONT_BYTES - 4);

	for (unsigned at = 0; at < FLOOD_KINDS; at++) {
		const struct flood_mark *mark = &flood->marks[at];

		if (mark->about != about || (to & mark->to_covered) != mark->to ||
			!is_of(flood, &flood->kinds[at], frame, wide))
			continue;
		flood->kind_of[i] = &flood->kinds[at];
		flood->taken_of[at]++;
		add_words(flood, flood->taken++, frame);
		return true;
	}
	return false;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static bool take_wide(
	struct flood *flood, const struct frame *frame, unsigned i)
{
	return take(flood, frame, i, true);
}
#endif

static bool take_any(struct flood *flood, const struct frame *frame, unsigned i)
{
	return take(flood, frame, i, false);
}

bool flood_take(struct engine *engine, unsigned i)
{
	const struct frame *frame = &engine->batch->frames[i];

#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return take_wide(&engine->flood, frame, i);
#endif
	return take_any(&engine->flood, frame, i);
}

void flood_hash(struct engine *engine)
{
	struct flood *flood = &engine->flood;

	for (unsigned at = 0; at < flood->taken; at += 2 * SIPHASH_LANES)
		siphash24_words_two(flood->keys->cookie, flood->words[at / SIPHASH_LANES],
			TUPLE_WORDS_IP4, &flood->hashes[at]);
}

bool flood_begin(struct engine *engine)
{
	struct flood *flood = &engine->flood;
	const struct batch *batch = engine->batch;

	flood->taken = flood->answered = 0;
	flood->keys = NULL;
	if (batch->frame_count >= FLOOD_FEW && !batch->stopped && engine->policy != NULL)
		flood->keys = keyring_get(&engine->ring, keyring_epoch(engine->tick));
	return flood->keys != NULL;
}

static void write_answer(
	struct flood_kind *kind, struct frame *frame, uint64_t hash, uint32_t now_ms)
{
	const uint8_t *tcp = frame->data + FRONT_BYTES;
	bool timestamps = kind->timestamps_at != 0;
	struct syncookie cookie =
		syncookie_seal(kind->epoch, hash, kind->cookie_options, timestamps, now_ms);
	const struct answer_numbers numbers = {.seq = cookie.seq,
		.ack = be32_get(tcp + 4) + 1,
		.tsval = cookie.tsval,
		.tsecr = timestamps ? be32_get(frame->data + kind->timestamps_at) : 0};

	answer_write_cut(frame, &kind->form, &numbers);
}

void flood_answer(struct engine *engine, unsigned i)
{
	struct flood *flood = &engine->flood;
	struct frame *frame = &engine->batch->frames[i];
	struct verdict *verdict = &engine->batch->verdicts[i];
	struct flood_kind *kind = flood->kind_of[i];
	uint16_t window = syn_queue_window(engine, kind->service);

	if (window != kind->window) {
		answer_form_set_window(&kind->form, window);
		kind->window = window;
	}
	write_answer(kind, frame, flood->hashes[flood->answered++], engine->now_ms);
	verdict->kind = VERDICT_REPLY;
	verdict->reason = REASON_NONE;
	verdict->port = frame->port;
	verdict->rule = kind->scope.decision.rule;
}

static void count_kind(struct engine *engine, const struct flood_kind *kind, uint32_t count)
{
	struct engine_service_stats *service = &engine->services[kind->service->id];

	admit_count_rule(engine, kind->scope.decision.rule, count);
	counter_add(&service->syn, count);
	counter_add(&service->synack_sent, count);
}

void flood_end(struct engine *engine)
{
	struct flood *flood = &engine->flood;

	if (flood->taken == 0)
		return;
	for (unsigned i = 0; i < FLOOD_KINDS; i++)
		if (flood->taken_of[i] > 0)
			count_kind(engine, &flood->kinds[i], flood->taken_of[i]);
	memset(flood->taken_of, 0, sizeof(flood->taken_of));
	counter_add(&engine->stats.received, flood->taken);
	counter_add(&engine->stats.path_packets[PATH_SYN], flood->taken);
	counter_add(&engine->stats.consumed, flood->taken);
	counter_add(&engine->stats.generated, flood->taken);
}

// May another kind be learnt now?
static bool may_learn(struct engine *engine)
{
	struct flood *flood = &engine->flood;

	if (flood->keys == NULL || engine->now_ns < flood->learn_ns ||
		flood->steps > LEARN_STEPS_MAX)
		return false;
	flood->learn_ns = engine->now_ns + LEARN_NS + flood->steps * LEARN_STEP_NS;
	return true;
}

// By how many bits of the destination others of the kind are told.
static uint8_t deciding_bits(
	const struct policy *policy, const struct rule_scope *scope, const struct addr *dst)
{
	unsigned bits = service_deciding_bits(policy->services, policy->service_count, dst);

	bits = bits > scope->dst_bits ? bits : scope->dst_bits;
	return (uint8_t)(bits > ADDR_IP4_BITS + 8 ? bits - ADDR_IP4_BITS : 8);
}

// False where the frame or the rules are of no use to others like it.
static bool learn(const struct engine *engine, const struct arrival *arrival,
	uint16_t timestamps_at, struct flood_kind *kind)
{
	const struct policy *policy = engine->policy;
	struct stencil_bounds bounds = {.timestamps_at = timestamps_at};
	struct rule_query query;

	admit_query(arrival, &query);
	if (!rule_scope_find(&kind->scope, &policy->classifier, &query) ||
		!kind->scope.decision.allow || kind->scope.decision.is_signed)
		return false;
	bounds.dst_bits = deciding_bits(policy, &kind->scope, &query.dst);
	return stencil_cut(&kind->stencil, arrival->frame, &arrival->view, bounds);
}

// Where one like it is known, it takes its place, else that of the one that was learnt first.
static unsigned place_for(struct flood *flood, const struct stencil *stencil)
{
	for (unsigned i = 0; i < FLOOD_KINDS; i++)
		if (memcmp(&flood->kinds[i].stencil, stencil, sizeof(*stencil)) == 0)
			return i;
	return flood->next++ % FLOOD_KINDS;
}

static void remember(struct flood *flood, const struct flood_kind *kind)
{
	const struct stencil *stencil = &kind->stencil;
	unsigned at = place_for(flood, stencil);

	if (flood->taken_of[at] > 0)
		return; // has answers to give
	flood->kinds[at] = *kind;
	flood->marks[at] = (struct flood_mark){
		.about = stencil->about, .to = stencil->to, .to_covered = stencil->to_covered};
}

void flood_learn(struct engine *engine, const struct arrival *arrival,
	const struct syn_terms *terms, const struct options *offered)
{
	const struct syn_shape *shape = &terms->shape;
	uint16_t timestamps_at = offered->bits & OPTION_TIMESTAMPS ? offered->timestamps_at : 0;
	struct flood_kind kind;

	if (arrival->from_peer || !may_learn(engine) ||
		FRONT_BYTES + terms->form.tcp_bytes > arrival->frame->len)
		return;
	kind.form = terms->form;
	kind.service = terms->service;
	kind.epoch = terms->keys->epoch;
	kind.cookie_options = terms->cookie_options;
	kind.window = shape->window;
	kind.timestamps_at = shape->options & OPTION_TIMESTAMPS ? timestamps_at : 0;
	if (learn(engine, arrival, timestamps_at, &kind))
		remember(&engine->flood, &kind);
}
