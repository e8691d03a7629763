// Membership: who is in the cluster, and how a node gets there.
//
// A peer is alive while its records arrive (detect_ms) and its heartbeats say that it hears this
// node, too: two nodes of which only one hears the other are not connected, on both sides. What
// else it is, its latest heartbeat says.
//
// Joining. A node starts without counter and secret. It takes both from the nodes that are active:
// the counter is the median of theirs, the secret comes from each of them, and the first is enough.
// Where nobody is active, the lowest id of the nodes that reach each other founds the cluster once
// nothing has changed among them for GATHER_NS; a node that reaches nobody founds after join_ms.
//
// The counter never goes back, and nodes that work together never jump. A peer's counter that is
// ahead by at most one tick is followed slowly, one further ahead is ignored (counter.c).
//
// Clusters that meet. Nodes that were cut off from each other when they started have founded
// clusters of their own, with different counters and secrets. When an active node hears an active
// peer with another secret, or a counter further away than a tick, one of them joins again:
//   1. a node that is alone follows one that is not;
//   2. of two that are alone, and far apart, the one with the smaller counter follows; where they
//      are near it is the secret of the later generation that both use, and nobody joins again;
//   3. of two that are not alone, the one with fewer peers near its counter follows, and where both
//      have the same number of them, at least one, the one with the smaller counter;
//   4. of two that have nobody else no one can tell which is right. The one that knows its clock to
//      have jumped, or to have run faster than the other's, takes it on itself where it is ahead.
//      Else the one behind follows, but only after both clocks ran alike for PAIR_NS: a clock that
//      is running away is not run after. Leads of more than PAIR_LEAD_MAX_NS are nobody's pause:
//      they stay apart and say so.
// So one host that lies, or whose clock jumps, moves nobody that has company. Who follows forwards
// takes the others' counter at once; who is ahead runs at half speed until they have come within a
// tick, because its workers' ticks must not go back. Both are joining meanwhile: cookies that
// another node would have to read are not made (VIEW without `decodes`).
#include "cluster/internal.h"

#include <stdio.h>

#define GATHER_NS     300000000ULL
#define TELL_AGAIN_NS 1000000000ULL
#define NS_PER_MS     1000000ULL
#define NS_PER_S      1000000000ULL

#define PAIR_NS		 (2 * COUNTER_NEAR_NS)
#define PAIR_SUSPECT_NS	 (2 * PACE_WINDOW_NS)
#define PAIR_LEAD_MAX_NS (3600 * NS_PER_S)

static struct peer *peer_at(struct cluster *cluster, unsigned index)
{
	return &cluster->peers[index];
}

static unsigned peer_count(const struct cluster *cluster)
{
	return cluster->config.peer_count;
}

void member_tell_all(struct cluster *cluster)
{
	for (unsigned i = 0; i < peer_count(cluster); i++)
		if (peer_at(cluster, i)->associated)
			peer_beat_soon(cluster, peer_at(cluster, i));
}

static void set_state(struct cluster *cluster, enum cluster_state state)
{
	if (cluster->state == state)
		return;
	cluster->state = state;
	cluster->unreached_ns = cluster->gathered_ns = cluster->now_ns;
	if (state == CLUSTER_ACTIVE)
		cluster->active_ns = cluster->now_ns;
	member_tell_all(cluster);
}

static bool is_active(const struct peer *peer)
{
	return peer->state == PEER_ACTIVE;
}

// What the peer's counter is now. It runs as this node's clock does since it was heard.
static uint64_t counter_of(const struct cluster *cluster, const struct peer *peer)
{
	return peer->beat.counter_ns + (cluster->now_ns - peer->beat_ns);
}

static bool is_sane(const struct peer *peer)
{
	return peer->beat.counter_ns < COUNTER_SANE_NS;
}

// Counter and secret can be had from it.
static bool can_lead(const struct peer *peer)
{
	return (peer->state == PEER_ACTIVE || peer->state == PEER_DRAINING) && is_sane(peer) &&
	       peer->beat.generation.number != 0;
}

static bool has_same_secret(const struct cluster *cluster, const struct peer *peer)
{
	return generation_is_same(peer->beat.generation, cluster->secrets.newest.generation);
}

