#include "weir/replay/report.h"

#include "base/check.h"

#define NS_PER_S 1e9

void replay_report_begin(struct replay_report *report, const struct replay_options *options)
{
	*report = (struct replay_report){.options = options};
	timeline_init(&report->timeline);
}

void replay_report_measure(struct replay_report *report)
{
	for (unsigned p = 0; p < report->part_count; p++) {
		struct replay_part *part = &report->parts[p];

		for (unsigned i = 0; i < ARRAY_LEN(part->before); i++)
			part->before[i] = counter_get(&((const counter *)part->stats)[i]);
		for (unsigned i = 0; part->peer != NULL && i < ARRAY_LEN(part->peer_before); i++)
			part->peer_before[i] = counter_get(&((const counter *)part->peer)[i]);
	}
}

static void add_turn(struct replay_cost *cost, unsigned frames, uint64_t cycles)
{
	cost->packets += frames;
	cost->cycles += cycles;
}

void replay_report_turn(
	struct replay_report *report, unsigned part, unsigned frames, uint64_t cycles)
{
	struct replay_part *at = &report->parts[part];

	add_turn(&report->stages[frames > 0 ? REPLAY_ENGINE : REPLAY_IDLE], frames, cycles);
	add_turn(frames > 0 ? &at->engine : &at->idle, frames, cycles);
	if (frames == 0)
		return;
	report->turn_share = cycles / frames;
	report->turns++;
	// A packet's answer leaves when its turn ends, whatever the packet itself took.
	histogram_add(&report->latency, cycles, frames);
	histogram_add(&report->costs, report->turn_share, frames);
}

void replay_report_talked(struct replay_report *report, unsigned part, uint64_t cycles)
{
	add_turn(&report->stages[REPLAY_TALK], 0, cycles);
	add_turn(&report->parts[part].talk, 0, cycles);
}

static enum replay_outcome outcome_of(const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_FORWARD:
		return REPLAY_FORWARDED;
	case VERDICT_REPLY:
		return REPLAY_ANSWERED;
	case VERDICT_DROP:
		return REPLAY_DROPPED;
	default:
		return REPLAY_CONSUMED;
	}
}

unsigned replay_size_most(unsigned class)
{
	static const uint16_t most[REPLAY_SIZES] = {60, 123, 251, 507, 1019, 1514, 0};

	return class < REPLAY_SIZES ? most[class] : 0;
}

static unsigned size_class(uint16_t len)
{
	unsigned class = 0;

	while (replay_size_most(class) != 0 && len > replay_size_most(class))
		class ++;
	return class;
}

static void add(struct replay_cost *cost, uint64_t cycles)
{
	cost->packets++;
	cost->cycles += cycles;
}

void replay_report_verdict(struct replay_report *report, unsigned part,
	const struct verdict *verdict, uint16_t len, uint64_t at_ns)
{
	struct timeline_bucket *bucket = timeline_at(&report->timeline, at_ns);
	enum replay_outcome outcome = outcome_of(verdict);
	uint64_t share = report->turn_share;

	report->read++;
	report->parts[part].read++;
	report->bytes += len;
	report->sizes[size_class(len)]++;
	add(&report->outcomes[outcome], share);
	add(&report->parts[part].outcomes[outcome], share);
	if (outcome == REPLAY_DROPPED)
		add(&report->reasons[verdict->reason], share);
	bucket->offered++;
	bucket->bytes += len;
	bucket->cycles += share;
	bucket->dropped += outcome == REPLAY_DROPPED;
	bucket->sent += outcome == REPLAY_FORWARDED || outcome == REPLAY_ANSWERED;
}

void replay_report_made(struct replay_report *report, unsigned part, uint64_t at_ns)
{
	report->made++;
	report->parts[part].made++;
	timeline_at(&report->timeline, at_ns)->sent++;
}

uint64_t replay_part_stat(const struct replay_part *part, size_t at)
{
	size_t i = at / sizeof(counter);

	return counter_get(&((const counter *)part->stats)[i]) - part->before[i];
}

uint64_t replay_part_peer_stat(const struct replay_part *part, size_t at)
{
	size_t i = at / sizeof(counter);

	return counter_get(&((const counter *)part->peer)[i]) - part->peer_before[i];
}

uint64_t replay_report_stat(const struct replay_report *report, size_t at)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < report->part_count; i++)
		sum += replay_part_stat(&report->parts[i], at);
	return sum;
}

