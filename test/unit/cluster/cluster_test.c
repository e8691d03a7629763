// What nodes tell each other about flows: everything arrives once, in an order that makes sense,
// and fast; a peer that does not keep up costs nobody else anything. Proves: P4 and M7 (the
// exchange between nodes), RELIABILITY 15 (liveness), 17, 22.
#include "base/check.h"
#include "rogue.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define FLOWS 20000

// What became of each flow, as host 0 said it and the others heard.
struct ledger {
	uint8_t opened[FLOWS], changed[FLOWS];				       // said
	uint32_t incarnation[FLOWS];					       // of what was said
	uint8_t installed[NET_HOSTS_MAX][FLOWS], closed[NET_HOSTS_MAX][FLOWS]; // heard
	uint8_t unsent[NET_HOSTS_MAX][FLOWS]; // given back, by peer
	unsigned resyncs[NET_HOSTS_MAX][2];   // by peer and .why
	uint64_t confirmed_ns;
	struct message last; // latest INSTALL, CONFIRMED, CHANGED, FRAME or NONE
	uint32_t wrong;	     // what arrived in the wrong order, or was never said
	uint32_t said;
};

static uint32_t number_of(const struct flow_key *key)
{
	return (uint32_t)key->outer.b[15] << 16 | key->outer_port;
}

// The flow a digest names, searched among those that were said.
static uint32_t named(struct net *net, unsigned host, const struct ledger *ledger, uint64_t digest)
{
	for (uint32_t i = 0; i < ledger->said; i++) {
		struct flow_key key = net_flow_key(i);

		if (flow_digest(net_hash(net, host, &key), ledger->incarnation[i]) == digest)
			return i;
	}
	return FLOWS;
}

static void take_install(struct net *net, unsigned host, const struct message *message)
{
	struct ledger *ledger = net->config.context;
	uint32_t number = number_of(&message->body.record.key);
	struct message answer = {.type = MESSAGE_CONFIRMED, .node = message->node};

	if (number >= ledger->said || ledger->closed[host][number] != 0) {
		ledger->wrong++;
		return;
	}
	ledger->installed[host][number]++;
	answer.body.flow = (struct message_flow){.key = message->body.record.key,
		.incarnation = message->body.record.incarnation,
		.generation = message->body.record.generation};
	net_post(net, host, &answer);
}

static void take_changed(struct net *net, unsigned host, const struct message *message)
{
	struct ledger *ledger = net->config.context;
	uint32_t number = named(net, host, ledger, message->body.flow.digest);

	if (number == FLOWS || !(message->body.flow.bits & CHANGE_CLOSED)) {
		ledger->wrong++;
		return;
	}
	// Never before its CREATE, unless that was given back.
	ledger->wrong += ledger->installed[host][number] == 0 && ledger->unsent[host][number] == 0;
	ledger->closed[host][number]++;
}

static void take(struct net *net, unsigned host, const struct message *message)
{
	struct ledger *ledger = net->config.context;

	switch (message->type) {
	case MESSAGE_INSTALL:
		ledger->last = *message;
		take_install(net, host, message);
		return;
	case MESSAGE_CHANGED:
		ledger->last = *message;
		take_changed(net, host, message);
		return;
	case MESSAGE_CONFIRMED:
		ledger->confirmed_ns = net->now_ns;
		ledger->last = *message;
		return;
	case MESSAGE_FRAME:
	case MESSAGE_NONE:
		ledger->last = *message;
		return;
	case MESSAGE_UNSENT:
		if (host == 0)
			ledger->unsent[message->node][number_of(&message->body.flow.key)]++;
		return;
	case MESSAGE_RESYNC:
		if (host == 0)
			ledger->resyncs[message->node][message->why]++;
		return;
	default:
		return;
	}
}

static struct net *make(struct net_config config)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	CHECK(ledger != NULL);
	config.take = take;
	config.context = ledger;
	if (config.link.delay_ns == 0)
		config.link.delay_ns = NET_MS;
	return net_make(&config);
}

