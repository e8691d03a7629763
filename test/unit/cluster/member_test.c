// How nodes become one cluster and stay it: founding, joining, clusters that meet, a counter no
// single host can move, a secret that is replaced. Proves: M4, RELIABILITY 14, 15, 16, 22.
#include "base/check.h"
#include "cluster/counter.h"
#include "rogue.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

static const struct net_link good = {.delay_ns = NET_MS};
static const struct net_link bad = {
	.loss = 20, .repeat = 10, .reorder = 30, .delay_ns = 5 * NET_MS};

static struct net *make(unsigned hosts, uint32_t seed)
{
	return net_make(&(struct net_config){.hosts = hosts, .seed = seed, .link = good});
}

static struct net *make_one(unsigned hosts, uint32_t seed)
{
	struct net *net = make(hosts, seed);

	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 2000);
	return net;
}

static int64_t off_ns(const struct net *net, unsigned host, unsigned from)
{
	return (int64_t)(net_counter_ns(net, host) - net_counter_ns(net, from));
}

static const char *error_of(const struct net *net, unsigned host, unsigned peer)
{
	return cluster_peer_error(net->hosts[host].cluster, net_peer(host, peer));
}

// What is wrong with a peer is said of what it is now, not of what it was.
static void an_error_goes_with_its_reason(void **state)
{
	struct net *net = make_one(2, 1);

	(void)state;
	assert_string_equal(error_of(net, 0, 1), "");
	net_crash(net, 1);
	net->hosts[1].config.max_id = 31;
	net_boot(net, 1);
	net_run_ms(net, 8000);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_REFUSED);
	assert_non_null(strstr(error_of(net, 0, 1), "max_id = 31"));
	net_crash(net, 1);
	net_run_ms(net, 20000);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_DOWN);
	assert_string_equal(error_of(net, 0, 1), "the peer does not answer");
	net->hosts[1].config.max_id = net->hosts[0].config.max_id;
	net_boot(net, 1);
	assert_true(net_run_until(net, 10000, net_is_one));
	assert_string_equal(error_of(net, 0, 1), "");
	assert_string_equal(error_of(net, 1, 0), "");
	net_end(net);
}

// It works all the same, and says so until it is corrected.
static void a_peer_of_another_name(void **state)
{
	struct net *net = make(2, 1);
	char *name = net->hosts[0].config.peers[0].name;

	(void)state;
	snprintf(name, CLUSTER_NAME_BYTES, "host-x");
	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 2000);
	assert_string_equal(
		error_of(net, 0, 1), "it is node \"host-1\": correct its name in cluster.peers");
	assert_string_equal(error_of(net, 1, 0), "");
	net_crash(net, 1);
	snprintf(net->hosts[1].config.node, CLUSTER_NAME_BYTES, "host-x");
	net_boot(net, 1);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 2000);
	assert_string_equal(error_of(net, 0, 1), "");
	net_end(net);
}

static void a_lone_node_founds_after_join_ms(void **state)
{
	struct net *net = make(2, 1);

	(void)state;
	net_boot(net, 0);
	net_run_ms(net, 1990);
	assert_int_equal(net_stats(net, 0)->state, CLUSTER_JOINING);
	assert_false(net->hosts[0].view.decodes);
	assert_int_equal(net->hosts[0].view.active, 0);
	assert_int_equal(net_counter_ns(net, 0), 0);
	assert_int_equal(net->hosts[0].took[MESSAGE_SECRET], 0);
	net_run_ms(net, 20);
	assert_int_equal(net_stats(net, 0)->state, CLUSTER_ACTIVE);
	assert_true(net->hosts[0].view.decodes);
	assert_int_equal(net->hosts[0].view.active, 1);
	assert_in_range(net_counter_ns(net, 0), NET_COUNTER_NS, NET_COUNTER_NS + NET_S);
	assert_int_equal(net->hosts[0].took[MESSAGE_SECRET], 1);
	assert_int_equal(net->hosts[0].secrets[0].first_epoch, 0);
	assert_int_equal(net->hosts[0].secrets[0].secret_len, 32);
	assert_int_equal(net_stats(net, 0)->secret_generation, 1);
	net_end(net);
}

