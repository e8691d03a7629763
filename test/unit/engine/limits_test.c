// Every limit: flows by prefix, service and table, eviction, queues and their pool, bad ACKs,
// resets (TCP.md 1.6, 3.4, 3.5; PERFORMANCE and RELIABILITY rows on floods).
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S     1000000000ULL // nanoseconds
#define ISN_S 700u
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

static const struct packet syn = {.seq = 1000, .window = 60000};

static struct node *tracking(void)
{
	struct node *node = node_make();

	node->services[0].mode = MODE_TRACK;
	return node;
}

static enum verdict_kind send_syn(struct node *node, const char *client, unsigned port)
{
	struct packet packet = syn;

	packet.flags = TCP_SYN;
	packet.client = client;
	packet.client_port = (uint16_t)port;
	return node_offer(node, OUTSIDE, &packet);
}

static enum verdict_kind send_udp(struct node *node, unsigned port, bool answer)
{
	struct packet packet = {
		.from_server = !answer, .protocol = PROTOCOL_UDP, .client_port = (uint16_t)port};

	return node_offer(node, answer ? OUTSIDE : INSIDE, &packet);
}

static void establish(struct node *node, unsigned port)
{
	struct packet packet = syn;

	assert_int_equal(send_syn(node, NULL, port), VERDICT_FORWARD);
	packet.client_port = (uint16_t)port;
	packet.from_server = true;
	packet.flags = TCP_SYN | TCP_ACK;
	packet.seq = ISN_S;
	packet.ack = syn.seq + 1;
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	packet.from_server = false;
	packet.flags = TCP_ACK;
	packet.seq = syn.seq + 1;
	packet.ack = ISN_S + 1;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
}

static void end_by_reset(struct node *node, unsigned port)
{
	struct packet packet = syn;

	packet.client_port = (uint16_t)port;
	packet.flags = TCP_RST;
	packet.seq = syn.seq + 1;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
}

static void assert_refused(struct node *node, enum reason reason)
{
	assert_int_equal(node->verdict.kind, VERDICT_DROP);
	if (node->verdict.reason != reason)
		fail_msg("%s, not %s", reason_name(node->verdict.reason), reason_name(reason));
}

static void prefix_limit(void **state)
{
	struct node *node = tracking();

	(void)state;
	node->policy.limits.per_prefix_flows = 3;
	node_go(node);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(send_syn(node, NULL, 1000 + i), VERDICT_FORWARD);
	send_syn(node, "192.0.2.99", 1003); // the same /24
	assert_refused(node, REASON_prefix_limit);
	assert_int_equal(send_syn(node, "192.0.3.99", 1003), VERDICT_FORWARD);
	// What ends makes room again.
	node->now_ns += 300 * S;
	node_turn(node);
	assert_int_equal(engine_flow_count(node->engine), 0);
	assert_int_equal(send_syn(node, "192.0.2.99", 1003), VERDICT_FORWARD);
	assert_int_equal(counter_get(&engine_stats(node->engine)->flows_refused), 1);
	assert_true(node_end(node));
}

static void service_limit(void **state)
{
	struct node *node = tracking();

	(void)state;
	node->services[0].flows_max = 2;
	node_go(node);
	assert_int_equal(send_syn(node, NULL, 1), VERDICT_FORWARD);
	assert_int_equal(send_syn(node, NULL, 2), VERDICT_FORWARD);
	send_syn(node, NULL, 3);
	assert_refused(node, REASON_flow_limit);
	// A refused flow must not count in its prefix.
	node->now_ns += 300 * S;
	node_turn(node);
	assert_int_equal(send_syn(node, NULL, 3), VERDICT_FORWARD);
	assert_int_equal(counter_get(&engine_service_stats(node->engine, 0)->flows), 1);
	assert_true(node_end(node));
}