static void finish(struct net *net)
{
	free(net->config.context);
	net_end(net);
}

// Hosts that have become one cluster on a perfect network, which then becomes what was asked for.
static struct net *make_one(struct net_config config)
{
	struct net_link link = config.link;
	struct net *net;

	config.link = (struct net_link){.delay_ns = NET_MS};
	net = make(config);
	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 1000);
	link.delay_ns = NET_MS;
	net_set_links(net, &link);
	return net;
}

static uint32_t say_opened(struct net *net, uint16_t node)
{
	struct ledger *ledger = net->config.context;
	static struct message message;
	uint32_t number = ledger->said;

	CHECK(number < FLOWS);
	net_opened(net, 0, number, &message);
	message.node = node;
	if (!net_post(net, 0, &message))
		return FLOWS;
	ledger->said++;
	ledger->opened[number] = 1;
	ledger->incarnation[number] = message.body.record.incarnation;
	return number;
}

static void say_changed(struct net *net, uint32_t number, uint16_t node)
{
	struct ledger *ledger = net->config.context;
	static struct message message;

	net_changed(net, 0, number, &message);
	message.node = node;
	message.body.flow.incarnation = ledger->incarnation[number];
	if (net_post(net, 0, &message))
		ledger->changed[number] = 1;
}

static void two_nodes_find_each_other_in_bad_weather(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 5; seed++) {
		struct net *net = make((struct net_config){.hosts = 2,
			.seed = seed,
			.link = {.loss = 30, .repeat = 10, .reorder = 30, .delay_ns = 5 * NET_MS}});

		net_boot_all(net);
		assert_true(net_run_until(net, 20000, net_is_one));
		assert_int_equal(net_stats(net, 0)->state, CLUSTER_ACTIVE);
		assert_int_equal(net_stats(net, 0)->view, 3);
		finish(net);
	}
}

// CREATE there, CONFIRMED back: two times the way, and no more.
static void confirmation_takes_one_round_trip(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1, .workers = 3});
	struct ledger *ledger = net->config.context;
	uint64_t start_ns;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		struct flow_key key = net_flow_key(say_opened(net, 1));

		start_ns = net->now_ns;
		net_run_ms(net, 17);
		assert_int_equal(ledger->confirmed_ns - start_ns, 2 * NET_MS);
		assert_int_equal(ledger->last.type, MESSAGE_CONFIRMED);
		assert_int_equal(ledger->last.node, 1);
		assert_int_equal(ledger->last.body.flow.generation, 1);
		assert_int_equal(ledger->last.body.flow.digest,
			flow_digest(net_hash(net, 0, &key), ledger->incarnation[i]));
		assert_int_equal(ledger->last.worker, flow_worker(net_hash(net, 0, &key), 3));
	}
	assert_int_equal(net_peer_stats(net, 0, 1)->updates_sent, 50);
	assert_int_equal(net_peer_stats(net, 1, 0)->updates_applied, 50);
	assert_int_equal(net_peer_stats(net, 0, 1)->resent + net_peer_stats(net, 0, 1)->queued, 0);
	assert_in_range(net_peer_stats(net, 0, 1)->rtt_ns, 2 * NET_MS, 4 * NET_MS);
	finish(net);
}

static void records_arrive_whole(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1, .workers = 3});
	struct ledger *ledger = net->config.context;
	static struct message said;
	const struct flow_record *record = &ledger->last.body.record;

	(void)state;
	net_opened(net, 0, 0, &said);
	said.node = NODE_ALL;
	said.frame_len = 64;
	memset(said.frame, 0x77, said.frame_len);
	ledger->said = 1;
	net_post(net, 0, &said);
	net_run_ms(net, 1);
	assert_int_equal(ledger->last.type, MESSAGE_INSTALL);
	assert_int_equal(ledger->last.node, 0);
	assert_int_equal(
		ledger->last.worker, flow_worker(net_hash(net, 1, &said.body.record.key), 3));
	assert_memory_equal(&record->key, &said.body.record.key, sizeof(record->key));
	assert_int_equal(record->service, net->hosts[1].service.id);
	assert_int_equal(record->owner, 0);
	assert_int_equal(record->mode, said.body.record.mode);
	assert_int_equal(record->bits, said.body.record.bits);
	assert_int_equal(record->incarnation, said.body.record.incarnation);
	assert_int_equal(record->generation, 1);
	assert_int_equal(record->translation.d, said.body.record.translation.d);
	assert_memory_equal(record->wscale, said.body.record.wscale, 2);
	assert_int_equal(record->cookie, said.body.record.cookie);
	assert_int_equal(record->isn_client, said.body.record.isn_client);
	assert_int_equal(ledger->last.frame_len, 64);
	assert_memory_equal(ledger->last.frame, said.frame, 64);
	finish(net);
}