static void the_lowest_of_those_that_gather_founds(void **state)
{
	struct net *net = net_make(
		&(struct net_config){.hosts = 3, .seed = 1, .link = good, .ids = {9, 3, 40}});

	(void)state;
	net->hosts[1].config.counter_ns += 77 * NET_S;
	net_boot_all(net);
	assert_true(net_run_until(net, 1500, net_is_one)); // before join_ms
	assert_int_equal(net_stats(net, 0)->view, 1ULL << 9 | 1ULL << 3 | 1ULL << 40);
	for (unsigned i = 0; i < 3; i++) {
		assert_memory_equal(
			net->hosts[i].secrets[0].secret, net->hosts[1].config.secret, 32);
		assert_true(net_counter_ns(net, i) >= NET_COUNTER_NS + 77 * NET_S);
		assert_int_equal(net->hosts[i].secret_count, 1);
	}
	net_end(net);
}

// Of three counters, the one of a peer that lies is not the one in the middle.
static void joining_believes_no_single_peer(void **state)
{
	struct rogue rogue = {0};
	struct net *net = net_make(&(struct net_config){
		.hosts = 4, .seed = 1, .link = good, .raw = rogue_arrive, .context = &rogue});
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};

	(void)state;
	net_part(net, 3, true);
	for (unsigned i = 0; i < 4; i++)
		if (i != 2)
			net_boot(net, i);
	rogue_start(&rogue, net, 2, 3);
	assert_true(rogue_connect(&rogue));
	rogue_hello(&rogue, &hello);
	for (unsigned i = 0; i < 60; i++) {
		struct heartbeat beat = {.state = HEARTBEAT_ACTIVE,
			.counter_ns = NET_COUNTER_NS + 3600 * NET_S,
			.generation = {.number = 64}};

		rogue_beat(&rogue, &beat);
		net_run_ms(net, 50);
		if (i == 40)
			net_part(net, 3, false);
	}
	assert_int_equal(net_stats(net, 3)->state, CLUSTER_ACTIVE);
	assert_in_range(off_ns(net, 3, 0) + NET_S, 0, 2 * NET_S);
	rogue_finish(&rogue);
	net_end(net);
}

static void joining_takes_the_median(void **state)
{
	struct net *net = make(4, 1);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		net_boot(net, i);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_jump_clock(net, 2, 3600 * NET_S); // its counter with it
	net_boot(net, 3);
	net_run_ms(net, 1000);
	assert_int_equal(net_stats(net, 3)->state, CLUSTER_ACTIVE);
	assert_in_range(off_ns(net, 3, 0) + NET_S, 0, 2 * NET_S);
	assert_memory_equal(
		net_secret(net, 3, 0), net_secret(net, 0, 0), sizeof(struct message_secret));
	net_end(net);
}

// Two that have founded apart: whoever is ahead, and by however much, they become one, and (the net
// checks it) no counter goes back.
static void meet(int64_t ahead_ns, bool lower_is_ahead, uint64_t within_ms)
{
	struct net *net = make(2, 7);
	unsigned leader = lower_is_ahead ? 0 : 1;

	net_part(net, 1, true);
	net->hosts[leader].config.counter_ns += (uint64_t)ahead_ns;
	net_boot_all(net);
	net_run_ms(net, 3000);
	assert_int_equal(net->hosts[0].view.active, 1);
	assert_int_equal(net->hosts[1].view.active, 2);
	net_part(net, 1, false);
	assert_true(net_run_until(net, within_ms, net_is_one));
	// Nobody waits: it is the one behind that follows.
	assert_true(net_counter_ns(net, leader) <
		    NET_COUNTER_NS + (uint64_t)ahead_ns + within_ms * NET_MS + 3 * NET_S);
	assert_true(net_counter_ns(net, leader) >= NET_COUNTER_NS + (uint64_t)ahead_ns);
	net_run_ms(net, 5000);
	assert_true(net_is_one(net));
	net_end(net);
}

