// What services announce is the same at all nodes, in every epoch: whoever learnt it, whoever
// leads, whoever joins, dies or was cut off. Proves: TCP.md 2.13 in a cluster, M5 (the profiles),
// RELIABILITY 14, 15.
#include "base/check.h"
#include "cluster/profile.h"
#include "rogue.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define HOSTS	 4
#define EPOCH_NS (KEYRING_TICKS_PER_EPOCH * KEYRING_TICK_NS)
#define EPOCHS	 64 // around the founder's first
#define EPOCH_0	 ((uint32_t)(NET_COUNTER_NS / EPOCH_NS))

// What the control core of each host was told, by epoch; of service 0.
struct ledger {
	struct rogue rogue; // first: it is the net's context, too
	struct profile told[HOSTS][EPOCHS];
	unsigned count[HOSTS];	 // PROFILES told
	uint64_t told_ns[HOSTS]; // the first ones of a life
	unsigned late[HOSTS];	 // that changed an epoch that had begun
	struct message last[HOSTS];
};

static const struct net_link good = {.delay_ns = NET_MS};
static const struct net_link bad = {
	.loss = 20, .repeat = 10, .reorder = 30, .delay_ns = 5 * NET_MS};

static uint32_t epoch_of(const struct net *net, unsigned host)
{
	return (uint32_t)(net_counter_ns(net, host) / EPOCH_NS);
}

static struct profile *told(struct net *net, unsigned host, uint32_t epoch)
{
	struct ledger *ledger = net->config.context;

	CHECK(epoch >= EPOCH_0 && epoch < EPOCH_0 + EPOCHS);
	return &ledger->told[host][epoch - EPOCH_0];
}

static void take(struct net *net, unsigned host, const struct message *message)
{
	struct ledger *ledger = net->config.context;
	uint32_t epoch = message->body.epoch.keys.epoch;
	const struct profile *now = &message->body.epoch.profiles[net->hosts[host].service.id];
	struct profile *former;

	if (message->type != MESSAGE_PROFILES)
		return;
	assert_int_equal(message->worker, WORKER_ALL);
	assert_int_equal(message->node, NODE_NONE);
	former = told(net, host, epoch);
	if (former->mss != 0 && epoch <= epoch_of(net, host))
		ledger->late[host] += memcmp(former, now, sizeof(*now)) != 0;
	if (ledger->count[host]++ == 0)
		ledger->told_ns[host] = net->now_ns;
	*former = *now;
	ledger->last[host] = *message;
}

static struct net *make(unsigned hosts, uint32_t seed)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	CHECK(ledger != NULL);
	return net_make(&(struct net_config){.hosts = hosts,
		.seed = seed,
		.link = good,
		.take = take,
		.raw = rogue_arrive,
		.context = ledger});
}

static void boot(struct net *net, unsigned host)
{
	struct ledger *ledger = net->config.context;

	memset(ledger->told[host], 0, sizeof(ledger->told[host]));
	ledger->count[host] = ledger->late[host] = 0;
	net_boot(net, host);
}

static struct net *make_one(unsigned hosts, uint32_t seed)
{
	struct net *net = make(hosts, seed);

	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	return net;
}

static void finish(struct net *net)
{
	free(net->config.context);
	net_end(net);
}

// To `ms` behind the beginning of the next epoch at `host`.
static void run_into_next(struct net *net, unsigned host, int64_t ms)
{
	uint64_t left = EPOCH_NS - net_counter_ns(net, host) % EPOCH_NS;

	net_run_ns(net, left + (uint64_t)(ms * (int64_t)NET_MS));
}

// A server of `host` showed this window scale.
static void learn(struct net *net, unsigned host, uint8_t wscale)
{
	static struct message message;

	message.type = MESSAGE_LEARNT;
	message.node = NODE_NONE;
	message.body.learnt.service = net->hosts[host].service.id;
	message.body.learnt.profile = (struct profile){
		.known = PROFILE_MSS | PROFILE_WSCALE, .mss = 1400, .wscale = wscale};
	assert_true(net_post(net, host, &message));
}

static void expect(struct net *net, unsigned host, uint32_t epoch, uint8_t wscale)
{
	assert_int_not_equal(told(net, host, epoch)->mss, 0);
	assert_int_equal(told(net, host, epoch)->wscale, wscale);
}

