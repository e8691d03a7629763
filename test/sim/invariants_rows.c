// Who holds what.
#include "invariants_internal.h"

#include "sim.h"

#define SETTLE_NS    (1500 * SIM_MS) // ageing has said everything again by then
#define SCAN_ENTRIES FLOWS_MAX

static void check_row(struct sim *sim, unsigned node, const struct flow_record *record, bool at_end)
{
	struct connection *c = record_connection(sim, record);
	struct translation *known;
	unsigned number;

	if (record_is_datagrams(record)) {
		exchange_held(sim, node, &record->key, record_is_inside(record));
		return;
	}
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
	c->held_by |= (uint8_t)node_bit(node); // a former one's that ended counts as well
	c->ended_at |= record->state >= TCP_TIME_WAIT ? (uint8_t)node_bit(node) : 0;
	if (!(record->bits & FLOW_CONFIRMED))
		return; // the server has not said yet what they are
	for (unsigned i = 0; i < c->row_count; i++) {
		if (!record_is_of(&c->rows[i], record))
			continue;
		known = &c->rows[i].translation;
		// An owner that crashed may have begun again, and be about to say so.
		if (!record_same_translation(known, &record->translation) &&
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

// Of a connection that ended a while ago, and that no trouble but `harm` touched.
static bool is_settled(const struct sim *sim, const struct connection *c, uint8_t harm)
{
	const struct endpoint *client = &c->ends[CLIENT], *server = &c->ends[SERVER];

	return (c->harm & ~harm) == 0 && connection_is_done(c) &&
	       sim->scheduler.now_ns - client->done_ns >= SETTLE_NS &&
	       sim->scheduler.now_ns - server->done_ns >= SETTLE_NS;
}

static bool has_wrong_clock(const struct sim *sim, uint32_t nodes)
{
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if ((nodes >> i & 1) && sim->clock_wrong[i])
			return true;
	return false;
}

// Everybody who held it knows that a connection has ended.
static void check_ended(struct sim *sim, unsigned node, const struct flow_row *row)
{
	struct connection *c = record_connection(sim, &row->record);

	// A node that sees a direction for the first time believes the first segment of it. Where
	// that was forged, and then the direction moves there, it passes what it cannot judge. What
	// answers a client inside comes from where forgers are, to a node that has its state from
	// another one: there the forged segment may be the first at once.
	if (c != NULL && c->is_forged && (c->is_moved || c->inside))
		return;
	// Who had the one before has the next, or another has it: of the former no more is said.
	if (c != NULL && c->reuse.is_anew)
		return;
	// One whose clock jumps after the end has aged the flow before it told all of that.
	if (c != NULL && has_wrong_clock(sim, c->path))
		return;
	// What a node that crashed knew alone is lost.
	if (c == NULL || !is_settled(sim, c, HARM_APART) || (c->path & sim->crashed) ||
		(sim->crashed != 0 && sim->scenario.share == SHARE_ALL))
		return;
	if (row->record.state != TCP_TIME_WAIT && row->record.state != TCP_CLOSED)
		sim_fail(sim, "node %u does not know that connection %u has ended: state %u", node,
			c->number, row->record.state);
}

// The next flows of a node; NULL: that was all, or it has no cell for them.
static const struct message *next_rows(struct sim *sim, unsigned node, uint32_t cursor)
{
	static struct message question;

	if (cursor == FLOW_NONE)
		return NULL;
	question.type = MESSAGE_DUMP;
	question.body.flows.dump =
		(struct message_dump){.cursor = cursor, .scan_max = SCAN_ENTRIES};
	return appliance_ask(&sim->nodes[node], sim->scheduler.now_ns, &question);
}

bool invariants_is_open(struct sim *sim, unsigned node, const struct connection *connection)
{
	const struct message *reply;

	if (!appliance_runs(&sim->nodes[node]))
		return false;
	for (uint32_t cursor = 0; (reply = next_rows(sim, node, cursor)) != NULL;) {
		for (unsigned i = 0; i < reply->flow_count; i++) {
			const struct flow_record *record = &reply->body.flows.rows[i].record;

			if (!record_is_datagrams(record) &&
				record_connection(sim, record) == connection)
				return record->state < TCP_TIME_WAIT;
		}
		cursor = reply->body.flows.dump.cursor;
	}
	return false;
}

static void check_rows(struct sim *sim, unsigned node, bool at_end)
{
	const struct message *reply;
	uint32_t cursor = 0;

	while (!sim->failed && (reply = next_rows(sim, node, cursor)) != NULL) {
		for (unsigned i = 0; i < reply->flow_count && !sim->failed; i++) {
			check_row(sim, node, &reply->body.flows.rows[i].record, at_end);
			if (at_end)
				check_ended(sim, node, &reply->body.flows.rows[i]);
		}
		cursor = reply->body.flows.dump.cursor;
	}
}

// With share = "all" every node holds every session (P6). The end of one is told only who had it.
static void check_held(struct sim *sim, const struct connection *c)
{
	uint32_t all = (1u << sim->scenario.nodes) - 1;

	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (sim->clock_wrong[i])
			return;
	if (sim->scenario.share == SHARE_ALL && sim->crashed == 0 && is_settled(sim, c, 0) &&
		c->held_by != all && c->ended_at == 0)
		sim_fail(sim, "connection %u is held by %#x, not by all", c->number, c->held_by);
}

void invariants_rows(struct sim *sim, bool at_end)
{
	for (unsigned i = 0; i < sim->scenario.connections; i++)
		sim->connections[i].row_count = sim->connections[i].held_by =
			sim->connections[i].ended_at = 0;
	for (unsigned i = 0; i < sim->scenario.nodes; i++)
		if (appliance_runs(&sim->nodes[i]))
			check_rows(sim, i, at_end && !sim->clock_wrong[i]);
	for (unsigned i = 0; at_end && i < sim->scenario.connections; i++)
		check_held(sim, &sim->connections[i]);
}
