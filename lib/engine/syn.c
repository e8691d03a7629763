// A SYN. To a `proxy` service it is answered with a cookie, without a table look-up, whether or not
// a flow exists (P1, TCP.md 1.1, 1.2, 3.9); nothing is stored, nothing reaches the server. Others
// become tracked flows.
//
// The SYNs of a flood differ in little but their numbers. So syn_batch() hashes the cookies of a
// call together, and `syn_terms` keeps what the answers have in common: of a service first, then
// the frame that is the same for SYNs with the same options. It is made anew in each call, because
// between two of them a message may change any of it.
#include "engine/internal.h"

#include <string.h>

const struct profile *syn_profile(
	const struct engine *engine, uint32_t epoch, const struct service *service)
{
	const struct epoch_profiles *slot = &engine->epochs[epoch & 3];

	if (slot->valid && slot->epoch == epoch)
		return &slot->profiles[service->id];
	return &service->profile;
}

uint16_t syn_queue_window(struct engine *engine, const struct service *service)
{
	// The window is a promise of queue room: none is made when the pool runs low (TCP.md 3.4).
	if (opening_pool_is_low(engine)) {
		engine->pool_low_ns = engine->now_ns;
		return 0;
	}
	return service->queue_bytes > UINT16_MAX ? UINT16_MAX : (uint16_t)service->queue_bytes;
}

static uint16_t path_mss(const struct engine *engine, const struct arrival *arrival)
{
	const struct engine_port *in = &engine->config.ports[arrival->frame->port];
	const struct engine_port *out = &engine->config.ports[in->peer];
	unsigned mtu = in->mtu < out->mtu ? in->mtu : out->mtu;

	return (uint16_t)(mtu - (arrival->view.bits & VIEW_IP6 ? 60u : 40u));
}

static bool offers_ecn(const struct view *view)
{
	return (view->tcp_flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
}

// Only what the SYN offered is answered (TCP.md 2.2, 2.3, 2.7), so the answer is never longer.
static uint16_t profile_options(const struct profile *profile)
{
	uint16_t bits = OPTION_MSS;

	bits |= profile->sack ? OPTION_SACK_OK : 0;
	bits |= profile->timestamps ? OPTION_TIMESTAMPS : 0;
	bits |= profile->wscale != OPTIONS_WSCALE_NONE ? OPTION_WSCALE : 0;
	return bits;
}

static struct tuple tuple_of(const struct view *view)
{
	return (struct tuple){
		.src = view->src, .dst = view->dst, .sport = view->sport, .dport = view->dport};
}

static uint64_t cookie_hash(const struct epoch_keys *keys, const struct arrival *arrival)
{
	struct tuple tuple;

	if (arrival->hashed)
		return arrival->cookie_hash;
	tuple = tuple_of(&arrival->view);
	return tuple_hash(keys->cookie, &tuple, arrival->view.seq);
}

static bool is_answered(const struct engine *engine, const struct arrival *arrival)
{
	return arrival->decided && arrival->decision.allow && !arrival->decision.is_signed &&
	       arrival->service != SERVICE_NONE &&
	       engine->policy->services[arrival->service].mode == MODE_PROXY;
}

// SYNs of one family whose cookies are hashed together.
struct together {
	struct tuple_lanes lanes;
	struct arrival *arrivals[TUPLES_MAX];
};

static void hash_together(const struct epoch_keys *keys, struct together *some)
{
	unsigned count = some->lanes.count;
	uint64_t hashes[TUPLES_MAX];

	tuple_lanes_hash(keys->cookie, &some->lanes, hashes);
	for (unsigned i = 0; i < count; i++) {
		some->arrivals[i]->cookie_hash = hashes[i];
		some->arrivals[i]->hashed = true;
	}
}

// What is hashed lies in the frame as it is hashed, but for odd ones, which are hashed in their
// turn.
void syn_batch(struct engine *engine, unsigned count)
{
	const struct epoch_keys *keys = keyring_get(&engine->ring, keyring_epoch(engine->tick));
	struct together families[2];

	engine->syn_terms.service = NULL;
	if (keys == NULL)
		return;
	tuple_lanes_init(&families[0].lanes, false);
	tuple_lanes_init(&families[1].lanes, true);
	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];
		struct together *some = &families[arrival->view.bits & VIEW_IP4 ? 1 : 0];
		const uint8_t *bytes;

		if (!is_answered(engine, arrival))
			continue;
		arrival->answered = true;
		bytes = view_tuple_bytes(&arrival->view);
		if (bytes == NULL)
			continue;
		some->arrivals[some->lanes.count] = arrival;
		tuple_lanes_add(&some->lanes, bytes);
		if (some->lanes.count == TUPLES_MAX)
			hash_together(keys, some);
	}
	for (unsigned i = 0; i < 2; i++)
		if (families[i].lanes.count >= TUPLES_FEW)
			hash_together(keys, &families[i]);
}

