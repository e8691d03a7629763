// The ACK that proves a cookie (P2, TCP.md 1.3, 1.5-1.7, 3.9). One hash per segment; bad ones are
// limited per source prefix and in total before it.
#include "engine/internal.h"

static const struct addr *client_of(const struct arrival *arrival)
{
	return &arrival->view.src;
}

// With timestamps the MAC has four bits more, so a guess is worth a sixteenth and as many more may
// be tried: a flood of plain ACKs then does not use up the tries of clients that have them.
uint64_t proof_worth(bool timestamps)
{
	return timestamps ? 16 : 1;
}

static bool may_try(struct engine *engine, const struct arrival *arrival, bool timestamps)
{
	const struct policy_limits *limits = &engine->policy->limits;
	uint64_t worth = proof_worth(timestamps);
	uint64_t hash = arrival->limit_hashed
				? arrival->limit_hash
				: rate_limit_hash(engine->bad_acks, engine->now_ns,
					  client_of(arrival), limits->prefix4, limits->prefix6);

	return rate_limit_allows_hash(engine->bad_acks, engine->now_ns, hash,
		limits->bad_ack_prefix_per_s * worth, limits->bad_ack_per_s * worth);
}

// What a cookie says.
struct claim {
	struct agreed agreed;
	uint32_t cookie;
	uint32_t isn_client;
};

// One of the two tries: the ISN is `which` more than SEG.SEQ - 1.
static bool check(const struct engine *engine, const struct arrival *arrival, unsigned which,
	uint32_t tsecr, struct agreed *agreed)
{
	const struct view *view = &arrival->view;
	struct tuple tuple;

	if (arrival->tried)
		return syncookie_check_hash(
			arrival->tries[which], view->bits & VIEW_IP4, view->ack - 1, tsecr, agreed);
	flow_key_tuple(&tuple, &arrival->key, arrival->side);
	return syncookie_check(&engine->ring, engine->tick, &tuple, view->seq - 1 + which,
		view->ack - 1, tsecr, agreed);
}

// Nearly every guess of a flood, whose hashes are there: neither of its tries is right.
static bool is_wrong(const struct arrival *arrival, const struct options *options)
{
	bool timestamps = options->bits & OPTION_TIMESTAMPS;
	uint32_t cookie = arrival->view.ack - 1, field;

	return arrival->tried &&
	       !syncookie_uncover(arrival->tries[0], cookie, options->tsecr, timestamps, &field) &&
	       !syncookie_uncover(arrival->tries[1], cookie, options->tsecr, timestamps, &field);
}

static bool proves(const struct engine *engine, const struct arrival *arrival,
	const struct options *options, struct claim *claim)
{
	struct agreed agreed = {.timestamps = (options->bits & OPTION_TIMESTAMPS) != 0};
	unsigned which = 0;

	if (is_wrong(arrival, options))
		return false;
	if (!check(engine, arrival, 0, options->tsecr, &agreed)) {
		// A keep-alive or window probe has SEG.SEQ = SND.NXT - 1, thus the ISN itself.
		which = 1;
		if (view_payload_len(&arrival->view) > 1 ||
			!check(engine, arrival, 1, options->tsecr, &agreed))
			return false;
	}
	*claim = (struct claim){.agreed = agreed,
		.cookie = arrival->view.ack - 1,
		.isn_client = arrival->view.seq - 1 + which};
	return true;
}

static void fill_proof(struct engine *engine, const struct arrival *arrival,
	const struct service *service, const struct options *options, struct opening *proof)
{
	uint32_t epoch = syncookie_epoch(engine->tick, proof->cookie);

	proof->announced_wscale = syn_profile(engine, epoch, service)->wscale;
	proof->tsval = options->tsval;
	proof->tsecr = options->tsecr;
	proof->client_window = arrival->view.window;
	proof->in_port = arrival->frame->port;
	proof->out_port = engine->config.ports[arrival->frame->port].peer;
}

static bool is_established(const struct flow *flow)
{
	return flow->track.state == TCP_ESTABLISHED || flow->track.state == TCP_CLOSING;
}