static void frames_go_to_the_owner(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 3, .seed = 1, .workers = 2});
	struct ledger *ledger = net->config.context;
	static struct message said;
	struct flow_key key = net_flow_key(5);

	(void)state;
	said = (struct message){.type = MESSAGE_FRAME, .node = 2, .frame_side = SIDE_INSIDE};
	said.body.flow.key = key;
	said.frame_len = 60;
	memset(said.frame, 0x11, 60);
	net_post(net, 0, &said);
	net_run_ms(net, 1);
	assert_int_equal(ledger->last.type, MESSAGE_FRAME);
	assert_int_equal(ledger->last.node, 0);
	assert_int_equal(ledger->last.frame_side, SIDE_INSIDE);
	assert_int_equal(ledger->last.frame_len, 60);
	assert_int_equal(ledger->last.worker, flow_worker(net_hash(net, 2, &key), 2));
	assert_int_equal(net->hosts[1].took[MESSAGE_FRAME], 0);
	said.type = MESSAGE_NONE;
	said.node = 0;
	said.frame_len = 0;
	net_post(net, 2, &said);
	net_run_ms(net, 1);
	assert_int_equal(ledger->last.type, MESSAGE_NONE);
	assert_int_equal(ledger->last.node, 2);
	// To nobody: counted, and gone.
	said.node = 40;
	net_post(net, 2, &said);
	net_run_ms(net, 1);
	assert_int_equal(net_stats(net, 2)->misdirected, 1);
	// What the wire cannot say is not sent, and in nobody's way.
	said = (struct message){.type = MESSAGE_FRAME, .node = 2, .frame_side = SIDE_INSIDE + 1};
	said.body.flow.key = key;
	said.frame_len = 60;
	net_post(net, 0, &said);
	net_run_ms(net, 10);
	assert_int_equal(net->hosts[2].took[MESSAGE_FRAME], 1);
	assert_int_equal(net_peer_stats(net, 0, 2)->unsent, 1);
	finish(net);
}

// What went to a peer that is gone, or to all while none was there, is counted.
static void frames_to_nobody_are_counted(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1});
	static struct message said;

	(void)state;
	said = (struct message){.type = MESSAGE_FRAME, .node = NODE_ALL, .frame_len = 60};
	said.body.flow.key = net_flow_key(5);
	net_post(net, 0, &said);
	net_run_ms(net, 10);
	assert_int_equal(net->hosts[1].took[MESSAGE_FRAME], 1);
	assert_int_equal(net_stats(net, 0)->unsent, 0);
	net_part(net, 1, true);
	net_run_ms(net, 5000);
	net_post(net, 0, &said);
	said.node = 1;
	net_post(net, 0, &said);
	net_run_ms(net, 10);
	assert_int_equal(net->hosts[1].took[MESSAGE_FRAME], 1);
	assert_int_equal(net_stats(net, 0)->unsent, 1);
	assert_int_equal(net_peer_stats(net, 0, 1)->unsent, 1);
	finish(net);
}

// Every flow is heard of once, or given back once, and never in the wrong order.
static void audit(const struct ledger *ledger, unsigned host)
{
	assert_int_equal(ledger->wrong, 0);
	for (uint32_t i = 0; i < ledger->said; i++)
		assert_int_equal(ledger->installed[host][i] + ledger->closed[host][i] +
					 ledger->unsent[host][i],
			ledger->opened[i] + ledger->changed[i]);
}

