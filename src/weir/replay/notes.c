#include "weir/replay/notes.h"

#include "base/check.h"
#include "base/reason.h"

#include <inttypes.h>
#include <stdarg.h>

#define ALONE_PERCENT 90 // less is worth a note
#define MANY	      10 // one of so many packets
#define NS_PER_S      1e9

struct list {
	struct replay_note *notes;
	unsigned count;
};

__attribute__((format(printf, 5, 6))) static void add(struct list *list, const char *name,
	const char *title, bool advice, const char *format, ...)
{
	struct replay_note *note = &list->notes[list->count++];
	va_list arguments;

	CHECK(list->count <= REPLAY_NOTES_MAX);
	*note = (struct replay_note){.name = name, .title = title, .advice = advice};
	va_start(arguments, format);
	vsnprintf(note->text, sizeof(note->text), format, arguments);
	va_end(arguments);
}

static bool is_many(uint64_t part, uint64_t of)
{
	return part > 0 && part * MANY >= of;
}

static void add_parts(const struct replay_report *report, struct list *list)
{
	double alone = 100 * report->machine.cpu_s * NS_PER_S / ((double)report->elapsed_ns + 1);

	if (report->interrupted)
		add(list, "interrupted", "Interrupted", false,
			"A signal ended this replay: the report is of the part before it.");
	if (report->truncated)
		add(list, "truncated", "Truncated", false,
			"The capture ended early: the report is of the part that could be read.");
	if (report->cut_packets > 0)
		add(list, "cut_packets", "Cut packets", true,
			"Of %" PRIu64 " packets the capture has the beginning only, and most of "
			"those are dropped as malformed: capture whole packets, with "
			"`tcpdump -s 0'.",
			report->cut_packets);
	if (report->options->pace <= 0 && alone < ALONE_PERCENT)
		add(list, "not_alone", "Not alone", false,
			"The program had the processor for %.0f %% of the time. Averages may have "
			"the rest in them, medians hardly do.",
			alone);
}

// The packets' sides, as the options have it.
static void add_sides(const struct replay_report *report, struct list *list)
{
	const struct replay_options *options = report->options;

	if (report->sides[1] == 0)
		add(list, "one_direction", "One direction", true,
			"No packet came from the inside. If there should be some, name the "
			"servers' "
			"prefixes with --inside.");
	if (is_many(report->turned, report->compared))
		add(list, "wrong_side", "Wrong side", true,
			"%" PRIu64 " of %" PRIu64
			" packets came from the wrong side: from the outside out of a prefix that "
			"services protect, or from the inside into one. %s",
			report->turned, report->compared,
			options->in == NULL
				? "Are --in-outside and --in-inside swapped, or has one of them "
				  "both directions? Only packets that arrive on a side belong "
				  "there."
				: "--inside names the servers' prefixes, not the clients'.");
}

static const char *why_not_caused(const struct replay_options *options)
{
	if (options->loops > 1 && !options->fresh)
		return "With --loop the same connections come again while the box still has them: "
		       "add --fresh.";
	if (options->loops > 1)
		return "Does the first loop alone go through? Then --fresh has run out of other "
		       "clients, and the box still has their connections: fewer loops.";
	if (options->in == NULL)
		return "Only packets that arrive on its side belong into --in-outside and "
		       "--in-inside, not what the box sent there.";
	return "Does the capture have both directions, as they were before any box answered?";
}

// Nothing the rules or services are about: the addresses are those of other networks.
static void add_strangers(const struct replay_report *report, struct list *list)
{
	uint64_t denied = replay_report_stat(report, STAT_DROPPED(REASON_rule_denied));
	uint64_t unknown = replay_report_stat(report, STAT_DROPPED(REASON_no_flow));

	if (2 * (denied + unknown) >= replay_report_captured(report))
		add(list, "strangers", "Strangers", true,
			"%" PRIu64 " of %" PRIu64
			" packets were dropped as rule_denied or no_flow. If the capture's servers "
			"are none of the configuration's, say that they are: --set "
			"services.NAME.to=PREFIX --set rules.NAME.to=PREFIX (several: with "
			"commas).",
			denied + unknown, replay_report_captured(report));
}

static void add_contents(const struct replay_report *report, struct list *list)
{
	uint64_t wrong = replay_report_stat(report, STAT_DROPPED(REASON_bad_checksum));
	uint64_t waiting = report->played ? report->played->withheld[PLAYER_NOT_CAUSED] : 0;

	if (is_many(wrong, report->read))
		add(list, "bad_checksum", "Wrong checksums", true,
			"%" PRIu64 " of %" PRIu64
			" packets were dropped as bad_checksum. A capture of the host that sent "
			"them has them before its card computes the sums: capture elsewhere, or "
			"with `ethtool -K INTERFACE tx off'.",
			wrong, report->read);
	if (is_many(waiting, replay_report_captured(report)))
		add(list, "not_caused", "Not caused", true,
			"%" PRIu64 " of %" PRIu64
			" packets were withheld: the box never sent what they answer to. %s",
			waiting, replay_report_captured(report), why_not_caused(report->options));
}

unsigned replay_notes(const struct replay_report *report, struct replay_note out[REPLAY_NOTES_MAX])
{
	struct list list = {.notes = out};

	add_parts(report, &list);
	if (report->synthetic == NULL && replay_report_captured(report) > 0) {
		add_sides(report, &list);
		add_contents(report, &list);
		add_strangers(report, &list);
	}
	return list.count;
}

// The reason most packets were dropped for.
static unsigned top_reason(const struct replay_report *report)
{
	unsigned top = REASON_NONE;
	uint64_t most = 0;

	for (unsigned i = 1; i < REASON_COUNT; i++) {
		if (replay_report_stat(report, STAT_DROPPED(i)) <= most)
			continue;
		most = replay_report_stat(report, STAT_DROPPED(i));
		top = i;
	}
	return top;
}

void replay_notes_tell(const struct replay_report *report, FILE *out)
{
	struct replay_note notes[REPLAY_NOTES_MAX];
	unsigned count = replay_notes(report, notes), top = top_reason(report);

	fprintf(out, "replay: %" PRIu64 " packets read, %" PRIu64 " left, %" PRIu64 " dropped",
		replay_report_captured(report), replay_report_sent(report),
		replay_report_dropped(report));
	if (top != REASON_NONE)
		fprintf(out, " (%" PRIu64 " as %s)", replay_report_stat(report, STAT_DROPPED(top)),
			reason_name(top));
	fprintf(out, ", %" PRIu64 " withheld%s\n", replay_report_withheld(report),
		report->interrupted ? "; interrupted" : "");
	for (unsigned i = 0; i < count; i++)
		if (notes[i].advice)
			fprintf(out, "replay: note: %s\n", notes[i].text);
}
