// One engine, or two of one cluster, one thread, the capture's time.
//
//   next packets of the input  ->  the burst of its moment  ->  box_offer()  ->  what became of it
//                                                          \->  made(): frames of the engine's own
//
// The engine's clock moves in steps of STEP_NS. All packets of a step see the same time, and
// everything that is due by then happens before the first of them (site_advance()); so they can be
// offered in bursts, as a worker takes them from its device, and the result is the same as one by
// one. With a pace they are offered one by one, each when it is due.
//
// Between input and burst stands the player (play.h), which gives what a captured end says of this
// run's numbers, and holds it until the box has sent what it answers to. While something is held,
// packets are offered one by one, because what leaves may set it free: it is offered next.
//
// Of two nodes each takes the packets of one side. A burst is of one of them, and behind it they
// say to each other what there is to say (site_exchange()). A connection has one packet in a burst
// at most, because what a node learns of it may come from the other one.
//
// A loop begins where the one before it ended. With `fresh` its packets are those of other clients.
#include "weir/replay/replay.h"

#include "weir/node.h"
#include "weir/replay/burst.h"
#include "weir/replay/cycles.h"
#include "weir/replay/fresh.h"
#include "weir/replay/input.h"
#include "weir/replay/interrupt.h"
#include "weir/replay/link.h"
#include "weir/replay/load.h"
#include "weir/replay/notes.h"
#include "weir/replay/output.h"
#include "weir/replay/page.h"
#include "weir/replay/play.h"
#include "weir/replay/progress.h"
#include "weir/replay/report.h"
#include "weir/replay/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_NS	    1000000ULL
#define NS_PER_MS   1000000ULL
#define NS_PER_S    1000000000ULL
#define EXIT_SIGNAL 128 // and the signal's number

struct replay {
	const struct replay_options *options;
	struct config *configs[REPLAY_NODES_MAX];
	struct site site;
	struct load load;
	struct replay_input input;
	struct burst burst;
	struct play play;
	struct fresh fresh;
	struct replay_output output;
	struct draft json, html;
	struct replay_report report;
	struct progress progress;
	uint64_t start_ns; // wall clock
	uint64_t first_ns; // capture's time of its first packet
	uint64_t begin_ns; // when the loop began, of the replay
	uint64_t at_ns;	   // of the packet offered last, of the replay
	uint64_t until_ns; // this moment lasts
	uint64_t cycles;   // when the stage before this one ended
	bool offering;	   // packets of this moment are being offered
	bool turning;	   // in a turn with packets
	bool paced;	   // each packet waits until it is due
	bool opening;	   // connections were half open behind the last turn
};

static int failed(const char *what)
{
	fprintf(stderr, "weir: replay: %s\n", what);
	return 1;
}

// --- what leaves ---

// A frame an engine made leaves. Those of a moment are written behind its packets.
static void made(void *context, unsigned box, const struct frame *frame)
{
	struct replay *replay = context;
	uint64_t at_ns = replay->offering ? replay->at_ns : replay->site.boxes[box].now_ns;

	if (replay->load.opening) {
		load_hear(&replay->load, frame, frame->port);
		return;
	}
	replay_report_made(&replay->report, box, at_ns);
	replay_output_made(&replay->output, box, frame);
	if (replay->turning)
		return; // the player hears of it behind the packets of the turn
	play_sent(&replay->play, frame, frame->port, at_ns);
	if (!replay->offering)
		replay_output_settle(&replay->output, replay->first_ns + at_ns);
}

static void turn(void *context, unsigned box, unsigned frames, uint64_t cycles)
{
	struct replay *replay = context;

	if (!replay->load.opening)
		replay_report_turn(&replay->report, box, frames, cycles);
}

static void talked(void *context, unsigned box, uint64_t cycles)
{
	struct replay *replay = context;

	if (!replay->load.opening)
		replay_report_talked(&replay->report, box, cycles);
}

// A packet of the capture leaves, or not.
static void decided(struct replay *replay, unsigned box, unsigned i)
{
	const struct verdict *verdict = &replay->burst.verdicts[i];
	const struct frame *frame = &replay->burst.frames[i];
	uint64_t at_ns = replay->burst.at_ns[i];

	replay_report_verdict(&replay->report, box, verdict, replay->burst.lens[i], at_ns);
	if (verdict->kind == VERDICT_FORWARD || verdict->kind == VERDICT_REPLY)
		play_sent(&replay->play, frame, verdict->port, at_ns);
	replay_output_decided(&replay->output, box, replay->first_ns + at_ns, frame, verdict);
}