// Ended before unanswered before answered before established.
static void eviction_order(void **state)
{
	struct node *node = tracking();

	(void)state;
	node->config.capacity = 16;
	node_go(node);
	for (unsigned i = 0; i < 8; i++)
		establish(node, 1000 + i);
	for (unsigned i = 4; i < 8; i++)
		end_by_reset(node, 1000 + i);
	for (unsigned i = 0; i < 8; i++)
		send_udp(node, 1000 + i, false);
	for (unsigned i = 4; i < 8; i++)
		send_udp(node, 1000 + i, true);
	assert_int_equal(engine_flow_count(node->engine), 16);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(node_state(node, TCP_CLOSED), 4 - i);
		assert_int_equal(send_syn(node, NULL, 2000 + i), VERDICT_FORWARD);
	}
	assert_int_equal(node_state(node, TCP_STATE_COUNT), 8);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(send_syn(node, NULL, 3000 + i), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 4);
	assert_true(node_state(node, TCP_STATE_COUNT) >= 4);
	for (unsigned i = 4; i < 8; i++)
		assert_int_equal(send_udp(node, 1000 + i, true), VERDICT_FORWARD);
	assert_int_equal(counter_get(&engine_stats(node->engine)->flows_evicted), 1004);
	assert_true(node_end(node));
}

static void established_survive_floods(void **state)
{
	struct node *node = tracking();
	char client[32];

	(void)state;
	node->config.capacity = 64;
	node_go(node);
	for (unsigned i = 0; i < 32; i++)
		establish(node, 1000 + i);
	for (unsigned i = 0; i < 640; i++) {
		snprintf(client, sizeof(client), "203.0.113.%u", i % 200);
		assert_int_equal(send_syn(node, client, 5000 + i), VERDICT_FORWARD);
		send_udp(node, 7000 + i, false);
	}
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 32);
	assert_true(engine_flow_count(node->engine) <= 64);
	assert_true(node_end(node));
}

// A flood that overfills the table takes the oldest unanswered flows: one that just began has as
// long for its handshake as the table takes to be filled once.
static void the_youngest_survive_floods(void **state)
{
	struct node *node = tracking();
	unsigned port = 1;

	(void)state;
	node->config.capacity = 1024;
	node->policy.limits.per_prefix_flows = 1000000;
	node_go(node);
	for (; port <= 20000; port++)
		send_syn(node, "192.0.2.77", port);
	assert_int_equal(engine_flow_count(node->engine), 1024);
	for (unsigned round = 0; round < 20; round++) {
		struct packet synack = {.from_server = true,
			.client_port = (uint16_t)(50000 + round),
			.flags = TCP_SYN | TCP_ACK,
			.seq = ISN_S,
			.ack = 1001};

		send_syn(node, NULL, 50000 + round);
		for (unsigned i = 0; i < 900; i++)
			send_syn(node, "192.0.2.77", port++);
		assert_int_equal(node_offer(node, INSIDE, &synack), VERDICT_FORWARD);
	}
	assert_true(node_end(node));
}

// As many prefixes as flows are no limit: one more takes the place of another's flow, and of its
// count.
static void every_flow_its_own_prefix(void **state)
{
	struct node *node = tracking();
	char client[32];

	(void)state;
	node->config.capacity = 16;
	node_go(node);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(client, sizeof(client), "203.0.%u.1", i);
		assert_int_equal(send_syn(node, client, 5000), VERDICT_FORWARD);
	}
	assert_int_equal(engine_flow_count(node->engine), 16);
	assert_int_equal(counter_get(&engine_stats(node->engine)->flows_refused), 0);
	assert_true(node_end(node));
}

// Each context has a flow and a cell of its own.
static void contexts_of_use(void **state)
{
	(void)state;
	assert_int_equal(engine_openings(65536, 8 << 20), 16384); // all cells
	assert_int_equal(engine_openings(1 << 20, 8 << 20), 16384);
	assert_int_equal(engine_openings(4096, 8 << 20), 1025); // a quarter of the flows
	assert_int_equal(engine_openings(1, 512), 1);
}

static void table_full(void **state)
{
	(void)state;
	for (unsigned never = 0; never < 2; never++) {
		struct node *node = tracking();

		node->config.capacity = 8;
		node->policy.eviction = never ? EVICTION_NEVER : EVICTION_UNTRUSTED_FIRST;
		node_go(node);
		for (unsigned i = 0; i < 8; i++)
			if (never)
				send_syn(node, NULL, 1000 + i);
			else
				establish(node, 1000 + i);
		send_syn(node, NULL, 2000);
		assert_refused(node, REASON_table_full);
		send_udp(node, 2000, false);
		assert_refused(node, REASON_table_full);
		assert_int_equal(counter_get(&engine_stats(node->engine)->flows_refused), 2);
		assert_int_equal(counter_get(&engine_stats(node->engine)->flows_evicted), 0);
		// What was refused gave its place in the prefix back.
		node->now_ns += 10000 * S;
		node_turn(node);
		assert_int_equal(engine_flow_count(node->engine), 0);
		assert_true(node_end(node));
	}
}

