#include "stages.h"

#include "base/check.h"
#include "cookie/syncookie.h"
#include "pkt/craft.h"
#include "rule/rule.h"
#include "service/service.h"

const char *const stage_names[STAGE_COUNT] = {
	[STAGE_PARSE] = "parse headers",
	[STAGE_CHECKSUM] = "verify checksums",
	[STAGE_ADDRESSES] = "check addresses",
	[STAGE_KEY] = "key and hash",
	[STAGE_RULES] = "rules",
	[STAGE_SERVICE] = "service",
	[STAGE_OPTIONS] = "parse options",
	[STAGE_COOKIE] = "cookie",
	[STAGE_ANSWER] = "write answer",
};

// What the stages hand on, for each frame.
struct work {
	struct view view;
	struct flow_key key;
	uint64_t hash;
	struct rule_query query;
	struct rule_decision decision;
	uint16_t service;
	struct options options;
	struct syncookie cookie;
};

static bool parse(struct scene *scene, struct work *work, unsigned i)
{
	return view_parse(&work->view, &scene->frames[i]) == REASON_NONE;
}

static bool verify(struct scene *scene, struct work *work, unsigned i)
{
	return view_verify(&work->view, &scene->frames[i]) == REASON_NONE;
}

static bool check_addresses(struct scene *scene, struct work *work, unsigned i)
{
	(void)scene;
	(void)i;
	return view_check_addresses(&work->view) == REASON_NONE;
}

static bool key(struct scene *scene, struct work *work, unsigned i)
{
	(void)i;
	flow_key_from_view(&work->key, &work->view, SIDE_OUTSIDE);
	work->hash = flow_key_hash(siphash_key(scene->node.config.table_key), &work->key);
	return work->hash != 0;
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

static struct epoch_keys epoch_keys;

static bool cookie(struct scene *scene, struct work *work, unsigned i)
{
	struct agreed agreed = {.mss = work->options.mss,
		.wscale = work->options.wscale,
		.sack = true,
		.timestamps = true};
	struct tuple tuple;

	(void)i;
	flow_key_tuple(&tuple, &work->key, SIDE_OUTSIDE);
	work->cookie = syncookie_make(
		&epoch_keys, &tuple, work->view.seq, &agreed, (uint32_t)scene->node.now_ns);
	return true;
}

static bool answer(struct scene *scene, struct work *work, unsigned i)
{
	struct craft craft = {.reply = true,
		.tcp_flags = TCP_SYN | TCP_ACK,
		.window = 16384,
		.seq = work->cookie.seq,
		.ack = work->view.seq + 1,
		.options = work->options};

	craft.options.tsecr = work->options.tsval;
	craft.options.tsval = work->cookie.tsval;
	return craft_tcp(&scene->frames[i], &work->view, &craft) == 0;
}

static bool (*const stages[STAGE_COUNT])(struct scene *, struct work *, unsigned) = {
	[STAGE_PARSE] = parse,
	[STAGE_CHECKSUM] = verify,
	[STAGE_ADDRESSES] = check_addresses,
	[STAGE_KEY] = key,
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
		CHECK(keyring_derive(&epoch_keys, scene->node.secret, sizeof(scene->node.secret),
			      keyring_epoch(scene->node.tick)) == 0);
	scene_draw(scene);
	for (unsigned stage = 0; stage < STAGE_COUNT; stage++) {
		uint64_t start = tsc_read();

		for (unsigned i = 0; i < SCENE_BATCH; i++)
			CHECK(stages[stage](scene, &work[i], i));
		cycles[stage] += tsc_read() - start;
	}
}