// The MSS announced: of the profile, as for IPv4, and no more than the ways to both sides carry.
static uint16_t announced_mss(
	const struct engine *engine, const struct arrival *arrival, const struct profile *profile)
{
	uint16_t longer = arrival->view.bits & VIEW_IP6 ? 20 : 0; // header, than IPv4's
	uint16_t mss = profile->mss > longer ? (uint16_t)(profile->mss - longer) : profile->mss;
	uint16_t path = path_mss(engine, arrival);

	return mss < path ? mss : path;
}

// What the answers to one service's SYNs have in common, found again only where the SYN before was
// of another, or of another call: until the next call nothing of it changes.
static struct syn_terms *terms_of(
	struct engine *engine, const struct arrival *arrival, const struct service *service)
{
	struct syn_terms *terms = &engine->syn_terms;
	uint16_t family = arrival->view.bits & (VIEW_IP4 | VIEW_IP6);
	uint32_t epoch = keyring_epoch(engine->tick);

	if (terms->service == service && terms->family == family &&
		terms->port == arrival->frame->port)
		return terms;
	*terms = (struct syn_terms){.service = service,
		.family = family,
		.port = arrival->frame->port,
		.keys = keyring_get(&engine->ring, epoch),
		.profile = syn_profile(engine, epoch, service)};
	terms->options = profile_options(terms->profile);
	terms->mss = announced_mss(engine, arrival, terms->profile);
	return terms;
}

static struct syn_shape shape_of(struct engine *engine, const struct syn_terms *terms,
	const struct options *offered, const struct view *view)
{
	uint16_t options = terms->options & offered->bits;

	return (struct syn_shape){.options = options,
		.window = syn_queue_window(engine, terms->service),
		.mss = offered->mss,
		.wscale = options & OPTION_WSCALE ? offered->wscale : OPTIONS_WSCALE_NONE,
		.ecn = (options & OPTION_TIMESTAMPS) && terms->profile->ecn && offers_ecn(view)};
}

static uint32_t cookie_options(const struct syn_terms *terms, const struct syn_shape *shape)
{
	const struct agreed agreed = {.mss = shape->mss,
		.wscale = shape->wscale,
		.sack = (shape->options & OPTION_SACK_OK) != 0,
		.timestamps = (shape->options & OPTION_TIMESTAMPS) != 0,
		.ecn = shape->ecn};

	return syncookie_options(&agreed, terms->family == VIEW_IP4);
}

// All of an answer but its numbers.
static struct craft craft_of(const struct syn_terms *terms, const struct syn_shape *shape)
{
	return (struct craft){.reply = true,
		.tcp_flags = TCP_SYN | TCP_ACK | (shape->ecn ? TCP_ECE : 0),
		.window = shape->window,
		.options = {.bits = shape->options,
			.mss = terms->mss,
			.wscale = terms->profile->wscale}};
}

// Most SYNs are like the one before; in many others only the options offered differ.
static void take_shape(struct syn_terms *terms, const struct syn_shape *shape)
{
	const struct syn_shape *former = &terms->shape;
	bool formed = terms->shaped && former->options == shape->options &&
		      former->window == shape->window && former->ecn == shape->ecn;

	if (!formed && terms->family == VIEW_IP4) {
		struct craft craft = craft_of(terms, shape);

		answer_form_init(&terms->form, &craft);
	}
	terms->cookie_options = cookie_options(terms, shape);
	terms->shape = *shape;
	terms->shaped = true;
}

static int write_ip6(struct arrival *arrival, const struct syn_terms *terms,
	const struct answer_numbers *numbers)
{
	struct craft craft = craft_of(terms, &terms->shape);

	craft.seq = numbers->seq;
	craft.ack = numbers->ack;
	craft.options.tsval = numbers->tsval;
	craft.options.tsecr = numbers->tsecr;
	return craft_tcp(arrival->frame, &arrival->view, &craft);
}

