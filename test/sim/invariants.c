#include "invariants.h"

#include "cluster/delivery.h"
#include "sim.h"

#include <string.h>

#define SETTLE_NS (1500 * SIM_MS) // ageing has said everything again by then
// Less than the policy says: where no cell is free the wait begins before it is said.
#define SHARE_WAIT_NS (150 * SIM_MS)
#define SCAN_ENTRIES  FLOWS_MAX

static uint32_t bit(unsigned node)
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

static bool left_to_server(struct sim *sim, unsigned node, const struct segment *segment)
{
	struct connection *c =
		connection_of(sim, &segment->src, segment->sport, &segment->dst, segment->dport);
	bool opens = (segment->flags & (FLAG_SYN | FLAG_RST)) != 0;

	if (c == NULL || !c->opened) {
		sim_fail(sim, "node %u sends a packet to a server for nobody", node);
	} else if (!c->allowed) {
		sim_fail(sim, "node %u sends a packet of connection %u, which is denied", node,
			c->number);
	} else if (c->service == SERVICE_PROXY && !c->ends[CLIENT].synack_received) {
		sim_fail(sim, "node %u asks the server of connection %u, which proved nothing",
			node, c->number);
	} else if (!opens) {
		check_confirmed(sim, c, node);
		c->sent_by |= (uint8_t)bit(node);
	}
	return !sim->failed;
}

static bool left_to_client(struct sim *sim, unsigned node, const struct segment *segment)
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
	return !sim->failed;
}

bool invariants_left(
	struct sim *sim, unsigned node, uint8_t port, const uint8_t *data, uint16_t len)
{
	struct segment segment;

	if (!segment_read(&segment, data, len)) {
		sim_fail(sim, "node %u sends a packet with a wrong length or checksum", node);
		return false;
	}
	return port == PORT_INSIDE ? left_to_server(sim, node, &segment)
				   : left_to_client(sim, node, &segment);
}

void invariants_reset(struct sim *sim, const struct connection *c, unsigned end)
{
	const struct endpoint *peer = &c->ends[!end];

	if (peer->reset_sent || peer->state == END_TIMED_OUT || c->harm != 0)
		return;
	sim_fail(sim, "a reset reaches the %s of connection %u, whose peer did not reset",
		end == CLIENT ? "client" : "server", c->number);
}

// --- messages ---

static bool same_translation(const struct translation *a, const struct translation *b)
{
	if (a->d != b->d || a->e != b->e || a->bits != b->bits)
		return false;
	if ((a->bits & TRANSLATE_TIMESTAMPS) && a->ts_offset != b->ts_offset)
		return false;
	return !(a->bits & TRANSLATE_WINDOW) ||
	       (memcmp(&a->to_client, &b->to_client, sizeof(a->to_client)) == 0 &&
		       memcmp(&a->to_server, &b->to_server, sizeof(a->to_server)) == 0);
}

static bool is_of(const struct told *told, const struct flow_record *record)
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
		if (is_of(&c->told[i], record) && (found == NULL || c->told[i].life > found->life))
			found = &c->told[i];
	return found;
}

static unsigned life_of(const struct sim *sim, const struct flow_record *record)
{
	return record->owner < sim->scenario.nodes ? sim->nodes[record->owner].lives : 0;
}

static struct connection *of_record(struct sim *sim, const struct flow_record *record)
{
	return connection_of(sim, &record->key.outer, record->key.outer_port, &record->key.inner,
		record->key.inner_port);
}

static void check_told(struct sim *sim, unsigned node, const struct connection *c,
	const struct told *told, const struct flow_record *record)
{
	// An owner whose clock stands at its end ages flows, and tells those that follow by no
	// tick.
	if (record->owner < sim->scenario.nodes && sim->clock_wrong[record->owner] &&
		appliance_clock_ns(&sim->nodes[record->owner], sim->scheduler.now_ns) == UINT64_MAX)
		return;
	if (!same_translation(&told->translation, &record->translation))
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
	uint32_t others = (uint32_t)sim->views[node] & ~bit(node);

	if (sim->scenario.wait == SHARE_NONE)
		return 0;
	if (sim->scenario.wait == SHARE_FINDER && target == NODE_ALL)
		return c->finder_step == sim->scheduler.steps ? bit(c->finder) & others : 0;
	return (target == NODE_ALL ? UINT32_MAX : bit(target)) & others;
}

