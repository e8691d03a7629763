// Proves: RELIABILITY 5 lines 3 to 5, WIRE.md section 1: how channels get keys, change and lose
// them.
#include "world.h"

#include "base/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define HANDSHAKE_HEADER 24

static void both_get_keys(void **state)
{
	struct world *world = world_new();
	struct pair *pair = &world->pair;
	uint8_t data[DATAGRAM_BYTES_MAX];

	(void)state;
	assert_false(channel_is_up(pair->ends[0].channel));
	assert_int_equal(pair_seal(pair, 0, 1, data), 0);
	assert_true(pair_connect(pair, MS, 10 * MS)); // two round trips, no timer
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pair->ends[i].ups, 1);
		assert_int_equal(counter_get(&world_stats(world, i)->handshakes), 1);
		assert_int_equal(counter_get(&world_stats(world, i)->rekeys), 0);
		assert_int_equal(counter_get(&world_stats(world, i)->bad_auth), 0);
		assert_int_equal(channel_peer_incarnation(pair->ends[i].channel),
			pair->ends[1 - i].config.incarnation);
		assert_string_equal(channel_error(pair->ends[i].channel), "");
	}
	world_assert_works(world);
	world_end(world);
}

static void a_bad_wire(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 50; seed++) {
		struct world *world = world_new();
		struct pair *pair = &world->pair;

		pair->random = seed;
		pair->loss = 30;
		pair->repeat = 20;
		pair->reorder = 30;
		assert_true(pair_connect(pair, 10 * MS, 30 * SECOND));
		pair_run(pair, SECOND);
		assert_int_equal(pair->ends[0].ups, 1);
		assert_int_equal(pair->ends[1].ups, 1);
		pair->loss = pair->repeat = pair->reorder = 0;
		pair_run(pair, 100 * MS);
		world_assert_works(world);
		world_end(world);
	}
}

static void nobody_there(void **state)
{
	struct world *world = world_new();
	unsigned said = 0;

	(void)state;
	world->pair.loss = 100;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t data[DATAGRAM_BYTES_MAX];

		said += channel_poll(world->pair.ends[CLIENT].channel, world->pair.now_ns, data) >
			0;
		assert_true(i > 0 || said == 1); // the first at once
		assert_int_equal(
			channel_poll(world->pair.ends[SERVER].channel, world->pair.now_ns, data),
			0);
		world->pair.now_ns += 10 * MS;
	}
	assert_in_range(said, 10, 14); // in 10 s
	assert_int_equal(world->contexts[CLIENT].started, 0);
	world_end(world);
}

static void another_secret(void **state)
{
	struct world *world = world_new();
	struct pair *pair = &world->pair;

	(void)state;
	world->contexts[SERVER].secret[31] ^= 1;
	assert_false(pair_connect(pair, 10 * MS, 20 * SECOND));
	assert_string_equal(
		channel_error(pair->ends[SERVER].channel), "the peer has another secret");
	assert_string_equal(channel_error(pair->ends[CLIENT].channel), "the peer does not answer");
	assert_in_range(counter_get(&world_stats(world, SERVER)->bad_auth), 2, 30);
	// What it was refused for lately says more than that it does not answer, for a while.
	uint8_t stranger[24] = {1, 1, 0xff, 0xff}, *plain;
	size_t plain_len;
	channel_feed(pair->ends[CLIENT].channel, pair->now_ns, stranger, sizeof(stranger), &plain,
		&plain_len);
	pair_run(pair, 10 * SECOND);
	assert_non_null(strstr(channel_error(pair->ends[CLIENT].channel), "another cluster"));
	pair_run(pair, 20 * SECOND);
	assert_string_equal(channel_error(pair->ends[CLIENT].channel), "the peer does not answer");
	assert_int_equal(pair->ends[0].ups + pair->ends[1].ups, 0);
	world->contexts[SERVER].secret[31] ^= 1;
	assert_true(pair_connect(pair, 10 * MS, 10 * SECOND));
	assert_string_equal(channel_error(pair->ends[SERVER].channel), "");
	assert_string_equal(channel_error(pair->ends[CLIENT].channel), "");
	world_end(world);
}

static void rename_cluster(struct world *world, unsigned end, const char *name)
{
	snprintf(world->pair.ends[end].config.cluster, CLUSTER_NAME_BYTES, "%s", name);
	pair_restart(&world->pair, end);
}

