// A SYN where a connection stands here as open (TCP.md 4.1). Both ends may have forgotten it: the
// SYN is passed as a challenge. A server that has not answers for the old connection, and its ACK
// goes to the client, whose RST ends it. One that has accepts: its SYN/ACK acknowledges that very
// SYN, and the new connection takes the entry over, whoever had the former one.
//
// While FLOW_RESYN is set `cookie` is what the server would acknowledge, of the latest such SYN,
// and in `msyn` mode `past` the number the client gave it: it passes with a cookie of its own, or
// the new connection would be translated, and answered for, as the old one is.
#include "engine/internal.h"

static void begin_again(struct engine *engine, struct flow *flow)
{
	flow->bits &= (uint8_t)~FLOW_RESYN;
	if (flow->mode == MODE_MSYN) {
		flow->isn_client = flow->past;
		flow->translation = (struct translation){.e = flow->cookie - 1 - flow->past};
		flow->past = FLOW_NONE;
	} else {
		flow->isn_client = flow->cookie - 1;
	}
	flow->cookie = 0;
	entry_begin(engine, flow);
	flow->superseded = false;
	if (flow->copy != COPY_OWN) {
		flow->copy = COPY_OWN;
		flow->owner = engine->policy->node_id;
		flow->partner = NODE_NONE;
	}
	tcp_track_import(&flow->track, flow->track.wscale[TO_SERVER], OPTIONS_WSCALE_NONE);
}

static void challenge(struct engine *engine, const struct arrival *arrival, struct flow *flow)
{
	uint32_t seq = arrival->view.seq;

	// A repetition of what began the connection opens it no sooner than the first.
	if (flow->track.state == TCP_SYN_SENT || seq == flow->isn_client)
		return;
	flow->bits |= FLOW_RESYN;
	if (flow->mode == MODE_MSYN)
		flow->past = seq;
	flow->cookie = 1 + (flow->mode == MODE_MSYN ? msyn_cookie(engine, arrival) : seq);
}

void resyn_watch(struct engine *engine, const struct arrival *arrival, struct flow *flow)
{
	if (flow->mode != MODE_TRACK && flow->mode != MODE_MSYN)
		return;
	if (flow_direction(flow, arrival->side) == TO_CLIENT) {
		if (resyn_expects(flow, &arrival->view))
			begin_again(engine, flow);
	} else if (view_is_first_syn(&arrival->view)) {
		challenge(engine, arrival, flow);
	}
}

bool resyn_expects(const struct flow *flow, const struct view *view)
{
	return (flow->bits & FLOW_RESYN) && (view->tcp_flags & TCP_SYN) &&
	       view->ack == flow->cookie;
}

bool resyn_forward(struct engine *engine, struct arrival *arrival, const struct flow *flow)
{
	struct translation anew = {.e = flow->cookie - 1 - flow->past};

	if (flow->mode != MODE_MSYN || !(flow->bits & FLOW_RESYN) ||
		!view_is_first_syn(&arrival->view) || arrival->view.seq != flow->past)
		return false;
	translation_apply(&anew, TO_SERVER, &arrival->view, NULL);
	verdict_forward(engine, arrival);
	return true;
}