static void note_share(
	struct sim *sim, struct connection *c, unsigned node, const struct message *message)
{
	const struct appliance *a = &sim->nodes[node];
	const struct flow_record *record = &message->body.record;
	uint64_t hash = flow_key_hash(siphash_key(a->engine_config.table_key), &record->key);

	// Whom it saw when it decided is not known where that changed in the same turn.
	if (record->mode != MODE_PROXY || (c->sent_by & bit(node)) ||
		sim->view_step[node] == sim->scheduler.steps)
		return;
	c->share_digest = flow_digest(hash, record->incarnation);
	c->share_generation = record->generation;
	c->share_owner = (uint16_t)node;
	c->share_ns = appliance_clock_ns(a, sim->scheduler.now_ns);
	c->share_waits = (uint8_t)awaited(sim, c, node, message->node);
}

void invariants_says(struct sim *sim, unsigned node, const struct message *message)
{
	const struct flow_record *record = &message->body.record;
	struct connection *c;
	struct told *told;

	if (message->type != MESSAGE_OPENED)
		return;
	c = of_record(sim, record);
	if (c == NULL || !c->opened || !c->allowed) {
		sim_fail(sim, "node %u tells of a connection nobody opened", node);
		return;
	}
	c->holders |= (uint8_t)bit(node);
	told = find_told(c, record);
	if (told != NULL && told->life == life_of(sim, record)) {
		check_told(sim, node, c, told, record);
		return;
	}
	c->told[c->told_count++ % RECORDS_KEPT] = (struct told){.owner = record->owner,
		.life = life_of(sim, record),
		.generation = record->generation,
		.incarnation = record->incarnation,
		.translation = record->translation};
	note_share(sim, c, node, message);
}

static void takes_install(struct sim *sim, unsigned node, const struct flow_record *record)
{
	struct connection *c = of_record(sim, record);
	struct told *told = c == NULL ? NULL : find_told(c, record);

	if (told != NULL) {
		if (told->life == life_of(sim, record))
			check_told(sim, node, c, told, record);
		c->holders |= (uint8_t)bit(node);
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
			c->share_waits &= (uint8_t)~bit(message->node);
	}
}

static void takes_frame(struct sim *sim, const struct message *message)
{
	struct segment segment;
	struct connection *c;

	if (!segment_read(&segment, message->frame, message->frame_len))
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
	sim->views[node] = view->active;
	sim->decodes[node] = view->decodes;
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (i != node && !(view->active >> i & 1))
			sim_harm(sim, bit(node) | bit(i), HARM_APART);
	if (!view->decodes)
		sim_harm(sim, bit(node), HARM_JOINING);
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
	if (engine_flow_count(a->engine) > FLOWS_MAX ||
		engine_queued_bytes(a->engine) > QUEUES_BYTES_MAX)
		sim_fail(sim, "node %u holds more than its memory", node);
	for (unsigned i = 0; i + 1 < sim->scenario.nodes; i++)
		if (counter_get(&cluster_peer_stats(a->cluster, i)->queued) > DELIVERY_RECORDS)
			sim_fail(sim, "node %u: a peer's window is over its bound", node);
}