// The entry for a new incarnation: a fresh one, or the previous incarnation's. An established one
// is taken over only once the server confirms.
static struct flow *entry_for(struct engine *engine, struct arrival *arrival,
	const struct service *service, struct flow *flow, enum reason *reason)
{
	if (flow == NULL)
		return entry_create(
			engine, &arrival->key, arrival->hash, arrival->side, service, reason);
	if (flow->service != service->id)
		entry_set_service(engine, flow, service);
	*reason = is_established(flow) ? REASON_NONE : entry_reuse(engine, flow);
	return *reason == REASON_NONE ? flow : NULL;
}

static void start(struct engine *engine, struct arrival *arrival, const struct service *service,
	struct flow *flow, const struct opening *proof)
{
	bool fresh = flow == NULL;
	enum reason reason;

	flow = entry_for(engine, arrival, service, flow, &reason);
	if (flow == NULL) {
		verdict_drop(arrival, reason);
		return;
	}
	if (opening_start(engine, arrival, flow, proof))
		return;
	counter_add(&engine->stats.flows_refused, 1);
	if (fresh) { // stood for nothing but this opening
		entry_remove(engine, flow);
		counter_add(&engine->stats.flows_closed, 1);
	} else if (flow->track.state == TCP_SYN_SENT) { // of an opening that gave way to this one
		entry_set_state(engine, flow, TCP_CLOSED);
	} else {
		entry_set_state(engine, flow, flow->track.state); // ended: leaves its limits again
	}
}

static void accept_proof(struct engine *engine, struct arrival *arrival,
	const struct service *service, struct flow *flow, const struct options *options,
	const struct claim *claim)
{
	struct opening proof = {.flow = FLOW_NONE,
		.agreed = claim->agreed,
		.cookie = claim->cookie,
		.isn_client = claim->isn_client};

	fill_proof(engine, arrival, service, options, &proof);
	start(engine, arrival, service, flow, &proof);
}

// A guess at a connection that is open or about to be, or never was, counts as a bad ACK, so that
// its tuple is no way round the limit. What comes late for one that ended is no guess.
static bool is_guess(const struct flow *flow)
{
	return flow == NULL || (flow->bits & FLOW_OPENING) || is_established(flow) ||
	       entry_is_memory(flow);
}

// No proof. With a flow its own state judges the segment; without one this is its end.
static bool refuse(struct engine *engine, struct arrival *arrival, const struct service *service,
	const struct flow *flow, enum reason reason)
{
	bool tried = reason == REASON_bad_cookie;

	if (tried && is_guess(flow))
		rate_limit_count(engine->bad_acks);
	if (flow != NULL && !entry_is_memory(flow))
		return false;
	arrival->path = PATH_ACK_BAD;
	if (tried)
		counter_add(&engine->services[service->id].cookie_bad, 1);
	verdict_drop(arrival, reason);
	return true;
}

bool proof_try(struct engine *engine, struct arrival *arrival, const struct service *service,
	struct flow *flow)
{
	const struct view *view = &arrival->view;
	struct options options;
	struct claim claim;
	struct admission admission;
	bool whole;

	if ((view->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) != TCP_ACK)
		return false;
	if (flow != NULL && entry_knows_cookie(engine, flow, view->ack - 1))
		return false; // its own cookie, or a replay: never a second time (1.7)
	whole = options_parse(&options, view) == 0;
	if (!may_try(engine, arrival, whole && (options.bits & OPTION_TIMESTAMPS)))
		return refuse(engine, arrival, service, flow, REASON_rate_limited);
	if (!whole || !proves(engine, arrival, &options, &claim))
		return refuse(engine, arrival, service, flow, REASON_bad_cookie);
	admission = admit(engine, arrival);
	admit_count(engine, &admission);
	if (!admission.allow || admission.mode != MODE_PROXY) {
		verdict_drop(arrival, REASON_rule_denied);
		return true;
	}
	counter_add(&engine->services[service->id].cookie_valid, 1);
	accept_proof(engine, arrival, service, flow, &options, &claim);
	return true;
}

void proof_decide(struct engine *engine, struct arrival *arrival)
{
	const struct service *service = &engine->policy->services[arrival->service];

	if (!proof_try(engine, arrival, service, NULL))
		verdict_drop(arrival, REASON_no_flow);
}
