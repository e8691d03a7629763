#include "exchange.h"

#include "base/bytes.h"
#include "sim.h"

#define PAYLOAD_BYTES 8
#define FORGED	      UINT32_MAX // instead of an exchange's number
// After its last use, and where others were told again in the meantime.
#define FORGOTTEN_NS(sim) (2 * (sim)->scenario.datagrams_s * SIM_S + 3 * SIM_S)

static uint32_t choose(struct sim *sim, uint32_t bound)
{
	return scheduler_choose(&sim->scheduler, bound);
}

static uint8_t all_of(const struct exchange *e)
{
	return (uint8_t)((1u << e->questions) - 1);
}

bool exchange_is_done(const struct exchange *e)
{
	return e->answered == all_of(e);
}

// --- the two ends ---

static void choose_one(struct sim *sim, struct exchange *e, unsigned index)
{
	bool ip6 = choose(sim, 3) == 0;

	*e = (struct exchange){.number = index,
		.bucket = (uint8_t)choose(sim, BUCKETS),
		.inside = choose(sim, 2),
		.allowed = choose(sim, 10) != 0,
		.questions = (uint8_t)(1 + choose(sim, EXCHANGE_QUESTIONS)),
		.in_row = (uint8_t)(1 + choose(sim, 3)),
		.answers = (uint8_t)(1 + choose(sim, 2)),
		.pause_ns = (20 + choose(sim, 400)) * SIM_MS,
		.client_port = (uint16_t)(30000 + index)};
	e->server_port = e->allowed ? SERVICE_DATAGRAM : SERVICE_DENIED;
	e->client = connection_client(EXCHANGE_FIRST + index, e->inside, ip6);
	e->server = connection_server(EXCHANGE_FIRST + index, !e->inside, ip6);
}

void exchange_choose_all(struct sim *sim)
{
	const struct scenario *s = &sim->scenario;
	uint64_t span_us = (s->heal_ns - s->open_ns) / SIM_US;

	for (unsigned i = 0; i < s->exchanges; i++) {
		choose_one(sim, &sim->exchanges[i], i);
		scheduler_add(&sim->scheduler,
			SIM_START_NS + s->open_ns + choose(sim, (uint32_t)span_us) * SIM_US,
			EVENT_ASK, i);
	}
}

static void send(
	struct sim *sim, const struct exchange *e, bool to_server, uint32_t number, uint32_t index)
{
	const struct route *route = &sim->network.routes[e->bucket];
	uint8_t payload[PAYLOAD_BYTES];
	struct segment segment = {.datagram = true,
		.src = to_server ? e->client : e->server,
		.dst = to_server ? e->server : e->client,
		.sport = to_server ? e->client_port : e->server_port,
		.dport = to_server ? e->server_port : e->client_port,
		.payload = payload,
		.payload_len = PAYLOAD_BYTES};

	be32_put(payload, number);
	be32_put(payload + 4, index);
	sim_trace(sim, "e%u %s sends %u", e->number, to_server ? "client" : "server", index);
	network_from_end(sim, to_server ? route->up : route->down,
		connection_port(to_server, e->inside), &segment);
}

static void note_path(struct sim *sim, struct exchange *e)
{
	const struct route *route = &sim->network.routes[e->bucket];

	e->path |= (uint8_t)(1u << route->up | 1u << route->down);
}

void exchange_ask(struct sim *sim, unsigned index)
{
	struct exchange *e = &sim->exchanges[index];
	unsigned sent = 0;

	if (exchange_is_done(e))
		return;
	note_path(sim, e);
	e->used_ns = sim->scheduler.now_ns;
	for (unsigned i = 0; i < e->questions && sent < e->in_row; i++) {
		if (e->answered >> i & 1)
			continue;
		e->asked |= (uint8_t)(1u << i);
		send(sim, e, true, e->number, i);
		sent++;
	}
	scheduler_add(&sim->scheduler, sim->scheduler.now_ns + e->pause_ns, EVENT_ASK, index);
}