static bool all_is_acknowledged(const struct net *net)
{
	return net_peer_stats(net, 0, 1)->queued == 0;
}

static void storm(uint32_t seed)
{
	struct net *net = make_one((struct net_config){.hosts = 2,
		.seed = seed,
		.workers = 3,
		.link = {.loss = 20, .repeat = 10, .reorder = 30}});
	struct ledger *ledger = net->config.context;

	for (unsigned step = 0; step < 10000; step++) {
		uint32_t some = ledger->said > 0 ? net_choose(net, ledger->said) : 0;

		if (ledger->said == 0 || net_choose(net, 4) == 0)
			say_opened(net, 1);
		else if (net_choose(net, 4) == 0 && ledger->changed[some] == 0)
			say_changed(net, some, 1);
		net->hosts[0].cells = 1 + net_choose(net, 8);
		net->hosts[1].cells = net_choose(net, 4);
		net->hosts[0].buffers = net_choose(net, 4);
		net->hosts[1].buffers = net_choose(net, 4);
		net_run_ms(net, net_choose(net, 3));
	}
	net_set_links(net, &(struct net_link){.delay_ns = NET_MS});
	net->hosts[1].cells = net->hosts[0].buffers = net->hosts[1].buffers = 8;
	net_run_ms(net, 5000);
	assert_true(net_peer_stats(net, 0, 1)->resent > 100);
	assert_true(net_run_until(net, 100, all_is_acknowledged));
	assert_int_equal(
		net_peer_stats(net, 0, 1)->dropped + net_peer_stats(net, 1, 0)->dropped, 0);
	assert_true(ledger->said > 1000);
	audit(ledger, 1);
	finish(net);
}

static void nothing_is_lost_repeated_or_overtaken(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= net_seeds(3, 60); seed++)
		storm(seed);
}

// What opens a connection does not wait for a lost record before it; what ends one does.
static void early_messages_do_not_wait(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1});
	struct ledger *ledger = net->config.context;
	uint32_t lost, late;

	(void)state;
	net_cut(net, 0, 1, true);
	lost = say_opened(net, 1);
	net_run_ns(net, NET_MS / 10);
	net_cut(net, 0, 1, false);
	late = say_opened(net, 1);
	say_changed(net, late, 1);
	net_run_ms(net, 1);
	assert_int_equal(ledger->installed[1][lost], 0);
	assert_int_equal(ledger->installed[1][late], 1);
	assert_int_equal(ledger->closed[1][late], 0);
	net_run_ms(net, 20);
	assert_int_equal(ledger->installed[1][lost], 1);
	assert_int_equal(ledger->installed[1][late], 1);
	assert_int_equal(ledger->closed[1][late], 1);
	assert_int_equal(net_peer_stats(net, 0, 1)->resent, 1);
	finish(net);
}

// Many small turns, 100 us apart: one record each.
static void say_many(struct net *net, unsigned count, uint16_t node)
{
	for (unsigned i = 0; i < count; i++) {
		say_opened(net, node);
		net_run_ns(net, NET_MS / 10);
	}
}

