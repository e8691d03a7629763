// One peer: its datagrams, and the messages in its records. What is sent to it: peer_out.c.
//
// Life of an association: the channel comes up with an incarnation of the peer that is new, numbers
// start, HELLO and the row table are queued. Nothing of the peer but heartbeats counts before its
// HELLO was handled, and nothing at all once it was refused. A peer that falls silent keeps its
// association: what was sent and not acknowledged is sent again when it is back, so numbers go on
// without a gap. A new incarnation ends it.
#include "cluster/agree.h"
#include "cluster/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOOSE_MESSAGES_MAX 8

bool peer_is_silent(const struct cluster *cluster, const struct peer *peer)
{
	return !peer->associated || cluster->now_ns - peer->heard_ns >= cluster_detect_ns(cluster);
}

void peer_refuse(struct peer *peer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(peer->error, sizeof(peer->error), format, arguments);
	va_end(arguments);
	peer->refused = true;
	counter_add(&peer->stats.refused, 1);
}

static bool put_hello(struct cursor *out, const void *hello)
{
	return hello_put(out, hello);
}

static void associate(struct cluster *cluster, struct peer *peer)
{
	const struct cluster_config *config = &cluster->config;
	struct hello hello = {.lowest = FORMAT_VERSION,
		.highest = FORMAT_VERSION,
		.max_id = config->max_id,
		.workers = (uint8_t)config->workers};

	peer->associated = true;
	peer->hello = peer->bye = peer->refused = peer->has_beat = false;
	peer->error[0] = peer->misnamed[0] = peer->differs[0] = '\0';
	peer->heard_ns = cluster->now_ns;
	peer->beat_sent_ns = 0;
	peer->beat_due_ns = cluster->now_ns;
	peer->rows_next = 0;
	peer->rows_sent = peer->rows_named = 0;
	peer->rows_former = false;
	peer->secret_told.number = 0;
	peer->arriving.valid = false;
	peer->parts.open = false;
	peer->pace = (struct pace){0};
	peer->apart_ns = 0;
	peer->sets_due = peer->set_next = 0;
	rows_clear(&peer->rows[0], 0);
	rows_clear(&peer->rows[1], 0);
	delivery_start(&peer->delivery,
		(uint16_t)(config->datagram_bytes - DATAGRAM_HEADER_BYTES - RECORD_TAG_BYTES -
			   RECORD_HEADER_BYTES),
		1);
	memcpy(hello.table_key, config->table_key, sizeof(hello.table_key));
	memcpy(hello.node, config->node, sizeof(hello.node));
	update_append(cluster, peer, put_hello, &hello);
	delivery_close(&peer->delivery);
}

