// Workers' messages on their way to peers: into the record that is being filled, or, where a peer
// has no room or is not there, back.
#include "cluster/internal.h"

static struct cursor *room(struct cluster *cluster, struct peer *peer)
{
	return delivery_room(&peer->delivery, peer->rows_sent, cluster->tick);
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

// What fits into no record, less its frame: the state is worth more, and the server sends its
// SYN/ACK again.
static bool put_smaller(
	struct cursor *out, const struct update_codec *codec, struct message *message)
{
	if (message->type != MESSAGE_OPENED || message->frame_len == 0)
		return false;
	message->frame_len = 0;
	return update_put(out, codec, message);
}

// False where the window is full.
static bool append(
	struct cluster *cluster, struct peer *peer, struct message *message, uint64_t hash)
{
	struct update_codec codec = {.rows = &cluster->rows,
		.sender = cluster->config.id,
		.whole = message->node == NODE_ALL || message->why,
		.tick = cluster->tick,
		.key = peer->table_key,
		.hash = hash};

	for (unsigned tries = 0; tries < 2; tries++) {
		struct cursor *out = room(cluster, peer);

		if (out == NULL)
			return false;
		if (update_put(out, &codec, message) ||
			(tries == 1 && put_smaller(out, &codec, message))) {
			counter_add(&peer->stats.updates_sent, 1);
			peer->urgent |= message->type != MESSAGE_CHANGED;
			return true;
		}
		if (tries == 0)
			delivery_close(&peer->delivery);
	}
	counter_add(&peer->stats.unsent, 1); // no record can carry it
	return true;
}

static bool is_reached(const struct peer *peer)
{
	return peer->state == PEER_ACTIVE || peer->state == PEER_DRAINING;
}

static struct peer *peer_of(struct cluster *cluster, uint16_t node)
{
	uint8_t index = node < NODES_MAX ? cluster->by_id[node] : PEER_NONE;

	return index == PEER_NONE ? NULL : &cluster->peers[index];
}

static void send_to(
	struct cluster *cluster, struct peer *peer, struct message *message, uint64_t hash)
{
	if (!is_reached(peer) || peer->rows_sent != cluster->rows.generation ||
		!append(cluster, peer, message, hash))
		post_unsent(cluster, peer, message);
}

// `hash`: of the message's flow, with its peer's table key; 0 where that is not known.
static void route(struct cluster *cluster, struct message *message, uint64_t hash)
{
	struct peer *peer;

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
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		if (cluster->peers[i].state == PEER_ACTIVE)
			send_to(cluster, &cluster->peers[i], message, 0);
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

void update_send_rows(struct cluster *cluster, struct peer *peer)
{
	struct delivery *delivery = &peer->delivery;

	while (peer->rows_sent != cluster->rows.generation) {
		// Under the former table's generation: the first record that names the new one puts
		// it in force.
		struct cursor *out = room(cluster, peer);

		if (out == NULL)
			return;
		if (peer->rows_next < ROWS_MAX &&
			update_put_rows(out, &cluster->rows, &peer->rows_next))
			continue;
		delivery_close(delivery);
		if (peer->rows_next >= ROWS_MAX)
			peer->rows_sent = cluster->rows.generation;
	}
}
