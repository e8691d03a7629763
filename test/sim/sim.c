#include "sim.h"

#include "base/check.h"
#include "invariants.h"
#include "outcome.h"
#include "reuse.h"
#include "trace.h"

#include <stdarg.h>
#include <string.h>

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list list;

	if (sim->failed)
		return;
	sim->failed = true;
	va_start(list, format);
	vsnprintf(sim->failure, sizeof(sim->failure), format, list);
	va_end(list);
	sim_trace(sim, "FAILED: %s", sim->failure);
}

void sim_count(struct sim *sim, uint64_t value)
{
	sim->fingerprint = (sim->fingerprint ^ value) * 0x100000001b3u;
	sim->fingerprint ^= sim->fingerprint >> 29;
}

// --- connections ---

const struct route *sim_route(const struct sim *sim, const struct connection *connection)
{
	return &sim->network.routes[connection->bucket];
}

bool sim_is_alive(const struct connection *connection)
{
	return connection->opened && !connection_is_done(connection);
}

void sim_harm(struct sim *sim, uint32_t nodes, enum harm harm)
{
	for (unsigned i = 0; i < sim->scenario.connections; i++) {
		struct connection *connection = &sim->connections[i];

		// Who is apart from whom matters where both are on the way.
		bool both_open =
			connection->ends[CLIENT].was_open && connection->ends[SERVER].was_open;

		if (harm == HARM_JOINING && both_open)
			continue;
		if (sim_is_alive(connection) &&
			(harm == HARM_APART ? (connection->path & nodes) == nodes
					    : (connection->path & nodes) != 0))
			connection->harm |= (uint8_t)harm;
	}
}

static void set_timer(struct sim *sim, struct connection *connection, unsigned end)
{
	uint64_t at = connection->ends[end].timer_ns;

	if (at >= connection->timers_ns[end])
		return;
	connection->timers_ns[end] = at;
	scheduler_add(&sim->scheduler, at, EVENT_TIMER, 2 * connection->number + end);
}

static void check_end(struct sim *sim, const struct connection *connection, unsigned end)
{
	const struct endpoint *endpoint = &connection->ends[end];
	const char *whose = end == CLIENT ? "client" : "server";

	if (endpoint->unagreed)
		sim_fail(sim, "the %s of connection %u got SACK that was not agreed", whose,
			connection->number);
	// What comes from the server before a copy is replaced by that of the owner's next life has
	// the timestamps of the former one: where nobody is waited for, or not as long as that one
	// took, or where a forged segment has the server speak first.
	if (endpoint->odd_echo &&
		!((connection->harm & HARM_CRASH) &&
			(sim->scenario.wait == SHARE_NONE || connection->is_forged ||
				(connection->harm & HARM_LATE))))
		sim_fail(sim,
			"the %s of connection %u got an echo of a timestamp that was never sent",
			whose, connection->number);
	// Where the node that knew the connection crashed, another translates the server's FIN by
	// the former connection of the same ports, if its number is near that one's end.
	if (endpoint->odd_ack && !((connection->harm & HARM_CRASH) && connection->reuse.is_anew))
		sim_fail(sim,
			"the %s of connection %u got an acknowledgement of what was never sent",
			whose, connection->number);
	if (endpoint->complaint != NULL)
		sim_fail(sim, "the %s of connection %u got %s", whose, connection->number,
			endpoint->complaint);
}

static void after_end(struct sim *sim, struct connection *connection, unsigned end)
{
	set_timer(sim, connection, end);
	// A node that takes the former connection for open takes a segment for that one's where it
	// comes before the one that proves the cookie, and its numbers fit both.
	if (!(connection->harm & HARM_UNTOLD))
		check_end(sim, connection, end);
	reuse_consider(sim, connection);
}

void sim_deliver(
	struct sim *sim, struct connection *connection, unsigned end, const struct segment *segment)
{
	struct endpoint *endpoint = &connection->ends[end];
	unsigned resets = endpoint->resets_received;

	trace_segment(sim, connection, end, "gets", segment);
	endpoint_take(endpoint, sim->scheduler.now_ns, segment);
	if (endpoint->resets_received != resets && !(connection->harm & HARM_UNTOLD))
		invariants_reset(sim, connection, end);
	after_end(sim, connection, end);
}

static void end_sends(struct endpoint *endpoint, const struct segment *segment)
{
	struct connection *connection = endpoint->config.context;
	struct sim *sim = connection->sim;
	const struct route *route = sim_route(sim, connection);
	bool up = endpoint->config.client;

	trace_segment(sim, connection, up ? CLIENT : SERVER, "sends", segment);
	network_from_end(sim, up ? route->up : route->down, connection_port(up, connection->inside),
		segment);
}