// --- what is offered ---

// The cycles since the last call belong to this stage.
static void spent(struct replay *replay, enum replay_stage stage, unsigned packets)
{
	uint64_t now = cycles_now();

	replay->report.stages[stage].cycles += now - replay->cycles;
	replay->report.stages[stage].packets += packets;
	replay->cycles = now;
}

static void tell(struct replay *replay)
{
	uint64_t now_ns = machine_clock_ns(), size, done;

	if (now_ns < replay->progress.next_ns)
		return;
	size = replay_input_size(&replay->input);
	done = replay->report.loops_done * size + replay_input_at(&replay->input);
	progress_tell(&replay->progress, now_ns, done, size * replay->options->loops,
		replay->report.read);
}

static void offer_burst(struct replay *replay)
{
	struct burst *burst = &replay->burst;
	unsigned count = burst->count;
	struct box *box;

	if (count == 0)
		return;
	spent(replay, REPLAY_PREPARE, 0);
	box = site_taker(&replay->site, burst->side);
	replay->offering = replay->turning = true;
	box_offer(box, burst->frames, burst->verdicts, count);
	replay->turning = false;
	replay->cycles = cycles_now();
	for (unsigned i = 0; i < count; i++)
		decided(replay, box->index, i);
	for (unsigned i = 0; i < box->lent_used; i++)
		play_sent(&replay->play, &box->lent[i], box->lent[i].port, replay->at_ns);
	burst->count = 0;
	tell(replay);
	spent(replay, REPLAY_WRITE, count);
	site_exchange(&replay->site);
	replay->opening = site_is_opening(&replay->site);
	replay->cycles = cycles_now();
}

// What waits in the burst, then what that sets free.
static void flush(struct replay *replay)
{
	struct frame *frame;

	offer_burst(replay);
	while (play_next(&replay->play, frame = burst_room(&replay->burst))) {
		burst_take(&replay->burst, replay->at_ns);
		offer_burst(replay);
	}
}

// The moment is over: the next one is `to_ns`.
static int step(struct replay *replay, uint64_t to_ns)
{
	int status;

	flush(replay);
	spent(replay, REPLAY_PREPARE, 0);
	replay_output_settle(&replay->output, replay->first_ns + replay->at_ns);
	replay->offering = false;
	status = site_advance(&replay->site, to_ns);
	replay->at_ns = to_ns > replay->at_ns ? to_ns : replay->at_ns;
	flush(replay); // what a retry or a reset set free
	replay->opening = site_is_opening(&replay->site);
	replay->until_ns = to_ns + STEP_NS;
	replay->cycles = cycles_now();
	return status;
}

static void keep_pace(struct replay *replay)
{
	double due = (double)replay->at_ns / replay->options->pace;
	uint64_t due_ns = replay->start_ns + (uint64_t)due, now_ns;
	struct timespec nap;

	spent(replay, REPLAY_PREPARE, 0);
	while ((now_ns = machine_clock_ns()) < due_ns && interrupt_signal() == 0) {
		nap.tv_sec = (time_t)((due_ns - now_ns) / NS_PER_S);
		nap.tv_nsec = (long)((due_ns - now_ns) % NS_PER_S);
		nanosleep(&nap, NULL);
	}
	replay->cycles = cycles_now();
}

// The packet is played now, or the burst is left without it.
static void play(struct replay *replay, struct frame *frame)
{
	struct burst *burst = &replay->burst;

	if (play_offer(&replay->play, frame, replay->at_ns) != PLAYER_PLAY) {
		burst->count--;
		flush(replay); // it may wait for one of these
		return;
	}
	if (play_waits(&replay->play))
		flush(replay);
}

static int offer(struct replay *replay, const struct replay_packet *packet)
{
	uint64_t offset =
		packet->time_ns > replay->first_ns ? packet->time_ns - replay->first_ns : 0;
	uint64_t at_ns = replay->begin_ns + offset;
	struct frame *frame;

	if (at_ns < replay->at_ns)
		at_ns = replay->at_ns; // captures of several interfaces are not quite in order
	if (at_ns >= replay->until_ns) {
		if (step(replay, at_ns - at_ns % STEP_NS))
			return 1;
	} else if (!burst_fits(&replay->burst, packet)) {
		flush(replay);
	}
	replay->at_ns = at_ns;
	if (replay->paced)
		keep_pace(replay);
	replay->report.sides[packet->side]++;
	replay->report.cut_packets += packet->truncated;
	frame = burst_add(&replay->burst, packet, at_ns);
	if (replay->options->fresh)
		fresh_apply(&replay->fresh, frame);
	if (replay->play.player != NULL)
		play(replay, frame);
	if (replay->paced || replay->opening)
		flush(replay);
	return 0;
}