// All hosts announce this now.
static void expect_all(struct net *net, uint8_t wscale)
{
	for (unsigned i = 0; i < net->config.hosts; i++)
		if (net->hosts[i].cluster != NULL)
			expect(net, i, epoch_of(net, i), wscale);
}

static void expect_none_late(struct net *net)
{
	struct ledger *ledger = net->config.context;

	for (unsigned i = 0; i < net->config.hosts; i++)
		assert_int_equal(ledger->late[i], 0);
}

static void the_founder_announces_what_is_configured(void **state)
{
	struct net *net = make(1, 1);
	struct ledger *ledger = net->config.context;

	(void)state;
	net_boot(net, 0);
	net_run_ms(net, 1990);
	assert_int_equal(ledger->count[0], 0);
	net_run_ms(net, 20);
	assert_int_equal(ledger->count[0], 1);
	expect(net, 0, epoch_of(net, 0), 7);
	assert_int_equal(told(net, 0, epoch_of(net, 0))->mss, 1460);
	learn(net, 0, 9);
	run_into_next(net, 0, -17000);
	assert_int_equal(ledger->count[0], 1); // not before the second tick
	net_run_ms(net, 2000);
	assert_int_equal(ledger->count[0], 2);
	expect(net, 0, epoch_of(net, 0), 7);
	expect(net, 0, epoch_of(net, 0) + 1, 9);
	assert_int_equal(told(net, 0, epoch_of(net, 0) + 1)->mss, 1400);
	finish(net);
}

// A set has time to spread or is not made.
static void no_set_is_made_late(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct net *net = make_one(1, 1);

		learn(net, 0, 9);
		run_into_next(net, 0, -18000);
		net->hosts[0].stopped = true;
		net_run_ms(net, late ? 14500 : 13500);
		net->hosts[0].stopped = false;
		net_run_ms(net, 1000);
		assert_int_equal(told(net, 0, epoch_of(net, 0) + 1)->mss, late ? 0 : 1400);
		run_into_next(net, 0, 100);
		expect_all(net, late ? 7 : 9);
		run_into_next(net, 0, 100);
		expect_all(net, 9);
		finish(net);
	}
}

// Whoever learnt it, all announce it from the next epoch on, from its first moment.
static void all_announce_what_one_learnt(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 4; seed++) {
		struct net *net = make_one(3, seed);

		net_set_links(net, &bad);
		for (uint8_t wscale = 0; wscale < 12; wscale++) {
			learn(net, net_choose(net, 3), wscale);
			run_into_next(net, 0, -100);
			for (unsigned i = 0; i < 3; i++)
				expect(net, i, epoch_of(net, i) + 1, wscale);
			net_run_ms(net, 200);
			expect_all(net, wscale);
		}
		expect_none_late(net);
		finish(net);
	}
}

// Of two servers the one that can do less counts, wherever they were seen.
static void the_least_counts(void **state)
{
	struct net *net = make_one(3, 1);

	(void)state;
	learn(net, 1, 5);
	learn(net, 2, 3);
	learn(net, 0, 8);
	run_into_next(net, 0, 1000);
	expect_all(net, 3);
	learn(net, 1, 5); // no other is seen any more
	run_into_next(net, 0, 1000);
	expect_all(net, 5);
	run_into_next(net, 0, 1000); // nothing is seen
	expect_all(net, 5);
	finish(net);
}

// The leader dies `ms` before an epoch, heard by all or by one.
static void leader_dies(int64_t ms, bool half_heard, unsigned learner)
{
	struct net *net = make_one(3, 1);

	learn(net, 1, 9);
	run_into_next(net, 0, 1000);
	expect_all(net, 9);
	learn(net, learner, 11);
	if (half_heard)
		for (unsigned i = 0; i < 2; i++)
			net_cut(net, i * 2, 2 - i * 2, true); // 0 and 2
	run_into_next(net, 1, -ms);
	net_crash(net, 0);
	for (unsigned i = 0; i < 3; i++) {
		run_into_next(net, 1, 100);
		assert_memory_equal(told(net, 1, epoch_of(net, 1)), told(net, 2, epoch_of(net, 2)),
			sizeof(struct profile));
		// Wherever it was learnt: who did tells the one that leads now, too.
		expect_all(net, 11);
	}
	learn(net, 2, 6);
	run_into_next(net, 1, 100);
	expect_all(net, 6);
	expect_none_late(net);
	finish(net);
}

