#include "scenario.h"

#include "reuse.h"
#include "sim.h"

#include <string.h>

#define CROWD_AT_ONCE 50
#define ALL_FAULTS    ((1u << FAULT_KINDS) - 1)

static const struct kind {
	const char *name;
	unsigned faults; // bits of enum fault_kind
	bool noise;
	bool idle;
	unsigned nodes, connections; // 0: chosen
	bool apart;		     // cuts are long, and connections end while they last
	unsigned crowd;		     // flows that have to be told all at once when it heals
	// In one of so many seeds, so that the others stay what they are: permille of connections
	// whose clients begin anew with the same ports.
	unsigned reuse_every, reuse;
} kinds[] = {
	{"mix", ALL_FAULTS & ~(1u << FAULT_JUMP | 1u << FAULT_FAST), true, false, 0, 0,
		.reuse_every = 4, .reuse = 250},
	{"plain", 0, false, false, 0, 0},
	{"noise", 1u << FAULT_STORM | 1u << FAULT_CUT_DATA, true, false, 0, 0},
	{"cut", 1u << FAULT_CUT_ONE | 1u << FAULT_CUT_BOTH, true, false, 0, 0},
	{"pause", 1u << FAULT_PAUSE, true, false, 0, 0},
	{"crash", 1u << FAULT_CRASH, true, false, 0, 0},
	{"clock", 1u << FAULT_JUMP | 1u << FAULT_FAST, true, false, 3, 0},
	{"keys", 1u << FAULT_ROTATE | 1u << FAULT_REKEY, true, true, 0, 0},
	{"slow", 1u << FAULT_SLOW, true, false, 0, 0},
	{"reroute", 1u << FAULT_REROUTE, true, false, 0, 0},
	{"apart", 1u << FAULT_CUT_ONE | 1u << FAULT_CUT_BOTH, true, false, 0, 0, true},
	{"crowd", 1u << FAULT_CUT_ONE | 1u << FAULT_CUT_BOTH, true, false, 2, 40, true, 20000},
	{"many", ALL_FAULTS & ~(1u << FAULT_JUMP | 1u << FAULT_FAST), true, false, 0,
		CONNECTIONS_MAX},
	{"reuse", 1u << FAULT_STORM | 1u << FAULT_CUT_DATA | 1u << FAULT_SLOW, true, false, 0, 0,
		.reuse_every = 1, .reuse = 800},
	{"wide", 0, true, false, 8, 0},
	{"table2", 0, false, false, 2, CONNECTIONS_MAX},
	{"table4", 0, false, false, 4, CONNECTIONS_MAX},
	{"table8", 0, false, false, 8, CONNECTIONS_MAX},
};

const char *scenario_name(unsigned index)
{
	return index < sizeof(kinds) / sizeof(kinds[0]) ? kinds[index].name : NULL;
}

static const struct kind *find_kind(const char *name)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static uint32_t choose(struct sim *sim, uint32_t bound)
{
	return scheduler_choose(&sim->scheduler, bound);
}

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
	return scheduler_between(&sim->scheduler, low, high);
}

// --- choosing ---

static struct link choose_link(struct sim *sim, bool noise, uint64_t low_ns, uint64_t high_ns)
{
	struct link link = {.delay_ns = between(sim, low_ns, high_ns)};

	if (!noise)
		return link;
	link.loss = choose(sim, 2) * choose(sim, 50);
	link.repeat = choose(sim, 2) * choose(sim, 50);
	link.reorder = choose(sim, 2) * choose(sim, 200);
	link.damage = choose(sim, 2) * choose(sim, 30);
	return link;
}

static void choose_links(struct sim *sim, bool noise)
{
	struct network *network = &sim->network;

	network->outside = choose_link(sim, noise, 500 * SIM_US, 8 * SIM_MS);
	network->inside = choose_link(sim, noise, 50 * SIM_US, 2 * SIM_MS);
	for (unsigned from = 0; from < sim->scenario.nodes; from++)
		for (unsigned to = 0; to < sim->scenario.nodes; to++)
			network->sync[from][to] = choose_link(sim, noise, 200 * SIM_US, 6 * SIM_MS);
}