// A peer that stops for less than detect_ms: its window fills, the rest is given back, and asked
// for again when there is room. Nobody else notices.
static void a_slow_peer_gets_the_rest_later(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 3, .seed = 1});
	struct ledger *ledger = net->config.context;
	unsigned given_back = 0;

	(void)state;
	memset(ledger->resyncs, 0, sizeof(ledger->resyncs));
	net->hosts[2].stopped = true;
	say_many(net, 400, NODE_ALL);
	assert_int_equal(net_peer_stats(net, 0, 2)->queued, DELIVERY_RECORDS);
	assert_int_equal(net_peer_stats(net, 0, 2)->dirty, 1);
	assert_int_equal(net_peer_stats(net, 0, 2)->state, PEER_ACTIVE);
	net_run_ms(net, 200);
	for (unsigned i = 0; i < 400; i++)
		given_back += ledger->unsent[2][i];
	assert_int_equal(given_back, 400 - DELIVERY_RECORDS);
	assert_int_equal(ledger->resyncs[2][0], 0);
	net->hosts[2].stopped = false;
	net_run_ms(net, 2000);
	assert_int_equal(net_peer_stats(net, 0, 2)->queued, 0);
	assert_int_equal(net_peer_stats(net, 0, 2)->dirty, 0);
	assert_int_equal(ledger->resyncs[2][0], 1);
	assert_int_equal(ledger->resyncs[2][1], 0);
	audit(ledger, 2);
	assert_int_equal(net_peer_stats(net, 0, 1)->unsent, 0);
	assert_int_equal(net_peer_stats(net, 0, 1)->resent, 0);
	for (unsigned i = 0; i < 400; i++)
		assert_int_equal(ledger->installed[1][i], 1);
	finish(net);
}

// A peer that stops for long is left; when it is back, all is said again.
static void a_stopped_peer_is_left_and_told_all(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 3, .seed = 1});
	struct ledger *ledger = net->config.context;
	uint64_t resent = 0;

	(void)state;
	memset(ledger->resyncs, 0, sizeof(ledger->resyncs));
	net->hosts[2].stopped = true;
	for (unsigned i = 0; i < 3000; i++) {
		if (i == 60)
			resent = net_peer_stats(net, 0, 2)->resent;
		say_opened(net, i % 2 == 0 ? NODE_ALL : 2);
		net_run_ms(net, 10);
		assert_in_range(net_peer_stats(net, 0, 2)->queued, 0, DELIVERY_RECORDS);
	}
	assert_int_equal(net_peer_stats(net, 0, 2)->state, PEER_DOWN);
	assert_int_equal(net->hosts[0].view.active, 3);
	// Nothing is sent again to who does not listen.
	assert_true(resent > 0);
	assert_int_equal(net_peer_stats(net, 0, 2)->resent, resent);
	for (unsigned i = 0; i < 3000; i += 2)
		assert_int_equal(ledger->installed[1][i], 1);
	assert_true(net_peer_stats(net, 0, 2)->unsent > 1400);
	net->hosts[2].stopped = false;
	assert_true(net_run_until(net, 5000, net_is_one));
	net_run_ms(net, 1000);
	assert_int_equal(ledger->resyncs[2][1], 1);
	assert_int_equal(ledger->wrong, 0);
	assert_int_equal(net_peer_stats(net, 0, 2)->dirty, 0);
	assert_int_equal(ledger->installed[2][say_opened(net, 2)], 0);
	net_run_ms(net, 10);
	assert_int_equal(ledger->installed[2][3000], 1);
	finish(net);
}

// More is given back than there is room to remember: then everything is said again.
static void forgotten_names_make_all_be_said_again(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1});
	struct ledger *ledger = net->config.context;

	(void)state;
	memset(ledger->resyncs, 0, sizeof(ledger->resyncs));
	net->hosts[1].stopped = true;
	net->hosts[0].cells = 0;
	say_many(net, 2 * DELIVERY_RECORDS + 50, 1);
	net->hosts[1].stopped = false;
	net->hosts[0].cells = 64;
	net_run_ms(net, 300);
	assert_int_equal(net->hosts[0].took[MESSAGE_UNSENT], 256);
	assert_int_equal(ledger->resyncs[1][0], 0);
	assert_int_equal(ledger->resyncs[1][1], 1);
	finish(net);
}

static void dead_peers_are_noticed_in_time(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 3, .seed = 1, .detect_ms = 400});

	(void)state;
	net_crash(net, 2);
	net_run_ms(net, 290);
	assert_int_equal(net->hosts[0].view.active, 7);
	net_run_ms(net, 115);
	assert_int_equal(net->hosts[0].view.active, 3);
	assert_int_equal(net->hosts[1].view.active, 3);
	assert_int_equal(net_peer_stats(net, 0, 2)->state, PEER_DOWN);
	finish(net);
}

