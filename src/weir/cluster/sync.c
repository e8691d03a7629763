// The thread's turn:
//
//   1. take datagrams of the transport, and what workers say to other nodes
//   2. cluster_run(): answers, datagrams, messages to workers
//   3. send, deliver, publish the counter and whether this node is active
//
// It never blocks but in poll(), on the transport, its bell (mail of workers and control) and the
// time cluster_idle_ns() allows; handshakes (libssl) are the only thing that takes longer than some
// tens of microseconds. It logs nothing: control is rung and looks (cluster/watch.c).
//
// Start: it waits for the first policy, which control posts. End: control sets `stop`, the cluster
// says goodbye, and the thread goes when all peers heard it or after DRAIN_NS.
#include "weir/cluster/sync_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "flow/flow.h"
#include "weir/private_memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define MAIL_CELLS	  4	       // control -> thread: policies
#define ANSWER_CELLS	  512	       // thread -> control
#define ASK_NS		  100000ULL    // where the transport cannot wake the thread
#define RETRY_NS	  100000ULL    // while a worker's mailbox is full
#define IDLE_MAX_NS	  100000000ULL // channel_poll() wants its turn
#define DRAIN_NS	  200000000ULL
#define SERVED_PAUSE_NS	  100000
#define SERVED_PAUSES_MAX 500 // control waits no longer
#define NS_PER_S	  1000000000ULL
#define BACKLOG_TURNS_MAX 64
#define JOIN_DETECTS	  10 // a node founds a cluster after it reached nobody for so many detect_ms,
#define JOIN_MS_MIN	  1000 // and no sooner than this
#define REKEY_NS	  120000000000ULL
#define REKEY_RECORDS	  (1u << 22)
// The counter starts at the wall clock, so that clusters that were founded apart are near each
// other; some ticks on top keep any counter above the times a system starts at.
#define COUNTER_BASE_NS ((1u << 20) * KEYRING_TICK_NS)

struct bell *sync_bell(struct sync *sync)
{
	return &sync->bell;
}

struct mailbox *sync_answers(struct sync *sync)
{
	return &sync->answers;
}

struct mailbox *sync_mail(struct sync *sync)
{
	return &sync->mail;
}

bool sync_is_active(const struct sync *sync)
{
	// Acquire pairs with the release in publish(): the counter is the cluster's.
	return atomic_load_explicit(&sync->active, memory_order_acquire);
}

