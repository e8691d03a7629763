// A SYN. To a `proxy` service it is answered with a cookie, without a table look-up, whether or not
// a flow exists (P1, TCP.md 1.1, 1.2, 3.9); nothing is stored, nothing reaches the server. Others
// become tracked flows.
#include "engine/internal.h"

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

static struct agreed agree(
	const struct profile *profile, const struct options *offered, const struct view *view)
{
	struct agreed agreed = {.mss = offered->mss, .wscale = OPTIONS_WSCALE_NONE};

	agreed.timestamps = (offered->bits & OPTION_TIMESTAMPS) && profile->timestamps;
	agreed.sack = (offered->bits & OPTION_SACK_OK) && profile->sack;
	if ((offered->bits & OPTION_WSCALE) && profile->wscale != OPTIONS_WSCALE_NONE)
		agreed.wscale = offered->wscale;
	agreed.ecn = agreed.timestamps && profile->ecn && offers_ecn(view);
	return agreed;
}

// Only what the SYN offered is answered (TCP.md 2.2, 2.3, 2.7), so the answer is never longer.
static void answer_options(struct options *out, const struct options *offered,
	const struct agreed *agreed, const struct profile *profile)
{
	out->bits = 0;
	if (offered->bits & OPTION_MSS)
		out->bits |= OPTION_MSS;
	out->mss = profile->mss;
	if (agreed->sack)
		out->bits |= OPTION_SACK_OK;
	if (agreed->timestamps)
		out->bits |= OPTION_TIMESTAMPS;
	out->tsecr = offered->tsval;
	if (agreed->wscale != OPTIONS_WSCALE_NONE)
		out->bits |= OPTION_WSCALE;
	out->wscale = profile->wscale;
}

static struct tuple tuple_of(const struct view *view)
{
	return (struct tuple){
		.src = view->src, .dst = view->dst, .sport = view->sport, .dport = view->dport};
}

static uint64_t cookie_hash(const struct epoch_keys *keys, const struct arrival *arrival)
{
	struct tuple tuple = tuple_of(&arrival->view);

	return arrival->hashed ? arrival->cookie_hash
			       : tuple_hash(keys->cookie, &tuple, arrival->view.seq);
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

	if (keys == NULL)
		return;
	families[0].lanes.count = families[1].lanes.count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];
		bool ip4 = arrival->view.bits & VIEW_IP4;
		struct together *some = &families[ip4];
		const uint8_t *bytes;

		if (!is_answered(engine, arrival))
			continue;
		bytes = view_tuple_bytes(&arrival->view);
		if (bytes == NULL)
			continue;
		some->arrivals[some->lanes.count] = arrival;
		tuple_lanes_add(&some->lanes, bytes, ip4 ? TUPLE_WORDS_IP4 : TUPLE_WORDS_IP6);
		if (some->lanes.count == TUPLES_MAX)
			hash_together(keys, some);
	}
	for (unsigned i = 0; i < 2; i++)
		if (families[i].lanes.count >= TUPLES_FEW)
			hash_together(keys, &families[i]);
}

static void answer(struct engine *engine, struct arrival *arrival, const struct service *service,
	const struct options *offered)
{
	const struct view *view = &arrival->view;
	uint32_t epoch = keyring_epoch(engine->tick);
	const struct epoch_keys *keys = keyring_get(&engine->ring, epoch);
	struct profile profile = *syn_profile(engine, epoch, service);
	struct agreed agreed = agree(&profile, offered, view);
	struct syncookie cookie;
	struct craft craft = {.reply = true};
	uint16_t mss = path_mss(engine, arrival);
	uint16_t longer = view->bits & VIEW_IP6 ? 20 : 0; // header, than IPv4's

	if (keys == NULL) {
		verdict_drop(arrival, REASON_stopped);
		return;
	}
	cookie = syncookie_from_hash(
		keys, cookie_hash(keys, arrival), view->bits & VIEW_IP4, &agreed, engine->now_ms);
	profile.mss = profile.mss > longer ? (uint16_t)(profile.mss - longer) : profile.mss;
	profile.mss = profile.mss < mss ? profile.mss : mss;
	answer_options(&craft.options, offered, &agreed, &profile);
	craft.options.tsval = cookie.tsval;
	craft.tcp_flags = TCP_SYN | TCP_ACK | (agreed.ecn ? TCP_ECE : 0);
	craft.seq = cookie.seq;
	craft.ack = view->seq + 1;
	craft.window = syn_queue_window(engine, service);
	if (craft_tcp(arrival->frame, view, &craft) != 0) {
		verdict_drop(arrival, REASON_control_busy);
		return;
	}
	counter_add(&engine->services[service->id].synack_sent, 1);
	arrival->path = PATH_SYN;
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
