// Packets without a capture: they open connections through a real engine in every mode, and are
// what they say. Proves: B3.
#include "replay/synthetic.h"

#include "harness.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define FLOWS	 100
#define FRONT	 64
#define NS_PER_S 1000000000ULL

static struct node *node;
static struct synthetic load;
static uint32_t numbers[2 * FLOWS];

static struct synthetic_config config_of(enum synthetic_kind kind, uint32_t flows)
{
	struct synthetic_config config = {.kind = (uint8_t)kind,
		.flows = flows,
		.count = 4096,
		.rate = 1000000,
		.seed = 5,
		.service = &node->services[0],
		.prefix_bits = 24,
		.prefix_flows = 7};

	assert_int_equal(prefix_parse(&config.clients, "10.0.0.0/8"), 0);
	return config;
}

static void begin(uint8_t mode)
{
	node = node_make();
	node->services[0].mode = mode;
	node_go(node);
}

static void end(void)
{
	assert_true(node_end(node));
}

static struct frame frame_of(const struct synthetic_packet *packet, uint8_t room[512])
{
	memcpy(room + FRONT, packet->data, packet->len);
	return (struct frame){.data = room + FRONT,
		.len = packet->len,
		.headroom = FRONT,
		.tailroom = (uint16_t)(512 - FRONT - packet->len),
		.port = packet->side};
}

static enum verdict_kind offer(const struct synthetic_packet *packet)
{
	uint8_t room[512];

	return node_offer_frame(node, frame_of(packet, room));
}

// False where the engine does not let all of them open.
static bool open_all(void)
{
	struct synthetic_packet packet;

	while (synthetic_ask(&load, &packet)) {
		offer(&packet);
		for (unsigned i = 0; i < node->sent_count; i++)
			synthetic_hear(&load, &node->sent[i].frame, node->sent[i].port);
	}
	return synthetic_is_open(&load);
}

static void view_of(const struct synthetic_packet *packet, struct view *view)
{
	static uint8_t room[512];
	struct frame frame = frame_of(packet, room);

	assert_true(packet_good(&frame));
	assert_int_equal(view_parse(view, &frame), REASON_NONE);
}

static void open_and_measure(uint8_t mode, const char *clients, const char *servers)
{
	struct synthetic_config config;
	struct synthetic_packet packet;
	uint64_t dropped;
	unsigned sides[2] = {0};

	begin(mode);
	config = config_of(SYNTHETIC_ESTABLISHED, FLOWS);
	assert_int_equal(prefix_parse(&config.clients, clients), 0);
	assert_int_equal(prefix_parse(&node->services[0].to[0], servers), 0);
	if (config.clients.family == 6)
		config.prefix_bits = 56;
	synthetic_init(&load, &config, numbers);
	assert_true(open_all());
	assert_int_equal(load.opened, FLOWS);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), FLOWS);
	dropped = node_dropped_all(node);
	assert_int_equal(dropped, 0);
	while (synthetic_next(&load, &packet)) {
		assert_int_equal(offer(&packet), VERDICT_FORWARD);
		sides[packet.side]++;
	}
	assert_int_equal(sides[0], 2048);
	assert_int_equal(sides[1], 2048);
	assert_int_equal(node_dropped_all(node), 0);
	end();
}

static void connections_open_in_any_mode(void **state)
{
	(void)state;
	open_and_measure(MODE_PROXY, "10.0.0.0/8", "198.51.100.0/24");
	open_and_measure(MODE_TRACK, "10.0.0.0/8", "198.51.100.0/24");
	open_and_measure(MODE_PROXY, "2001:db8::/32", "2001:db8:2::/64");
}

static void those_that_may_not_stay_closed(void **state)
{
	struct synthetic_config config;

	(void)state;
	node = node_make();
	node->rows[0].action = RULE_DENY;
	node->rows[1].action = RULE_DENY;
	node_go(node);
	config = config_of(SYNTHETIC_ESTABLISHED, FLOWS);
	synthetic_init(&load, &config, numbers);
	assert_false(open_all());
	assert_int_equal(load.opened, 0);
	assert_int_equal(load.asked, SYNTHETIC_OPENING);
	end();
}