// Of a path that works in one direction only, neither side makes use.
static void half_a_path_is_none(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1, .detect_ms = 400});

	(void)state;
	net_cut(net, 1, 0, true);
	net_run_ms(net, 405);
	assert_int_equal(net->hosts[0].view.active, 1);
	net_run_ms(net, 100);
	assert_int_equal(net->hosts[1].view.active, 2);
	assert_int_equal(net_peer_stats(net, 1, 0)->state, PEER_CONNECTING);
	net_cut(net, 1, 0, false);
	assert_true(net_run_until(net, 3000, net_is_one));
	net_run_ms(net, 10000);
	assert_true(net_is_one(net));
	finish(net);
}

// A node that dies right behind a handshake, before it said anything under the new keys, and comes
// back: the other one, for which it never was there again, reaches it nevertheless.
static void a_death_right_behind_a_handshake(void **state)
{
	(void)state;
	for (unsigned late_ms = 0; late_ms < 60; late_ms += 3) {
		struct net *net = make_one((struct net_config){
			.hosts = 2, .seed = 1, .detect_ms = 400, .link = {.delay_ns = 4 * NET_MS}});
		const struct channel_stats *stats = cluster_peer_channel(net->hosts[0].cluster, 0);

		net_part(net, 1, true);
		net_run_ms(net, 1000);
		net_part(net, 1, false);
		while (counter_get(&stats->rekeys) == 0)
			net_run_ms(net, 1);
		net_run_ms(net, late_ms);
		net_crash(net, 1);
		net_run_ms(net, 300);
		net_boot(net, 1);
		assert_true(net_run_until(net, 5000, net_is_one));
		finish(net);
	}
}

// A node that restarts at once: the old association ends, the new one has another table key.
static void a_restart_is_a_new_association(void **state)
{
	struct net *net = make_one((struct net_config){.hosts = 2, .seed = 1});
	struct ledger *ledger = net->config.context;
	uint32_t number;

	(void)state;
	memset(ledger->resyncs, 0, sizeof(ledger->resyncs));
	for (unsigned life = 0; life < 5; life++) {
		net_crash(net, 1);
		memset(net->hosts[1].config.table_key, (int)(0x90 + life), SIPHASH_KEY_BYTES);
		net_boot(net, 1);
		assert_true(net_run_until(net, 5000, net_is_one));
		net_run_ms(net, 100);
		assert_int_equal(ledger->resyncs[1][1], life + 1);
		number = say_opened(net, NODE_ALL);
		net_run_ms(net, 10);
		say_changed(net, number, NODE_ALL);
		net_run_ms(net, 10);
		assert_int_equal(ledger->installed[1][number], 1);
		assert_int_equal(ledger->closed[1][number], 1);
	}
	assert_int_equal(ledger->wrong, 0);
	finish(net);
}

// Services are found by name, and a reload of the sender's or the receiver's changes nothing that
// is on its way.
static void policies_are_reloaded(void **state)
{
	struct net *net = make_one(
		(struct net_config){.hosts = 2, .seed = 1, .link = {.loss = 20, .reorder = 30}});
	struct ledger *ledger = net->config.context;
	struct net_host *h = &net->hosts[0];

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		uint32_t number = say_opened(net, 1);

		if (i % 3 == 0) {
			h->service.ports[0].low = (uint16_t)(1 + i % 400);
			cluster_set_policy(h->cluster, &h->policy);
		}
		if (i % 50 == 0)
			cluster_set_policy(net->hosts[1].cluster, &net->hosts[1].policy);
		net_run_ms(net, 2);
		if (ledger->installed[1][number] && ledger->last.type == MESSAGE_INSTALL)
			assert_int_equal(ledger->last.body.record.service, 0);
	}
	net_run_ms(net, 3000);
	assert_int_equal(net_peer_stats(net, 1, 0)->dropped, 0);
	audit(ledger, 1);
	finish(net);
}

// What a proven peer may say wrong.
static struct net *with_rogue(struct rogue *rogue, uint16_t max_id)
{
	struct net_config config = {.hosts = 2,
		.seed = 1,
		.link = {.delay_ns = NET_MS},
		.raw = rogue_arrive,
		.context = rogue};
	struct net *net = net_make(&config);