static void answer(struct engine *engine, struct arrival *arrival, const struct service *service,
	const struct options *offered)
{
	const struct view *view = &arrival->view;
	struct syn_terms *terms = terms_of(engine, arrival, service);
	const struct epoch_keys *keys = terms->keys;
	struct answer_numbers numbers;
	struct syncookie cookie;
	struct syn_shape shape;
	int err;

	if (keys == NULL) {
		verdict_drop(arrival, REASON_stopped);
		return;
	}
	shape = shape_of(engine, terms, offered, view);
	if (!terms->shaped || memcmp(&terms->shape, &shape, sizeof(shape)) != 0)
		take_shape(terms, &shape);
	if (terms->family == VIEW_IP4 && engine->now_ns >= engine->flood.learn_ns)
		flood_learn(engine, arrival, terms, offered);
	cookie = syncookie_seal(keys->epoch, cookie_hash(keys, arrival), terms->cookie_options,
		shape.options & OPTION_TIMESTAMPS, engine->now_ms);
	numbers = (struct answer_numbers){.seq = cookie.seq,
		.ack = view->seq + 1,
		.tsval = cookie.tsval,
		.tsecr = offered->tsval};
	err = terms->family == VIEW_IP4 ? answer_write(arrival->frame, view, &terms->form, &numbers)
					: write_ip6(arrival, terms, &numbers);
	if (err != 0) {
		verdict_drop(arrival, REASON_control_busy);
		return;
	}
	counter_add(&engine->services[service->id].synack_sent, 1);
	verdict_reply(engine, arrival);
}

static void start_track(struct engine *engine, struct arrival *arrival,
	const struct admission *admission, struct life former)
{
	struct flow *flow;
	enum reason reason;
	struct tcp_segment segment;

	flow = entry_create(
		engine, &arrival->key, arrival->hash, arrival->side, admission->service, &reason);
	if (flow == NULL) {
		verdict_drop(arrival, reason);
		return;
	}
	flow->mode = MODE_TRACK;
	segment = tcp_segment_of(flow, &arrival->view, TO_SERVER);
	counter_sub(&engine->stats.states[flow->track.state], 1);
	tcp_track_syn(&flow->track, TO_SERVER, &segment);
	counter_add(&engine->stats.states[flow->track.state], 1);
	flow->isn_client = arrival->view.seq;
	entry_begin_behind(engine, flow, former);
	share_begin(engine, arrival, flow);
}

static void track_syn(
	struct engine *engine, struct arrival *arrival, const struct admission *admission)
{
	struct flow *flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	struct life former = {0};

	if (flow != NULL) {
		if (tcp_known(engine, arrival, flow))
			return;
		former = entry_life(flow);
		entry_remove(engine, flow);
		counter_add(&engine->stats.flows_closed, 1);
	}
	start_track(engine, arrival, admission, former);
}

// A SYN no rule allows. Only where the other side's own SYN is under way may it pass: two that
// cross open a connection the rules did allow (RFC 9293 MUST-10).
static void denied_syn(struct engine *engine, struct arrival *arrival)
{
	struct flow *flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	bool crosses = flow != NULL && flow->mode != MODE_PROXY &&
		       flow_direction(flow, arrival->side) == TO_CLIENT &&
		       (flow->track.state == TCP_SYN_SENT || flow->track.state == TCP_SYN_RECV);

	if (!crosses || !tcp_known(engine, arrival, flow))
		verdict_drop(arrival, REASON_rule_denied);
}

static bool is_stateless(const struct admission *admission)
{
	return admission->allow &&
	       (admission->mode == MODE_PROXY || admission->mode == MODE_BYPASS);
}

void syn_answer(struct engine *engine, struct arrival *arrival)
{
	const struct service *service = &engine->policy->services[arrival->service];
	struct options offered;

	arrival->path = PATH_SYN;
	arrival->rule = arrival->decision.rule;
	admit_count_rule(engine, arrival->rule, 1);
	counter_add(&engine->services[service->id].syn, 1);
	if (options_parse(&offered, &arrival->view) == 0)
		answer(engine, arrival, service, &offered);
	else
		verdict_drop(arrival, REASON_bad_option);
}

void syn_decide(struct engine *engine, struct arrival *arrival)
{
	struct admission admission = admit(engine, arrival);
	struct options offered;

	arrival->path = PATH_SYN;
	if (!is_stateless(&admission)) {
		ingress_hash(engine, arrival);
		if (ingress_hand_over(engine, arrival))
			return;
	}
	admit_count(engine, &admission);
	if (!admission.allow) {
		denied_syn(engine, arrival);
		return;
	}
	if (admission.service)
		counter_add(&engine->services[admission.service->id].syn, 1);
	if (options_parse(&offered, &arrival->view) != 0) {
		verdict_drop(arrival, REASON_bad_option);
		return;
	}
	switch (admission.mode) {
	case MODE_PROXY:
		answer(engine, arrival, admission.service, &offered);
		return;
	case MODE_BYPASS:
		verdict_forward(engine, arrival);
		return;
	case MODE_MSYN:
		msyn_syn(engine, arrival, &admission, &offered);
		return;
	default:
		track_syn(engine, arrival, &admission);
	}
}
