// One of two nodes that talk over UDP sockets, for measuring what the pair costs in time of the
// processor, the kernel's share included: everything between a worker's message here and an entry
// of the engine there, as in duo.h, but with the real clock and the real network. Each is told the
// other's address; the sender offers flows at a rate, half of all updates that create one and then
// as many that close it, and ends when all are acknowledged, the receiver when it has all.
//
//   sync_pair sender|receiver --local A:P --remote A:P --flows N [--rate N|0]
//
// --flows: a power of two.
// Prints {"updates", "applied", "seconds", "cpu_s", "tx_bytes", "datagrams", "unsent"}; seconds and
// cpu_s count from the first update on. Exit status 1 when not all arrived in a minute.
#include "base/check.h"
#include "duo.h"
#include "supply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S     1000000000ULL
#define LIMIT_NS     (60 * NS_PER_S)
#define QUIET_NS     (NS_PER_S / 2)
#define QUEUED_MAX   128 // records: half the window
#define SOCKET_BYTES (8 << 20)
#define NAP_MAX_NS   10000000ULL
#define FLOWS_MAX    (1u << 20)

struct pair {
	enum duo_end end;
	int socket;
	struct duo_node self;
	struct node *node; // the sender has only its policy
	struct supply supply;
	struct message *posts[CLUSTER_BATCH_MAX];
	unsigned post_count;
	uint64_t view;
	uint64_t now_ns, begin_ns, last_ns;
	double begin_cpu_s;
	uint64_t begin_bytes, begin_datagrams;
	bool backlog;
	uint32_t count, offered;
	uint64_t rate; // 0: as fast as possible
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static double cpu_s(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in out = {.sin_family = AF_INET};
	char host[INET_ADDRSTRLEN] = "";
	unsigned port = 0;

	CHECK(sscanf(text, "%15[^:]:%u", host, &port) == 2 && port > 0 && port < 65536);
	CHECK(inet_pton(AF_INET, host, &out.sin_addr) == 1);
	out.sin_port = htons((uint16_t)port);
	return out;
}

static int open_socket(const char *local, const char *remote)
{
	struct sockaddr_in from = address_of(local), to = address_of(remote);
	int bytes = SOCKET_BYTES, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	CHECK(bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

static void receive(struct pair *pair)
{
	struct duo_mail *in = &pair->self.inbox;
	struct mmsghdr heads[CLUSTER_BATCH_MAX];
	struct iovec parts[CLUSTER_BATCH_MAX];
	int got;

	memset(heads, 0, sizeof(heads));
	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++) {
		parts[i] = (struct iovec){in->bytes[i], DATAGRAM_BYTES_MAX};
		heads[i].msg_hdr.msg_iov = &parts[i];
		heads[i].msg_hdr.msg_iovlen = 1;
	}
	got = recvmmsg(pair->socket, heads, CLUSTER_BATCH_MAX, MSG_DONTWAIT, NULL);
	in->count = got > 0 ? (unsigned)got : 0;
	for (unsigned i = 0; i < in->count; i++)
		in->datagrams[i] = (struct datagram){.data = in->bytes[i],
			.len = (uint16_t)heads[i].msg_len,
			.room = DATAGRAM_BYTES_MAX};
}

static void transmit(struct pair *pair, unsigned count)
{
	struct duo_mail *out = &pair->self.outbox;
	struct mmsghdr heads[CLUSTER_BATCH_MAX];
	struct iovec parts[CLUSTER_BATCH_MAX];

	memset(heads, 0, count * sizeof(heads[0]));
	for (unsigned i = 0; i < count; i++) {
		parts[i] = (struct iovec){out->bytes[i], out->datagrams[i].len};
		heads[i].msg_hdr.msg_iov = &parts[i];
		heads[i].msg_hdr.msg_iovlen = 1;
	}
	pair->self.datagrams += count;
	if (count > 0 && sendmmsg(pair->socket, heads, count, 0) < 0)
		CHECK(errno == ECONNREFUSED || errno == EAGAIN); // the other is not there yet
}

static const struct cluster_peer_stats *peer_stats(const struct pair *pair)
{
	return cluster_peer_stats(pair->self.cluster, 0);
}

// What is due by now goes into posts.
static void offer(struct pair *pair)
{
	uint64_t due = pair->count;

	pair->post_count = 0;
	if (pair->view != (1u << DUO_SENDER | 1u << DUO_RECEIVER) ||
		counter_get(&peer_stats(pair)->queued) >= QUEUED_MAX)
		return;
	if (pair->begin_ns == 0) {
		pair->begin_ns = pair->now_ns;
		pair->begin_cpu_s = cpu_s();
		pair->begin_bytes = counter_get(&peer_stats(pair)->tx_bytes);
		pair->begin_datagrams = pair->self.datagrams;
		pair->supply.tick =
			(uint32_t)(cluster_counter_ns(pair->self.cluster, pair->now_ns) /
				   KEYRING_TICK_NS);
	}
	if (pair->rate > 0)
		due = (pair->now_ns - pair->begin_ns) * pair->rate / NS_PER_S;
	due = due < pair->count ? due : pair->count;
	for (; pair->offered < due && pair->post_count < CLUSTER_BATCH_MAX; pair->offered++) {
		bool closed = pair->offered >= pair->supply.flows;

		supply_write(&pair->supply, closed ? PHASE_CLOSE : PHASE_CREATE,
			pair->offered - (closed ? pair->supply.flows : 0),
			pair->posts[pair->post_count++]);
	}
}

static void take(struct pair *pair, unsigned count)
{
	struct batch batch = {.now_ns = pair->now_ns,
		.tick = pair->node->tick,
		.messages_in = pair->self.cells,
		.messages_in_count = count,
		.messages_out = pair->posts,
		.messages_out_room = CLUSTER_BATCH_MAX};

	for (unsigned i = 0; i < count; i++)
		if (pair->self.cells[i]->type == MESSAGE_VIEW)
			pair->view = pair->self.cells[i]->body.view.active;
	if (pair->end == DUO_SENDER)
		return;
	if (count > 0 && pair->begin_ns == 0 &&
		counter_get(&peer_stats(pair)->updates_applied) > 0) {
		pair->begin_ns = pair->now_ns;
		pair->begin_cpu_s = cpu_s();
		pair->begin_bytes = counter_get(&peer_stats(pair)->tx_bytes);
		pair->begin_datagrams = pair->self.datagrams;
	}
	engine_run(pair->node->engine, &batch);
	pair->post_count = batch.messages_out_used;
}

// True where there was something to do.
static bool turn(struct pair *pair)
{
	struct duo_node *self = &pair->self;
	struct cluster_batch batch = {.datagrams = self->inbox.datagrams,
		.out = self->outbox.datagrams,
		.out_room = CLUSTER_BATCH_MAX,
		.messages_in = pair->posts,
		.messages_out = self->cells,
		.messages_out_room = CLUSTER_BATCH_MAX};

	pair->now_ns = batch.now_ns = clock_ns();
	self->inbox.count = 0;
	if (!pair->backlog)
		receive(pair);
	if (pair->end == DUO_SENDER)
		offer(pair);
	batch.datagram_count = self->inbox.count;
	batch.messages_in_count = pair->post_count;
	batch.messages_more = pair->post_count == CLUSTER_BATCH_MAX;
	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++)
		self->outbox.datagrams[i].room = DATAGRAM_BYTES_MAX;
	cluster_run(self->cluster, &batch);
	pair->backlog = batch.backlog;
	transmit(pair, batch.out_used);
	take(pair, batch.messages_out_used);
	return batch.datagram_count > 0 || batch.messages_in_count > 0 || batch.out_used > 0;
}

// Until something arrives or is due. A sender's worker would ring at its next update.
static void nap(struct pair *pair)
{
	struct pollfd wait = {.fd = pair->socket, .events = POLLIN};
	uint64_t length = cluster_idle_ns(pair->self.cluster, pair->now_ns);
	struct timespec timeout;

	if (pair->end == DUO_SENDER && pair->rate > 0 && pair->offered < pair->count &&
		pair->begin_ns != 0 && length > NS_PER_S / pair->rate)
		length = NS_PER_S / pair->rate;
	length = length < NAP_MAX_NS ? length : NAP_MAX_NS;
	timeout = (struct timespec){.tv_nsec = (long)length};
	if (length > 0)
		ppoll(&wait, 1, &timeout, NULL);
}

static bool is_done(const struct pair *pair)
{
	if (pair->begin_ns == 0)
		return false;
	if (pair->end == DUO_SENDER)
		return pair->offered == pair->count && counter_get(&peer_stats(pair)->queued) == 0;
	return counter_get(&peer_stats(pair)->updates_applied) >= pair->count &&
	       pair->post_count == 0 && counter_get(&peer_stats(pair)->queued) == 0;
}

// Runs, reports, and stays for a while so that the other can finish.
static bool run(struct pair *pair)
{
	uint64_t end_ns = clock_ns() + LIMIT_NS, bytes, updates;

	while (!is_done(pair) && clock_ns() < end_ns)
		if (!turn(pair))
			nap(pair);
	bytes = counter_get(&peer_stats(pair)->tx_bytes) - pair->begin_bytes;
	updates = counter_get(&peer_stats(pair)->updates_sent);
	printf("{\"updates\": %llu, \"applied\": %llu, \"seconds\": %.6f, \"cpu_s\": %.6f, "
	       "\"tx_bytes\": %llu, \"datagrams\": %llu, \"unsent\": %llu}\n",
		(unsigned long long)updates,
		(unsigned long long)counter_get(&peer_stats(pair)->updates_applied),
		(double)(clock_ns() - pair->begin_ns) / 1e9, cpu_s() - pair->begin_cpu_s,
		(unsigned long long)bytes,
		(unsigned long long)(pair->self.datagrams - pair->begin_datagrams),
		(unsigned long long)counter_get(&peer_stats(pair)->unsent));
	fflush(stdout);
	end_ns = clock_ns() + QUIET_NS;
	while (clock_ns() < end_ns)
		if (!turn(pair))
			nap(pair);
	return is_done(pair);
}

static void usage(void)
{
	fprintf(stderr, "usage: sync_pair sender|receiver --local A:P --remote A:P --flows N "
			"[--rate N]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"local", required_argument, NULL, 'l'},
		{"remote", required_argument, NULL, 'r'}, {"flows", required_argument, NULL, 'f'},
		{"rate", required_argument, NULL, 'x'}, {NULL, 0, NULL, 0}};
	static const struct form form = {.name = "ip4"};
	static struct pair pair;
	const char *local = NULL, *remote = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'l')
			local = optarg;
		else if (option == 'r')
			remote = optarg;
		else if (option == 'f')
			pair.count = 2 * (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'x')
			pair.rate = strtoul(optarg, NULL, 10);
		else
			usage();
	}
	if (optind + 1 != argc || local == NULL || remote == NULL || pair.count == 0 ||
		pair.count > 2 * FLOWS_MAX || (pair.count & (pair.count - 1)) != 0)
		usage();
	pair.end = strcmp(argv[optind], "sender") == 0 ? DUO_SENDER : DUO_RECEIVER;
	pair.socket = open_socket(local, remote);
	pair.node = node_make();
	duo_start_engine(pair.node, pair.end == DUO_SENDER ? 1024 : FLOWS_MAX);
	duo_fill_cells(pair.posts);
	duo_start_node(&pair.self, pair.end, pair.node);
	pair.supply = (struct supply){.form = &form,
		.flows = pair.count / 2,
		.service = pair.node->services[0].id,
		.from = DUO_SENDER,
		.to = DUO_RECEIVER};
	return run(&pair) ? 0 : 1;
}
