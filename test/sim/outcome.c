#include "outcome.h"

#include "invariants.h"
#include "sim.h"

#include <string.h>

static uint32_t node_bit(unsigned node)
{
	return 1u << node;
}

// A server outside that still has the former connection, or took an old SYN that was long under
// way, says so by an ACK that names no node. What comes from there is offered to nobody
// (TCP.md 7.6), so where the answers come in by another node than the one that asks, that one never
// hears of it.
static bool is_unasked(const struct sim *sim, const struct connection *c)
{
	const struct route *route = sim_route(sim, c);

	return c->inside && c->service != SERVICE_TRACK &&
	       (c->ends[SERVER].kept_former || c->ends[SERVER].is_older) &&
	       route->up != route->down;
}

// Where nobody is waited for, or not as long as a cut is, the SYN/ACK may come in before the state
// does. What another node has of the former connection may let it pass, and it is not repeated for
// the state to see.
static bool is_overtaken(const struct sim *sim, const struct connection *c)
{
	return c->inside && c->service == SERVICE_TRACK && c->reuse.is_anew &&
	       (sim->scenario.wait == SHARE_NONE || (c->harm & HARM_LATE));
}

// A node that saw nothing of a direction believes the first segment of it, a forged FIN as well:
// then it judges what moves there by that.
static bool is_misled(const struct connection *c)
{
	return c->is_forged && c->is_moved;
}

void outcome_connection(struct sim *sim, const struct connection *c)
{
	const struct endpoint *client = &c->ends[CLIENT], *server = &c->ends[SERVER];
	bool done = connection_is_done(c);

	sim->totals.opened += c->opened;
	sim->totals.done += done;
	if (done || !c->opened)
		return;
	if (!c->allowed) {
		if (client->state != END_SYN_SENT || server->lives > 0)
			sim_fail(sim, "connection %u got through although it is denied", c->number);
		return;
	}
	if (client->reset_sent || server->reset_sent) {
		sim->totals.refused++;
		return;
	}
	if (is_unasked(sim, c) || is_overtaken(sim, c) || is_misled(c)) {
		sim->totals.excused++;
		return;
	}
	if ((c->harm & (HARM_CRASH | HARM_CLOCK | HARM_REROUTE | HARM_JOINING | HARM_FOUNDED |
			       HARM_UNTOLD)) ||
		client->resets_received > 0 || server->resets_received > 0) {
		sim->totals.excused++;
		return;
	}
	sim_fail(sim,
		"connection %u (%s, port %u) does not complete: client %u sent %u of %u, server %u "
		"%u of %u",
		c->number, c->inside ? "inside" : "outside", c->service, client->state,
		client->una - client->iss - 1, client->config.send_bytes, server->state,
		server->una - server->iss - 1, server->config.send_bytes);
}

// What they make cookies with is the same again.
static bool same_secret(const struct appliance *a, const struct appliance *b)
{
	uint32_t epoch = keyring_epoch(a->tick);
	const struct message_secret *one = appliance_secret(a, epoch);
	const struct message_secret *other = appliance_secret(b, epoch);

	return one != NULL && other != NULL && memcmp(one->secret, other->secret, 32) == 0;
}

// All see each other again; a node whose clock is wrong costs only itself.
static void check_members(struct sim *sim)
{
	uint32_t good = 0, wrong = 0;

	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		*(sim->clock_wrong[i] ? &wrong : &good) |= node_bit(i);
	for (unsigned i = 0; i < sim->scenario.nodes; i++) {
		const struct message_view *view = &sim->nodes[i].view;

		if ((good & node_bit(i)) &&
			(!view->decodes || ((uint32_t)view->active | wrong) != (good | wrong)))
			sim_fail(sim, "node %u does not see all others: %#llx of %#x", i,
				(unsigned long long)view->active, good);
		for (unsigned j = 0; j < i && (good & node_bit(i)); j++)
			if ((good & node_bit(j)) && !same_secret(&sim->nodes[i], &sim->nodes[j]))
				sim_fail(sim, "nodes %u and %u have not the same secret", j, i);
	}
}

static void check_flushed(struct sim *sim, unsigned node)
{
	static struct message question;
	struct appliance *a = &sim->nodes[node];

	if (!appliance_is_up(a) || sim->failed)
		return;
	question.type = MESSAGE_FLUSH;
	appliance_ask(a, sim->scheduler.now_ns, &question);
	invariants_node(sim, node);
	if (engine_flow_count(a->engine) != 0 || engine_queued_bytes(a->engine) != 0 ||
		counter_get(&engine_stats(a->engine)->queued) != 0)
		sim_fail(sim, "node %u keeps something of nothing", node);
}

void outcome_check(struct sim *sim)
{
	invariants_whole(sim);
	for (unsigned i = 0; i < sim->scenario.connections && !sim->failed; i++)
		outcome_connection(sim, &sim->connections[i]);
	exchange_check_all(sim);
	if (!sim->failed)
		check_members(sim);
	if (!sim->failed)
		invariants_rows(sim, true);
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		sim->flows[i] = appliance_is_up(&sim->nodes[i])
					? engine_flow_count(sim->nodes[i].engine)
					: 0;
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		check_flushed(sim, i);
}
