// The console's state, shared by the files of this folder.
#pragma once

#include "weir/console/session.h"
#include "weir/node.h"
#include "weir/stats.h"

#include <pthread.h>

struct evconnlistener;
struct record;

struct console {
	char path[NODE_PATH_BYTES]; // of the socket
	struct evconnlistener *listener;
	LIST_HEAD(, session) sessions;
	unsigned session_count;
	struct port_stats cleared[CONFIG_PORTS_MAX]; // what `clear port stats` saw
	struct record *record;			     // the running or last capture (capture.c)
	bool has_front;
	pthread_t front;
};

// A session ends (session.c).
void console_forget(struct console *console, struct session *session);

// Ends a running capture and forgets it; `why` is shown. Harmless where there is none (capture.c).
void record_stop(struct node *node, const char *why);

// JSON of unsigned counters, and of names that may be missing (NULL).
json_t *reply_count(uint64_t count);
json_t *reply_name(const char *name);

// A row of `show flow` (flow.c).
struct flow_row;
json_t *reply_flow(const struct node *node, const struct flow_row *row, unsigned worker);
const char *reply_side(unsigned side);