// The median of the peers' counters, the lower one of two. False: there is none.
static bool median(const struct cluster *cluster, uint64_t *value_ns)
{
	uint64_t values[CLUSTER_PEERS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < peer_count(cluster); i++) {
		const struct peer *peer = &cluster->peers[i];
		uint64_t value = counter_of(cluster, peer);
		unsigned at = count;

		if (!can_lead(peer))
			continue;
		for (count++; at > 0 && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
	if (count > 0)
		*value_ns = values[(count - 1) / 2];
	return count > 0;
}

static void found(struct cluster *cluster)
{
	// A node that was active before goes on with what it had.
	if (!cluster->was_active) {
		counter_start(&cluster->clock, cluster->now_ns, cluster->config.counter_ns);
		secrets_found(&cluster->secrets, cluster->config.counter_ns, cluster->config.id,
			cluster->config.secret);
		post_secrets(cluster);
	} else {
		counter_start(&cluster->clock, cluster->now_ns,
			counter_value_ns(&cluster->clock, cluster->now_ns));
	}
	cluster->secrets.open = false;
	cluster->was_active = true;
	set_state(cluster, CLUSTER_ACTIVE);
}

static bool secret_is_shared(struct cluster *cluster)
{
	for (unsigned i = 0; i < peer_count(cluster); i++)
		if (can_lead(peer_at(cluster, i)) && !cluster->secrets.open &&
			has_same_secret(cluster, peer_at(cluster, i)))
			return true;
	return false;
}

// There are active peers: their counter, and their secret once it has come.
static void join(struct cluster *cluster, uint64_t value_ns)
{
	if (cluster->was_active && !counter_join(&cluster->clock, cluster->now_ns, value_ns))
		return;
	if (!secret_is_shared(cluster))
		return;
	if (!cluster->was_active)
		counter_start(&cluster->clock, cluster->now_ns, value_ns);
	cluster->was_active = true;
	cluster->alone = false;
	set_state(cluster, CLUSTER_ACTIVE);
}

// Nobody is active: who founds?
static void gather(struct cluster *cluster)
{
	uint64_t reached = 0;
	uint64_t lower = (1ULL << cluster->config.id) - 1;

	for (unsigned i = 0; i < peer_count(cluster); i++)
		if (peer_at(cluster, i)->state == PEER_JOINING)
			reached |= 1ULL << peer_at(cluster, i)->id;
	if (reached != cluster->gathered) {
		cluster->gathered = reached;
		cluster->gathered_ns = cluster->now_ns;
	}
	if (reached != 0)
		cluster->unreached_ns = cluster->now_ns;
	if (reached == 0 ? cluster->now_ns - cluster->unreached_ns >=
				   cluster->config.join_ms * NS_PER_MS
			 : (reached & lower) == 0 &&
				   cluster->now_ns - cluster->gathered_ns >= GATHER_NS)
		found(cluster);
}

// Active nodes whose counter is near `value_ns`.
static unsigned camp(const struct cluster *cluster, uint64_t value_ns)
{
	unsigned count = 0;

	for (unsigned i = 0; i < peer_count(cluster); i++)
		count += is_active(&cluster->peers[i]) && is_sane(&cluster->peers[i]) &&
			 counter_is_near(counter_of(cluster, &cluster->peers[i]), value_ns);
	return count;
}

// Rule 4. Called with each heartbeat of the only other node while they are apart.
static bool follows_of_two(
	const struct cluster *cluster, const struct peer *peer, uint64_t own, uint64_t other)
{
	uint64_t apart_ns = cluster->now_ns - peer->apart_ns;

	if (own > other)
		return cluster->suspect && apart_ns >= PAIR_SUSPECT_NS &&
		       own - other <= PAIR_LEAD_MAX_NS;
	return apart_ns >= PAIR_NS && other - own <= PAIR_LEAD_MAX_NS;
}

static bool follows(const struct cluster *cluster, struct peer *peer)
{
	uint64_t own = counter_value_ns(&cluster->clock, cluster->now_ns);
	uint64_t other = counter_of(cluster, peer);
	uint64_t apart_ns = peer->apart_ns;
	bool near = counter_is_near(own, other);
	unsigned mine, theirs;

	peer->apart_ns = 0;
	if (!is_sane(peer) || (near && has_same_secret(cluster, peer)))
		return false;
	if (cluster->alone != peer->beat.alone)
		return cluster->alone;
	if (near)
		return false;
	if (cluster->alone)
		return other > own;
	mine = 1 + camp(cluster, own);
	theirs = camp(cluster, other);
	if (theirs != mine || mine > 1)
		return theirs > mine || (theirs == mine && other > own);
	peer->apart_ns = apart_ns != 0 ? apart_ns : cluster->now_ns;
	return follows_of_two(cluster, peer, own, other);
}

// Whether both clocks run alike; where they do, and the counters are near, this node's is as good
// as the other's.
static void judge_clock(struct cluster *cluster, struct peer *peer)
{
	uint64_t own = counter_value_ns(&cluster->clock, cluster->now_ns);

	switch (pace_take(&peer->pace, cluster->now_ns, peer->beat.time_ns)) {
	case PACE_NONE:
		return;
	case PACE_ALIKE:
		if (is_active(peer) && counter_is_near(own, counter_of(cluster, peer)))
			cluster->suspect = false;
		return;
	case PACE_FASTER:
		cluster->suspect = true;
		peer->apart_ns = 0;
		return;
	case PACE_UNLIKE:
		peer->apart_ns = 0;
		return;
	}
}

// What is in flight under this node's cookies is lost, so the operator is told.
static void join_again(struct cluster *cluster, const struct peer *peer)
{
	uint64_t own = counter_value_ns(&cluster->clock, cluster->now_ns);
	uint64_t other = counter_of(cluster, peer);
	bool ahead = own > other;

	snprintf(cluster->rejoined, sizeof(cluster->rejoined),
		"joins again at tick %u: its counter is %llu s %s that of %s%s", cluster->tick,
		(unsigned long long)((ahead ? own - other : other - own) / NS_PER_S),
		ahead ? "ahead of" : "behind", cluster->config.peers[peer->index].name,
		ahead && !counter_is_near(own, other)
			? ", for which it waits at half speed"
			: "; handshakes it has answered may have to begin again");
	cluster->secrets.open = true;
	profiles_forget(cluster);
	set_state(cluster, CLUSTER_JOINING);
}

// A counter this node may not follow.
static void refuse_counter(struct cluster *cluster, struct peer *peer)
{
	uint64_t own = counter_value_ns(&cluster->clock, cluster->now_ns);
	uint64_t other = counter_of(cluster, peer);

	counter_add(&cluster->stats.counter_refused, 1);
	snprintf(peer->error, sizeof(peer->error),
		"its cluster counter is %llu s ahead and is not followed%s",
		(unsigned long long)((other - own) / NS_PER_S),
		other - own <= PAIR_LEAD_MAX_NS ? " yet"
						: ": restart the node whose clock is wrong");
}

static void compare(struct cluster *cluster, struct peer *peer)
{
	uint64_t own = counter_value_ns(&cluster->clock, cluster->now_ns);
	uint64_t other = counter_of(cluster, peer);

	if (cluster->state == CLUSTER_ACTIVE && is_active(peer) && follows(cluster, peer)) {
		join_again(cluster, peer);
		return;
	}
	if (counter_is_near(own, other) && has_same_secret(cluster, peer))
		cluster->alone = false;
	if (!counter_observe(&cluster->clock, cluster->now_ns, peer->index, other))
		refuse_counter(cluster, peer);
	else if (!peer->refused)
		peer->error[0] = '\0';
}

static enum peer_state state_of(const struct cluster *cluster, const struct peer *peer)
{
	static const enum peer_state states[] = {[HEARTBEAT_JOINING] = PEER_JOINING,
		[HEARTBEAT_ACTIVE] = PEER_ACTIVE,
		[HEARTBEAT_DRAINING] = PEER_DRAINING};

	if (peer_is_silent(cluster, peer) || !channel_is_up(peer->channel))
		return channel_is_refused(peer->channel, cluster->now_ns) ? PEER_REFUSED
									  : PEER_DOWN;
	if (peer->refused)
		return PEER_REFUSED;
	if (!peer->hello || !peer->has_beat || peer->beat.echo_ns == 0)
		return PEER_CONNECTING;
	return states[peer->beat.state];
}

// A peer that is silent may have another life since, which only a new handshake finds out. Again
// and again: it may also end right behind one.
static void reach_again(struct cluster *cluster, struct peer *peer)
{
	if (peer->associated && (peer->state == PEER_DOWN || peer_is_silent(cluster, peer)))
		channel_restart(peer->channel, cluster->now_ns, cluster_detect_ns(cluster));
}

static void update_state(struct cluster *cluster, struct peer *peer)
{
	enum peer_state state = state_of(cluster, peer);

	if (state == peer->state) {
		reach_again(cluster, peer);
		return;
	}
	peer->state = state;
	peer->apart_ns = 0;
	atomic_store_explicit(&peer->stats.state, state, memory_order_relaxed);
	if (state == PEER_ACTIVE) {
		// Whatever it did not hear while it was not active.
		peer->resync = peer->lost = true;
		profiles_meet(cluster, peer);
	}
	if (state != PEER_ACTIVE && state != PEER_DRAINING && cluster->was_active)
		counter_forget(&cluster->clock, cluster->now_ns, peer->index);
	reach_again(cluster, peer);
	if (peer->associated)
		peer_beat_soon(cluster, peer);
}

void member_heartbeat(struct cluster *cluster, struct peer *peer, const struct heartbeat *beat)
{
	peer->beat = *beat;
	update_state(cluster, peer);
	judge_clock(cluster, peer);
	if (cluster->state != CLUSTER_JOINING &&
		(peer->state == PEER_ACTIVE || peer->state == PEER_DRAINING))
		compare(cluster, peer);
}

void member_secret(struct cluster *cluster, struct peer *peer, const struct secret *secret,
	struct generation newest)
{
	// A newcomer that founded alone does not change what those who are together use; and itself
	// takes it when it joins them, not before.
	if (cluster->state != CLUSTER_JOINING &&
		(!peer->has_beat || peer->beat.alone != cluster->alone))
		return;
	// What a joining node was told by one who has since followed others is nobody's any more,
	// and must not keep it from what is in use because its generation is later.
	if (cluster->state == CLUSTER_JOINING && !secret_is_shared(cluster) &&
		generation_is_later(cluster->secrets.newest.generation, secret->generation))
		cluster->secrets.open = true;
	// Who joins knows no epoch; but what it is told first counted before what it is told next.
	if (!secrets_adopt(&cluster->secrets, secret, newest,
		    cluster->state == CLUSTER_JOINING ? UINT32_MAX : cluster_epoch(cluster)))
		return;
	post_secrets(cluster);
	member_tell_all(cluster);
}

static bool put_previous(struct cursor *out, const void *secrets)
{
	const struct secrets *own = secrets;

	return secret_put(out, &own->previous, own->newest.generation);
}

static bool put_newest(struct cursor *out, const void *secrets)
{
	const struct secrets *own = secrets;

	return secret_put(out, &own->newest, own->newest.generation);
}

static bool put_bye(struct cursor *out, const void *unused)
{
	(void)unused;
	return bye_put(out);
}

// Whether a peer needs the secret of this node: it joins, or has an earlier generation.
static bool lacks_secret(const struct cluster *cluster, const struct peer *peer)
{
	const struct heartbeat *beat = &peer->beat;
	struct generation own = cluster->secrets.newest.generation;

	if (generation_is_same(beat->generation, own))
		return false;
	if (peer->state == PEER_JOINING)
		return true;
	return (peer->state == PEER_ACTIVE || peer->state == PEER_DRAINING) &&
	       generation_is_later(own, beat->generation) && (beat->alone || !cluster->alone);
}

// What decides whether it takes what it is told: when this changes, it is told again.
static uint8_t told_as(const struct cluster *cluster, const struct peer *peer)
{
	return (uint8_t)(cluster->alone | peer->beat.alone << 1 |
			 (peer->state == PEER_JOINING) << 2);
}

static void tell_secret(struct cluster *cluster, struct peer *peer)
{
	const struct secrets *secrets = &cluster->secrets;

	if (!lacks_secret(cluster, peer) ||
		(generation_is_same(peer->secret_told, secrets->newest.generation) &&
			peer->secret_told_as == told_as(cluster, peer) &&
			cluster->now_ns - peer->secret_told_ns < TELL_AGAIN_NS))
		return;
	if (secrets_overlap(secrets, cluster_epoch(cluster)) &&
		!update_append(cluster, peer, put_previous, secrets))
		return;
	if (!update_append(cluster, peer, put_newest, secrets))
		return;
	peer->secret_told = secrets->newest.generation;
	peer->secret_told_as = told_as(cluster, peer);
	peer->secret_told_ns = cluster->now_ns;
}

static void say_bye(struct cluster *cluster)
{
	for (unsigned i = 0; i < peer_count(cluster); i++)
		if (peer_at(cluster, i)->associated)
			update_append(cluster, peer_at(cluster, i), put_bye, NULL);
	cluster->bye_due = false;
}

static void start(struct cluster *cluster)
{
	cluster->started = true;
	cluster->unreached_ns = cluster->gathered_ns = cluster->now_ns;
}

void member_run(struct cluster *cluster)
{
	uint64_t value_ns;

	if (!cluster->started)
		start(cluster);
	for (unsigned i = 0; i < peer_count(cluster); i++)
		update_state(cluster, peer_at(cluster, i));
	if (cluster->state == CLUSTER_JOINING) {
		if (median(cluster, &value_ns))
			join(cluster, value_ns);
		else
			gather(cluster);
	}
	if (cluster->state != CLUSTER_JOINING)
		for (unsigned i = 0; i < peer_count(cluster); i++)
			tell_secret(cluster, peer_at(cluster, i));
	if (cluster->bye_due)
		say_bye(cluster);
}

uint64_t member_due_ns(const struct cluster *cluster)
{
	uint64_t due = cluster->gathered != 0
			       ? cluster->gathered_ns + GATHER_NS
			       : cluster->unreached_ns + cluster->config.join_ms * NS_PER_MS;

	// What was due and did not happen waits for others.
	return cluster->state == CLUSTER_JOINING && due > cluster->now_ns ? due : UINT64_MAX;
}
