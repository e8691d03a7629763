// What the proofs of a burst need, for all of them at once: a flood of bad ACKs is looked up in the
// limit and hashed for one. proof.c decides each in its turn, by the very same hashes, and makes
// those itself that are not here.
#include "engine/internal.h"

#define PARITIES 2 // of epochs: a cookie names one, and its key
#define FAMILIES 2

// Tries of one key and family that are not hashed yet. A segment has two: its sequence number may
// be the one behind the ISN, or the ISN itself (proof.c).
struct tries {
	const struct epoch_keys *keys;
	struct tuple_lanes lanes;
	struct arrival *arrivals[TUPLES_MAX / 2];
};

// A segment that may be a proof, of no flow that is known.
static bool may_prove(const struct engine *engine, const struct arrival *arrival)
{
	const struct view *view = &arrival->view;

	return arrival->guessed && arrival->guess == NULL && (view->bits & VIEW_TCP) &&
	       (view->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK &&
	       flow_worker(arrival->hash, engine->config.workers) == engine->config.worker;
}

static unsigned collect(struct engine *engine, unsigned count, struct arrival **some)
{
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];

		if (!may_prove(engine, arrival))
			continue;
		admit_serve(engine, arrival, used > 0 ? some[used - 1] : NULL);
		if (arrival->service == SERVICE_NONE ||
			engine->policy->services[arrival->service].mode != MODE_PROXY)
			continue;
		arrival->proving = true;
		some[used++] = arrival;
	}
	return used;
}

static void hash_limits(struct engine *engine, struct arrival *const *some, unsigned count)
{
	const struct policy_limits *limits = &engine->policy->limits;
	struct rate_limit_many many = {
		.count = count, .bits4 = limits->prefix4, .bits6 = limits->prefix6};
	uint64_t hashes[RATE_LIMIT_MANY];

	for (unsigned i = 0; i < count; i++)
		many.addrs[i] = &some[i]->view.src;
	rate_limit_hashes(engine->bad_acks, engine->now_ns, &many, hashes);
	for (unsigned i = 0; i < count; i++) {
		some[i]->limit_hash = hashes[i];
		some[i]->limit_hashed = true;
	}
}

static void hash_tries(struct tries *tries)
{
	unsigned count = tries->lanes.count;
	uint64_t hashes[TUPLES_MAX];

	tuple_lanes_hash(tries->keys->cookie, &tries->lanes, hashes);
	for (unsigned i = 0; i < count; i += 2) {
		struct arrival *arrival = tries->arrivals[i / 2];

		arrival->tries[0] = hashes[i + 1];
		arrival->tries[1] = hashes[i];
		arrival->tried = true;
	}
}

// What is hashed lies in the frame as it is hashed, but for odd ones, which proof.c hashes.
// Not inlined, or `tries` would be found anew at each use of it.
__attribute__((noinline)) static void add_tries(struct tries *tries, struct arrival *arrival)
{
	const uint8_t *bytes = view_tuple_bytes(&arrival->view);

	if (bytes == NULL)
		return;
	tries->arrivals[tries->lanes.count / 2] = arrival;
	tuple_lanes_add_two(&tries->lanes, bytes, arrival->view.seq - 1);
	if (tries->lanes.count == TUPLES_MAX)
		hash_tries(tries);
}

// Worth hashing: it will be let through to the cookie, as far as can be seen now.
static bool seems_allowed(const struct engine *engine, const struct arrival *arrival)
{
	const struct policy_limits *limits = &engine->policy->limits;
	uint64_t worth = proof_worth(arrival->view.payload - arrival->view.l4 > 20);

	return rate_limit_seems_to_allow(engine->bad_acks, engine->now_ns, arrival->limit_hash,
		limits->bad_ack_prefix_per_s * worth, limits->bad_ack_per_s * worth);
}

static void take_tries(struct engine *engine, struct arrival *const *some, unsigned count)
{
	struct tries tries[FAMILIES][PARITIES];

	for (unsigned i = 0; i < FAMILIES * PARITIES; i++) {
		struct tries *own = &tries[i / PARITIES][i % PARITIES];

		own->keys = syncookie_keys(&engine->ring, engine->tick, i % PARITIES << 31);
		tuple_lanes_init(&own->lanes, i / PARITIES);
	}
	for (unsigned i = 0; i < count; i++) {
		bool ip4 = some[i]->view.bits & VIEW_IP4;
		struct tries *own = &tries[ip4][(some[i]->view.ack - 1) >> 31];

		if (own->keys != NULL && seems_allowed(engine, some[i]))
			add_tries(own, some[i]);
	}
	for (unsigned i = 0; i < FAMILIES * PARITIES; i++)
		if (tries[i / PARITIES][i % PARITIES].lanes.count >= TUPLES_FEW)
			hash_tries(&tries[i / PARITIES][i % PARITIES]);
}

void proof_batch(struct engine *engine, unsigned count)
{
	struct arrival *some[ENGINE_BATCH_MAX];
	unsigned used;

	used = collect(engine, count, some);
	for (unsigned at = 0; at < used; at += RATE_LIMIT_MANY)
		hash_limits(engine, some + at,
			used - at < RATE_LIMIT_MANY ? used - at : RATE_LIMIT_MANY);
	take_tries(engine, some, used);
}