static void two_that_founded_apart_become_one(void **state)
{
	static const int64_t ahead_s[] = {0, 3, 15, 17, 3600, 40000000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ahead_s); i++) {
		meet(ahead_s[i] * (int64_t)NET_S, true, 5000);
		meet(ahead_s[i] * (int64_t)NET_S, false, 5000);
	}
}

// One that founded alone, while the others were together: it follows, and they do not notice.
static void latecomer(int64_t ahead_ns, uint64_t within_ms)
{
	struct net *net = make(3, 3);
	uint64_t start_ns;
	int64_t between;

	net_part(net, 4, true);
	net->hosts[2].config.counter_ns += (uint64_t)ahead_ns;
	net_boot_all(net);
	net_run_ms(net, 3000);
	assert_int_equal(net->hosts[0].view.active, 3);
	assert_int_equal(net->hosts[2].view.active, 4);
	start_ns = net_counter_ns(net, 0) - net->now_ns;
	between = off_ns(net, 0, 1);
	net_part(net, 4, false);
	assert_true(net_run_until(net, within_ms, net_is_one));
	// At most what slewing by a tick gives.
	assert_in_range(net_counter_ns(net, 0) - net->now_ns - start_ns, 0, 16 * NET_S);
	assert_in_range(off_ns(net, 0, 1) - between + (int64_t)NET_S, 0, 2 * NET_S);
	assert_int_equal(net->hosts[0].secret_count, 1);
	assert_memory_equal(net_secret(net, 2, 0)->secret, net_secret(net, 0, 0)->secret, 32);
	net_run_ms(net, 60000);
	assert_true(net_is_one(net));
	net_end(net);
}

static void latecomers_follow(void **state)
{
	(void)state;
	latecomer(0, 5000);
	latecomer(-10 * (int64_t)NET_S, 5000);
	latecomer(-3600 * (int64_t)NET_S, 5000);
	latecomer(10 * (int64_t)NET_S, 5000);
	// Ahead by more than a tick: at half speed until the others have come near.
	latecomer(40 * (int64_t)NET_S, 55000);
}

// While it waits, it can read no cookie of others, and says so.
static void who_is_ahead_waits_without_cookies(void **state)
{
	struct net *net = make(3, 3);
	uint64_t at_ns;

	(void)state;
	net_part(net, 4, true);
	net->hosts[2].config.counter_ns += 100 * NET_S;
	net_boot_all(net);
	net_run_ms(net, 3000);
	net_part(net, 4, false);
	net_run_ms(net, 5000);
	assert_int_equal(net_stats(net, 2)->state, CLUSTER_JOINING);
	assert_false(net->hosts[2].view.decodes);
	assert_int_equal(net->hosts[0].view.active, 3);
	at_ns = net_counter_ns(net, 2);
	net_run_ms(net, 10000);
	assert_in_range(net_counter_ns(net, 2) - at_ns, 5 * NET_S - NET_MS, 5 * NET_S + NET_MS);
	assert_true(net_run_until(net, 200000, net_is_one));
	net_end(net);
}

static void pairs_that_founded_apart_become_one(void **state)
{
	(void)state;
	for (unsigned ahead = 0; ahead < 4; ahead++) {
		struct net *net = make(4, 5);

		net_part(net, 3, true);
		for (unsigned i = 0; i < 4; i++)
			net->hosts[i].config.counter_ns += (i / 2 == ahead / 2) * 3600 * NET_S;
		net_boot_all(net);
		net_run_ms(net, 3000 + ahead * 100);
		assert_int_equal(net->hosts[0].view.active, 3);
		assert_int_equal(net->hosts[3].view.active, 12);
		net_part(net, 3, false);
		assert_true(net_run_until(net, 10000, net_is_one));
		assert_true(net_counter_ns(net, 0) > NET_COUNTER_NS + 3600 * NET_S);
		net_end(net);
	}
}