// Only control asks, one thing at a time.
static int request(struct sync *sync, enum sync_request what)
{
	const struct timespec pause = {.tv_nsec = SERVED_PAUSE_NS};
	unsigned before = atomic_load_explicit(&sync->served, memory_order_relaxed);

	if (!sync_is_active(sync))
		return -ERR_MISSING;
	atomic_fetch_or_explicit(&sync->requests, what, memory_order_release);
	bell_ring(&sync->bell);
	for (unsigned i = 0; i < SERVED_PAUSES_MAX; i++) {
		// Acquire pairs with the release in turn(): the result is there.
		if (atomic_load_explicit(&sync->served, memory_order_acquire) != before)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ERR_EXISTS;
}

int sync_rekey(struct sync *sync)
{
	return request(sync, SYNC_REKEY);
}

int sync_rotate(struct sync *sync)
{
	int error = request(sync, SYNC_ROTATE);

	return error ? error : atomic_load_explicit(&sync->rotated, memory_order_relaxed);
}

const struct cluster *sync_cluster(const struct sync *sync)
{
	return sync->cluster;
}

const struct credentials *sync_credentials(const struct sync *sync)
{
	return &sync->credentials;
}

void sync_transport_stats(const struct sync *sync, struct transport_stats *out)
{
	sync->transport->methods->stats(sync->transport, out);
}

// --- the thread ---

static int rotate(struct sync *sync)
{
	uint8_t secret[32];
	int error = -ERR_FULL;

	if (getrandom(secret, sizeof(secret), 0) == sizeof(secret))
		error = cluster_rotate(sync->cluster, secret);
	explicit_bzero(secret, sizeof(secret));
	return error;
}

static void take_requests(struct sync *sync)
{
	unsigned what = atomic_exchange_explicit(&sync->requests, 0, memory_order_acquire);

	sync->serving = what != 0;
	if (what & SYNC_REKEY)
		cluster_rekey(sync->cluster);
	if (what & SYNC_ROTATE)
		atomic_store_explicit(&sync->rotated, rotate(sync), memory_order_relaxed);
}

// How many datagrams to take: none while records wait for the workers, for a while. What stays in
// the network is not acknowledged, so the peer slows down; what no window holds would be dropped,
// and sent again.
static unsigned receive_room(struct sync *sync)
{
	return sync->backlog > 0 && sync->backlog < BACKLOG_TURNS_MAX ? 0 : CLUSTER_BATCH_MAX;
}

// One turn. True where there may be more to do at once.
static bool turn(struct sync *sync)
{
	struct transport *transport = sync->transport;
	struct message *const *in = sync->in;

	sync->now_ns = node_now_ns();
	sync_take_policy(sync);
	take_requests(sync);
	unsigned gathered = sync_gather(sync);
	struct cluster_batch batch = {
		.now_ns = sync->now_ns,
		.datagrams = sync->arrived,
		.datagram_count = transport->methods->receive(
			transport, sync->now_ns, sync->arrived, receive_room(sync)),
		.out = sync->leaving,
		.out_room = transport->methods->lend(transport, sync->leaving, CLUSTER_BATCH_MAX),
		.messages_in = in,
		.messages_in_count = gathered,
		.messages_more = sync->in_more,
		.messages_out = sync->free,
		.messages_out_room = sync->free_count,
	};
	cluster_run(sync->cluster, &batch);
	sync->backlog = batch.backlog ? sync->backlog % BACKLOG_TURNS_MAX + 1 : 0;
	transport->methods->send(transport, sync->leaving, batch.out_used);
	sync_release(sync);
	for (unsigned i = 0; i < batch.messages_out_used; i++)
		sync->pending[sync->pending_count++] = sync->free[i];
	sync->free_count -= batch.messages_out_used;
	memmove(sync->free, sync->free + batch.messages_out_used,
		sync->free_count * sizeof(sync->free[0]));
	sync_publish(sync);
	sync_deliver(sync);
	sync_tell_control(sync);
	if (sync->serving)
		atomic_fetch_add_explicit(&sync->served, 1, memory_order_release);
	return batch.datagram_count > 0 || batch.messages_in_count > 0 || batch.out_used > 0;
}

static uint64_t sleep_length_ns(const struct sync *sync)
{
	uint64_t length = cluster_idle_ns(sync->cluster, sync->now_ns);

	if (length > IDLE_MAX_NS)
		length = IDLE_MAX_NS;
	if (sync->transport->fd < 0 && length > ASK_NS)
		length = ASK_NS;
	return sync->pending_count && length > RETRY_NS ? RETRY_NS : length;
}

static void wait_for_work(struct sync *sync, uint64_t length_ns)
{
	struct pollfd waits[2] = {{.fd = sync->bell.fd, .events = POLLIN},
		{.fd = sync->transport->fd, .events = POLLIN}};
	struct timespec timeout = {.tv_nsec = (long)length_ns};
	socklen_t size = sizeof(int);
	int error;

	if (ppoll(waits, 2, &timeout, NULL) <= 0)
		return;
	if (waits[0].revents)
		bell_clear(&sync->bell);
	// An error (the link went down) would end every sleep at once until somebody reads it.
	if (waits[1].revents & POLLERR)
		getsockopt(waits[1].fd, SOL_SOCKET, SO_ERROR, &error, &size);
}

static bool is_stopped(const struct sync *sync)
{
	// Acquire pairs with the release in sync_join.
	return atomic_load_explicit(&sync->stop, memory_order_acquire);
}

static bool is_heard(const struct sync *sync)
{
	for (unsigned i = 0; i < sync->peer_count; i++) {
		const struct cluster_peer_stats *stats = cluster_peer_stats(sync->cluster, i);
		uint64_t state = counter_get(&stats->state);

		if (state != PEER_DOWN && state != PEER_REFUSED && counter_get(&stats->queued) > 0)
			return false;
	}
	return true;
}

static void say_goodbye(struct sync *sync)
{
	uint64_t end_ns = node_now_ns() + DRAIN_NS;

	cluster_drain(sync->cluster);
	do {
		if (!turn(sync))
			wait_for_work(sync, RETRY_NS);
	} while (node_now_ns() < end_ns && !is_heard(sync));
}

static void *sync_main(void *argument)
{
	struct sync *sync = argument;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL); // they are the main thread's
	prctl(PR_SET_NAME, "cluster");
	prctl(PR_SET_TIMERSLACK, 1UL);
	while (!is_stopped(sync) && sync->policy == NULL) {
		sync_take_policy(sync);
		if (sync->policy == NULL)
			wait_for_work(sync, IDLE_MAX_NS);
	}
	while (!is_stopped(sync)) {
		if (!turn(sync))
			wait_for_work(sync, sleep_length_ns(sync));
	}
	if (sync->policy != NULL)
		say_goodbye(sync);
	return NULL;
}

// --- start and end ---

static int open_credentials(struct sync *sync)
{
	struct dtls_error error;
	const char *wrong =
		credentials_open(&sync->credentials, &sync->node->config->cluster, &error);

	if (wrong)
		log_error("%s: %s", wrong, error.text);
	return wrong ? -ERR_CRYPTO : 0;
}

static int open_transport(struct sync *sync)
{
	const struct config_cluster *config = &sync->node->config->cluster;

	sync->transport = config->transport == TRANSPORT_SOCKET ? transport_socket_open(config)
								: transport_port_open(sync->node);
	return sync->transport ? 0 : -ERR_MISSING;
}

