// `capture start|stop`, `show capture`: drains the workers' copies (weir/capture.h) into a pcapng
// file, from a timer on the control thread. One at a time; it ends by `capture stop`, its count,
// its size, or an error of the file.
#include "weir/console/console_private.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/capture.h"
#include "weir/console/pcapng.h"
#include "weir/node.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_MS       20
#define DRAIN_MAX      1024	    // copies per timer tick
#define FILE_BYTES_MAX (1ull << 30) // a forgotten capture must not fill the disk

struct record {
	struct node *node;
	struct event *timer;
	FILE *file; // NULL: ended
	char path[GRAMMAR_LINE_BYTES];
	char what[CONFIG_TEXT_BYTES];
	char ended[64];	    // why
	uint64_t count_max; // 0: none
	uint64_t packets, bytes;
	uint64_t lost;
};

static void write_block(struct record *record, const uint8_t *block, size_t len)
{
	if (fwrite(block, 1, len, record->file) == len)
		record->bytes += len;
	else if (!*record->ended)
		snprintf(record->ended, sizeof(record->ended), "%s", strerror(errno));
}

static void comment_of(
	const struct record *record, const struct capture_cell *cell, char *out, size_t room)
{
	static const char *const stages[] = {
		[CAPTURE_RX] = "rx", [CAPTURE_TX] = "tx", [CAPTURE_DROP] = "drop"};
	int used = snprintf(out, room, "stage=%s", stages[cell->stage]);

	if (cell->stage == CAPTURE_DROP && used > 0)
		used += snprintf(out + used, room - (size_t)used, " reason=%s",
			reason_name((enum reason)cell->reason));
	if (cell->rule != RULE_NONE && used > 0)
		snprintf(out + used, room - (size_t)used, " rule=%s",
			policy_rule_name(record->node->config->policy, cell->rule));
}

static void take_cell(void *context, const struct capture_cell *cell)
{
	struct record *record = context;
	uint8_t block[PCAPNG_BLOCK_BYTES];
	char comment[PCAPNG_COMMENT_BYTES];

	if (*record->ended)
		return;
	comment_of(record, cell, comment, sizeof(comment));
	write_block(record, block,
		pcapng_packet(block, &(struct pcapng_packet){.interface = cell->port,
					     .time_ns = cell->time_ns,
					     .len = cell->len,
					     .kept = cell->kept,
					     .data = cell->data,
					     .comment = comment}));
	record->packets++;
	if (!*record->ended && record->count_max && record->packets >= record->count_max)
		snprintf(record->ended, sizeof(record->ended), "count reached");
	else if (!*record->ended && record->bytes >= FILE_BYTES_MAX)
		snprintf(record->ended, sizeof(record->ended), "file size limit");
}

static void close_file(struct record *record)
{
	capture_close();
	record->lost = capture_lost();
	if (fclose(record->file) && !*record->ended)
		snprintf(record->ended, sizeof(record->ended), "%s", strerror(errno));
	record->file = NULL;
	event_free(record->timer);
	record->timer = NULL;
	log_info("capture ended file=%s packets=%llu lost=%llu why=\"%s\"", record->path,
		(unsigned long long)record->packets, (unsigned long long)record->lost,
		record->ended);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct record *record = argument;

	(void)fd;
	(void)what;
	capture_drain(take_cell, record, DRAIN_MAX);
	if (*record->ended)
		close_file(record);
	else
		fflush(record->file);
}

// Takes what the workers copied before the end, then closes.
static void end_capture(struct record *record, const char *why)
{
	capture_close();
	while (!*record->ended && capture_drain(take_cell, record, DRAIN_MAX) == DRAIN_MAX)
		;
	if (!*record->ended)
		snprintf(record->ended, sizeof(record->ended), "%s", why);
	close_file(record);
}

void record_stop(struct node *node, const char *why)
{
	struct record *record = node->console->record;

	if (record && record->file)
		end_capture(record, why);
	free(record);
	node->console->record = NULL;
}

// What may be written over: an empty file, or one that begins as a capture does. A pipe would make
// the control thread wait.
static bool may_replace(int fd)
{
	uint8_t magic[4];
	struct stat file;

	if (fstat(fd, &file) || !S_ISREG(file.st_mode))
		return false;
	return file.st_size == 0 ||
	       (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && pcapng_is_section(magic));
}

static FILE *open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	FILE *file = NULL;

	if (fd < 0)
		return NULL;
	if (!may_replace(fd))
		errno = EEXIST;
	else if (ftruncate(fd, 0) == 0)
		file = fdopen(fd, "w");
	if (!file)
		close(fd); // keeps errno: the descriptor is valid
	return file;
}

