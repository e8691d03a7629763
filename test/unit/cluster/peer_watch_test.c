// What is said of a peer, and when. Expected silence and expected words.
#include "weir/cluster/peer_watch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define MS     1000000ULL
#define SECOND (1000 * MS)
#define START  (37032 * SECOND) // the machine is up for longer than the node

struct scene {
	struct peer_watch watch;
	struct peer_sight sight;
	uint64_t now_ns;
	unsigned told;
	char text[PEER_WATCH_TEXT_BYTES];
};

// 203.0.113.LAST
#define ADDRESS(last)                                                                              \
	{                                                                                          \
		.b = { [10] = 0xff, 0xff, 203, 0, 113, last }                                      \
	}

static const struct addr peer_address = ADDRESS(226), own_address = ADDRESS(225);

static struct scene begin(void)
{
	return (struct scene){.now_ns = START,
		.sight = {.name = "pop-b",
			.at = "203.0.113.226:47800",
			.error = "",
			.address = &peer_address,
			.own_address = &own_address,
			.udp_port = 47800,
			.own_udp_port = 47800,
			.detect_ms = 100,
			.join_ms = 1000}};
}

static bool look(struct scene *scene)
{
	peer_watch_see(&scene->watch, &scene->sight, scene->now_ns);
	scene->told += peer_watch_tells(&scene->watch, &scene->sight, scene->now_ns);
	return peer_watch_trouble(&scene->watch, &scene->sight, scene->now_ns, scene->text);
}

// Looks of a time in which nothing changes, but for datagrams where `rx' says so.
static bool pass(struct scene *scene, uint64_t ns, bool rx)
{
	uint64_t end_ns = scene->now_ns + ns;

	while (scene->now_ns < end_ns) {
		scene->now_ns +=
			250 * MS < end_ns - scene->now_ns ? 250 * MS : end_ns - scene->now_ns;
		scene->sight.rx_bytes += rx;
		look(scene);
	}
	return look(scene);
}

static bool become(struct scene *scene, enum peer_state state)
{
	scene->sight.state = state;
	return look(scene);
}

static struct scene begin_active(void)
{
	struct scene scene = begin();

	assert_false(look(&scene));
	scene.sight.rx_bytes = 1000;
	assert_false(become(&scene, PEER_ACTIVE));
	assert_false(pass(&scene, 60 * SECOND, true));
	return scene;
}

static void assert_says(const struct scene *scene, const char *words)
{
	if (strstr(scene->text, words) == NULL)
		fail_msg("no \"%s\" in \"%s\"", words, scene->text);
}

// The clock is the machine's, and nobody can have answered yet.
static void a_start_is_no_trouble(void **state)
{
	struct scene scene = begin();

	(void)state;
	assert_false(look(&scene));
	assert_string_equal(scene.text, "");
	assert_false(pass(&scene, 999 * MS, false));
	assert_true(pass(&scene, MS, false));
	assert_says(
		&scene, "peer pop-b at 203.0.113.226:47800 has not answered since the start (1 s)");
	assert_int_equal(scene.told, 0);
	assert_true(pass(&scene, 4 * SECOND, false));
	assert_says(&scene, "since the start (5 s)");
	assert_int_equal(scene.told, 1);
	pass(&scene, 100 * SECOND, false);
	assert_int_equal(scene.told, 1);
	assert_false(become(&scene, PEER_ACTIVE));
}

static void a_peer_that_does_not_hear_is_trouble(void **state)
{
	static const struct {
		enum peer_state state;
		const char *words;
	} cases[] = {
		{PEER_CONNECTING, "is heard, but does not hear this node (1 s)"},
		{PEER_JOINING, "is heard, but is still joining (1 s)"},
		{PEER_DRAINING, "is leaving the cluster (1 s)"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = begin_active();

		assert_false(become(&scene, cases[i].state));
		assert_false(pass(&scene, 999 * MS, true));
		assert_true(pass(&scene, MS, true));
		assert_says(&scene, cases[i].words);
		assert_int_equal(scene.told, 0);
		pass(&scene, 30 * SECOND, true);
		assert_int_equal(scene.told, 1);
		assert_false(become(&scene, PEER_ACTIVE));
	}
}

static void what_is_wrong_with_an_active_peer_is_trouble(void **state)
{
	struct scene scene = begin_active();

	(void)state;
	scene.sight.error = "its cluster counter is 7 s ahead and is not followed yet";
	assert_true(look(&scene));
	assert_says(&scene, "203.0.113.226:47800: its cluster counter is 7 s ahead");
	pass(&scene, 30 * SECOND, true);
	assert_int_equal(scene.told, 1);
	scene.sight.error = "";
	assert_false(look(&scene));
}

static void a_silent_peer(void **state)
{
	struct scene scene = begin_active();

	(void)state;
	assert_true(become(&scene, PEER_DOWN));
	assert_string_equal(
		scene.text, "peer pop-b at 203.0.113.226:47800 has not been heard for 100 ms");
	assert_true(pass(&scene, 6 * SECOND, false));
	assert_says(&scene, "has not been heard for 6 s");
	assert_int_equal(scene.told, 1);
}

// Who was stopped said so, and did not die.
static void a_peer_that_left(void **state)
{
	struct scene scene = begin_active();

	(void)state;
	become(&scene, PEER_DRAINING);
	pass(&scene, 100 * MS, true);
	assert_true(become(&scene, PEER_DOWN));
	assert_says(&scene, "has left the cluster (0 ms ago)");
	assert_true(pass(&scene, 60 * SECOND, false));
	assert_says(&scene, "has left the cluster (60 s ago)");
	assert_int_equal(scene.told, 0);
	become(&scene, PEER_ACTIVE);
	pass(&scene, SECOND, true);
	assert_true(become(&scene, PEER_DOWN));
	assert_says(&scene, "has not been heard for 100 ms");
}

static void a_peer_that_comes_and_goes(void **state)
{
	struct scene scene = begin_active();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		become(&scene, PEER_DOWN);
		pass(&scene, 300 * MS, true);
		assert_false(become(&scene, PEER_ACTIVE));
		pass(&scene, 300 * MS, true);
	}
	assert_int_equal(scene.told, 0);
	become(&scene, PEER_CONNECTING);
	assert_true(become(&scene, PEER_ACTIVE));
	assert_says(&scene, "comes and goes (lost 3 times in 10 s)");
	assert_says(&scene, "cluster.detect_ms = 100");
	for (unsigned i = 0; i < 20; i++) {
		become(&scene, PEER_DOWN);
		assert_true(become(&scene, PEER_ACTIVE));
	}
	assert_int_equal(scene.told, 1);
	assert_false(pass(&scene, 11 * SECOND, true));
}

