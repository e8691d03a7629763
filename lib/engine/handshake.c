// What the second handshake means: the SYN the server gets, what its SYN/ACK teaches about the
// service, and the translation of the connection that follows (TCP.md 2.13, 3.1, 3.3).
#include "engine/internal.h"

#include <string.h>

#define ECN_SETUP (TCP_ECE | TCP_CWR)

// Everything a modern peer offers; what a probe asks for.
static const struct agreed probe_offer = {
	.wscale = 0, .sack = true, .timestamps = true, .ecn = true};

static struct agreed offer_of(const struct opening *opening, bool everything)
{
	struct agreed offer = everything ? probe_offer : opening->agreed;

	offer.mss = opening->agreed.mss;
	if (everything && opening->agreed.wscale != OPTIONS_WSCALE_NONE)
		offer.wscale = opening->agreed.wscale;
	return offer;
}

// What the server may send must fit through both ports.
static uint16_t clamp_mss(const struct engine *engine, const struct opening *opening,
	const struct view *model, uint16_t mss)
{
	const struct engine_port *in = &engine->config.ports[opening->in_port];
	const struct engine_port *out = &engine->config.ports[opening->out_port];
	unsigned mtu = in->mtu < out->mtu ? in->mtu : out->mtu;
	unsigned most = mtu - (model->bits & VIEW_IP6 ? 60u : 40u);

	return mss < most ? mss : (uint16_t)most;
}

void handshake_syn(const struct engine *engine, const struct opening *opening,
	const struct view *model, bool everything, struct craft *craft)
{
	struct agreed offer = offer_of(opening, everything);
	uint8_t shift = opening->agreed.wscale == OPTIONS_WSCALE_NONE ? 0 : opening->agreed.wscale;
	uint32_t window = (uint32_t)opening->client_window << shift;

	*craft = (struct craft){.seq = opening->syn_seq, .tcp_flags = TCP_SYN};
	// A SYN's window is not scaled.
	craft->window = window > UINT16_MAX ? UINT16_MAX : (uint16_t)window;
	if (offer.ecn)
		craft->tcp_flags |= ECN_SETUP;
	craft->options.bits = OPTION_MSS;
	craft->options.mss = clamp_mss(engine, opening, model, offer.mss);
	if (offer.sack)
		craft->options.bits |= OPTION_SACK_OK;
	if (offer.wscale != OPTIONS_WSCALE_NONE)
		craft->options.bits |= OPTION_WSCALE;
	craft->options.wscale = offer.wscale;
	if (offer.timestamps)
		craft->options.bits |= OPTION_TIMESTAMPS;
	craft->options.tsval = opening->tsval;
}

static bool says_ecn(uint8_t flags)
{
	return (flags & ECN_SETUP) == TCP_ECE;
}

// What was offered and refused is lacking; what was offered and accepted is there; of what was not
// offered nothing is known.
static struct profile shown(
	const struct agreed *offer, const struct view *synack, const struct options *options)
{
	struct profile now = {.known = PROFILE_MSS, .mss = options->mss};

	if (synack->bits & VIEW_IP6)
		now.mss = (uint16_t)(options->mss + 20);
	// Absent means 536 (RFC 9293 MUST-15), and no server makes every client send crumbs.
	if (now.mss < 536)
		now.mss = 536;
	now.wscale = options->bits & OPTION_WSCALE ? options->wscale : OPTIONS_WSCALE_NONE;
	now.sack = (options->bits & OPTION_SACK_OK) != 0;
	now.timestamps = (options->bits & OPTION_TIMESTAMPS) != 0;
	now.ecn = says_ecn(synack->tcp_flags);
	now.known |= offer->wscale != OPTIONS_WSCALE_NONE ? PROFILE_WSCALE : 0;
	now.known |= offer->sack ? PROFILE_SACK : 0;
	now.known |= offer->timestamps ? PROFILE_TIMESTAMPS : 0;
	now.known |= offer->ecn ? PROFILE_ECN : 0;
	return now;
}

// One message per service and epoch, and another whenever a server showed more or less.
static void tell(struct engine *engine, const struct service *service, const struct profile *now)
{
	uint32_t epoch = keyring_epoch(engine->tick);
	struct profile merged = {0};
	struct message *message;
	uint16_t id = service->id;

	if (engine->told_epoch[id] == epoch + 1)
		merged = engine->told[id];
	profile_merge(&merged, now);
	if (engine->told_epoch[id] == epoch + 1 &&
		memcmp(&merged, &engine->told[id], sizeof(merged)) == 0)
		return;
	message = engine_message(engine, MESSAGE_LEARNT, NODE_NONE);
	if (message == NULL)
		return; // the next SYN/ACK tells it
	message->body.learnt.service = id;
	message->body.learnt.profile = merged;
	engine->told[id] = merged;
	engine->told_epoch[id] = epoch + 1;
}

