#include "appliance_policy.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE_BYTES     4096
#define LENT	       16 // buffers in each call
#define DATAGRAMS_LENT 16
#define ROOM_BYTES     2048
#define HEADROOM_BYTES 64
#define NAP_MIN_NS     50000ULL
#define AGEING_NAP_NS  100000000ULL // ageing gets its turn
#define TELLING_NAP_NS 1000000ULL
#define MANY_FLOWS     4096
#define KEYS_CACHED    64

// --- building one ---

static void set_engine(struct appliance *a)
{
	a->engine_config = (struct engine_config){.capacity = a->config.flows,
		.queue_total_bytes = QUEUES_BYTES_MAX,
		.openings = OPENINGS_MAX,
		.workers = 1,
		.port_count = 2};
	a->engine_config.ports[PORT_OUTSIDE] =
		(struct engine_port){.side = SIDE_OUTSIDE, .peer = PORT_INSIDE, .mtu = 1500};
	a->engine_config.ports[PORT_INSIDE] =
		(struct engine_port){.side = SIDE_INSIDE, .peer = PORT_OUTSIDE, .mtu = 1500};
	a->engine_bytes = engine_bytes(&a->engine_config);
}

static void set_cluster(struct appliance *a)
{
	struct cluster_config *config = &a->cluster_config;

	*config = (struct cluster_config){.name = "sim",
		.id = (uint16_t)a->config.index,
		.max_id = NODES_MAX - 1,
		.detect_ms = a->config.detect_ms,
		.join_ms = a->config.join_ms,
		.workers = 1,
		.datagram_bytes = DATAGRAM_BYTES_MAX,
		.rekey_ns = a->config.rekey_ns,
		.rekey_records = a->config.rekey_records,
		.methods = &keyed_methods,
		.context = &a->keys};
	snprintf(config->node, sizeof(config->node), "node-%u", a->config.index);
	for (unsigned i = 0; i < a->config.nodes; i++) {
		struct cluster_peer_config *peer = &config->peers[config->peer_count];

		if (i == a->config.index)
			continue;
		config->peer_count++;
		peer->id = (uint16_t)i;
		snprintf(peer->name, sizeof(peer->name), "node-%u", i);
	}
	memset(a->keys.secret, 0x3c, sizeof(a->keys.secret));
	a->keys.id = config->id;
	a->cluster_bytes = cluster_bytes(config);
}

void appliance_create(
	struct appliance *a, const struct appliance_config *config, struct world *world)
{
	struct mail to_cluster = a->to_cluster, to_engine = a->to_engine;
	struct message *reply = a->reply;

	*a = (struct appliance){.config = *config,
		.world = world,
		.to_cluster = to_cluster,
		.to_engine = to_engine,
		.reply = reply,
		.clock_ns = config->clock_ns,
		.clock_tenths = 10};
	if (a->reply == NULL) {
		mail_create(&a->to_cluster);
		mail_create(&a->to_engine);
		a->reply = calloc(1, sizeof(*a->reply));
		CHECK(a->reply != NULL);
	}
	appliance_set_policy(a);
	set_engine(a);
	set_cluster(a);
}

void appliance_destroy(struct appliance *a)
{
	appliance_crash(a);
	mail_free(&a->to_cluster);
	mail_free(&a->to_engine);
	free(a->reply);
	a->reply = NULL;
}

// Zeroed, and given back as a whole: a crash leaves nothing.
static void *map(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	return memory;
}

// --- turns ---

static void wake(struct appliance *a)
{
	a->world->wake(a->world, a->config.index);
}

static bool is_for_nodes(const struct message *message)
{
	return message->type == MESSAGE_OPENED || message->type == MESSAGE_CONFIRMED ||
	       message->type == MESSAGE_CHANGED || message->type == MESSAGE_FRAME ||
	       message->type == MESSAGE_NONE || message->type == MESSAGE_EMIT;
}

static void hear_engine(struct appliance *a, struct message **lent, unsigned used)
{
	bool any = false;

	mail_use(&a->to_cluster, used);
	for (unsigned i = 0; i < used; i++) {
		if (is_for_nodes(lent[i])) {
			a->world->says(a->world, a->config.index, lent[i]);
			mail_queue(&a->to_cluster, lent[i]);
			any = true;
			continue;
		}
		if (lent[i]->type == MESSAGE_REPLY) {
			memcpy(a->reply, lent[i], sizeof(*lent[i]) - MESSAGE_FRAME_MAX);
			a->replied = true;
		}
		mail_release(&a->to_cluster, lent[i]);
	}
	if (any && a->cluster_wake_ns > a->now_ns + a->config.hop_ns)
		a->cluster_wake_ns = a->now_ns + a->config.hop_ns;
}

