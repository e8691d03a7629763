// Ageing and eviction. Each call looks at a slice of the table sized so that the whole table is
// seen about once a second however large it is; nothing ever scans it at once.
//
// Trust, from least to most: the memory of a refused handshake, ended, unanswered, answered
// pseudo-state, established. Established flows are never evicted: a flood cannot push them out. A
// memory is no flow and goes even where flows are not to be evicted: real handshakes that are
// refused fill the table against nobody.
#include "engine/internal.h"

enum trust {
	TRUST_MEMORY = 0,
	TRUST_ENDED,
	TRUST_UNANSWERED,
	TRUST_ANSWERED,
	TRUST_ESTABLISHED,
};

static enum trust flow_trust(const struct flow *flow)
{
	if (flow->key.protocol != PROTOCOL_TCP)
		return flow->bits & FLOW_CONFIRMED ? TRUST_ANSWERED : TRUST_UNANSWERED;
	switch (flow->track.state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSING:
		return TRUST_ESTABLISHED;
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return TRUST_UNANSWERED;
	default:
		return entry_is_memory(flow) ? TRUST_MEMORY : TRUST_ENDED;
	}
}

// A connection that ended counts as closed when its entry goes, one that fell silent as expired.
static counter *ending(struct engine *engine, const struct flow *flow)
{
	bool ended = entry_has_ended(flow);

	return ended ? &engine->stats.flows_closed : &engine->stats.flows_expired;
}

static void age_one(struct engine *engine, uint32_t index)
{
	struct flow *flow = flow_table_at(engine->table, index);

	if (flow == NULL)
		return;
	if (engine->policy->clustered)
		share_visit(engine, flow);
	if (flow->bits & FLOW_OPENING)
		return;
	// Its last use may be later than noted.
	if (engine->now_ms - flow->last_ms < entry_timeout_ms(engine, flow) + TOUCH_MS)
		return;
	share_ended(engine, flow);
	if (entry_remember(engine, flow))
		return;
	counter_add(ending(engine, flow), 1);
	entry_remove(engine, flow);
}

// Visits up to `slice` flows; returns how many. Where all cells are taken by what flows of this
// very slice have to say, the next one is the first of the next call: it would find no cell now,
// and be visited again a second later at best. Some have been told by then, so there is always
// progress.
static uint64_t visit(struct engine *engine, uint64_t slice)
{
	const struct batch *batch = engine->batch;
	uint32_t high = flow_table_high_water(engine->table), used = batch->messages_out_used;
	uint64_t visited = 0;

	while (visited < slice && visited < high) {
		if (engine->ageing_cursor >= high)
			engine->ageing_cursor = 0;
		age_one(engine, engine->ageing_cursor++);
		visited++;
		if (batch->messages_out_used > used &&
			batch->messages_out_used == batch->messages_out_room)
			break;
	}
	return visited;
}

void ageing_slice(struct engine *engine)
{
	uint32_t high = flow_table_high_water(engine->table);
	uint64_t elapsed_ms = (engine->now_ns - engine->aged_ns) / NS_PER_MS;
	uint64_t slice;

	if (elapsed_ms == 0)
		return;
	engine->aged_ns = engine->now_ns;
	// A table that grew makes the round of a resync longer.
	if (engine->resync_left > 0 && high > engine->resync_high) {
		engine->resync_left += high - engine->resync_high;
		engine->resync_high = high;
	}
	slice = high * (elapsed_ms < MS_PER_S ? elapsed_ms : MS_PER_S) / MS_PER_S + 1;
	if (slice > AGEING_SLICE_MAX)
		slice = AGEING_SLICE_MAX;
	slice = visit(engine, slice);
	engine->resync_left -= engine->resync_left < slice ? engine->resync_left : (uint32_t)slice;
	if (engine->resync_left == 0)
		engine->resync = 0;
}

// What is trusted as much, or more, stays.
static enum trust trust_kept(const struct engine *engine)
{
	return engine->policy->eviction == EVICTION_NEVER ? TRUST_ENDED : TRUST_ESTABLISHED;
}

static void consider(struct flow *flow, struct flow **worst, enum trust *trust)
{
	enum trust its = flow_trust(flow);

	if (its < *trust) {
		*trust = its;
		*worst = flow;
	}
}

// Goes on behind the last one taken, whose place the next flow gets: so of equals the one that has
// been there longest goes.
static struct flow *worst_in_table(struct engine *engine)
{
	uint32_t high = flow_table_high_water(engine->table);
	enum trust trust = trust_kept(engine);
	struct flow *worst = NULL;

	for (uint32_t i = 0; i < EVICTION_SCAN && i < high && trust > TRUST_MEMORY; i++) {
		struct flow *flow =
			flow_table_at(engine->table, (engine->eviction_cursor + i) % high);

		if (flow != NULL)
			consider(flow, &worst, &trust);
	}
	if (worst != NULL)
		engine->eviction_cursor = flow_table_index(engine->table, worst) + 1;
	else
		engine->eviction_cursor = (engine->eviction_cursor + EVICTION_SCAN) % high;
	return worst;
}

static struct flow *worst_in_buckets(struct engine *engine, uint64_t hash)
{
	struct flow *list[FLOW_TABLE_CANDIDATES];
	unsigned count = flow_table_candidates(engine->table, hash, list);
	enum trust trust = trust_kept(engine);
	struct flow *worst = NULL;

	for (unsigned i = 0; i < count; i++)
		consider(list[i], &worst, &trust);
	return worst;
}

bool ageing_evict(struct engine *engine, uint64_t hash)
{
	struct flow *worst;

	if (flow_table_count(engine->table) >= flow_table_capacity(engine->table))
		worst = worst_in_table(engine);
	else
		worst = worst_in_buckets(engine, hash);
	if (worst == NULL)
		return false;
	share_ended(engine, worst);
	counter_add(&engine->stats.flows_evicted, 1);
	entry_remove(engine, worst);
	return true;
}
