// The SYN of `msyn` mode (S0; M1-M3, M9-M11): it goes on to the server with its ISN replaced by a
// cookie that names this node, so that whoever gets the answer can find the state. The difference
// e = cookie - ISN_c is part of the flow; every later packet is translated by it.
//
// A retransmitted SYN carries the same cookie as long as any node can decode it (the counter has
// moved on by one tick at most); a later one is a new incarnation with a new cookie (TCP.md 1.10).
// Data and a Fast Open option do not go along: the finder needs SEG.ACK = cookie + 1 (TCP.md 2.9).
#include "engine/internal.h"

#include "base/bytes.h"

#define TICK_MASK 0xfffffu // bits of the tick in an incarnation

enum {
	IP4_TOTAL = 2,
	IP6_PAYLOAD = 4,
	IP6_BYTES = 40,
};

static void cut_payload(struct arrival *arrival)
{
	struct view *view = &arrival->view;
	uint8_t *ip = view->data + view->l3;
	uint16_t cut = (uint16_t)(arrival->frame->len - view->payload);

	if (view_payload_len(view) == 0)
		return;
	view->end = view->payload;
	view->limit = view->payload;
	arrival->frame->len = view->payload;
	arrival->frame->tailroom = (uint16_t)(arrival->frame->tailroom + cut);
	if (view->bits & VIEW_IP4)
		be16_put(ip + IP4_TOTAL, (uint16_t)(view->end - view->l3));
	else
		be16_put(ip + IP6_PAYLOAD, (uint16_t)(view->end - view->l3 - IP6_BYTES));
	edit_checksums(view);
}

static void cut(struct arrival *arrival, const struct options *offered)
{
	if (offered->bits & OPTION_FAST_OPEN) {
		uint16_t at = offered->fast_open_at;

		edit_nop(&arrival->view, at, arrival->view.data[at + 1]);
	}
	cut_payload(arrival);
}

uint32_t msyn_cookie(const struct engine *engine, const struct arrival *arrival)
{
	const struct epoch_keys *keys = keyring_get(&engine->ring, keyring_epoch(engine->tick));
	struct tuple tuple;

	if (keys == NULL || !engine->view.decodes)
		return arrival->view.seq;
	flow_key_tuple(&tuple, &arrival->key, arrival->side);
	return msyn_make(keys, &tuple, arrival->view.seq, engine->tick, engine->policy->node_id);
}

// The entry starts over with this SYN, as the next of its incarnations.
static void begin(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	uint8_t before = flow->track.state;
	struct tcp_segment segment;

	flow->translation =
		(struct translation){.e = msyn_cookie(engine, arrival) - arrival->view.seq};
	segment = tcp_segment_of(flow, &arrival->view, TO_SERVER);
	tcp_track_syn(&flow->track, TO_SERVER, &segment);
	entry_count_state(engine, flow, before);
	flow->isn_client = arrival->view.seq;
	flow->last_ms = engine->now_ms;
	tcp_forward(engine, arrival, flow, TO_SERVER);
}

static void start(struct engine *engine, struct arrival *arrival, const struct admission *admission,
	struct life former)
{
	enum reason reason;
	struct flow *flow = entry_create(
		engine, &arrival->key, arrival->hash, arrival->side, admission->service, &reason);

	if (flow == NULL) {
		verdict_drop(arrival, reason);
		return;
	}
	flow->mode = MODE_MSYN;
	entry_begin_behind(engine, flow, former);
	begin(engine, arrival, flow);
}

// True where the flow waits for the answer to this very SYN and nobody can decode its cookie any
// more.
static bool is_stale(
	const struct engine *engine, const struct arrival *arrival, const struct flow *flow)
{
	uint32_t age = (engine->tick - (flow->incarnation / KEYRING_TICK_PARTS)) & TICK_MASK;

	return flow->mode == MODE_MSYN && flow->copy == COPY_OWN && age > 1 &&
	       flow->track.state == TCP_SYN_SENT && arrival->view.seq == flow->isn_client &&
	       flow_direction(flow, arrival->side) == TO_SERVER;
}

void msyn_syn(struct engine *engine, struct arrival *arrival, const struct admission *admission,
	const struct options *offered)
{
	struct flow *flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	struct life former = {0};

	cut(arrival, offered);
	if (flow != NULL && is_stale(engine, arrival, flow)) {
		entry_begin(engine, flow);
		begin(engine, arrival, flow);
		return;
	}
	if (flow != NULL) {
		if (tcp_known(engine, arrival, flow))
			return;
		former = entry_life(flow);
		entry_remove(engine, flow);
		counter_add(&engine->stats.flows_closed, 1);
	}
	start(engine, arrival, admission, former);
}

bool msyn_is_strange(const struct flow *flow, const struct arrival *arrival)
{
	uint8_t flags = arrival->view.tcp_flags;
	bool answers = (flags & TCP_SYN) || ((flags & TCP_RST) && entry_has_ended(flow));

	return answers && (flags & TCP_ACK) && flow_direction(flow, arrival->side) == TO_CLIENT &&
	       arrival->view.ack != flow->isn_client + flow->translation.e + 1;
}