static void open_from(struct node *node, struct handshake *handshake, unsigned port)
{
	struct packet packet = syn;

	packet.client_port = (uint16_t)port;
	handshake_open(node, handshake, &packet);
}

// A few bytes a segment must not cost more memory than the promised window is worth.
static void t3_5_tiny_segments(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	unsigned queued = 0;

	(void)state;
	node_go(node);
	open_from(node, &handshake, 1000);
	for (unsigned i = 0; i < 5000; i++) {
		struct packet packet = handshake.ack;

		packet.seq += 2 * i;
		packet.payload = (struct bytes)BYTES("xy");
		queued += node_offer(node, OUTSIDE, &packet) == VERDICT_CONSUME;
	}
	assert_refused(node, REASON_queue_full);
	assert_in_range(queued, 16, 100);
	assert_true(engine_queued_bytes(node->engine) <= 4 * 16384);
	assert_true(node_end(node));
}

// The pool of all queues: a dead server, many handshakes. No window is promised when room runs low,
// and all of it comes back.
static void t3_4_pool_exhausted(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet = syn;
	unsigned opened = 0;

	(void)state;
	node->config.queue_total_bytes = 16 * 512;
	node_go(node);
	packet.flags = TCP_SYN;
	node_offer(node, OUTSIDE, &packet);
	assert_int_equal(node->sent[0].view.window, 16384);
	for (unsigned i = 0; i < 32; i++) {
		open_from(node, &handshake, 1000 + i);
		if (node->verdict.kind == VERDICT_CONSUME)
			opened++;
		else
			assert_refused(node, REASON_queue_full);
		assert_int_equal(engine_flow_count(node->engine), opened);
	}
	assert_int_equal(opened, 16);
	assert_int_equal(engine_queued_bytes(node->engine), 16 * 512);
	assert_int_equal(handshake.synack.view.window, 0);
	node->sent_count = 0;
	for (unsigned i = 0; i < 16; i++) { // all servers silent: 15 s
		node->now_ns += S;
		node_turn(node);
		node->sent_count = 0;
	}
	assert_true(node_remembers(node, 16));
	assert_int_equal(engine_queued_bytes(node->engine), 0);
	node_offer(node, OUTSIDE, &packet);
	assert_int_equal(node->sent[0].view.window, 16384);
	assert_true(node_end(node));
}

static void openings_exhausted(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;

	(void)state;
	node->config.openings = 2;
	node_go(node);
	open_from(node, &handshake, 1);
	open_from(node, &handshake, 2);
	open_from(node, &handshake, 3);
	assert_refused(node, REASON_queue_full);
	assert_int_equal(engine_flow_count(node->engine), 2);
	handshake.ack.client_port = 2;
	handshake.ack.flags = TCP_RST;
	node_offer(node, OUTSIDE, &handshake.ack);
	open_from(node, &handshake, 3);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	assert_true(node_end(node));
}

// A proof that finds no room must leave the client a way to try again, also on a key with history.
static void refused_reopening_can_be_repeated(void **state)
{
	struct node *node = node_make();
	struct handshake first, blocker, second;
	struct packet reset, packet = syn;

	(void)state;
	node->config.openings = 1;
	node_go(node);
	open_from(node, &first, 1000);
	handshake_answer(node, &first, ISN_S, NONE);
	reset = first.ack;
	reset.flags = TCP_RST;
	assert_int_equal(node_offer(node, OUTSIDE, &reset), VERDICT_FORWARD);
	assert_int_equal(node_state(node, TCP_CLOSED), 1);
	open_from(node, &blocker, 2000);
	packet.client_port = 1000;
	packet.seq = 999000;
	handshake_open(node, &second, &packet);
	assert_refused(node, REASON_queue_full);
	reset = blocker.ack;
	reset.flags = TCP_RST;
	assert_int_equal(node_offer(node, OUTSIDE, &reset), VERDICT_CONSUME);
	assert_int_equal(node_offer(node, OUTSIDE, &second.ack), VERDICT_CONSUME);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN);
	assert_true(node_end(node));
}

