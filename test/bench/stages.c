#include "stages.h"

#include "base/check.h"
#include "cookie/syncookie.h"
#include "pkt/answer.h"
#include "rule/rule.h"
#include "service/service.h"

const char *const stage_names[STAGE_COUNT] = {
	[STAGE_TAKE] = "parse, verify",
	[STAGE_RULES] = "rules",
	[STAGE_SERVICE] = "service",
	[STAGE_HASH] = "hash",
	[STAGE_OPTIONS] = "parse options",
	[STAGE_COOKIE] = "cookie",
	[STAGE_ANSWER] = "write answer",
};

// What the stages hand on, for each frame.
struct work {
	struct view view;
	struct rule_query query;
	struct rule_decision decision;
	uint16_t service;
	uint64_t hash;
	struct options options;
	struct syncookie cookie;
};

// What the cookies and answers of all frames have in common.
static struct epoch_keys epoch_keys;
static uint32_t cookie_options;
static struct craft craft = {.reply = true,
	.tcp_flags = TCP_SYN | TCP_ACK,
	.window = 16384,
	.options = {.bits = OPTION_MSS | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_WSCALE,
		.mss = 1460,
		.wscale = 7}};
static struct answer_form form;

static bool take(struct scene *scene, struct work *work, unsigned i)
{
	return view_take_usual(&work->view, &scene->frames[i]);
}

static bool rules(struct scene *scene, struct work *work, unsigned i)
{
	const struct view *view = &work->view;

	(void)i;
	work->query = (struct rule_query){.src = view->src,
		.dst = view->dst,
		.sport = view->sport,
		.dport = view->dport,
		.protocol = view->protocol};
	classifier_decide(&scene->node.policy.classifier, &work->query, &work->decision, 1);
	return work->decision.allow;
}

static bool service(struct scene *scene, struct work *work, unsigned i)
{
	const struct policy *policy = &scene->node.policy;
	const struct view *view = &work->view;

	(void)i;
	work->service = service_find(policy->services, policy->service_count, &view->dst,
		view->dport, view->protocol, SIDE_OUTSIDE);
	return work->service != SERVICE_NONE;
}

static bool options(struct scene *scene, struct work *work, unsigned i)
{
	(void)scene;
	(void)i;
	return options_parse(&work->options, &work->view) == 0;
}

static bool cookie(struct scene *scene, struct work *work, unsigned i)
{
	(void)i;
	work->cookie = syncookie_seal(
		epoch_keys.epoch, work->hash, cookie_options, true, (uint32_t)scene->node.now_ns);
	return true;
}

static bool answer(struct scene *scene, struct work *work, unsigned i)
{
	const struct answer_numbers numbers = {.seq = work->cookie.seq,
		.ack = work->view.seq + 1,
		.tsval = work->cookie.tsval,
		.tsecr = work->options.tsval};

	if (work->view.bits & VIEW_IP4)
		return answer_write(&scene->frames[i], &work->view, &form, &numbers) == 0;
	craft.seq = numbers.seq;
	craft.ack = numbers.ack;
	craft.options.tsval = numbers.tsval;
	craft.options.tsecr = numbers.tsecr;
	return craft_tcp(&scene->frames[i], &work->view, &craft) == 0;
}

// All frames' at once.
static void hash(struct work work[SCENE_BATCH])
{
	struct tuple_lanes lanes;
	uint64_t hashes[TUPLES_MAX];

	tuple_lanes_init(&lanes, work[0].view.bits & VIEW_IP4);
	for (unsigned i = 0; i < SCENE_BATCH; i++) {
		tuple_lanes_add(&lanes, view_tuple_bytes(&work[i].view));
		if (lanes.count < TUPLES_MAX)
			continue;
		tuple_lanes_hash(epoch_keys.cookie, &lanes, hashes);
		for (unsigned lane = 0; lane < TUPLES_MAX; lane++)
			work[i + 1 - TUPLES_MAX + lane].hash = hashes[lane];
	}
}

static void prepare(const struct scene *scene)
{
	const struct agreed agreed = {.mss = 1460, .wscale = 7, .sack = true, .timestamps = true};

	CHECK(keyring_derive(&epoch_keys, scene->node.secret, sizeof(scene->node.secret),
		      keyring_epoch(scene->node.tick)) == 0);
	cookie_options = syncookie_options(&agreed, true);
	answer_form_init(&form, &craft);
}

static bool (*const stages[STAGE_COUNT])(struct scene *, struct work *, unsigned) = {
	[STAGE_TAKE] = take,
	[STAGE_RULES] = rules,
	[STAGE_SERVICE] = service,
	[STAGE_OPTIONS] = options,
	[STAGE_COOKIE] = cookie,
	[STAGE_ANSWER] = answer,
};

void stages_run(struct scene *scene, uint64_t cycles[STAGE_COUNT])
{
	static struct work work[SCENE_BATCH];

	if (epoch_keys.epoch == 0)
		prepare(scene);
	scene_draw(scene);
	for (unsigned stage = 0; stage < STAGE_COUNT; stage++) {
		uint64_t start = tsc_read();

		if (stage == STAGE_HASH)
			hash(work);
		for (unsigned i = 0; i < SCENE_BATCH && stage != STAGE_HASH; i++)
			CHECK(stages[stage](scene, &work[i], i));
		cycles[stage] += tsc_read() - start;
	}
}
