#include "weir/replay/box.h"

#include "flow/table.h"
#include "weir/node.h"
#include "weir/replay/cycles.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define LENT_BYTES     16384
#define POPULATE_BYTES (1u << 30)
#define GAP_NS	       100000000ULL // the engine runs at least this often
#define GAP_MAX	       1024	    // idle turns between two packets at most: 102 s
#define TICK_BASE      1024
#define JOIN_MS	       1000

static int failed(const char *what)
{
	fprintf(stderr, "weir: replay: %s\n", what);
	return 1;
}

// The engine's clock.
static uint64_t clock_ns(const struct box *box)
{
	return box->base_ns + box->now_ns;
}

static uint64_t counter_ns(const struct box *box)
{
	if (box->sibling != NULL)
		return sibling_counter_ns(box->sibling, clock_ns(box));
	return TICK_BASE * KEYRING_TICK_NS + clock_ns(box);
}

static uint32_t tick_of(const struct box *box)
{
	return (uint32_t)(counter_ns(box) / KEYRING_TICK_NS);
}

// Without a seed everything is as unpredictable as on the live path; with one, nothing is.
static int make_secrets(
	struct box *box, const struct box_options *options, uint8_t table_key[SIPHASH_KEY_BYTES])
{
	uint64_t state = options->seed;

	if (!options->seeded)
		return getrandom(box->secret, sizeof(box->secret), 0) < 0 ||
		       getrandom(table_key, SIPHASH_KEY_BYTES, 0) < 0;
	for (unsigned i = 0; i < sizeof(box->secret) + SIPHASH_KEY_BYTES; i++) {
		struct siphash_key key = {{state, i | (uint64_t)box->index << 32}};
		uint8_t byte = (uint8_t)siphash24(key, "seed", 4);

		if (i < sizeof(box->secret))
			box->secret[i] = byte;
		else
			table_key[i - sizeof(box->secret)] = byte;
	}
	return 0;
}

static struct engine_config engine_config_of(const struct config *config)
{
	struct engine_config out = {.capacity = config->flow_capacity,
		.queue_total_bytes = config->policy->limits.queue_total_bytes,
		.openings = (uint32_t)(config->policy->limits.queue_total_bytes / 512),
		.workers = 1,
		.port_count = 2};

	for (unsigned i = 0; i < config->port_count; i++) {
		uint8_t side = config->ports[i].side;

		if (out.ports[side].mtu == 0)
			out.ports[side] = (struct engine_port){
				.side = side, .peer = (uint8_t)!side, .mtu = config->ports[i].mtu};
	}
	return out;
}

