// What services' SYN/ACKs announce is common state (TCP.md 2.13): a cookie made at one node is read
// at another one, which must know what was said with it. So the profiles of an epoch are one set,
// the same at all nodes.
//
// Life of a set. In the second tick of epoch e the leader, the lowest id of those that are active,
// makes the set of e + 1: what its set of e says, and what servers showed since to any node, which
// told it the leader (LEARNT), and tells it again where another one leads. Whoever gets a set it
// did not have tells it all others, so it arrives wherever anything does, and outlives its author.
// A node that becomes active is told all sets. After SET_LATE_NS before the epoch no set is made
// any more, so that every set has that long to spread; where none came, the epoch goes on with what
// is announced already.
//
// Two sets of one epoch (two thought they were the leader): the lower author's counts, until the
// epoch begins; from then on it stays. So nodes that were cut off from each other agree again from
// the next epoch on for which no set was made yet. What nobody agreed on is a guess, which never
// travels and gives way to a set at any time: the profiles of a node that joins and is told nothing
// for SETTLE_NS, or joins again, and those of an epoch that began without a set. The leader makes
// a set of its guess.
//
// Sets go by name: nodes number services as they like, and may not have the same ones. Control is
// told every set and guess in this node's numbers (MESSAGE_PROFILES), again where the policy
// changed; it decides nothing.
#include "cluster/internal.h"

#include <string.h>

#define SETTLE_NS   1000000000ULL
#define SET_LATE_NS 4000000000ULL
#define EPOCH_NS    (KEYRING_TICKS_PER_EPOCH * KEYRING_TICK_NS)
#define SETS_ALL    ((1u << PROFILE_EPOCHS) - 1)

static unsigned slot_of(uint32_t epoch)
{
	return epoch % PROFILE_EPOCHS;
}

static bool has(const struct profiles *profiles, uint32_t epoch)
{
	const struct profile_set *set = &profiles->sets[slot_of(epoch)];

	return set->valid && set->epoch == epoch;
}

// The set of `epoch`, or the latest one before it, NULL: none.
static const struct profile_set *latest(const struct profiles *profiles, uint32_t epoch)
{
	const struct profile_set *found = NULL;

	for (unsigned i = 0; i < PROFILE_EPOCHS; i++) {
		const struct profile_set *set = &profiles->sets[i];

		if (set->valid && set->epoch <= epoch && (!found || set->epoch > found->epoch))
			found = set;
	}
	return found;
}

static bool is_told(const struct peer *peer)
{
	return peer->state == PEER_ACTIVE || peer->state == PEER_DRAINING;
}

// The set in `slot` has changed: all but `source` are told.
static void tell_others(struct cluster *cluster, unsigned slot, const struct peer *source)
{
	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		struct peer *peer = &cluster->peers[i];

		peer->sets_due |= 1u << slot;
		if (peer == source)
			peer->sets_due &= ~(1u << slot);
		if (peer->set_slot == slot)
			peer->set_next = 0; // from the start, if it is half told
	}
}

// There is another set: what is seen from now on is for the next one.
static void start_over(struct profiles *profiles)
{
	memset(profiles->seen, 0, sizeof(profiles->seen));
	memset(profiles->changed, 0, sizeof(profiles->changed));
	memset(profiles->learnt_due, 0, sizeof(profiles->learnt_due));
}

static void make(struct cluster *cluster, uint32_t epoch, uint16_t author)
{
	struct profiles *profiles = &cluster->profiles;
	const struct profile_set *before = latest(profiles, epoch);
	struct profile_set *set = &profiles->scratch;

	*set = (struct profile_set){.valid = true, .author = author, .epoch = epoch};
	for (uint16_t i = 0; i < cluster->policy->service_count; i++) {
		const struct service *service = &cluster->policy->services[i];
		struct named_profile *entry = &set->list[set->count];
		const struct profile *known = NULL;

		if (service->learn && before && !profiles->changed[service->id])
			known = profile_find(before, service->name, set->count);
		memcpy(entry->name, service->name, sizeof(entry->name));
		entry->profile = known ? *known : service->profile;
		if (service->learn)
			profile_learn(&entry->profile, &profiles->seen[service->id]);
		set->count++;
	}
	start_over(profiles);
}

static void store(struct cluster *cluster, const struct profile_set *set, const struct peer *source)
{
	struct profiles *profiles = &cluster->profiles;
	unsigned slot = slot_of(set->epoch);
	struct profile_set *own = &profiles->sets[slot];

	if (!has(profiles, set->epoch) || !profile_set_equal(own, set))
		profiles->post_due |= 1u << slot;
	*own = *set;
	tell_others(cluster, slot, source);
}

static uint16_t leader(const struct cluster *cluster)
{
	uint16_t lowest = cluster->state == CLUSTER_ACTIVE ? cluster->config.id : NODE_NONE;

	for (unsigned i = 0; i < cluster->config.peer_count; i++) {
		const struct peer *peer = &cluster->peers[i];

		if (peer->state == PEER_ACTIVE && peer->id < lowest)
			lowest = peer->id;
	}
	return lowest;
}