// A name decides nothing, but whoever reads it looks for the wrong node.
static void compare_name(struct cluster *cluster, struct peer *peer, const struct hello *hello)
{
	const char *name = cluster->config.peers[peer->index].name;

	if (hello->node[0] == '\0' || strcmp(hello->node, name) == 0)
		return;
	snprintf(peer->misnamed, sizeof(peer->misnamed),
		"it is node \"%s\": correct its name in cluster.peers", hello->node);
	for (char *c = peer->misnamed; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void take_hello(struct cluster *cluster, struct peer *peer, const struct hello *hello)
{
	if (hello->lowest > FORMAT_VERSION || hello->highest < FORMAT_VERSION)
		peer_refuse(peer,
			"speaks versions %u to %u of the sync protocol, this node %u: "
			"install a version of Weir that both have in common",
			hello->lowest, hello->highest, FORMAT_VERSION);
	else if (hello->max_id != cluster->config.max_id)
		peer_refuse(peer, "has cluster.max_id = %u, this node %u: give all nodes the same",
			hello->max_id, cluster->config.max_id);
	else if (peer->id > cluster->config.max_id)
		peer_refuse(peer, "has id %u, above cluster.max_id = %u", peer->id,
			cluster->config.max_id);
	compare_name(cluster, peer, hello);
	peer->hello = true;
	peer->table_key = siphash_key(hello->table_key);
}

static bool take_beat(
	struct cluster *cluster, struct peer *peer, const uint8_t *body, size_t body_len)
{
	struct heartbeat beat;
	uint64_t away;

	if (!heartbeat_get(&beat, body, body_len))
		return false;
	if (peer->has_beat && beat.time_ns <= peer->beat.time_ns)
		return true; // overtaken by a later one
	if (peer->bye)
		beat.state = HEARTBEAT_DRAINING;
	away = cluster->now_ns - beat.echo_ns;
	if (beat.echo_ns != 0 && beat.echo_ns <= cluster->now_ns && beat.held_ns <= away)
		delivery_rtt(&peer->delivery, away - beat.held_ns);
	else if (beat.echo_ns == 0)
		peer_beat_soon(cluster, peer); // it does not know yet that it is heard
	peer->has_beat = true;
	peer->beat_ns = cluster->now_ns;
	member_heartbeat(cluster, peer, &beat);
	return true;
}

void peer_compare_rows(struct cluster *cluster, struct peer *peer)
{
	size_t room = sizeof(peer->differs), used;
	unsigned count = rows_differ(&cluster->rows, &peer->rows[peer->rows_used],
		cluster->config.peers[peer->index].name, peer->differs, room);

	if (count < 2)
		return;
	used = strlen(peer->differs);
	snprintf(peer->differs + used, room - used, " (and %u more)", count - 1);
}

static void use_arrived_rows(struct cluster *cluster, struct peer *peer)
{
	peer->rows_used = !peer->rows_used;
	peer->rows_former = true;
	peer_compare_rows(cluster, peer);
}

static bool take_rows(
	struct cluster *cluster, struct peer *peer, const uint8_t *body, size_t body_len)
{
	if (!update_get_rows(&peer->rows[!peer->rows_used], cluster->policy, body, body_len))
		return false;
	peer->rows_former = false;
	if (update_rows_end(body, body_len))
		use_arrived_rows(cluster, peer);
	return true;
}

static bool take_control(struct cluster *cluster, struct peer *peer, uint8_t type,
	const uint8_t *body, size_t body_len)
{
	struct secret secret;
	struct generation newest;
	struct hello hello;

	switch (type) {
	case UPDATE_HELLO:
		if (!hello_get(&hello, body, body_len))
			return false;
		if (!peer->hello)
			take_hello(cluster, peer, &hello);
		return true;
	case UPDATE_ROWS:
		return take_rows(cluster, peer, body, body_len);
	case UPDATE_SECRET:
		if (!secret_get(&secret, &newest, body, body_len))
			return false;
		if (peer->hello && !peer->refused)
			member_secret(cluster, peer, &secret, newest);
		return true;
	case UPDATE_PROFILES:
		return !peer->hello || peer->refused ||
		       profiles_take(cluster, peer, body, body_len);
	case UPDATE_LEARNT:
		return !peer->hello || peer->refused ||
		       profiles_take_learnt(cluster, body, body_len);
	case UPDATE_BYE:
		peer->bye = true;
		peer->beat.state = HEARTBEAT_DRAINING;
		return true;
	default:
		return true; // of a later version, or out of place
	}
}

static void deliver(struct cluster *cluster, struct peer *peer, struct message *message)
{
	uint16_t workers = cluster->config.workers;
	uint64_t hash = 0; // where there is a choice

	if (!peer->hello || peer->refused) {
		counter_add(&peer->stats.dropped, 1);
		return;
	}
	if (workers > 1 && message->type == MESSAGE_INSTALL)
		hash = flow_key_hash(cluster->table_key, &message->body.record.key);
	else if (workers > 1)
		hash = flow_digest_hash(message->body.flow.digest);
	message->worker = (uint16_t)flow_worker(hash, workers);
	counter_add(&peer->stats.updates_applied, 1);
	post_done(cluster);
}

// The table a record was written under; NULL: not here yet.
static const struct rows *rows_of(
	struct cluster *cluster, struct peer *peer, const struct arrived_record *record, bool turn)
{
	static const struct rows none;
	const struct rows *other = &peer->rows[!peer->rows_used];

	if (record->rows == peer->rows[peer->rows_used].generation)
		return &peer->rows[peer->rows_used];
	if (record->rows == 0)
		return &none;
	if (record->rows != other->generation || (!peer->rows_former && !turn))
		return NULL;
	// In number order the whole table has come before the first record that names it.
	if (!peer->rows_former)
		use_arrived_rows(cluster, peer);
	return other;
}

static void spoilt(struct peer *peer, struct arrived_record *record, uint16_t *at)
{
	counter_add(&peer->stats.dropped, 1);
	*at = record->len;
}

// False: malformed.
static bool take_part(struct cluster *cluster, struct peer *peer, const struct update_codec *codec,
	struct message *message, struct cursor body)
{
	bool done;

	if (!part_get(&peer->parts, body.at, cursor_left(&body), &done))
		return false;
	if (done && !part_message(&peer->parts, codec, message))
		return false;
	if (done)
		deliver(cluster, peer, message);
	return true;
}

// Handles messages of a record: in its turn all that were not handled before it, else the early
// ones. False: there is no cell for the next one, or enough was done in this call.
static bool handle(
	struct cluster *cluster, struct peer *peer, struct arrived_record *record, bool turn)
{
	struct update_codec codec = {.rows = rows_of(cluster, peer, record, turn),
		.sender = peer->id,
		.tick = record->tick,
		.key = cluster->table_key};
	uint16_t *at = turn ? &record->at : &record->early_at;
	struct cursor in;

	if (codec.rows == NULL) {
		if (turn)
			spoilt(peer, record, at);
		return true;
	}
	in = cursor_read(record->data + *at, record->len - *at);
	while (*at < record->len) {
		struct update_head head = update_peek(&in);
		const uint8_t *start = in.at, *body = NULL;
		size_t body_len = 0;
		struct message *message = post_cell(cluster);
		bool early = head.early && *at < record->early_at;

		if (message == NULL || cluster->budget == 0)
			return false;
		cluster->budget--;
		if (!update_get(&in, &codec, message, &body, &body_len) || in.at == start) {
			spoilt(peer, record, at);
			return true;
		}
		*at = (uint16_t)(*at + (in.at - start));
		if (turn ? early : !head.early)
			continue;
		if (message->type != 0)
			deliver(cluster, peer, message);
		else if (head.type == UPDATE_PART
				 ? !take_part(cluster, peer, &codec, message,
					   cursor_read(body, body_len))
				 : !take_control(cluster, peer, head.type, body, body_len))
			spoilt(peer, record, at);
	}
	return true;
}

static void leave_backlog(struct cluster *cluster)
{
	cluster->work_left = true;
	cluster->batch->backlog = true;
}

void peer_handle(struct cluster *cluster, struct peer *peer)
{
	struct delivery *delivery = &peer->delivery;
	struct arrived_record *record;

	if (!peer->associated)
		return;
	while ((record = delivery_turn(delivery)) != NULL) {
		if (!handle(cluster, peer, record, true)) {
			leave_backlog(cluster);
			return;
		}
		delivery_turn_done(delivery);
	}
	while (peer->hello && (record = delivery_early(delivery)) != NULL) {
		if (!handle(cluster, peer, record, false)) {
			leave_backlog(cluster);
			return;
		}
		delivery_early_done(delivery, record);
	}
}

// A record without a number is kept nowhere; heartbeats travel in these alone, and have company in
// later versions only.
static void handle_loose(struct cluster *cluster, struct peer *peer, const struct record_head *head,
	struct cursor in)
{
	static const struct rows none;
	struct update_codec codec = {
		.rows = &none, .sender = peer->id, .tick = head->tick, .key = cluster->table_key};

	for (unsigned i = 0; i < LOOSE_MESSAGES_MAX && cursor_left(&in) > 0; i++) {
		struct update_head next = update_peek(&in);
		const uint8_t *start = in.at, *body = NULL;
		size_t body_len = 0;

		if (!update_get(&in, &codec, &cluster->scratch, &body, &body_len) ||
			in.at == start || cluster->scratch.type != 0 ||
			(next.type == UPDATE_HEARTBEAT &&
				!take_beat(cluster, peer, body, body_len))) {
			counter_add(&peer->stats.dropped, 1);
			return;
		}
	}
}

static void take_record(struct cluster *cluster, struct peer *peer, const uint8_t *data, size_t len)
{
	struct cursor in = cursor_read(data, len);
	struct record_head head;

	if (!record_head_get(&in, &head) ||
		!delivery_acked(&peer->delivery, cluster->now_ns, &head)) {
		counter_add(&peer->stats.dropped, 1);
		return;
	}
	peer->heard_ns = cluster->now_ns;
	if (head.number == 0)
		handle_loose(cluster, peer, &head, in);
	else if (delivery_arrive(
			 &peer->delivery, cluster->now_ns, &head, in.at, cursor_left(&in)) != NULL)
		peer_handle(cluster, peer);
}

void peer_feed(struct cluster *cluster, struct peer *peer, struct datagram *datagram)
{
	uint8_t *plain = NULL;
	size_t plain_len = 0;

	counter_add(&peer->stats.rx_bytes, datagram->len);
	switch (channel_feed(peer->channel, cluster->now_ns, datagram->data, datagram->len, &plain,
		&plain_len)) {
	case CHANNEL_UP:
		associate(cluster, peer);
		return;
	case CHANNEL_RECORD:
		if (peer->associated)
			take_record(cluster, peer, plain, plain_len);
		return;
	case CHANNEL_NOTHING:
		return;
	}
}
