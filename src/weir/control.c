// The loop of the control core. Workers ring node->bell when they answered; a timer of 250 ms does
// what is due by time (epochs, requests without answer, busy ratios). Signals: SIGTERM and SIGINT
// end the loop, SIGHUP reloads.
//
// Start: control_start() posts policy and keys to the mailboxes of the running workers; the node is
// `forwarding` from the moment the last worker confirmed its policy and, with a cluster, that told
// secret, counter and profiles. End: the loop ends and boot.c
// undoes the steps.
#include "weir/control_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "weir/cluster/sync.h"
#include "weir/private_memory.h"
#include "weir/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#define TIMER_US	250000
#define SAMPLE_NS	1000000000ULL
#define MAIL_PASSES_MAX 64

bool control_has_room(const struct node *node, unsigned count)
{
	struct message *cells[WORKER_MAIL_CELLS];

	CHECK(count <= ARRAY_LEN(cells));
	for (unsigned w = 0; w < node->worker_count; w++) {
		if (mailbox_room(worker_mail(node->workers[w]), cells, count) < count)
			return false;
	}
	return true;
}

void control_broadcast(struct node *node, const struct message *message)
{
	for (unsigned w = 0; w < node->worker_count; w++) {
		struct mailbox *mail = worker_mail(node->workers[w]);
		struct message *cell;

		CHECK(mailbox_room(mail, &cell, 1) == 1);
		*cell = *message;
		cell->worker = (uint16_t)w;
		mailbox_post(mail, 1);
	}
}

static bool is_ready(const struct node *node)
{
	return install_done(node) && keys_are_posted(node);
}

void control_announce(struct node *node)
{
	struct control *control = node->control;

	if (!is_ready(node))
		return;
	// Also after a `start` that came while a reload was on its way.
	if (node_get_state(node) == NODE_STARTING)
		node_set_state(node, NODE_FORWARDING);
	if (control->announced)
		return;
	control->announced = true;
	log_info("forwarding workers=%u ports=%u capacity=%u huge_pages=%s", node->worker_count,
		node->port_count, node->config->flow_capacity, node->huge_pages ? "yes" : "no");
}

// One message of a worker's engine.
static void take_message(struct node *node, unsigned worker, const struct message *message)
{
	switch ((enum message_type)message->type) {
	case MESSAGE_POLICY:
		install_returned(node, worker, message->body.policy);
		control_announce(node);
		break;
	case MESSAGE_LEARNT:
		// Until the worker has the new policy its service numbers are those of the old one.
		if (node->control->install.pending[worker] == 0)
			keys_learn(
				node, message->body.learnt.service, &message->body.learnt.profile);
		break;
	case MESSAGE_REPLY:
		requests_answer(node, message);
		break;
	case MESSAGE_SECRET:
		keys_secret(node, &message->body.secret);
		break;
	case MESSAGE_PROFILES:
		// Likewise; once the cluster has the new policy it tells them again.
		if (node->control->install.pending[node->worker_count] == 0)
			keys_profiles(
				node, message->body.epoch.keys.epoch, message->body.epoch.profiles);
		break;
	default:
		break; // for other nodes: a node without a cluster has none
	}
}

// A bounded number of messages: what is left is found at the next event. `worker` says who sent
// them, unless each says so itself.
static void take_mail(struct node *node, struct mailbox *mailbox, unsigned worker)
{
	struct message *cells[ENGINE_BATCH_MAX];

	for (unsigned pass = 0; pass < MAIL_PASSES_MAX; pass++) {
		unsigned count = mailbox_read(mailbox, cells, ENGINE_BATCH_MAX);

		for (unsigned i = 0; i < count; i++) {
			take_message(
				node, worker == WORKER_ALL ? cells[i]->worker : worker, cells[i]);
			if (cells[i]->type == MESSAGE_SECRET)
				explicit_bzero(cells[i], sizeof(*cells[i]));
		}
		mailbox_release(mailbox, count);
		if (count < ENGINE_BATCH_MAX)
			return;
	}
	bell_ring(&node->bell);
}

// With a cluster its thread reads the workers' answers and passes on what is for control.
static void on_mail(evutil_socket_t fd, short what, void *argument)
{
	struct node *node = argument;

	(void)fd;
	(void)what;
	bell_clear(&node->bell);
	if (node->sync) {
		take_mail(node, sync_answers(node->sync), WORKER_ALL);
		keys_tick(node);
		watch_look(node);
		return;
	}
	for (unsigned w = 0; w < node->worker_count; w++)
		take_mail(node, worker_answers(node->workers[w]), w);
}

