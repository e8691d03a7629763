// A client of the console and the command it waits for. Requests and answers are lines of JSON:
//
//   {"command":"show drop"}    one document: {"schema":1,"node":N,"command":C,"data":{...}} or
//                              {"schema":1,"error":{"code":C,"message":M,...}}
//   {"complete":"show po"}     {"complete":["port"]}
//
// One command runs at a time; the next line is read when it has been answered. A command either
// answers before it returns, or keeps what it needs in session->work and answers later; then it
// sets `cancel`, for the client may go first.
#pragma once

#include "weir/console/table.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>

struct bufferevent;
struct console;
struct node;

#define SESSION_OUTPUT_MAX (1u << 20) // bytes waiting for the client before a stream pauses

struct session {
	LIST_ENTRY(session) entry;
	struct node *node;
	struct console *console;
	struct bufferevent *buffer;
	bool closing;	    // the client sends no more: close when everything is answered
	bool busy;	    // a command runs
	unsigned row_count; // of the list being sent

	struct grammar_line line; // of the command, which args point into
	struct grammar_args args;

	void *work;
	void (*cancel)(struct session *session); // frees work; nothing is answered any more
	void (*resume)(struct session *session); // the output has room again
};

// One for each command of the table.
typedef void command_run(struct session *session);
#define X(name, form, help, example) command_run command_##name;
COMMANDS(X)
#undef X

struct session *session_create(struct node *node, struct console *console, int fd);
void session_destroy(struct session *session);

// Ends the command: with data, which is taken over; with an error: code, message (a format, cut at
// 8 KiB) and optional hint.
void session_answer(struct session *session, json_t *data);
__attribute__((format(printf, 4, 5))) void session_fail(
	struct session *session, const char *code, const char *hint, const char *format, ...);

// The same with a list of what is wrong, which is taken over, as `details`.
void session_fail_details(struct session *session, const char *code, const char *hint,
	const char *message, json_t *details);

// Ends the command with a long list, row by row: {"data":{LIST:[...],KEY:VALUE...}}. `rest` and the
// rows are taken over; a NULL row is skipped.
void session_list_begin(struct session *session, const char *list);
void session_list_row(struct session *session, json_t *row);
void session_list_end(struct session *session, json_t *rest);

// A sign of life inside a list whose next row may take long: a blank, which means nothing in JSON.
void session_list_alive(struct session *session);

// True where more than SESSION_OUTPUT_MAX wait; session->resume is called when they are gone.
bool session_is_full(const struct session *session);

// The grammar with the names of this node.
struct grammar session_grammar(struct node *node);

// Index in node->ports of the command's PORT argument (name or number).
unsigned session_port(const struct session *session);