// Two clusters that are founded apart have secrets of their own until they meet, and the cookies of
// the one that gives way are lost then.
static bool is_founded_apart(const struct sim *sim, const struct appliance *node)
{
	uint32_t epoch = keyring_epoch(node->tick);
	const struct message_secret *own = appliance_secret(node, epoch);

	for (unsigned i = 0; i < sim->scenario.nodes; i++) {
		const struct message_secret *other = appliance_secret(&sim->nodes[i], epoch);

		if (own != NULL && other != NULL && memcmp(own->secret, other->secret, 32) != 0)
			return true;
	}
	return false;
}

static void mark_opened(struct sim *sim, struct connection *connection)
{
	const struct route *route = sim_route(sim, connection);

	connection->opened = true;
	connection->path = (uint8_t)(1u << route->up | 1u << route->down);
	for (unsigned i = 0; i < sim->scenario.nodes; i++) {
		const struct appliance *node = &sim->nodes[i];

		if (!(connection->path >> i & 1))
			continue;
		if (sim->clock_wrong[i])
			connection->harm |= HARM_CLOCK;
		if (!node->view.decodes || !sim->decodes[i])
			connection->harm |= HARM_JOINING;
		// What the cluster says a slow engine takes later.
		if ((node->view.active & sim->views[i] & connection->path) != connection->path)
			connection->harm |= HARM_APART;
		if (is_founded_apart(sim, node))
			connection->harm |= HARM_FOUNDED;
	}
}

static void open_connection(struct sim *sim, unsigned index)
{
	struct connection *connection = &sim->connections[index];

	if (connection->opened && !reuse_begin(sim, connection))
		return;
	mark_opened(sim, connection);
	endpoint_open(&connection->ends[CLIENT], sim->scheduler.now_ns);
	after_end(sim, connection, CLIENT);
}

static void run_timer(struct sim *sim, unsigned index)
{
	struct connection *connection = &sim->connections[index / 2];
	struct endpoint *endpoint = &connection->ends[index % 2];

	if (connection->timers_ns[index % 2] != sim->scheduler.now_ns)
		return; // an earlier one took its place
	connection->timers_ns[index % 2] = UINT64_MAX;
	if (endpoint->timer_ns <= sim->scheduler.now_ns)
		endpoint_timer(endpoint, sim->scheduler.now_ns);
	after_end(sim, connection, index % 2);
}

// --- the world of the nodes ---

static struct sim *sim_of(struct world *world)
{
	return (struct sim *)(void *)world;
}

static void world_transmit(
	struct world *world, unsigned index, uint8_t port, const uint8_t *data, uint16_t len)
{
	network_from_node(sim_of(world), index, port, data, len);
}

static void world_send(
	struct world *world, unsigned index, unsigned to, const uint8_t *data, uint16_t len)
{
	network_datagram(sim_of(world), index, to, data, len);
}

static void world_takes(struct world *world, unsigned index, const struct message *message)
{
	trace_message(sim_of(world), index, "takes", message);
	invariants_takes(sim_of(world), index, message);
}

static void world_says(struct world *world, unsigned index, const struct message *message)
{
	trace_message(sim_of(world), index, "says", message);
	invariants_says(sim_of(world), index, message);
}

static void wake_at(
	struct sim *sim, uint64_t *pending, uint64_t at, enum event_kind kind, unsigned index)
{
	at = at > sim->scheduler.now_ns ? at : sim->scheduler.now_ns;
	if (at >= *pending)
		return;
	*pending = at;
	scheduler_add(&sim->scheduler, at, kind, index);
}

static void world_wake(struct world *world, unsigned index)
{
	struct sim *sim = sim_of(world);
	const struct appliance *node = &sim->nodes[index];

	wake_at(sim, &sim->engine_event_ns[index], node->engine_wake_ns, EVENT_ENGINE, index);
	wake_at(sim, &sim->cluster_event_ns[index], node->cluster_wake_ns, EVENT_CLUSTER, index);
}

static void world_broken(struct world *world, unsigned index, const char *what)
{
	// A clock at the end of time breaks the node that has it.
	if (!sim_of(world)->clock_wrong[index])
		sim_fail(sim_of(world), "node %u: %s", index, what);
}

// What was due at an earlier time, or is due later now, is asked about again.
static void run_node(struct sim *sim, unsigned index, bool is_engine)
{
	uint64_t *pending =
		is_engine ? &sim->engine_event_ns[index] : &sim->cluster_event_ns[index];
	struct appliance *node = &sim->nodes[index];
	uint64_t now = sim->scheduler.now_ns;

	if (*pending != now)
		return;
	*pending = UINT64_MAX;
	if (!appliance_runs(node))
		return;
	if ((is_engine ? node->engine_wake_ns : node->cluster_wake_ns) > now)
		world_wake(&sim->world, index);
	else if (is_engine)
		appliance_run_engine(node, now);
	else
		appliance_run_cluster(node, now);
	invariants_node(sim, index);
}

// --- the run ---

