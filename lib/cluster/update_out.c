// Workers' messages on their way to peers: into the record that is being filled, or, where a peer
// has no room or is not there, back.
//
// Rows. A record names the table it was written under. A new table is sent under the former one,
// which is named until the peer has acknowledged the whole new one: so a ROWS that got lost keeps
// nothing waiting. What the former one cannot say, of services it does not have, and everything
// where the peer has neither of the two, waits for its turn behind the ROWS.
#include "cluster/internal.h"

#include "base/check.h"

static struct cursor *room(struct cluster *cluster, struct peer *peer)
{
	return delivery_room(&peer->delivery, peer->rows_named, cluster->tick);
}

bool update_append(struct cluster *cluster, struct peer *peer,
	bool (*put)(struct cursor *out, const void *what), const void *what)
{
	for (unsigned tries = 0; tries < 2; tries++) {
		struct cursor *out = room(cluster, peer);

		if (out == NULL)
			return false;
		peer->urgent = true;
		if (put(out, what))
			return true;
		delivery_close(&peer->delivery);
	}
	return false;
}

// In parts, what fits into no record: all of them, or none where the window has no room for all.
static bool append_parts(struct cluster *cluster, struct peer *peer, size_t len)
{
	struct delivery *delivery = &peer->delivery;
	size_t room_min = delivery->room - PART_HEAD_BYTES - PART_ROOM_MIN;
	size_t at = 0;

	// A void number may take one more.
	if (delivery_queued(delivery) + 2 + len / room_min >= DELIVERY_RECORDS)
		return false;
	while (at < len) {
		struct cursor *out = room(cluster, peer);

		CHECK(out != NULL);
		at = part_put(out, cluster->long_message, len, at);
		if (at < len)
			delivery_close(delivery);
	}
	return true;
}

// The table the peer's records name; NULL: neither of those there are.
static const struct rows *rows_named(const struct cluster *cluster, const struct peer *peer)
{
	if (peer->rows_named == 0)
		return NULL;
	if (peer->rows_named == cluster->rows.generation)
		return &cluster->rows;
	return peer->rows_named == cluster->former.generation ? &cluster->former : NULL;
}

// False where the window is full.
static bool append(
	struct cluster *cluster, struct peer *peer, struct message *message, uint64_t hash)
{
	struct update_codec codec = {.rows = rows_named(cluster, peer),
		.sender = cluster->config.id,
		.whole = message->node == NODE_ALL || message->why,
		.tick = cluster->tick,
		.key = peer->table_key,
		.hash = hash};
	struct cursor whole = cursor_write(cluster->long_message, sizeof(cluster->long_message));
	struct cursor *out = room(cluster, peer);
	bool done = out != NULL && update_put(out, &codec, message);

	if (!done) {
		delivery_close(&peer->delivery);
		out = room(cluster, peer);
		done = out != NULL && update_put(out, &codec, message);
	}
	if (out == NULL)
		return false;
	if (!done && !update_put(&whole, &codec, message)) {
		counter_add(&peer->stats.unsent, 1); // the wire cannot say it
		return true;
	}
	if (!done && !append_parts(cluster, peer, (size_t)(whole.at - cluster->long_message)))
		return false;
	counter_add(&peer->stats.updates_sent, 1);
	peer->urgent |= message->type != MESSAGE_CHANGED;
	return true;
}

static bool is_reached(const struct peer *peer)
{
	return peer->state == PEER_ACTIVE || peer->state == PEER_DRAINING;
}

// From now on the newest table, once all of it is on its way.
static void name_newest(struct cluster *cluster, struct peer *peer)
{
	if (peer->rows_sent == cluster->rows.generation)
		peer->rows_named = cluster->rows.generation;
}

// Whether the table that is named gives the service of a CREATE its meaning.
static bool is_sayable(
	const struct cluster *cluster, const struct peer *peer, const struct message *message)
{
	uint16_t service = message->body.record.service;

	return message->type != MESSAGE_OPENED || service == SERVICE_NONE ||
	       peer->rows_named != cluster->former.generation ||
	       rows_service(&cluster->former, service) == service;
}

static struct peer *peer_of(struct cluster *cluster, uint16_t node)
{
	uint8_t index = node < NODES_MAX ? cluster->by_id[node] : PEER_NONE;

	return index == PEER_NONE ? NULL : &cluster->peers[index];
}