static bool is_agreed(const struct profiles *profiles, uint32_t epoch)
{
	return has(profiles, epoch) && profiles->sets[slot_of(epoch)].author != PROFILE_GUESS;
}

// Whatever others had to tell would have come by now.
static bool has_waited(const struct cluster *cluster, uint64_t since_ns)
{
	return cluster->alone || cluster->now_ns - since_ns >= SETTLE_NS;
}

// The current epoch is never without profiles, once there were any. A node that has just joined has
// them in parts until it heard all.
static void begin(struct cluster *cluster, uint32_t now)
{
	struct profiles *profiles = &cluster->profiles;
	const struct profile_set *before;

	if (has(profiles, now) || !has_waited(cluster, cluster->active_ns))
		return;
	before = latest(profiles, now);
	if (before) {
		profiles->scratch = *before;
		profiles->scratch.epoch = now;
		profiles->scratch.author = PROFILE_GUESS;
	} else {
		make(cluster, now, PROFILE_GUESS);
	}
	store(cluster, &profiles->scratch, NULL);
}

// Without anybody to tell it to, a guess stays one.
static bool has_company(const struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->config.peer_count; i++)
		if (cluster->peers[i].state == PEER_ACTIVE)
			return true;
	return cluster->alone;
}

static void lead(struct cluster *cluster, uint32_t now)
{
	struct profiles *profiles = &cluster->profiles;
	uint64_t passed = counter_value_ns(&cluster->clock, cluster->now_ns) % EPOCH_NS;

	if (!is_agreed(profiles, now) && has_company(cluster)) {
		profiles->scratch = profiles->sets[slot_of(now)];
		profiles->scratch.author = cluster->config.id;
		store(cluster, &profiles->scratch, NULL);
	}
	// A new leader hears first what the former one did.
	if (passed < EPOCH_NS - KEYRING_TICK_NS || passed >= EPOCH_NS - SET_LATE_NS ||
		is_agreed(profiles, now + 1) || !has_waited(cluster, profiles->led_ns))
		return;
	make(cluster, now + 1, cluster->config.id);
	store(cluster, &profiles->scratch, NULL);
}

// Another one leads: it is told what was seen since the last set.
static void follow(struct cluster *cluster, uint16_t to)
{
	struct profiles *profiles = &cluster->profiles;

	if (to == profiles->leader)
		return;
	profiles->leader = to;
	profiles->led_ns = cluster->now_ns;
	for (unsigned id = 0; id < SERVICE_COUNT_MAX; id++)
		profiles->learnt_due[id] = profiles->seen[id].known != 0;
	profiles->learnt_any = true;
}

void profiles_run(struct cluster *cluster)
{
	struct profiles *profiles = &cluster->profiles;
	uint32_t now;

	if (!cluster->was_active)
		return;
	now = cluster_epoch(cluster);
	begin(cluster, now);
	follow(cluster, leader(cluster));
	if (profiles->leader != cluster->config.id || !has(profiles, now))
		return;
	if (is_agreed(profiles, now) ||
		(has_waited(cluster, cluster->active_ns) && has_waited(cluster, profiles->met_ns)))
		lead(cluster, now);
}

// Whether a peer's set counts here.
static bool is_wanted(const struct cluster *cluster, const struct profile_set *set)
{
	const struct profiles *profiles = &cluster->profiles;
	const struct profile_set *own = &profiles->sets[slot_of(set->epoch)];
	uint32_t now = cluster_epoch(cluster);

	// Counters that are near each other differ by a tick at most.
	if (set->epoch + 1 < now || set->epoch > now + 2)
		return false;
	if (!has(profiles, set->epoch) || own->author == PROFILE_GUESS)
		return true;
	return set->epoch > now && set->author < own->author;
}

bool profiles_take(struct cluster *cluster, struct peer *peer, const uint8_t *body, size_t body_len)
{
	struct profile_set *set = &peer->arriving;
	bool whole;

	if (!profile_get_set(set, body, body_len, &whole))
		return false;
	if (!whole)
		return true;
	if (cluster->was_active && is_wanted(cluster, set)) {
		store(cluster, set, peer);
		// Who made the next one has heard all that this node has.
		if (set->epoch > cluster_epoch(cluster))
			start_over(&cluster->profiles);
	}
	set->valid = false; // what follows begins another one
	return true;
}

bool profiles_take_learnt(struct cluster *cluster, const uint8_t *body, size_t body_len)
{
	const struct policy *policy = cluster->policy;
	struct named_profile learnt;

	if (!profile_get_learnt(&learnt, body, body_len))
		return false;
	for (uint16_t i = 0; i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];

		if (service->learn && strcmp(service->name, learnt.name) == 0)
			profile_merge(&cluster->profiles.seen[service->id], &learnt.profile);
	}
	return true;
}

