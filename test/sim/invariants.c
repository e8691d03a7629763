#include "invariants_internal.h"

#include "cluster/delivery.h"
#include "sim.h"

#include <string.h>

// Less than the policy says: what finds no free cell at first is told a little later, and waits as
// long in all.
#define SHARE_WAIT_NS (195 * SIM_MS)
#define MSYN_ISN_BITS 15 // of a client's ISN that a node replaces

uint32_t node_bit(unsigned node)
{
	return node < APPLIANCES_MAX ? 1u << node : 0;
}

static struct connection *by_number(struct sim *sim, unsigned number)
{
	return number < sim->scenario.connections ? &sim->connections[number] : NULL;
}

// The connection a client and a server could have, NULL: there is none.
static struct connection *connection_of(struct sim *sim, const struct addr *client,
	uint16_t client_port, const struct addr *server, uint16_t server_port)
{
	struct connection *connection;
	const struct endpoint_config *config;
	unsigned number;

	if (connection_host(client, &number) != HOST_CLIENT)
		return NULL;
	connection = by_number(sim, number);
	if (connection == NULL)
		return NULL;
	config = &connection->ends[CLIENT].config;
	return addr_equal(&config->local, client) && config->local_port == client_port &&
			       addr_equal(&config->remote, server) &&
			       config->remote_port == server_port
		       ? connection
		       : NULL;
}

// --- packets ---

static void check_confirmed(struct sim *sim, struct connection *c, unsigned node)
{
	const struct appliance *a = &sim->nodes[node];
	uint64_t waited = appliance_clock_ns(a, sim->scheduler.now_ns) - c->share_ns;

	if (c->share_ns == 0 || c->share_owner != node || sim->clock_wrong[node])
		return;
	if (waited < SHARE_WAIT_NS && (c->share_waits & sim->views[node]) != 0)
		sim_fail(sim, "node %u sends queued segments of connection %u before %#x confirmed",
			node, c->number, c->share_waits);
	c->share_ns = 0;
}

// Its address, in this life; in any, for what is not this life's SYN.
static bool has_proved(const struct connection *c, const struct segment *segment)
{
	const struct endpoint *client = &c->ends[CLIENT];
	bool asks = (segment->flags & FLAG_SYN) &&
		    (segment->seq ^ client->config.iss) >> MSYN_ISN_BITS == 0;

	return client->synack_received || (c->reuse.proved && !asks);
}

static void left_to_server(struct sim *sim, unsigned node, const struct segment *segment)
{
	struct connection *c =
		connection_of(sim, &segment->src, segment->sport, &segment->dst, segment->dport);
	bool opens = (segment->flags & (FLAG_SYN | FLAG_RST)) != 0;
	// The server of a tracked client inside may answer anywhere (C5).
	bool waits = !opens || (c != NULL && c->inside && c->service == SERVICE_TRACK);

	if (c == NULL || !c->opened) {
		sim_fail(sim, "node %u sends a packet to a server for nobody", node);
	} else if (!c->allowed) {
		sim_fail(sim, "node %u sends a packet of connection %u, which is denied", node,
			c->number);
	} else if (c->service == SERVICE_PROXY && !has_proved(c, segment)) {
		sim_fail(sim, "node %u asks the server of connection %u, which proved nothing",
			node, c->number);
	} else if (waits) {
		check_confirmed(sim, c, node);
		c->sent_by |= (uint8_t)node_bit(node);
	}
}

static void left_to_client(struct sim *sim, unsigned node, const struct segment *segment)
{
	struct connection *c =
		connection_of(sim, &segment->dst, segment->dport, &segment->src, segment->sport);
	unsigned number;

	if (connection_host(&segment->dst, &number) == HOST_STRANGER && number < STRANGERS_MAX) {
		if (++sim->stranger_answers[number] > sim->stranger_syns[number])
			sim_fail(sim, "node %u sends a stranger more packets than came", node);
	} else if (c == NULL || !c->opened) {
		sim_fail(sim, "node %u sends a packet to somebody who asked nothing", node);
	} else if (!c->allowed) {
		sim_fail(sim, "node %u answers connection %u, which is denied", node, c->number);
	}
}

// Behind which port of a node a host is.
static uint8_t port_of(const struct addr *host)
{
	return connection_is_inside(host) ? PORT_INSIDE : PORT_OUTSIDE;
}

