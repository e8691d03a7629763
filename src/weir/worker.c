// A worker's turn, run to completion:
//
//   1. take frames: first those other workers handed over, then bursts of its own queues, until a
//      batch is full; the first port asked changes from turn to turn
//   2. take messages of the control core and the cluster's thread; lend spare buffers and free
//   message cells
//   3. engine_run(): every frame gets its verdict, the engine its slice of ageing
//   4. act: buffers go to transmit queues, to another worker, or back to the pool
//   5. account: the engine's cycles are divided over the frames, the turn's make it busy
//
// Who writes what: everything in struct worker is written by its own thread once it runs, but for
// the producers' ends of `mail` (control core) and `sync_mail` (the cluster's thread), of `handed`
// and `outgoing` (the other workers), and `stop` (main thread). No lock, no allocation beyond the
// pool's, no log; the only system calls are the nap and the bell that ends somebody's nap.
//
// Without traffic it spins for a while (not where an answer of another thread comes next: that may
// need the processor) and then naps, bounded by the engine's next deadline and
// ended by a bell: mail, or a frame from another worker. Where every queue of its own has a socket
// (wake.h) a packet ends the nap too, and it may be long. Elsewhere the nap is what the first
// packet after silence pays; it grows only when silence lasts.
#include "weir/worker.h"

#include "base/check.h"
#include "base/error.h"
#include "common/log.h"
#include "flow/table.h"
#include "weir/cluster/sync.h"
#include "weir/node.h"
#include "weir/worker_internal.h"

#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_ring.h>

#define SPIN_TURNS	600 // empty turns before the first nap
#define NAP_SHORT_NS	50000ULL
#define NAP_LONG_NS	1000000ULL
#define NAP_PATIENCE_NS 20000000ULL // silence before naps grow
#define NAP_WAKED_NS	10000000ULL // where packets end it: ageing wants its turn
#define HUGE_BYTES	(2ULL << 20)

