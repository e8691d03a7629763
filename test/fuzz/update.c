// A record of a peer, after 4 bytes of its tick: rows and messages in any order. Whatever can be
// read is in range, and said again it means the same.
#include "fuzz.h"

#include "base/bytes.h"
#include "base/check.h"
#include "cluster/part.h"
#include "cluster/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_BYTES     4
#define WIRE_BYTES_MAX 4096
#define SERVICES       8

static struct policy policy;
static struct rows table, again;

static void start(void)
{
	if (policy.services == NULL) {
		policy_init(&policy);
		policy.services = calloc(SERVICES, sizeof(*policy.services));
		CHECK(policy.services != NULL);
		policy.service_count = SERVICES;
		for (unsigned i = 0; i < SERVICES; i++) {
			struct service *service = &policy.services[i];

			snprintf(service->name, sizeof(service->name), "service-%u", i);
			service->to_count = 1;
			service->protocol = RULE_TCP;
			service->ports[0].high = UINT16_MAX;
			service->port_count = 1;
		}
		CHECK(policy_adopt(&policy, NULL) == 0);
	}
	rows_build(&table, &policy, 1);
}

// `table` as this node would declare it: in its own ids.
static void make_again(void)
{
	again = table;
	for (unsigned i = 0; i < ROWS_MAX; i++) {
		struct row *row = &again.row[i];

		row->valid = row->valid && row->service != SERVICE_NONE;
		row->declared = row->service;
	}
	rows_adopt(&again, &policy);
}

static void check_row(const struct row *a, const struct row *b)
{
	CHECK(a->valid == b->valid);
	if (!a->valid)
		return;
	CHECK(a->mode == b->mode && a->client_inside == b->client_inside);
	CHECK(a->service == b->service && a->declared == b->declared);
	CHECK(a->port_first == b->port_first && a->port_last == b->port_last);
	CHECK(addr_equal(&a->prefix.addr, &b->prefix.addr));
	CHECK(a->prefix.bits == b->prefix.bits && a->prefix.family == b->prefix.family);
	CHECK(strcmp(a->name, b->name) == 0);
}

// What was read of a table can be declared, and gives the same table.
static void check_rows(const uint8_t *body, size_t len)
{
	static struct rows copy;
	unsigned next = 0;

	if (!update_get_rows(&table, &policy, body, len))
		return;
	rows_clear(&copy, 0);
	for (;;) {
		uint8_t wire[WIRE_BYTES_MAX];
		struct cursor out = cursor_write(wire, sizeof(wire));

		if (!update_put_rows(&out, &table, &next))
			break;
		CHECK(update_get_rows(&copy, &policy, wire + 3, (size_t)(out.at - wire) - 3));
	}
	CHECK(next == ROWS_MAX && copy.generation == table.generation);
	for (unsigned i = 0; i < ROWS_MAX; i++)
		check_row(&table.row[i], &copy.row[i]);
}

// What was read of a set, told in one record after the other, is the same set.
static void check_profiles(struct profile_set *set, const uint8_t *body, size_t len)
{
	static struct profile_set copy;
	unsigned next = 0;
	bool whole;

	if (!profile_get_set(set, body, len, &whole)) {
		CHECK(!set->valid && !whole);
		return;
	}
	CHECK(set->valid && set->count <= SERVICE_COUNT_MAX && set->author < NODES_MAX);
	copy.valid = false;
	while (next != PROFILE_SET_DONE) {
		uint8_t wire[SERVICE_NAME_BYTES * 4];
		struct cursor out = cursor_write(wire, sizeof(wire));

		CHECK(profile_put_set(&out, set, &next));
		CHECK(profile_get_set(&copy, wire + 3, (size_t)(out.at - wire) - 3, &whole));
	}
	CHECK(whole && copy.epoch == set->epoch && copy.author == set->author);
	CHECK(profile_set_equal(&copy, set));
}

static void check_learnt(const uint8_t *body, size_t len)
{
	struct named_profile learnt, again_learnt;
	uint8_t wire[SERVICE_NAME_BYTES * 2];
	struct cursor out = cursor_write(wire, sizeof(wire));

	if (!profile_get_learnt(&learnt, body, len))
		return;
	CHECK(profile_put_learnt(&out, &learnt) && (size_t)(out.at - wire) == len + 3);
	CHECK(profile_get_learnt(&again_learnt, wire + 3, len));
	CHECK(strcmp(learnt.name, again_learnt.name) == 0);
	CHECK(profile_equal(&learnt.profile, &again_learnt.profile));
}