static void another_cluster(void **state)
{
	struct world *world = world_new();
	struct pair *pair = &world->pair;
	char name[CLUSTER_NAME_BYTES];

	(void)state;
	rename_cluster(world, SERVER, "lob");
	assert_false(pair_connect(pair, 10 * MS, 3 * SECOND));
	assert_string_equal(channel_error(pair->ends[SERVER].channel),
		"the peer belongs to another cluster than lob");
	assert_string_equal(channel_error(pair->ends[CLIENT].channel),
		"the peer belongs to another cluster than lab");
	for (unsigned i = 0; i < 2; i++)
		assert_true(channel_is_refused(pair->ends[i].channel, pair->now_ns));
	assert_true(counter_get(&world_stats(world, SERVER)->bad_auth) >= 3);
	// A name with the same tag is told apart by the keys, which are bound to it.
	for (unsigned i = 0; snprintf(name, sizeof(name), "c%u", i) > 0; i++)
		if (world_tag(name) == world_tag("lab"))
			break;
	rename_cluster(world, SERVER, name);
	assert_false(pair_connect(pair, 10 * MS, 10 * SECOND));
	assert_true(counter_get(&world_stats(world, SERVER)->handshakes) >= 1);
	assert_true(counter_get(&world_stats(world, SERVER)->bad_auth) >= 1);
	assert_int_equal(pair->ends[0].ups + pair->ends[1].ups, 0);
	world_end(world);
}

static void another_id(void **state)
{
	struct world *world = world_new();
	struct pair *pair = &world->pair;

	(void)state;
	pair->ends[CLIENT].config.id = 2;
	pair_restart(pair, CLIENT);
	assert_false(pair_connect(pair, 10 * MS, 3 * SECOND));
	assert_string_equal(channel_error(pair->ends[SERVER].channel),
		"the peer says its id is 2, which is configured as 3");
	assert_true(counter_get(&world_stats(world, SERVER)->bad_auth) >= 3);
	world_end(world);
}

// The mistake is in the cluster.peers of one: both know of it.
static void another_id_of_the_peer(void **state)
{
	struct world *world = world_new();
	struct pair *pair = &world->pair;

	(void)state;
	pair->ends[SERVER].config.peer = 9;
	pair_restart(pair, SERVER);
	assert_false(pair_connect(pair, 10 * MS, 3 * SECOND));
	assert_string_equal(channel_error(pair->ends[SERVER].channel),
		"the peer says its id is 3, which is configured as 9");
	assert_string_equal(channel_error(pair->ends[CLIENT].channel),
		"the peer takes this node for another one than id 3: correct its cluster.peers");
	for (unsigned i = 0; i < 2; i++)
		assert_true(channel_is_refused(pair->ends[i].channel, pair->now_ns));
	world_end(world);
}

// The former keys are still there, but nobody is heard under them; and the client goes on with the
// server's former life, which it names.
static void one_that_comes_back_as_another_is_told_apart(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;

	(void)state;
	world_assert_works(world);
	pair->ends[SERVER].config.id = 8;
	pair_restart(pair, SERVER);
	channel_restart(pair->ends[CLIENT].channel, pair->now_ns, 0);
	pair_run(pair, 3 * SECOND);
	assert_true(channel_is_up(pair->ends[CLIENT].channel));
	assert_string_equal(channel_error(pair->ends[CLIENT].channel),
		"the peer says its id is 8, which is configured as 7");
	rename_cluster(world, SERVER, "lob");
	pair_run(pair, 10 * SECOND);
	assert_string_equal(channel_error(pair->ends[CLIENT].channel),
		"the peer belongs to another cluster than lab");
	world_end(world);
}

// A stranger's question and attempt have one answer, an answer none; and they disturb nobody who is
// connected.
static void strangers_are_answered_once(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;
	uint8_t data[DATAGRAM_BYTES_MAX], *plain;
	size_t plain_len;

	(void)state;
	world_assert_works(world);
	for (unsigned end = 0; end < 2; end++) {
		for (unsigned receiver = 0; receiver < 3; receiver++) {
			uint8_t stranger[HANDSHAKE_HEADER + 1] = {1, 1, 0xff, 0xff, 0, 5, [15] = 1};
			size_t len = HANDSHAKE_HEADER + receiver / 2;
			struct channel *channel = pair->ends[end].channel;

			while (channel_poll(channel, pair->now_ns, data) > 0)
				;
			stranger[23] = (uint8_t)receiver;
			channel_feed(channel, pair->now_ns, stranger, len, &plain, &plain_len);
			assert_int_equal(channel_poll(channel, pair->now_ns, data),
				end == SERVER && receiver != 1 ? HANDSHAKE_HEADER : 0);
			assert_string_equal(channel_error(channel), "");
		}
	}
	world_assert_works(world);
	world_end(world);
}