static uint64_t line_up(uint64_t bytes)
{
	return (bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
}

static void set(counter *c, uint64_t value)
{
	atomic_store_explicit(c, value, memory_order_relaxed);
}

// The engine's cycles go to the paths the frames took, by their number. Sending is not in them: in
// the lab the kernel runs the receiver's whole stack inside it.
static void account_paths(struct worker *worker, uint64_t cycles)
{
	const struct engine_stats *stats = engine_stats(worker->engine);
	uint64_t packets[PATH_COUNT], total = 0;

	for (unsigned path = 0; path < PATH_COUNT; path++) {
		uint64_t now = counter_get(&stats->path_packets[path]);

		packets[path] = now - worker->path_seen[path];
		worker->path_seen[path] = now;
		total += packets[path];
	}
	for (unsigned path = 0; path < PATH_COUNT; path++) {
		if (packets[path]) // mostly all of them, which saves a division
			counter_add(&worker->counters.path_cycles[path],
				packets[path] == total ? cycles : cycles * packets[path] / total);
	}
}

// The cluster's counter may be corrected while it runs; the tick waits rather than goes back.
static void follow_counter(struct worker *worker)
{
	uint64_t counter_ns = node_counter_ns(worker->node, worker->now_ns);
	uint32_t tick = (uint32_t)(counter_ns / KEYRING_TICK_NS);
	uint16_t part = keyring_tick_part(counter_ns);

	if (counter_ns >= worker->tick_end_ns) {
		worker->tick = tick;
		worker->tick_part = part;
		worker->tick_end_ns = ((uint64_t)tick + 1) * KEYRING_TICK_NS;
	} else if (tick == worker->tick && part > worker->tick_part) {
		worker->tick_part = part;
	}
}

// One turn. True where there was something to do. With `inward` false nothing new is taken from
// devices.
static bool turn(struct worker *worker, bool inward)
{
	const struct node *node = worker->node;
	struct message *mail[ENGINE_BATCH_MAX];

	worker_send_for_others(worker);
	unsigned frames = worker_take(worker, inward);
	// No more letters than can be answered: a policy that is not given back is never freed.
	unsigned room = worker_answer_room(worker);
	struct letters letters = worker_read_mail(worker, mail, room);
	worker->now_ns = node_now_ns();
	follow_counter(worker);
	struct batch batch = {
		.now_ns = worker->now_ns,
		.tick = worker->tick,
		.tick_part = worker->tick_part,
		.stopped = node_get_state(node) == NODE_STOPPED,
		.frames = worker->frames,
		.verdicts = worker->verdicts,
		.frame_count = frames,
		.out = worker->out,
		.out_room = worker_lend(worker),
		.messages_in = mail,
		.messages_in_count = letters.count[0] + letters.count[1],
		.messages_out = worker->answer_cells,
		.messages_out_room = room,
	};
	uint64_t decide = frames ? rte_rdtsc() : 0;
	engine_run(worker->engine, &batch);
	if (frames)
		account_paths(worker, rte_rdtsc() - decide);
	worker_act(worker, &batch);
	worker_release_mail(worker, &letters);
	worker_post_answers(worker, batch.messages_out_used);
	counter_add(&worker->counters.turns, 1);
	worker->talked = batch.messages_in_count > 0 || batch.messages_out_used > 0;
	if (batch.messages_out_used == room)
		worker->filled_ns = worker->now_ns;
	return frames > 0 || batch.messages_in_count > 0 || batch.out_used > 0;
}

// What ends a nap: the bell first, then the sockets of the worker's queues. True where each of its
// queues has one.
static bool find_waits(struct worker *worker)
{
	const struct node *node = worker->node;
	bool all = true;

	worker->waits[0] = (struct pollfd){.fd = worker->bell.fd, .events = POLLIN};
	worker->wait_count = 1;
	for (unsigned i = 0; i < node->port_count; i++) {
		const struct port *port = &node->ports[i];
		unsigned queue = worker_queue(worker, port);

		if (queue >= port->rx_queues)
			continue;
		if (queue < port->wake.count)
			worker->waits[worker->wait_count++] =
				(struct pollfd){.fd = port->wake.fds[queue], .events = POLLIN};
		else
			all = false;
	}
	return all;
}

// An error (the link went down) would end every nap at once until somebody reads it.
static void clear_errors(struct worker *worker)
{
	for (unsigned i = 1; i < worker->wait_count; i++) {
		int error;
		socklen_t size = sizeof(error);

		if (worker->waits[i].revents & POLLERR)
			getsockopt(worker->waits[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
	}
}

static uint64_t nap_length_ns(const struct worker *worker)
{
	uint64_t silence = worker->now_ns - worker->busy_ns;
	uint64_t engine_ns = engine_idle_ns(worker->engine, worker->now_ns);
	uint64_t wanted = NAP_WAKED_NS;

	if (!worker->waked)
		wanted = silence < NAP_PATIENCE_NS ? NAP_SHORT_NS : NAP_LONG_NS;
	// The engine has more to tell than it had cells for: it goes on as fast as it ages.
	else if (worker->now_ns - worker->filled_ns < NAP_PATIENCE_NS)
		wanted = NAP_LONG_NS;
	return wanted < engine_ns ? wanted : engine_ns;
}

static void nap(struct worker *worker, bool inward)
{
	uint64_t length = nap_length_ns(worker);
	struct timespec timeout = {.tv_nsec = (long)length};

	// While nothing is taken from devices their sockets would end every nap at once.
	unsigned count = inward ? worker->wait_count : 1;

	if (length && ppoll(worker->waits, count, &timeout, NULL) > 0) {
		if (worker->waits[0].revents)
			bell_clear(&worker->bell);
		clear_errors(worker);
	}
	set(&worker->counters.cpu, (uint64_t)sched_getcpu());
}

static int worker_main(void *argument)
{
	struct worker *worker = argument;
	unsigned empty = 0;
	uint64_t begin = rte_rdtsc(), start = begin, end;

	worker->waked = find_waits(worker);

	prctl(PR_SET_TIMERSLACK, 1UL);
	set(&worker->counters.cpu, (uint64_t)sched_getcpu());
	// Acquire pairs with the release in workers_join.
	while (!atomic_load_explicit(&worker->stop, memory_order_acquire)) {
		// Without a policy packets would only be dropped: they wait in their devices.
		bool inward = node_get_state(worker->node) != NODE_STARTING;

		bool busy = turn(worker, inward);
		end = rte_rdtsc();
		set(&worker->counters.cycles_total, end - begin);
		if (busy) {
			counter_add(&worker->counters.cycles_busy, end - start);
			// Who it talks with may want this processor, and its answer rings.
			empty = worker->talked && worker->waked ? SPIN_TURNS : 0;
			worker->busy_ns = worker->now_ns;
		} else if (worker->naps && ++empty > SPIN_TURNS) {
			nap(worker, inward);
			end = rte_rdtsc();
		} else {
			rte_pause();
		}
		start = end;
	}
	turn(worker, false);
	return 0;
}

static bool should_nap(const struct node *node)
{
	if (node->config->eal.idle != CHOICE_AUTO)
		return node->config->eal.idle == CHOICE_ON;
	for (unsigned i = 0; i < node->port_count; i++) {
		if (node->ports[i].kind == PORT_PCI)
			return false;
	}
	return true;
}

static void describe_engine(const struct worker *worker, struct engine_config *out)
{
	const struct node *node = worker->node;
	const struct config *config = node->config;

	*out = (struct engine_config){
		.capacity = (config->flow_capacity + node->worker_count - 1) / node->worker_count,
		.queue_total_bytes = config->policy->limits.queue_total_bytes / node->worker_count,
		.worker = (uint16_t)worker->index,
		.workers = (uint16_t)node->worker_count,
		.port_count = (uint8_t)node->port_count,
	};
	out->openings = engine_openings(out->capacity, out->queue_total_bytes);
	memcpy(out->table_key, node->table_key, sizeof(out->table_key));
	for (unsigned i = 0; i < node->port_count; i++) {
		const struct port *port = &node->ports[i];

		out->ports[i] = (struct engine_port){.side = port->config->side,
			.peer = (uint8_t)port->peer,
			.mtu = port->config->mtu};
	}
}

// The engine's memory is its own mapping, not DPDK's: the tables get transparent huge pages where
// the system gives them, and populate.c sees to it that they are there before packets need them.
static int map_engine(struct worker *worker, const struct engine_config *engine)
{
	struct node *node = worker->node;

	if (engine->capacity > FLOW_TABLE_CAPACITY_MAX) {
		log_error(
			"flows.capacity = %u: a worker holds at most %u flows: lower it, or raise "
			"eal.workers",
			node->config->flow_capacity, FLOW_TABLE_CAPACITY_MAX);
		return -ERR_RANGE;
	}
	worker->engine_bytes = engine_bytes(engine);
	uint64_t bytes = line_up(worker->engine_bytes);
	uint64_t all_mb = (bytes >> 20) * node->worker_count;
	if (worker->index == 0 && node_available_mb() < all_mb)
		worker->memory = MAP_FAILED;
	else
		worker->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (worker->memory == MAP_FAILED) {
		worker->memory = NULL;
		log_error("flows.capacity = %u and limits.queue_total_bytes take %" PRIu64
			  " MiB, which the system does not have: lower them",
			node->config->flow_capacity, all_mb);
		return -ERR_MEMORY;
	}
	madvise(worker->memory, bytes, MADV_HUGEPAGE);
	populate_add(&node->populate, worker->memory, worker->engine_bytes);
	return 0;
}

static int make_engine(struct worker *worker)
{
	struct engine_config engine;

	describe_engine(worker, &engine);
	if (map_engine(worker, &engine))
		return -ERR_MEMORY;
	worker->capacity = engine.capacity;
	worker->engine = engine_init(worker->memory, &engine);
	return 0;
}

static struct rte_ring *make_ring(const char *kind, unsigned from, unsigned to)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u-%u", kind, from, to);
	return rte_ring_create(
		name, WORKER_HANDOVER_SLOTS, (int)rte_socket_id(), RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int make_rings(struct worker *worker)
{
	for (unsigned from = 0; from < worker->node->worker_count; from++) {
		if (from == worker->index)
			continue;
		worker->handed[from] = make_ring("handed", from, worker->index);
		worker->outgoing[from] = make_ring("outgoing", from, worker->index);
		if (!worker->handed[from] || !worker->outgoing[from]) {
			log_error("no memory for the rings between workers: raise eal.memory_mb");
			return -ERR_MEMORY;
		}
	}
	return 0;
}

static void finish_worker(struct worker *worker)
{
	worker_drop_spares(worker);
	for (unsigned from = 0; from < NODE_WORKERS_MAX; from++) {
		rte_ring_free(worker->handed[from]);
		rte_ring_free(worker->outgoing[from]);
	}
	if (worker->memory)
		munmap(worker->memory, line_up(worker->engine_bytes));
	mailbox_finish(&worker->mail);
	mailbox_finish(&worker->sync_mail);
	mailbox_finish(&worker->answers);
	bell_finish(&worker->bell);
	free(worker);
}

static int init_worker(struct node *node, unsigned index)
{
	struct worker *worker = aligned_alloc(CPU_CACHE_LINE_BYTES, sizeof(*worker));

	if (!worker)
		return -ERR_MEMORY;
	memset(worker, 0, sizeof(*worker));
	node->workers[index] = worker;
	worker->node = node;
	worker->index = index;
	worker->naps = should_nap(node);
	if (bell_init(&worker->bell) ||
		mailbox_init(&worker->mail, WORKER_MAIL_CELLS, &worker->bell) ||
		mailbox_init(&worker->answers, WORKER_ANSWER_CELLS,
			node->sync ? sync_bell(node->sync) : &node->bell) ||
		(node->sync &&
			mailbox_init(&worker->sync_mail, WORKER_SYNC_CELLS, &worker->bell))) {
		log_error("no memory for the mailboxes of worker %u", index);
		return -ERR_MEMORY;
	}
	return make_rings(worker) || make_engine(worker) ? -ERR_MEMORY : 0;
}

int workers_init(struct node *node)
{
	for (unsigned i = 0; i < node->worker_count; i++) {
		if (init_worker(node, i)) {
			workers_finish(node);
			return -ERR_MEMORY;
		}
	}
	return 0;
}

void workers_finish(struct node *node)
{
	for (unsigned i = 0; i < node->worker_count; i++) {
		if (node->workers[i])
			finish_worker(node->workers[i]);
		node->workers[i] = NULL;
	}
}

int workers_launch(struct node *node)
{
	for (unsigned i = 0; i < node->worker_count; i++)
		CHECK(rte_eal_remote_launch(worker_main, node->workers[i], i + 1) == 0);
	return 0;
}

void workers_join(struct node *node)
{
	for (unsigned i = 0; i < node->worker_count; i++) {
		// Release pairs with the acquire in worker_main.
		atomic_store_explicit(&node->workers[i]->stop, true, memory_order_release);
		bell_ring(&node->workers[i]->bell);
	}
	rte_eal_mp_wait_lcore();
}

const struct engine *worker_engine(const struct worker *worker)
{
	return worker->engine;
}

const struct worker_counters *worker_counters(const struct worker *worker)
{
	return &worker->counters;
}

size_t worker_engine_bytes(const struct worker *worker)
{
	return worker->engine_bytes;
}

uint32_t worker_capacity(const struct worker *worker)
{
	return worker->capacity;
}

struct mailbox *worker_mail(struct worker *worker)
{
	return &worker->mail;
}

struct mailbox *worker_sync_mail(struct worker *worker)
{
	return &worker->sync_mail;
}

struct mailbox *worker_answers(struct worker *worker)
{
	return &worker->answers;
}