static uint64_t first_counter_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return COUNTER_BASE_NS + (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint32_t sync_join_ms(const struct config_cluster *config)
{
	uint32_t join_ms = config->detect_ms * JOIN_DETECTS;

	return join_ms < JOIN_MS_MIN ? JOIN_MS_MIN : join_ms;
}

static int describe_cluster(const struct sync *sync, struct cluster_config *out)
{
	const struct node *node = sync->node;
	const struct config_cluster *config = &node->config->cluster;

	*out = (struct cluster_config){
		.id = config->id,
		.max_id = config->max_id,
		.detect_ms = config->detect_ms,
		.join_ms = sync_join_ms(config),
		.workers = (uint16_t)node->worker_count,
		.counter_ns = first_counter_ns(),
		.datagram_bytes = sync->transport->datagram_bytes,
		.rekey_ns = REKEY_NS,
		.rekey_records = REKEY_RECORDS,
		.methods = &dtls_methods,
		.context = sync->credentials.dtls,
		.peer_count = config->peer_count,
	};
	snprintf(out->name, sizeof(out->name), "%.*s", CLUSTER_NAME_BYTES - 1, config->name);
	snprintf(out->node, sizeof(out->node), "%.*s", CLUSTER_NAME_BYTES - 1, node->config->node);
	memcpy(out->table_key, node->table_key, sizeof(out->table_key));
	for (unsigned i = 0; i < config->peer_count; i++) {
		out->peers[i].id = config->peers[i].id;
		snprintf(out->peers[i].name, sizeof(out->peers[i].name), "%.*s",
			CLUSTER_NAME_BYTES - 1, config->peers[i].name);
	}
	bool random = getrandom(out->secret, sizeof(out->secret), 0) == sizeof(out->secret) &&
		      getrandom(&out->incarnation, sizeof(out->incarnation), 0) ==
			      sizeof(out->incarnation);
	out->incarnation |= 1; // 0 is none
	return random ? 0 : -ERR_CRYPTO;
}

static int make_cluster(struct sync *sync)
{
	struct cluster_config config;
	int error = describe_cluster(sync, &config);

	if (!error) {
		sync->memory_bytes = cluster_bytes(&config);
		sync->memory = private_memory_map(sync->memory_bytes);
		if (sync->memory)
			sync->cluster = cluster_init(sync->memory, &config);
	}
	explicit_bzero(&config, sizeof(config));
	if (sync->cluster)
		return 0;
	log_error("no memory for the cluster's state");
	return -ERR_MEMORY;
}

static int make_mail(struct sync *sync)
{
	sync->outbox = calloc(CLUSTER_BATCH_MAX, sizeof(*sync->outbox));
	if (!sync->outbox || bell_init(&sync->bell) ||
		mailbox_init(&sync->mail, MAIL_CELLS, &sync->bell) ||
		mailbox_init(&sync->answers, ANSWER_CELLS, &sync->node->bell)) {
		log_error("no memory for the mailboxes of the cluster");
		return -ERR_MEMORY;
	}
	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++)
		sync->free[sync->free_count++] = &sync->outbox[i];
	return 0;
}

int sync_init(struct node *node)
{
	struct sync *sync;

	if (!node->config->cluster.enabled)
		return 0;
	sync = private_memory_map(sizeof(*sync));
	if (!sync)
		return -ERR_MEMORY;
	node->sync = sync;
	sync->node = node;
	sync->peer_count = node->config->cluster.peer_count;
	sync->bell.fd = -1;
	pthread_mutex_init(&sync->news_lock, NULL);
	if (make_mail(sync) || open_credentials(sync) || open_transport(sync) ||
		make_cluster(sync)) {
		sync_finish(node);
		return -ERR_MISSING;
	}
	return 0;
}

void sync_finish(struct node *node)
{
	struct sync *sync = node->sync;

	if (!sync)
		return;
	if (sync->cluster)
		cluster_finish(sync->cluster);
	private_memory_unmap(sync->memory, sync->memory_bytes);
	if (sync->transport)
		sync->transport->methods->close(sync->transport);
	credentials_close(&sync->credentials);
	mailbox_finish(&sync->mail);
	mailbox_finish(&sync->answers);
	bell_finish(&sync->bell);
	free(sync->outbox);
	private_memory_unmap(sync, sizeof(*sync));
	node->sync = NULL;
}

int sync_launch(struct node *node)
{
	struct sync *sync = node->sync;

	if (!sync)
		return 0;
	sync->launched = pthread_create(&sync->thread, NULL, sync_main, sync) == 0;
	if (!sync->launched)
		log_error("the cluster's thread does not start: %s", strerror(errno));
	return sync->launched ? 0 : -ERR_MEMORY;
}

void sync_join(struct node *node)
{
	struct sync *sync = node->sync;

	if (!sync || !sync->launched)
		return;
	atomic_store_explicit(&sync->stop, true, memory_order_release);
	bell_ring(&sync->bell);
	pthread_join(sync->thread, NULL);
	sync->launched = false;
}
