// One process that makes many HTTP connections, as separate clients would: connect, GET, read to
// the end, compare the body byte by byte, close. Each connection has one deadline for all of that.
// The kernel's TCP does the work: what fails here fails for a user.
//
//   connect --target A:P|[A6]:P [--count N] [--parallel P] [--rate N] [--path /X] [--body FILE]
//           [--deadline-ms N] [--source-port N] [--progress]
//
// Prints one JSON document: ok, failed, reasons by name, and microseconds from connect() to: the
// whole body (p50_us p99_us max_us), the open connection (connect_*), the first byte (first_*);
// stalls: successes whose first byte took longer than a second.
// Exit status 0 when none failed. --source-port: the connections take N, N+1, ... instead of what
// the kernel chooses, so that no port comes back while a box still remembers it. --progress: every
// second a line "OK FAILED" on standard error.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	HEADER_BYTES_MAX = 4096,
	READ_BYTES = 65536,
	TICK_MS = 20,
	STALL_US = 1000000,
};

enum outcome {
	PENDING,
	OK,
	TIMEOUT,
	REFUSED,
	RESET,
	UNREACHABLE,
	CLOSED_EARLY,
	BAD_STATUS,
	BAD_BODY,
	OTHER,
	OUTCOME_COUNT,
};

static const char *const outcome_names[OUTCOME_COUNT] = {
	[TIMEOUT] = "timeout",
	[REFUSED] = "refused",
	[RESET] = "reset",
	[UNREACHABLE] = "unreachable",
	[CLOSED_EARLY] = "closed_early",
	[BAD_STATUS] = "bad_status",
	[BAD_BODY] = "bad_body",
	[OTHER] = "other",
};

struct settings {
	struct sockaddr_storage to;
	socklen_t to_len;
	unsigned count;
	unsigned parallel;
	unsigned rate;
	unsigned deadline_ms;
	unsigned source_port;
	bool progress;
	const char *path;
	char *body; // NULL: any body will do
	size_t body_bytes;
	char request[1024];
	size_t request_bytes;
};

struct connection {
	int fd; // -1: the slot is free
	bool open;
	uint64_t start_us;
	uint32_t open_us;
	uint32_t first_us;
	char header[HEADER_BYTES_MAX];
	size_t header_bytes;
	bool in_body;
	size_t body_at;
};

struct run {
	const struct settings *set;
	struct connection *slots;
	int epoll;
	unsigned started;
	unsigned finished;
	unsigned outcomes[OUTCOME_COUNT];
	uint32_t *total_us; // one entry for each success
	uint32_t *open_us;
	uint32_t *first_us;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static enum outcome outcome_of_errno(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return UNREACHABLE;
	default:
		return OTHER;
	}
}

static void finish(struct run *run, struct connection *conn, enum outcome outcome)
{
	unsigned index = run->outcomes[OK];

	if (outcome == OK) {
		run->total_us[index] = (uint32_t)(now_us() - conn->start_us);
		run->open_us[index] = conn->open_us;
		run->first_us[index] = conn->first_us;
	}
	run->outcomes[outcome]++;
	run->finished++;
	close(conn->fd);
	conn->fd = -1;
}

// Ports below 1024 are left out. Where a port is in use the kernel chooses after all, and says so.
static void bind_source(const struct run *run, int fd)
{
	struct sockaddr_storage from = {.ss_family = run->set->to.ss_family};
	unsigned port = 1024 + (run->set->source_port + run->started - 1) % (65536 - 1024);
	int on = 1;

	// The port stands at the same place for both families.
	((struct sockaddr_in *)&from)->sin_port = htons((uint16_t)port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, run->set->to_len) != 0)
		fprintf(stderr, "connect: port %u: %s\n", port, strerror(errno));
}

static void start(struct run *run, struct connection *conn)
{
	const struct settings *set = run->set;
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = conn};

	memset(conn, 0, sizeof(*conn));
	run->started++;
	conn->start_us = now_us();
	conn->fd = socket(set->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0) {
		perror("connect: socket");
		exit(1);
	}
	if (set->source_port != 0)
		bind_source(run, conn->fd);
	if (connect(conn->fd, (const struct sockaddr *)&set->to, set->to_len) != 0 &&
		errno != EINPROGRESS) {
		finish(run, conn, outcome_of_errno(errno));
		return;
	}
	epoll_ctl(run->epoll, EPOLL_CTL_ADD, conn->fd, &event);
}

static enum outcome take_body(
	const struct settings *set, struct connection *conn, const char *bytes, size_t len)
{
	if (set->body != NULL && (conn->body_at + len > set->body_bytes ||
					 memcmp(set->body + conn->body_at, bytes, len) != 0))
		return BAD_BODY;
	conn->body_at += len;
	return PENDING;
}

