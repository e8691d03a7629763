// Keys and announced profiles, as on a real node (weir/keys.c): an epoch is two ticks of the
// cluster counter, its keys are posted in the second tick of the one before, and again where the
// cluster says something else of it afterwards. What a service announces is what the cluster told;
// where it told nothing, what was announced before.
#include "replay/sibling.h"

#include "base/check.h"
#include "cookie/keyring.h"
#include "engine/engine.h"
#include "replay/greeting.h"
#include "replay/letters.h"

#include <string.h>

#define EPOCHS	      4
#define DATAGRAMS_MAX CLUSTER_BATCH_MAX
#define LINE_BYTES    64

struct epoch_post {
	bool valid;
	bool due; // to be posted, again or for the first time
	uint32_t epoch;
	struct profile profiles[SERVICE_COUNT_MAX];
};

struct inbox {
	unsigned count;
	uint16_t lens[DATAGRAMS_MAX];
	uint8_t rooms[DATAGRAMS_MAX][DATAGRAM_BYTES_MAX];
};

struct sibling {
	struct cluster *cluster;
	const struct policy *policy;
	struct sibling *peer;
	struct greetings greetings;
	struct letters up, down; // to the cluster, to the engine
	struct inbox inbox;
	uint64_t wake_ns;
	unsigned telling; // letters shown to the engine
	struct message_view view;
	struct message_secret secrets[2]; // newest first; without length: none
	struct epoch_post told[EPOCHS];	  // by the cluster
	struct epoch_post posts[EPOCHS];
	bool running; // the first keys are posted
	uint32_t next;
	struct message cells[2][LETTERS_MAX];
};