// The founder restarts while it is cut off, and makes a secret of its own.
static void a_founder_that_restarts_apart_joins_again(void **state)
{
	struct net *net = make_one(3, 1);

	(void)state;
	assert_memory_equal(net_secret(net, 2, 0)->secret, net->hosts[0].config.secret, 32);
	net_crash(net, 0);
	net_part(net, 1, true);
	net->hosts[0].config.counter_ns = net_counter_ns(net, 1);
	net_boot(net, 0);
	net_run_ms(net, 3000);
	assert_int_equal(net_stats(net, 0)->state, CLUSTER_ACTIVE);
	assert_int_not_equal(
		net->hosts[0].secrets[0].generation, net_secret(net, 2, 0)->generation);
	assert_memory_not_equal(net->hosts[0].secrets[0].secret, net_secret(net, 2, 0)->secret, 32);
	net_part(net, 1, false);
	assert_true(net_run_until(net, 5000, net_is_one));
	assert_int_equal(net->hosts[1].secret_count, 1);
	net_end(net);
}

// Two of four restart while they are cut off, and found: what they meet again is older, whoever has
// the higher ids, and nothing that is in flight there is lost.
static void the_older_cluster_keeps_its_secret(void **state)
{
	(void)state;
	for (unsigned restarted = 0; restarted < 4; restarted += 2) {
		struct net *net = make_one(4, 1);
		unsigned other = 2 - restarted;
		uint64_t number = net_secret(net, other, 0)->generation;

		net_crash(net, restarted);
		net_crash(net, restarted + 1);
		net_part(net, 3, true);
		for (unsigned i = restarted; i < restarted + 2; i++) {
			net->hosts[i].config.counter_ns = net_counter_ns(net, other);
			net_boot(net, i);
		}
		net_run_ms(net, 3000);
		assert_int_equal(net_stats(net, restarted)->state, CLUSTER_ACTIVE);
		assert_int_not_equal(net_secret(net, restarted, 0)->generation, number);
		net_part(net, 3, false);
		assert_true(net_run_until(net, 5000, net_is_one));
		assert_int_equal(net_secret(net, restarted, 0)->generation, number);
		assert_int_equal(net->hosts[other].secret_count, 1);
		assert_int_equal(net->hosts[other + 1].secret_count, 1);
		net_end(net);
	}
}

// The others' counters run on as if nothing had happened: within what following a lead of one tick
// could give, had it not ended.
static void expect_undisturbed(struct net *net, uint64_t ms, uint64_t slack_ns)
{
	uint64_t before[2] = {net_counter_ns(net, 0), net_counter_ns(net, 1)};

	net_run_ms(net, ms);
	for (unsigned i = 0; i < 2; i++) {
		assert_in_range(
			net_counter_ns(net, i) - before[i], ms * NET_MS, ms * NET_MS + slack_ns);
		assert_true(net->hosts[i].view.decodes);
		assert_int_equal(net->hosts[i].view.active & 3, 3);
	}
}

static void one_host_cannot_move_the_counter(void **state)
{
	struct net *net = make_one(3, 1);

	(void)state;
	// An hour off.
	net_jump_clock(net, 2, 3600 * NET_S);
	expect_undisturbed(net, 60000, 0);
	// It sees itself outnumbered, and waits.
	assert_int_equal(net_stats(net, 2)->state, CLUSTER_JOINING);
	net_end(net);
	// Ten times as fast: followed until it is a tick ahead, at 1.1 times the speed.
	net = make_one(3, 1);
	net_set_clock(net, 2, 100);
	expect_undisturbed(net, 30000, NET_S / 2);
	expect_undisturbed(net, 30000, 0);
	net_end(net);
}

