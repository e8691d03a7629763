// One engine, one thread: each packet of the capture is a batch of its own, so that what the engine
// does about it can be told from what it does about the next. Between packets the engine runs at
// least every GAP_NS of the capture's time, for retries and ageing, and afterwards until its holds
// had time to end.
#include "weir/replay/replay.h"

#include "base/check.h"
#include "base/counter.h"
#include "cfg/config.h"
#include "weir/node.h"
#include "weir/replay/input.h"
#include "weir/replay/output.h"
#include "weir/replay/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define ROOM_FRONT 128
#define ROOM_BACK  512
#define ROOM_BYTES (ROOM_FRONT + UINT16_MAX + ROOM_BACK)
#define LENT	   32
#define LENT_BYTES 16384
#define MESSAGES   8
#define GAP_NS	   100000000ULL
#define GAP_MAX	   1024 // idle runs between two packets at most: 102 s of the capture's time
#define TICK_BASE  1024

struct replay {
	const struct replay_options *options;
	struct config *config;
	struct policy *policy;
	struct engine *engine;
	struct replay_input input;
	struct replay_output output;
	struct replay_report report;
	uint8_t secret[32];
	uint32_t epoch;				     // newest epoch the engine has keys of, 0: none
	struct profile seen[SERVICE_COUNT_MAX];	     // LEARNT of the running epoch
	struct profile announced[SERVICE_COUNT_MAX]; // of the newest epoch
	uint64_t now_ns;			     // engine's clock
	uint64_t base_ns;			     // capture's time of engine's time 0
	uint8_t *room;
	uint8_t *lent_bytes;
	struct frame lent[LENT];
	struct message *out[MESSAGES];
	struct message *in;
};

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t tick_of(uint64_t now_ns)
{
	return TICK_BASE + (uint32_t)(now_ns / KEYRING_TICK_NS);
}

// Without a seed everything is as unpredictable as on the live path; with one, nothing is.
static int make_secrets(struct replay *replay, uint8_t table_key[SIPHASH_KEY_BYTES])
{
	uint64_t state = replay->options->seed;

	if (!replay->options->seeded)
		return getrandom(replay->secret, sizeof(replay->secret), 0) < 0 ||
		       getrandom(table_key, SIPHASH_KEY_BYTES, 0) < 0;
	for (unsigned i = 0; i < sizeof(replay->secret) + SIPHASH_KEY_BYTES; i++) {
		uint8_t byte = (uint8_t)siphash24((struct siphash_key){{state, i}}, "seed", 4);

		if (i < sizeof(replay->secret))
			replay->secret[i] = byte;
		else
			table_key[i - sizeof(replay->secret)] = byte;
	}
	return 0;
}

