// Cluster counter, epoch keys and announced profiles.
//
// The counter is a function of the monotonic clock (node_tick) and, with a cluster, of what that
// says. An epoch is two of its ticks; the
// keys of epoch e + 1 are posted in the second tick of e, so that no worker ever meets an epoch it
// has no keys for. With the keys goes what each service announces in that epoch: what its servers
// showed since the previous post, the least of all; where they showed nothing, what was announced
// before; with learn = false always the configured profile.
//
// Keys come from a secret: this life's own, or the cluster's, which MESSAGE_SECRET tells before the
// node is active. Nothing is posted before both. `cluster rotate` brings another secret, for epochs
// that begin later; the former one stays for those before.
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

static void post_epoch(struct node *node, uint32_t epoch)
{
	const struct policy *policy = node->config->policy;
	struct keys *keys = &node->control->keys;
	struct epoch_post *post = post_of(keys, epoch);
	const struct epoch_post *previous = post_of(keys, epoch - 1);
	bool has_previous = previous->valid && previous->epoch == epoch - 1;

	for (uint16_t i = 0; i < policy->service_count; i++) {
		const struct service *service = &policy->services[i];
		struct profile *profile = &post->profiles[service->id];

		*profile = service->learn && has_previous ? previous->profiles[service->id]
							  : service->profile;
		if (service->learn)
			profile_learn(profile, &keys->seen[service->id]);
	}
	memset(keys->seen, 0, sizeof(keys->seen));
	post->epoch = epoch;
	post->valid = true;
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

// The cluster tells the former one first where that is still of use.
void keys_secret(struct node *node, const struct message_secret *message)
{
	struct keys *keys = &node->control->keys;
	struct keys_secret *secrets = keys->secrets;

	if (secrets[0].valid && secrets[0].generation == message->generation &&
		secrets[0].len == message->secret_len &&
		memcmp(secrets[0].bytes, message->secret, message->secret_len) == 0)
		return; // told again
	secrets[1] = secrets[0];
	secrets[0] = (struct keys_secret){.valid = true,
		.generation = message->generation,
		.first_epoch = message->first_epoch,
		.len = message->secret_len};
	memcpy(secrets[0].bytes, message->secret, sizeof(secrets[0].bytes));
	log_info("the cluster has a secret from_epoch=%u now=%u", message->first_epoch,
		epoch_now(node));
	keys->changed = true;
	keys_tick(node);
}

// Workers get the keys of all epochs again: some are another secret's now.
static void post_changed(struct node *node)
{
	struct keys *keys = &node->control->keys;

	if (!control_has_room(node, CONTROL_EPOCHS))
		return;
	keys->changed = false;
	for (unsigned e = 0; e < CONTROL_EPOCHS; e++) {
		if (keys->epochs[e].valid)
			send_epoch(node, &keys->epochs[e]);
	}
}

// With a cluster: the first epochs once secret and counter are there.
static void start_late(struct node *node)
{
	struct keys *keys = &node->control->keys;

	if (!keys->secrets[0].valid || !sync_is_active(node->sync) ||
		!control_has_room(node, CONTROL_EPOCHS))
		return;
	keys->changed = false;
	post_first(node);
	control_announce(node);
}

void keys_tick(struct node *node)
{
	if (!node->control->keys.running && node->sync)
		start_late(node);
	if (!node->control->keys.running)
		return;
	if (node->control->keys.changed)
		post_changed(node);
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

// What is known of a service stays true while its configured profile does.
static bool same_profile(const struct service *a, const struct service *b)
{
	return strcmp(a->name, b->name) == 0 && a->learn == b->learn &&
	       a->profile.mss == b->profile.mss && a->profile.wscale == b->profile.wscale &&
	       a->profile.sack == b->profile.sack &&
	       a->profile.timestamps == b->profile.timestamps && a->profile.ecn == b->profile.ecn;
}

void keys_remap(struct node *node, const struct policy *old)
{
	struct keys *keys = &node->control->keys;
	const struct policy *now = node->config->policy;

	for (uint16_t i = 0; i < now->service_count; i++) {
		const struct service *service = &now->services[i];
		const struct service *was = policy_service(old, service->id);

		if (was && same_profile(service, was))
			continue;
		keys->seen[service->id].known = 0;
		// What was announced already stays true for the handshakes under way (TCP.md 2.13).
		for (unsigned e = 0; e < CONTROL_EPOCHS; e++) {
			struct epoch_post *post = &keys->epochs[e];

			if (!was || (int32_t)(post->epoch - epoch_now(node)) > 0)
				post->profiles[service->id] = service->profile;
		}
	}
	for (unsigned e = 0; e < CONTROL_EPOCHS; e++) {
		if (keys->epochs[e].valid)
			send_epoch(node, &keys->epochs[e]);
	}
}
