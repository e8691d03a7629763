// `show flow` and `show why`: questions to the workers. A dump asks one worker at a time for one
// slice; while the client has a megabyte to read it asks for nothing, so neither a slow client nor
// a million flows cost memory here, and the workers do a bounded piece of work per slice.
#include "weir/console/console_private.h"

#include "base/error.h"
#include "pkt/view.h"
#include "weir/control.h"
#include "weir/node.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOW_LIMIT_DEFAULT 1000
#define SCAN_MAX	   1024		 // table entries a worker looks at per slice
#define RETRY_MS	   5		 // after a full mailbox
#define ALIVE_NS	   2000000000ULL // a client hears something at least so often

static const char *protocol_name(uint8_t protocol, char room[8])
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return "tcp";
	case PROTOCOL_UDP:
		return "udp";
	case PROTOCOL_ICMP:
		return "icmp";
	case PROTOCOL_ICMP6:
		return "icmp6";
	default:
		snprintf(room, 8, "%u", protocol);
		return room;
	}
}

static const char *copy_name(uint8_t copy)
{
	return copy == COPY_OWN ? "own" : copy == COPY_FINDER ? "finder" : "backup";
}

static unsigned client_side(const struct flow_record *record)
{
	return record->bits & FLOW_CLIENT_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

static const char *service_name(const struct node *node, uint16_t id)
{
	const struct service *service = policy_service(node->config->policy, id);

	return service ? service->name : NULL;
}

json_t *reply_flow(const struct node *node, const struct flow_row *row, unsigned worker)
{
	const struct flow_record *record = &row->record;
	bool is_tcp = record->key.protocol == PROTOCOL_TCP;
	char client[ADDR_TEXT_BYTES], server[ADDR_TEXT_BYTES], number[8];
	struct tuple tuple;

	flow_key_tuple(&tuple, &record->key, (enum side)client_side(record));
	return json_pack("{s:s,s:s,s:i,s:s,s:i,s:s,s:s,s:o,s:I,s:I,s:I,s:i,s:i,s:s,s:i,s:b,s:I}",
		"protocol", protocol_name(record->key.protocol, number), "client",
		addr_format(&tuple.src, client), "client_port", tuple.sport, "server",
		addr_format(&tuple.dst, server), "server_port", tuple.dport, "state",
		is_tcp ? tcp_state_name((enum tcp_state)record->state) : "other", "mode",
		flow_mode_name((enum flow_mode)record->mode), "service",
		reply_name(service_name(node, record->service)), "d",
		(json_int_t)record->translation.d, "e", (json_int_t)record->translation.e,
		"ts_offset", (json_int_t)record->translation.ts_offset, "worker", worker, "owner",
		record->owner, "copy", copy_name(row->copy), "generation", record->generation,
		"half", row->half != 0, "idle_ms", (json_int_t)row->idle_ms);
}

struct dump {
	unsigned worker;     // being asked
	uint32_t cursor;     // where its next slice begins
	uint64_t left;	     // rows that may still be sent
	uint64_t request;    // open question, 0: none
	struct event *retry; // pending after a full mailbox
	int side;	     // of the client, -1: any
	uint64_t heard_ns;   // when the client was last sent something
};

static void dump_ask(struct session *session);

static void dump_free(struct session *session)
{
	struct dump *dump = session->work;

	if (dump->request)
		control_forget(session->node, dump->request);
	event_free(dump->retry);
	free(dump);
}

// Ends the document. `why` says what is missing where a worker did not answer.
static void dump_end(struct session *session, bool more, const char *why)
{
	json_t *rest = json_pack("{s:b}", "more", more);

	if (why)
		json_object_set_new(rest, "incomplete", json_string(why));
	dump_free(session);
	session_list_end(session, rest);
}

static bool row_wanted(const struct session *session, const struct flow_row *row)
{
	const struct dump *dump = session->work;
	const struct flow_record *record = &row->record;
	unsigned side = client_side(record);
	struct tuple tuple;

	if (dump->side >= 0 && (unsigned)dump->side != side)
		return false;
	flow_key_tuple(&tuple, &record->key, (enum side)side);
	return match_tuple(&session->args.match, record->key.protocol, &tuple);
}

static void on_slice(void *argument, const struct message *reply)
{
	struct session *session = argument;
	struct dump *dump = session->work;
	char why[64];

	dump->request = 0;
	if (!reply) {
		snprintf(why, sizeof(why), "worker %u did not answer", dump->worker);
		dump_end(session, true, why);
		return;
	}
	if (node_now_ns() - dump->heard_ns > ALIVE_NS) {
		session_list_alive(session);
		dump->heard_ns = node_now_ns();
	}
	for (unsigned i = 0; i < reply->flow_count; i++) {
		if (!row_wanted(session, &reply->body.flows.rows[i]))
			continue;
		if (dump->left == 0) {
			dump_end(session, true, NULL);
			return;
		}
		dump->left--;
		session_list_row(session,
			reply_flow(session->node, &reply->body.flows.rows[i], dump->worker));
	}
	dump->cursor = reply->body.flows.dump.cursor;
	dump_ask(session);
}

static void fill_request(const struct session *session, struct message *request)
{
	const struct dump *dump = session->work;
	const struct match *match = &session->args.match;
	struct message_dump *body = &request->body.flows.dump;

	request->type = MESSAGE_DUMP;
	body->cursor = dump->cursor;
	body->scan_max = SCAN_MAX;
	body->matched = session->args.given >> TYPE_PROTOCOL & 1;
	body->protocol = match->protocol;
	body->client = match->source;
	body->server = match->destination;
	body->client_port = match->source_port;
	body->server_port = match->destination_port;
}

static void dump_ask(struct session *session)
{
	const struct timeval soon = {.tv_usec = RETRY_MS * 1000};
	struct dump *dump = session->work;
	static struct message request; // large, and filled anew each time; control thread only

	session->resume = NULL;
	if (dump->cursor == FLOW_NONE) {
		dump->cursor = 0;
		dump->worker++;
	}
	if (dump->worker == session->node->worker_count) {
		dump_end(session, false, NULL);
		return;
	}
	if (session_is_full(session)) {
		session->resume = dump_ask;
		return;
	}
	fill_request(session, &request);
	dump->request = control_request(session->node, dump->worker, &request, on_slice, session);
	if (!dump->request)
		event_add(dump->retry, &soon);
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	dump_ask(argument);
}

// Side of `in NAME`; -1 where none was given.
static int side_given(const struct session *session)
{
	const struct config *config = session->node->config;
	const char *in = session->args.match.in;

	if (!*in)
		return -1;
	for (unsigned i = 0; i < config->port_count; i++)
		if (strcmp(config->ports[i].name, in) == 0)
			return config->ports[i].side;
	return strcmp(in, "inside") == 0 ? SIDE_INSIDE : SIDE_OUTSIDE;
}

void command_show_flow(struct session *session)
{
	struct dump *dump = calloc(1, sizeof(*dump));
	bool limited = session->args.given >> TYPE_NUMBER & 1;

	if (dump)
		dump->retry = evtimer_new(session->node->events, on_retry, session);
	if (!dump || !dump->retry) {
		free(dump);
		session_fail(session, "failed", NULL, "out of memory");
		return;
	}
	dump->left = limited ? session->args.number : FLOW_LIMIT_DEFAULT;
	if (dump->left == 0)
		dump->left = UINT64_MAX;
	dump->side = side_given(session);
	dump->heard_ns = node_now_ns();
	session->work = dump;
	session->cancel = dump_free;
	session_list_begin(session, "flows");
	dump_ask(session);
}

// `show why`. session->work is the open question's identity.
struct why {
	uint64_t request;
	unsigned worker;
	uint8_t protocol;
};

static void why_free(struct session *session)
{
	struct why *why = session->work;

	if (why->request)
		control_forget(session->node, why->request);
	free(why);
}

// What decides, where the reason does not say it.
static const char *why_by(
	const struct message_why *body, enum reason reason, enum why_verdict verdict)
{
	if (verdict == WHY_DROP && reason != REASON_rule_denied)
		return NULL;
	return body->has_flow ? "the flow" : "the rule";
}

static const char *offered_to(const struct message_why *body)
{
	static const char *const names[] = {[WHY_OFFERED_NOBODY] = NULL,
		[WHY_OFFERED_OTHERS] = "other nodes",
		[WHY_OFFERED_OWNER] = "the node its cookie names"};

	return names[body->offered];
}

static const char *const verdicts[] = {
	[WHY_ALLOW] = "allow", [WHY_COOKIE] = "cookie", [WHY_DROP] = "drop", [WHY_OFFER] = "offer"};

// What becomes of a SYN/ACK: a verdict, or the reason it is dropped for; NULL where it is not TCP.
static const char *why_synack(const struct message_why *body, uint8_t protocol, bool stopped)
{
	if (protocol != PROTOCOL_TCP)
		return NULL;
	if (stopped)
		return reason_name(REASON_stopped);
	return body->synack == WHY_DROP ? reason_name(body->synack_reason) : verdicts[body->synack];
}

static void on_why(void *argument, const struct message *reply)
{
	struct session *session = argument;
	struct node *node = session->node;
	struct why *why = session->work;
	bool stopped = node_get_state(node) == NODE_STOPPED;
	unsigned worker = why->worker;
	uint8_t protocol = why->protocol;
	const struct message_why *body;
	enum why_verdict verdict;
	enum reason reason;

	why->request = 0;
	why_free(session);
	if (!reply) {
		session_fail(session, "busy", "try again", "worker %u did not answer", worker);
		return;
	}
	body = &reply->body.reply;
	verdict = body->verdict;
	reason = body->reason;
	// Whatever else: a node that is told to stop passes nothing.
	if (stopped) {
		verdict = WHY_DROP;
		reason = REASON_stopped;
	}
	session_answer(session,
		json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:o,s:s,s:o,s:o,s:o}", "verdict",
			verdicts[verdict], "reason",
			reply_name(verdict == WHY_DROP ? reason_name(reason) : NULL), "by",
			reply_name(why_by(body, reason, verdict)), "synack",
			reply_name(why_synack(body, protocol, stopped)), "limit",
			reply_name(body->limit != REASON_NONE ? reason_name(body->limit) : NULL),
			"rule", policy_rule_name(node->config->policy, body->rule), "service",
			reply_name(service_name(node, body->service)), "mode",
			flow_mode_name((enum flow_mode)body->mode), "offered_to",
			reply_name(offered_to(body)), "others_active",
			body->offered ? json_boolean(body->others) : json_null(), "flow",
			body->has_flow ? reply_flow(node, &body->flow, worker) : json_null()));
}