// Slowly ahead: the others go along, by a tenth at most.
static void a_small_lead_is_followed_slowly(void **state)
{
	struct net *net = make_one(3, 1);
	uint64_t before = net_counter_ns(net, 0);

	(void)state;
	net_jump_clock(net, 2, 10 * NET_S);
	net_run_ms(net, 50000);
	assert_in_range(net_counter_ns(net, 0) - before, 54 * NET_S, 55 * NET_S);
	net_run_ms(net, 60000);
	assert_in_range(net_counter_ns(net, 0) - before, 119 * NET_S, 120 * NET_S);
	assert_true(net_is_one(net));
	assert_int_equal(net_stats(net, 0)->counter_refused, 0);
	net_end(net);
}

// A proven peer that lies about its counter, in every way.
static void expect_lie_ignored(uint64_t counter_ns, bool alone, uint64_t slack_ns)
{
	struct rogue rogue = {0};
	struct net *net = net_make(&(struct net_config){
		.hosts = 3, .seed = 1, .link = good, .raw = rogue_arrive, .context = &rogue});
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};

	net_boot(net, 0);
	net_boot(net, 1);
	assert_true(net_run_until(net, 10000, net_is_one));
	rogue_start(&rogue, net, 2, 0);
	assert_true(rogue_connect(&rogue));
	rogue_hello(&rogue, &hello);
	for (unsigned i = 0; i < 40; i++) {
		struct heartbeat beat = {.state = HEARTBEAT_ACTIVE,
			.alone = alone,
			.counter_ns = counter_ns,
			.generation = {.number = i % 2 ? 64 : UINT32_MAX}};

		rogue_beat(&rogue, &beat);
		expect_undisturbed(net, 50, slack_ns);
	}
	assert_int_equal(net->hosts[0].view.active, 7);
	assert_int_equal(net_stats(net, 0)->counter_refused, counter_ns > NET_COUNTER_NS ? 40 : 0);
	assert_int_equal(strstr(cluster_peer_error(net->hosts[0].cluster, 1), "s ahead") != NULL,
		counter_ns > NET_COUNTER_NS);
	rogue_finish(&rogue);
	net_end(net);
}

static void lies_about_the_counter_are_ignored(void **state)
{
	static const uint64_t lies[] = {0, 1, NET_COUNTER_NS / 2, NET_COUNTER_NS * 2,
		COUNTER_SANE_NS - 1, COUNTER_SANE_NS, UINT64_MAX - 1, UINT64_MAX};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(lies); i++) {
		expect_lie_ignored(lies[i], false, 0);
		expect_lie_ignored(lies[i], true, 0);
	}
}

// A node that is alone follows who is ahead; but not to the end of time.
static void insane_counters_are_not_followed(void **state)
{
	struct rogue rogue = {0};
	struct net *net = net_make(&(struct net_config){
		.hosts = 2, .seed = 1, .link = good, .raw = rogue_arrive, .context = &rogue});
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};
	uint64_t before;

	(void)state;
	net_boot(net, 0);
	net_run_ms(net, 3000);
	before = net_counter_ns(net, 0) - net->now_ns;
	rogue_start(&rogue, net, 1, 0);
	assert_true(rogue_connect(&rogue));
	rogue_hello(&rogue, &hello);
	for (unsigned i = 0; i < 20; i++) {
		struct heartbeat beat = {.state = HEARTBEAT_ACTIVE,
			.alone = i & 1,
			.counter_ns = i & 2 ? COUNTER_SANE_NS : UINT64_MAX,
			.generation = {.number = 65}};

		rogue_beat(&rogue, &beat);
		net_run_ms(net, 50);
		assert_int_equal(net_stats(net, 0)->state, CLUSTER_ACTIVE);
		assert_int_equal(net_counter_ns(net, 0) - net->now_ns, before);
	}
	assert_true(net_stats(net, 0)->counter_refused >= 19);
	rogue_finish(&rogue);
	net_end(net);
}