static void the_leader_dies(void **state)
{
	(void)state;
	for (int64_t ms = 29000; ms > 0; ms -= 700)
		leader_dies(ms, false, ms / 700 % 2 + 1);
	for (int64_t ms = 17000; ms > 14000; ms -= 200)
		leader_dies(ms, true, 1);
	leader_dies(15998, false, 2); // the set is on its way
	leader_dies(15999, false, 1);
}

static void a_joiner_announces_what_the_others_do(void **state)
{
	struct net *net = make(3, 1);
	struct ledger *ledger = net->config.context;

	(void)state;
	boot(net, 0);
	boot(net, 1);
	assert_true(net_run_until(net, 10000, net_is_one));
	learn(net, 1, 9);
	run_into_next(net, 0, 1000);
	learn(net, 1, 4); // of the next epoch
	run_into_next(net, 0, -8000);
	boot(net, 2);
	assert_true(net_run_until(net, 5000, net_is_one));
	net_run_ms(net, 200);
	expect(net, 2, epoch_of(net, 2), 9);
	expect(net, 2, epoch_of(net, 2) + 1, 4);
	expect(net, 2, epoch_of(net, 2) - 1, 7);
	assert_int_equal(ledger->count[2], 3); // and nothing else
	// The lowest id comes back: it leads, and goes on with what is announced.
	net_crash(net, 0);
	run_into_next(net, 1, 20000);
	boot(net, 0);
	assert_true(net_run_until(net, 5000, net_is_one));
	net_run_ms(net, 200);
	expect_all(net, 4);
	learn(net, 2, 10);
	run_into_next(net, 0, 100);
	expect_all(net, 4); // the set was made when this was learnt
	run_into_next(net, 0, 100);
	expect_all(net, 10);
	expect_none_late(net);
	finish(net);
}

static void agree(struct net *net)
{
	for (unsigned i = 1; i < net->config.hosts; i++)
		assert_memory_equal(told(net, i, epoch_of(net, i)), told(net, 0, epoch_of(net, 0)),
			sizeof(struct profile));
}

// Each side goes on alone; two epochs after they meet again they say the same.
static void parted_and_healed(void **state)
{
	(void)state;
	for (unsigned ms = 500; ms < 32000; ms += 1300) {
		struct net *net = make_one(3, ms);

		learn(net, 1, 9);
		run_into_next(net, 0, 100);
		net_part(net, 1, true);
		net_run_ms(net, 1000);
		learn(net, 0, 12);
		learn(net, 1, 3);
		learn(net, 2, 5);
		run_into_next(net, 0, ms);
		expect(net, 0, epoch_of(net, 0), 12);
		expect(net, 1, epoch_of(net, 1), 3);
		expect(net, 2, epoch_of(net, 2), 3);
		net_part(net, 1, false);
		assert_true(net_run_until(net, 5000, net_is_one));
		run_into_next(net, 0, 100);
		run_into_next(net, 0, 100);
		agree(net);
		learn(net, 2, 8);
		run_into_next(net, 0, 100);
		expect_all(net, 8);
		expect_none_late(net);
		finish(net);
	}
}

// A node that founded alone joins again: it leads from now on, and says what the others say.
static void clusters_that_meet(void **state)
{
	(void)state;
	for (unsigned ms = 2500; ms < 31000; ms += 2700) {
		struct net *net = make(3, ms);
		struct ledger *ledger = net->config.context;

		net_part(net, 1, true);
		net_boot_all(net);
		net_run_ms(net, 4000);
		learn(net, 0, 3);
		learn(net, 2, 9);
		run_into_next(net, 1, ms);
		expect(net, 0, epoch_of(net, 0), 3);
		expect(net, 1, epoch_of(net, 1), 9);
		net_part(net, 1, false);
		assert_true(net_run_until(net, 5000, net_is_one));
		net_run_ms(net, 500);
		expect_all(net, 9);
		learn(net, 1, 11);
		run_into_next(net, 1, 100);
		agree(net);
		run_into_next(net, 1, 100);
		expect_all(net, 11);
		assert_int_equal(ledger->late[1] + ledger->late[2], 0);
		finish(net);
	}
}