bool invariants_left(
	struct sim *sim, unsigned node, uint8_t port, const uint8_t *data, uint16_t len)
{
	struct segment segment;
	bool to_server;
	unsigned number;

	if (!segment_read(&segment, data, len)) {
		sim_fail(sim, "node %u sends a packet with a wrong length or checksum", node);
		return false;
	}
	to_server = connection_host(&segment.dst, &number) == HOST_SERVER;
	if (port != port_of(&segment.dst))
		sim_fail(sim, "node %u sends a packet to the wrong side", node);
	else if (segment.datagram)
		exchange_left(sim, node, &segment, to_server);
	else if (to_server)
		left_to_server(sim, node, &segment);
	else
		left_to_client(sim, node, &segment);
	return !sim->failed;
}

void invariants_reset(struct sim *sim, const struct connection *c, unsigned end)
{
	const struct endpoint *peer = &c->ends[!end];

	if (peer->reset_sent || peer->state == END_TIMED_OUT || c->harm != 0)
		return;
	// What is left of a former connection, or of its SYN.
	if (c->ends[end].config.is_reused ? !c->ends[end].was_open : c->ends[end].is_former)
		return;
	sim_fail(sim, "a reset reaches the %s of connection %u, whose peer did not reset",
		end == CLIENT ? "client" : "server", c->number);
}

// --- messages ---

bool record_same_translation(const struct translation *a, const struct translation *b)
{
	if (a->d != b->d || a->e != b->e || a->bits != b->bits)
		return false;
	if ((a->bits & TRANSLATE_TIMESTAMPS) && a->ts_offset != b->ts_offset)
		return false;
	return !(a->bits & TRANSLATE_WINDOW) ||
	       (memcmp(&a->to_client, &b->to_client, sizeof(a->to_client)) == 0 &&
		       memcmp(&a->to_server, &b->to_server, sizeof(a->to_server)) == 0);
}

bool record_is_of(const struct told *told, const struct flow_record *record)
{
	return told->owner == record->owner && told->incarnation == record->incarnation &&
	       told->generation == record->generation;
}

// What the owner told in its newest life.
static struct told *find_told(struct connection *c, const struct flow_record *record)
{
	unsigned kept = c->told_count < RECORDS_KEPT ? c->told_count : RECORDS_KEPT;
	struct told *found = NULL;

	for (unsigned i = 0; i < kept; i++)
		if (record_is_of(&c->told[i], record) &&
			(found == NULL || c->told[i].life > found->life))
			found = &c->told[i];
	return found;
}

bool record_is_former(struct connection *c, const struct flow_record *record)
{
	const struct told *told = find_told(c, record);

	return (told != NULL ? told->isn_client : record->isn_client) != c->ends[CLIENT].config.iss;
}

static unsigned life_of(const struct sim *sim, const struct flow_record *record)
{
	return record->owner < sim->scenario.nodes ? sim->nodes[record->owner].lives : 0;
}

bool record_is_inside(const struct flow_record *record)
{
	return record->bits & FLOW_CLIENT_INSIDE;
}

struct connection *record_connection(struct sim *sim, const struct flow_record *record)
{
	const struct flow_key *key = &record->key;

	return record_is_inside(record) ? connection_of(sim, &key->inner, key->inner_port,
						  &key->outer, key->outer_port)
					: connection_of(sim, &key->outer, key->outer_port,
						  &key->inner, key->inner_port);
}

bool record_is_datagrams(const struct flow_record *record)
{
	return record->key.protocol != PROTOCOL_TCP;
}

static void check_told(struct sim *sim, unsigned node, const struct connection *c,
	const struct told *told, const struct flow_record *record)
{
	// An owner whose clock stands at its end ages flows, and tells those that follow by no
	// tick.
	if (record->owner < sim->scenario.nodes && sim->clock_wrong[record->owner] &&
		appliance_clock_ns(&sim->nodes[record->owner], sim->scheduler.now_ns) == UINT64_MAX)
		return;
	if (!record_same_translation(&told->translation, &record->translation))
		sim_fail(sim,
			"connection %u has other deltas at node %u: d %08x e %08x, told d %08x e "
			"%08x",
			c->number, node, record->translation.d, record->translation.e,
			told->translation.d, told->translation.e);
}