static void a_lead_ends_with_its_peer(void **state)
{
	struct net *net = make_one(3, 1);
	uint64_t before = net_counter_ns(net, 0);

	(void)state;
	net_jump_clock(net, 2, 10 * NET_S);
	net_run_ms(net, 5000);
	assert_true(net_counter_ns(net, 0) - before > 5 * NET_S + NET_S / 4);
	net_crash(net, 2);
	net_run_ms(net, 1000);
	expect_undisturbed(net, 10000, 0);
	net_end(net);
}

// A newcomer that founded alone changes nobody's secret; a member may.
static void secrets_come_from_members(void **state)
{
	struct rogue rogue = {0};
	struct net *net = net_make(&(struct net_config){
		.hosts = 3, .seed = 1, .link = good, .raw = rogue_arrive, .context = &rogue});
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};
	struct secret secret = {.generation = {.number = 1ULL << 63}, .bytes = {0xee}};

	(void)state;
	net_boot(net, 0);
	net_boot(net, 1);
	assert_true(net_run_until(net, 10000, net_is_one));
	rogue_start(&rogue, net, 2, 0);
	assert_true(rogue_connect(&rogue));
	rogue_hello(&rogue, &hello);
	for (unsigned alone = 1; alone < 2; alone--) {
		struct heartbeat beat = {.state = HEARTBEAT_ACTIVE,
			.alone = alone,
			.counter_ns = net_counter_ns(net, 0),
			.generation = secret.generation};
		uint8_t data[128];
		struct cursor out = cursor_write(data, sizeof(data));

		rogue_beat(&rogue, &beat);
		net_run_ms(net, 20);
		assert_true(secret_put(&out, &secret, secret.generation));
		rogue_say(&rogue, true, data, (size_t)(out.at - data));
		net_run_ms(net, 20);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(net_secret(net, i, UINT32_MAX)->secret[0] == 0xee, !alone);
	}
	rogue_finish(&rogue);
	net_end(net);
}

// All hosts that can read cookies use the same secret in the epoch that is now.
static bool agree(const struct net *net)
{
	const struct message_secret *first = NULL;
	uint32_t epoch = 0;

	for (unsigned i = 0; i < net->config.hosts; i++) {
		const struct message_secret *own;

		if (net->hosts[i].cluster == NULL || !net->hosts[i].view.decodes)
			continue;
		if (first == NULL)
			epoch = keyring_epoch((uint32_t)(net_counter_ns(net, i) / KEYRING_TICK_NS));
		own = net_secret(net, i, epoch);
		if (own == NULL || (first != NULL && memcmp(own->secret, first->secret, 32) != 0))
			return false;
		first = own;
	}
	return true;
}

static void rotate(struct net *net, unsigned host, uint8_t fill)
{
	uint8_t secret[32];

	memset(secret, fill, sizeof(secret));
	assert_int_equal(cluster_rotate(net->hosts[host].cluster, secret), 0);
	net->hosts[host].wake_ns = net->now_ns;
}

static void rotations_count_from_the_epoch_after_the_next(void **state)
{
	struct net *net = make_one(3, 1);
	uint32_t epoch = keyring_epoch((uint32_t)(net_counter_ns(net, 0) / KEYRING_TICK_NS));

	(void)state;
	rotate(net, 1, 0x99);
	net_run_ms(net, 10);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(net_stats(net, i)->secret_generation, 2);
		assert_int_equal(
			net_secret(net, i, epoch + 1)->secret[0], net->hosts[0].config.secret[0]);
		assert_int_equal(net_secret(net, i, epoch + 2)->secret[0], 0x99);
		assert_int_equal(net_secret(net, i, epoch + 2)->first_epoch, epoch + 2);
	}
	assert_true(net_is_one(net));
	net_end(net);
}

