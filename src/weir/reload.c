// Policies: the first one and its replacements. A configuration is read and checked whole before
// anything changes. The workers get the new policy by message and answer with the old one; the old
// configuration, of which that policy is a part, is freed when the last of them answered; with a
// cluster its thread is one of them.
#include "weir/control_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "weir/classifier_acl.h"
#include "weir/cluster/credentials.h"
#include "weir/cluster/sync.h"
#include "weir/port.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MESSAGE_POLICY and the epochs that go with it, all or none.
#define RELOAD_MESSAGES (1 + CONTROL_EPOCHS)

static unsigned taker_count(const struct node *node)
{
	return node->worker_count + (node->sync ? 1 : 0);
}

static bool cluster_has_room(const struct node *node)
{
	struct message *cell;

	return !node->sync || mailbox_room(sync_mail(node->sync), &cell, 1) == 1;
}

static void post_to_cluster(struct node *node, const struct message *message)
{
	struct message *cell;

	CHECK(mailbox_room(sync_mail(node->sync), &cell, 1) == 1);
	*cell = *message;
	mailbox_post(sync_mail(node->sync), 1);
}

static void post_policy(struct node *node)
{
	static struct message message; // large; one thread

	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_POLICY;
	message.node = NODE_NONE;
	message.body.policy = node->config->policy;
	control_broadcast(node, &message);
	if (node->sync)
		post_to_cluster(node, &message);
	for (unsigned t = 0; t < taker_count(node); t++)
		node->control->install.pending[t]++;
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
	for (unsigned t = 0; t < taker_count(node); t++) {
		if (node->control->install.pending[t])
			return false;
	}
	return true;
}