uint64_t replay_report_captured(const struct replay_report *report)
{
	return report->sides[0] + report->sides[1];
}

uint64_t replay_report_withheld(const struct replay_report *report)
{
	uint64_t withheld = 0;

	for (unsigned i = 0; report->played != NULL && i < PLAYER_CAUSE_COUNT; i++)
		withheld += report->played->withheld[i];
	return withheld;
}

uint64_t replay_report_repeated(const struct replay_report *report)
{
	return report->played != NULL ? report->played->made : 0;
}

uint64_t replay_report_sent(const struct replay_report *report)
{
	return report->outcomes[REPLAY_FORWARDED].packets +
	       report->outcomes[REPLAY_ANSWERED].packets + report->made;
}

uint64_t replay_part_sent(const struct replay_part *part)
{
	return part->outcomes[REPLAY_FORWARDED].packets + part->outcomes[REPLAY_ANSWERED].packets +
	       part->made;
}

uint64_t replay_part_dropped(const struct replay_part *part)
{
	uint64_t dropped = 0;

	for (unsigned i = 1; i < REASON_COUNT; i++)
		dropped += replay_part_stat(part, STAT_DROPPED(i));
	return dropped;
}

uint64_t replay_report_dropped(const struct replay_report *report)
{
	uint64_t dropped = 0;

	for (unsigned i = 0; i < report->part_count; i++)
		dropped += replay_part_dropped(&report->parts[i]);
	return dropped;
}

// What there is but for the packets that were offered.
static int64_t balance(const struct replay_part *part)
{
	return (int64_t)(replay_part_stat(part, STAT(generated)) +
			 replay_part_stat(part, STAT(from_peers)) - replay_part_sent(part) -
			 replay_part_stat(part, STAT(consumed)) -
			 replay_part_stat(part, STAT(queued)) -
			 replay_part_stat(part, STAT(to_peers)) - replay_part_dropped(part));
}

int64_t replay_part_unexplained(const struct replay_part *part)
{
	return (int64_t)part->read + balance(part);
}

int64_t replay_report_unexplained(const struct replay_report *report)
{
	int64_t unexplained =
		(int64_t)(replay_report_captured(report) + replay_report_repeated(report) -
			  replay_report_withheld(report));

	for (unsigned i = 0; i < report->part_count; i++)
		unexplained += balance(&report->parts[i]);
	return unexplained;
}

double replay_report_pps(const struct replay_report *report)
{
	return report->elapsed_ns > 0 ? (double)report->read * NS_PER_S / (double)report->elapsed_ns
				      : 0;
}

double replay_cost_each(const struct replay_cost *cost)
{
	return cost->packets > 0 ? (double)cost->cycles / (double)cost->packets : 0;
}

double replay_report_cycles(const struct replay_report *report)
{
	return replay_cost_each(&report->stages[REPLAY_ENGINE]);
}

double replay_report_median(const struct replay_report *report)
{
	return histogram_quantile(&report->costs, 0.5);
}

double replay_report_engine_pps(const struct replay_report *report)
{
	double cycles = replay_report_cycles(report);

	return cycles > 0 ? report->machine.cycles_per_ns * NS_PER_S / cycles : 0;
}

double replay_report_latency_ns(const struct replay_report *report, double part)
{
	return histogram_quantile(&report->latency, part) / report->machine.cycles_per_ns;
}

unsigned replay_report_stages(const struct replay_report *report)
{
	return report->part_count > 1 ? REPLAY_STAGES : REPLAY_TALK;
}

const char *replay_stage_name(enum replay_stage stage)
{
	static const char *const names[REPLAY_STAGES] = {
		"read", "prepare", "engine", "idle", "write", "cluster"};

	return names[stage];
}

const char *replay_stage_text(enum replay_stage stage)
{
	static const char *const texts[REPLAY_STAGES] = {"taking packets out of the capture",
		"copying them to where the engine may edit them", "the engine's turns with packets",
		"the engine's turns without: retries, ageing, keys, news of another node",
		"accounting, and writing what left", "what the two nodes say to each other"};

	return texts[stage];
}

const char *replay_outcome_name(enum replay_outcome outcome)
{
	static const char *const names[REPLAY_OUTCOMES] = {
		"forwarded", "answered", "consumed", "dropped"};

	return names[outcome];
}