static void check_row(struct sim *sim, unsigned node, const struct flow_record *record, bool at_end)
{
	struct connection *c = of_record(sim, record);
	struct translation *known;
	unsigned number;

	if (c == NULL) {
		if (connection_host(&record->key.outer, &number) != HOST_STRANGER ||
			record->key.inner_port != SERVICE_MSYN)
			sim_fail(sim, "node %u holds a flow of nobody", node);
		return;
	}
	if (!c->opened || !c->allowed) {
		sim_fail(sim, "node %u holds a flow of connection %u, which is denied", node,
			c->number);
		return;
	}
	c->held_by |= (uint8_t)bit(node);
	if (!(record->bits & FLOW_CONFIRMED))
		return; // the server has not said yet what they are
	for (unsigned i = 0; i < c->row_count; i++) {
		if (!is_of(&c->rows[i], record))
			continue;
		known = &c->rows[i].translation;
		// An owner that crashed may have begun again, and be about to say so.
		if (!same_translation(known, &record->translation) &&
			((at_end && record->state < TCP_TIME_WAIT) || !(c->harm & HARM_CRASH)))
			sim_fail(sim, "connection %u has other deltas at node %u", c->number, node);
		return;
	}
	if (c->row_count < APPLIANCES_MAX)
		c->rows[c->row_count++] = (struct told){.owner = record->owner,
			.generation = record->generation,
			.incarnation = record->incarnation,
			.translation = record->translation};
}

// Of a connection that ended a while ago, and that no trouble touched.
static bool is_settled(const struct sim *sim, const struct connection *c)
{
	const struct endpoint *client = &c->ends[CLIENT], *server = &c->ends[SERVER];

	return c->harm == 0 && endpoint_is_done(client) && endpoint_is_done(server) &&
	       sim->scheduler.now_ns - client->done_ns >= SETTLE_NS &&
	       sim->scheduler.now_ns - server->done_ns >= SETTLE_NS;
}

// Everybody who held it knows that a connection has ended.
static void check_ended(struct sim *sim, unsigned node, const struct flow_row *row)
{
	const struct connection *c = of_record(sim, &row->record);

	// A node that sees a direction for the first time believes the first segment of it. Where
	// that was forged, and then the direction moves there, it passes what it cannot judge.
	if (c != NULL && c->is_moved && c->is_forged)
		return;
	// What a node that crashed knew alone is lost.
	if (c == NULL || !is_settled(sim, c) || (c->path & sim->crashed) ||
		(sim->crashed != 0 && sim->scenario.share == SHARE_ALL))
		return;
	if (row->record.state != TCP_TIME_WAIT && row->record.state != TCP_CLOSED)
		sim_fail(sim, "node %u does not know that connection %u has ended: state %u", node,
			c->number, row->record.state);
}

static void check_rows(struct sim *sim, unsigned node, bool at_end)
{
	static struct message question;
	uint32_t cursor = 0;

	while (cursor != FLOW_NONE && !sim->failed) {
		const struct message *reply;

		question.type = MESSAGE_DUMP;
		question.body.flows.dump =
			(struct message_dump){.cursor = cursor, .scan_max = SCAN_ENTRIES};
		reply = appliance_ask(&sim->nodes[node], sim->scheduler.now_ns, &question);
		if (reply == NULL)
			return; // it has no cell: another time
		for (unsigned i = 0; i < reply->flow_count && !sim->failed; i++) {
			check_row(sim, node, &reply->body.flows.rows[i].record, at_end);
			if (at_end)
				check_ended(sim, node, &reply->body.flows.rows[i]);
		}
		cursor = reply->body.flows.dump.cursor;
	}
}

// With share = "all" every node holds every session (P6).
static void check_held(struct sim *sim, const struct connection *c)
{
	uint32_t all = (1u << sim->scenario.nodes) - 1;

	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (sim->clock_wrong[i])
			return;
	if (sim->scenario.share == SHARE_ALL && sim->crashed == 0 && is_settled(sim, c) &&
		c->held_by != all)
		sim_fail(sim, "connection %u is held by %#x, not by all", c->number, c->held_by);
}

void invariants_rows(struct sim *sim, bool at_end)
{
	for (unsigned i = 0; i < sim->scenario.connections; i++)
		sim->connections[i].row_count = sim->connections[i].held_by = 0;
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (appliance_runs(&sim->nodes[i]))
			check_rows(sim, i, at_end && !sim->clock_wrong[i]);
	for (unsigned i = 0; at_end && i < sim->scenario.connections; i++)
		check_held(sim, &sim->connections[i]);
}

void invariants_whole(struct sim *sim)
{
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		invariants_node(sim, i);
	invariants_rows(sim, false);
}