static int offer_all(struct replay *replay, const struct replay_packet *packets, unsigned count)
{
	if (replay_report_captured(&replay->report) == 0)
		replay->first_ns = packets[0].time_ns;
	for (unsigned i = 0; i < count; i++)
		if (offer(replay, &packets[i]))
			return 1;
	spent(replay, REPLAY_PREPARE, count);
	return 0;
}

// One loop. 0, or 1 after an error message.
static int pass(struct replay *replay)
{
	struct replay_packet packets[REPLAY_TAKE_MAX];
	unsigned most = replay->paced ? 1 : REPLAY_TAKE_MAX, count;

	replay->begin_ns = replay->at_ns;
	replay->fresh.passed_ms = (uint32_t)(replay->begin_ns / NS_PER_MS);
	while (interrupt_signal() == 0 &&
		(count = replay_input_take(&replay->input, packets, most)) > 0) {
		spent(replay, REPLAY_READ, count);
		if (offer_all(replay, packets, count))
			return 1;
	}
	flush(replay);
	play_finish(&replay->play);
	return 0;
}

static int passes(struct replay *replay)
{
	struct replay_report *report = &replay->report;

	replay->start_ns = machine_clock_ns();
	replay->cycles = cycles_now();
	progress_begin(&replay->progress, replay->start_ns, "replay");
	for (uint32_t i = 0; i < replay->options->loops && interrupt_signal() == 0; i++) {
		replay->fresh.loop = i;
		if ((i > 0 && replay_input_rewind(&replay->input)) || pass(replay))
			return 1;
		if (replay_report_captured(report) == 0 && interrupt_signal() == 0)
			return replay_input_is_cut(&replay->input)
				       ? 1 // and a message said why
				       : failed("the capture has no packets");
		report->loops_done += interrupt_signal() == 0;
	}
	replay_output_settle(&replay->output, replay->first_ns + replay->at_ns);
	report->elapsed_ns = machine_clock_ns() - replay->start_ns;
	report->capture_ns = replay->at_ns;
	report->start_ns = replay->first_ns;
	report->truncated = replay_input_is_cut(&replay->input);
	report->interrupted = interrupt_signal() != 0;
	return 0;
}

// --- the whole ---

static int load(struct replay *replay, unsigned i)
{
	struct node node = {.file = replay->options->config_files[i],
		.sets = replay->options->sets,
		.set_count = replay->options->set_count};
	struct config_errors errors = {0};

	replay->configs[i] = node_read_config(&node, &errors);
	if (replay->configs[i] != NULL)
		config_warn(replay->configs[i], &errors);
	for (unsigned e = 0; e < errors.count; e++)
		fprintf(stderr, "%s\n", errors.list[e].text);
	config_errors_free(&errors);
	return replay->configs[i] == NULL;
}

static void describe_nodes(struct replay *replay)
{
	const struct replay_options *options = replay->options;
	struct replay_report *report = &replay->report;

	report->part_count = replay->output.node_count = options->config_count;
	for (unsigned i = 0; i < options->config_count; i++) {
		const struct config *config = replay->configs[i];

		replay->output.nodes[i] =
			(struct output_node){.name = config->node, .policy = config->policy};
		report->parts[i] = (struct replay_part){.node = config->node,
			.file = options->config_files[i],
			.takes = {options->taker[0] == i, options->taker[1] == i}};
	}
}

static int open_site(struct replay *replay)
{
	const struct replay_options *options = replay->options;
	struct replay_report *report = &replay->report;
	struct site_options site = {.count = options->config_count,
		.taker = {options->taker[0], options->taker[1]},
		.seeded = options->seeded,
		.seed = options->seed,
		.listener = {.context = replay, .made = made, .turn = turn, .talked = talked}};

	memcpy(site.configs, replay->configs, sizeof(site.configs));
	if (site_open(&replay->site, &site))
		return 1;
	for (unsigned i = 0; i < options->config_count; i++) {
		const struct box *box = &replay->site.boxes[i];

		report->parts[i].stats = engine_stats(box->engine);
		report->parts[i].peer = box->sibling ? sibling_peer_stats(box->sibling) : NULL;
	}
	return 0;
}

