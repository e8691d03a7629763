#include "common/client.h"

#include "common/render.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS_PATTERN "/run/weir/*/console.sock"
#define CHUNK_BYTES	65536
// How every refusal begins, and those of a command that is wrong in itself.
#define ERROR_START	"{\"schema\":1,\"error\":"
#define UNKNOWN_COMMAND "unknown_command"
#define BAD_ARGUMENT	"bad_argument"
#define ERROR_BYTES	64 // enough of a document to tell which

volatile sig_atomic_t client_cancelled;
volatile sig_atomic_t client_closing;

void client_init(struct client *client, const char *socket, bool json, unsigned timeout_s)
{
	*client = (struct client){.socket = socket,
		.json = json,
		.timeout_s = timeout_s,
		.out = stdout,
		.err = stderr,
		.fd = -1};
}

static void disconnect(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->line_len = 0;
}

void client_finish(struct client *client)
{
	disconnect(client);
	free(client->line);
	client->line = NULL;
	client->line_room = 0;
}

// The timeout is that of connecting, of each send and of each receive.
static int connect_to(const char *path, unsigned timeout_s)
{
	const struct timeval timeout = {.tv_sec = timeout_s};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, saved;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

// False for the socket a killed process left: nobody listens there.
static bool is_served(const char *path)
{
	int fd = connect_to(path, 1);

	if (fd < 0)
		return errno != ECONNREFUSED;
	close(fd);
	return true;
}

// Keeps the paths of those that run, in their order.
static size_t drop_dead(char **paths, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		char *path = paths[i];

		if (!is_served(path))
			continue;
		paths[i] = paths[kept];
		paths[kept++] = path;
	}
	return kept;
}

char *client_find_socket(const char *given, FILE *err)
{
	glob_t found = {.gl_pathc = 0};
	char *path = NULL;
	size_t count = 0;

	if (!given)
		given = getenv("WEIR_SOCKET");
	if (given && *given)
		return strdup(given);
	if (glob(SOCKETS_PATTERN, 0, NULL, &found) == 0)
		count = drop_dead(found.gl_pathv, found.gl_pathc);
	if (count == 1) {
		path = strdup(found.gl_pathv[0]);
	} else if (count == 0) {
		fprintf(err, "error: no running weir found: nobody listens at %s\n",
			SOCKETS_PATTERN);
		fprintf(err, "hint: %sname its socket with -s or WEIR_SOCKET\n",
			geteuid() == 0 ? "" : "only root may look there: try sudo; or ");
	} else {
		fprintf(err, "error: more than one weir is running; choose one with -s:\n");
		for (size_t i = 0; i < count; i++)
			fprintf(err, "  %s\n", found.gl_pathv[i]);
	}
	globfree(&found);
	return path;
}

static int connect_socket(struct client *client)
{
	if (client->fd < 0)
		client->fd = connect_to(client->socket, client->timeout_s);
	return client->fd < 0 ? -1 : 0;
}

static bool interrupted(void)
{
	return errno == EINTR && !client_cancelled;
}

static int send_all(struct client *client, const char *data, size_t len)
{
	while (len) {
		ssize_t sent = send(client->fd, data, len, MSG_NOSIGNAL);

		if (sent < 0 && interrupted())
			continue;
		if (sent < 0)
			return -1;
		data += sent;
		len -= (size_t)sent;
	}
	return 0;
}

static int send_request(struct client *client, const char *key, const char *value)
{
	json_t *request = json_pack("{s:s}", key, value);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int rc = -1;

	json_decref(request);
	if (!text)
		errno = EILSEQ; // not UTF-8
	else
		rc = send_all(client, text, strlen(text)) || send_all(client, "\n", 1) ? -1 : 0;
	free(text);
	return rc;
}

