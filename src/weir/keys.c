// Cluster counter, epoch keys and announced profiles.
//
// The counter is a function of the monotonic clock (node_tick) and, with a cluster, of what that
// says. An epoch is two of its ticks; the keys of epoch e + 1 are posted in the second tick of e,
// so that no worker ever meets an epoch it has no keys for. With the keys goes what each service
// announces in that epoch: what its servers showed since the previous post, the least of all; where
// they showed nothing, what was announced before; with learn = false always the configured profile.
//
// With a cluster that decides what is announced, for all its nodes alike (cluster/profile_agree.c),
// and tells it by MESSAGE_PROFILES: where it comes after the keys were posted these are posted
// again with it, and what it does not speak of is announced as before.
//
// Keys come from a secret: this life's own, or the cluster's, which MESSAGE_SECRET tells before the
// node is active. Nothing is posted before both, nor before the profiles of the current epoch.
// `cluster rotate` brings another secret, for epochs that begin later; the former one stays for
// those before.
#include "weir/control_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "weir/cluster/sync.h"

#include <string.h>
#include <sys/random.h>

#define OWN_SECRET_BYTES 32

static struct epoch_post *post_of(struct keys *keys, uint32_t epoch)
{
	return &keys->epochs[epoch % CONTROL_EPOCHS];
}

static uint32_t epoch_now(const struct node *node)
{
	return node_tick(node, node_now_ns()) / KEYRING_TICKS_PER_EPOCH;
}

static bool covers(const struct keys_secret *secret, uint32_t epoch)
{
	return secret->valid && (int32_t)(epoch - secret->first_epoch) >= 0;
}

// An epoch before the first secret a joining node got is derived from that one, too: its cookies of
// that time were made by others, and are not this node's to read.
static const struct keys_secret *secret_of(const struct keys *keys, uint32_t epoch)
{
	bool former = !covers(&keys->secrets[0], epoch) && keys->secrets[1].valid;

	return &keys->secrets[former];
}

// Sends keys and profiles of an epoch to all workers; there is room.
static void send_epoch(struct node *node, const struct epoch_post *post)
{
	static struct message message; // large; one thread
	const struct keys_secret *secret = secret_of(&node->control->keys, post->epoch);

	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_EPOCH;
	message.node = NODE_NONE;
	// libcrypto cannot fail half-way: it has derived keys at the start already.
	CHECK(keyring_derive(&message.body.epoch.keys, secret->bytes, secret->len, post->epoch) ==
		0);
	message.body.epoch.service_count = SERVICE_COUNT_MAX; // by id, with holes
	memcpy(message.body.epoch.profiles, post->profiles, sizeof(post->profiles));
	control_broadcast(node, &message);
	keyring_wipe(&message.body.epoch.keys);
}

// What the cluster told, NULL: nothing.
static const struct profile *told_of(const struct keys *keys, uint32_t epoch, uint16_t id)
{
	const struct epoch_profiles *told = &keys->told[epoch % CONTROL_EPOCHS];

	return told->epoch == epoch && told->profiles[id].mss != 0 ? &told->profiles[id] : NULL;
}

static void fill_profiles(const struct node *node, struct epoch_post *post)
{
	const struct policy *policy = node->config->policy;
	struct keys *keys = &node->control->keys;
	const struct epoch_post *previous = post_of(keys, post->epoch - 1);
	bool has_previous = previous->valid && previous->epoch == post->epoch - 1;

	for (uint16_t i = 0; i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];
		const struct profile *told = told_of(keys, post->epoch, service->id);
		struct profile *profile = &post->profiles[service->id];

		if (told)
			*profile = *told;
		else if (service->learn && has_previous)
			*profile = previous->profiles[service->id];
		else
			*profile = service->profile;
		if (service->learn && !told)
			profile_learn(profile, &keys->seen[service->id]);
	}
}

static void post_epoch(struct node *node, uint32_t epoch)
{
	struct keys *keys = &node->control->keys;
	struct epoch_post *post = post_of(keys, epoch);

	post->epoch = epoch;
	fill_profiles(node, post);
	memset(keys->seen, 0, sizeof(keys->seen));
	post->valid = true;
	post->due = false;
	keys->next = epoch + 1;
	send_epoch(node, post);
}

// The epochs around now. There is room.
static void post_first(struct node *node)
{
	uint32_t now = epoch_now(node);

	for (uint32_t epoch = now - 1; epoch != now + 2; epoch++)
		post_epoch(node, epoch);
	node->control->keys.running = true;
}

int keys_start(struct node *node)
{
	struct keys_secret *secret = &node->control->keys.secrets[0];

	if (node->sync)
		return 0;
	secret->valid = true;
	secret->len = OWN_SECRET_BYTES;
	secret->first_epoch = epoch_now(node) - 1;
	if (getrandom(secret->bytes, secret->len, 0) != (ssize_t)secret->len ||
		!control_has_room(node, CONTROL_EPOCHS))
		return -ERR_MEMORY;
	post_first(node);
	return 0;
}

void keys_stop(struct node *node)
{
	explicit_bzero(node->control->keys.secrets, sizeof(node->control->keys.secrets));
}

bool keys_are_posted(const struct node *node)
{
	return node->control->keys.running;
}

static bool is_secret(const struct keys_secret *secret, const struct message_secret *message)
{
	return secret->valid && secret->generation == message->generation &&
	       secret->len == message->secret_len &&
	       memcmp(secret->bytes, message->secret, secret->len) == 0;
}

