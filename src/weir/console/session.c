#include "weir/console/console_private.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/console/form.h"
#include "weir/node.h"
#include "weir/port.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX 16384
#define MESSAGE_BYTES	  8192
#define STALLED_S	  30 // a client that takes nothing for so long is cut off
#define OUTPUT_LOW_BYTES  (SESSION_OUTPUT_MAX / 4)

static command_run *const commands[COMMAND_COUNT] = {
#define X(name, form, help, example) [COMMAND_##name] = command_##name,
	COMMANDS(X)
#undef X
};

json_t *reply_count(uint64_t count)
{
	return json_integer((json_int_t)count);
}

json_t *reply_name(const char *name)
{
	return name ? json_string(name) : json_null();
}

const char *reply_side(unsigned side)
{
	if (side == SIDE_SYNC)
		return "sync";
	return side == SIDE_INSIDE ? "inside" : "outside";
}

static void values(void *context, enum grammar_type type, struct grammar_choices *out)
{
	const struct node *node = context;
	const struct policy *policy = node->config->policy;

	if (type == TYPE_PORT)
		for (unsigned i = 0; i < node->device_count; i++)
			grammar_choice_add(out, node->ports[i].config->name);
	if (type == TYPE_PEER)
		for (unsigned i = 0; i < node->config->cluster.peer_count; i++)
			grammar_choice_add(out, node->config->cluster.peers[i].name);
	if (type == TYPE_SERVICE)
		for (unsigned i = 0; i < policy->service_count; i++)
			grammar_choice_add(out, policy->services[i].name);
}

struct grammar session_grammar(struct node *node)
{
	return (struct grammar){.commands = command_table,
		.command_count = COMMAND_COUNT,
		.values = values,
		.context = node};
}

unsigned session_port(const struct session *session)
{
	const struct node *node = session->node;

	for (unsigned i = 0; i < node->device_count; i++)
		if (strcmp(node->ports[i].config->name, session->args.port) == 0)
			return i;
	return (unsigned)strtoul(session->args.port, NULL, 10);
}

bool session_is_full(const struct session *session)
{
	return evbuffer_get_length(bufferevent_get_output(session->buffer)) > SESSION_OUTPUT_MAX;
}

static void send_text(struct session *session, const char *text)
{
	bufferevent_write(session->buffer, text, strlen(text));
}

// Writes a document without its line end; the caller's reference is taken.
static void send_json(struct session *session, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (text)
		send_text(session, text);
	else
		send_text(session, "{\"schema\":1,\"error\":{\"code\":\"failed\","
				   "\"message\":\"out of memory\"}}");
	free(text);
	json_decref(document);
}

