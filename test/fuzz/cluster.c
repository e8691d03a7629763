// A proven peer that says anything, and datagrams of anybody, to a node that is in a cluster with
// another one. An input is one byte, whether the peer says HELLO first, and a list of (how, length,
// bytes): a datagram, a plaintext, a record with or without a number, or time that passes. The two
// stay together, under one counter and one secret, whatever they hear.
#include "fuzz.h"

#include "base/check.h"
#include "cluster/counter.h"
#include "rogue.h"

#define ROGUE 1

static void say(struct rogue *rogue, uint8_t how, const uint8_t *data, size_t len)
{
	switch (how % 5) {
	case 0:
		net_inject(rogue->net, how & 0x80 ? 2 : ROGUE, 0, data, len);
		return;
	case 1:
		rogue_say_raw(rogue, data, len);
		return;
	case 2:
		rogue_say(rogue, true, data, len);
		return;
	case 3:
		rogue_say(rogue, false, data, len);
		return;
	default:
		net_run_ms(rogue->net, len);
		return;
	}
}

static void introduce(struct rogue *rogue, uint8_t how)
{
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};
	struct heartbeat beat = {.state = (how >> 1) % 3, .generation = {.number = 64}};

	net_run_ms(rogue->net, 20);
	if (!(how & 1))
		return;
	rogue_hello(rogue, &hello);
	rogue_beat(rogue, &beat);
	net_run_ms(rogue->net, 5);
}

static void check(const struct net *net)
{
	for (unsigned host = 0; host < 3; host += 2) {
		CHECK(net->hosts[host].view.decodes && (net->hosts[host].view.active & 5) == 5);
		CHECK(counter_is_near(net_counter_ns(net, 0), net_counter_ns(net, host)));
	}
	CHECK(net->hosts[0].cluster != NULL && net_stats(net, 0)->state == CLUSTER_ACTIVE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct rogue rogue;
	struct net *net = net_make(&(struct net_config){.hosts = 3,
		.seed = 1,
		.workers = 3,
		.link = {.delay_ns = NET_MS},
		.raw = rogue_arrive,
		.context = &rogue});

	net_boot(net, 0);
	net_boot(net, 2);
	CHECK(net_run_until(net, 5000, net_is_one));
	rogue_start(&rogue, net, ROGUE, 0);
	CHECK(rogue_connect(&rogue));
	introduce(&rogue, len > 0 ? data[0] : 0);
	for (size_t at = 1; at + 2 <= len;) {
		size_t left = len - at - 2, body = data[at + 1] < left ? data[at + 1] : left;

		say(&rogue, data[at], data + at + 2, body);
		net_run_ms(net, 2);
		at += 2 + body;
		check(net);
	}
	net_run_ms(net, 1000);
	check(net);
	rogue_finish(&rogue);
	net_end(net);
	return 0;
}