	net->hosts[0].config.max_id = max_id;
	net_boot(net, 0);
	rogue_start(rogue, net, 1, 0);
	assert_true(rogue_connect(rogue));
	net_run_ms(net, 20);
	return net;
}

static void end_rogue(struct rogue *rogue, struct net *net)
{
	rogue_finish(rogue);
	net_end(net);
}

// A connection, and its end.
static void rogue_opens(struct rogue *rogue)
{
	static const uint8_t create[] = {0x48, 6, 192, 0, 2, 1, 198, 51, 100, 7, 4, 0, 1, 0xbb, 0,
		0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, 7, 0x78, 0x12, 0x34};
	static const uint8_t change[] = {0xc0, 1, 2, 3, 4, 5, 6};

	rogue_say(rogue, true, create, sizeof(create));
	rogue_say(rogue, true, change, sizeof(change));
	net_run_ms(rogue->net, 2);
}

static void expect_refusal(const struct hello *hello, const char *error)
{
	struct rogue rogue = {0};
	struct net *net = with_rogue(&rogue, 15);

	rogue_beat(&rogue, &(struct heartbeat){.state = HEARTBEAT_ACTIVE, .generation.number = 64});
	net_run_ms(net, 2);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_CONNECTING);
	rogue_opens(&rogue); // before its HELLO: nothing
	assert_int_equal(net_peer_stats(net, 0, 1)->dropped, 2);
	rogue_hello(&rogue, hello);
	net_run_ms(net, 2);
	assert_int_equal(counter_get(&net_peer_stats(net, 0, 1)->refused), error != NULL);
	rogue_opens(&rogue);
	assert_int_equal(net->hosts[0].took[MESSAGE_INSTALL], error == NULL);
	assert_int_equal(net->hosts[0].took[MESSAGE_CHANGED], error == NULL);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, error ? PEER_REFUSED : PEER_ACTIVE);
	if (error != NULL) {
		assert_non_null(strstr(cluster_peer_error(net->hosts[0].cluster, 0), error));
		assert_int_equal(net->hosts[0].view.active & 2, 0);
	}
	end_rogue(&rogue, net);
}

static void versions_and_ids_must_fit(void **state)
{
	(void)state;
	expect_refusal(&(struct hello){.lowest = 1, .highest = 1, .max_id = 15}, NULL);
	expect_refusal(&(struct hello){.lowest = 1, .highest = 9, .max_id = 15}, NULL);
	expect_refusal(&(struct hello){.lowest = 2, .highest = 3, .max_id = 15}, "versions 2 to 3");
	expect_refusal(&(struct hello){.lowest = 0, .highest = 0, .max_id = 15}, "versions 0 to 0");
	expect_refusal(&(struct hello){.lowest = 1, .highest = 1, .max_id = 16}, "max_id = 16");
}

static void ids_above_the_highest_are_refused(void **state)
{
	struct rogue rogue = {0};
	struct net *net = with_rogue(&rogue, 0);
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = 0};

	(void)state;
	rogue_hello(&rogue, &hello);
	net_run_ms(net, 2);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_REFUSED);
	assert_non_null(strstr(cluster_peer_error(net->hosts[0].cluster, 0), "id 1"));
	end_rogue(&rogue, net);
}