static bool has_ends(const struct exchange *e, const struct addr *client, uint16_t client_port,
	const struct addr *server, uint16_t server_port)
{
	return addr_equal(&e->client, client) && e->client_port == client_port &&
	       addr_equal(&e->server, server) && e->server_port == server_port;
}

static struct exchange *find(struct sim *sim, const struct addr *client, uint16_t client_port,
	const struct addr *server, uint16_t server_port)
{
	struct exchange *e;
	unsigned number;

	if (connection_host(client, &number) != HOST_CLIENT || number < EXCHANGE_FIRST ||
		number - EXCHANGE_FIRST >= sim->scenario.exchanges)
		return NULL;
	e = &sim->exchanges[number - EXCHANGE_FIRST];
	return has_ends(e, client, client_port, server, server_port) ? e : NULL;
}

struct exchange *exchange_of(struct sim *sim, const struct segment *s, bool to_server)
{
	return to_server ? find(sim, &s->src, s->sport, &s->dst, s->dport)
			 : find(sim, &s->dst, s->dport, &s->src, s->sport);
}

struct exchange *exchange_of_key(struct sim *sim, const struct flow_key *key, bool inside)
{
	return inside ? find(sim, &key->inner, key->inner_port, &key->outer, key->outer_port)
		      : find(sim, &key->outer, key->outer_port, &key->inner, key->inner_port);
}

void exchange_deliver(struct sim *sim, const struct segment *segment, bool to_server)
{
	struct exchange *e = exchange_of(sim, segment, to_server);
	uint32_t number, index;

	if (e == NULL)
		return; // a stranger's
	number = be32_get(segment->payload);
	index = be32_get(segment->payload + 4);
	sim_trace(sim, "e%u %s gets %u", e->number, to_server ? "server" : "client", index);
	if (number == FORGED)
		return;
	if (segment->payload_len != PAYLOAD_BYTES || number != e->number ||
		!(e->asked >> index & 1)) {
		sim_fail(sim, "exchange %u got a datagram nobody sent", e->number);
		return;
	}
	if (to_server) {
		e->heard |= (uint8_t)(1u << index);
		for (unsigned i = 0; i < e->answers; i++)
			send(sim, e, false, number, index);
	} else {
		e->answered |= (uint8_t)(1u << index);
	}
}

static void forge_question(struct sim *sim)
{
	bool ip6 = choose(sim, 3) == 0;
	uint8_t payload[PAYLOAD_BYTES] = {0};
	struct segment segment = {.datagram = true,
		.src = connection_stranger(choose(sim, STRANGERS_MAX), ip6),
		.dst = connection_server(choose(sim, 200), true, ip6),
		.sport = (uint16_t)(1024 + choose(sim, 60000)),
		.dport = SERVICE_DATAGRAM,
		.payload = payload,
		.payload_len = PAYLOAD_BYTES};

	network_from_end(sim, choose(sim, sim->scenario.nodes), PORT_OUTSIDE, &segment);
}

void exchange_forge(struct sim *sim)
{
	struct exchange *e;

	if (sim->scenario.exchanges == 0 || choose(sim, 3) == 0) {
		forge_question(sim);
		return;
	}
	e = &sim->exchanges[choose(sim, sim->scenario.exchanges)];
	e->is_forged = true;
	e->forged_ns = sim->scheduler.now_ns;
	e->used_ns = sim->scheduler.now_ns;
	send(sim, e, false, FORGED, 0);
}

void exchange_crowd(struct sim *sim, unsigned count)
{
	struct segment segment = {.datagram = true,
		.dst = connection_server(1, false, false),
		.dport = SERVICE_DATAGRAM};

	for (unsigned i = 0; i < count; i++) {
		segment.src = connection_crowd(choose(sim, 65536));
		segment.sport = (uint16_t)(1 + choose(sim, 65535));
		network_from_end(sim, choose(sim, sim->scenario.nodes), PORT_INSIDE, &segment);
	}
}