// A node nobody can tell anything makes a guess within a second; a set of its epoch replaces it.
static void a_guess_gives_way(void **state)
{
	struct net *net = make(3, 1);
	struct ledger *ledger = net->config.context;

	(void)state;
	boot(net, 0);
	boot(net, 2);
	assert_true(net_run_until(net, 10000, net_is_one));
	learn(net, 2, 9);
	run_into_next(net, 0, 1000);
	// It joins one that has no room for anything but what it said already: what is queued
	// waits.
	boot(net, 1);
	for (unsigned i = 0; i < 5000 && !net->hosts[1].view.decodes; i++)
		net_run_ms(net, 1);
	net_cut(net, 0, 1, true);
	net_cut(net, 2, 1, true);
	net_run_ms(net, 900);
	assert_int_equal(ledger->count[1], 0);
	net_run_ms(net, 200);
	expect(net, 1, epoch_of(net, 1), 7);
	net_cut(net, 0, 1, false);
	net_cut(net, 2, 1, false);
	net_run_ms(net, 2000);
	expect_all(net, 9);
	assert_int_equal(ledger->late[0] + ledger->late[2], 0);
	finish(net);
}

// Services by name: other numbers, other order, names one side does not have; more than a record.
static void set_services(
	struct net_host *host, struct service *services, unsigned count, unsigned step)
{
	for (unsigned i = 0; i < count; i++) {
		services[i] = host->service;
		memset(services[i].name, 0, sizeof(services[i].name));
		snprintf(services[i].name, sizeof(services[i].name),
			"a-service-with-a-rather-long-name-%u", i * step % (count + 1));
		services[i].profile.mss = (uint16_t)(1000 + i * step % (count + 1));
	}
	host->policy.services = services;
	host->policy.service_count = (uint16_t)count;
	CHECK(policy_adopt(&host->policy, NULL) == 0);
}

static const struct profile *of_name(struct net *net, unsigned host, const char *name)
{
	struct ledger *ledger = net->config.context;
	const struct policy *policy = &net->hosts[host].policy;

	for (unsigned i = 0; i < policy->service_count; i++)
		if (strcmp(policy->services[i].name, name) == 0)
			return &ledger->last[host].body.epoch.profiles[policy->services[i].id];
	return NULL;
}

static void services_go_by_name(void **state)
{
	static struct service services[3][SERVICE_COUNT_MAX];
	static struct message message;
	struct net *net = make(3, 1);
	const struct service *learner;

	(void)state;
	set_services(&net->hosts[0], services[0], 200, 1);
	set_services(&net->hosts[1], services[1], 256, 3);
	set_services(&net->hosts[2], services[2], 100, 7);
	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	learner = &services[2][40];
	message = (struct message){.type = MESSAGE_LEARNT, .node = NODE_NONE};
	message.body.learnt.service = learner->id;
	message.body.learnt.profile = (struct profile){.known = PROFILE_WSCALE, .wscale = 13};
	message.body.learnt.profile.mss = 1460;
	net_post(net, 2, &message);
	net_set_links(net, &bad);
	run_into_next(net, 0, -3000);
	for (unsigned host = 1; host < 3; host++) {
		for (unsigned i = 0; i < 200; i++) {
			const char *name = services[0][i].name;
			const struct profile *here = of_name(net, host, name);
			bool learnt = strcmp(name, learner->name) == 0;

			assert_true(here != NULL || host == 2);
			if (here == NULL)
				continue;
			assert_int_equal(here->mss, services[0][i].profile.mss);
			assert_int_equal(here->wscale, learnt ? 13 : 7);
		}
	}
	// What the leader does not have is not spoken of.
	assert_int_equal(of_name(net, 1, "a-service-with-a-rather-long-name-255")->mss, 0);
	assert_null(of_name(net, 0, "a-service-with-a-rather-long-name-255"));
	for (unsigned i = 0; i < 3; i++)
		for (unsigned peer = 0; peer < 3; peer++)
			assert_true(i == peer || net_peer_stats(net, i, peer)->dropped == 0);
	finish(net);
}

