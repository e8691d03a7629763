// What goes wrong, and how it ends.
#include "scenario.h"

#include "sim.h"

static void cut(struct sim *sim, const struct fault *fault, bool is_cut)
{
	sim->network.sync[fault->node][fault->other].cut = is_cut;
	if (fault->kind == FAULT_CUT_BOTH)
		sim->network.sync[fault->other][fault->node].cut = is_cut;
}

// What holds a connection's state may carry it.
static void reroute(struct sim *sim)
{
	unsigned bucket = scheduler_choose(&sim->scheduler, BUCKETS);
	struct route route = scenario_route(sim);
	unsigned both = 1u << route.up | 1u << route.down;

	sim->network.routes[bucket] = route;
	for (unsigned i = 0; i < sim->scenario.connections; i++) {
		struct connection *c = &sim->connections[i];

		if (c->bucket != bucket || !sim_is_alive(c))
			continue;
		c->path |= (uint8_t)both;
		c->is_moved = true;
		if ((c->holders & both) != both || !c->ends[SERVER].was_open ||
			!c->ends[CLIENT].was_open || c->share_ns != 0)
			c->harm |= HARM_REROUTE;
		for (unsigned n = 0; n < sim->scenario.nodes; n++)
			if ((both >> n & 1) && (sim->nodes[n].view.active & both) != both)
				c->harm |= HARM_APART;
	}
}

static void storm(struct sim *sim, struct fault *fault, bool begins)
{
	struct link *links[3] = {&sim->network.outside, &sim->network.inside,
		&sim->network.sync[fault->node][fault->other]};

	for (unsigned i = 0; i < 3; i++) {
		if (!begins) {
			bool is_cut = links[i]->cut;

			*links[i] = fault->saved[i];
			links[i]->cut = is_cut;
			continue;
		}
		fault->saved[i] = *links[i];
		links[i]->loss = scheduler_choose(&sim->scheduler, 300);
		links[i]->repeat = scheduler_choose(&sim->scheduler, 300);
		links[i]->reorder = scheduler_choose(&sim->scheduler, 500);
		links[i]->damage = scheduler_choose(&sim->scheduler, 100);
	}
}

static void crash(struct sim *sim, unsigned node, bool begins)
{
	if (!begins) {
		if (!appliance_is_up(&sim->nodes[node]))
			appliance_boot(&sim->nodes[node], sim->scheduler.now_ns);
		return;
	}
	appliance_crash(&sim->nodes[node]);
	sim->crashed |= 1u << node;
	sim_harm(sim, 1u << node, HARM_CRASH);
	for (unsigned i = 0; i < sim->scenario.connections; i++) {
		sim->connections[i].holders &= (uint8_t) ~(1u << node);
		sim->connections[i].sent_by &= (uint8_t) ~(1u << node);
	}
}

static void clock_fault(struct sim *sim, const struct fault *fault, bool begins)
{
	struct appliance *node = &sim->nodes[fault->node];

	sim->clock_wrong[fault->node] = true;
	sim_harm(sim, 1u << fault->node, HARM_CLOCK);
	if (fault->kind == FAULT_JUMP && begins)
		appliance_jump_clock(node, sim->scheduler.now_ns, fault->amount);
	if (fault->kind == FAULT_FAST)
		appliance_set_clock(node, sim->scheduler.now_ns, begins ? 100 : 10);
}

static void pause_node(struct sim *sim, unsigned node, bool begins)
{
	struct appliance *a = &sim->nodes[node];

	a->paused = begins;
	if (!begins)
		a->engine_wake_ns = a->cluster_wake_ns = sim->scheduler.now_ns;
	if (!begins)
		sim->world.wake(&sim->world, node);
}

static void slow(struct sim *sim, unsigned node, bool begins)
{
	sim->nodes[node].engine_takes =
		begins ? 1 + scheduler_choose(&sim->scheduler, 3) : ENGINE_BATCH_MAX;
	sim->nodes[node].engine_nap_ns =
		begins ? scheduler_between(&sim->scheduler, SIM_MS, 30 * SIM_MS) : 0;
	sim->nodes[node].engine_wake_ns = sim->scheduler.now_ns;
	sim->world.wake(&sim->world, node);
}

static void rotate(struct sim *sim, unsigned node)
{
	uint8_t secret[32];

	for (unsigned i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)scheduler_choose(&sim->scheduler, 256);
	if (appliance_runs(&sim->nodes[node]))
		cluster_rotate(sim->nodes[node].cluster, secret);
}

static void apply(struct sim *sim, struct fault *fault, bool begins)
{
	switch ((enum fault_kind)fault->kind) {
	case FAULT_CUT_ONE:
	case FAULT_CUT_BOTH:
		cut(sim, fault, begins);
		return;
	case FAULT_PAUSE:
		pause_node(sim, fault->node, begins);
		return;
	case FAULT_CRASH:
		crash(sim, fault->node, begins);
		return;
	case FAULT_JUMP:
	case FAULT_FAST:
		clock_fault(sim, fault, begins);
		return;
	case FAULT_ROTATE:
		if (begins)
			rotate(sim, fault->node);
		return;
	case FAULT_REKEY:
		if (begins && appliance_runs(&sim->nodes[fault->node]))
			cluster_rekey(sim->nodes[fault->node].cluster);
		return;
	case FAULT_SLOW:
		slow(sim, fault->node, begins);
		return;
	case FAULT_REROUTE:
		if (begins)
			reroute(sim);
		return;
	case FAULT_STORM:
		storm(sim, fault, begins);
		return;
	case FAULT_CUT_DATA:
		(scheduler_choose(&sim->scheduler, 2) ? &sim->network.outside
						      : &sim->network.inside)
			->cut = begins;
		return;
	case FAULT_KINDS:
		return;
	}
}

void scenario_fault(struct sim *sim, unsigned index)
{
	static const char *const names[] = {"cut one way", "cut", "pause", "crash", "clock jump",
		"fast clock", "rotate", "rekey", "slow", "reroute", "storm", "data cut"};
	struct fault *fault = &sim->scenario.faults[index];

	fault->on = !fault->on;
	sim_trace(sim, "%s %s: n%u n%u", names[fault->kind], fault->on ? "begins" : "ends",
		fault->node, fault->other);
	apply(sim, fault, fault->on);
	if (fault->on)
		scheduler_add(&sim->scheduler, sim->scheduler.now_ns + fault->length_ns,
			EVENT_FAULT, index);
}

static struct link calm(struct link link)
{
	return (struct link){.delay_ns = link.delay_ns};
}

void scenario_heal(struct sim *sim)
{
	struct network *network = &sim->network;

	sim_trace(sim, "everything heals");
	for (unsigned i = 0; i < sim->scenario.fault_count; i++)
		if (sim->scenario.faults[i].on)
			scenario_fault(sim, i);
	network->outside = calm(network->outside);
	network->inside = calm(network->inside);
	for (unsigned from = 0; from < sim->scenario.nodes; from++)
		for (unsigned to = 0; to < sim->scenario.nodes; to++)
			network->sync[from][to] = calm(network->sync[from][to]);
}
