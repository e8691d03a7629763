// The steps of a start stand in one table, in order; each has its undo, and whatever ends the
// process runs the undos of the steps that were done, backwards. A step that fails says why in one
// line and has undone its own part.
#include "weir/boot.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "weir/cluster/credentials.h"
#include "weir/cluster/sync.h"
#include "weir/console/console.h"
#include "weir/control.h"
#include "weir/eal.h"
#include "weir/node.h"
#include "weir/port.h"
#include "weir/runtime.h"
#include "weir/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

struct step {
	int (*start)(struct node *node);
	void (*stop)(struct node *node); // NULL: nothing to undo
};

static void print_errors(struct config_errors *errors)
{
	for (unsigned i = 0; i < errors->count; i++)
		fprintf(stderr, "%s\n", errors->list[i].text);
	config_errors_free(errors);
}

// Prints what is wrong with the configuration, all of it. Errors of the file are for the person who
// wrote it: no time stamp in front.
static int config_load(struct node *node)
{
	struct config_errors errors = {0};

	node->config = node_read_config(node, &errors);
	print_errors(&errors);
	return node->config ? 0 : -ERR_MALFORMED;
}

static void config_unload(struct node *node)
{
	config_free(node->config);
	node->config = NULL;
}

static int log_start(struct node *node)
{
	const struct log_options options = {
		.ident = "weir",
		.level = node->config->log_level,
		.to = node->config->log_to,
		.folder = node->config->runtime,
		.quiet = node->interactive,
	};

	if (log_open(&options)) {
		log_error("the log \"%s\" (level \"%s\") cannot be opened", node->config->log_to,
			node->config->log_level);
		return -ERR_MISSING;
	}
	log_info("weir %s starts node=%s config=%s sha256=%s", WEIR_VERSION, node->config->node,
		node->file, node->config->sha256);
	return 0;
}

static void log_stop(struct node *node)
{
	(void)node;
	log_info("weir ends");
	log_close();
}

static int warn_start(struct node *node)
{
	struct config_errors warnings = {0};

	config_warn(node->config, &warnings);
	for (unsigned i = 0; i < warnings.count; i++)
		log_warning("%s", warnings.list[i].text);
	config_errors_free(&warnings);
	return 0;
}

// What makes this run unlike any other: the key of the flow tables and, without a cluster, the
// first value of the cluster counter, a multiple of 4 so that m.SYN's T0 starts with 0.
static int identity_start(struct node *node)
{
	uint32_t base;

	if (getrandom(node->table_key, sizeof(node->table_key), 0) < 0 ||
		getrandom(&base, sizeof(base), 0) < 0) {
		log_error("the system has no randomness");
		return -ERR_CRYPTO;
	}
	node->start_ns = node_now_ns();
	node->reload_ns = node->start_ns;
	// With a cluster the counter is of no meaning, and low, until that tells it.
	base = node->config->cluster.enabled ? 0 : base & 0x0ffffffc;
	uint64_t counter_ns = ((uint64_t)base + 4) * KEYRING_TICK_NS;
	atomic_store(&node->counter_offset_ns, (int64_t)(counter_ns - node->start_ns));
	node->generation = 1;
	node->worker_count = node->config->eal.workers;
	return bell_init(&node->bell);
}

static void identity_stop(struct node *node)
{
	explicit_bzero(node->table_key, sizeof(node->table_key));
	bell_finish(&node->bell);
}

// Signals wait until the loop can answer them (control_start), so that one during the start undoes
// the steps, too. Threads made in between inherit this: signals go to the main thread.
static int signals_hold(struct node *node)
{
	sigset_t set;

	(void)node;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return sigprocmask(SIG_BLOCK, &set, NULL) ? -ERR_RANGE : 0;
}

// Without the thread workers make the pages of their tables when they come to them.
static int pages_start(struct node *node)
{
	if (populate_start(&node->populate, node_available_mb))
		log_warning("the thread that makes pages for the flow tables does not start: "
			    "packets that need one wait for it");
	return 0;
}

static void pages_stop(struct node *node)
{
	populate_stop(&node->populate);
}

static const struct step steps[] = {
	{config_load, config_unload},
	{ports_prepare, ports_forget},
	{runtime_claim, runtime_release},
	{signals_hold, NULL},
	{log_start, log_stop},
	{warn_start, NULL},
	{identity_start, identity_stop},
	{eal_start, eal_stop},
	{ports_start, ports_stop},
	{sync_init, sync_finish},
	{workers_init, workers_finish},
	{pages_start, pages_stop},
	{control_init, control_finish},
	{workers_launch, workers_join},
	{control_start, control_stop},
	{sync_launch, sync_join},
	{console_start, console_stop},
};

int boot_run(struct node *node)
{
	unsigned done = 0;

	while (done < ARRAY_LEN(steps) && steps[done].start(node) == 0)
		done++;
	bool all = done == ARRAY_LEN(steps);
	if (all) {
		control_run(node);
		node->ended_well = true;
	}
	while (done-- > 0) {
		if (steps[done].stop)
			steps[done].stop(node);
	}
	return all ? 0 : 1;
}

int boot_check(struct node *node)
{
	struct config_errors errors = {0}, warnings = {0};

	if (config_load(node))
		return 1;
	credentials_check(node->config, &errors);
	int error = errors.count > 0 ? -ERR_MISSING : 0;
	print_errors(&errors);
	if (!error)
		error = ports_prepare(node);
	if (!error) {
		config_warn(node->config, &warnings);
		print_errors(&warnings);
		// The port of a cluster is none of packets.
		bool sync = node->config->cluster.enabled &&
			    node->config->cluster.transport == TRANSPORT_PORT;
		printf("%s: ok ports=%u sync=%u services=%u rules=%u sha256=%s\n", node->file,
			node->config->port_count, sync, node->config->policy->service_count,
			node->config->policy->rule_count, node->config->sha256);
		ports_forget(node);
	}
	config_unload(node);
	return error ? 1 : 0;
}