static void only_an_active_node_rotates(void **state)
{
	struct net *net = make(2, 1);
	uint8_t secret[32] = {0};

	(void)state;
	net_boot(net, 0);
	assert_true(cluster_rotate(net->hosts[0].cluster, secret) < 0);
	net_end(net);
}

// Two at the same time, on two nodes: all nodes choose the same one.
static void concurrent_rotations_agree(void **state)
{
	struct net *net = make_one(3, 1);

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		rotate(net, i % 3, 0x10);
		rotate(net, (i + 1) % 3, 0x20);
		if (i % 2)
			net_run_ms(net, 1);
		rotate(net, i % 3, 0x30);
		net_run_ms(net, 500);
		assert_true(net_is_one(net));
		for (unsigned second = 0; second < 3; second++) {
			net_run_ms(net, 1000 + net_choose(net, 60000));
			assert_true(agree(net));
		}
	}
	net_end(net);
}

static void rotations_survive_bad_weather(void **state)
{
	struct net *net = make_one(3, 1);

	(void)state;
	net_set_links(net, &bad);
	for (unsigned i = 0; i < 100; i++) {
		rotate(net, net_choose(net, 3), (uint8_t)i);
		for (unsigned n = 0; n < 10; n++) {
			net_run_ms(net, 3000);
			assert_true(agree(net));
		}
	}
	net_set_links(net, &good);
	assert_true(net_run_until(net, 10000, net_is_one));
	assert_true(net_stats(net, 0)->secret_generation >= 100);
	net_end(net);
}

// Two that were founded apart, and the one whose secret would have given way has rotated: until the
// new secret counts, both use that node's first one, too.
static void rotation_before_clusters_meet(void **state)
{
	(void)state;
	for (unsigned host = 0; host < 2; host++) {
		struct net *net = make(2, 1);

		net_part(net, 1, true);
		net_boot_all(net);
		net_run_ms(net, 3000);
		rotate(net, host, 0x55);
		net_run_ms(net, 100);
		net_part(net, 1, false);
		assert_true(net_run_until(net, 5000, net_is_one));
		for (unsigned second = 0; second < 100; second++) {
			assert_true(agree(net));
			net_run_ms(net, 1000);
		}
		net_end(net);
	}
}

// Who was cut off, or joins between the rotation and its first epoch, has both secrets.
static void rotations_reach_who_was_away(void **state)
{
	struct net *net = make_one(3, 1);
	uint32_t epoch;

	(void)state;
	rotate(net, 0, 0x66);
	net_run_ms(net, 120000);
	net_crash(net, 1);
	net_part(net, 4, true);
	net_run_ms(net, 1000);
	rotate(net, 0, 0x77);
	net_run_ms(net, 5000);
	net_boot(net, 1);
	net_run_ms(net, 1000);
	net_part(net, 4, false);
	assert_true(net_run_until(net, 5000, net_is_one));
	epoch = keyring_epoch((uint32_t)(net_counter_ns(net, 0) / KEYRING_TICK_NS));
	for (unsigned i = 0; i < 3; i++) {
		assert_memory_equal(
			net_secret(net, i, epoch)->secret, net_secret(net, 0, epoch)->secret, 32);
		assert_int_equal(net_secret(net, i, epoch + 3)->secret[0], 0x77);
	}
	assert_int_equal(net_secret(net, 1, epoch)->secret[0], 0x66);
	assert_true(agree(net));
	net_end(net);
}