// A reload at one node changes what is announced only where that leads, and of no begun epoch.
static void reloads(void **state)
{
	struct net *net = make_one(2, 1);
	struct net_host *hosts = net->hosts;
	struct policy changed[2];
	struct service services[2];

	(void)state;
	learn(net, 1, 9);
	run_into_next(net, 0, 1000);
	for (unsigned i = 0; i < 2; i++) {
		services[i] = hosts[i].service;
		services[i].profile.wscale = (uint8_t)(2 + i);
		changed[i] = hosts[i].policy;
		changed[i].services = &services[i];
	}
	cluster_set_policy(hosts[1].cluster, &changed[1]);
	run_into_next(net, 0, 1000);
	expect_all(net, 9);
	cluster_set_policy(hosts[0].cluster, &changed[0]);
	net_run_ms(net, 1000);
	expect_all(net, 9);
	run_into_next(net, 0, 1000);
	expect_all(net, 2);
	// And is learnt again.
	learn(net, 1, 6);
	run_into_next(net, 0, 1000);
	expect_all(net, 6);
	expect_none_late(net);
	finish(net);
}

// A configured profile is never learnt.
static void fixed_profiles_stay(void **state)
{
	struct net *net = make(2, 1);

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		net->hosts[i].service.learn = false;
	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	learn(net, 0, 9);
	learn(net, 1, 9);
	run_into_next(net, 0, 1000);
	expect_all(net, 7);
	finish(net);
}

static void say_set(struct rogue *rogue, uint32_t epoch, uint16_t author, uint8_t wscale)
{
	static struct profile_set set;
	uint8_t data[256];
	struct cursor out = cursor_write(data, sizeof(data));
	unsigned next = 0;

	set = (struct profile_set){.epoch = epoch, .author = author, .count = 1};
	set.list[0] = (struct named_profile){"web", {.mss = 1200, .wscale = wscale}};
	CHECK(profile_put_set(&out, &set, &next));
	rogue_say(rogue, true, data, (size_t)(out.at - data));
	net_run_ms(rogue->net, 20);
}

// Of two sets of one epoch the lower author's counts, before the epoch begins and not later; what
// is of no epoch around now, or malformed, not at all.
static void two_sets_of_one_epoch(void **state)
{
	struct net *net = make(4, 1);
	struct ledger *ledger = net->config.context;
	struct rogue *rogue = &ledger->rogue;
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};
	uint32_t now;

	(void)state;
	boot(net, 2);
	boot(net, 3);
	assert_true(net_run_until(net, 10000, net_is_one));
	run_into_next(net, 2, 20000); // 2 has made the next set
	now = epoch_of(net, 2);
	rogue_start(rogue, net, 1, 2);
	assert_true(rogue_connect(rogue));
	say_set(rogue, now + 1, 1, 12); // before HELLO nothing counts
	expect(net, 2, now + 1, 7);
	rogue_hello(rogue, &hello);
	say_set(rogue, now + 1, 3, 13);
	expect(net, 2, now + 1, 7);
	say_set(rogue, now, 0, 13); // begun
	expect(net, 2, now, 7);
	say_set(rogue, now + 1, 1, 14);
	expect(net, 2, now + 1, 14);
	expect(net, 3, now + 1, 14); // which heard it of 2
	say_set(rogue, now + 3, 1, 13);
	say_set(rogue, now - 2, 1, 13);
	assert_int_equal(told(net, 2, now + 3)->mss, 0);
	assert_int_equal(net_peer_stats(net, 2, 1)->dropped, 0);
	say_set(rogue, now + 1, 0, 16);
	assert_int_equal(net_peer_stats(net, 2, 1)->dropped, 1);
	run_into_next(net, 2, 100);
	expect(net, 2, now + 1, 14);
	expect_none_late(net);
	rogue_finish(rogue);
	finish(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_founder_announces_what_is_configured),
		cmocka_unit_test(no_set_is_made_late),
		cmocka_unit_test(all_announce_what_one_learnt),
		cmocka_unit_test(the_least_counts),
		cmocka_unit_test(the_leader_dies),
		cmocka_unit_test(a_joiner_announces_what_the_others_do),
		cmocka_unit_test(parted_and_healed),
		cmocka_unit_test(clusters_that_meet),
		cmocka_unit_test(a_guess_gives_way),
		cmocka_unit_test(services_go_by_name),
		cmocka_unit_test(reloads),
		cmocka_unit_test(fixed_profiles_stay),
		cmocka_unit_test(two_sets_of_one_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