void install_returned(struct node *node, unsigned taker, const struct policy *policy)
{
	struct install *install = &node->control->install;

	install->pending[taker]--;
	for (unsigned i = 0; i < install->retired_count; i++) {
		struct retired *retired = &install->retired[i];

		if (retired->config->policy != policy || ++retired->returned < taker_count(node))
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

static void compare_port(
	struct config_errors *errors, const struct config_port *a, const struct config_port *b)
{
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

static void compare_ports(
	struct config_errors *errors, const struct config *now, const struct config *next)
{
	compare_number(errors, "ports", now->port_count, next->port_count);
	for (unsigned i = 0; i < now->port_count && i < next->port_count; i++)
		compare_port(errors, &now->ports[i], &next->ports[i]);
}

static void compare_addr(struct config_errors *errors, const char *path, const struct addr *now,
	const struct addr *next)
{
	char a[ADDR_TEXT_BYTES], b[ADDR_TEXT_BYTES];

	compare_text(errors, path, addr_format(now, a), addr_format(next, b));
}

static const struct config_peer *peer_named(const struct config_cluster *cluster, const char *name)
{
	for (unsigned i = 0; i < cluster->peer_count; i++)
		if (strcmp(cluster->peers[i].name, name) == 0)
			return &cluster->peers[i];
	return NULL;
}

static void compare_peer(
	struct config_errors *errors, const struct config_peer *a, const struct config_peer *b)
{
	char path[CONFIG_TEXT_BYTES + 32];
	size_t used = (size_t)snprintf(path, sizeof(path), "cluster.peers.%s.id", a->name) - 3;

	compare_number(errors, path, a->id, b->id);
	snprintf(path + used, sizeof(path) - used, ".address");
	compare_addr(errors, path, &a->address, &b->address);
	snprintf(path + used, sizeof(path) - used, ".udp_port");
	compare_number(errors, path, a->udp_port, b->udp_port);
}

static void compare_peers(struct config_errors *errors, const struct config_cluster *now,
	const struct config_cluster *next)
{
	for (unsigned i = 0; i < now->peer_count; i++) {
		const struct config_peer *b = peer_named(next, now->peers[i].name);

		if (b)
			compare_peer(errors, &now->peers[i], b);
		else
			add_error(errors, "cluster.peers: peer %s was removed: needs a restart",
				now->peers[i].name);
	}
	for (unsigned i = 0; i < next->peer_count; i++)
		if (!peer_named(now, next->peers[i].name))
			add_error(errors, "cluster.peers: peer %s was added: needs a restart",
				next->peers[i].name);
}

// The files' content: warn_of_credentials().
static void compare_cluster(struct config_errors *errors, const struct config_cluster *now,
	const struct config_cluster *next)
{
	if (now->enabled != next->enabled)
		add_error(errors, "the group cluster was %s: needs a restart",
			now->enabled ? "removed" : "added");
	if (!now->enabled || !next->enabled)
		return;
	compare_number(errors, "cluster.id", now->id, next->id);
	compare_number(errors, "cluster.max_id", now->max_id, next->max_id);
	compare_text(errors, "cluster.name", now->name, next->name);
	compare_number(errors, "cluster.transport", now->transport, next->transport);
	if (now->transport == TRANSPORT_PORT && next->transport == TRANSPORT_PORT)
		compare_port(errors, &now->port, &next->port);
	compare_addr(errors, "cluster.address", &now->address, &next->address);
	compare_number(errors, "cluster.address (length)", now->network.bits, next->network.bits);
	compare_addr(errors, "cluster.gateway", &now->gateway, &next->gateway);
	compare_number(errors, "cluster.udp_port", now->udp_port, next->udp_port);
	compare_text(errors, "cluster.psk_file", now->psk_file, next->psk_file);
	compare_text(
		errors, "cluster.certificate_file", now->certificate_file, next->certificate_file);
	compare_text(errors, "cluster.key_file", now->key_file, next->key_file);
	compare_text(errors, "cluster.ca_file", now->ca_file, next->ca_file);
	compare_peers(errors, now, next);
	compare_number(errors, "cluster.detect_ms", now->detect_ms, next->detect_ms);
	compare_number(errors, "cluster.backup", now->backup, next->backup);
	compare_number(errors, "cluster.copies", now->copies, next->copies);
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
	compare_cluster(errors, &now->cluster, &next->cluster);
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
		!control_has_room(node, RELOAD_MESSAGES) || !cluster_has_room(node)) {
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
	// The same ones, but in the order the cluster knows them by their index.
	memcpy(next->cluster.peers, old->cluster.peers, sizeof(next->cluster.peers));
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

// A key or a certificate that was replaced in its file is no reason to refuse what else was
// changed: it may well wait for the node's turn to start again.
static void warn_of_credentials(
	const struct node *node, const struct config *next, struct config_errors *errors)
{
	const char *key, *file;

	for (unsigned i = 0; node->sync && i < CREDENTIAL_FILES; i++) {
		key = credentials_changed(sync_credentials(node->sync), &next->cluster, i, &file);
		if (key)
			add_error(errors,
				"%s: the content of %s was changed: needs a restart, until then "
				"the former one counts",
				key, file);
	}
}

int control_reload(
	struct node *node, bool check_only, char sha256[65], struct config_errors *errors)
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
		warn_of_credentials(node, next, errors);
		if (sha256)
			memcpy(sha256, next->sha256, sizeof(next->sha256));
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

// The configuration in force, with one value changed: no other edit of the file comes in with it.
int control_set(struct node *node, const char *set, struct config_errors *errors)
{
	char *text = config_dump(node->config);
	struct config *next = text ? config_parse(node->file, text, &set, 1, errors) : NULL;
	int error = next ? check_next(node, next, errors) : -ERR_MALFORMED;

	free(text);
	if (!error && policy_adopt(next->policy, node->config->policy))
		error = -ERR_FULL;
	if (error) {
		config_free(next);
		return error;
	}
	// What `show status` compares with the file is the file.
	memcpy(next->sha256, node->config->sha256, sizeof(next->sha256));
	install_next(node, next);
	log_info("set %s generation=%u", set, node->generation);
	return 0;
}