static void choose_times(struct sim *sim, const struct kind *kind)
{
	struct scenario *s = &sim->scenario;

	s->idle_ns = kind->idle ? between(sim, 10 * SIM_S, 80 * SIM_S) : 0;
	s->apart = kind->apart;
	s->crowd = kind->crowd;
	s->datagrams_s = kind->crowd > 0 ? 60 : 2;
	s->open_ns = 800 * SIM_MS;
	s->busy_ns = 2600 * SIM_MS + kind->apart * 4 * SIM_S;
	s->heal_ns = s->busy_ns + s->idle_ns;
	s->end_ns = s->heal_ns + 2400 * SIM_MS + 3000 * SIM_MS * (kind->faults != 0);
}

struct route scenario_route(struct sim *sim)
{
	struct route route = {.up = (uint8_t)choose(sim, sim->scenario.nodes),
		.down = (uint8_t)choose(sim, sim->scenario.nodes)};

	if (choose(sim, 3) == 0)
		route.down = route.up;
	return route;
}

static void choose_fault(struct sim *sim, const struct kind *kind)
{
	struct scenario *s = &sim->scenario;
	struct fault *fault = &s->faults[s->fault_count++];

	*fault = (struct fault){0};
	do
		fault->kind = (uint8_t)choose(sim, FAULT_KINDS);
	while (!(kind->faults >> fault->kind & 1));
	fault->node = (uint8_t)choose(sim, s->nodes);
	fault->other = (uint8_t)((fault->node + 1 + choose(sim, s->nodes - 1)) % s->nodes);
	fault->start_ns = between(sim, s->open_ns, s->heal_ns - 300 * SIM_MS);
	fault->length_ns = between(sim, 20 * SIM_MS, 300 * SIM_MS);
	if (kind->apart) {
		fault->start_ns = between(sim, s->open_ns, s->open_ns + 800 * SIM_MS);
		fault->length_ns = between(sim, 3 * SIM_S, 5 * SIM_S);
	} else if (choose(sim, 2) == 0)
		fault->length_ns = between(sim, 100 * SIM_MS, s->heal_ns - fault->start_ns);
	// Clock: a second to an hour ahead, or to its end.
	fault->amount = choose(sim, 3) == 0 ? INT64_MAX : between(sim, SIM_S, 3600 * SIM_S);
	scheduler_add(
		&sim->scheduler, SIM_START_NS + fault->start_ns, EVENT_FAULT, s->fault_count - 1);
}

static void choose_profile(struct sim *sim)
{
	sim->scenario.profile = (struct profile){
		.mss = 1460, .wscale = WSCALE_ANNOUNCED, .sack = true, .timestamps = true};
}

bool scenario_choose(struct sim *sim, const char *name, uint64_t seed)
{
	struct scenario *s = &sim->scenario;
	const struct kind *kind = find_kind(name);

	if (kind == NULL)
		return false;
	*s = (struct scenario){.seed = seed, .name = kind->name};
	s->nodes = kind->nodes != 0 ? kind->nodes : 2 + choose(sim, 3) * choose(sim, 2);
	s->connections = kind->connections != 0 ? kind->connections : 8 + choose(sim, 33);
	s->noise = kind->noise ? choose(sim, 40) : 0;
	s->share = choose(sim, 3) == 0 ? SHARE_ALL : SHARE_FINDER;
	s->wait = (uint8_t)choose(sim, 3);
	s->detect_ms = 500;
	s->server_syn_ms = 250;
	s->hop_ns = between(sim, 5 * SIM_US, 100 * SIM_US);
	s->tick_offset_ns = between(sim, 0, 2000 * SIM_MS) * 16;
	s->rekey_ns = choose(sim, 4) == 0 ? 300 * SIM_MS : 120 * SIM_S;
	if (kind->reuse > 0 && seed % kind->reuse_every == kind->reuse_every - 1)
		s->reuse = kind->reuse;
	choose_times(sim, kind);
	if (strncmp(name, "table", 5) == 0)
		s->share = s->wait = SHARE_ALL;
	if (strncmp(name, "table", 5) != 0)
		s->exchanges = choose(sim, EXCHANGES_MAX);
	choose_profile(sim);
	choose_links(sim, kind->noise);
	for (unsigned i = 0; i < BUCKETS; i++)
		sim->network.routes[i] = scenario_route(sim);
	if (kind->faults != 0)
		for (unsigned i = choose(sim, 4) + 1; i > 0; i--)
			choose_fault(sim, kind);
	return true;
}