static void set_tick(struct appliance *a)
{
	if (counter_get(&cluster_stats(a->cluster)->state) != CLUSTER_JOINING || a->has_keys) {
		uint64_t clock = appliance_clock_ns(a, a->now_ns);
		uint64_t value = cluster_counter_ns(a->cluster, clock);

		if (value < a->counter_ns)
			a->world->broken(
				a->world, a->config.index, "the cluster counter went back");
		a->counter_ns = value;
		a->tick = (uint32_t)(value / KEYRING_TICK_NS);
		a->tick_part = keyring_tick_part(value);
	}
}

// CPU time, where it is measured: nothing that happens depends on it.
static uint64_t busy_ns(const struct appliance *a)
{
	struct timespec now;

	if (!a->config.measures)
		return 0;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

// Often enough to visit every flow within a second: a call visits some hundreds.
static uint64_t ageing_nap_ns(const struct appliance *a)
{
	return engine_flow_count(a->engine) < MANY_FLOWS ? AGEING_NAP_NS : AGEING_NAP_NS / 10;
}

static uint64_t nap(uint64_t idle_ns)
{
	return idle_ns > NAP_MIN_NS ? idle_ns : NAP_MIN_NS;
}

// One call of engine_run().
static void call_engine(struct appliance *a, struct message **in, unsigned in_count,
	struct frame *frame, struct verdict *verdict)
{
	static uint8_t rooms[LENT][ROOM_BYTES];
	struct frame out[LENT];
	struct message *lent[LENT];
	struct batch batch = {.now_ns = appliance_clock_ns(a, a->now_ns),
		.frames = frame,
		.verdicts = verdict,
		.frame_count = frame != NULL,
		.out = out,
		.out_room = LENT,
		.messages_in = in,
		.messages_in_count = in_count,
		.messages_out = lent};
	uint64_t idle, start;

	set_tick(a);
	batch.tick = a->tick;
	batch.tick_part = a->tick_part;
	batch.messages_out_room = mail_lend(&a->to_cluster, lent, LENT);
	for (unsigned i = 0; i < LENT; i++)
		out[i] = (struct frame){.data = rooms[i] + HEADROOM_BYTES,
			.headroom = HEADROOM_BYTES,
			.tailroom = ROOM_BYTES - HEADROOM_BYTES};
	start = busy_ns(a);
	engine_run(a->engine, &batch);
	a->busy_ns += busy_ns(a) - start;
	if (batch.out_used > batch.out_room || batch.messages_out_used > batch.messages_out_room)
		a->world->broken(
			a->world, a->config.index, "the engine used more than it was lent");
	hear_engine(a, lent, batch.messages_out_used);
	idle = engine_idle_ns(a->engine, batch.now_ns);
	idle = (idle < ageing_nap_ns(a) ? idle : ageing_nap_ns(a)) * 10 / a->clock_tenths;
	if (a->to_engine.count > 0 && idle > a->engine_nap_ns)
		idle = a->engine_nap_ns;
	// It has more to tell than it had cells for.
	if (batch.messages_out_used == batch.messages_out_room && idle > TELLING_NAP_NS)
		idle = TELLING_NAP_NS;
	a->engine_wake_ns = a->now_ns + nap(idle);
	a->transmitted += batch.out_used;
	for (unsigned i = 0; i < batch.out_used; i++)
		a->world->transmit(a->world, a->config.index, out[i].port, out[i].data, out[i].len);
}

static void take_mail(struct appliance *a, struct frame *frame, struct verdict *verdict)
{
	struct message *taken[ENGINE_BATCH_MAX];
	unsigned count = frame != NULL && a->engine_nap_ns > 0
				 ? 0
				 : mail_take(&a->to_engine, taken, a->engine_takes);

	for (unsigned i = 0; i < count; i++)
		a->world->takes(a->world, a->config.index, taken[i]);
	call_engine(a, taken, count, frame, verdict);
	for (unsigned i = 0; i < count; i++)
		mail_release(&a->to_engine, taken[i]);
	// The cluster may have waited for room.
	if (count > 0 && a->to_engine.spare_count - count < LENT)
		a->cluster_wake_ns = a->now_ns;
	wake(a);
}

enum verdict_kind appliance_frame(struct appliance *a, uint64_t now_ns, struct frame *frame)
{
	struct verdict *verdict = &a->verdict;

	a->now_ns = now_ns;
	take_mail(a, frame, verdict);
	if (verdict->kind == VERDICT_FORWARD || verdict->kind == VERDICT_REPLY) {
		frame->port = verdict->port;
		a->transmitted++;
	}
	return verdict->kind;
}

void appliance_run_engine(struct appliance *a, uint64_t now_ns)
{
	a->now_ns = now_ns;
	take_mail(a, NULL, NULL);
}

const struct message *appliance_ask(struct appliance *a, uint64_t now_ns, struct message *question)
{
	a->now_ns = now_ns;
	a->replied = false;
	call_engine(a, &question, 1, NULL, NULL);
	wake(a);
	return a->replied ? a->reply : NULL;
}

// --- keys: what the control core does ---

static const struct epoch_keys *derive(const struct message_secret *secret, uint32_t epoch)
{
	static struct {
		struct epoch_keys keys;
		uint8_t secret[32];
		bool valid;
	} cache[KEYS_CACHED];
	unsigned at = (epoch * 7 + secret->secret[0]) % KEYS_CACHED;

	CHECK(secret->secret_len == 32);
	if (!cache[at].valid || cache[at].keys.epoch != epoch ||
		memcmp(cache[at].secret, secret->secret, 32) != 0) {
		CHECK(keyring_derive(&cache[at].keys, secret->secret, 32, epoch) == 0);
		memcpy(cache[at].secret, secret->secret, 32);
		cache[at].valid = true;
	}
	return &cache[at].keys;
}

const struct message_secret *appliance_secret(const struct appliance *a, uint32_t epoch)
{
	bool former = a->secrets[1].valid && (int32_t)(epoch - a->secrets[0].is.first_epoch) < 0;

	return a->secrets[0].valid ? &a->secrets[former].is : NULL;
}

static void post_epoch(struct appliance *a, uint32_t epoch)
{
	static struct message message;
	struct message *cell = &message;

	message.type = MESSAGE_EPOCH;
	message.node = NODE_NONE;
	message.body.epoch.keys = *derive(appliance_secret(a, epoch), epoch);
	message.body.epoch.service_count = SERVICE_COUNT_MAX;
	for (uint16_t i = 0; i < a->policy.service_count; i++)
		message.body.epoch.profiles[a->services[i].id] = a->services[i].profile;
	call_engine(a, &cell, 1, NULL, NULL);
}

// Epochs from one before now, to the one that begins within the next tick.
static void post_keys(struct appliance *a)
{
	uint32_t now, wanted;

	if (!a->secrets[0].valid ||
		(!a->has_keys && counter_get(&cluster_stats(a->cluster)->state) == CLUSTER_JOINING))
		return;
	if (!a->has_keys) {
		a->has_keys = true;
		set_tick(a);
		a->epoch_next = keyring_epoch(a->tick) - 1;
	}
	set_tick(a);
	now = keyring_epoch(a->tick);
	wanted = now + a->tick % KEYRING_TICKS_PER_EPOCH;
	if ((int32_t)(now - a->epoch_next) > 1)
		a->epoch_next = now - 1;
	for (; (int32_t)(wanted - a->epoch_next) >= 0; a->epoch_next++)
		post_epoch(a, a->epoch_next);
}

static void take_secret(struct appliance *a, const struct message_secret *secret)
{
	if (a->secrets[0].valid && a->secrets[0].is.generation == secret->generation &&
		memcmp(a->secrets[0].is.secret, secret->secret, 32) == 0)
		return;
	a->secrets[1] = a->secrets[0];
	a->secrets[0] = (struct appliance_secret){.valid = true, .is = *secret};
	if (a->has_keys) // some epochs are another secret's now
		a->epoch_next = keyring_epoch(a->tick) - 1;
}

static void hear_cluster(struct appliance *a, struct message **lent, unsigned used)
{
	bool any = false;

	mail_use(&a->to_engine, used);
	for (unsigned i = 0; i < used; i++) {
		if (lent[i]->type == MESSAGE_SECRET) {
			take_secret(a, &lent[i]->body.secret);
			mail_release(&a->to_engine, lent[i]);
			continue;
		}
		if (lent[i]->type == MESSAGE_VIEW)
			a->view = lent[i]->body.view;
		mail_queue(&a->to_engine, lent[i]);
		any = true;
	}
	if (any && a->engine_nap_ns == 0 && a->engine_wake_ns > a->now_ns + a->config.hop_ns)
		a->engine_wake_ns = a->now_ns + a->config.hop_ns;
}

static unsigned host_of(const struct appliance *a, unsigned peer)
{
	return peer < a->config.index ? peer : peer + 1;
}

// One call of cluster_run(). The nap is in the node's own time.
static void call_cluster(struct appliance *a, struct datagram *arrived)
{
	static uint8_t rooms[DATAGRAMS_LENT][DATAGRAM_BYTES_MAX];
	struct datagram out[DATAGRAMS_LENT];
	struct message *lent[LENT], *in[CLUSTER_BATCH_MAX];
	struct cluster_batch batch = {.now_ns = appliance_clock_ns(a, a->now_ns),
		.datagrams = arrived,
		.datagram_count = arrived != NULL,
		.out = out,
		.out_room = DATAGRAMS_LENT,
		.messages_in = in,
		.messages_out = lent};
	uint64_t idle, start;

	batch.messages_in_count = mail_take(&a->to_cluster, in, CLUSTER_BATCH_MAX);
	batch.messages_out_room = mail_lend(&a->to_engine, lent, LENT);
	for (unsigned i = 0; i < DATAGRAMS_LENT; i++)
		out[i] = (struct datagram){.data = rooms[i], .room = DATAGRAM_BYTES_MAX};
	start = busy_ns(a);
	cluster_run(a->cluster, &batch);
	a->busy_ns += busy_ns(a) - start;
	if (batch.out_used > batch.out_room || batch.messages_out_used > batch.messages_out_room)
		a->world->broken(
			a->world, a->config.index, "the cluster used more than it was lent");
	for (unsigned i = 0; i < batch.messages_in_count; i++)
		mail_release(&a->to_cluster, in[i]);
	hear_cluster(a, lent, batch.messages_out_used);
	idle = cluster_idle_ns(a->cluster, batch.now_ns);
	if (idle > a->config.detect_ms * 1000000ULL / 4)
		a->world->broken(a->world, a->config.index, "the cluster naps too long");
	idle = idle * 10 / a->clock_tenths;
	a->cluster_wake_ns = a->now_ns + nap(idle);
	for (unsigned i = 0; i < batch.out_used; i++)
		a->world->send(a->world, a->config.index, host_of(a, out[i].peer), out[i].data,
			out[i].len);
	post_keys(a);
	wake(a);
}

void appliance_run_cluster(struct appliance *a, uint64_t now_ns)
{
	a->now_ns = now_ns;
	call_cluster(a, NULL);
}

void appliance_datagram(
	struct appliance *a, uint64_t now_ns, unsigned from, uint8_t *data, uint16_t len)
{
	struct datagram datagram = {.data = data,
		.len = len,
		.room = DATAGRAM_BYTES_MAX,
		.peer = (uint8_t)(from < a->config.index ? from : from - 1)};

	a->now_ns = now_ns;
	call_cluster(a, &datagram);
}

// --- life ---

void appliance_boot(struct appliance *a, uint64_t now_ns)
{
	static struct message message;
	struct message *cell = &message;

	CHECK(a->engine == NULL);
	a->lives++;
	a->now_ns = now_ns;
	a->paused = false;
	a->cluster_config.incarnation = (uint64_t)a->lives << 32 | (a->config.index + 1);
	a->keys.nonce = a->cluster_config.incarnation << 8;
	a->cluster_config.counter_ns = a->config.counter_ns + now_ns;
	memset(a->cluster_config.secret, (int)(0x40 + 16 * a->config.index + a->lives), 32);
	memset(a->cluster_config.table_key, (int)(a->config.index + 1 + 16 * a->lives),
		sizeof(a->cluster_config.table_key));
	memcpy(a->engine_config.table_key, a->cluster_config.table_key,
		sizeof(a->engine_config.table_key));
	a->engine = engine_init(map(a->engine_bytes), &a->engine_config);
	a->cluster = cluster_init(map(a->cluster_bytes), &a->cluster_config);
	cluster_set_policy(a->cluster, &a->policy);
	mail_clear(&a->to_cluster);
	mail_clear(&a->to_engine);
	a->engine_takes = ENGINE_BATCH_MAX;
	a->engine_nap_ns = 0;
	a->secrets[0].valid = a->secrets[1].valid = a->has_keys = false;
	a->tick = a->tick_part = 0;
	a->counter_ns = a->transmitted = 0;
	a->view = (struct message_view){0};
	a->engine_wake_ns = a->cluster_wake_ns = now_ns;
	message.type = MESSAGE_POLICY;
	message.body.policy = &a->policy;
	call_engine(a, &cell, 1, NULL, NULL);
	a->cluster_wake_ns = now_ns;
	wake(a);
}

void appliance_crash(struct appliance *a)
{
	if (a->engine == NULL)
		return;
	cluster_finish(a->cluster);
	munmap(a->cluster, a->cluster_bytes);
	munmap(a->engine, a->engine_bytes);
	a->engine = NULL;
	a->cluster = NULL;
}
