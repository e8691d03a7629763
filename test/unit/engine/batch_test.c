// Many messages in one call are taken as one by one would be: in their order, each under the policy
// that counts when its turn comes. Proves: P4 (the engine's part).
#include "harness.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct call {
	struct message *in[ENGINE_BATCH_MAX], *out[ENGINE_BATCH_MAX];
	struct batch batch;
};

static struct message *cells(struct message *cells[ENGINE_BATCH_MAX])
{
	struct message *block = calloc(ENGINE_BATCH_MAX, sizeof(*block));

	assert_non_null(block);
	for (unsigned i = 0; i < ENGINE_BATCH_MAX; i++)
		cells[i] = &block[i];
	return block;
}

static struct call *call_make(const struct node *node)
{
	struct call *call = calloc(1, sizeof(*call));

	assert_non_null(call);
	cells(call->in);
	cells(call->out);
	call->batch = (struct batch){.now_ns = node->now_ns,
		.tick = node->tick,
		.messages_in = call->in,
		.messages_out = call->out,
		.messages_out_room = ENGINE_BATCH_MAX};
	return call;
}

static void call_end(struct call *call)
{
	free(call->in[0]);
	free(call->out[0]);
	free(call);
}

static struct message *add(struct call *call, uint8_t type)
{
	struct message *message = call->in[call->batch.messages_in_count++];

	message->type = type;
	message->node = 7;
	return message;
}

static struct flow_record record_of(unsigned number, const char *server)
{
	struct flow_record record = {.mode = MODE_PROXY,
		.state = TCP_ESTABLISHED,
		.bits = FLOW_CONFIRMED,
		.owner = 7,
		.generation = (uint16_t)number,
		.incarnation = 0x1000 + number,
		.key = {.outer_port = (uint16_t)(1000 + number),
			.inner_port = 80,
			.protocol = PROTOCOL_TCP}};

	assert_int_equal(addr_parse(&record.key.outer, "192.0.2.10"), 0);
	assert_int_equal(addr_parse(&record.key.inner, server), 0);
	return record;
}

static void add_install(struct call *call, const struct flow_record *record)
{
	add(call, MESSAGE_INSTALL)->body.record = *record;
}

static void add_closed(struct call *call, const struct node *node, const struct flow_record *record)
{
	struct message *message = add(call, MESSAGE_CHANGED);

	node_name_flow(node, message, &record->key, record->incarnation, record->generation);
	message->body.flow.bits = CHANGE_CLOSED;
}

static void run(struct node *node, struct call *call)
{
	engine_run(node->engine, &call->batch);
	call->batch.messages_in_count = 0;
}

// Flows of servers the rules allow and of others, each with its end behind it, in a full call.
static void installs_and_ends_of_one_call(void **state)
{
	struct node *node = node_make();
	struct call *call;
	unsigned confirmed = 0, number = 0;

	(void)state;
	node_go(node);
	call = call_make(node);
	while (call->batch.messages_in_count + 2 <= ENGINE_BATCH_MAX) {
		bool allowed = number % 3 != 1, ends = number % 2 == 0;
		struct flow_record record =
			record_of(number++, allowed ? "198.51.100.10" : "203.0.113.10");

		add_install(call, &record);
		if (ends)
			add_closed(call, node, &record);
		confirmed += allowed;
	}
	run(node, call);
	assert_int_equal(call->batch.messages_out_used, confirmed);
	for (unsigned i = 0, of = 0; i < confirmed; i++, of++) {
		of += of % 3 == 1;
		assert_int_equal(call->out[i]->type, MESSAGE_CONFIRMED);
		assert_int_equal(call->out[i]->body.flow.generation, of);
	}
	assert_int_equal(engine_flow_count(node->engine), confirmed);
	assert_int_equal(
		node_state(node, TCP_CLOSED) + node_state(node, TCP_ESTABLISHED), confirmed);
	assert_in_range(node_state(node, TCP_CLOSED), confirmed / 2 - 1, confirmed / 2 + 1);
	call_end(call);
	assert_true(node_end(node));
}

// A policy in the middle of a call judges what stands behind it, not what stands before.
static void a_policy_between_two_installs(void **state)
{
	static struct policy strict;
	struct node *node = node_make();
	struct flow_record before = record_of(1, "198.51.100.10"),
			   after = record_of(2, "198.51.100.10");
	struct call *call;

	(void)state;
	node_go(node);
	call = call_make(node);
	strict = node->policy;
	strict.classifier.row_count = 0; // denies all
	add_install(call, &before);
	add(call, MESSAGE_POLICY)->body.policy = &strict;
	add_install(call, &after);
	run(node, call);
	assert_int_equal(engine_flow_count(node->engine), 1);
	assert_int_equal(call->out[0]->type, MESSAGE_CONFIRMED);
	assert_int_equal(call->out[0]->body.flow.generation, 1);
	add(call, MESSAGE_POLICY)->body.policy = &node->policy;
	add_install(call, &after);
	run(node, call);
	assert_int_equal(engine_flow_count(node->engine), 2);
	call_end(call);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(installs_and_ends_of_one_call),
		cmocka_unit_test(a_policy_between_two_installs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