static size_t lines(size_t bytes)
{
	return (bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
}

size_t sibling_bytes(const struct cluster_config *config)
{
	return lines(sizeof(struct sibling)) + cluster_bytes(config);
}

struct sibling *sibling_init(void *memory, const struct cluster_config *config,
	const struct policy *policy, uint64_t number)
{
	struct sibling *sibling = memory;
	struct cluster_config own = *config;

	CHECK(config->peer_count == 1 && config->workers == 1);
	sibling->policy = policy;
	sibling->greetings.number = number;
	sibling->up.cells = sibling->cells[0];
	sibling->down.cells = sibling->cells[1];
	own.methods = &greeting_methods;
	own.context = &sibling->greetings;
	sibling->cluster = cluster_init((uint8_t *)memory + lines(sizeof(*sibling)), &own);
	cluster_set_policy(sibling->cluster, policy);
	return sibling;
}

void sibling_meet(struct sibling *one, struct sibling *other)
{
	one->peer = other;
	other->peer = one;
}

void sibling_finish(struct sibling *sibling)
{
	cluster_finish(sibling->cluster);
}

unsigned sibling_lend(struct sibling *sibling, struct message **lent, unsigned room)
{
	return letters_lend(&sibling->up, lent, room);
}

void sibling_said(struct sibling *sibling, unsigned used)
{
	letters_post(&sibling->up, used);
}

// --- keys ---

static bool is_active(const struct sibling *sibling)
{
	return counter_get(&cluster_stats(sibling->cluster)->state) == CLUSTER_ACTIVE;
}

uint64_t sibling_counter_ns(const struct sibling *sibling, uint64_t now_ns)
{
	return cluster_counter_ns(sibling->cluster, now_ns);
}

uint32_t sibling_tick(const struct sibling *sibling, uint64_t now_ns)
{
	return (uint32_t)(sibling_counter_ns(sibling, now_ns) / KEYRING_TICK_NS);
}

static const struct message_secret *secret_of(const struct sibling *sibling, uint32_t epoch)
{
	const struct message_secret *newest = &sibling->secrets[0];
	bool former =
		sibling->secrets[1].secret_len > 0 && (int32_t)(epoch - newest->first_epoch) < 0;

	return &sibling->secrets[former];
}

static void fill_profiles(const struct sibling *sibling, struct epoch_post *post)
{
	const struct epoch_post *told = &sibling->told[post->epoch % EPOCHS];
	const struct epoch_post *before = &sibling->posts[(post->epoch - 1) % EPOCHS];

	for (uint16_t i = 0; i < sibling->policy->service_count; i++) {
		const struct service *service = &sibling->policy->services[i];
		struct profile *profile = &post->profiles[service->id];

		*profile = service->profile;
		if (told->valid && told->epoch == post->epoch && told->profiles[service->id].mss)
			*profile = told->profiles[service->id];
		else if (service->learn && before->valid && before->epoch == post->epoch - 1)
			*profile = before->profiles[service->id];
	}
}

static void make_post(struct sibling *sibling, uint32_t epoch)
{
	struct epoch_post *post = &sibling->posts[epoch % EPOCHS];

	*post = (struct epoch_post){.valid = true, .due = true, .epoch = epoch};
	fill_profiles(sibling, post);
	sibling->next = epoch + 1;
}

// False where there is no cell: later.
static bool send_post(struct sibling *sibling, struct epoch_post *post)
{
	const struct message_secret *secret = secret_of(sibling, post->epoch);
	struct message *message;

	if (letters_lend(&sibling->down, &message, 1) == 0)
		return false;
	memset(message, 0, offsetof(struct message, frame));
	message->type = MESSAGE_EPOCH;
	message->node = NODE_NONE;
	// It can fail only where the secret is no secret, which the cluster never tells.
	CHECK(keyring_derive(&message->body.epoch.keys, secret->secret, secret->secret_len,
		      post->epoch) == 0);
	message->body.epoch.service_count = SERVICE_COUNT_MAX; // by id, with holes
	memcpy(message->body.epoch.profiles, post->profiles, sizeof(post->profiles));
	letters_post(&sibling->down, 1);
	post->due = false;
	return true;
}

static void make_first(struct sibling *sibling, uint32_t now)
{
	const struct epoch_post *told = &sibling->told[now % EPOCHS];

	if (sibling->secrets[0].secret_len == 0 || !is_active(sibling) || !told->valid ||
		told->epoch != now)
		return;
	for (uint32_t epoch = now - 1; epoch != now + 2; epoch++)
		make_post(sibling, epoch);
	sibling->running = true;
}

static void keep_keys(struct sibling *sibling, uint64_t now_ns)
{
	uint32_t tick = sibling_tick(sibling, now_ns);
	uint32_t wanted = keyring_epoch(tick) + tick % KEYRING_TICKS_PER_EPOCH;

	if (!sibling->running)
		make_first(sibling, keyring_epoch(tick));
	if (!sibling->running)
		return;
	if ((int32_t)(wanted - sibling->next) > 2)
		sibling->next = wanted - 2;
	while ((int32_t)(wanted - sibling->next) >= 0)
		make_post(sibling, sibling->next);
	for (unsigned i = 0; i < EPOCHS; i++)
		if (sibling->posts[i].due && !send_post(sibling, &sibling->posts[i]))
			return;
}

static void take_secret(struct sibling *sibling, const struct message_secret *secret)
{
	const struct message_secret *newest = &sibling->secrets[0];

	if (newest->secret_len == secret->secret_len && newest->generation == secret->generation &&
		memcmp(newest->secret, secret->secret, secret->secret_len) == 0)
		return; // told again
	sibling->secrets[1] = sibling->secrets[0];
	sibling->secrets[0] = *secret;
	for (unsigned i = 0; i < EPOCHS; i++)
		sibling->posts[i].due = sibling->posts[i].valid;
}

static void take_profiles(struct sibling *sibling, const struct message *message)
{
	uint32_t epoch = message->body.epoch.keys.epoch;
	struct epoch_post *told = &sibling->told[epoch % EPOCHS];
	struct epoch_post *post = &sibling->posts[epoch % EPOCHS];

	*told = (struct epoch_post){.valid = true, .epoch = epoch};
	memcpy(told->profiles, message->body.epoch.profiles, sizeof(told->profiles));
	if (!post->valid || post->epoch != epoch)
		return;
	fill_profiles(sibling, post);
	post->due = true;
}

// --- the cluster's turn ---

static bool is_for_cluster(const struct message *message)
{
	switch ((enum message_type)message->type) {
	case MESSAGE_OPENED:
	case MESSAGE_CONFIRMED:
	case MESSAGE_CHANGED:
	case MESSAGE_FRAME:
	case MESSAGE_NONE:
	case MESSAGE_EMIT:
	case MESSAGE_LEARNT:
		return true;
	default:
		return false; // the old policy, which stays the caller's
	}
}

// What the engine said, but for what is not the cluster's.
static unsigned gather(struct message **in, unsigned read)
{
	unsigned count = 0;

	for (unsigned i = 0; i < read; i++)
		if (is_for_cluster(in[i]))
			in[count++] = in[i];
	return count;
}

// The peer's inbox is lent to the cluster to write into.
static unsigned lend_inbox(struct sibling *sibling, struct datagram *out)
{
	struct inbox *inbox = &sibling->peer->inbox;
	unsigned room = DATAGRAMS_MAX - inbox->count;

	for (unsigned i = 0; i < room; i++)
		out[i] = (struct datagram){
			.data = inbox->rooms[inbox->count + i], .room = DATAGRAM_BYTES_MAX};
	return room;
}

static unsigned open_inbox(struct sibling *sibling, struct datagram *in)
{
	struct inbox *inbox = &sibling->inbox;

	for (unsigned i = 0; i < inbox->count; i++)
		in[i] = (struct datagram){
			.data = inbox->rooms[i], .len = inbox->lens[i], .room = DATAGRAM_BYTES_MAX};
	return inbox->count;
}

static void post_datagrams(struct sibling *sibling, const struct datagram *out, unsigned used)
{
	struct inbox *inbox = &sibling->peer->inbox;

	for (unsigned i = 0; i < used; i++)
		inbox->lens[inbox->count++] = out[i].len;
}

bool sibling_run(struct sibling *sibling, uint64_t now_ns)
{
	struct datagram arrived[DATAGRAMS_MAX], out[DATAGRAMS_MAX];
	struct message *in[CLUSTER_BATCH_MAX], *lent[CLUSTER_BATCH_MAX];
	struct cluster_batch batch = {.now_ns = now_ns,
		.datagrams = arrived,
		.out = out,
		.messages_in = in,
		.messages_out = lent};
	unsigned read;

	if (sibling->inbox.count == 0 && sibling->up.count == 0 && now_ns < sibling->wake_ns)
		return false;
	read = letters_read(&sibling->up, in, CLUSTER_BATCH_MAX);
	batch.messages_more = read < sibling->up.count;
	batch.messages_in_count = gather(in, read);
	batch.datagram_count = open_inbox(sibling, arrived);
	batch.out_room = lend_inbox(sibling, out);
	batch.messages_out_room = letters_lend(&sibling->down, lent, CLUSTER_BATCH_MAX - EPOCHS);
	cluster_run(sibling->cluster, &batch);
	letters_release(&sibling->up, read);
	letters_post(&sibling->down, batch.messages_out_used);
	sibling->inbox.count = 0;
	post_datagrams(sibling, out, batch.out_used);
	keep_keys(sibling, now_ns);
	sibling->wake_ns = now_ns + cluster_idle_ns(sibling->cluster, now_ns);
	return true;
}

uint64_t sibling_idle_ns(const struct sibling *sibling, uint64_t now_ns)
{
	return sibling->wake_ns > now_ns ? sibling->wake_ns - now_ns : 0;
}

// --- to the engine ---

// True for what the control core of a real node takes.
static bool take_news(struct sibling *sibling, const struct message *message)
{
	if (message->type == MESSAGE_SECRET)
		take_secret(sibling, &message->body.secret);
	else if (message->type == MESSAGE_PROFILES)
		take_profiles(sibling, message);
	else if (message->type == MESSAGE_VIEW)
		sibling->view = message->body.view;
	return message->type == MESSAGE_SECRET || message->type == MESSAGE_PROFILES;
}

unsigned sibling_tell(struct sibling *sibling, uint64_t now_ns, struct message **out)
{
	unsigned count = 0;

	CHECK(sibling->telling == 0);
	sibling->telling = letters_read(&sibling->down, out, ENGINE_BATCH_MAX);
	for (unsigned i = 0; i < sibling->telling; i++)
		if (!take_news(sibling, out[i]))
			out[count++] = out[i];
	if (count < sibling->telling)
		keep_keys(sibling, now_ns);
	return count;
}

void sibling_told(struct sibling *sibling)
{
	letters_release(&sibling->down, sibling->telling);
	sibling->telling = 0;
}

bool sibling_is_ready(const struct sibling *sibling)
{
	return sibling->running && sibling->down.count == 0 && is_active(sibling) &&
	       __builtin_popcountll(sibling->view.active) == 2 && sibling->view.decodes;
}

const char *sibling_complaint(const struct sibling *sibling)
{
	const char *differs = cluster_peer_differs(sibling->cluster, 0);

	return differs[0] != '\0' ? differs : cluster_peer_error(sibling->cluster, 0);
}

const struct cluster_peer_stats *sibling_peer_stats(const struct sibling *sibling)
{
	return cluster_peer_stats(sibling->cluster, 0);
}
