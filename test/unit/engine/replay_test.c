// A recorded ACK, replayed: one server SYN for each cookie, whatever became of the connection, for
// as long as the cookie is valid, however short the timers are (TCP.md 1.7, 3.9). Proves:
// RELIABILITY section 3 row 4. Quick: 2 x 10^3 replays of each kind; full (WEIR_TEST_SIZE): 10^6.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ISN_C	1000u
#define ISN_S	5000u
#define TICK_NS 16000000000ULL
#define LIFE_MS 64000 // from the first tick in which a cookie may be proved to the end of the last
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

// Another node of the cluster, whose counter is ahead, answers the SYNs; what it makes is proved
// here in the first tick that takes it. That is when it stays valid longest.
struct scene {
	struct node *node, *other;
	struct handshake handshake;
};

static void scene_make(struct scene *scene)
{
	struct policy_timeouts *timeouts;

	scene->node = node_make();
	scene->other = node_make();
	timeouts = &scene->node->policy.timeouts;
	timeouts->established_s = timeouts->transitory_s = timeouts->time_wait_s = 1;
	scene->node->policy.limits.reset_per_s = UINT32_MAX;
	scene->node->tick = HARNESS_TICK - 1;
}

static void scene_go(struct scene *scene)
{
	node_go(scene->node);
	node_go(scene->other);
	node_epoch(scene->node, HARNESS_TICK / 2 + 1);
}

static void scene_end(struct scene *scene)
{
	assert_true(node_end(scene->node));
	assert_true(node_end(scene->other));
}

// A client gets its cookie. Its ACK is in scene->handshake.
static void get_cookie(struct scene *scene, uint16_t port, uint32_t isn_client)
{
	struct packet syn = {.client_port = port, .seq = isn_client, .window = 60000};

	handshake_open(scene->other, &scene->handshake, &syn);
}

static void prove(struct scene *scene)
{
	assert_int_equal(node_offer(scene->node, OUTSIDE, &scene->handshake.ack), VERDICT_CONSUME);
	assert_int_equal(scene->node->sent_count, 1);
	assert_int_equal(scene->node->sent[0].view.tcp_flags, TCP_SYN);
	assert_int_equal(scene->node->sent[0].view.seq, scene->handshake.syn.seq);
}

static void open_one(struct scene *scene, uint16_t port, uint32_t isn_client)
{
	get_cookie(scene, port, isn_client);
	prove(scene);
}

static enum verdict_kind from_server(struct scene *scene, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct packet packet = {.from_server = true,
		.client_port = scene->handshake.syn.client_port,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 60000};

	return node_offer(scene->node, INSIDE, &packet);
}

static enum verdict_kind from_client(
	struct scene *scene, uint8_t flags, uint32_t more_seq, uint32_t more_ack)
{
	struct packet packet = scene->handshake.ack;

	packet.flags = flags;
	packet.seq += more_seq;
	packet.ack += more_ack;
	return node_offer(scene->node, OUTSIDE, &packet);
}

static void accept_it(struct scene *scene)
{
	handshake_answer(scene->node, &scene->handshake, ISN_S, NONE);
	assert_int_equal(scene->node->verdict.kind, VERDICT_CONSUME);
}

static void refuse_it(struct scene *scene)
{
	assert_int_equal(from_server(scene, TCP_RST | TCP_ACK, 0, scene->handshake.ack.seq),
		VERDICT_CONSUME);
}

static uint64_t server_syns(const struct scene *scene)
{
	return counter_get(&engine_service_stats(scene->node->engine, 0)->server_syn);
}

// The reset the client accepts: exactly where it expects the next byte, on its side only.
static void assert_reset(const struct scene *scene, const struct packet *late)
{
	const struct node *node = scene->node;

	assert_int_equal(node->verdict.kind, VERDICT_REPLY);
	assert_int_equal(node->sent_count, 1);
	assert_int_equal(node->sent[0].port, OUTSIDE);
	assert_int_equal(node->sent[0].view.tcp_flags, TCP_RST);
	assert_int_equal(node->sent[0].view.seq, late->ack);
	assert_true(packet_good(&node->sent[0].frame));
}