// It is kept here, too: the leader may change.
void profiles_learnt(struct cluster *cluster, const struct message *message)
{
	struct profiles *profiles = &cluster->profiles;
	const struct policy *policy = cluster->policy;
	uint16_t id = message->body.learnt.service;
	const struct service *service = policy->service_count ? policy_service(policy, id) : NULL;

	if (service == NULL || !service->learn)
		return;
	profile_merge(&profiles->seen[id], &message->body.learnt.profile);
	profiles->learnt_due[id] = profiles->learnt_any = true;
}

void profiles_meet(struct cluster *cluster, struct peer *peer)
{
	cluster->profiles.met_ns = cluster->now_ns;
	peer->sets_due = SETS_ALL;
	peer->set_next = 0;
}

// False where there is no room: later.
static bool send_learnt(struct cluster *cluster, struct peer *peer)
{
	struct profiles *profiles = &cluster->profiles;
	const struct policy *policy = cluster->policy;

	for (uint16_t i = 0; profiles->learnt_any && i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];
		struct named_profile learnt = {.profile = profiles->seen[service->id]};

		if (!profiles->learnt_due[service->id])
			continue;
		memcpy(learnt.name, service->name, sizeof(learnt.name));
		if (!update_append(cluster, peer, profile_put_learnt, &learnt))
			return false;
		profiles->learnt_due[service->id] = false;
	}
	profiles->learnt_any = false;
	return true;
}

static bool is_to_be_told(const struct cluster *cluster, const struct profile_set *set)
{
	return set->valid && set->author != PROFILE_GUESS &&
	       set->epoch + 1 >= cluster_epoch(cluster);
}

// The slot whose turn it is: the one that is half told, or else any that is due.
static bool next_due(const struct cluster *cluster, struct peer *peer)
{
	const struct profile_set *sets = cluster->profiles.sets;

	if (peer->set_next > 0 && is_to_be_told(cluster, &sets[peer->set_slot]))
		return true;
	peer->set_next = 0;
	for (unsigned slot = 0; peer->sets_due != 0 && slot < PROFILE_EPOCHS; slot++) {
		if (!(peer->sets_due >> slot & 1))
			continue;
		peer->set_slot = slot;
		if (is_to_be_told(cluster, &sets[slot]))
			return true;
		peer->sets_due &= ~(1u << slot);
	}
	return false;
}

void profiles_send(struct cluster *cluster, struct peer *peer)
{
	struct delivery *delivery = &peer->delivery;

	if (!is_told(peer) || !cluster->was_active ||
		(peer->id == cluster->profiles.leader && !send_learnt(cluster, peer)))
		return;
	while (next_due(cluster, peer)) {
		const struct profile_set *set = &cluster->profiles.sets[peer->set_slot];
		struct cursor *out =
			delivery_room(delivery, peer->rows_sent, cluster_tick(cluster));

		if (out == NULL)
			return;
		if (!profile_put_set(out, set, &peer->set_next)) {
			delivery_close(delivery);
			continue;
		}
		if (peer->set_next == PROFILE_SET_DONE) {
			peer->sets_due &= ~(1u << peer->set_slot);
			peer->set_next = 0;
		}
	}
}

void profiles_forget(struct cluster *cluster)
{
	for (unsigned i = 0; i < PROFILE_EPOCHS; i++)
		cluster->profiles.sets[i].author = PROFILE_GUESS;
}

void profiles_policy(struct cluster *cluster, const struct policy *policy)
{
	const struct policy *former = cluster->policy;
	struct profiles *profiles = &cluster->profiles;

	for (uint16_t i = 0; i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];
		const struct service *was =
			former->service_count ? policy_service(former, service->id) : NULL;

		if (was && service_same_profile(service, was))
			continue;
		profiles->seen[service->id].known = 0;
		profiles->changed[service->id] = was && strcmp(service->name, was->name) == 0;
	}
	profiles->post_due = SETS_ALL;
}

static void fill(
	const struct cluster *cluster, const struct profile_set *set, struct message *message)
{
	const struct policy *policy = cluster->policy;

	memset(&message->body.epoch, 0, sizeof(message->body.epoch));
	message->body.epoch.keys.epoch = set->epoch;
	message->body.epoch.service_count = SERVICE_COUNT_MAX; // by id, with holes
	for (uint16_t i = 0; i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];
		const struct profile *profile = profile_find(set, service->name, i);

		if (profile != NULL)
			message->body.epoch.profiles[service->id] = *profile;
	}
}

bool profiles_flush(struct cluster *cluster)
{
	struct profiles *profiles = &cluster->profiles;

	for (unsigned slot = 0; slot < PROFILE_EPOCHS; slot++) {
		const struct profile_set *set = &profiles->sets[slot];
		struct message *message;

		if (!(profiles->post_due >> slot & 1) || !set->valid)
			continue;
		message = post_to_all(cluster, MESSAGE_PROFILES, NODE_NONE);
		if (message == NULL)
			return false;
		fill(cluster, set, message);
		profiles->post_due &= ~(1u << slot);
	}
	return true;
}