static int failed(const char *what)
{
	fprintf(stderr, "weir: replay: %s\n", what);
	return 1;
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

static int make_buffers(struct replay *replay)
{
	replay->room = pages(ROOM_BYTES);
	replay->lent_bytes = pages((size_t)LENT * LENT_BYTES);
	replay->in = calloc(1, sizeof(*replay->in));
	if (replay->room == NULL || replay->lent_bytes == NULL || replay->in == NULL)
		return failed("not enough memory");
	for (unsigned i = 0; i < MESSAGES; i++) {
		replay->out[i] = calloc(1, sizeof(*replay->out[i]));
		if (replay->out[i] == NULL)
			return failed("not enough memory");
	}
	return 0;
}

static void free_messages(struct replay *replay)
{
	for (unsigned i = 0; i < MESSAGES; i++)
		free(replay->out[i]);
	free(replay->in);
}

static int make_engine(struct replay *replay)
{
	struct engine_config config = engine_config_of(replay->config);
	void *memory;

	if (make_secrets(replay, config.table_key))
		return failed("the system has no randomness");
	memory = pages(engine_bytes(&config));
	if (memory == NULL)
		return failed("not enough memory for flows.capacity");
	replay->engine = engine_init(memory, &config);
	return 0;
}

static void take_learnt(struct replay *replay, const struct message *message)
{
	profile_merge(&replay->seen[message->body.learnt.service], &message->body.learnt.profile);
}

static void lend(struct replay *replay)
{
	for (unsigned i = 0; i < LENT; i++)
		replay->lent[i] = (struct frame){
			.data = replay->lent_bytes + (size_t)i * LENT_BYTES + ROOM_FRONT,
			.headroom = ROOM_FRONT,
			.tailroom = LENT_BYTES - ROOM_FRONT};
}

static void run(struct replay *replay, struct batch *batch)
{
	uint64_t start;

	lend(replay);
	batch->now_ns = replay->now_ns;
	batch->tick = tick_of(replay->now_ns);
	batch->out = replay->lent;
	batch->out_room = LENT;
	batch->messages_out = replay->out;
	batch->messages_out_room = MESSAGES;
	start = replay_cycles();
	engine_run(replay->engine, batch);
	replay_report_turn(&replay->report, replay_cycles() - start, batch->frame_count);
	for (unsigned i = 0; i < batch->messages_out_used; i++)
		if (batch->messages_out[i]->type == MESSAGE_LEARNT)
			take_learnt(replay, batch->messages_out[i]);
	for (unsigned i = 0; i < batch->out_used; i++)
		replay_output_sent(&replay->output, replay->base_ns + replay->now_ns,
			batch->out[i].port, batch->out[i].data, batch->out[i].len, "made");
	replay->report.sent += batch->out_used;
}

static void post(struct replay *replay)
{
	struct batch batch = {.messages_in = &replay->in, .messages_in_count = 1};

	run(replay, &batch);
}

static int post_epoch(struct replay *replay, uint32_t epoch)
{
	struct message *message = replay->in;

	*message = (struct message){.type = MESSAGE_EPOCH};
	if (keyring_derive(
		    &message->body.epoch.keys, replay->secret, sizeof(replay->secret), epoch))
		return failed("keys cannot be derived");
	for (unsigned i = 0; i < replay->policy->service_count; i++) {
		const struct service *service = &replay->policy->services[i];

		if (service->learn)
			profile_learn(&replay->announced[service->id], &replay->seen[service->id]);
		replay->seen[service->id] = (struct profile){0};
	}
	memcpy(message->body.epoch.profiles, replay->announced, sizeof(replay->announced));
	message->body.epoch.service_count = replay->policy->service_count;
	replay->epoch = epoch;
	post(replay);
	return 0;
}

// Keys of the running epoch and the next one.
static int keep_keys(struct replay *replay)
{
	uint32_t epoch = tick_of(replay->now_ns) / KEYRING_TICKS_PER_EPOCH;

	while (replay->epoch < epoch + 1) {
		uint32_t next = replay->epoch < epoch - 1 ? epoch - 1 : replay->epoch + 1;

		if (post_epoch(replay, next))
			return 1;
	}
	return 0;
}

static int start_engine(struct replay *replay)
{
	for (unsigned i = 0; i < replay->policy->service_count; i++)
		replay->announced[replay->policy->services[i].id] =
			replay->policy->services[i].profile;
	*replay->in = (struct message){.type = MESSAGE_POLICY};
	replay->in->body.policy = replay->policy;
	post(replay);
	return keep_keys(replay);
}

static int advance(struct replay *replay, uint64_t to_ns)
{
	for (unsigned i = 0; i < GAP_MAX && replay->now_ns + GAP_NS < to_ns; i++) {
		struct batch batch = {0};

		replay->now_ns += GAP_NS;
		if (keep_keys(replay))
			return 1;
		run(replay, &batch);
	}
	if (to_ns > replay->now_ns)
		replay->now_ns = to_ns;
	return keep_keys(replay);
}

static void account(struct replay *replay, const struct frame *frame, const struct verdict *verdict,
	uint8_t port, uint64_t time_ns)
{
	switch (verdict->kind) {
	case VERDICT_FORWARD:
		replay->report.forwarded++;
		replay->report.sent++;
		replay_output_sent(&replay->output, time_ns, verdict->port, frame->data, frame->len,
			"forwarded");
		return;
	case VERDICT_REPLY:
		replay->report.sent++;
		replay_output_sent(
			&replay->output, time_ns, verdict->port, frame->data, frame->len, "reply");
		return;
	case VERDICT_DROP:
		replay_output_dropped(
			&replay->output, time_ns, port, frame->data, frame->len, verdict);
		return;
	default:
		return;
	}
}

static void one(struct replay *replay, const struct replay_packet *packet)
{
	struct verdict verdict;
	struct frame frame = {.data = replay->room + ROOM_FRONT,
		.len = packet->len,
		.headroom = ROOM_FRONT,
		.tailroom = ROOM_BACK,
		.port = packet->side,
		.flags = packet->truncated ? FRAME_TRUNCATED : 0};
	struct batch batch = {.frames = &frame, .verdicts = &verdict, .frame_count = 1};

	memcpy(frame.data, replay->input.bytes + packet->at, packet->len);
	run(replay, &batch);
	replay->report.read++;
	account(replay, &frame, &verdict, packet->side, replay->base_ns + replay->now_ns);
}

static void keep_pace(const struct replay *replay, uint64_t start_ns)
{
	uint64_t due_ns, now_ns = wall_ns();
	struct timespec nap;

	if (replay->options->pace == 0)
		return;
	due_ns = start_ns + (uint64_t)((double)replay->now_ns / replay->options->pace);
	if (due_ns <= now_ns)
		return;
	nap.tv_sec = (time_t)((due_ns - now_ns) / 1000000000u);
	nap.tv_nsec = (long)((due_ns - now_ns) % 1000000000u);
	nanosleep(&nap, NULL);
}

static int pass(struct replay *replay, uint64_t start_ns)
{
	uint64_t first_ns = replay->input.packets[0].time_ns;
	uint64_t begin_ns = replay->now_ns;

	for (size_t i = 0; i < replay->input.count; i++) {
		const struct replay_packet *packet = &replay->input.packets[i];
		uint64_t offset = packet->time_ns > first_ns ? packet->time_ns - first_ns : 0;

		if (begin_ns + offset > replay->now_ns && advance(replay, begin_ns + offset))
			return 1;
		keep_pace(replay, start_ns);
		one(replay, packet);
	}
	return 0;
}

static int passes(struct replay *replay)
{
	uint64_t start_ns = wall_ns();

	if (replay->input.count == 0)
		return failed("the capture has no packets");
	replay->base_ns = replay->input.packets[0].time_ns;
	for (uint32_t i = 0; i < replay->options->loops; i++) {
		if (i > 0 && replay->options->fresh) {
			*replay->in = (struct message){.type = MESSAGE_FLUSH};
			post(replay);
		}
		if (pass(replay, start_ns))
			return 1;
	}
	replay->report.elapsed_ns = wall_ns() - start_ns;
	return 0;
}

static int load(struct replay *replay)
{
	struct node node = {.file = replay->options->config_file,
		.sets = replay->options->sets,
		.set_count = replay->options->set_count};
	struct config_errors errors = {0};

	replay->config = node_read_config(&node, &errors);
	for (unsigned i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.list[i].text);
	config_errors_free(&errors);
	if (replay->config == NULL)
		return 1;
	replay->policy = replay->config->policy;
	return 0;
}

static int prepare(struct replay *replay)
{
	static const char *const names[2] = {"outside", "inside"};

	if (load(replay) || replay_input_read(&replay->input, replay->options, replay->policy) ||
		make_buffers(replay) || make_engine(replay))
		return 1;
	if (replay_output_open(&replay->output, replay->options->write, names, replay->policy))
		return 1;
	replay->report.truncated = replay->input.cut;
	if (replay_report_open(&replay->report, replay->input.count * replay->options->loops))
		return failed("not enough memory");
	return start_engine(replay);
}

int replay_run(const struct replay_options *options)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int status;

	if (replay == NULL)
		return failed("not enough memory");
	replay->options = options;
	status = prepare(replay) || passes(replay);
	if (status == 0)
		status =
			replay_report_write(&replay->report, options, engine_stats(replay->engine));
	status |= replay_output_close(&replay->output) || replay->input.cut;
	replay_report_close(&replay->report);
	replay_input_free(&replay->input);
	explicit_bzero(replay->secret, sizeof(replay->secret));
	config_free(replay->config);
	free_messages(replay);
	free(replay);
	return status;
}
