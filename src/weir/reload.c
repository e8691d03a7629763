// Policies: the first one and its replacements. A configuration is read and checked whole before
// anything changes. The workers get the new policy by message and answer with the old one; the old
// configuration, of which that policy is a part, is freed when the last worker answered.
#include "weir/control_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "weir/classifier_acl.h"
#include "weir/port.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MESSAGE_POLICY and the epochs that go with it, all or none.
#define RELOAD_MESSAGES (1 + CONTROL_EPOCHS)

static void post_policy(struct node *node)
{
	static struct message message; // large; one thread

	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_POLICY;
	message.node = NODE_NONE;
	message.body.policy = node->config->policy;
	control_broadcast(node, &message);
	for (unsigned w = 0; w < node->worker_count; w++)
		node->control->install.pending[w]++;
}

int install_start(struct node *node)
{
	struct policy *policy = node->config->policy;
	int error = policy_adopt(policy, NULL);

	if (error || !control_has_room(node, 1))
		return -ERR_FULL;
	classifier_acl_build(policy); // or it stays linear, and the log says so
	policy->generation = node->generation;
	node->control->install.queue_bytes = policy->limits.queue_total_bytes;
	post_policy(node);
	return 0;
}

void install_stop(struct node *node)
{
	struct install *install = &node->control->install;
	struct classifier *classifier = &node->config->policy->classifier;

	for (unsigned i = 0; i < install->retired_count; i++)
		config_free(install->retired[i].config);
	install->retired_count = 0;
	// The configuration in force outlives DPDK, whose memory a compiled classifier is.
	classifier->ops->destroy(classifier);
}

bool install_done(const struct node *node)
{
	for (unsigned w = 0; w < node->worker_count; w++) {
		if (node->control->install.pending[w])
			return false;
	}
	return true;
}

void install_returned(struct node *node, unsigned worker, const struct policy *policy)
{
	struct install *install = &node->control->install;

	install->pending[worker]--;
	for (unsigned i = 0; i < install->retired_count; i++) {
		struct retired *retired = &install->retired[i];

		if (retired->config->policy != policy || ++retired->returned < node->worker_count)
			continue;
		config_free(retired->config);
		*retired = install->retired[--install->retired_count];
		return;
	}
}

__attribute__((format(printf, 2, 3))) static void add_error(
	struct config_errors *errors, const char *format, ...)
{
	struct config_error *list =
		realloc(errors->list, (errors->count + 1) * sizeof(*errors->list));
	va_list args;

	if (!list)
		return;
	errors->list = list;
	va_start(args, format);
	vsnprintf(list[errors->count++].text, sizeof(list->text), format, args);
	va_end(args);
}

static void compare_text(
	struct config_errors *errors, const char *path, const char *now, const char *next)
{
	if (strcmp(now, next) != 0)
		add_error(errors, "%s: \"%s\" -> \"%s\" needs a restart", path, now, next);
}

static void compare_number(
	struct config_errors *errors, const char *path, uint64_t now, uint64_t next)
{
	if (now != next)
		add_error(errors, "%s: %llu -> %llu needs a restart", path, (unsigned long long)now,
			(unsigned long long)next);
}

static void compare_ports(
	struct config_errors *errors, const struct config *now, const struct config *next)
{
	compare_number(errors, "ports", now->port_count, next->port_count);
	for (unsigned i = 0; i < now->port_count && i < next->port_count; i++) {
		const struct config_port *a = &now->ports[i], *b = &next->ports[i];
		char path[CONFIG_TEXT_BYTES + 32];
		size_t used = (size_t)snprintf(path, sizeof(path), "ports.%s", a->name);

		compare_text(errors, path, a->name, b->name);
		snprintf(path + used, sizeof(path) - used, ".device");
		compare_text(errors, path, a->device, b->device);
		snprintf(path + used, sizeof(path) - used, ".side");
		compare_number(errors, path, a->side, b->side);
		snprintf(path + used, sizeof(path) - used, ".mtu");
		compare_number(errors, path, a->mtu, b->mtu);
	}
}

// One error for each key that was changed and can only be applied by a restart.
static void compare(
	const struct node *node, const struct config *next, struct config_errors *errors)
{
	const struct config *now = node->config;
	uint64_t made_with = node->control->install.queue_bytes;

	compare_text(errors, "node", now->node, next->node);
	compare_text(errors, "runtime", now->runtime, next->runtime);
	compare_text(errors, "log.to", now->log_to, next->log_to);
	compare_text(errors, "eal.cpus", now->eal.cpus, next->eal.cpus);
	compare_number(errors, "eal.workers", now->eal.workers, next->eal.workers);
	compare_number(errors, "eal.memory_mb", now->eal.memory_mb, next->eal.memory_mb);
	compare_number(errors, "eal.hugepages", now->eal.hugepages, next->eal.hugepages);
	compare_number(errors, "eal.idle", now->eal.idle, next->eal.idle);
	compare_number(errors, "follow_link", now->follow_link, next->follow_link);
	compare_number(errors, "flows.capacity", now->flow_capacity, next->flow_capacity);
	compare_ports(errors, now, next);
	if (next->policy->limits.queue_total_bytes > made_with)
		compare_number(errors, "limits.queue_total_bytes (growing)", made_with,
			next->policy->limits.queue_total_bytes);
}

static int check_next(
	const struct node *node, const struct config *next, struct config_errors *errors)
{
	compare(node, next, errors);
	if (errors->count)
		return -ERR_RANGE;
	if (node->control->install.retired_count == CONTROL_RETIRED_MAX || !install_done(node) ||
		!control_has_room(node, RELOAD_MESSAGES)) {
		add_error(errors, "the workers have not taken the previous reload yet: try again");
		return -ERR_FULL;
	}
	return 0;
}

// Ports point into the configuration: they go with the one in force.
static void install_next(struct node *node, struct config *next)
{
	struct install *install = &node->control->install;
	struct config *old = node->config;
	enum log_level level;

	classifier_acl_build(next->policy);
	install->retired[install->retired_count++] = (struct retired){.config = old};
	node->config = next;
	node->generation++;
	node->reload_ns = node_now_ns();
	next->policy->generation = node->generation;
	ports_adopt(node);
	if (log_level_parse(next->log_level, &level) == 0)
		log_set_level(level);
	// Profiles first: a new service's first SYN must find its own.
	keys_remap(node, old->policy);
	post_policy(node);
}

int control_reload(struct node *node, bool check_only, struct config_errors *errors)
{
	struct config *next = node_read_config(node, errors);
	int error = next ? check_next(node, next, errors) : -ERR_MALFORMED;

	if (!error && policy_adopt(next->policy, node->config->policy)) {
		add_error(errors, "services: too many names in use: try again later");
		error = -ERR_FULL;
	}
	if (!error) {
		config_overrides(next, errors);
		config_warn(next, errors);
	}
	if (!error && !check_only) {
		install_next(node, next);
		log_info("reloaded generation=%u rules=%u services=%u sha256=%s", node->generation,
			next->policy->rule_count, next->policy->service_count, next->sha256);
		for (unsigned i = 0; i < errors->count; i++)
			log_warning("reload: %s", errors->list[i].text);
		return 0;
	}
	config_free(next);
	for (unsigned i = 0; error && !check_only && i < errors->count; i++)
		log_error("reload refused: %s", errors->list[i].text);
	return error;
}
