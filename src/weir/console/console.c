// The listening socket and the list of clients. All of it runs on the control thread; the front end
// of `weir run -i` is a client like any other, on a thread of its own.
#include "weir/console/console.h"

#include "base/error.h"
#include "common/client.h"
#include "common/log.h"
#include "weir/console/console_private.h"
#include "weir/console/session.h"
#include "weir/node.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX    64
#define BACKLOG	       16
#define FRONT_RETRY_NS 50000000 // between attempts to wake the front end

static void refuse(int fd)
{
	static const char text[] = "{\"schema\":1,\"error\":{\"code\":\"busy\",\"message\":"
				   "\"64 clients are connected, the most there may be: end one\"}}\n";

	(void)!send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
	int len, void *argument)
{
	struct node *node = argument;
	struct console *console = node->console;
	struct session *session;

	(void)listener;
	(void)address;
	(void)len;
	session = console->session_count < CLIENTS_MAX ? session_create(node, console, fd) : NULL;
	if (!session) {
		refuse(fd);
		return;
	}
	LIST_INSERT_HEAD(&console->sessions, session, entry);
	console->session_count++;
}

void console_forget(struct console *console, struct session *session)
{
	LIST_REMOVE(session, entry);
	console->session_count--;
}

static int listen_on(struct node *node, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t before;

	if (strlen(path) >= sizeof(address.sun_path)) {
		log_error("the console's socket has too long a name socket=%s", path);
		return -ERR_RANGE;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path); // an earlier run's: the runtime folder is locked
	before = umask(0177);
	node->console->listener = evconnlistener_new_bind(node->events, on_accept, node,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, (struct sockaddr *)&address,
		sizeof(address));
	umask(before);
	if (!node->console->listener) {
		log_error(
			"the console cannot listen socket=%s error=\"%s\"", path, strerror(errno));
		return -ERR_MISSING;
	}
	return 0;
}

// The front end's thread. When its user leaves, so does the appliance, by the same way as with a
// SIGTERM from outside.
static void *run_front(void *argument)
{
	struct console *console = argument;
	struct client client;
	bool quit;

	client_init(&client, console->path, false, 0); // it is this process
	if (isatty(STDIN_FILENO))
		client_interact(&client, &quit);
	else
		client_batch(&client, stdin, "stdin");
	client_finish(&client);
	if (client_closing)
		return NULL;
	if (!isatty(STDIN_FILENO))
		fprintf(stderr, "weir: standard input ended, and with it `weir run -i'; without -i "
				"it runs on its own\n");
	kill(getpid(), SIGTERM);
	return NULL;
}

// Wakes the front end out of its wait for the terminal until it is gone: one signal may come just
// before the wait begins.
static void stop_front(struct console *console)
{
	struct timespec until;

	if (!console->has_front)
		return;
	client_closing = 1;
	do {
		pthread_kill(console->front, SIGURG);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += FRONT_RETRY_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(console->front, NULL, &until) == ETIMEDOUT);
}

static void on_wake(int number)
{
	(void)number;
}

// SIGURG, which nothing else here uses, interrupts the front end's system call.
static int start_front(struct console *console)
{
	struct sigaction wake = {.sa_handler = on_wake};

	sigaction(SIGURG, &wake, NULL);
	if (pthread_create(&console->front, NULL, run_front, console)) {
		log_error("the console's front end cannot start");
		return -ERR_MEMORY;
	}
	console->has_front = true;
	return 0;
}

int console_start(struct node *node)
{
	struct console *console = calloc(1, sizeof(*console));
	int rc;

	if (!console) {
		log_error("no memory for the console");
		return -ERR_MEMORY;
	}
	node->console = console;
	LIST_INIT(&console->sessions);
	node_path(node, "console.sock", console->path);
	rc = listen_on(node, console->path);
	if (rc == 0 && node->interactive)
		rc = start_front(console);
	if (rc)
		console_stop(node);
	return rc;
}

void console_stop(struct node *node)
{
	struct console *console = node->console;
	struct session *session;

	if (console->listener) {
		evconnlistener_free(console->listener);
		unlink(console->path);
	}
	while ((session = LIST_FIRST(&console->sessions)))
		session_destroy(session);
	record_stop(node, "the appliance ends");
	stop_front(console);
	free(console);
	node->console = NULL;
}