static void finish(struct session *session)
{
	send_text(session, "\n");
	session->busy = false;
	session->work = NULL;
	session->cancel = NULL;
	session->resume = NULL;
	// The next request is taken by the loop, not by whoever answered this one.
	bufferevent_trigger(
		session->buffer, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

// The command as the table spells it, with its arguments as they were given.
static void command_name(const struct session *session, char *out, size_t room)
{
	size_t used = form_path(command_table[session->args.command].form, out, room);

	for (unsigned i = 0; i < session->args.word_count && used < room; i++)
		used += (size_t)snprintf(out + used, room - used, " %s", session->args.words[i]);
}

void session_answer(struct session *session, json_t *data)
{
	char name[GRAMMAR_LINE_BYTES];

	command_name(session, name, sizeof(name));
	send_json(session, json_pack("{s:i,s:s,s:s,s:o}", "schema", 1, "node",
				   session->node->config->node, "command", name, "data", data));
	finish(session);
}

static json_t *error_document(const char *code, const char *message, const char *hint)
{
	json_t *document = json_pack(
		"{s:i,s:{s:s,s:s}}", "schema", 1, "error", "code", code, "message", message);

	if (hint && *hint)
		json_object_set_new(json_object_get(document, "error"), "hint", json_string(hint));
	return document;
}

void session_fail(
	struct session *session, const char *code, const char *hint, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	send_json(session, error_document(code, message, hint));
	finish(session);
}

void session_fail_details(struct session *session, const char *code, const char *hint,
	const char *message, json_t *details)
{
	json_t *document = error_document(code, message, hint);

	json_object_set_new(json_object_get(document, "error"), "details", details);
	send_json(session, document);
	finish(session);
}

static void fail_grammar(struct session *session, const struct grammar_error *error)
{
	json_t *document = error_document(error->code, error->message, error->hint);
	json_t *body = json_object_get(document, "error");

	json_object_set_new(body, "column", json_integer(error->column));
	json_object_set_new(body, "length", json_integer(error->length));
	send_json(session, document);
	finish(session);
}

void session_list_begin(struct session *session, const char *list)
{
	char name[GRAMMAR_LINE_BYTES];

	command_name(session, name, sizeof(name));
	send_text(session, "{\"schema\":1,\"node\":");
	send_json(session, json_string(session->node->config->node));
	send_text(session, ",\"command\":");
	send_json(session, json_string(name));
	send_text(session, ",\"data\":{\"");
	send_text(session, list);
	send_text(session, "\":[");
	session->row_count = 0;
}

void session_list_row(struct session *session, json_t *row)
{
	if (!row)
		return;
	if (session->row_count++)
		send_text(session, ",");
	send_json(session, row);
}

void session_list_alive(struct session *session)
{
	send_text(session, " ");
}

void session_list_end(struct session *session, json_t *rest)
{
	const char *key;
	json_t *value;

	send_text(session, "]");
	json_object_foreach(rest, key, value)
	{
		send_text(session, ",\"");
		send_text(session, key);
		send_text(session, "\":");
		send_json(session, json_incref(value));
	}
	json_decref(rest);
	send_text(session, "}}");
	finish(session);
}

static void run_command(struct session *session, const char *text)
{
	struct grammar grammar = session_grammar(session->node);
	struct grammar_error error;

	session->busy = true;
	if (grammar_split(&session->line, text, &error) ||
		grammar_parse(&grammar, &session->line, &session->args, &error)) {
		fail_grammar(session, &error);
		return;
	}
	commands[session->args.command](session);
}

static void run_complete(struct session *session, const char *text)
{
	struct grammar grammar = session_grammar(session->node);
	struct grammar_choices choices;
	json_t *words = json_array();

	grammar_complete(&grammar, text, &choices);
	for (unsigned i = 0; i < choices.count; i++)
		json_array_append_new(words, json_string(choices.word[i]));
	send_json(session, json_pack("{s:o}", "complete", words));
	send_text(session, "\n");
}

static void run_request(struct session *session, const char *line, size_t len)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const char *command = json_string_value(json_object_get(request, "command"));
	const char *complete = json_string_value(json_object_get(request, "complete"));

	if (command) {
		run_command(session, command);
	} else if (complete) {
		run_complete(session, complete);
	} else {
		send_json(session, error_document("bad_argument",
					   "a request is a line {\"command\":\"...\"}", NULL));
		send_text(session, "\n");
	}
	json_decref(request);
}

// Takes requests until a command has to wait, or the output is full. True where the session is
// gone.
static bool take_requests(struct session *session)
{
	struct evbuffer *input = bufferevent_get_input(session->buffer);
	size_t len;
	char *line;

	while (!session->busy && !session_is_full(session) &&
		(line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF))) {
		run_request(session, line, len);
		free(line);
	}
	if (!session->busy && evbuffer_get_length(input) >= REQUEST_BYTES_MAX &&
		evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF).pos < 0) {
		send_json(session, error_document("bad_argument", "the request is too long", NULL));
		send_text(session, "\n");
		evbuffer_drain(input, evbuffer_get_length(input));
		session->closing = true;
	}
	if (session->closing && !session->busy && !session_is_full(session) &&
		evbuffer_get_length(bufferevent_get_output(session->buffer)) == 0) {
		session_destroy(session);
		return true;
	}
	return false;
}

static void on_read(struct bufferevent *buffer, void *argument)
{
	(void)buffer;
	take_requests(argument);
}

static void on_write(struct bufferevent *buffer, void *argument)
{
	struct session *session = argument;

	(void)buffer;
	if (session->resume)
		session->resume(session);
	else
		take_requests(session);
}

static void on_event(struct bufferevent *buffer, short what, void *argument)
{
	struct session *session = argument;

	// A client that only stopped sending still gets its answers; one that is gone does not, and
	// libevent may tell both at once.
	if ((what & BEV_EVENT_EOF) && !(what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))) {
		session->closing = true;
		bufferevent_disable(buffer, EV_READ);
		take_requests(session);
		return;
	}
	if (what & BEV_EVENT_TIMEOUT)
		log_warning("a console client was cut off: it took nothing seconds=%d", STALLED_S);
	session_destroy(session);
}

struct session *session_create(struct node *node, struct console *console, int fd)
{
	const struct timeval stalled = {.tv_sec = STALLED_S};
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	session->node = node;
	session->console = console;
	session->buffer = bufferevent_socket_new(
		node->events, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!session->buffer) {
		free(session);
		return NULL;
	}
	bufferevent_setcb(session->buffer, on_read, on_write, on_event, session);
	bufferevent_set_timeouts(session->buffer, NULL, &stalled);
	bufferevent_setwatermark(session->buffer, EV_READ, 0, REQUEST_BYTES_MAX);
	bufferevent_setwatermark(session->buffer, EV_WRITE, OUTPUT_LOW_BYTES, 0);
	bufferevent_enable(session->buffer, EV_READ | EV_WRITE);
	return session;
}

void session_destroy(struct session *session)
{
	if (session->cancel)
		session->cancel(session);
	console_forget(session->console, session);
	bufferevent_free(session->buffer);
	free(session);
}
