// Rules and services: may this packet start something, and how is it handled? Rules decide whether,
// services decide how (DESIGN section 1; C7, M1).
#include "engine/internal.h"

#include "base/check.h"

void admit_query(const struct arrival *arrival, struct rule_query *query)
{
	const struct view *view = &arrival->view;

	query->src = view->src;
	query->dst = view->dst;
	query->protocol = view->protocol;
	query->side = arrival->side;
	if (view->bits & VIEW_ICMP) {
		query->sport = 0;
		query->dport = view->icmp_type;
	} else {
		query->sport = view->sport;
		query->dport = view->dport;
	}
}

const struct service *admit_service(
	const struct engine *engine, const struct view *view, uint8_t side)
{
	const struct policy *policy = engine->policy;
	uint16_t found = service_find(policy->services, policy->service_count, &view->dst,
		view->dport, view->protocol, side);

	return found == SERVICE_NONE ? NULL : &policy->services[found];
}

static void count_hit(struct engine *engine, uint32_t rule)
{
	if (rule == RULE_DEFAULT)
		counter_add(&engine->stats.rule_hits_default, 1);
	else if (rule < RULE_COUNT_MAX)
		counter_add(&engine->rule_hits[rule], 1);
}

void admit_count(struct engine *engine, const struct admission *admission)
{
	count_hit(engine, admission->rule);
}

void admit_batch(struct engine *engine, unsigned count)
{
	struct rule_query queries[ENGINE_BATCH_MAX];
	struct rule_decision decisions[ENGINE_BATCH_MAX];
	struct arrival *asking[ENGINE_BATCH_MAX];
	unsigned asked = 0;

	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];

		if (!arrival->keyed || !view_is_first_syn(&arrival->view))
			continue;
		admit_query(arrival, &queries[asked]);
		asking[asked++] = arrival;
	}
	if (asked == 0)
		return;
	classifier_decide(&engine->policy->classifier, queries, decisions, asked);
	for (unsigned i = 0; i < asked; i++) {
		asking[i]->decision = decisions[i];
		asking[i]->decided = true;
	}
}

static struct rule_decision decide(const struct engine *engine, const struct arrival *arrival)
{
	struct rule_decision decision;
	struct rule_query query;

	if (arrival->decided)
		return arrival->decision;
	admit_query(arrival, &query);
	classifier_decide(&engine->policy->classifier, &query, &decision, 1);
	return decision;
}

struct admission admit(struct engine *engine, struct arrival *arrival)
{
	struct admission admission = {.mode = MODE_TRACK};
	struct rule_decision decision = decide(engine, arrival);

	arrival->rule = decision.rule;
	admission.allow = decision.allow;
	admission.is_signed = decision.is_signed;
	admission.rule = decision.rule;
	if (!decision.allow)
		return admission;
	admission.service = admit_service(engine, &arrival->view, arrival->side);
	if (admission.service != NULL)
		admission.mode = admission.service->mode;
	// Nothing that changes a number may touch a signed segment (TCP.md 2.11).
	if (decision.is_signed && admission.mode != MODE_BYPASS)
		admission.mode = MODE_TRACK;
	return admission;
}

static bool bypass_matches(struct engine *engine, const struct rule_query *query, uint32_t *rule)
{
	const struct policy *policy = engine->policy;
	uint16_t found = service_find(policy->services, policy->service_count, &query->dst,
		query->dport, query->protocol, query->side);
	struct rule_decision decision;

	if (found == SERVICE_NONE || policy->services[found].mode != MODE_BYPASS)
		return false;
	classifier_decide(&policy->classifier, query, &decision, 1);
	*rule = decision.rule;
	return decision.allow;
}

bool admit_bypass(struct engine *engine, struct arrival *arrival)
{
	struct rule_query query, back;

	admit_query(arrival, &query);
	if (bypass_matches(engine, &query, &arrival->rule)) {
		count_hit(engine, arrival->rule);
		return true;
	}
	back = query;
	back.src = query.dst;
	back.dst = query.src;
	back.sport = query.dport;
	back.dport = query.sport;
	back.side = side_other(arrival->side);
	return bypass_matches(engine, &back, &arrival->rule);
}

static bool is_cookied(const struct rule_decision *decision, const struct service *service)
{
	return decision->allow && !decision->is_signed && service != NULL &&
	       (service->mode == MODE_PROXY || service->mode == MODE_MSYN);
}

static bool same_server(const struct rule_query *a, const struct rule_query *b)
{
	return a->dport == b->dport && a->protocol == b->protocol && a->side == b->side &&
	       addr_equal(&a->dst, &b->dst);
}

void admit_cookied_batch(const struct engine *engine, const struct rule_query *queries,
	unsigned count, bool *allowed)
{
	const struct policy *policy = engine->policy;
	struct rule_decision decisions[ENGINE_BATCH_MAX];
	uint16_t found = SERVICE_NONE;

	CHECK(count <= ENGINE_BATCH_MAX);
	classifier_decide(&policy->classifier, queries, decisions, count);
	for (unsigned i = 0; i < count; i++) {
		const struct rule_query *query = &queries[i];

		// What arrives together is often about one server.
		if (i == 0 || !same_server(query, &queries[i - 1]))
			found = service_find(policy->services, policy->service_count, &query->dst,
				query->dport, query->protocol, query->side);
		allowed[i] = is_cookied(
			&decisions[i], found == SERVICE_NONE ? NULL : &policy->services[found]);
	}
}

bool admit_cookied(
	struct engine *engine, const struct tuple *tuple, uint8_t client_side, uint16_t family)
{
	struct arrival syn = {.side = client_side, .rule = RULE_NONE};
	struct admission admission;

	syn.view.bits = family | VIEW_TCP;
	syn.view.src = tuple->src;
	syn.view.dst = tuple->dst;
	syn.view.sport = tuple->sport;
	syn.view.dport = tuple->dport;
	syn.view.protocol = PROTOCOL_TCP;
	admission = admit(engine, &syn);
	return admission.allow && (admission.mode == MODE_PROXY || admission.mode == MODE_MSYN);
}
