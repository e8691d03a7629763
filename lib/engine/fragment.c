// Fragments without reassembly: what evades a filter is dropped always, the rest by policy
// (TCP.md 6.1; RFC 1858, 3128, 7112).
#include "engine/internal.h"

#define TCP_FLAGS_OFFSET 8 // bytes: the first fragment offset that could rewrite the TCP flags

static uint16_t fragment_offset(const struct view *view)
{
	if (view->bits & VIEW_IP4)
		return (uint16_t)((be16_get(view->data + view->l3 + 6) & 0x1fff) * 8);
	return 0; // IPv6 forbids what this guards against: overlaps are dropped by hosts (5722)
}

static bool evades(const struct view *view)
{
	bool has_header = (view->bits & (VIEW_TCP | VIEW_UDP | VIEW_ICMP)) != 0;
	bool known = view->protocol == PROTOCOL_TCP || view->protocol == PROTOCOL_UDP ||
		     view->protocol == PROTOCOL_ICMP || view->protocol == PROTOCOL_ICMP6;

	if (!(view->bits & VIEW_FIRST))
		return view->protocol == PROTOCOL_TCP && fragment_offset(view) == TCP_FLAGS_OFFSET;
	// A first fragment must show its whole header; an IPv6 one its whole chain.
	if (!has_header && (known || (view->bits & VIEW_IP6)))
		return true;
	// An error that is itself a fragment cannot be judged by what it quotes.
	if (view_is_icmp_error(view))
		return true;
	// No data, thus no fragment, comes with a SYN or a RST.
	return (view->bits & VIEW_TCP) &&
	       (tcp_flags_are_bad(view->tcp_flags) || (view->tcp_flags & (TCP_SYN | TCP_RST)));
}

// A first fragment is judged like any packet; the rest of its datagram is useless without it.
static void first_decide(struct engine *engine, struct arrival *arrival)
{
	const struct view *view = &arrival->view;
	struct flow *flow;

	flow_key_from_view(&arrival->key, view, arrival->side);
	arrival->hash = flow_key_hash(engine->table_key, &arrival->key);
	if (ingress_hand_over(engine, arrival))
		return;
	flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	if (flow != NULL && flow->key.protocol == PROTOCOL_TCP && !(flow->bits & FLOW_OPENING)) {
		// The length is unknown, so the window is not judged; numbers are translated by
		// their checksum's delta.
		tcp_forward(engine, arrival, flow, flow_direction(flow, arrival->side));
		return;
	}
	if (view->protocol != PROTOCOL_TCP) {
		pseudo_decide(engine, arrival);
		return;
	}
	if (admit_bypass(engine, arrival))
		verdict_forward(engine, arrival);
	else
		verdict_drop(arrival, REASON_no_flow);
}

void fragment_decide(struct engine *engine, struct arrival *arrival)
{
	const struct view *view = &arrival->view;

	if (engine->policy->fragments == FRAGMENTS_DROP || evades(view))
		verdict_drop(arrival, REASON_fragment);
	else if (view->bits & VIEW_FIRST)
		first_decide(engine, arrival);
	else
		verdict_forward(engine, arrival);
}
