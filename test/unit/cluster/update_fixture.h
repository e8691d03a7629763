// What the tests of rows and updates share: a policy of named services, a record, and what must
// have arrived of a message.
#pragma once

#include "cluster/update.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_BYTES_MAX	     2200
#define DATAGRAM_BODY_BYTES  (1472 - 16 - 16 - 18) // without header, tag and record header
#define DATAGRAM_FRAME_BYTES (1472 + 42)	   // with Ethernet, IPv4 and UDP

static inline struct addr fixture_addr(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return addr;
}

static inline struct prefix fixture_prefix(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(&prefix, text), 0);
	return prefix;
}

// TCP services "service-0" ... for clients outside, any server, all ports; ids as the names say.
static inline void fixture_policy(struct policy *policy, uint16_t count)
{
	policy_init(policy);
	policy->services = calloc(count, sizeof(*policy->services));
	assert_non_null(policy->services);
	policy->service_count = count;
	for (unsigned i = 0; i < count; i++) {
		struct service *service = &policy->services[i];

		snprintf(service->name, sizeof(service->name), "service-%u", i);
		service->to_count = 1; // a zeroed prefix is "any"
		service->protocol = RULE_TCP;
		service->from = RULE_FROM_OUTSIDE;
		service->mode = MODE_PROXY;
		service->ports[0].high = UINT16_MAX;
		service->port_count = 1;
	}
	assert_int_equal(policy_adopt(policy, NULL), 0);
}

// Of a service for 198.51.100.0/24 with ports 1-65535, and of one for 2001:db8:2::/64: the first
// two of a policy.
static inline void fixture_web(struct policy *policy)
{
	fixture_policy(policy, 3);
	policy->services[0].to[0] = fixture_prefix("198.51.100.0/24");
	policy->services[1].to[0] = fixture_prefix("2001:db8:2::/64");
	policy->services[0].ports[0].low = policy->services[1].ports[0].low = 1;
}

// What a proxied handshake of node 3 leaves at tick 1000.
static inline void fixture_opened(struct message *message, int family)
{
	memset(message, 0, sizeof(*message));
	message->type = MESSAGE_OPENED;
	message->node = 1;
	message->body.record = (struct flow_record){
		.key = {.outer = fixture_addr(family == 4 ? "192.0.2.10" : "2001:db8:1::10"),
			.inner = fixture_addr(family == 4 ? "198.51.100.10" : "2001:db8:2::10"),
			.outer_port = 40000,
			.inner_port = 80,
			.protocol = PROTOCOL_TCP},
		.mode = MODE_PROXY,
		.state = TCP_ESTABLISHED,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 9},
		.service = family == 4 ? 0 : 1,
		.owner = 3,
		.generation = 1,
		.incarnation = 1000 << 12 | 0xabc,
		.translation = {.d = 0xdeadbeef, .e = (uint32_t)-4711},
	};
}

static inline struct update_codec fixture_codec(const struct rows *rows)
{
	return (struct update_codec){.rows = rows,
		.sender = 3,
		.tick = 1000,
		.key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}}};
}

static inline void fixture_assert_records_equal(
	const struct flow_record *a, const struct flow_record *b)
{
	assert_memory_equal(&a->key, &b->key, sizeof(a->key));
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->bits, b->bits);
	assert_int_equal(a->wscale[0], b->wscale[0]);
	assert_int_equal(a->wscale[1], b->wscale[1]);
	assert_int_equal(a->service, b->service);
	assert_int_equal(a->owner, b->owner);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->incarnation, b->incarnation);
	assert_memory_equal(&a->translation, &b->translation, sizeof(a->translation));
	assert_int_equal(a->cookie, b->cookie);
	assert_int_equal(a->isn_client, b->isn_client);
}

// `back` is what the peer must know after `message` was sent to it.
static inline void fixture_assert_arrived(
	const struct update_codec *codec, const struct message *message, const struct message *back)
{
	const struct message_flow *flow = &message->body.flow;
	bool blind = message->type == MESSAGE_FRAME || message->type == MESSAGE_NONE;

	assert_int_equal(back->frame_len, message->frame_len);
	assert_memory_equal(back->frame, message->frame, message->frame_len);
	if (message->type == MESSAGE_OPENED) {
		struct flow_record expected = message->body.record;

		assert_int_equal(back->type, MESSAGE_INSTALL);
		if (!codec->whole)
			expected.cookie = expected.isn_client = 0;
		fixture_assert_records_equal(&back->body.record, &expected);
		return;
	}
	assert_int_equal(back->type, message->type);
	assert_true(back->body.flow.digest == flow_digest(flow_key_hash(codec->key, &flow->key),
						      blind ? 0 : flow->incarnation));
	if (message->type == MESSAGE_CHANGED)
		assert_int_equal(back->body.flow.bits, flow->bits);
	if (message->type == MESSAGE_CONFIRMED)
		assert_int_equal(back->body.flow.generation, flow->generation);
	if (message->type == MESSAGE_FRAME)
		assert_int_equal(back->frame_side, message->frame_side);
}