// Sends a request, over a new connection where the old one turns out to be dead (a restart).
static int ask(struct client *client, const char *key, const char *value)
{
	bool reused = client->fd >= 0;

	if (connect_socket(client))
		return -1;
	if (send_request(client, key, value) == 0)
		return 0;
	if (!reused || errno != EPIPE)
		return -1;
	disconnect(client);
	return connect_socket(client) || send_request(client, key, value) ? -1 : 0;
}

// Reads more behind client->line. 0, or -1 with errno.
static int receive(struct client *client)
{
	ssize_t got = -1;

	if (client->line_room - client->line_len < CHUNK_BYTES) {
		size_t room = 2 * client->line_room + CHUNK_BYTES;
		char *grown = realloc(client->line, room);

		if (!grown)
			return -1;
		client->line = grown;
		client->line_room = room;
	}
	do
		if (!client_cancelled)
			got = recv(client->fd, client->line + client->line_len, CHUNK_BYTES, 0);
	while (got < 0 && interrupted());
	if (got == 0)
		errno = ECONNRESET;
	if (got <= 0)
		return -1;
	client->line_len += (size_t)got;
	return 0;
}

// Length of the first line with its end, 0 where there is none yet. Looks from `from` on.
static size_t line_len(const struct client *client, size_t from)
{
	const char *end = client->line_len > from
				  ? memchr(client->line + from, '\n', client->line_len - from)
				  : NULL;

	return end ? (size_t)(end - client->line) + 1 : 0;
}

static void drop_front(struct client *client, size_t len)
{
	memmove(client->line, client->line + len, client->line_len - len);
	client->line_len -= len;
}

// The answer as a document; NULL with errno where none came.
static json_t *receive_document(struct client *client)
{
	json_error_t error;
	json_t *document;
	size_t len = 0, seen = 0;

	while (!(len = line_len(client, seen))) {
		seen = client->line_len;
		if (receive(client))
			return NULL;
	}
	document = json_loadb(client->line, len, 0, &error);
	drop_front(client, len);
	if (!document)
		errno = EPROTO;
	return document;
}

static enum client_status status_of(const char *code)
{
	return strcmp(code, UNKNOWN_COMMAND) == 0 || strcmp(code, BAD_ARGUMENT) == 0
		       ? CLIENT_USAGE
		       : CLIENT_FAILED;
}

// What the first bytes of a document say.
static enum client_status status_of_text(const char *text, size_t len)
{
	char start[ERROR_BYTES + 1];
	char code[ERROR_BYTES + 1] = "";

	snprintf(start, sizeof(start), "%.*s", (int)(len < ERROR_BYTES ? len : ERROR_BYTES), text);
	if (strncmp(start, ERROR_START, strlen(ERROR_START)) != 0)
		return CLIENT_OK;
	(void)!sscanf(start + strlen(ERROR_START), "{\"code\":\"%[a-z_]\"", code);
	return status_of(code);
}

// Copies the answer to `out` as it comes, however long. Its first bytes tell a refusal.
static enum client_status copy_document(struct client *client)
{
	enum client_status status = CLIENT_OK;
	bool begun = false;
	size_t end, part;

	for (;;) {
		end = line_len(client, 0);
		if (!begun && (end || client->line_len >= ERROR_BYTES)) {
			begun = true;
			status = status_of_text(client->line, end ? end : client->line_len);
		}
		part = end ? end : begun ? client->line_len : 0;
		if (part && fwrite(client->line, 1, part, client->out) != part)
			return CLIENT_FAILED;
		if (part)
			drop_front(client, part);
		if (end)
			return fflush(client->out) ? CLIENT_FAILED : status;
		if (receive(client))
			return CLIENT_UNREACHABLE;
	}
}

static enum client_status print_document(struct client *client, const char *command)
{
	json_t *document = receive_document(client);
	enum client_status status = CLIENT_OK;
	const json_t *error, *code;