// --- connections ---

// When both ends may close: some connections stand for a while.
static uint64_t choose_close(struct sim *sim, uint64_t open_ns)
{
	const struct scenario *s = &sim->scenario;
	bool stands = choose(sim, 4) < (s->apart ? 3u : 1u);

	if (!stands || open_ns + 100 * SIM_MS >= s->heal_ns)
		return 0;
	return SIM_START_NS + between(sim, open_ns + 50 * SIM_MS, s->heal_ns);
}

static void choose_ends(struct sim *sim, struct connection *c, uint64_t at_ns)
{
	bool ip6 = choose(sim, 3) == 0;
	struct endpoint_config client = {.client = true,
		.local = connection_client(c->number, c->inside, ip6),
		.remote = connection_server(c->number, !c->inside, ip6),
		.local_port = (uint16_t)(20000 + c->number),
		.remote_port = c->service,
		.give_up_ns = 100 * SIM_S,
		.slack = 1u << WSCALE_ANNOUNCED,
		.close_ns = choose_close(sim, at_ns)};
	struct endpoint_config server;

	server = client;
	server.client = false;
	server.local = client.remote;
	server.remote = client.local;
	server.local_port = client.remote_port;
	server.remote_port = client.local_port;
	for (unsigned end = 0; end < 2; end++) {
		struct endpoint_config *config = end == CLIENT ? &client : &server;

		config->iss = choose(sim, UINT32_MAX);
		config->clock_ms = choose(sim, UINT32_MAX);
		config->mss = (uint16_t)(choose(sim, 2) ? 1440 : 536 + choose(sim, 900));
		config->window = 2000 + choose(sim, 60000);
		config->wscale = choose(sim, 4) == 0 ? SEGMENT_NO_SCALE : (uint8_t)choose(sim, 10);
		config->sack = choose(sim, 4) != 0;
		config->timestamps = choose(sim, 4) != 0;
		config->closes_last = choose(sim, 2);
		config->send_bytes = 1 + choose(sim, choose(sim, 4) == 0 ? 12000 : 3000);
		config->send_at = choose(sim, PATTERN_BYTES);
	}
	// What the SYN/ACK announced, the servers have (TCP.md 2.13).
	server.timestamps = true;
	// A client may send what the proxy announced until it hears of the server's own window.
	if (c->service == SERVICE_PROXY)
		server.slack += QUEUE_BYTES;
	server.refuses = choose(sim, 12) == 0;
	client.closes_last |= !server.closes_last && choose(sim, 2);
	server.closes_last &= !client.closes_last;
	client.receive_bytes = server.send_bytes;
	client.receive_at = server.send_at;
	server.receive_bytes = client.send_bytes;
	server.receive_at = client.send_at;
	if (choose(sim, 16) == 0)
		(choose(sim, 2) ? &client : &server)->abort_after = 1 + choose(sim, 500);
	endpoint_init(&c->ends[CLIENT], &client);
	endpoint_init(&c->ends[SERVER], &server);
}