static enum outcome take(
	const struct settings *set, struct connection *conn, const char *bytes, size_t len)
{
	size_t room = HEADER_BYTES_MAX - 1 - conn->header_bytes;
	size_t part = len < room ? len : room;
	size_t before = conn->header_bytes;
	char *end;

	if (conn->in_body)
		return take_body(set, conn, bytes, len);
	memcpy(conn->header + before, bytes, part);
	conn->header_bytes += part;
	conn->header[conn->header_bytes] = '\0';
	end = strstr(conn->header, "\r\n\r\n");
	if (end == NULL)
		return part < len ? BAD_STATUS : PENDING;
	if (strncmp(conn->header, "HTTP/1.1 200 ", 13) != 0)
		return BAD_STATUS;
	conn->in_body = true;
	part = (size_t)(end + 4 - conn->header) - before;
	return take_body(set, conn, bytes + part, len - part);
}

static enum outcome at_end(const struct settings *set, const struct connection *conn)
{
	if (!conn->in_body || (set->body != NULL && conn->body_at != set->body_bytes))
		return CLOSED_EARLY;
	return OK;
}

static enum outcome readable(const struct settings *set, struct connection *conn)
{
	static char bytes[READ_BYTES];
	enum outcome outcome = PENDING;

	while (outcome == PENDING) {
		ssize_t len = read(conn->fd, bytes, sizeof(bytes));

		if (len < 0)
			return errno == EAGAIN ? PENDING : outcome_of_errno(errno);
		if (len == 0)
			return at_end(set, conn);
		if (conn->first_us == 0)
			conn->first_us = (uint32_t)(now_us() - conn->start_us);
		outcome = take(set, conn, bytes, (size_t)len);
	}
	return outcome;
}

// The connection is open, or was refused: SO_ERROR tells.
static enum outcome opened(struct run *run, struct connection *conn)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0)
		return outcome_of_errno(error);
	conn->open = true;
	conn->open_us = (uint32_t)(now_us() - conn->start_us);
	if (send(conn->fd, run->set->request, run->set->request_bytes, MSG_NOSIGNAL) !=
		(ssize_t)run->set->request_bytes)
		return outcome_of_errno(errno);
	epoll_ctl(run->epoll, EPOLL_CTL_MOD, conn->fd, &event);
	return PENDING;
}

static void start_some(struct run *run, uint64_t begin_us)
{
	const struct settings *set = run->set;

	for (unsigned i = 0; i < set->parallel && run->started < set->count; i++) {
		uint64_t due_us = set->rate ? 1000000ULL * run->started / set->rate : 0;

		if (run->slots[i].fd >= 0)
			continue;
		if (now_us() - begin_us < due_us)
			return;
		start(run, &run->slots[i]);
	}
}

static void expire(struct run *run)
{
	uint64_t limit_us = (uint64_t)run->set->deadline_ms * 1000;

	for (unsigned i = 0; i < run->set->parallel; i++) {
		struct connection *conn = &run->slots[i];

		if (conn->fd >= 0 && now_us() - conn->start_us > limit_us)
			finish(run, conn, TIMEOUT);
	}
}

static void tell_progress(const struct run *run)
{
	if (run->set->progress)
		fprintf(stderr, "%u %u\n", run->outcomes[OK], run->finished - run->outcomes[OK]);
}

static void run_all(struct run *run)
{
	struct epoll_event events[256];
	uint64_t begin_us = now_us(), expired_us = begin_us, told_us = begin_us;

	while (run->finished < run->set->count) {
		int count;

		start_some(run, begin_us);
		count = epoll_wait(run->epoll, events, 256, run->set->rate ? 1 : TICK_MS);
		for (int i = 0; i < count; i++) {
			struct connection *conn = events[i].data.ptr;
			enum outcome outcome =
				conn->open ? readable(run->set, conn) : opened(run, conn);

			if (outcome != PENDING)
				finish(run, conn, outcome);
		}
		if (now_us() - expired_us > TICK_MS * 1000) {
			expire(run);
			expired_us = now_us();
		}
		if (now_us() - told_us > 1000000) {
			tell_progress(run);
			told_us += 1000000;
		}
	}
	tell_progress(run);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *prefix, uint32_t *times, unsigned count)
{
	uint32_t none = 0;

	qsort(times, count, sizeof(*times), compare);
	if (count == 0) {
		times = &none;
		count = 1;
	}
	printf(", \"%sp50_us\": %u, \"%sp99_us\": %u, \"%smax_us\": %u", prefix, times[count / 2],
		prefix, times[(uint64_t)count * 99 / 100], prefix, times[count - 1]);
}

