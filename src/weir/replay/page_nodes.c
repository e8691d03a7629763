// The part of each node, where there are two.
#include "weir/replay/page_private.h"

#include "base/reason.h"

static uint64_t received(const struct replay_part *part)
{
	return part->read;
}

static uint64_t sent(const struct replay_part *part)
{
	return replay_part_sent(part);
}

static uint64_t forwarded(const struct replay_part *part)
{
	return part->outcomes[REPLAY_FORWARDED].packets;
}

static uint64_t unexplained(const struct replay_part *part)
{
	int64_t number = replay_part_unexplained(part);

	return (uint64_t)(number < 0 ? -number : number);
}

static uint64_t cycles(const struct replay_part *part)
{
	return (uint64_t)replay_cost_each(&part->engine);
}

static uint64_t said_bytes(const struct replay_part *part)
{
	return replay_part_peer_stat(part, PEER_STAT(tx_bytes));
}

static const struct row {
	const char *name;
	uint64_t (*number)(const struct replay_part *part); // NULL: the engine's counter
	size_t at;
	const char *meaning;
} rows[] = {
	{"received", received, 0, "packets offered to it"},
	{"forwarded", forwarded, 0, "of these"},
	{"generated", NULL, STAT(generated), "frames its engine made"},
	{"from the other node", NULL, STAT(from_peers), "packets it was handed"},
	{"transmitted", sent, 0, "what left, through either port"},
	{"consumed", NULL, STAT(consumed), "what the box took: answered, or kept"},
	{"queued", NULL, STAT(queued), "waiting at the end"},
	{"to the other node", NULL, STAT(to_peers), "packets it handed over"},
	{"dropped", replay_part_dropped, 0, "for the reasons below"},
	{"unexplained", unexplained, 0, "0, or something is wrong"},
	{"flows created", NULL, STAT(flows_created), "copies of the other node's among them"},
	{"flows shared", NULL, STAT(shared), "the other node was told of"},
	{"cycles/packet", cycles, 0, "in the engine"},
	{"cluster bytes", said_bytes, 0, "of datagrams to the other node"},
};

static void put_row(const struct replay_report *report, FILE *out, const struct row *row)
{
	fprintf(out, "<tr><th scope=\"row\">%s</th>", row->name);
	for (unsigned i = 0; i < report->part_count; i++) {
		const struct replay_part *part = &report->parts[i];

		fputs("<td class=\"n\">", out);
		page_count(out, row->number ? row->number(part) : replay_part_stat(part, row->at));
		fputs("</td>", out);
	}
	fprintf(out, "<td class=\"quiet\">%s</td></tr>\n", row->meaning);
}

static void put_drop(const struct replay_report *report, FILE *out, unsigned reason)
{
	fprintf(out, "<tr><th scope=\"row\">dropped, %s</th>", reason_name(reason));
	for (unsigned i = 0; i < report->part_count; i++) {
		fputs("<td class=\"n\">", out);
		page_count(out, replay_part_stat(&report->parts[i], STAT_DROPPED(reason)));
		fputs("</td>", out);
	}
	fputs("<td class=\"quiet\">", out);
	page_text(out, reason_text(reason));
	fputs("</td></tr>\n", out);
}

void page_nodes(const struct replay_report *report, FILE *out)
{
	if (report->part_count < 2)
		return;
	fputs("<h2>Nodes</h2>\n<p class=\"quiet\">Each takes the packets of one side. Of each: "
	      "received + generated + from the other = transmitted + consumed + queued + to the "
	      "other + dropped</p>\n<table>\n<thead><tr><th scope=\"col\"></th>",
		out);
	for (unsigned i = 0; i < report->part_count; i++) {
		fputs("<th scope=\"col\" class=\"n\">", out);
		page_text(out, report->parts[i].node);
		fprintf(out, " (from %s)</th>", report->parts[i].takes[0] ? "outside" : "inside");
	}
	fputs("<th scope=\"col\"></th></tr></thead>\n<tbody>\n", out);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_row(report, out, &rows[i]);
	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (replay_report_stat(report, STAT_DROPPED(i)) > 0)
			put_drop(report, out, i);
	fputs("</tbody></table>\n", out);
}