// Sends in both directions for a while; what the wire did not lose has arrived, once.
static void assert_load(struct world *world, unsigned turns, unsigned rekey_each)
{
	struct pair *pair = &world->pair;
	uint64_t sum = 0;

	for (unsigned i = 1; i <= turns; i++) {
		for (unsigned j = 0; j < 4; j++) {
			assert_true(pair_send(pair, j % 2, i));
			sum += i;
		}
		if (rekey_each > 0 && i % rekey_each == 0)
			channel_rekey(pair->ends[i / rekey_each % 2].channel);
		pair_turn(pair);
		pair->now_ns += 10 * MS;
	}
	pair->reorder = 0;
	pair_run(pair, 10 * MS);
	assert_int_equal(pair->ends[0].records + pair->ends[1].records + pair->lost, 4 * turns);
	if (pair->lost == 0)
		assert_int_equal(pair->ends[0].sum + pair->ends[1].sum, sum);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pair->ends[i].ups, 1);
		assert_int_equal(counter_get(&world_stats(world, i)->bad_auth), 0);
	}
}

static void rekey_loses_nothing(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++) {
		struct world *world = world_up();

		world->pair.random = seed;
		world->pair.repeat = 10;
		world->pair.reorder = 40;
		assert_load(world, 5000, 120);
		assert_in_range(counter_get(&world_stats(world, CLIENT)->rekeys), 35, 41);
		assert_true(counter_get(&world_stats(world, CLIENT)->replayed) > 100);
		world_end(world);
	}
}

static void rekey_loses_nothing_but_to_the_wire(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++) {
		struct world *world = world_up();

		world->pair.random = seed;
		world->pair.repeat = 10;
		world->pair.reorder = 40;
		world->pair.loss = 20;
		assert_load(world, 5000, 50);
		assert_true(counter_get(&world_stats(world, CLIENT)->rekeys) >= 30);
		assert_true(world->pair.lost > 1000);
		world_end(world);
	}
}

static void rekey_by_age_and_by_records(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;

	(void)state;
	pair_run(pair, 119 * SECOND);
	assert_int_equal(counter_get(&world_stats(world, CLIENT)->rekeys), 0);
	pair_run(pair, 3 * SECOND);
	assert_int_equal(counter_get(&world_stats(world, CLIENT)->rekeys), 1);
	world_assert_works(world);
	for (unsigned i = 0; i < 2; i++) {
		pair->ends[i].config.rekey_records = 100;
		pair_restart(pair, i);
	}
	assert_true(pair_connect(pair, 10 * MS, SECOND));
	world_assert_works(world);
	// Either side's records count.
	for (unsigned from = 0; from < 2; from++) {
		assert_int_equal(counter_get(&world_stats(world, CLIENT)->rekeys), from);
		for (unsigned i = 0; i < 100; i++)
			assert_true(pair_send(pair, from, 1));
		pair_run(pair, 500 * MS);
		world_assert_works(world);
	}
	assert_int_equal(counter_get(&world_stats(world, CLIENT)->rekeys), 2);
	world_end(world);
}

static uint16_t key_id_of(struct pair *pair, unsigned end)
{
	uint8_t data[DATAGRAM_BYTES_MAX];

	assert_true(pair_seal(pair, end, 1, data) > 0);
	return be16_get(data + 6);
}

// Make before break: who seals with which keys when.
static void when_keys_change(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;
	uint8_t early[DATAGRAM_BYTES_MAX], late[DATAGRAM_BYTES_MAX];
	const uint16_t first = key_id_of(pair, CLIENT), second = (uint16_t)(first + 1);
	size_t len;

	(void)state;
	pair_run(pair, SECOND);
	len = pair_seal(pair, CLIENT, 1, early);
	assert_int_equal(pair_seal(pair, CLIENT, 1, late), len);
	channel_rekey(pair->ends[CLIENT].channel);
	pair_turn(pair);
	pair_turn(pair);
	assert_int_equal(counter_get(&world_stats(world, CLIENT)->handshakes), 2);
	assert_int_equal(key_id_of(pair, CLIENT), first); // both have them, none was heard
	assert_int_equal(key_id_of(pair, SERVER), first);
	pair_turn(pair); // the client's empty record
	assert_int_equal(key_id_of(pair, CLIENT), first);
	assert_int_equal(key_id_of(pair, SERVER), second);
	assert_true(pair_send(pair, SERVER, 1) && pair_send(pair, CLIENT, 1));
	pair_turn(pair);
	assert_int_equal(pair->ends[CLIENT].records + pair->ends[SERVER].records, 2);
	assert_int_equal(key_id_of(pair, CLIENT), second);
	pair->now_ns += 5 * SECOND - 1;
	assert_int_equal(pair_inject(pair, SERVER, early, len), CHANNEL_RECORD);
	pair->now_ns += 1;
	assert_int_equal(pair_inject(pair, SERVER, late, len), CHANNEL_NOTHING);
	world_assert_works(world);
	world_end(world);
}