static void describe_input(struct replay *replay)
{
	replay->report.source_count = replay->input.count;
	for (unsigned i = 0; i < replay->input.count; i++) {
		const struct source *source = &replay->input.sources[i];

		replay->report.sources[i] = (struct replay_source_facts){.path = source->path,
			.link_type = link_name(source->link_type),
			.compressed = source->compressed,
			.size_bytes = source->stream.size_bytes};
	}
}

// Everything before the first packet that counts.
static int establish(struct replay *replay)
{
	struct replay_report *report = &replay->report;
	int status =
		load_establish(&replay->load, &replay->site, &replay->burst, &replay->progress);

	memset(report->stages, 0, sizeof(report->stages));
	for (unsigned i = 0; i < report->part_count; i++)
		report->parts[i].idle = report->parts[i].talk = (struct replay_cost){0};
	replay_report_measure(report);
	replay->opening = site_is_opening(&replay->site);
	replay->until_ns = replay->site.now_ns - replay->site.now_ns % STEP_NS + STEP_NS;
	if (replay->load.used) {
		report->synthetic = &replay->load.synthetic;
		report->opening_packets = replay->load.offered;
		report->opening_ns = replay->load.open_ns;
	}
	return status;
}

static int prepare(struct replay *replay)
{
	const struct replay_options *options = replay->options;
	const struct policy *policy, *other;

	replay_report_begin(&replay->report, options);
	for (unsigned i = 0; i < options->config_count; i++)
		if (load(replay, i))
			return 1;
	policy = replay->configs[0]->policy;
	other = replay->configs[1] != NULL ? replay->configs[1]->policy : NULL;
	describe_nodes(replay);
	if (load_open(&replay->load, options, replay->configs) ||
		replay_input_open(&replay->input, options, policy,
			replay->load.used ? &replay->load.synthetic : NULL) ||
		replay_output_open(&replay->output, options->write) ||
		draft_open(&replay->json, options->json) ||
		draft_open(&replay->html, options->html))
		return 1;
	describe_input(replay);
	if (burst_open(&replay->burst, options->burst, policy) ||
		fresh_open(&replay->fresh, policy, other, options->inside, options->inside_count) ||
		(!options->raw && !replay->load.used &&
			play_open(&replay->play, replay->configs[0])))
		return failed("not enough memory");
	replay->burst.one_each = replay->play.player != NULL;
	replay->burst.apart = options->config_count > 1;
	replay->paced = options->pace > 0;
	replay->input.viewed = burst_minds(&replay->burst);
	machine_begin(&replay->report.machine);
	return open_site(replay) || establish(replay);
}

static int write_results(struct replay *replay)
{
	FILE *json = replay->json.file != NULL ? replay->json.file : stdout;

	machine_end(&replay->report.machine);
	replay->report.compared = replay->input.compared;
	replay->report.turned = replay->input.turned;
	if (replay->play.player != NULL)
		replay->report.played = player_counts(replay->play.player);
	if (replay->html.file != NULL)
		page_write(&replay->report, replay->html.file);
	if (replay_report_write_json(&replay->report, json) || draft_finish(&replay->json) ||
		draft_finish(&replay->html) || replay_output_finish(&replay->output))
		return 1;
	replay_notes_tell(&replay->report, stderr);
	return 0;
}

static void finish(struct replay *replay)
{
	progress_end(&replay->progress);
	draft_discard(&replay->json);
	draft_discard(&replay->html);
	replay_output_close(&replay->output);
	burst_close(&replay->burst);
	fresh_close(&replay->fresh);
	play_close(&replay->play);
	site_close(&replay->site);
	replay_input_close(&replay->input);
	load_close(&replay->load);
	for (unsigned i = 0; i < REPLAY_NODES_MAX; i++)
		config_free(replay->configs[i]);
	free(replay);
}

int replay_run(const struct replay_options *options)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int status;

	if (replay == NULL)
		return failed("not enough memory");
	replay->options = options;
	interrupt_catch();
	status = prepare(replay) || passes(replay);
	progress_end(&replay->progress);
	if (status == 0)
		status = write_results(replay) || replay->report.truncated;
	if (interrupt_signal() != 0 && (status != 0 || replay->report.interrupted))
		status = EXIT_SIGNAL + interrupt_signal();
	finish(replay);
	return status;
}
