// What is sent to a peer: records as they become full or a turn ends, what was lost, heartbeats and
// acknowledgements, and the channel's handshakes. As much as there are lent buffers; the rest
// waits.
#include "cluster/internal.h"

#define BEATS_PER_DETECT       4
#define BEATS_PER_DETECT_FAST  16 // those that answer something
#define CHANNEL_TURN_DATAGRAMS 8
#define TURNS_KEPT_MAX	       3	  // then a record goes out though it is not full
#define KEPT_NS		       1000000ULL // so long changes wait for company

void peer_beat_soon(struct cluster *cluster, struct peer *peer)
{
	uint64_t due = peer->beat_sent_ns + cluster_detect_ns(cluster) / BEATS_PER_DETECT_FAST;

	due = peer->beat_sent_ns == 0 || due < cluster->now_ns ? cluster->now_ns : due;
	if (due < peer->beat_due_ns)
		peer->beat_due_ns = due;
}

// The next lent buffer, NULL: none.
static struct datagram *lent(struct cluster *cluster)
{
	struct cluster_batch *batch = cluster->batch;

	if (batch->out_used < batch->out_room)
		return &batch->out[batch->out_used];
	cluster->work_left = true;
	return NULL;
}

static void emit(struct cluster *cluster, struct peer *peer, struct datagram *datagram, size_t len)
{
	datagram->len = (uint16_t)len;
	datagram->peer = peer->index;
	cluster->batch->out_used++;
	counter_add(&peer->stats.tx_bytes, len);
}

static bool seal(
	struct cluster *cluster, struct peer *peer, struct datagram *datagram, size_t plain_len)
{
	size_t len = channel_seal(peer->channel, cluster->now_ns, datagram->data, plain_len);

	if (len > 0)
		emit(cluster, peer, datagram, len);
	return len > 0;
}

static void fill_beat(struct cluster *cluster, struct peer *peer, struct heartbeat *beat)
{
	*beat = (struct heartbeat){
		.state = HEARTBEAT_JOINING,
		.alone = cluster->alone,
		.time_ns = cluster->now_ns,
	};
	if (!cluster->secrets.open)
		beat->generation = cluster->secrets.newest.generation;
	if (cluster->state != CLUSTER_JOINING) {
		beat->state =
			cluster->state == CLUSTER_ACTIVE ? HEARTBEAT_ACTIVE : HEARTBEAT_DRAINING;
		beat->age_s = (uint32_t)((cluster->now_ns - cluster->active_ns) / 1000000000);
		beat->counter_ns = counter_value_ns(&cluster->clock, cluster->now_ns);
	}
	if (peer->has_beat && !peer_is_silent(cluster, peer)) {
		beat->echo_ns = peer->beat.time_ns;
		beat->held_ns = cluster->now_ns - peer->beat_ns;
	}
}

// A record without a number: a heartbeat, or only the acknowledgement in its header.
static bool send_loose(struct cluster *cluster, struct peer *peer, bool with_beat)
{
	struct datagram *datagram = lent(cluster);
	struct record_head head = {.rows = peer->rows_named, .tick = cluster_tick(cluster)};
	struct heartbeat beat;
	struct cursor out;
	uint8_t *plain;

	if (datagram == NULL)
		return false;
	plain = datagram->data + DATAGRAM_HEADER_BYTES;
	out = cursor_write(plain, RECORD_BYTES_MAX);
	delivery_head(&peer->delivery, &head);
	record_head_put(&out, &head);
	if (with_beat) {
		fill_beat(cluster, peer, &beat);
		heartbeat_put(&out, &beat);
		peer->beat_sent_ns = cluster->now_ns;
		peer->beat_due_ns = cluster->now_ns + cluster_detect_ns(cluster) / BEATS_PER_DETECT;
	}
	return seal(cluster, peer, datagram, (size_t)(out.at - plain));
}

static void send_records(struct cluster *cluster, struct peer *peer)
{
	struct datagram *datagram;

	while ((datagram = lent(cluster)) != NULL) {
		bool again;
		size_t len = delivery_next(&peer->delivery, cluster->now_ns,
			datagram->data + DATAGRAM_HEADER_BYTES, &again);

		if (len == 0 || !seal(cluster, peer, datagram, len))
			return;
		if (again)
			counter_add(&peer->stats.resent, 1);
	}
}

static void send_channel(struct cluster *cluster, struct peer *peer)
{
	struct datagram *datagram;

	for (unsigned i = 0; i < CHANNEL_TURN_DATAGRAMS && (datagram = lent(cluster)) != NULL;
		i++) {
		size_t len = channel_poll(peer->channel, cluster->now_ns, datagram->data);

		if (len == 0)
			return;
		emit(cluster, peer, datagram, len);
	}
}

// Should the record that is not full wait for more messages? One that somebody waits for leaves
// with the turn, unless more are known to come; one of changes has time.
static bool is_kept(struct cluster *cluster, struct peer *peer)
{
	if (peer->kept != peer->delivery.next) {
		peer->kept = peer->delivery.next;
		peer->kept_ns = cluster->now_ns;
		peer->turns_kept = 0;
	}
	if (!peer->urgent)
		return cluster->now_ns - peer->kept_ns < KEPT_NS;
	if (!cluster->batch->messages_more || peer->turns_kept++ >= TURNS_KEPT_MAX)
		return false;
	cluster->work_left = true;
	return true;
}

static void close_record(struct cluster *cluster, struct peer *peer)
{
	if (!peer->delivery.open || is_kept(cluster, peer))
		return;
	peer->urgent = false;
	delivery_close(&peer->delivery);
}

void peer_send(struct cluster *cluster, struct peer *peer)
{
	send_channel(cluster, peer);
	if (!peer->associated || !channel_is_up(peer->channel))
		return;
	close_record(cluster, peer);
	if (peer->beat_due_ns <= cluster->now_ns && !send_loose(cluster, peer, true))
		return;
	if (!peer_is_silent(cluster, peer))
		send_records(cluster, peer);
	if (delivery_ack_is_due(&peer->delivery, cluster->now_ns))
		send_loose(cluster, peer, false);
}

uint64_t peer_due_ns(const struct cluster *cluster, const struct peer *peer)
{
	uint64_t due, silent = peer->heard_ns + cluster_detect_ns(cluster);

	if (!peer->associated || !channel_is_up(peer->channel))
		return UINT64_MAX;
	due = delivery_due_ns(&peer->delivery, !peer_is_silent(cluster, peer));
	due = peer->beat_due_ns < due ? peer->beat_due_ns : due;
	if (peer->delivery.open && peer->kept_ns + KEPT_NS < due)
		due = peer->kept_ns + KEPT_NS;
	return silent > cluster->now_ns && silent < due ? silent : due;
}