// Who cannot prove who it is: not down, but refused, which is seen as long as it tries.
static void another_key_is_refused(void **state)
{
	struct net *net = make((struct net_config){.hosts = 2, .seed = 1});
	const struct cluster_peer_stats *peer;

	(void)state;
	net->hosts[0].keys.secret[0] ^= 1;
	net_boot_all(net);
	net_run_ms(net, 5000);
	peer = net_peer_stats(net, 1, 0);
	// Each is on its own, and goes on.
	assert_int_equal(net_stats(net, 0)->view, 1);
	assert_int_equal(net_stats(net, 1)->view, 2);
	for (unsigned i = 0; i < 60; i++) {
		net_run_ms(net, 500);
		assert_int_equal(peer->state, PEER_REFUSED);
	}
	assert_true(cluster_peer_channel(net->hosts[1].cluster, 0)->bad_auth > 3);
	assert_string_equal(
		cluster_peer_error(net->hosts[1].cluster, 0), "the peer has another secret");
	net_crash(net, 0);
	net_run_ms(net, 16000);
	assert_int_equal(peer->state, PEER_DOWN);
	net->hosts[0].keys.secret[0] ^= 1;
	net_boot(net, 0);
	assert_true(net_run_until(net, 10000, net_is_one));
	assert_string_equal(cluster_peer_error(net->hosts[1].cluster, 0), "");
	// It comes back with another one, while this node still has the keys of before.
	net_crash(net, 0);
	net->hosts[0].keys.secret[0] ^= 1;
	net_boot(net, 0);
	net_run_ms(net, 5000);
	assert_int_equal(peer->state, PEER_REFUSED);
	finish(net);
}

// Nonsense under a valid seal: counted, and the rest of the record is left alone.
static void nonsense_is_dropped(void **state)
{
	static const uint8_t bad[][8] = {
		{UPDATE_HELLO, 0, 2, 1, 1},	 // too short
		{UPDATE_SECRET, 0, 0},		 // empty
		{UPDATE_CHANGE | 0x0f, 0, 0, 0}, // truncated
		{UPDATE_CREATE | 0x08, 0x86, 0}, // truncated
		{UPDATE_ROWS, 0xff, 0xff, 1, 1}, // lies about its length
	};
	struct rogue rogue = {0};
	struct net *net = with_rogue(&rogue, 15);
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = 15};
	struct heartbeat beat = {.state = HEARTBEAT_ACTIVE, .generation = {.number = 64}};
	static const uint8_t unknown[] = {0x3f, 0, 1, 9};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		rogue_say(&rogue, true, bad[i], sizeof(bad[i]));
		net_run_ms(net, 2);
		assert_int_equal(net_peer_stats(net, 0, 1)->dropped, i + 1);
	}
	rogue_say_raw(&rogue, bad, 10);
	net_run_ms(net, 2);
	assert_int_equal(net_peer_stats(net, 0, 1)->dropped, ARRAY_LEN(bad) + 1);
	// Unknown types are skipped, and what is right is still heard.
	rogue_say(&rogue, true, unknown, sizeof(unknown));
	rogue_hello(&rogue, &hello);
	rogue_beat(&rogue, &beat);
	net_run_ms(net, 2);
	assert_int_equal(net_peer_stats(net, 0, 1)->dropped, ARRAY_LEN(bad) + 1);
	assert_int_equal(net_peer_stats(net, 0, 1)->state, PEER_ACTIVE);
	assert_int_equal(net->hosts[0].took[MESSAGE_INSTALL], 0);
	end_rogue(&rogue, net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_nodes_find_each_other_in_bad_weather),
		cmocka_unit_test(confirmation_takes_one_round_trip),
		cmocka_unit_test(records_arrive_whole),
		cmocka_unit_test(frames_go_to_the_owner),
		cmocka_unit_test(frames_to_nobody_are_counted),
		cmocka_unit_test(nothing_is_lost_repeated_or_overtaken),
		cmocka_unit_test(early_messages_do_not_wait),
		cmocka_unit_test(a_slow_peer_gets_the_rest_later),
		cmocka_unit_test(a_stopped_peer_is_left_and_told_all),
		cmocka_unit_test(forgotten_names_make_all_be_said_again),
		cmocka_unit_test(dead_peers_are_noticed_in_time),
		cmocka_unit_test(half_a_path_is_none),
		cmocka_unit_test(a_death_right_behind_a_handshake),
		cmocka_unit_test(a_restart_is_a_new_association),
		cmocka_unit_test(policies_are_reloaded),
		cmocka_unit_test(versions_and_ids_must_fit),
		cmocka_unit_test(ids_above_the_highest_are_refused),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(nonsense_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