static void draining_nodes_say_so(void **state)
{
	struct net *net = make_one(2, 1);

	(void)state;
	cluster_drain(net->hosts[1].cluster);
	assert_int_equal(cluster_idle_ns(net->hosts[1].cluster, net_clock_ns(net, 1)), 0);
	net->hosts[1].wake_ns = net->now_ns;
	net_run_ms(net, 5);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_DRAINING);
	assert_int_equal(net_stats(net, 1)->state, CLUSTER_DRAINING);
	assert_int_equal(net->hosts[0].view.active, 1);
	net_run_ms(net, 1000);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_DRAINING);
	// It can still be joined through.
	net_crash(net, 0);
	net_boot(net, 0);
	net_run_ms(net, 1000);
	assert_int_equal(net_stats(net, 0)->state, CLUSTER_ACTIVE);
	assert_memory_equal(net_secret(net, 0, 0)->secret, net_secret(net, 1, 0)->secret, 32);
	net_end(net);
}

// Cuts, crashes and weather at random; at the end, when all is well, one cluster.
static void storm(uint32_t seed)
{
	struct net *net = make(4, seed);

	net_set_links(net, &bad);
	net_boot_all(net);
	for (unsigned step = 0; step < 60; step++) {
		unsigned host = net_choose(net, 4);

		switch (net_choose(net, 6)) {
		case 0:
			if (net->hosts[host].cluster != NULL)
				net_crash(net, host);
			else
				net_boot(net, host);
			break;
		case 1:
			net_part(net, 1 + net_choose(net, 14), true);
			break;
		case 2:
			net_cut(net, host, net_choose(net, 4), true);
			break;
		case 3:
			if (net->hosts[host].cluster != NULL &&
				net_stats(net, host)->state == CLUSTER_ACTIVE)
				rotate(net, host, (uint8_t)step);
			break;
		case 4:
			net->hosts[host].stopped = !net->hosts[host].stopped;
			break;
		default:
			net_set_links(net, &bad);
			break;
		}
		net_run_ms(net, net_choose(net, 3000));
	}
	net_set_links(net, &good);
	for (unsigned i = 0; i < 4; i++) {
		net->hosts[i].stopped = false;
		if (net->hosts[i].cluster == NULL)
			net_boot(net, i);
	}
	assert_true(net_run_until(net, 600000, net_is_one));
	net_run_ms(net, 120000);
	assert_true(net_is_one(net));
	assert_true(agree(net));
	net_end(net);
}

static void storms_end_in_one_cluster(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= net_seeds(12, 400); seed++)
		storm(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_goes_with_its_reason),
		cmocka_unit_test(a_peer_of_another_name),
		cmocka_unit_test(a_lone_node_founds_after_join_ms),
		cmocka_unit_test(the_lowest_of_those_that_gather_founds),
		cmocka_unit_test(joining_takes_the_median),
		cmocka_unit_test(joining_believes_no_single_peer),
		cmocka_unit_test(two_that_founded_apart_become_one),
		cmocka_unit_test(latecomers_follow),
		cmocka_unit_test(who_is_ahead_waits_without_cookies),
		cmocka_unit_test(pairs_that_founded_apart_become_one),
		cmocka_unit_test(a_founder_that_restarts_apart_joins_again),
		cmocka_unit_test(the_older_cluster_keeps_its_secret),
		cmocka_unit_test(one_host_cannot_move_the_counter),
		cmocka_unit_test(a_small_lead_is_followed_slowly),
		cmocka_unit_test(lies_about_the_counter_are_ignored),
		cmocka_unit_test(insane_counters_are_not_followed),
		cmocka_unit_test(secrets_come_from_members),
		cmocka_unit_test(a_lead_ends_with_its_peer),
		cmocka_unit_test(rotations_count_from_the_epoch_after_the_next),
		cmocka_unit_test(only_an_active_node_rotates),
		cmocka_unit_test(concurrent_rotations_agree),
		cmocka_unit_test(rotations_survive_bad_weather),
		cmocka_unit_test(rotation_before_clusters_meet),
		cmocka_unit_test(rotations_reach_who_was_away),
		cmocka_unit_test(draining_nodes_say_so),
		cmocka_unit_test(storms_end_in_one_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