// Whose confirmation the owner waits for (share_awaited() says the same).
static uint32_t awaited(
	const struct sim *sim, const struct connection *c, unsigned node, uint16_t target)
{
	uint32_t others = (uint32_t)sim->views[node] & ~node_bit(node);

	if (sim->scenario.wait == SHARE_NONE)
		return 0;
	if (c->service == SERVICE_TRACK)
		return others;
	if (sim->scenario.wait == SHARE_FINDER && target == NODE_ALL)
		return c->finder_step == sim->scheduler.steps ? node_bit(c->finder) & others : 0;
	return (target == NODE_ALL ? UINT32_MAX : node_bit(target)) & others;
}

// P4 and C5. Where there are very many, some are not delayed, and others are told much later than
// their wait begins.
static bool is_waited_for(const struct sim *sim, const struct flow_record *record)
{
	if (sim->scenario.connections + sim->scenario.crowd >= OPENINGS_MAX / 2)
		return record->mode == MODE_PROXY && sim->scenario.crowd == 0;
	return record->mode == MODE_PROXY ||
	       (record->mode == MODE_TRACK && record_is_inside(record) &&
		       record->state == TCP_SYN_SENT);
}

static void note_share(
	struct sim *sim, struct connection *c, unsigned node, const struct message *message)
{
	const struct appliance *a = &sim->nodes[node];
	const struct flow_record *record = &message->body.record;
	uint64_t hash = flow_key_hash(siphash_key(a->engine_config.table_key), &record->key);

	// Whom it saw when it decided is not known where that changed in the same turn.
	if (!is_waited_for(sim, record) || record_is_former(c, record) ||
		(c->sent_by & node_bit(node)) || sim->view_step[node] == sim->scheduler.steps)
		return;
	c->share_digest = flow_digest(hash, record->incarnation);
	c->share_generation = record->generation;
	c->share_owner = (uint16_t)node;
	c->share_ns = appliance_clock_ns(a, sim->scheduler.now_ns);
	c->share_waits = (uint8_t)awaited(sim, c, node, message->node);
}

static void note_holder(struct connection *c, unsigned node, const struct flow_record *record)
{
	if (!record_is_former(c, record))
		c->holders |= (uint8_t)node_bit(node);
}

void invariants_says(struct sim *sim, unsigned node, const struct message *message)
{
	const struct flow_record *record = &message->body.record;
	struct connection *c;
	struct told *told;

	if (message->type != MESSAGE_OPENED)
		return;
	if (record_is_datagrams(record)) {
		exchange_told(sim, node, &record->key, record_is_inside(record));
		return;
	}
	c = record_connection(sim, record);
	if (c == NULL || !c->opened || !c->allowed) {
		sim_fail(sim, "node %u tells of a connection nobody opened", node);
		return;
	}
	told = find_told(c, record);
	if (told != NULL && told->life == life_of(sim, record)) {
		check_told(sim, node, c, told, record);
		note_holder(c, node, record);
		return;
	}
	c->told[c->told_count++ % RECORDS_KEPT] = (struct told){.owner = record->owner,
		.life = life_of(sim, record),
		.generation = record->generation,
		.incarnation = record->incarnation,
		.isn_client = record->isn_client,
		.translation = record->translation};
	note_holder(c, node, record);
	note_share(sim, c, node, message);
}

// The end of a translated connection is kept only where it is already.
static bool is_kept(const struct flow_record *record)
{
	return record->mode == MODE_TRACK || record->state < TCP_TIME_WAIT;
}

// The server has answered, or has sent more than its answer to the owner of a proxied connection.
static bool is_late(const struct endpoint *server, const struct flow_record *record)
{
	if (record->mode == MODE_PROXY)
		return server->state != END_LISTEN && server->high - server->iss > 1;
	return record->state == TCP_SYN_SENT && server->state != END_LISTEN;
}