static void *pages(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

// The lent buffers lie apart by no power of two, or all of them would share the same cache lines.
static uint8_t *lent_at(const struct box *box, unsigned i)
{
	return box->lent_bytes + (size_t)i * (LENT_BYTES + 64) + BOX_FRONT;
}

static void lend(struct box *box, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		box->lent[i] = (struct frame){.data = lent_at(box, i),
			.headroom = BOX_FRONT,
			.tailroom = LENT_BYTES - BOX_FRONT};
}

static int make_buffers(struct box *box)
{
	box->lent_bytes = pages((size_t)BOX_LENT * (LENT_BYTES + 64));
	box->in = calloc(1, sizeof(*box->in));
	box->cells = calloc(BOX_MESSAGES, sizeof(*box->cells));
	if (box->lent_bytes == NULL || box->in == NULL || box->cells == NULL)
		return failed("not enough memory");
	for (unsigned i = 0; i < BOX_MESSAGES; i++)
		box->out[i] = &box->cells[i];
	lend(box, BOX_LENT);
	return 0;
}

// The secret makes what is random in a real node: the cluster's secret if this node founds it, and
// which life of the node this is.
static int make_sibling(
	struct box *box, const struct config *peer, const uint8_t table_key[SIPHASH_KEY_BYTES])
{
	const struct config_cluster *own = &box->config->cluster;
	struct cluster_config config = {.id = own->id,
		.max_id = own->max_id,
		.detect_ms = own->detect_ms,
		.join_ms = JOIN_MS,
		.workers = 1,
		.counter_ns = TICK_BASE * KEYRING_TICK_NS,
		.datagram_bytes = DATAGRAM_BYTES_MAX,
		.peer_count = 1};
	uint64_t number;

	snprintf(config.name, sizeof(config.name), "%.*s", CLUSTER_NAME_BYTES - 1, own->name);
	snprintf(config.node, sizeof(config.node), "%.*s", CLUSTER_NAME_BYTES - 1,
		box->config->node);
	snprintf(config.peers[0].name, sizeof(config.peers[0].name), "%.*s", CLUSTER_NAME_BYTES - 1,
		peer->node);
	config.peers[0].id = peer->cluster.id;
	memcpy(config.secret, box->secret, sizeof(config.secret));
	memcpy(config.table_key, table_key, SIPHASH_KEY_BYTES);
	memcpy(&number, box->secret, sizeof(number));
	config.incarnation = number | 1; // 0 is none
	box->sibling_bytes = sibling_bytes(&config);
	box->sibling_memory = pages(box->sibling_bytes);
	if (box->sibling_memory == NULL)
		return 1;
	box->sibling = sibling_init(box->sibling_memory, &config, box->policy, number << 16);
	return 0;
}

// As on the live path the tables get large pages where the system gives them, and are there from
// the start, so that no packet pays for them; larger ones are paid for as flows come.
static int make_engine(struct box *box, const struct box_options *options)
{
	struct engine_config config = engine_config_of(box->config);

	if (config.capacity > FLOW_TABLE_CAPACITY_MAX) {
		fprintf(stderr,
			"weir: replay: flows.capacity = %" PRIu32
			": a box of a replay holds at most %u flows: lower it with --set "
			"flows.capacity=N\n",
			config.capacity, FLOW_TABLE_CAPACITY_MAX);
		return 1;
	}
	if (make_secrets(box, options, config.table_key))
		return failed("the system has no randomness");
	if (options->peer != NULL && make_sibling(box, options->peer, config.table_key))
		return failed("not enough memory");
	box->memory_bytes = engine_bytes(&config);
	box->memory = pages(box->memory_bytes);
	if (box->memory == NULL)
		return failed("not enough memory for flows.capacity: lower it with "
			      "--set flows.capacity=N");
	madvise(box->memory, box->memory_bytes, MADV_HUGEPAGE);
	if (box->memory_bytes <= POPULATE_BYTES &&
		node_available_mb() / 2 > box->memory_bytes >> 20)
		madvise(box->memory, box->memory_bytes, MADV_POPULATE_WRITE);
	box->engine = engine_init(box->memory, &config);
	return 0;
}

static void take_messages(struct box *box, const struct batch *batch)
{
	box->more = batch->messages_out_used == batch->messages_out_room;
	if (box->sibling != NULL) {
		sibling_said(box->sibling, batch->messages_out_used);
		return;
	}
	for (unsigned i = 0; i < batch->messages_out_used; i++) {
		const struct message *message = batch->messages_out[i];

		if (message->type == MESSAGE_LEARNT)
			profile_merge(&box->seen[message->body.learnt.service],
				&message->body.learnt.profile);
	}
}

static void run(struct box *box, struct batch *batch)
{
	const struct box_listener *listener = &box->listener;
	uint64_t start;

	lend(box, box->lent_used);
	batch->now_ns = clock_ns(box);
	batch->tick = tick_of(box);
	batch->tick_part = keyring_tick_part(counter_ns(box));
	batch->out = box->lent;
	batch->out_room = BOX_LENT;
	batch->messages_out = box->out;
	batch->messages_out_room = BOX_MESSAGES;
	if (box->sibling != NULL)
		batch->messages_out_room = sibling_lend(box->sibling, box->out, BOX_MESSAGES);
	start = cycles_now();
	engine_run(box->engine, batch);
	listener->turn(listener->context, box->index, batch->frame_count, cycles_now() - start);
	box->lent_used = batch->out_used;
	take_messages(box, batch);
	for (unsigned i = 0; i < batch->out_used; i++)
		listener->made(listener->context, box->index, &batch->out[i]);
}

static void post(struct box *box)
{
	struct batch batch = {.messages_in = &box->in, .messages_in_count = 1};

	run(box, &batch);
}

static int post_epoch(struct box *box, uint32_t epoch)
{
	struct message *message = box->in;

	*message = (struct message){.type = MESSAGE_EPOCH};
	if (keyring_derive(&message->body.epoch.keys, box->secret, sizeof(box->secret), epoch))
		return failed("keys cannot be derived");
	for (unsigned i = 0; i < box->policy->service_count; i++) {
		const struct service *service = &box->policy->services[i];

		if (service->learn)
			profile_learn(&box->announced[service->id], &box->seen[service->id]);
		box->seen[service->id] = (struct profile){0};
	}
	memcpy(message->body.epoch.profiles, box->announced, sizeof(box->announced));
	message->body.epoch.service_count = box->policy->service_count;
	box->epoch = epoch;
	post(box);
	return 0;
}

// Keys of the running epoch and the next one.
static int keep_keys(struct box *box)
{
	uint32_t epoch = tick_of(box) / KEYRING_TICKS_PER_EPOCH;

	if (box->sibling != NULL)
		return 0; // they come by message
	while (box->epoch < epoch + 1) {
		uint32_t next = box->epoch < epoch - 1 ? epoch - 1 : box->epoch + 1;

		if (post_epoch(box, next))
			return 1;
	}
	return 0;
}

static int start(struct box *box)
{
	for (unsigned i = 0; i < box->policy->service_count; i++)
		box->announced[box->policy->services[i].id] = box->policy->services[i].profile;
	*box->in = (struct message){.type = MESSAGE_POLICY};
	box->in->body.policy = box->policy;
	post(box);
	return keep_keys(box);
}

int box_open(struct box *box, const struct config *config, const struct box_options *options)
{
	*box = (struct box){.config = config,
		.policy = config->policy,
		.listener = options->listener,
		.index = options->index};
	return make_buffers(box) || make_engine(box, options) || start(box);
}

void box_close(struct box *box)
{
	free(box->cells);
	free(box->in);
	if (box->sibling != NULL)
		sibling_finish(box->sibling);
	if (box->sibling_memory != NULL)
		munmap(box->sibling_memory, box->sibling_bytes);
	if (box->lent_bytes != NULL)
		munmap(box->lent_bytes, (size_t)BOX_LENT * (LENT_BYTES + 64));
	if (box->memory != NULL)
		munmap(box->memory, box->memory_bytes);
	explicit_bzero(box->secret, sizeof(box->secret));
}

int box_step_to(struct box *box, uint64_t to_ns)
{
	struct batch batch = {0};

	box->now_ns = to_ns;
	if (keep_keys(box))
		return 1;
	run(box, &batch);
	return 0;
}

int box_advance(struct box *box, uint64_t to_ns)
{
	for (unsigned i = 0; i < GAP_MAX && box->now_ns + GAP_NS < to_ns; i++)
		if (box_step_to(box, box->now_ns + GAP_NS))
			return 1;
	return to_ns > box->now_ns ? box_step_to(box, to_ns) : 0;
}

void box_offer(struct box *box, struct frame *frames, struct verdict *verdicts, unsigned count)
{
	struct batch batch = {.frames = frames, .verdicts = verdicts, .frame_count = count};

	run(box, &batch);
}

bool box_is_opening(const struct box *box)
{
	return engine_idle_ns(box->engine, clock_ns(box)) != UINT64_MAX;
}

static bool talk(struct box *box)
{
	uint64_t start = cycles_now();
	bool talked = sibling_run(box->sibling, clock_ns(box));

	if (talked)
		box->listener.talked(box->listener.context, box->index, cycles_now() - start);
	return talked;
}

bool box_talk(struct box *box)
{
	struct message *in[ENGINE_BATCH_MAX];
	bool talked = talk(box), more = box->more;
	struct batch batch = {.messages_in = in};

	batch.messages_in_count = sibling_tell(box->sibling, clock_ns(box), in);
	if (batch.messages_in_count > 0 || more)
		run(box, &batch);
	sibling_told(box->sibling);
	return talked || more || batch.messages_in_count > 0;
}

uint64_t box_talk_idle_ns(const struct box *box)
{
	return sibling_idle_ns(box->sibling, clock_ns(box));
}

void box_begin(struct box *box)
{
	box->base_ns += box->now_ns;
	box->now_ns = 0;
}
