// ICMP errors: only about a packet that was really sent, and translated like it (TCP.md 5).
#include "engine/internal.h"

#define ICMP4_UNREACHABLE 3
#define ICMP4_NEED_FRAG	  4 // code
#define ICMP4_MTU_MIN	  68
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG	  2
#define ICMP6_MTU_MIN	  1280
#define ICMP6_MLD_QUERY	  130
#define ICMP6_MLD_DONE	  132
#define ICMP6_ND_FIRST	  133 // router solicitation
#define ICMP6_ND_LAST	  137 // redirect
#define ICMP6_MLD2	  143
#define ND_HOP_LIMIT	  255

bool icmp_is_link_local(const struct view *view)
{
	if ((view->bits & (VIEW_IP6 | VIEW_ICMP)) != (VIEW_IP6 | VIEW_ICMP))
		return false;
	// Neighbour discovery proves by its hop limit that it was not routed (RFC 4861).
	if (view->icmp_type >= ICMP6_ND_FIRST && view->icmp_type <= ICMP6_ND_LAST)
		return view->ttl == ND_HOP_LIMIT;
	// Multicast listener discovery never leaves the link either (RFC 3810).
	return view->ttl == 1 &&
	       ((view->icmp_type >= ICMP6_MLD_QUERY && view->icmp_type <= ICMP6_MLD_DONE) ||
		       view->icmp_type == ICMP6_MLD2);
}

static bool mtu_is_absurd(const struct view *view, const struct quote *quote)
{
	if (view->bits & VIEW_IP6)
		return view->icmp_type == ICMP6_TOO_BIG && quote->mtu < ICMP6_MTU_MIN;
	return view->icmp_type == ICMP4_UNREACHABLE && view->icmp_code == ICMP4_NEED_FRAG &&
	       quote->mtu != 0 && quote->mtu < ICMP4_MTU_MIN;
}

// Protocol or port unreachable: nobody will ever answer. Everything else may pass (RFC 5927 4).
static bool is_hard(const struct view *view)
{
	if (view->bits & VIEW_IP6)
		return view->icmp_type == ICMP6_UNREACHABLE && view->icmp_code == 4;
	return view->icmp_type == ICMP4_UNREACHABLE &&
	       (view->icmp_code == 2 || view->icmp_code == 3);
}

// An error about our own SYN: the client is told now instead of after all retries (TCP.md 3.2).
static void opening_error(struct engine *engine, struct arrival *arrival, struct flow *flow,
	const struct quote *quote)
{
	struct opening *opening = opening_of(engine, flow);

	// Only from where the SYN went.
	if (flow_direction(flow, arrival->side) != TO_CLIENT || opening->wait != WAIT_SERVER ||
		quote->seq != opening->syn_seq) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	verdict_consume(engine, arrival);
	if (!is_hard(&arrival->view))
		return;
	if (flow->service != SERVICE_NONE)
		counter_add(&engine->services[flow->service].server_refused, 1);
	opening_refused(engine, flow, REASON_server_refused);
}

// The quoted packet went in direction `dir` and was translated on its way: undo that.
static struct quote_shift undo(const struct flow *flow, enum direction dir)
{
	const struct translation *t = &flow->translation;
	struct quote_shift shift = {0};

	if (dir == TO_SERVER) {
		shift.seq = 0 - t->e;
		shift.ack = t->d;
		shift.tsecr = t->bits & TRANSLATE_TIMESTAMPS ? t->ts_offset : 0;
	} else {
		shift.seq = 0 - t->d;
		shift.ack = t->e;
		shift.tsval = t->bits & TRANSLATE_TIMESTAMPS ? 0 - t->ts_offset : 0;
	}
	return shift;
}

static void tcp_error(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct quote *quote)
{
	// The error comes from beyond its port of arrival: the quoted packet's sender is on the
	// other side.
	enum direction dir = flow_direction(flow, side_other(arrival->side));
	uint32_t seq = dir == TO_SERVER ? quote->seq - flow->translation.e : quote->seq;
	struct quote_shift shift;

	if (!(quote->bits & QUOTE_SEQ) || !tcp_track_in_flight(&flow->track, dir, seq)) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	shift = undo(flow, dir);
	quote_translate(&arrival->view, quote, &shift);
	verdict_forward(engine, arrival);
}

// Of a service without state: pass where the quoted packet could have passed.
static void stateless_error(
	struct engine *engine, struct arrival *arrival, const struct quote *quote)
{
	struct arrival quoted = {.side = side_other(arrival->side), .rule = RULE_NONE};

	quoted.view.bits = arrival->view.bits & (VIEW_IP4 | VIEW_IP6);
	quoted.view.src = quote->src;
	quoted.view.dst = quote->dst;
	quoted.view.sport = quote->sport;
	quoted.view.dport = quote->dport;
	quoted.view.protocol = quote->protocol;
	if (admit_bypass(engine, &quoted))
		verdict_forward(engine, arrival);
	else
		verdict_drop(arrival, REASON_no_flow);
}

void icmp_decide_error(struct engine *engine, struct arrival *arrival)
{
	struct quote quote;
	struct flow *flow;

	if (quote_parse(&quote, &arrival->view) != 0 || mtu_is_absurd(&arrival->view, &quote)) {
		verdict_drop(arrival, REASON_malformed);
		return;
	}
	if (ingress_hand_over(engine, arrival))
		return;
	flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	if (flow == NULL || entry_is_memory(flow)) {
		if (!finder_error(engine, arrival, &quote))
			stateless_error(engine, arrival, &quote);
		return;
	}
	if (flow->key.protocol != PROTOCOL_TCP)
		verdict_forward(engine, arrival);
	else if ((flow->bits & FLOW_OPENING) && !opening_of(engine, flow)->pending)
		opening_error(engine, arrival, flow, &quote);
	else
		tcp_error(engine, arrival, flow, &quote);
}