static void takes_install(struct sim *sim, unsigned node, const struct flow_record *record)
{
	struct connection *c = record_connection(sim, record);
	struct told *told = c == NULL ? NULL : find_told(c, record);

	if (record_is_datagrams(record)) {
		exchange_told(sim, node, &record->key, record_is_inside(record));
		return;
	}
	if (told != NULL) {
		if (told->life == life_of(sim, record))
			check_told(sim, node, c, told, record);
		if (is_late(&c->ends[SERVER], record))
			c->harm |= HARM_LATE;
		if (is_kept(record))
			note_holder(c, node, record);
		// The former one, told late, passes what is of the next where it comes before the
		// segment that proves the cookie.
		if (record_is_former(c, record) && record->state < TCP_TIME_WAIT)
			c->harm |= HARM_UNTOLD;
	} else if (c == NULL || c->told_count < RECORDS_KEPT) {
		sim_fail(sim, "node %u is told of a connection by nobody", node);
	}
}

static void takes_confirmed(struct sim *sim, unsigned node, const struct message *message)
{
	for (unsigned i = 0; i < sim->scenario.connections; i++) {
		struct connection *c = &sim->connections[i];

		if (c->share_ns != 0 && c->share_owner == node &&
			c->share_digest == message->body.flow.digest &&
			c->share_generation == message->body.flow.generation)
			c->share_waits &= (uint8_t)~node_bit(message->node);
	}
}

static void takes_frame(struct sim *sim, const struct message *message)
{
	struct segment segment;
	struct connection *c;

	if (!segment_read(&segment, message->frame, message->frame_len) ||
		(segment.flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
		return;
	c = connection_of(sim, &segment.dst, segment.dport, &segment.src, segment.sport);
	if (c == NULL)
		return;
	c->finder = (uint8_t)message->node;
	c->finder_step = sim->scheduler.steps;
}

static void takes_view(struct sim *sim, unsigned node, const struct message_view *view)
{
	sim->view_step[node] = sim->scheduler.steps;
	sim->view_ns = sim->scheduler.now_ns;
	sim->views[node] = view->active;
	sim->decodes[node] = view->decodes;
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (i != node && !(view->active >> i & 1))
			sim_harm(sim, node_bit(node) | node_bit(i), HARM_APART);
	if (!view->decodes)
		sim_harm(sim, node_bit(node), HARM_JOINING);
	// Who is gone is not waited for, even if it comes back.
	for (unsigned i = 0; i < sim->scenario.connections; i++)
		if (sim->connections[i].share_owner == node)
			sim->connections[i].share_waits &= (uint8_t)view->active;
}

void invariants_takes(struct sim *sim, unsigned node, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_INSTALL:
		takes_install(sim, node, &message->body.record);
		return;
	case MESSAGE_CONFIRMED:
		takes_confirmed(sim, node, message);
		return;
	case MESSAGE_FRAME:
		takes_frame(sim, message);
		return;
	case MESSAGE_VIEW:
		takes_view(sim, node, &message->body.view);
		return;
	default:
		return;
	}
}

// --- nodes ---

static int64_t unexplained(const struct appliance *a)
{
	const struct engine_stats *stats = engine_stats(a->engine);
	uint64_t dropped = 0;

	for (unsigned i = 1; i < REASON_COUNT; i++)
		dropped += counter_get(&stats->dropped[i]);
	return (int64_t)(counter_get(&stats->received) + counter_get(&stats->generated) +
			 counter_get(&stats->from_peers)) -
	       (int64_t)(a->transmitted + counter_get(&stats->consumed) +
			 counter_get(&stats->queued) + counter_get(&stats->to_peers) + dropped);
}

void invariants_node(struct sim *sim, unsigned node)
{
	const struct appliance *a = &sim->nodes[node];

	if (!appliance_is_up(a))
		return;
	if (unexplained(a) != 0)
		sim_fail(sim, "node %u: %lld packets are not explained", node,
			(long long)unexplained(a));
	if (engine_flow_count(a->engine) > a->config.flows ||
		engine_queued_bytes(a->engine) > QUEUES_BYTES_MAX)
		sim_fail(sim, "node %u holds more than its memory", node);
	for (unsigned i = 0; i + 1 < sim->scenario.nodes; i++)
		if (counter_get(&cluster_peer_stats(a->cluster, i)->queued) > DELIVERY_RECORDS)
			sim_fail(sim, "node %u: a peer's window is over its bound", node);
}

void invariants_whole(struct sim *sim)
{
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		invariants_node(sim, i);
	invariants_rows(sim, false);
}