static void replay(struct scene *scene, enum verdict_kind expected)
{
	const char *size = getenv("WEIR_TEST_SIZE");
	unsigned count = size != NULL && strcmp(size, "quick") != 0 ? 500000 : 1000;
	uint64_t before = server_syns(scene);

	for (unsigned i = 0; i < count; i++) {
		node_offer(scene->node, OUTSIDE, &scene->handshake.ack);
		if (scene->node->verdict.kind != expected)
			fail_msg("replay %u: %d, not %d", i, scene->node->verdict.kind, expected);
		if (expected == VERDICT_REPLY)
			assert_reset(scene, &scene->handshake.ack);
	}
	assert_int_equal(server_syns(scene), before);
}

// Until `ms` after the cookie was proved, without a packet.
static void wait_until(struct scene *scene, uint32_t ms)
{
	uint64_t end_ns = 1000000000ULL + ms * 1000000ULL;

	node_pass_ms(scene->node, (uint32_t)((end_ns - scene->node->now_ns) / 1000000));
	scene->node->tick = HARNESS_TICK - 1 + (uint32_t)(ms * 1000000ULL / TICK_NS);
}

// At once, then at the last moment of the cookie's life, when the connection's own timers have left
// nothing but a memory; afterwards the cookie itself is bad.
static void replay_all_its_life(struct scene *scene, enum verdict_kind expected)
{
	replay(scene, expected);
	wait_until(scene, LIFE_MS - 100);
	assert_int_equal(scene->node->tick, HARNESS_TICK + 2);
	assert_true(node_remembers(scene->node, 1));
	replay(scene, VERDICT_REPLY);
	wait_until(scene, 3 * LIFE_MS);
	assert_int_equal(engine_flow_count(scene->node->engine), 0);
	scene->node->tick = HARNESS_TICK + 3;
	assert_int_equal(node_offer(scene->node, OUTSIDE, &scene->handshake.ack), VERDICT_DROP);
	assert_int_equal(scene->node->verdict.reason, REASON_bad_cookie);
	assert_int_equal(engine_flow_count(scene->node->engine), 0);
}

// The scene's cookie is good where nobody has proved it, until its last tick: what the replays meet
// is the filter.
static void t1_7_a_first_proof_is_good_to_the_end(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct scene scene;

		scene_make(&scene);
		scene_go(&scene);
		get_cookie(&scene, 0, ISN_C);
		wait_until(&scene, late ? LIFE_MS : LIFE_MS - 100);
		node_offer(scene.node, OUTSIDE, &scene.handshake.ack);
		assert_int_equal(scene.node->verdict.kind, late ? VERDICT_DROP : VERDICT_CONSUME);
		assert_int_equal(server_syns(&scene), !late);
		scene_end(&scene);
	}
}

static void t1_7_before_the_server_answers(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene.node->policy.timeouts.server_syn_ms = 60000;
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	replay(&scene, VERDICT_CONSUME);
	wait_until(&scene, 59000);
	replay(&scene, VERDICT_CONSUME);
	assert_int_equal(server_syns(&scene), 1);
	scene_end(&scene);
}

// A duplicate ACK of an open connection is the endpoints' business.
static void t1_7_after_establishment(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	accept_it(&scene);
	replay_all_its_life(&scene, VERDICT_FORWARD);
	assert_int_equal(server_syns(&scene), 1);
	scene_end(&scene);
}