static void report(struct run *run)
{
	unsigned ok = run->outcomes[OK], stalls = 0;
	const char *comma = "";

	printf("{\"ok\": %u, \"failed\": %u", ok, run->finished - ok);
	print_times("", run->total_us, ok);
	print_times("connect_", run->open_us, ok);
	print_times("first_", run->first_us, ok);
	for (unsigned i = 0; i < ok; i++)
		stalls += run->first_us[i] > STALL_US;
	printf(", \"stalls\": %u, \"reasons\": {", stalls);
	for (unsigned i = TIMEOUT; i < OUTCOME_COUNT; i++) {
		if (run->outcomes[i] == 0)
			continue;
		printf("%s\"%s\": %u", comma, outcome_names[i], run->outcomes[i]);
		comma = ", ";
	}
	printf("}}\n");
}

static void usage(void)
{
	fprintf(stderr, "usage: connect --target A:P|[A6]:P [--count N] [--parallel P] [--rate N]\n"
			"               [--path /X] [--body FILE] [--deadline-ms N]\n"
			"               [--source-port N] [--progress]\n");
	exit(2);
}

static void parse_target(struct settings *set, char *text)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&set->to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&set->to;
	char *colon = strrchr(text, ':');
	uint16_t port;

	if (colon == NULL)
		usage();
	port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	snprintf(set->request, sizeof(set->request),
		"GET %s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\n\r\n", set->path,
		(int)(colon - text), text);
	set->request_bytes = strlen(set->request);
	*colon = '\0';
	if (text[0] == '[') {
		text[strlen(text) - 1] = '\0';
		*in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
		set->to_len = sizeof(*in6);
		if (inet_pton(AF_INET6, text + 1, &in6->sin6_addr) != 1)
			usage();
		return;
	}
	*in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
	set->to_len = sizeof(*in4);
	if (inet_pton(AF_INET, text, &in4->sin_addr) != 1)
		usage();
}

static void read_body(struct settings *set, const char *file)
{
	struct stat st;
	int fd;

	if (file == NULL)
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || (set->body = malloc((size_t)st.st_size + 1)) == NULL ||
		read(fd, set->body, (size_t)st.st_size) != st.st_size) {
		fprintf(stderr, "connect: %s: %s\n", file, strerror(errno));
		exit(1);
	}
	set->body_bytes = (size_t)st.st_size;
	close(fd);
}

static void parse(struct settings *set, int argc, char **argv)
{
	static const struct option table[] = {
		{"target", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'c'},
		{"parallel", required_argument, NULL, 'p'},
		{"rate", required_argument, NULL, 'r'},
		{"path", required_argument, NULL, 'u'},
		{"body", required_argument, NULL, 'b'},
		{"deadline-ms", required_argument, NULL, 'd'},
		{"source-port", required_argument, NULL, 's'},
		{"progress", no_argument, NULL, 'g'},
		{NULL, 0, NULL, 0},
	};
	unsigned *numbers[128] = {['c'] = &set->count,
		['p'] = &set->parallel,
		['r'] = &set->rate,
		['d'] = &set->deadline_ms,
		['s'] = &set->source_port};
	char *target = NULL, *body = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 't')
			target = optarg;
		else if (option == 'u')
			set->path = optarg;
		else if (option == 'b')
			body = optarg;
		else if (option == 'g')
			set->progress = true;
		else if (option != '?' && numbers[option] != NULL)
			*numbers[option] = (unsigned)strtoul(optarg, NULL, 10);
		else
			usage();
	}
	if (target == NULL || optind != argc || set->count == 0 || set->parallel == 0)
		usage();
	parse_target(set, target);
	read_body(set, body);
}

int main(int argc, char **argv)
{
	struct settings set = {.count = 1, .parallel = 20, .deadline_ms = 5000, .path = "/"};
	struct run run = {.set = &set};
	struct rlimit files;

	parse(&set, argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	run.slots = calloc(set.parallel, sizeof(*run.slots));
	run.total_us = calloc(set.count, sizeof(uint32_t));
	run.open_us = calloc(set.count, sizeof(uint32_t));
	run.first_us = calloc(set.count, sizeof(uint32_t));
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run.slots == NULL || run.total_us == NULL || run.open_us == NULL ||
		run.first_us == NULL || run.epoll < 0) {
		fprintf(stderr, "connect: no memory\n");
		return 1;
	}
	for (unsigned i = 0; i < set.parallel; i++)
		run.slots[i].fd = -1;
	run_all(&run);
	report(&run);
	return run.outcomes[OK] == set.count ? 0 : 1;
}
