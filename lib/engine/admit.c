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

// What arrives together is often about one server: `former` is one that was asked for before.
void admit_serve(const struct engine *engine, struct arrival *arrival, const struct arrival *former)
{
	const struct view *view = &arrival->view;
	const struct policy *policy = engine->policy;
	bool same = former != NULL && former->view.dport == view->dport &&
		    former->view.protocol == view->protocol && former->side == arrival->side &&
		    addr_equal(&former->view.dst, &view->dst);

	arrival->service = same ? former->service
				: service_find(policy->services, policy->service_count, &view->dst,
					  view->dport, view->protocol, arrival->side);
	arrival->served = true;
}

const struct service *admit_served(const struct engine *engine, struct arrival *arrival)
{
	if (!arrival->served)
		admit_serve(engine, arrival, NULL);
	return arrival->service == SERVICE_NONE ? NULL
						: &engine->policy->services[arrival->service];
}

void admit_count_rule(struct engine *engine, uint32_t rule, uint64_t hits)
{
	if (rule == RULE_DEFAULT)
		counter_add(&engine->stats.rule_hits_default, hits);
	else if (rule < RULE_COUNT_MAX)
		counter_add(&engine->rule_hits[rule], hits);
}

void admit_count(struct engine *engine, const struct admission *admission)
{
	admit_count_rule(engine, admission->rule, 1);
}

static bool same_server(const struct rule_query *a, const struct rule_query *b)
{
	return a->dport == b->dport && a->protocol == b->protocol && a->side == b->side &&
	       addr_equal(&a->dst, &b->dst);
}

// What arrives together is often about one server: `former` is what was found for the query in
// front of this one.
static uint16_t next_service(
	const struct policy *policy, const struct rule_query *queries, unsigned at, uint16_t former)
{
	const struct rule_query *query = &queries[at];

	if (at > 0 && same_server(query, query - 1))
		return former;
	return service_find(policy->services, policy->service_count, &query->dst, query->dport,
		query->protocol, query->side);
}

void admit_batch(struct engine *engine, unsigned count)
{
	struct rule_query queries[ENGINE_BATCH_MAX];
	struct rule_decision decisions[ENGINE_BATCH_MAX];
	struct arrival *asking[ENGINE_BATCH_MAX];
	uint16_t found = SERVICE_NONE;
	unsigned asked = 0;

	for (unsigned i = 0; i < count; i++) {
		struct arrival *arrival = &engine->arrivals[i];

		if (!arrival->syn)
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
		found = next_service(engine->policy, queries, i, found);
		asking[i]->service = found;
	}
}

// What admit_batch() finds for many.
static void decide(const struct engine *engine, struct arrival *arrival)
{
	struct rule_query query;

	admit_query(arrival, &query);
	classifier_decide(&engine->policy->classifier, &query, &arrival->decision, 1);
	arrival->service = next_service(engine->policy, &query, 0, SERVICE_NONE);
}

struct admission admit(struct engine *engine, struct arrival *arrival)
{
	struct admission admission = {.mode = MODE_TRACK};
	struct rule_decision decision;

	if (!arrival->decided)
		decide(engine, arrival);
	decision = arrival->decision;
	arrival->rule = decision.rule;
	admission.allow = decision.allow;
	admission.is_signed = decision.is_signed;
	admission.rule = decision.rule;
	if (!decision.allow)
		return admission;
	if (arrival->service != SERVICE_NONE)
		admission.service = &engine->policy->services[arrival->service];
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
		admit_count_rule(engine, arrival->rule, 1);
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

void admit_cookied_batch(const struct engine *engine, const struct rule_query *queries,
	unsigned count, bool *allowed)
{
	const struct policy *policy = engine->policy;
	struct rule_decision decisions[ENGINE_BATCH_MAX];
	uint16_t found = SERVICE_NONE;

	CHECK(count <= ENGINE_BATCH_MAX);
	classifier_decide(&policy->classifier, queries, decisions, count);
	for (unsigned i = 0; i < count; i++) {
		found = next_service(policy, queries, i, found);
		allowed[i] = is_cookied(
			&decisions[i], found == SERVICE_NONE ? NULL : &policy->services[found]);
	}
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMP6;
}

// A packet the client of a flow with this key may begin it with. Of ICMP the key has not kept the
// type.
static struct arrival first_packet(const struct flow_key *key, uint8_t client_side, uint8_t type)
{
	struct arrival first = {.side = client_side, .rule = RULE_NONE};
	struct tuple tuple;

	flow_key_tuple(&tuple, key, client_side);
	first.view.bits = addr_is_ip4(&key->outer) ? VIEW_IP4 : VIEW_IP6;
	first.view.src = tuple.src;
	first.view.dst = tuple.dst;
	first.view.protocol = key->protocol;
	if (is_icmp(key->protocol)) {
		first.view.bits |= VIEW_ICMP;
		first.view.icmp_type = type;
		return first;
	}
	first.view.bits |= key->protocol == PROTOCOL_TCP ? VIEW_TCP : 0;
	first.view.bits |= key->protocol == PROTOCOL_UDP ? VIEW_UDP : 0;
	first.view.sport = tuple.sport;
	first.view.dport = tuple.dport;
	return first;
}

struct admission admit_key(struct engine *engine, const struct flow_key *key, uint8_t client_side)
{
	static const uint8_t queries4[] = {8, 13, 15, 17}, queries6[] = {128};
	bool ip4 = addr_is_ip4(&key->outer);
	const uint8_t *types = ip4 ? queries4 : queries6;
	unsigned count = ip4 ? sizeof(queries4) : sizeof(queries6);
	struct admission admission = {0};

	if (!is_icmp(key->protocol))
		count = 1;
	for (unsigned i = 0; i < count && !admission.allow; i++) {
		struct arrival first = first_packet(key, client_side, types[i]);

		admission = admit(engine, &first);
	}
	return admission;
}

bool admit_is_cookied(const struct admission *admission)
{
	return admission->allow && (admission->mode == MODE_PROXY || admission->mode == MODE_MSYN);
}

bool admit_is_tracked(const struct admission *admission, const struct flow_key *key)
{
	if (!admission->allow || admission->mode == MODE_BYPASS)
		return false;
	return key->protocol != PROTOCOL_TCP || admission->mode == MODE_TRACK;
}