static void t1_7_after_close_by_fin(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	accept_it(&scene);
	assert_int_equal(from_client(&scene, TCP_FIN | TCP_ACK, 0, 0), VERDICT_FORWARD);
	assert_int_equal(
		from_server(&scene, TCP_FIN | TCP_ACK, ISN_S + 1, ISN_C + 2), VERDICT_FORWARD);
	assert_int_equal(from_client(&scene, TCP_ACK, 1, 1), VERDICT_FORWARD);
	assert_int_equal(node_state(scene.node, TCP_TIME_WAIT), 1);
	replay_all_its_life(&scene, VERDICT_FORWARD);
	assert_int_equal(server_syns(&scene), 1);
	scene_end(&scene);
}

// By either side, once open.
static void t1_7_after_close_by_reset(void **state)
{
	(void)state;
	for (unsigned by_server = 0; by_server < 2; by_server++) {
		struct scene scene;

		scene_make(&scene);
		scene_go(&scene);
		open_one(&scene, 0, ISN_C);
		accept_it(&scene);
		if (by_server)
			from_server(&scene, TCP_RST, ISN_S + 1, 0);
		else
			from_client(&scene, TCP_RST, 0, 0);
		assert_int_equal(scene.node->verdict.kind, VERDICT_FORWARD);
		assert_int_equal(node_state(scene.node, TCP_CLOSED), 1);
		// What the server repeats is acknowledged no more.
		assert_int_equal(
			from_server(&scene, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1), VERDICT_DROP);
		replay_all_its_life(&scene, VERDICT_REPLY);
		assert_int_equal(server_syns(&scene), 1);
		scene_end(&scene);
	}
}

static void t1_7_after_the_servers_refusal(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	refuse_it(&scene);
	assert_true(node_remembers(scene.node, 1));
	replay_all_its_life(&scene, VERDICT_REPLY);
	assert_int_equal(server_syns(&scene), 1);
	scene_end(&scene);
}

static void t1_7_after_the_server_timeout(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	node_pass_ms(scene.node, 15500);
	assert_true(node_remembers(scene.node, 1));
	replay_all_its_life(&scene, VERDICT_REPLY);
	assert_int_equal(server_syns(&scene), 4); // one, with its own repeats
	scene_end(&scene);
}

static void t1_7_after_the_clients_reset(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	assert_int_equal(from_client(&scene, TCP_RST, 0, 0), VERDICT_CONSUME);
	assert_true(node_remembers(scene.node, 1));
	replay_all_its_life(&scene, VERDICT_REPLY);
	assert_int_equal(server_syns(&scene), 1);
	scene_end(&scene);
}

// An older connection holds the entry while the server refuses the new one: the refused cookie is
// known all the same, and the old connection is not touched.
static void t1_7_after_a_refused_incarnation(void **state)
{
	struct scene scene;
	struct packet data;

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	accept_it(&scene);
	data = scene.handshake.ack;
	data.payload = (struct bytes)BYTES("data");
	open_one(&scene, 0, 0x70000000);
	refuse_it(&scene);
	assert_int_equal(node_state(scene.node, TCP_ESTABLISHED), 1);
	assert_int_equal(node_offer(scene.node, OUTSIDE, &data), VERDICT_FORWARD);
	replay_all_its_life(&scene, VERDICT_REPLY);
	assert_int_equal(server_syns(&scene), 2);
	scene_end(&scene);
}

// TCP.md 3.9: the client's next try, with its next number, opens at once; the first cookie of the
// tuple then still is a used one, while the second opens, while it is open and when it is over.
static void t3_9_the_next_try_opens_at_once(void **state)
{
	struct scene scene;
	struct handshake first, second;

	(void)state;
	scene_make(&scene);
	scene.node->policy.limits.per_prefix_flows = 1;
	scene.node->services[0].flows_max = 1;
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	first = scene.handshake;
	refuse_it(&scene);
	open_one(&scene, 0, 0x70000000);
	second = scene.handshake;
	scene.handshake = first;
	replay(&scene, VERDICT_DROP);
	scene.handshake = second;
	from_server(&scene, TCP_SYN | TCP_ACK, ISN_S, 0x70000001);
	assert_int_equal(node_state(scene.node, TCP_ESTABLISHED), 1);
	scene.handshake = first;
	replay(&scene, VERDICT_REPLY);
	assert_int_equal(node_state(scene.node, TCP_ESTABLISHED), 1);
	scene.handshake = second;
	replay(&scene, VERDICT_FORWARD);
	assert_int_equal(from_client(&scene, TCP_RST, 0, 0), VERDICT_FORWARD);
	replay(&scene, VERDICT_REPLY);
	scene.handshake = first;
	replay(&scene, VERDICT_REPLY);
	assert_int_equal(server_syns(&scene), 2);
	scene_end(&scene);
}