// A client's number gives its address, and no prefix has more connections than its limit.
static void prefixes_keep_to_their_limit(void **state)
{
	unsigned counts[256] = {0};
	struct synthetic_config config;
	struct synthetic_packet packet;
	struct view view;

	(void)state;
	begin(MODE_PROXY);
	config = config_of(SYNTHETIC_ESTABLISHED, FLOWS);
	assert_int_equal(synthetic_flows_most(&config), (uint64_t)65536 * 7);
	assert_int_equal(synthetic_prefixes(&config), (FLOWS + 6) / 7);
	assert_int_equal(prefix_parse(&config.clients, "192.0.2.64/26"), 0);
	assert_int_equal(synthetic_flows_most(&config), 7);
	config.prefix_flows = UINT32_MAX;
	assert_int_equal(synthetic_flows_most(&config), 64 * 64512);
	config = config_of(SYNTHETIC_ESTABLISHED, FLOWS);
	synthetic_init(&load, &config, numbers);
	assert_true(open_all());
	while (synthetic_next(&load, &packet)) {
		view_of(&packet, &view);
		if (packet.side == SIDE_OUTSIDE)
			counts[view.src.b[14]] |= 1u << view.src.b[15];
	}
	for (unsigned i = 0; i < 256; i++)
		assert_true(__builtin_popcount(counts[i]) <= 7);
	assert_int_equal(__builtin_popcount(counts[0]), 7);
	assert_int_equal(__builtin_popcount(counts[FLOWS / 7]), FLOWS % 7);
	assert_int_equal(counts[FLOWS / 7 + 1], 0);
	end();
}

static void floods_are_what_they_say(void **state)
{
	struct synthetic_config config;
	struct synthetic_packet packet;
	struct options options;
	struct view view;

	(void)state;
	begin(MODE_PROXY);
	config = config_of(SYNTHETIC_SYN, 0);
	synthetic_init(&load, &config, numbers);
	assert_true(synthetic_is_open(&load));
	assert_true(synthetic_next(&load, &packet));
	view_of(&packet, &view);
	assert_int_equal(packet.len, 74);
	assert_true(view_is_first_syn(&view));
	assert_int_equal(options_parse(&options, &view), 0);
	assert_int_equal(options.bits & (OPTION_MSS | OPTION_WSCALE | OPTION_TIMESTAMPS),
		OPTION_MSS | OPTION_WSCALE | OPTION_TIMESTAMPS);
	assert_int_equal(offer(&packet), VERDICT_REPLY);
	config = config_of(SYNTHETIC_ACK, 0);
	synthetic_init(&load, &config, numbers);
	assert_true(synthetic_next(&load, &packet));
	view_of(&packet, &view);
	assert_int_equal(view.tcp_flags, TCP_ACK);
	assert_int_equal(offer(&packet), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_bad_cookie);
	end();
}

static void a_mix_has_its_parts(void **state)
{
	struct synthetic_config config;
	struct synthetic_packet packet;
	unsigned syn = 0, forged = 0, client = 0, server = 0;
	struct view view;

	(void)state;
	begin(MODE_PROXY);
	config = config_of(SYNTHETIC_MIX, FLOWS);
	synthetic_init(&load, &config, numbers);
	assert_true(open_all());
	while (synthetic_next(&load, &packet)) {
		view_of(&packet, &view);
		if (packet.side == SIDE_INSIDE)
			server++;
		else if (view.tcp_flags & TCP_SYN)
			syn++;
		else if (view.tcp_flags & TCP_PSH)
			client++;
		else
			forged++;
	}
	assert_int_equal(server, 1024);
	assert_int_equal(server + syn + client + forged, 4096);
	assert_in_range(syn, 900, 1150);
	assert_in_range(forged, 900, 1150);
	assert_in_range(client, 900, 1150);
	end();
}

static void seed_and_rate_decide(void **state)
{
	struct synthetic_config config;
	struct synthetic_packet packet;
	uint8_t first[SYNTHETIC_FRAME_BYTES];
	uint64_t at_ns = 0;

	(void)state;
	begin(MODE_PROXY);
	config = config_of(SYNTHETIC_SYN, 0);
	config.rate = 3;
	config.count = 7;
	synthetic_init(&load, &config, numbers);
	assert_true(synthetic_next(&load, &packet));
	memcpy(first, packet.data, packet.len);
	for (unsigned i = 1; i < 7; i++) {
		assert_true(synthetic_next(&load, &packet));
		assert_int_equal(packet.at_ns, i * NS_PER_S / 3);
		assert_true(packet.at_ns > at_ns);
		at_ns = packet.at_ns;
		assert_memory_not_equal(first, packet.data, packet.len);
	}
	assert_false(synthetic_next(&load, &packet));
	synthetic_init(&load, &config, numbers);
	assert_true(synthetic_next(&load, &packet));
	assert_memory_equal(first, packet.data, packet.len);
	config.seed++;
	synthetic_init(&load, &config, numbers);
	assert_true(synthetic_next(&load, &packet));
	assert_memory_not_equal(first, packet.data, packet.len);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_open_in_any_mode),
		cmocka_unit_test(those_that_may_not_stay_closed),
		cmocka_unit_test(prefixes_keep_to_their_limit),
		cmocka_unit_test(floods_are_what_they_say),
		cmocka_unit_test(a_mix_has_its_parts),
		cmocka_unit_test(seed_and_rate_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