// The handshake is done, then the wire is cut: the keys before go on, other ones are made.
static void keys_nobody_is_heard_under(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;
	const uint16_t first = key_id_of(pair, CLIENT);

	(void)state;
	pair_run(pair, SECOND);
	channel_rekey(pair->ends[CLIENT].channel);
	pair_turn(pair);
	pair_turn(pair);
	pair->loss = 100;
	pair_run(pair, 5 * SECOND);
	pair->loss = 0;
	assert_int_equal(key_id_of(pair, CLIENT), first);
	pair_turn(pair);
	assert_string_equal(channel_error(pair->ends[CLIENT].channel),
		"the peer does not use the keys that were agreed on");
	world_assert_works(world);
	pair_run(pair, 2 * SECOND);
	assert_int_equal(counter_get(&world_stats(world, CLIENT)->rekeys), 1);
	assert_string_equal(channel_error(pair->ends[CLIENT].channel), "");
	assert_int_equal(pair->ends[0].ups + pair->ends[1].ups, 2);
	world_assert_works(world);
	world_end(world);
}

// The network repeats a first flight when its handshake is long over.
static void a_late_flight_starts_nothing(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;
	uint8_t flight[DATAGRAM_BYTES_MAX];
	size_t len;

	(void)state;
	world_assert_works(world);
	pair_run(pair, SECOND);
	channel_rekey(pair->ends[CLIENT].channel);
	len = channel_poll(pair->ends[CLIENT].channel, pair->now_ns, flight);
	assert_true(len > HANDSHAKE_HEADER);
	pair_inject(pair, SERVER, flight, len);
	pair_run(pair, SECOND);
	world_assert_works(world);
	for (unsigned i = 0; i < 20; i++, pair_run(pair, SECOND)) {
		pair_inject(pair, SERVER, flight, len);
		world_assert_works(world);
	}
	assert_int_equal(world->contexts[SERVER].started, 2);
	assert_int_equal(counter_get(&world_stats(world, SERVER)->handshakes), 2);
	world_end(world);
}

static void a_client_restarts(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;
	uint8_t former[DATAGRAM_BYTES_MAX];
	size_t len;

	(void)state;
	world_assert_works(world);
	len = pair_seal(pair, CLIENT, 9, former);
	pair_restart(pair, CLIENT);
	assert_true(channel_is_up(pair->ends[SERVER].channel));
	assert_true(pair_connect(pair, 10 * MS, SECOND));
	assert_int_equal(pair->ends[SERVER].ups, 2);
	assert_int_equal(pair->ends[CLIENT].ups, 2);
	assert_int_equal(channel_peer_incarnation(pair->ends[SERVER].channel), 0x1001);
	world_assert_works(world);
	// A record of the former life belongs to no association any more.
	assert_int_equal(pair_inject(pair, SERVER, former, len), CHANNEL_NOTHING);
	world_end(world);
}

// The server waits for new keys from a client that is gone, asking each second, when the client
// comes back and its first bytes are damaged on the way.
static void a_client_restarts_while_asked(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;
	uint8_t data[DATAGRAM_BYTES_MAX];
	size_t len;

	(void)state;
	channel_rekey(pair->ends[SERVER].channel);
	pair->loss = 100;
	pair_run(pair, 5 * SECOND);
	pair_restart(pair, CLIENT);
	pair->loss = 0;
	pair_turn(pair); // its question
	pair_turn(pair); // the answer
	len = channel_poll(pair->ends[CLIENT].channel, pair->now_ns, data);
	assert_true(len > HANDSHAKE_HEADER);
	data[len - 1] ^= 1;
	pair_inject(pair, SERVER, data, len);
	assert_int_equal(counter_get(&world_stats(world, SERVER)->bad_auth), 1);
	pair_run(pair, 2500 * MS);
	assert_int_equal(pair->ends[SERVER].ups, 2);
	world_assert_works(world);
	world_end(world);
}