static void a_refused_peer(void **state)
{
	struct scene scene = begin();

	(void)state;
	look(&scene);
	scene.sight.error = "node 1 has another pre-shared key";
	assert_true(become(&scene, PEER_REFUSED)); // at once: it is known
	assert_says(&scene, "is refused: node 1 has another pre-shared key");
	assert_int_equal(scene.told, 1);
	pass(&scene, 20 * SECOND, true);
	assert_int_equal(scene.told, 1);
	scene.sight.error = "the peer belongs to another cluster than lab";
	look(&scene);
	assert_int_equal(scene.told, 2);
}

// What is known of the way is the cause.
static void causes(void **state)
{
	static const struct {
		struct transport_way way;
		bool waits;
		const char *words;
	} cases[] = {
		{{.link = {.hop_is_silent = true, .hop = ADDRESS(226)}}, false,
			"start (5 s): nobody has that address (no answer to ARP)"},
		{{.link = {.hop_is_silent = true, .hop = ADDRESS(230)}}, false,
			": the gateway 203.0.113.230 does not answer (ARP)"},
		{{.link = {.to_port = 47801}}, false,
			": its datagrams come to UDP port 47801, this node's is 47800"},
		{{.link = {.from_port = 47801}}, true,
			": its datagrams come from UDP port 47801, not 47800"},
		{{.link = {.bad_checksums = true}}, true, ": its datagrams have wrong checksums"},
		{{.link = {.seeks = true, .sought = ADDRESS(230)}}, true,
			": it looks for 203.0.113.230, this node's cluster.address is "
			"203.0.113.225"},
		{{.error = EPERM}, false, ": this node cannot send to it: Operation not permitted"},
		{{.error = 0}, false, ": this node sends, and nothing comes back"},
		{{.error = 0}, true,
			": nothing arrives from it, which has the lower id and begins"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = begin();

		scene.sight.way = cases[i].way;
		scene.sight.waits = cases[i].waits;
		assert_false(look(&scene));
		assert_true(pass(&scene, 5 * SECOND, false));
		assert_says(&scene, cases[i].words);
		assert_int_equal(scene.told, 1);
	}
	// Of one that was heard only what is known.
	struct scene scene = begin_active();
	become(&scene, PEER_DOWN);
	assert_null(strstr(scene.text, "nothing comes back"));
	scene.sight.way.link = cases[0].way.link;
	look(&scene);
	assert_says(&scene, "heard for 100 ms: nobody has that address");
	become(&scene, PEER_CONNECTING);
	pass(&scene, 2 * SECOND, true);
	assert_says(&scene, "does not hear this node (2 s): nobody has that address");
}

// The other side refuses it, and its own log is the one to read.
static void a_peer_that_sends_and_gets_nowhere(void **state)
{
	struct scene scene = begin();

	(void)state;
	look(&scene);
	assert_true(pass(&scene, 3 * SECOND, true));
	assert_says(&scene, "sends, but does not go on to agree on keys (3 s)");
	assert_says(&scene, "see its log");
	pass(&scene, 30 * SECOND, true);
	assert_int_equal(scene.told, 1);
	assert_true(pass(&scene, 4 * SECOND, false));
	assert_says(&scene, "has not been heard for 4 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_is_no_trouble),
		cmocka_unit_test(a_peer_that_does_not_hear_is_trouble),
		cmocka_unit_test(what_is_wrong_with_an_active_peer_is_trouble),
		cmocka_unit_test(a_silent_peer),
		cmocka_unit_test(a_peer_that_left),
		cmocka_unit_test(a_peer_that_comes_and_goes),
		cmocka_unit_test(a_refused_peer),
		cmocka_unit_test(causes),
		cmocka_unit_test(a_peer_that_sends_and_gets_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