static void write_head(struct record *record)
{
	const struct config *config = record->node->config;
	uint8_t block[PCAPNG_BLOCK_BYTES];

	write_block(record, block, pcapng_section(block, "weir " WEIR_VERSION));
	for (unsigned i = 0; i < config->port_count; i++)
		write_block(record, block, pcapng_interface(block, config->ports[i].name));
}

// Opens the file and starts the copying; 0, or an error number of the system.
static int begin(struct record *record, const struct capture_want *want)
{
	const struct timeval period = {.tv_usec = DRAIN_MS * 1000};
	int rc;

	record->file = open_file(record->path);
	if (!record->file)
		return errno;
	record->timer = event_new(record->node->events, -1, EV_PERSIST, on_timer, record);
	if (!record->timer || event_add(record->timer, &period)) {
		if (record->timer)
			event_free(record->timer);
		fclose(record->file);
		return ENOMEM;
	}
	write_head(record);
	rc = capture_open(want, record->node->worker_count);
	if (rc == 0)
		return 0;
	event_free(record->timer);
	fclose(record->file);
	return rc == -ERR_EXISTS ? EBUSY : ENOMEM;
}

static struct record *make_record(struct session *session)
{
	const struct grammar_args *args = &session->args;
	struct record *record = calloc(1, sizeof(*record));
	char folder[NODE_PATH_BYTES];

	if (!record)
		return NULL;
	record->node = session->node;
	record->count_max = args->given >> TYPE_NUMBER & 1 ? args->number : 0;
	snprintf(record->what, sizeof(record->what), "%s", args->words[0]);
	snprintf(record->path, sizeof(record->path), "%s%s",
		*args->file == '/' ? "" : node_path(session->node, "", folder), args->file);
	return record;
}

static json_t *describe(const struct record *record)
{
	if (!record)
		return json_pack("{s:s}", "state", "none");
	return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "state",
		record->file ? "running" : "ended", "what", record->what, "file", record->path,
		"packets", reply_count(record->packets), "bytes", reply_count(record->bytes),
		"lost", reply_count(record->file ? capture_lost() : record->lost), "ended",
		reply_name(*record->ended ? record->ended : NULL));
}

// Port a drop must have arrived on: any, or that of `in NAME`.
static uint8_t drop_port(const struct session *session)
{
	const struct config *config = session->node->config;
	const char *in = session->args.match.in;

	for (unsigned i = 0; i < config->port_count; i++)
		if (strcmp(config->ports[i].name, in) == 0)
			return (uint8_t)i;
	for (unsigned i = 0; i < config->port_count; i++)
		if (strcmp(reply_side(config->ports[i].side), in) == 0)
			return (uint8_t)i;
	return CAPTURE_PORT_ANY;
}

void command_capture_start(struct session *session)
{
	struct console *console = session->console;
	bool is_port = session->args.given >> TYPE_PORT & 1;
	struct capture_want want = {
		.port = is_port ? (uint8_t)session_port(session) : drop_port(session),
		.drops = !is_port,
		.match = session->args.given >> TYPE_PROTOCOL & 1 ? &session->args.match : NULL,
	};
	struct record *record;
	int error;

	if (is_port && want.port >= session->node->port_count) {
		session_fail(session, "bad_argument", NULL,
			"the cluster's port carries no packets of flows");
		return;
	}
	if (is_port && *session->args.match.in) {
		session_fail(session, "bad_argument", NULL, "`in' goes with `drop' only");
		return;
	}
	if (console->record && console->record->file) {
		session_fail(session, "busy", "`capture stop' first", "a capture runs already");
		return;
	}
	record = make_record(session);
	error = record ? begin(record, &want) : ENOMEM;
	if (error) {
		session_fail(session, error == EBUSY ? "busy" : "failed", NULL, "%s: %s",
			session->args.file,
			error == EEXIST ? "exists, and is no capture in pcapng: it is kept"
					: strerror(error));
		free(record);
		return;
	}
	free(console->record);
	console->record = record;
	session_answer(session, describe(record));
}

void command_capture_stop(struct session *session)
{
	struct record *record = session->console->record;

	if (!record || !record->file) {
		session_fail(session, "failed", NULL, "no capture runs");
		return;
	}
	end_capture(record, "stopped");
	session_answer(session, describe(record));
}

void command_show_capture(struct session *session)
{
	session_answer(session, describe(session->console->record));
}