static void a_server_restarts(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;

	(void)state;
	world_assert_works(world);
	pair_restart(pair, SERVER);
	assert_true(pair_send(pair, CLIENT, 1));
	pair_run(pair, SECOND);
	assert_false(channel_is_up(pair->ends[SERVER].channel));
	assert_int_equal(counter_get(&world_stats(world, SERVER)->bad_auth), 1);
	channel_restart(pair->ends[CLIENT].channel, pair->now_ns, 0); // it hears nothing
	pair_run(pair, SECOND);
	assert_int_equal(pair->ends[CLIENT].ups, 2);
	assert_int_equal(channel_peer_incarnation(pair->ends[CLIENT].channel), 0x2001);
	world_assert_works(world);
	// In the middle of a handshake: the server has its keys, the client not yet.
	channel_restart(pair->ends[CLIENT].channel, pair->now_ns, 0);
	pair_turn(pair);
	pair_restart(pair, SERVER);
	pair_run(pair, SECOND);
	assert_int_equal(pair->ends[SERVER].ups, 3);
	assert_int_equal(pair->ends[CLIENT].ups, 3);
	world_assert_works(world);
	world_end(world);
}

// The server ends right behind a handshake, the first or another: what the client has tried for a
// while it does not try for ever.
static void a_server_restarts_behind_a_handshake(void **state)
{
	(void)state;
	for (unsigned up = 0; up < 2; up++) {
		struct world *world = up ? world_up() : world_new();
		struct pair *pair = &world->pair;

		if (up) {
			pair_run(pair, SECOND);
			channel_rekey(pair->ends[CLIENT].channel);
		}
		for (unsigned i = 0; i < 5 && world_stats(world, CLIENT)->handshakes == up; i++)
			pair_turn(pair);
		pair_restart(pair, SERVER);
		pair_run(pair, SECOND + SECOND / 2);
		channel_restart(pair->ends[CLIENT].channel, pair->now_ns, 0); // it hears nothing
		pair_run(pair, SECOND / 2);
		assert_int_equal(channel_peer_incarnation(pair->ends[CLIENT].channel), 0x2001);
		world_assert_works(world);
		world_end(world);
	}
}

static void both_restart(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		struct world *world = world_up();
		struct pair *pair = &world->pair;

		pair->random = seed;
		pair->loss = seed;
		pair_restart(pair, 0);
		pair_restart(pair, 1);
		assert_true(pair_connect(pair, 10 * MS, 30 * SECOND));
		pair->loss = 0;
		pair_run(pair, 100 * MS);
		assert_int_equal(pair->ends[0].ups, 2);
		assert_int_equal(pair->ends[1].ups, 2);
		world_assert_works(world);
		world_end(world);
	}
}

// The same two lives meet again: no new association.
static void a_partition_heals(void **state)
{
	struct world *world = world_up();
	struct pair *pair = &world->pair;

	(void)state;
	world_assert_works(world);
	pair->loss = 100;
	for (unsigned i = 0; i < 600; i++) {
		channel_restart(pair->ends[0].channel, pair->now_ns, 0);
		channel_restart(pair->ends[1].channel, pair->now_ns, 0);
		pair_run(pair, 100 * MS);
	}
	assert_string_equal(channel_error(pair->ends[CLIENT].channel), "the peer does not answer");
	assert_in_range(world->contexts[CLIENT].started, 8, 15); // in 60 s
	pair->loss = 0;
	pair_run(pair, 8 * SECOND);
	world_assert_works(world);
	assert_int_equal(pair->ends[0].ups, 1);
	assert_int_equal(pair->ends[1].ups, 1);
	assert_true(counter_get(&world_stats(world, CLIENT)->rekeys) >= 1);
	assert_string_equal(channel_error(pair->ends[CLIENT].channel), "");
	world_end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_get_keys),
		cmocka_unit_test(a_bad_wire),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(another_secret),
		cmocka_unit_test(another_cluster),
		cmocka_unit_test(another_id),
		cmocka_unit_test(another_id_of_the_peer),
		cmocka_unit_test(one_that_comes_back_as_another_is_told_apart),
		cmocka_unit_test(strangers_are_answered_once),
		cmocka_unit_test(rekey_loses_nothing),
		cmocka_unit_test(rekey_loses_nothing_but_to_the_wire),
		cmocka_unit_test(rekey_by_age_and_by_records),
		cmocka_unit_test(when_keys_change),
		cmocka_unit_test(keys_nobody_is_heard_under),
		cmocka_unit_test(a_late_flight_starts_nothing),
		cmocka_unit_test(a_client_restarts),
		cmocka_unit_test(a_client_restarts_while_asked),
		cmocka_unit_test(a_server_restarts),
		cmocka_unit_test(a_server_restarts_behind_a_handshake),
		cmocka_unit_test(both_restart),
		cmocka_unit_test(a_partition_heals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