void scenario_open_all(struct sim *sim)
{
	static const uint8_t services[] = {
		SERVICE_PROXY, SERVICE_PROXY, SERVICE_MSYN, SERVICE_TRACK};
	const struct scenario *s = &sim->scenario;

	for (unsigned i = 0; i < s->connections; i++) {
		struct connection *c = &sim->connections[i];
		uint64_t at = between(sim, s->open_ns, s->busy_ns);

		if (s->idle_ns > 0 && choose(sim, 2) == 0)
			at += s->idle_ns;
		if (choose(sim, 8) == 0)
			at = between(sim, s->heal_ns, s->heal_ns + 300 * SIM_MS);
		// Half of them stand when a long cut begins.
		if (s->apart && choose(sim, 2) == 0)
			at = between(sim, s->open_ns, s->open_ns + 600 * SIM_MS);
		c->number = i;
		c->bucket = (uint8_t)choose(sim, BUCKETS);
		c->inside = choose(sim, 3) == 0;
		c->service = services[choose(sim, sizeof(services))];
		if (choose(sim, 20) == 0)
			c->service = SERVICE_DENIED;
		c->allowed = c->service != SERVICE_DENIED;
		choose_ends(sim, c, at);
		reuse_choose(sim, c);
		scheduler_add(&sim->scheduler, SIM_START_NS + at, EVENT_OPEN, i);
	}
	for (unsigned i = 0; i < s->noise; i++)
		scheduler_add(&sim->scheduler, SIM_START_NS + between(sim, s->open_ns, s->busy_ns),
			EVENT_NOISE, 0);
	for (unsigned i = 0; i < s->crowd; i += CROWD_AT_ONCE)
		scheduler_add(&sim->scheduler, SIM_START_NS + s->open_ns + i * 40 * SIM_US,
			EVENT_NOISE, CROWD_AT_ONCE);
	exchange_choose_all(sim);
}

// --- strangers ---

static void forge(struct sim *sim, const struct segment *segment)
{
	network_from_end(sim, choose(sim, sim->scenario.nodes), PORT_OUTSIDE, segment);
}

// A SYN, or a guess at a cookie, of a source that is nobody's.
static void stranger(struct sim *sim)
{
	unsigned number = choose(sim, STRANGERS_MAX);
	bool ip6 = choose(sim, 3) == 0;
	struct segment segment = {.src = connection_stranger(number, ip6),
		.dst = connection_server(choose(sim, 200), true, ip6),
		.sport = (uint16_t)(1024 + choose(sim, 60000)),
		.dport = SERVICE_PROXY,
		.flags = choose(sim, 2) ? FLAG_SYN : FLAG_ACK,
		.seq = choose(sim, UINT32_MAX),
		.ack = choose(sim, UINT32_MAX),
		.wscale = SEGMENT_NO_SCALE,
		.window = 1000};

	sim->stranger_syns[number] += 2; // the network may repeat it
	forge(sim, &segment);
}

// Somebody pretends to be the end that is outside.
static void pretender(struct sim *sim)
{
	static const uint8_t flags[] = {
		FLAG_RST, FLAG_RST | FLAG_ACK, FLAG_ACK, FLAG_FIN | FLAG_ACK};
	struct connection *c = &sim->connections[choose(sim, sim->scenario.connections)];
	const struct endpoint_config *end = &c->ends[c->inside ? SERVER : CLIENT].config;
	struct segment segment = {.src = end->local,
		.dst = end->remote,
		.sport = end->local_port,
		.dport = end->remote_port,
		.flags = flags[choose(sim, sizeof(flags))],
		.seq = choose(sim, UINT32_MAX),
		.ack = choose(sim, UINT32_MAX),
		.wscale = SEGMENT_NO_SCALE,
		.window = 1000};

	if (!sim_is_alive(c))
		return;
	c->is_forged = true;
	forge(sim, &segment);
}

void scenario_noise(struct sim *sim)
{
	switch (choose(sim, 5)) {
	case 0:
		exchange_forge(sim);
		return;
	case 1:
	case 2:
		stranger(sim);
		return;
	default:
		pretender(sim);
	}
}