// --- what must hold ---

static bool is_of_crowd(const struct addr *addr)
{
	unsigned number;

	return connection_host(addr, &number) == HOST_CROWD;
}

void exchange_left(struct sim *sim, unsigned node, const struct segment *segment, bool to_server)
{
	struct exchange *e = exchange_of(sim, segment, to_server);
	unsigned number;

	// The rules allow everybody to ask.
	if (to_server && segment->dport == SERVICE_DATAGRAM &&
		(connection_host(&segment->src, &number) == HOST_STRANGER ||
			is_of_crowd(&segment->src)))
		return;
	if (e == NULL || e->asked == 0)
		sim_fail(sim, "node %u sends a datagram for somebody who asked nothing", node);
	else if (!e->allowed)
		sim_fail(sim, "node %u sends a datagram of exchange %u, which is denied", node,
			e->number);
}

void exchange_told(struct sim *sim, unsigned node, const struct flow_key *key, bool inside)
{
	const struct exchange *e = exchange_of_key(sim, key, inside);

	if (inside && is_of_crowd(&key->inner))
		return;
	// The question of a stranger has no answer, so nobody needs to know.
	if (e == NULL || e->asked == 0 || !e->allowed)
		sim_fail(sim, "node %u tells, or is told, of datagrams nobody sent", node);
	else if (!e->inside && e->heard == 0 && !e->is_forged)
		sim_fail(sim, "node %u tells of exchange %u, which has no answer", node, e->number);
}

// Long enough ago that all copies must be gone: since it was used, or since nodes met again, and
// one of them heard what had waited for the other.
static bool is_over(const struct sim *sim, const struct exchange *e)
{
	uint64_t last_ns = e->used_ns > sim->view_ns ? e->used_ns : sim->view_ns;

	return sim->scheduler.now_ns - last_ns > FORGOTTEN_NS(sim);
}

void exchange_held(struct sim *sim, unsigned node, const struct flow_key *key, bool inside)
{
	const struct exchange *e = exchange_of_key(sim, key, inside);
	unsigned number;

	if (inside && is_of_crowd(&key->inner))
		return;
	if (e == NULL && !inside && connection_host(&key->outer, &number) == HOST_STRANGER &&
		key->inner_port == SERVICE_DATAGRAM)
		return;
	if (e == NULL || e->asked == 0 || !e->allowed)
		sim_fail(sim, "node %u holds datagrams of nobody", node);
	else if (!sim->clock_wrong[node] && is_over(sim, e))
		sim_fail(sim, "node %u still holds exchange %u", node, e->number);
}

static bool has_wrong_clock(const struct sim *sim, const struct exchange *e)
{
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if ((e->path >> i & 1) && sim->clock_wrong[i])
			return true;
	return false;
}

// Nodes that see each other late leave no time for what is still to be asked. An answer that was
// offered while nobody was there, or before there was a question, is offered again a second later.
static bool is_late(const struct sim *sim, const struct exchange *e)
{
	uint64_t turns = (e->questions + e->in_row - 1u) / e->in_row;

	uint64_t since_ns = sim->view_ns > e->forged_ns ? sim->view_ns : e->forged_ns;

	return sim->scheduler.now_ns - since_ns < SIM_S + (turns + 1) * e->pause_ns;
}

void exchange_check_all(struct sim *sim)
{
	for (unsigned i = 0; i < sim->scenario.exchanges; i++) {
		const struct exchange *e = &sim->exchanges[i];

		sim->totals.exchanges += exchange_is_done(e);
		if (!e->allowed && (e->heard != 0 || e->answered != 0))
			sim_fail(sim, "exchange %u got through although it is denied", i);
		if (e->allowed && !exchange_is_done(e) && !has_wrong_clock(sim, e) &&
			!is_late(sim, e))
			sim_fail(sim,
				"exchange %u does not end: asked %#x, heard %#x, answered %#x", i,
				e->asked, e->heard, e->answered);
	}
}