// The same when the pool, not the contexts, ran out: the ACK proves a cookie on a closed entry.
static void refused_by_the_pool_can_be_repeated(void **state)
{
	struct node *node = node_make();
	struct handshake first, blocker, second;
	struct packet packet;

	(void)state;
	node->config.queue_total_bytes = 512;
	node_go(node);
	open_from(node, &first, 1000);
	handshake_answer(node, &first, ISN_S, NONE);
	packet = first.ack;
	packet.flags = TCP_RST;
	node_offer(node, OUTSIDE, &packet);
	open_from(node, &blocker, 2000);
	packet = syn;
	packet.client_port = 1000;
	packet.seq = 999000;
	handshake_open(node, &second, &packet);
	assert_refused(node, REASON_queue_full);
	packet = blocker.ack;
	packet.flags = TCP_RST;
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_CONSUME);
	assert_int_equal(node_offer(node, OUTSIDE, &second.ack), VERDICT_CONSUME);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN);
	assert_true(node_end(node));
}

// A window of 0 was promised: probes of both kinds are answered, and the update tells when the
// server opened.
static void t3_4_probes_and_window_update(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet probe;
	uint8_t port = 0;
	struct sent server_syn;

	(void)state;
	node->config.queue_total_bytes = 16 * 512;
	node_go(node);
	while (engine_queued_bytes(node->engine) < 15 * 512)
		open_from(node, &handshake, 3000u + port++);
	open_from(node, &handshake, 1000);
	assert_int_equal(handshake.synack.view.window, 0);
	server_syn = node->sent[0];
	probe = handshake.ack;
	probe.seq--; // as Linux probes
	assert_int_equal(node_offer(node, OUTSIDE, &probe), VERDICT_REPLY);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_ACK);
	assert_int_equal(node->sent[0].view.seq, handshake.cookie + 1);
	assert_int_equal(node->sent[0].view.ack, syn.seq + 1);
	assert_int_equal(node->sent[0].view.window, 0);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	probe.seq++; // as BSD does: a byte of the data
	probe.payload = (struct bytes)BYTES("x");
	node_offer(node, OUTSIDE, &probe);
	node_flush(node);
	// Again, with room for the answer.
	open_from(node, &handshake, 1000);
	probe = handshake.ack;
	probe.payload = (struct bytes)BYTES("x");
	assert_int_equal(node_offer(node, OUTSIDE, &probe), VERDICT_CONSUME);
	assert_int_equal(node_offer(node, OUTSIDE, &probe), VERDICT_REPLY);
	assert_int_equal(node->sent[0].view.window, 16384);
	probe.seq += 20000; // behind the window
	assert_int_equal(node_offer(node, OUTSIDE, &probe), VERDICT_REPLY);
	server_syn.view.seq = syn.seq;
	node->sent[0] = server_syn;
	handshake_answer(node, &handshake, ISN_S, NONE);
	assert_int_equal(node->sent_count, 3);
	assert_int_equal(node->sent[0].port, INSIDE);
	assert_int_equal(node->sent[1].port, INSIDE);
	assert_int_equal(node->sent[2].port, OUTSIDE);
	assert_int_equal(node->sent[2].view.tcp_flags, TCP_ACK);
	assert_int_equal(node->sent[2].view.window, 65000);
	assert_int_equal(node->sent[2].view.seq, handshake.cookie + 1);
	assert_true(node_end(node));
}

static enum reason forge(struct node *node, const char *client, unsigned port, uint32_t ack)
{
	struct packet packet = syn;

	packet.client = client;
	packet.client_port = (uint16_t)port;
	packet.flags = TCP_ACK;
	packet.ack = ack;
	packet.payload = (struct bytes)BYTES("guess");
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_DROP);
	return node->verdict.reason;
}