static void log_secret(const struct node *node, const struct message_secret *message)
{
	uint32_t now = epoch_now(node);

	// Before the node is active its epochs are not the cluster's.
	if (sync_is_active(node->sync) && (int32_t)(message->first_epoch - now) > 0)
		log_info("cluster %s: a new secret makes the keys from epoch %u on epoch=%u",
			node->config->cluster.name, message->first_epoch, now);
	else
		log_info("cluster %s: has the secret the keys are made from",
			node->config->cluster.name);
}

// The cluster tells the former one first where that is still of use.
void keys_secret(struct node *node, const struct message_secret *message)
{
	struct keys *keys = &node->control->keys;
	struct keys_secret *secrets = keys->secrets;

	if (is_secret(&secrets[0], message))
		return; // told again
	// Both are told again where one of them changed.
	if (!is_secret(&secrets[1], message))
		log_secret(node, message);
	secrets[1] = secrets[0];
	secrets[0] = (struct keys_secret){.valid = true,
		.generation = message->generation,
		.first_epoch = message->first_epoch,
		.len = message->secret_len};
	memcpy(secrets[0].bytes, message->secret, sizeof(secrets[0].bytes));
	for (unsigned e = 0; e < CONTROL_EPOCHS; e++)
		keys->epochs[e].due = true;
	keys_tick(node);
}

void keys_profiles(struct node *node, uint32_t epoch, const struct profile *profiles)
{
	struct keys *keys = &node->control->keys;
	struct epoch_profiles *told = &keys->told[epoch % CONTROL_EPOCHS];
	struct epoch_post *post = post_of(keys, epoch);

	told->epoch = epoch;
	memcpy(told->profiles, profiles, sizeof(told->profiles));
	if (post->valid && post->epoch == epoch) {
		fill_profiles(node, post);
		post->due = true;
	}
	keys_tick(node);
}

// Epochs of which something has changed.
static void post_again(struct node *node)
{
	for (unsigned e = 0; e < CONTROL_EPOCHS; e++) {
		struct epoch_post *post = &node->control->keys.epochs[e];

		if (!post->valid || !post->due)
			continue;
		if (!control_has_room(node, 1))
			return;
		send_epoch(node, post);
		post->due = false;
	}
}

// With a cluster: the first epochs once secret, counter and profiles are there.
static void start_late(struct node *node)
{
	struct keys *keys = &node->control->keys;
	uint32_t now = epoch_now(node);

	if (!keys->secrets[0].valid || !sync_is_active(node->sync) ||
		keys->told[now % CONTROL_EPOCHS].epoch != now ||
		!control_has_room(node, CONTROL_EPOCHS))
		return;
	post_first(node);
	control_announce(node);
}

void keys_tick(struct node *node)
{
	if (!node->control->keys.running && node->sync)
		start_late(node);
	if (!node->control->keys.running)
		return;
	post_again(node);
	uint32_t tick = node_tick(node, node_now_ns());
	uint32_t wanted = tick / KEYRING_TICKS_PER_EPOCH +
			  (tick % KEYRING_TICKS_PER_EPOCH >= KEYRING_TICKS_PER_EPOCH / 2 ? 1 : 0);

	// A process that was stopped for long catches up, not further back than is of use.
	if (wanted - node->control->keys.next < UINT32_MAX / 2 &&
		wanted - node->control->keys.next > 2)
		node->control->keys.next = wanted - 2;
	while (wanted - node->control->keys.next < UINT32_MAX / 2 && control_has_room(node, 1))
		post_epoch(node, node->control->keys.next);
}

void keys_learn(struct node *node, uint16_t id, const struct profile *now)
{
	if (id < SERVICE_COUNT_MAX)
		profile_merge(&node->control->keys.seen[id], now);
}

const struct profile *control_profile(const struct node *node, uint16_t index)
{
	const struct policy *policy = node->config->policy;
	uint32_t now = epoch_now(node);
	const struct epoch_post *post = &node->control->keys.epochs[now % CONTROL_EPOCHS];

	CHECK(index < policy->service_count);
	const struct service *service = &policy->services[index];
	return post->valid && post->epoch == now ? &post->profiles[service->id] : &service->profile;
}

void keys_remap(struct node *node, const struct policy *old)
{
	struct keys *keys = &node->control->keys;
	const struct policy *now = node->config->policy;

	for (uint16_t i = 0; i < now->service_count; i++) {
		const struct service *service = &now->services[i];
		const struct service *was = policy_service(old, service->id);

		if (was && service_same_profile(service, was))
			continue;
		keys->seen[service->id].known = 0;
		// What was announced already stays true for the handshakes under way (TCP.md 2.13);
		// with a cluster what all its nodes announce does.
		for (unsigned e = 0; e < CONTROL_EPOCHS; e++) {
			struct epoch_post *post = &keys->epochs[e];
			bool begun = (int32_t)(post->epoch - epoch_now(node)) <= 0;

			if (!was || (!begun && !node->sync))
				post->profiles[service->id] = service->profile;
			if (!was)
				keys->told[e].profiles[service->id].mss = 0;
		}
	}
	for (unsigned e = 0; e < CONTROL_EPOCHS; e++) {
		if (keys->epochs[e].valid)
			send_epoch(node, &keys->epochs[e]);
	}
}
