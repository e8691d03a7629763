// A wire that delays and reorders, which the kernels we meet cannot (no netem): every frame of one
// interface leaves through the other one, after its delay. Two AF_PACKET sockets, one heap ordered
// by the time a frame is due; with an empty heap it sleeps until a frame arrives. Memory is
// bounded: with FRAMES_MAX frames waiting, further ones are lost, as on any full queue.
//
//   forwarder IF_A IF_B [delay=MS] [reorder=PERCENT] [loss=PERCENT] [dup=PERCENT] [seed=N]
//
// A reordered frame waits REORDER_US longer than the others, so several that follow overtake it.
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAMES_MAX = 8192,
	FRAME_BYTES_MAX = 2048,
	READ_MAX = 64,
	SOCKET_BYTES = 8 << 20,
	REORDER_US = 2000,
};

struct frame {
	uint64_t due_us;
	uint64_t number; // ties leave in the order of arrival
	int to;
	size_t len;
	uint8_t bytes[FRAME_BYTES_MAX];
};

static struct frame frames[FRAMES_MAX];
static struct frame *heap[FRAMES_MAX]; // [0, waiting): a heap; the rest: free frames
static unsigned waiting;
static uint64_t arrivals;
static uint64_t random_state;

static double delay_ms, reorder_percent, loss_percent, dup_percent;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool chance(double percent)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(random_state >> 40) * 100.0 < percent * (double)(1 << 24);
}

static bool before(unsigned a, unsigned b)
{
	if (heap[a]->due_us != heap[b]->due_us)
		return heap[a]->due_us < heap[b]->due_us;
	return heap[a]->number < heap[b]->number;
}

static void swap(unsigned a, unsigned b)
{
	struct frame *frame = heap[a];

	heap[a] = heap[b];
	heap[b] = frame;
}

static void heap_push(void)
{
	unsigned at = waiting++;

	while (at > 0 && before(at, (at - 1) / 2)) {
		swap(at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static struct frame *heap_pop(void)
{
	unsigned at = 0;

	swap(0, --waiting);
	for (;;) {
		unsigned child = 2 * at + 1;

		if (child >= waiting)
			return heap[waiting];
		if (child + 1 < waiting && before(child + 1, child))
			child++;
		if (!before(child, at))
			return heap[waiting];
		swap(at, child);
		at = child;
	}
}

static void enqueue(const uint8_t *bytes, size_t len, int to)
{
	struct frame *frame;

	if (waiting == FRAMES_MAX || len > FRAME_BYTES_MAX)
		return;
	frame = heap[waiting];
	memcpy(frame->bytes, bytes, len);
	frame->len = len;
	frame->to = to;
	frame->number = arrivals++;
	frame->due_us = now_us() + (uint64_t)(delay_ms * 1000.0);
	if (chance(reorder_percent))
		frame->due_us += REORDER_US;
	heap_push();
}

static void receive(int from, int to)
{
	static uint8_t bytes[FRAME_BYTES_MAX];

	for (int i = 0; i < READ_MAX; i++) {
		ssize_t len = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);

		if (len < 0)
			return;
		if (chance(loss_percent))
			continue;
		enqueue(bytes, (size_t)len, to);
		if (chance(dup_percent))
			enqueue(bytes, (size_t)len, to);
	}
}

static void transmit_due(void)
{
	while (waiting > 0 && heap[0]->due_us <= now_us()) {
		struct frame *frame = heap_pop();

		(void)!send(frame->to, frame->bytes, frame->len, 0);
	}
}

static int open_interface(const char *name)
{
	struct sockaddr_ll where = {
		.sll_family = AF_PACKET,
		.sll_protocol = __builtin_bswap16(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int on = 1, bytes = SOCKET_BYTES;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || where.sll_ifindex == 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *)&where, sizeof(where)) != 0) {
		fprintf(stderr, "forwarder: interface %s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static void parse(const char *argument)
{
	double seed = 1;
	struct {
		const char *name;
		double *value;
	} table[] = {{"delay=", &delay_ms}, {"reorder=", &reorder_percent},
		{"loss=", &loss_percent}, {"dup=", &dup_percent}, {"seed=", &seed}};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].name);

		if (strncmp(argument, table[i].name, len) != 0)
			continue;
		*table[i].value = strtod(argument + len, NULL);
		random_state = (uint64_t)seed;
		return;
	}
	fprintf(stderr, "forwarder: unknown argument %s\n", argument);
	exit(2);
}

int main(int argc, char **argv)
{
	struct pollfd ports[2];

	if (argc < 3) {
		fprintf(stderr, "usage: forwarder IF_A IF_B [delay=MS] [reorder=PERCENT]\n"
				"                 [loss=PERCENT] [dup=PERCENT] [seed=N]\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		parse(argv[i]);
	for (unsigned i = 0; i < FRAMES_MAX; i++)
		heap[i] = &frames[i];
	for (int i = 0; i < 2; i++)
		ports[i] = (struct pollfd){.fd = open_interface(argv[1 + i]), .events = POLLIN};
	for (;;) {
		uint64_t now = now_us(), wait_us = 0;

		if (waiting > 0 && heap[0]->due_us > now)
			wait_us = heap[0]->due_us - now;
		ppoll(ports, 2,
			waiting == 0 ? NULL
				     : &(struct timespec){.tv_sec = (time_t)(wait_us / 1000000),
					       .tv_nsec = (long)(wait_us % 1000000) * 1000},
			NULL);
		receive(ports[0].fd, ports[1].fd);
		receive(ports[1].fd, ports[0].fd);
		transmit_due();
	}
}