static void tuple_key(struct flow_key *key, const struct message_query *query)
{
	const struct tuple *tuple = &query->tuple;
	bool outside = query->side == SIDE_OUTSIDE;

	memset(key, 0, sizeof(*key));
	key->outer = outside ? tuple->src : tuple->dst;
	key->inner = outside ? tuple->dst : tuple->src;
	key->outer_port = outside ? tuple->sport : tuple->dport;
	key->inner_port = outside ? tuple->dport : tuple->sport;
	key->protocol = query->protocol;
}

void command_show_why(struct session *session)
{
	const struct match *match = &session->args.match;
	struct message_query query = {
		.protocol = match_protocol(match),
		.side = side_given(session) == SIDE_INSIDE ? SIDE_INSIDE : SIDE_OUTSIDE,
		.tuple = {match->source.addr, match->destination.addr, match->source_port,
			match->destination_port},
	};
	static struct message request; // large; control thread only
	struct why *why;
	struct flow_key key;

	if (match->source.family != match->destination.family) {
		session_fail(session, "bad_argument", NULL,
			"source and destination are of different families");
		return;
	}
	why = calloc(1, sizeof(*why));
	if (!why) {
		session_fail(session, "failed", NULL, "out of memory");
		return;
	}
	tuple_key(&key, &query);
	why->worker = node_flow_worker(session->node, &key);
	why->protocol = query.protocol;
	request.type = MESSAGE_QUERY;
	request.body.query = query;
	session->work = why;
	session->cancel = why_free;
	why->request = control_request(session->node, why->worker, &request, on_why, session);
	if (!why->request) {
		why_free(session);
		session_fail(session, "busy", "try again", "worker %u takes no messages now",
			why->worker);
	}
}