static void happen(struct sim *sim, const struct event *event)
{
	switch ((enum event_kind)event->kind) {
	case EVENT_FLIGHT: {
		const struct flight *flight = &sim->network.flights[event->index];
		bool at_node = flight->kind == FLIGHT_TO_NODE;
		unsigned node = flight->to;

		network_arrive(sim, event->index);
		if (at_node)
			invariants_node(sim, node);
		return;
	}
	case EVENT_ENGINE:
	case EVENT_CLUSTER:
		run_node(sim, event->index, event->kind == EVENT_ENGINE);
		return;
	case EVENT_OPEN:
		open_connection(sim, event->index);
		return;
	case EVENT_TIMER:
		run_timer(sim, event->index);
		return;
	case EVENT_FAULT:
		scenario_fault(sim, event->index);
		return;
	case EVENT_NOISE:
		if (event->index > 0)
			exchange_crowd(sim, event->index);
		else
			scenario_noise(sim);
		return;
	case EVENT_ASK:
		exchange_ask(sim, event->index);
		return;
	}
}

// Until `end_ns`, a failure, or the number of steps that was asked for.
static void run_until(struct sim *sim, uint64_t end_ns)
{
	struct event event;

	while (!sim->failed && sim->scheduler.steps < sim->steps_max &&
		scheduler_next(&sim->scheduler, end_ns, &event)) {
		happen(sim, &event);
		if (sim->scheduler.steps % WHOLE_EVERY == 0 && sim->scenario.crowd == 0)
			invariants_whole(sim);
	}
}

static void make_node(struct sim *sim, unsigned index)
{
	const struct scenario *scenario = &sim->scenario;
	struct appliance_config config = {.index = index,
		.nodes = scenario->nodes,
		.share = scenario->share,
		.wait = scenario->wait,
		.profile = scenario->profile,
		.detect_ms = scenario->detect_ms,
		.join_ms = 300,
		.server_syn_ms = scenario->server_syn_ms,
		.datagrams_s = scenario->datagrams_s,
		.flows = scenario->crowd > 0 ? FLOWS_MAX : 1024,
		.rekey_ns = scenario->rekey_ns,
		.rekey_records = 1u << 22,
		.counter_ns = 70000 * KEYRING_TICK_NS + scenario->tick_offset_ns - SIM_START_NS,
		.clock_ns = SIM_START_NS + index * 7 * SIM_S,
		.hop_ns = scenario->hop_ns,
		.measures = sim->measures};

	appliance_create(&sim->nodes[index], &config, &sim->world);
	sim->nodes[index].at_ns = sim->scheduler.now_ns;
	sim->engine_event_ns[index] = sim->cluster_event_ns[index] = UINT64_MAX;
	sim->clock_wrong[index] = false;
	sim->view_step[index] = UINT64_MAX;
	sim->views[index] = 0;
	sim->decodes[index] = false;
	appliance_boot(&sim->nodes[index], sim->scheduler.now_ns);
}

static void start(struct sim *sim)
{
	sim->world = (struct world){.transmit = world_transmit,
		.send = world_send,
		.takes = world_takes,
		.says = world_says,
		.wake = world_wake,
		.broken = world_broken};
	sim->failed = false;
	sim->failure[0] = '\0';
	sim->fingerprint = 0xcbf29ce484222325u;
	memset(sim->connections, 0, sim->scenario.connections * sizeof(sim->connections[0]));
	sim->crashed = 0;
	sim->view_ns = 0;
	memset(sim->stranger_syns, 0, sizeof(sim->stranger_syns));
	memset(sim->stranger_answers, 0, sizeof(sim->stranger_answers));
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		make_node(sim, i);
	scenario_open_all(sim);
	for (unsigned i = 0; i < sim->scenario.connections; i++)
		for (unsigned end = 0; end < 2; end++) {
			sim->connections[i].sim = sim;
			sim->connections[i].timers_ns[end] = UINT64_MAX;
			sim->connections[i].ends[end].config.send = end_sends;
			sim->connections[i].ends[end].config.context = &sim->connections[i];
		}
}

bool sim_run(struct sim *sim, const char *name, uint64_t seed)
{
	scheduler_start(&sim->scheduler, seed, SIM_START_NS);
	network_start(&sim->network);
	if (!scenario_choose(sim, name, seed))
		return false;
	start(sim);
	run_until(sim, SIM_START_NS + sim->scenario.heal_ns);
	scenario_heal(sim);
	run_until(sim, SIM_START_NS + sim->scenario.end_ns);
	if (!sim->failed && sim->scheduler.steps < sim->steps_max)
		outcome_check(sim);
	if (sim->ended != NULL && !sim->failed)
		sim->ended(sim);
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		appliance_crash(&sim->nodes[i]);
	sim->totals.steps += sim->scheduler.steps;
	sim->totals.virtual_ns += sim->scheduler.now_ns - SIM_START_NS;
	return !sim->failed;
}

void sim_finish(struct sim *sim)
{
	for (unsigned i = 0; i < APPLIANCES_MAX; i++)
		appliance_destroy(&sim->nodes[i]);
	network_finish(&sim->network);
}
