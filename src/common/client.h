// The console's client: what weirctl does, and what `weir run -i` does with its own socket. One
// connection; a request is one line of JSON, its answer one document on one line.
#pragma once

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

enum client_status { // exit statuses of weirctl
	CLIENT_OK = 0,
	CLIENT_FAILED = 1,
	CLIENT_USAGE = 2, // an unknown command or argument, too
	CLIENT_UNREACHABLE = 3,
};

struct client {
	const char *socket;
	bool json;	    // print documents, not text
	unsigned timeout_s; // of the appliance's silence, 0: none
	FILE *out;
	FILE *err;
	char place[128]; // "FILE:LINE: " of the command being run; empty outside a file
	int fd;		 // -1: not connected
	char *line;	 // what came in behind the last answer
	size_t line_len;
	size_t line_room;
};

// Set by a signal handler while an answer is awaited: the request is given up, with the connection.
extern volatile sig_atomic_t client_cancelled;
// Set, followed by a SIGINT to the thread in client_interact() or client_batch(): it returns.
extern volatile sig_atomic_t client_closing;

#define CLIENT_TIMEOUT_S 10

// An appliance that says nothing for timeout_s (0: for ever) cannot be reached.
void client_init(struct client *client, const char *socket, bool json, unsigned timeout_s);
void client_finish(struct client *client);

// Finds the socket: `given`, $WEIR_SOCKET, or the only /run/weir/*/console.sock. Heap memory, or
// NULL after an error that lists what is there.
char *client_find_socket(const char *given, FILE *err);

// Runs one command line and prints its answer to out, an error to err (as JSON to out).
enum client_status client_command(struct client *client, const char *command);

// The words that could end the command line: a list of strings, or NULL.
json_t *client_complete(struct client *client, const char *text);

// Runs the lines of a file until one fails; empty lines and comments (from a # at the start of a
// word to the end of the line) are skipped, `quit` ends it. Errors begin with `name` and the line's
// number.
enum client_status client_batch(struct client *client, FILE *file, const char *name);

// True for `quit` and `exit`, which leave the client.
bool client_is_quit(const char *command);

// Line editing on a terminal until `quit` or the end of input. *quit says which.
enum client_status client_interact(struct client *client, bool *quit);