	if (!document)
		return CLIENT_UNREACHABLE;
	error = json_object_get(document, "error");
	if (error) {
		fflush(client->out);
		render_error(document, client->place, command, client->err);
		code = json_object_get(error, "code");
		status = status_of(json_is_string(code) ? json_string_value(code) : "");
	} else {
		render_document(document, client->out);
		if (fflush(client->out))
			status = CLIENT_FAILED;
	}
	json_decref(document);
	return status;
}

static void tell_unreachable(const struct client *client, bool reused)
{
	const char *what = reused ? "lost" : "cannot reach";
	bool closed = errno == EACCES && geteuid() != 0;

	// What a socket's timeout says.
	if (client->timeout_s && (errno == EAGAIN || errno == EWOULDBLOCK))
		fprintf(client->err, "%serror: %s weir at %s: no answer for %u s\n", client->place,
			what, client->socket, client->timeout_s);
	else
		fprintf(client->err, "%serror: %s weir at %s: %s\n", client->place, what,
			client->socket, strerror(errno));
	if (closed)
		fprintf(client->err,
			"%shint: only who runs that weir may look there, or root: "
			"try sudo\n",
			client->place);
}

enum client_status client_command(struct client *client, const char *command)
{
	enum client_status status = CLIENT_UNREACHABLE;
	bool reused = client->fd >= 0;

	client_cancelled = 0;
	if (ask(client, "command", command) == 0)
		status = client->json ? copy_document(client) : print_document(client, command);
	if (status != CLIENT_UNREACHABLE)
		return status;
	disconnect(client);
	if (client_cancelled) {
		fprintf(client->err, "%scancelled\n", client->place);
		return CLIENT_FAILED;
	}
	tell_unreachable(client, reused);
	return status;
}

json_t *client_complete(struct client *client, const char *text)
{
	json_t *document = NULL;
	json_t *words;

	client_cancelled = 0;
	if (ask(client, "complete", text) == 0)
		document = receive_document(client);
	if (!document) {
		disconnect(client);
		return NULL;
	}
	words = json_incref(json_object_get(document, "complete"));
	json_decref(document);
	return words;
}

bool client_is_quit(const char *command)
{
	size_t len;

	command += strspn(command, " \t");
	len = strcspn(command, " \t\n");
	if (command[len + strspn(command + len, " \t\n")])
		return false;
	return len == 4 && (memcmp(command, "quit", 4) == 0 || memcmp(command, "exit", 4) == 0);
}

static enum client_status run_line(
	struct client *client, const char *command, const char *name, unsigned number)
{
	snprintf(client->place, sizeof(client->place), "%.100s:%u: ", name, number);
	enum client_status status = client_command(client, command);
	// A document does not say what it answers to.
	if ((status == CLIENT_FAILED || status == CLIENT_USAGE) && client->json)
		fprintf(client->err, "%serror: %s\n", client->place, command);
	client->place[0] = '\0';
	return status;
}

// Ends the line at its comment: a # at the start of a word, outside quotes.
static void cut_comment(char *line)
{
	bool quoted = false;

	for (char *at = line; *at; at++) {
		quoted ^= *at == '"';
		if (*at == '#' && !quoted && (at == line || at[-1] == ' ' || at[-1] == '\t')) {
			*at = '\0';
			return;
		}
	}
}

enum client_status client_batch(struct client *client, FILE *file, const char *name)
{
	enum client_status status = CLIENT_OK;
	unsigned number = 0;
	char *line = NULL;
	size_t room = 0;

	while (status == CLIENT_OK && getline(&line, &room, file) >= 0) {
		char *start;

		number++;
		line[strcspn(line, "\r\n")] = '\0';
		cut_comment(line);
		start = line + strspn(line, " \t");
		if (*start == '\0')
			continue;
		if (client_is_quit(start))
			break;
		status = run_line(client, start, name, number);
	}
	if (status == CLIENT_OK && ferror(file) && !client_closing) {
		fprintf(client->err, "error: %s cannot be read: %s\n", name, strerror(errno));
		status = CLIENT_FAILED;
	}
	free(line);
	return status;
}