// A second proof takes an opening's place and then finds no room in the pool. The first one's SYN
// is out; the second may try again.
static void t1_7_after_an_opening_gave_way(void **state)
{
	static uint8_t request[1000];
	struct scene scene;
	struct handshake first;

	(void)state;
	scene_make(&scene);
	scene.node->config.queue_total_bytes = 512;
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	first = scene.handshake;
	get_cookie(&scene, 0, 0x70000000);
	scene.handshake.ack.payload = (struct bytes){request, sizeof(request)};
	assert_int_equal(node_offer(scene.node, OUTSIDE, &scene.handshake.ack), VERDICT_DROP);
	assert_int_equal(scene.node->verdict.reason, REASON_queue_full);
	assert_true(node_remembers(scene.node, 1));
	scene.handshake.ack.payload = NONE;
	struct handshake second = scene.handshake;

	scene.handshake = first;
	replay(&scene, VERDICT_REPLY);
	scene.handshake = second;
	prove(&scene);
	assert_int_equal(server_syns(&scene), 2);
	scene_end(&scene);
}

static void assert_nobodys(const struct scene *scene)
{
	assert_int_equal(scene->node->verdict.kind, VERDICT_DROP);
	assert_int_equal(scene->node->verdict.reason, REASON_no_flow);
	assert_int_equal(scene->node->sent_count, 0);
}

// To everybody but its client a refused connection is none; and a reset is never answered.
static void a_memory_is_no_flow(void **state)
{
	struct scene scene;
	struct packet error = {
		.from_server = true, .protocol = PROTOCOL_ICMP, .type = 3, .code = 1};
	uint8_t room[PACKET_ROOM_BYTES];

	(void)state;
	scene_make(&scene);
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	struct sent syn = scene.node->sent[0];

	refuse_it(&scene);
	memcpy(room, syn.room + PACKET_HEADROOM_BYTES + 14, 28);
	error.payload = (struct bytes){room, 28};
	node_offer(scene.node, INSIDE, &error);
	assert_nobodys(&scene);
	from_server(&scene, TCP_SYN | TCP_ACK, ISN_S, ISN_C + 1);
	assert_nobodys(&scene);
	from_server(&scene, TCP_RST | TCP_ACK, 0, ISN_C + 1);
	assert_nobodys(&scene);
	from_server(&scene, TCP_ACK, ISN_S + 1, ISN_C + 1);
	assert_nobodys(&scene);
	from_client(&scene, TCP_RST, 0, 0);
	assert_nobodys(&scene);
	from_client(&scene, TCP_RST | TCP_ACK, 0, 0);
	assert_nobodys(&scene);
	from_client(&scene, TCP_ACK, 0, 1); // a guess
	assert_int_equal(scene.node->verdict.reason, REASON_bad_cookie);
	// Later segments of the client's own, whatever they carry.
	scene.handshake.ack.payload = (struct bytes)BYTES("a request");
	scene.handshake.ack.seq += 100;
	scene.handshake.ack.flags = TCP_ACK | TCP_FIN;
	node_offer(scene.node, OUTSIDE, &scene.handshake.ack);
	assert_reset(&scene, &scene.handshake.ack);
	scene_end(&scene);
}