static void t1_6_bad_acks_are_limited(void **state)
{
	struct node *node = node_make();

	(void)state;
	node->policy.limits.bad_ack_prefix_per_s = 10;
	node->policy.limits.bad_ack_per_s = 30;
	node_go(node);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(forge(node, "192.0.2.1", 1000 + i, i), REASON_bad_cookie);
	assert_int_equal(forge(node, "192.0.2.2", 1000, 7), REASON_rate_limited);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(forge(node, "192.0.3.1", 1000 + i, i), REASON_bad_cookie);
		assert_int_equal(forge(node, "192.0.4.1", 1000 + i, i), REASON_bad_cookie);
	}
	// The total is used up: a prefix has a quarter of its tries.
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(forge(node, "192.0.5.1", 1000 + i, 7), REASON_bad_cookie);
	assert_int_equal(forge(node, "192.0.5.1", 1000, 8), REASON_rate_limited);
	node->now_ns += S;
	assert_int_equal(forge(node, "192.0.2.1", 1000, 7), REASON_bad_cookie);
	assert_true(node_end(node));
}

// What timestamps are worth may exceed 32 bits: 2^28 times 16 is no rate of zero.
static void t1_6_large_rates_admit_timestamps(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	struct packet packet = syn;

	(void)state;
	node->policy.limits.bad_ack_prefix_per_s = 1 << 28;
	node->policy.limits.bad_ack_per_s = 1 << 28;
	node_go(node);
	packet.options = (struct bytes)BYTES("\x08\x0a\0\0\0\1\0\0\0\0\1\1");
	handshake_open(node, &handshake, &packet);
	assert_int_equal(handshake.ack.options.len, 12);
	assert_int_equal(node->verdict.kind, VERDICT_CONSUME);
	assert_true(node_end(node));
}

// A tuple with a flow is no way round the limit.
static void t1_6_guesses_at_a_flow_count(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;

	(void)state;
	node->policy.limits.bad_ack_prefix_per_s = 10;
	node_go(node);
	open_from(node, &handshake, 1000);
	handshake_answer(node, &handshake, ISN_S, NONE);
	struct packet packet = {.from_server = true,
		.client_port = 1000,
		.flags = TCP_ACK,
		.seq = ISN_S + 1,
		.ack = syn.seq + 1};

	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	for (unsigned i = 0; i < 10; i++)
		forge(node, NULL, 1000, 0x10000000 + i * 12345);
	assert_int_equal(forge(node, NULL, 2000, 7), REASON_rate_limited);
	// The flow itself is not touched.
	handshake.ack.payload = (struct bytes)BYTES("data");
	assert_int_equal(node_offer(node, OUTSIDE, &handshake.ack), VERDICT_FORWARD);
	assert_true(node_end(node));
}

static void resets_are_limited(void **state)
{
	struct node *node = node_make();
	struct handshake handshake;
	unsigned replies = 0;

	(void)state;
	node->policy.limits.reset_per_s = 2;
	node_go(node);
	open_from(node, &handshake, 1000);
	struct packet probe = handshake.ack;

	probe.seq--;
	for (unsigned i = 0; i < 50; i++)
		replies += node_offer(node, OUTSIDE, &probe) == VERDICT_REPLY;
	assert_int_equal(replies, 2);
	assert_refused(node, REASON_rate_limited);
	node->now_ns += S;
	assert_int_equal(node_offer(node, OUTSIDE, &probe), VERDICT_REPLY);
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefix_limit),
		cmocka_unit_test(service_limit),
		cmocka_unit_test(eviction_order),
		cmocka_unit_test(established_survive_floods),
		cmocka_unit_test(the_youngest_survive_floods),
		cmocka_unit_test(every_flow_its_own_prefix),
		cmocka_unit_test(contexts_of_use),
		cmocka_unit_test(table_full),
		cmocka_unit_test(t3_5_tiny_segments),
		cmocka_unit_test(t3_4_pool_exhausted),
		cmocka_unit_test(t3_4_probes_and_window_update),
		cmocka_unit_test(openings_exhausted),
		cmocka_unit_test(refused_reopening_can_be_repeated),
		cmocka_unit_test(refused_by_the_pool_can_be_repeated),
		cmocka_unit_test(t1_6_bad_acks_are_limited),
		cmocka_unit_test(t1_6_large_rates_admit_timestamps),
		cmocka_unit_test(t1_6_guesses_at_a_flow_count),
		cmocka_unit_test(resets_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