static void send_to(
	struct cluster *cluster, struct peer *peer, struct message *message, uint64_t hash)
{
	if (!is_sayable(cluster, peer, message))
		name_newest(cluster, peer);
	if (!is_reached(peer) || rows_named(cluster, peer) == NULL ||
		!is_sayable(cluster, peer, message) || !append(cluster, peer, message, hash))
		post_unsent(cluster, peer, message);
}

// `hash`: of the message's flow, with its peer's table key; 0 where that is not known.
static void route(struct cluster *cluster, struct message *message, uint64_t hash)
{
	struct peer *peer;
	bool said = false;

	switch (message->type) {
	case MESSAGE_OPENED:
	case MESSAGE_CHANGED:
	case MESSAGE_CONFIRMED:
	case MESSAGE_FRAME:
	case MESSAGE_NONE:
	case MESSAGE_EMIT:
		break;
	case MESSAGE_LEARNT:
		profiles_learnt(cluster, message);
		return;
	default:
		return;
	}
	if (message->node != NODE_ALL) {
		peer = peer_of(cluster, message->node);
		if (peer != NULL)
			send_to(cluster, peer, message, hash);
		else
			counter_add(&cluster->stats.misdirected, 1);
		return;
	}
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		if (cluster->peers[i].state != PEER_ACTIVE)
			continue;
		send_to(cluster, &cluster->peers[i], message, 0);
		said = true;
	}
	if (!said)
		counter_add(&cluster->stats.unsent, 1);
}

// Whose table key a message's digest is made with; NULL: it has none, or one for each peer.
static struct peer *digest_peer(struct cluster *cluster, const struct message *message)
{
	if (message->type != MESSAGE_CHANGED && message->type != MESSAGE_CONFIRMED)
		return NULL;
	return peer_of(cluster, message->node);
}

// Hashes what goes to the peer of the first one: updates come by the dozen, most of them to one.
static void hash_some(struct cluster *cluster, struct message *const *messages, unsigned count,
	uint64_t hashes[FLOW_KEYS_MAX])
{
	struct peer *peer = digest_peer(cluster, messages[0]);
	const struct flow_key *keys[FLOW_KEYS_MAX];
	uint64_t found[FLOW_KEYS_MAX];
	unsigned of[FLOW_KEYS_MAX], many = 0;

	for (unsigned i = 0; i < count; i++) {
		hashes[i] = 0;
		if (peer == NULL || digest_peer(cluster, messages[i]) != peer)
			continue;
		keys[many] = &messages[i]->body.flow.key;
		of[many++] = i;
	}
	if (many < 2)
		return;
	flow_key_hashes(peer->table_key, keys, many, found);
	for (unsigned i = 0; i < many; i++)
		hashes[of[i]] = found[i];
}

void update_route_all(struct cluster *cluster, struct message *const *messages, unsigned count)
{
	uint64_t hashes[FLOW_KEYS_MAX];

	for (unsigned at = 0; at < count; at += FLOW_KEYS_MAX) {
		unsigned some = count - at < FLOW_KEYS_MAX ? count - at : FLOW_KEYS_MAX;

		hash_some(cluster, messages + at, some, hashes);
		for (unsigned i = 0; i < some; i++)
			route(cluster, messages[at + i], hashes[i]);
	}
}

// What is missing of the newest table, the end included; false where there is no room for it.
static bool put_rows(struct cluster *cluster, struct peer *peer)
{
	struct cursor *out;

	while ((out = room(cluster, peer)) != NULL) {
		if (peer->rows_next < ROWS_MAX &&
			update_put_rows(out, &cluster->rows, &peer->rows_next))
			continue;
		if (peer->rows_next >= ROWS_MAX &&
			update_put_rows_end(out, cluster->rows.generation))
			return true;
		delivery_close(&peer->delivery);
	}
	return false;
}

void update_send_rows(struct cluster *cluster, struct peer *peer)
{
	struct delivery *delivery = &peer->delivery;

	if (peer->rows_named == cluster->rows.generation)
		return;
	if (peer->rows_sent != cluster->rows.generation) {
		if (!put_rows(cluster, peer))
			return;
		peer->rows_sent = cluster->rows.generation;
		peer->rows_last = delivery->next - 1;
		delivery_close(delivery);
	}
	if (delivery->first > peer->rows_last || rows_named(cluster, peer) == NULL)
		name_newest(cluster, peer);
}

void update_replace_rows(struct cluster *cluster, struct peer *peer)
{
	// Only one table back is kept, at both ends: what named an older one names none.
	name_newest(cluster, peer);
	if (peer->rows_named != cluster->rows.generation)
		peer->rows_named = 0;
	peer->rows_next = 0;
	peer->rows_sent = 0;
}
