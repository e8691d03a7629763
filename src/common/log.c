// One sink, opened by options, written by the control side only. Where lines go is decided once, in
// log_open(); a line is built on the stack and written with one call, so lines of concurrent
// threads (DPDK's own) do not mix.
#include "common/log.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048

static struct {
	enum log_level level;
	bool to_stderr;
	bool quiet; // a console owns the terminal: only errors go there
	bool to_syslog;
	bool journal; // stderr is the journal: lines carry <N>
	int file;     // -1: none
	char ident[32];
} sink = {.level = LOG_LEVEL_INFO, .to_stderr = true, .file = -1, .ident = "weir"};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

int log_level_parse(const char *name, enum log_level *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -ERR_RANGE;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

void log_set_level(enum log_level level)
{
	sink.level = level;
}

enum log_level log_get_level(void)
{
	return sink.level;
}

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// The file of `options`, or -1; *missing tells a file that cannot be opened from none asked for.
static int open_target(const struct log_options *options, bool *missing)
{
	char path[512];

	*missing = false;
	if (strcmp(options->to, "auto") == 0) {
		if (!options->folder || getenv("JOURNAL_STREAM"))
			return -1;
		snprintf(path, sizeof(path), "%s/log", options->folder);
	} else if (strncmp(options->to, "file:", 5) == 0) {
		snprintf(path, sizeof(path), "%s", options->to + 5);
	} else if (strchr(options->to, '/')) {
		snprintf(path, sizeof(path), "%s", options->to);
	} else {
		return -1;
	}
	int file = open_file(path);
	*missing = file < 0;
	return file;
}

int log_open(const struct log_options *options)
{
	bool is_auto = strcmp(options->to, "auto") == 0;
	enum log_level level;
	bool missing;

	if (log_level_parse(options->level, &level))
		return -ERR_RANGE;
	int file = open_target(options, &missing);
	if (missing)
		return -ERR_MISSING;
	log_close();
	sink.level = level;
	sink.file = file;
	sink.journal = getenv("JOURNAL_STREAM") != NULL;
	sink.to_syslog = strcmp(options->to, "syslog") == 0;
	sink.to_stderr = strcmp(options->to, "stderr") == 0 || is_auto;
	sink.quiet = is_auto && options->quiet;
	snprintf(sink.ident, sizeof(sink.ident), "%s", options->ident);
	if (sink.to_syslog)
		openlog(sink.ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	return 0;
}

void log_close(void)
{
	if (sink.to_syslog)
		closelog();
	if (sink.file >= 0)
		close(sink.file);
	sink.file = -1;
	sink.to_syslog = false;
	sink.to_stderr = true;
	sink.quiet = false;
}

// "2024-01-31T12:00:00.123Z" into out.
static void format_time(char *out, size_t size)
{
	struct timeval now;
	struct tm tm;
	char day[24];

	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, size, "%s.%03uZ", day, (unsigned)(now.tv_usec / 1000));
}

// A log that cannot be written to is nothing the program can do anything about.
static void write_line(int fd, const char *prefix, const char *text)
{
	char line[LINE_BYTES + 64];
	int len = snprintf(line, sizeof(line), "%s%s\n", prefix, text);

	if (len >= (int)sizeof(line))
		len = (int)sizeof(line) - 1;
	while (write(fd, line, (size_t)len) < 0 && errno == EINTR) {
	}
}

void log_write(enum log_level level, const char *format, ...)
{
	char text[LINE_BYTES];
	char prefix[64];
	char now[32];
	va_list args;

	if (level > sink.level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	format_time(now, sizeof(now));
	snprintf(prefix, sizeof(prefix), "%s %s ", now, level_names[level]);
	if (sink.file >= 0)
		write_line(sink.file, prefix, text);
	if (sink.to_syslog)
		syslog(priorities[level], "%s", text);
	if (!sink.to_stderr || (sink.quiet && level > LOG_LEVEL_ERROR))
		return;
	if (sink.journal)
		snprintf(prefix, sizeof(prefix), "<%d>", priorities[level]);
	write_line(STDERR_FILENO, prefix, text);
}
