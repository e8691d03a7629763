#include "reuse.h"

#include "invariants.h"
#include "outcome.h"
#include "sim.h"

#define TIMES_MAX   3
#define LATEST_NS   (500 * SIM_MS) // after everything works
#define ISN_TICK_NS 64		   // a client's ISN counts on (RFC 6528)

static uint32_t choose(struct connection *c, uint32_t bound)
{
	return scheduler_draw(&c->reuse.chance, bound);
}

void reuse_choose(struct sim *sim, struct connection *c)
{
	c->reuse.chance = sim->scenario.seed * CONNECTIONS_MAX + c->number;
	if (choose(c, 1000) < sim->scenario.reuse)
		c->reuse.left = (uint8_t)(1 + choose(c, TIMES_MAX));
}

// Its client may use the port again.
static bool is_over(const struct connection *c)
{
	uint8_t state = c->ends[CLIENT].state;

	return connection_is_done(c) || state == END_RESET || state == END_ABORTED;
}

void reuse_consider(struct sim *sim, struct connection *c)
{
	const struct scenario *s = &sim->scenario;
	uint64_t wait_us;

	if (c->reuse.left == 0 || c->reuse.is_near || !is_over(c))
		return;
	c->reuse.left--;
	wait_us = 1000 + choose(c, choose(c, 2) ? 20000 : 999000);
	if (sim->scheduler.now_ns + wait_us * SIM_US > SIM_START_NS + s->heal_ns + LATEST_NS)
		return;
	c->reuse.is_near = true;
	scheduler_add(
		&sim->scheduler, sim->scheduler.now_ns + wait_us * SIM_US, EVENT_OPEN, c->number);
}

// What both ends are to do. The server's options stay.
static void choose_streams(
	struct connection *c, struct endpoint_config *client, struct endpoint_config *server)
{
	uint64_t now_ns = c->sim->scheduler.now_ns;

	client->send_bytes = server->receive_bytes = 1 + choose(c, 3000);
	server->send_bytes = client->receive_bytes = 1 + choose(c, 3000);
	client->send_at = server->receive_at = choose(c, PATTERN_BYTES);
	server->send_at = client->receive_at = choose(c, PATTERN_BYTES);
	client->closes_last = choose(c, 2);
	server->closes_last = !client->closes_last && choose(c, 2);
	client->close_ns = server->close_ns =
		choose(c, 4) == 0 ? now_ns + (50 + choose(c, 250)) * SIM_MS : 0;
	client->abort_after = choose(c, 32) == 0 ? 1 + choose(c, 500) : 0;
	server->abort_after = choose(c, 32) == 0 ? 1 + choose(c, 500) : 0;
	server->refuses = choose(c, 24) == 0;
}

// The numbers count on. Or it is another host behind the same address, with clock and options of
// its own: then they may be lower.
static void choose_client(struct connection *c, struct endpoint_config *config)
{
	const struct endpoint *former = &c->ends[CLIENT];
	uint64_t passed_ns = c->sim->scheduler.now_ns - former->opened_ns;

	config->iss = former->high + 1 + (uint32_t)(passed_ns / ISN_TICK_NS);
	if (choose(c, 3) != 0)
		return;
	config->iss = choose(c, UINT32_MAX);
	if (choose(c, 2) != 0)
		config->iss = former->iss - (1u << 20) - choose(c, 1u << 24);
	config->clock_ms = choose(c, UINT32_MAX);
	config->wscale = choose(c, 4) == 0 ? SEGMENT_NO_SCALE : (uint8_t)choose(c, 10);
	config->sack = choose(c, 4) != 0;
	config->timestamps = choose(c, 4) != 0;
}

static void forget(struct connection *c)
{
	c->reuse.is_near = false;
	c->reuse.proved |= c->ends[CLIENT].synack_received;
	c->reuse.is_anew = true;
	c->harm = c->holders = c->sent_by = 0;
	c->share_ns = 0;
}

bool reuse_begin(struct sim *sim, struct connection *c)
{
	struct endpoint_config client = c->ends[CLIENT].config, server = c->ends[SERVER].config;

	// What TCP takes for granted of old duplicates (RFC 9293 3.4.1): nodes may have some still.
	if (network_carries(sim, c)) {
		scheduler_add(
			&sim->scheduler, sim->scheduler.now_ns + SIM_MS, EVENT_OPEN, c->number);
		return false;
	}
	if (c->ends[SERVER].is_former)
		server = c->ends[SERVER].anew;
	outcome_connection(sim, c);
	sim->totals.reused++;
	choose_client(c, &client);
	choose_streams(c, &client, &server);
	client.is_reused = server.is_reused = true;
	server.peer_iss = client.iss;
	server.iss += 1u << 28;
	if (choose(c, 2) != 0) {
		c->bucket = (uint8_t)choose(c, BUCKETS);
		c->is_moved = true;
	}
	forget(c);
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (invariants_is_open(sim, i, c))
			c->harm |= HARM_UNTOLD;
	endpoint_init(&c->ends[CLIENT], &client);
	endpoint_expect(&c->ends[SERVER], &server);
	sim_trace(sim, "c%u begins anew %s: iss %08x, up n%u, down n%u", c->number,
		c->inside ? "inside" : "outside", client.iss, sim_route(sim, c)->up,
		sim_route(sim, c)->down);
	return true;
}
