// A SYN is answered at one node, with a window scale its cluster learnt elsewhere; the ACK that
// proves the cookie arrives at another one, which must translate by what was announced. Proves:
// TCP.md 2.13 in a cluster, M5.
#include "base/check.h"
#include "harness.h"
#include "net.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define EPOCH_NS (KEYRING_TICKS_PER_EPOCH * KEYRING_TICK_NS)
#define ISN_S	 5000u

#define OPTIONS_SCALE_7 "\x02\x04\x05\xb4\x01\x03\x03\x07"

static const struct packet syn = {
	.seq = 0x11112222, .window = 64240, .options = BYTES(OPTIONS_SCALE_7)};

// What the engines of each host are told last.
static struct profile told[2];

static void take(struct net *net, unsigned host, const struct message *message)
{
	if (message->type == MESSAGE_PROFILES)
		told[host] = message->body.epoch.profiles[net->hosts[host].service.id];
}

// Both hosts' profiles of an epoch in which they announce what host 1 learnt.
static void learn_at_one(void)
{
	static struct message message = {.type = MESSAGE_LEARNT, .node = NODE_NONE};
	struct net *net = net_make(&(struct net_config){
		.hosts = 2, .seed = 1, .link = {.delay_ns = NET_MS}, .take = take});

	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	message.body.learnt.service = net->hosts[1].service.id;
	message.body.learnt.profile =
		(struct profile){.known = PROFILE_MSS | PROFILE_WSCALE, .mss = 1460, .wscale = 9};
	assert_true(net_post(net, 1, &message));
	net_run_ns(net, EPOCH_NS);
	net_end(net);
}

static struct node *node_that_announces(const struct profile *profile)
{
	struct node *node = node_make();

	node->announced = *profile;
	node_go(node);
	return node;
}

// What a window of 400 of a server with scale 7 is for a client that was answered by `a` and proved
// its cookie at `b`.
static unsigned window_over(struct node *a, struct node *b)
{
	struct handshake handshake;
	struct packet packet;

	handshake_open(a, &handshake, &syn);
	assert_int_equal(handshake.synack.options.wscale, a->announced.wscale);
	node_offer(b, OUTSIDE, &handshake.ack);
	assert_int_equal(b->sent_count, 1);
	handshake_answer(b, &handshake, ISN_S, (struct bytes)BYTES(OPTIONS_SCALE_7));
	packet = (struct packet){.from_server = true,
		.flags = TCP_ACK,
		.seq = ISN_S + 1,
		.ack = syn.seq + 1,
		.window = 400,
		.payload = BYTES("data")};
	assert_int_equal(node_offer(b, INSIDE, &packet), VERDICT_FORWARD);
	return b->sent[0].view.window;
}

static void t2_13_ack_at_another_node(void **state)
{
	struct node *a, *b;

	(void)state;
	learn_at_one();
	assert_int_equal(told[0].wscale, 9);
	a = node_that_announces(&told[0]);
	b = node_that_announces(&told[1]);
	assert_int_equal(window_over(a, b), 100);
	assert_true(node_end(a));
	assert_true(node_end(b));
}

// What would become of it if each went by its own idea.
static void t2_13_nodes_that_disagree(void **state)
{
	struct profile own = told[1];
	struct node *a, *b;

	(void)state;
	own.wscale = 7;
	a = node_that_announces(&told[0]);
	b = node_that_announces(&own);
	assert_int_equal(window_over(a, b), 400);
	assert_true(node_end(a));
	assert_true(node_end(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t2_13_ack_at_another_node),
		cmocka_unit_test(t2_13_nodes_that_disagree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
