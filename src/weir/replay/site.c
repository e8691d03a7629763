#include "weir/replay/site.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GAP_NS	      100000000ULL // engines run at least this often
#define GAP_MIN_NS    50000ULL
#define SILENCE_NS    600000000000ULL // of a longer one in a capture only the end passes
#define JOIN_NS	      60000000000ULL
#define EXCHANGES_MAX 4096 // turns of one moment

static int refuse(const char *file, const char *what)
{
	fprintf(stderr, "weir: replay: %s: %s\n", file, what);
	return 1;
}

static bool names_peer(const struct config *config, uint16_t id)
{
	for (unsigned i = 0; i < config->cluster.peer_count; i++)
		if (config->cluster.peers[i].id == id)
			return true;
	return false;
}

// Two nodes of one cluster, as `weir run` would take them for.
static int check_pair(const struct config *one, const struct config *other)
{
	const struct config_cluster *a = &one->cluster, *b = &other->cluster;
	char what[1024];

	if (!a->enabled || !b->enabled)
		return refuse(a->enabled ? other->file : one->file,
			"has no `cluster' group: with two -c both are nodes of one cluster");
	if (strcmp(a->name, b->name) != 0) {
		snprintf(what, sizeof(what),
			"is of cluster.name `%s', %s of `%s': give both one name", b->name,
			one->file, a->name);
		return refuse(other->file, what);
	}
	if (a->id == b->id) {
		snprintf(what, sizeof(what),
			"has the cluster.id of %s, %" PRIu16 ": every node has its own", one->file,
			a->id);
		return refuse(other->file, what);
	}
	if (names_peer(one, b->id) && names_peer(other, a->id))
		return 0;
	snprintf(what, sizeof(what),
		"does not name the other node (id %" PRIu16 ") in cluster.peers",
		names_peer(one, b->id) ? a->id : b->id);
	return refuse(names_peer(one, b->id) ? other->file : one->file, what);
}

// --- time ---

void site_exchange(struct site *site)
{
	bool talked = site->count == 2;

	for (unsigned i = 0; i < EXCHANGES_MAX && talked; i++) {
		talked = box_talk(&site->boxes[0]);
		talked |= box_talk(&site->boxes[1]);
	}
}

static int step_to(struct site *site, uint64_t to_ns)
{
	site->now_ns = to_ns;
	for (unsigned i = 0; i < site->count; i++)
		if (box_step_to(&site->boxes[i], to_ns))
			return 1;
	site_exchange(site);
	return 0;
}

// When something is due by itself: a cluster speaks several times in its detect_ms.
static uint64_t next_ns(const struct site *site)
{
	uint64_t gap_ns = GAP_NS;

	for (unsigned i = 0; i < site->count; i++) {
		uint64_t idle_ns = box_talk_idle_ns(&site->boxes[i]);

		gap_ns = idle_ns < gap_ns ? idle_ns : gap_ns;
	}
	return site->now_ns + (gap_ns > GAP_MIN_NS ? gap_ns : GAP_MIN_NS);
}

int site_advance(struct site *site, uint64_t to_ns)
{
	if (site->count == 1) {
		site->now_ns = to_ns > site->now_ns ? to_ns : site->now_ns;
		return box_advance(&site->boxes[0], to_ns);
	}
	// Nodes that have not run for so long meet anew in what is left of the time.
	if (to_ns > site->now_ns + SILENCE_NS && step_to(site, to_ns - SILENCE_NS))
		return 1;
	while (site->now_ns < to_ns) {
		uint64_t next = next_ns(site);

		if (step_to(site, next < to_ns ? next : to_ns))
			return 1;
	}
	return 0;
}

// --- begin and end ---

static int open_box(struct site *site, const struct site_options *options, unsigned i)
{
	struct box_options box = {.seeded = options->seeded,
		.seed = options->seed,
		.listener = options->listener,
		.index = i};

	if (options->count == 2)
		box.peer = options->configs[1 - i];
	return box_open(&site->boxes[i], options->configs[i], &box);
}

static bool is_ready(const struct site *site)
{
	return sibling_is_ready(site->boxes[0].sibling) && sibling_is_ready(site->boxes[1].sibling);
}

static int join(struct site *site)
{
	struct box *one = &site->boxes[0], *other = &site->boxes[1];
	const char *why;

	sibling_meet(one->sibling, other->sibling);
	while (!is_ready(site) && site->now_ns < JOIN_NS)
		if (step_to(site, next_ns(site)))
			return 1;
	why = sibling_complaint(one->sibling);
	if (!is_ready(site)) {
		fprintf(stderr, "weir: replay: %s and %s do not become one cluster%s%s\n",
			one->config->file, other->config->file, why[0] ? ": " : "", why);
		return 1;
	}
	if (why[0])
		fprintf(stderr, "%s: warning: %s (%s)\n", one->config->file, why,
			other->config->file);
	site_begin(site);
	return 0;
}

int site_open(struct site *site, const struct site_options *options)
{
	*site = (struct site){.count = options->count};
	memcpy(site->taker, options->taker, sizeof(site->taker));
	if (options->count == 2 && check_pair(options->configs[0], options->configs[1]))
		return 1;
	for (unsigned i = 0; i < options->count; i++)
		if (open_box(site, options, i))
			return 1;
	return options->count == 2 ? join(site) : 0;
}

void site_close(struct site *site)
{
	for (unsigned i = 0; i < site->count; i++)
		box_close(&site->boxes[i]);
}

void site_begin(struct site *site)
{
	for (unsigned i = 0; i < site->count; i++)
		box_begin(&site->boxes[i]);
	site->now_ns = 0;
}

struct box *site_taker(struct site *site, uint8_t side)
{
	return &site->boxes[site->taker[side]];
}

bool site_is_opening(const struct site *site)
{
	for (unsigned i = 0; i < site->count; i++)
		if (box_is_opening(&site->boxes[i]))
			return true;
	return false;
}
