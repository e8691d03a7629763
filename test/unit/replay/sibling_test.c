// Two nodes that are replayed together become a cluster, and what the engine of one says arrives at
// the engine of the other. Proves: M4 (both count the same ticks), B3.
#include "replay/sibling.h"

#include "base/check.h"
#include "cookie/keyring.h"
#include "engine/engine.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define NS_PER_MS  1000000ULL
#define JOIN_MS	   20000
#define KEPT_MAX   64
#define PAGE_BYTES 4096

struct one {
	struct sibling *sibling;
	struct policy policy;
	struct service service;
	struct message kept[KEPT_MAX]; // what its engine was given
	unsigned kept_count;
	unsigned epochs;
};

static struct one nodes[2];
static uint64_t now_ns;

static void begin(struct one *one, unsigned id, const char *cluster)
{
	struct cluster_config config = {.id = (uint16_t)id,
		.max_id = 15,
		.detect_ms = 100,
		.join_ms = 1000,
		.workers = 1,
		.incarnation = id + 1,
		.counter_ns = 1024 * KEYRING_TICK_NS,
		.datagram_bytes = DATAGRAM_BYTES_MAX,
		.peer_count = 1};
	size_t bytes;
	void *memory;

	*one = (struct one){0};
	snprintf(config.name, sizeof(config.name), "%s", cluster);
	config.peers[0].id = (uint16_t)!id;
	memset(config.secret, (int)id + 7, sizeof(config.secret));
	policy_init(&one->policy);
	snprintf(one->service.name, sizeof(one->service.name), "web");
	one->service.mode = MODE_PROXY;
	one->service.profile = (struct profile){.mss = 1460, .wscale = 7};
	one->policy.services = &one->service;
	one->policy.service_count = 1;
	assert_int_equal(policy_adopt(&one->policy, NULL), 0);
	bytes = (sibling_bytes(&config) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	memory = aligned_alloc(PAGE_BYTES, bytes);
	assert_non_null(memory);
	memset(memory, 0, bytes);
	one->sibling = sibling_init(memory, &config, &one->policy, id << 8);
}

static void begin_both(const char *first, const char *second)
{
	now_ns = 0;
	begin(&nodes[0], 0, first);
	begin(&nodes[1], 1, second);
	sibling_meet(nodes[0].sibling, nodes[1].sibling);
}

static void end_both(void)
{
	for (unsigned i = 0; i < 2; i++) {
		sibling_finish(nodes[i].sibling);
		free(nodes[i].sibling);
	}
}

static bool talk(struct one *one)
{
	struct message *told[ENGINE_BATCH_MAX];
	bool talked = sibling_run(one->sibling, now_ns);
	unsigned count = sibling_tell(one->sibling, now_ns, told);

	for (unsigned i = 0; i < count; i++) {
		one->epochs += told[i]->type == MESSAGE_EPOCH;
		assert_true(told[i]->type != MESSAGE_SECRET && told[i]->type != MESSAGE_PROFILES);
		if (one->kept_count < KEPT_MAX)
			one->kept[one->kept_count++] = *told[i];
	}
	sibling_told(one->sibling);
	return talked || count > 0;
}

// Until neither has anything to say.
static void exchange(void)
{
	bool talked;

	do {
		talked = talk(&nodes[0]);
		talked |= talk(&nodes[1]);
	} while (talked);
}

static void pass_ms(uint64_t ms)
{
	for (uint64_t end_ns = now_ns + ms * NS_PER_MS; now_ns < end_ns; now_ns += 10 * NS_PER_MS)
		exchange();
}

static bool are_ready(void)
{
	return sibling_is_ready(nodes[0].sibling) && sibling_is_ready(nodes[1].sibling);
}

static const struct message *find(const struct one *one, uint8_t type)
{
	for (unsigned i = 0; i < one->kept_count; i++)
		if (one->kept[i].type == type)
			return &one->kept[i];
	return NULL;
}

static void say(struct one *one, const struct message *message)
{
	struct message *cell;

	assert_int_equal(sibling_lend(one->sibling, &cell, 1), 1);
	*cell = *message;
	sibling_said(one->sibling, 1);
}

static struct message opened(uint32_t tick)
{
	uint8_t outer[4] = {192, 0, 2, 9}, inner[4] = {198, 51, 100, 7};
	struct message message = {.type = MESSAGE_OPENED, .node = 1};

	message.body.record = (struct flow_record){.key = {.outer = addr_from_ip4(outer),
							   .inner = addr_from_ip4(inner),
							   .outer_port = 4000,
							   .inner_port = 443,
							   .protocol = PROTOCOL_TCP},
		.mode = MODE_PROXY,
		.state = TCP_ESTABLISHED,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 8},
		.generation = 1,
		.incarnation = tick << 12,
		.isn_client = 77};
	message.body.record.translation.d = 4711;
	return message;
}

static void they_become_one_cluster(void **state)
{
	const struct message *keys[2];

	(void)state;
	begin_both("lab", "lab");
	pass_ms(100);
	assert_false(are_ready());
	pass_ms(JOIN_MS);
	assert_true(are_ready());
	assert_string_equal(sibling_complaint(nodes[0].sibling), "");
	assert_int_equal(
		sibling_tick(nodes[0].sibling, now_ns), sibling_tick(nodes[1].sibling, now_ns));
	for (unsigned i = 0; i < 2; i++)
		keys[i] = find(&nodes[i], MESSAGE_EPOCH);
	assert_non_null(keys[0]);
	assert_non_null(keys[1]);
	assert_memory_equal(
		&keys[0]->body.epoch.keys, &keys[1]->body.epoch.keys, sizeof(struct epoch_keys));
	assert_int_equal(keys[0]->body.epoch.profiles[nodes[0].service.id].mss, 1460);
	end_both();
}

static void those_of_two_clusters_stay_apart(void **state)
{
	(void)state;
	begin_both("lab", "other");
	pass_ms(JOIN_MS);
	assert_false(are_ready());
	assert_string_not_equal(sibling_complaint(nodes[0].sibling), "");
	end_both();
}

static void what_one_opens_the_other_installs(void **state)
{
	const struct message *install;
	struct message message;

	(void)state;
	begin_both("lab", "lab");
	pass_ms(JOIN_MS);
	message = opened(sibling_tick(nodes[0].sibling, now_ns));
	message.body.record.service = nodes[0].service.id;
	assert_null(find(&nodes[1], MESSAGE_INSTALL));
	say(&nodes[0], &message);
	exchange(); // it takes no time
	install = find(&nodes[1], MESSAGE_INSTALL);
	assert_non_null(install);
	assert_int_equal(install->body.record.translation.d, 4711);
	assert_int_equal(install->body.record.owner, 0);
	assert_memory_equal(
		&install->body.record.key, &message.body.record.key, sizeof(struct flow_key));
	assert_null(find(&nodes[0], MESSAGE_INSTALL));
	end_both();
}

// Keys go on: one epoch every 32 s, and never one that is missing.
static void keys_follow_the_counter(void **state)
{
	unsigned before;

	(void)state;
	begin_both("lab", "lab");
	pass_ms(JOIN_MS);
	before = nodes[1].epochs;
	nodes[1].kept_count = 0;
	pass_ms(320000);
	assert_in_range(nodes[1].epochs - before, 10, 32); // some again, with what was learnt
	assert_true(are_ready());
	end_both();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_become_one_cluster),
		cmocka_unit_test(those_of_two_clusters_stay_apart),
		cmocka_unit_test(what_one_opens_the_other_installs),
		cmocka_unit_test(keys_follow_the_counter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