static void check_record(const struct flow_record *a, const struct flow_record *b)
{
	CHECK(flow_key_equal(&a->key, &b->key));
	CHECK(a->mode == b->mode && a->state == b->state && a->bits == b->bits);
	CHECK(a->wscale[0] == b->wscale[0] && a->wscale[1] == b->wscale[1]);
	CHECK(a->service == b->service && a->owner == b->owner);
	CHECK(a->generation == b->generation && a->incarnation == b->incarnation);
	CHECK(memcmp(&a->translation, &b->translation, sizeof(a->translation)) == 0);
	CHECK(a->cookie == b->cookie && a->isn_client == b->isn_client);
	CHECK(a->key.protocol == PROTOCOL_TCP ? a->mode <= MODE_BYPASS : a->mode == MODE_TRACK);
	CHECK(a->state < TCP_STATE_COUNT && a->owner < NODES_MAX);
	CHECK(a->service == SERVICE_NONE || policy_service(&policy, a->service) != NULL);
}

static void check_create(const struct update_codec *codec, struct message *message)
{
	static struct message back;
	struct update_codec own = *codec;
	uint8_t wire[WIRE_BYTES_MAX];
	struct cursor cursor = cursor_write(wire, sizeof(wire));
	const uint8_t *body;
	size_t len;

	make_again();
	own.rows = &again;
	own.whole = true;
	message->type = MESSAGE_OPENED;
	CHECK(update_put(&cursor, &own, message));
	cursor = cursor_read(wire, (size_t)(cursor.at - wire));
	CHECK(update_get(&cursor, &own, &back, &body, &len));
	CHECK(cursor_left(&cursor) == 0 && back.type == MESSAGE_INSTALL);
	check_record(&message->body.record, &back.body.record);
	CHECK(back.frame_len == message->frame_len);
	CHECK(memcmp(back.frame, message->frame, message->frame_len) == 0);
}

static void check_named(const struct message *message)
{
	CHECK(message->body.flow.digest >> 48 == 0 && message->body.flow.bits < 8);
	CHECK(message->frame_len <= MESSAGE_FRAME_MAX && message->frame_side <= SIDE_INSIDE);
	CHECK((message->frame_len > 0) ==
		(message->type == MESSAGE_FRAME || message->type == MESSAGE_EMIT));
}

static void check_message(const struct update_codec *codec, struct message *message)
{
	if (message->type == MESSAGE_INSTALL)
		check_create(codec, message);
	else
		check_named(message);
}

// What was put together is a message like any other, or none.
static void check_part(struct parts *parts, const struct update_codec *codec,
	struct message *message, struct cursor body)
{
	bool done;

	if (!part_get(parts, body.at, cursor_left(&body), &done)) {
		CHECK(!parts->open && !done);
		return;
	}
	CHECK(parts->open != done && parts->len > 0 && parts->len <= sizeof(parts->bytes));
	if (done && part_message(parts, codec, message))
		check_message(codec, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct message message;
	static struct profile_set set;
	static struct parts parts;
	struct update_codec codec = {.rows = &table, .sender = 5};
	struct cursor in;
	const uint8_t *body;
	size_t body_len;

	if (len < TICK_BYTES)
		return 0;
	start();
	set.valid = false;
	parts.open = false;
	codec.tick = be32_get(data);
	in = cursor_read(data + TICK_BYTES, len - TICK_BYTES);
	while (cursor_left(&in) > 0) {
		struct update_head head = update_peek(&in);

		if (!update_get(&in, &codec, &message, &body, &body_len))
			return 0;
		if (message.type != 0)
			check_message(&codec, &message);
		else if (head.type == UPDATE_PART)
			check_part(&parts, &codec, &message, cursor_read(body, body_len));
		else if (head.type == UPDATE_ROWS)
			check_rows(body, body_len);
		else if (head.type == UPDATE_PROFILES)
			check_profiles(&set, body, body_len);
		else if (head.type == UPDATE_LEARNT)
			check_learnt(body, body_len);
	}
	return 0;
}
