// Pseudo-state for what has no connections: UDP, ICMP queries, other protocols. The first packet is
// judged by the rules; answers and what follows pass until the timer of its kind ends it
// (TCP.md 9; RFC 4787 REQ-5, RFC 5508 REQ-2). In a cluster the answers may arrive at another node
// than the questions (share.c): each node counts what it sees itself as use.
#include "engine/internal.h"

// What starts nothing may answer what another node let in.
static void unasked(struct engine *engine, struct arrival *arrival, enum reason reason)
{
	if (!finder_late(engine, arrival))
		verdict_drop(arrival, reason);
}

static void start(struct engine *engine, struct arrival *arrival)
{
	struct admission admission = admit(engine, arrival);
	struct flow *flow;
	enum reason reason;

	admit_count(engine, &admission);
	if (!admission.allow) {
		unasked(engine, arrival, REASON_rule_denied);
		return;
	}
	if (admission.mode == MODE_BYPASS) {
		verdict_forward(engine, arrival);
		return;
	}
	flow = entry_create(
		engine, &arrival->key, arrival->hash, arrival->side, admission.service, &reason);
	if (flow == NULL) {
		verdict_drop(arrival, reason);
		return;
	}
	flow->mode = MODE_TRACK;
	flow->generation = 1;
	flow->incarnation = engine->tick * KEYRING_TICK_PARTS;
	share_begin(engine, arrival, flow);
}

// An answer nobody asked for: ICMP replies start nothing.
bool pseudo_is_reply(const struct view *view)
{
	if (!(view->bits & VIEW_ICMP))
		return false;
	if (view->bits & VIEW_IP6)
		return view->icmp_type == 129;
	return view->icmp_type == 0 || view->icmp_type == 14 || view->icmp_type == 16 ||
	       view->icmp_type == 18;
}

// State lets answers through, not questions the other way: those are for the rules to judge.
static void question_back(struct engine *engine, struct arrival *arrival)
{
	struct admission admission = admit(engine, arrival);

	admit_count(engine, &admission);
	if (admission.allow)
		verdict_forward(engine, arrival);
	else
		verdict_drop(arrival, REASON_rule_denied);
}

void pseudo_known(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	bool answer = flow_direction(flow, arrival->side) == TO_CLIENT;

	if (view_is_icmp_query(&arrival->view) && answer != pseudo_is_reply(&arrival->view)) {
		if (answer)
			question_back(engine, arrival);
		else
			verdict_drop(arrival, REASON_no_flow);
		return;
	}
	arrival->path = PATH_ESTABLISHED;
	if (answer)
		flow->bits |= FLOW_CONFIRMED;
	else
		share_moved(engine, flow);
	entry_touch(engine, flow);
	verdict_forward(engine, arrival);
	delay_behind(engine, arrival, flow);
}

void pseudo_decide(struct engine *engine, struct arrival *arrival)
{
	struct flow *flow;

	if (ingress_hand_over(engine, arrival))
		return;
	flow = flow_table_find(engine->table, &arrival->key, arrival->hash);
	if (flow != NULL)
		pseudo_known(engine, arrival, flow);
	else if (admit_bypass(engine, arrival))
		verdict_forward(engine, arrival);
	else if (pseudo_is_reply(&arrival->view))
		unasked(engine, arrival, REASON_no_flow);
	else
		start(engine, arrival);
}