static void sample_busy(struct node *node)
{
	for (unsigned w = 0; w < node->worker_count; w++) {
		const struct worker_counters *counters = worker_counters(node->workers[w]);
		struct busy *sample = &node->control->busy[w];
		uint64_t total = counter_get(&counters->cycles_total);
		uint64_t busy = counter_get(&counters->cycles_busy);

		if (total > sample->total) {
			double ratio =
				(double)(busy - sample->busy) / (double)(total - sample->total);
			sample->ratio = ratio < 1 ? ratio : 1;
		}
		sample->total = total;
		sample->busy = busy;
	}
}

double control_busy_ratio(const struct node *node, unsigned worker)
{
	return node->control->busy[worker].ratio;
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct node *node = argument;
	uint64_t now_ns = node_now_ns();

	(void)fd;
	(void)what;
	keys_tick(node);
	watch_look(node);
	requests_expire(node, now_ns);
	if (now_ns - node->control->sampled_ns >= SAMPLE_NS) {
		node->control->sampled_ns = now_ns;
		sample_busy(node);
		links_refresh(node);
		refusals_look(node, now_ns);
		checksums_look(node, now_ns);
	}
}

static void on_signal(evutil_socket_t number, short what, void *argument)
{
	struct node *node = argument;
	struct config_errors errors = {0};

	(void)what;
	if (number != SIGHUP) {
		log_info("signal %d: the node drains and ends", (int)number);
		control_quit(node);
		return;
	}
	control_reload(node, false, NULL, &errors);
	config_errors_free(&errors);
}

// Handles the signals boot.c held back until now.
static int add_signals(struct node *node)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	struct control *control = node->control;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		control->signals[i] = evsignal_new(node->events, numbers[i], on_signal, node);
		if (!control->signals[i] || event_add(control->signals[i], NULL))
			return -ERR_MEMORY;
		sigaddset(&set, numbers[i]);
	}
	return sigprocmask(SIG_UNBLOCK, &set, NULL) ? -ERR_RANGE : 0;
}

static int add_events(struct node *node)
{
	const struct timeval period = {.tv_usec = TIMER_US};
	struct control *control = node->control;

	control->mail = event_new(node->events, node->bell.fd, EV_READ | EV_PERSIST, on_mail, node);
	control->timer = event_new(node->events, -1, EV_PERSIST, on_timer, node);
	if (!control->mail || !control->timer || event_add(control->mail, NULL) ||
		event_add(control->timer, &period))
		return -ERR_MEMORY;
	return 0;
}

static void remove_event(struct event *event)
{
	if (event)
		event_free(event);
}

int control_init(struct node *node)
{
	node->control = private_memory_map(sizeof(*node->control));
	if (!node->control)
		return -ERR_MEMORY;
	node->control->link_socket = -1;
	return 0;
}

int control_start(struct node *node)
{
	node->events = event_base_new();
	if (node->events && add_events(node) == 0 && links_start(node) == 0 &&
		install_start(node) == 0 && keys_start(node) == 0 && add_signals(node) == 0)
		return 0;
	log_error("the control core does not start: out of memory, or of file descriptors");
	control_stop(node);
	return -ERR_MEMORY;
}

void control_run(struct node *node)
{
	event_base_dispatch(node->events);
}

void control_stop(struct node *node)
{
	struct control *control = node->control;

	node_set_state(node, NODE_DRAINING);
	requests_expire(node, UINT64_MAX);
	keys_stop(node);
	links_stop(node);
	for (unsigned i = 0; i < ARRAY_LEN(control->signals); i++)
		remove_event(control->signals[i]);
	remove_event(control->mail);
	remove_event(control->timer);
	if (node->events)
		event_base_free(node->events);
	node->events = NULL;
}

void control_finish(struct node *node)
{
	install_stop(node);
	private_memory_unmap(node->control, sizeof(*node->control));
	node->control = NULL;
}

void control_quit(struct node *node)
{
	node_set_state(node, NODE_DRAINING);
	event_base_loopexit(node->events, NULL);
}

bool control_set_forwarding(struct node *node, bool forward)
{
	if (node_get_state(node) == NODE_DRAINING)
		return false;
	if (!forward)
		node_set_state(node, NODE_STOPPED);
	else
		node_set_state(node, is_ready(node) ? NODE_FORWARDING : NODE_STARTING);
	log_info("the node is told to %s", forward ? "forward" : "stop forwarding");
	return true;
}

bool control_flush(struct node *node)
{
	static struct message message; // large; one thread

	if (!control_has_room(node, 1))
		return false;
	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_FLUSH;
	message.node = NODE_NONE;
	control_broadcast(node, &message);
	return true;
}
