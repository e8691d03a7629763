// What the cluster itself has to say to workers and the control core. There may be no cell for it
// in a call: then it waits here, in bounded room, because all of it is state that can be said later
// in its latest form. Only the flows named by UNSENT are kept one by one; where there are too many,
// RESYNC says so (`why`), and the workers say everything again.
//
// Order: UNSENT before the RESYNC that answers it, VIEW before the RESYNC of a node that has become
// active, the previous secret before the newest.
#include "cluster/internal.h"

#include <string.h>

struct message *post_cell(struct cluster *cluster)
{
	struct cluster_batch *batch = cluster->batch;
	struct message *message;

	if (batch->messages_out_used >= batch->messages_out_room) {
		cluster->work_left = true;
		return NULL;
	}
	message = batch->messages_out[batch->messages_out_used];
	message->type = 0;
	message->why = 0;
	message->frame_len = 0;
	return message;
}

void post_done(struct cluster *cluster)
{
	cluster->batch->messages_out_used++;
}

void post_unsent(struct cluster *cluster, struct peer *peer, const struct message *message)
{
	struct post *post = &cluster->post;
	struct unsent *unsent;

	counter_add(&peer->stats.unsent, 1);
	if (message->type != MESSAGE_OPENED && message->type != MESSAGE_CHANGED)
		return; // the asker asks again, or gives up
	peer->dirty = true;
	if (post->unsent_count == POST_UNSENT_MAX) {
		peer->lost = true;
		return;
	}
	unsent = &post->unsent[(post->unsent_first + post->unsent_count++) % POST_UNSENT_MAX];
	*unsent = (struct unsent){.node = peer->id, .worker = message->worker};
	if (message->type == MESSAGE_CHANGED) {
		unsent->flow = message->body.flow;
	} else {
		unsent->flow.key = message->body.record.key;
		unsent->flow.incarnation = message->body.record.incarnation;
		unsent->flow.generation = message->body.record.generation;
	}
	unsent->flow.digest = flow_digest(
		flow_key_hash(cluster->table_key, &unsent->flow.key), unsent->flow.incarnation);
}

static bool flush_unsent(struct cluster *cluster)
{
	struct post *post = &cluster->post;

	for (; post->unsent_count > 0; post->unsent_count--) {
		struct unsent *unsent = &post->unsent[post->unsent_first];
		struct message *message = post_cell(cluster);

		if (message == NULL)
			return false;
		message->type = MESSAGE_UNSENT;
		message->node = unsent->node;
		message->worker = unsent->worker;
		message->body.flow = unsent->flow;
		post_done(cluster);
		post->unsent_first = (post->unsent_first + 1) % POST_UNSENT_MAX;
	}
	return true;
}

struct message *post_to_all(struct cluster *cluster, enum message_type type, uint16_t node)
{
	struct message *message = post_cell(cluster);

	if (message == NULL)
		return NULL;
	message->type = (uint8_t)type;
	message->node = node;
	message->worker = WORKER_ALL;
	post_done(cluster);
	return message;
}

void post_secrets(struct cluster *cluster)
{
	cluster->post.secrets_due = cluster->secrets.previous.generation.number != 0 ? 2 : 1;
	atomic_store_explicit(&cluster->stats.secret_generation,
		cluster->secrets.newest.generation.number >> SECRET_ROUND_SHIFT,
		memory_order_relaxed);
	atomic_store_explicit(&cluster->stats.secret_epoch, cluster->secrets.newest.first_epoch,
		memory_order_relaxed);
}

static bool flush_secrets(struct cluster *cluster)
{
	for (; cluster->post.secrets_due > 0; cluster->post.secrets_due--) {
		const struct secret *secret = cluster->post.secrets_due == 2
						      ? &cluster->secrets.previous
						      : &cluster->secrets.newest;
		struct message *message = post_to_all(cluster, MESSAGE_SECRET, NODE_NONE);

		if (message == NULL)
			return false;
		message->body.secret =
			(struct message_secret){.generation = secret->generation.number,
				.first_epoch = secret->first_epoch,
				.secret_len = CLUSTER_SECRET_BYTES};
		memcpy(message->body.secret.secret, secret->bytes, CLUSTER_SECRET_BYTES);
	}
	return true;
}

static bool flush_view(struct cluster *cluster)
{
	struct post *post = &cluster->post;
	struct message_view view = {
		.decodes = cluster->was_active && cluster->state != CLUSTER_JOINING};
	struct message *message;

	if (cluster->state == CLUSTER_ACTIVE)
		view.active = 1ULL << cluster->config.id;
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		if (cluster->peers[i].state == PEER_ACTIVE)
			view.active |= 1ULL << cluster->peers[i].id;
	atomic_store_explicit(&cluster->stats.view, view.active, memory_order_relaxed);
	if (post->view_told && view.active == post->view.active &&
		view.decodes == post->view.decodes)
		return true;
	message = post_to_all(cluster, MESSAGE_VIEW, NODE_NONE);
	if (message == NULL)
		return false;
	message->body.view = post->view = view;
	post->view_told = true;
	return true;
}

// A peer that lost messages for want of room gets them when half the window is free.
static void notice_room(struct peer *peer)
{
	if (peer->dirty && peer->state == PEER_ACTIVE &&
		delivery_queued(&peer->delivery) < DELIVERY_RECORDS / 2)
		peer->resync = true;
}

static bool flush_resyncs(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		struct peer *peer = &cluster->peers[i];
		struct message *message;

		notice_room(peer);
		if (!peer->resync || peer->state != PEER_ACTIVE)
			continue;
		message = post_to_all(cluster, MESSAGE_RESYNC, peer->id);
		if (message == NULL)
			return false;
		message->why = peer->lost;
		peer->resync = peer->dirty = peer->lost = false;
	}
	return true;
}

void post_flush(struct cluster *cluster)
{
	// Each waits for what is before it.
	(void)(flush_unsent(cluster) && flush_secrets(cluster) && flush_view(cluster) &&
		flush_resyncs(cluster) && profiles_flush(cluster));
}