static void guesses_at_a_memory_are_limited(void **state)
{
	struct scene scene;

	(void)state;
	scene_make(&scene);
	scene.node->policy.limits.bad_ack_prefix_per_s = 10;
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	refuse_it(&scene);
	for (uint32_t i = 1; i <= 10; i++) {
		assert_int_equal(from_client(&scene, TCP_ACK, 0, i), VERDICT_DROP);
		assert_int_equal(scene.node->verdict.reason, REASON_bad_cookie);
	}
	assert_int_equal(from_client(&scene, TCP_ACK, 0, 11), VERDICT_DROP);
	assert_int_equal(scene.node->verdict.reason, REASON_rate_limited);
	scene_end(&scene);
}

static void late_resets_are_limited(void **state)
{
	struct scene scene;
	unsigned replies = 0;

	(void)state;
	scene_make(&scene);
	scene.node->policy.limits.reset_per_s = 2;
	scene_go(&scene);
	open_one(&scene, 0, ISN_C);
	refuse_it(&scene);
	for (unsigned i = 0; i < 50; i++)
		replies += node_offer(scene.node, OUTSIDE, &scene.handshake.ack) == VERDICT_REPLY;
	assert_int_equal(replies, 2);
	assert_int_equal(scene.node->verdict.reason, REASON_rate_limited);
	assert_int_equal(server_syns(&scene), 1);
	scene_end(&scene);
}

// Real handshakes that the server refuses, far more than the table holds: they count in no limit
// and go first, so established connections stay and new ones open, also where flows may not be
// evicted.
static void refused_handshakes_fill_nothing(void **state)
{
	(void)state;
	for (unsigned never = 0; never < 2; never++) {
		struct scene scene;

		scene_make(&scene);
		scene.node->config.capacity = 64;
		scene.node->policy.eviction = never ? EVICTION_NEVER : EVICTION_UNTRUSTED_FIRST;
		scene.node->policy.limits.per_prefix_flows = 40;
		scene.node->services[0].flows_max = 40;
		scene_go(&scene);
		for (uint16_t port = 1; port <= 32; port++) {
			open_one(&scene, port, ISN_C);
			accept_it(&scene);
		}
		for (uint16_t port = 1000; port < 3000; port++) {
			open_one(&scene, port, ISN_C + port);
			refuse_it(&scene);
		}
		assert_int_equal(node_state(scene.node, TCP_ESTABLISHED), 32);
		assert_true(node_state(scene.node, TCP_CLOSED) > 16);
		for (uint16_t port = 5000; port < 5008; port++) {
			open_one(&scene, port, ISN_C);
			accept_it(&scene);
		}
		assert_int_equal(node_state(scene.node, TCP_ESTABLISHED), 40);
		// These do count.
		get_cookie(&scene, 5008, ISN_C);
		node_offer(scene.node, OUTSIDE, &scene.handshake.ack);
		assert_int_equal(scene.node->verdict.reason, REASON_flow_limit);
		scene_end(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_7_a_first_proof_is_good_to_the_end),
		cmocka_unit_test(t1_7_before_the_server_answers),
		cmocka_unit_test(t1_7_after_establishment),
		cmocka_unit_test(t1_7_after_close_by_fin),
		cmocka_unit_test(t1_7_after_close_by_reset),
		cmocka_unit_test(t1_7_after_the_servers_refusal),
		cmocka_unit_test(t1_7_after_the_server_timeout),
		cmocka_unit_test(t1_7_after_the_clients_reset),
		cmocka_unit_test(t1_7_after_a_refused_incarnation),
		cmocka_unit_test(t1_7_after_an_opening_gave_way),
		cmocka_unit_test(t3_9_the_next_try_opens_at_once),
		cmocka_unit_test(a_memory_is_no_flow),
		cmocka_unit_test(guesses_at_a_memory_are_limited),
		cmocka_unit_test(late_resets_are_limited),
		cmocka_unit_test(refused_handshakes_fill_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