bool handshake_learn(struct engine *engine, const struct flow *flow, struct opening *opening,
	const struct view *synack, const struct options *options)
{
	const struct service *service = policy_service(engine->policy, flow->service);
	struct agreed offer = offer_of(opening, opening->probing);

	if (service != NULL && service->learn) {
		struct profile now = shown(&offer, synack, options);

		tell(engine, service, &now);
	}
	// Timestamps promised to the client cannot be invented for the server (TCP.md 2.13).
	return !opening->agreed.timestamps || (options->bits & OPTION_TIMESTAMPS);
}

bool handshake_fits(const struct opening *opening, const struct options *options, uint8_t flags)
{
	const struct agreed *agreed = &opening->agreed;

	if ((options->bits & OPTION_TIMESTAMPS) && !agreed->timestamps)
		return false;
	if ((options->bits & OPTION_SACK_OK) && !agreed->sack)
		return false;
	if ((options->bits & OPTION_WSCALE) && agreed->wscale == OPTIONS_WSCALE_NONE)
		return false;
	return !says_ecn(flags) || agreed->ecn;
}

static void set_windows(
	struct translation *t, const struct opening *opening, const struct options *options)
{
	if (opening->agreed.wscale == OPTIONS_WSCALE_NONE)
		return;
	t->to_client.right = opening->announced_wscale & 15u;
	if (options->bits & OPTION_WSCALE)
		t->to_client.left = options->wscale & 15u;
	else
		t->to_server.left = opening->agreed.wscale & 15u;
	if (t->to_client.left != t->to_client.right || t->to_server.left != 0)
		t->bits |= TRANSLATE_WINDOW;
}

static void set_translation(struct translation *t, const struct opening *opening,
	const struct view *synack, const struct options *options)
{
	*t = (struct translation){
		.d = opening->cookie - synack->seq, .e = opening->syn_seq - opening->isn_client};
	if (opening->agreed.timestamps) {
		t->bits |= TRANSLATE_TIMESTAMPS;
		t->ts_offset = opening->tsecr - options->tsval;
	}
	if (opening->agreed.sack && !(options->bits & OPTION_SACK_OK))
		t->bits |= TRANSLATE_SACK_STRIP;
	if (opening->agreed.ecn && !says_ecn(synack->tcp_flags))
		t->bits |= TRANSLATE_ECN_STRIP;
	set_windows(t, opening, options);
}

void handshake_set(struct flow *flow, const struct opening *opening, const struct view *synack,
	const struct options *options)
{
	struct tcp_segment client = {.seq = opening->isn_client + 1,
		.ack = opening->cookie + 1,
		.window = opening->client_window,
		.flags = TCP_ACK,
		.wscale = opening->agreed.wscale};
	struct tcp_segment server = {.seq = opening->cookie,
		.ack = opening->isn_client + 1,
		.len = 1,
		.window = synack->window,
		.flags = TCP_SYN | TCP_ACK,
		.wscale = options->wscale};

	set_translation(&flow->translation, opening, synack, options);
	if (!(options->bits & OPTION_WSCALE))
		server.wscale = OPTIONS_WSCALE_NONE;
	tcp_track_open(&flow->track, &client, &server);
}

bool handshake_is_own(const struct flow *flow, const struct view *synack)
{
	return synack->ack == flow->isn_client + flow->translation.e + 1;
}

// The window the client last gave, as the server reads it: what only we would have promised the
// client need not take.
static uint16_t last_window(const struct flow *flow)
{
	const struct tcp_sender *server = &flow->track.sender[TO_CLIENT];
	uint8_t wscale = flow->track.wscale[TO_SERVER];
	uint32_t window = server->limit - server->acked;

	if (wscale <= OPTIONS_WSCALE_MAX)
		window >>= wscale;
	window = window < UINT16_MAX ? window : UINT16_MAX;
	return translation_window(flow->translation.to_server, (uint16_t)window);
}

void handshake_reack(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	const struct view *view = &arrival->view;
	const struct translation *t = &flow->translation;
	struct craft craft = {.reply = true, .tcp_flags = TCP_ACK};
	struct options options;

	if (view->seq + t->d != flow->cookie) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	if (!engine_may_reset(engine)) {
		verdict_drop(arrival, REASON_rate_limited);
		return;
	}
	craft.seq = flow->track.sender[TO_SERVER].end + t->e;
	craft.ack = view->seq + 1;
	craft.window = last_window(flow);
	if ((t->bits & TRANSLATE_TIMESTAMPS) && options_parse(&options, view) == 0) {
		craft.options.bits = OPTION_TIMESTAMPS;
		craft.options.tsval = options.tsecr; // the newest of the client's it has seen
		craft.options.tsecr = options.tsval;
	}
	if (craft_tcp(arrival->frame, view, &craft) != 0) {
		verdict_drop(arrival, REASON_control_busy);
		return;
	}
	verdict_reply(engine, arrival);
}
