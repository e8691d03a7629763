// The log of the programs in src/. One line per event: a sentence, then `key=value` facts. Written
// by the control side only: workers count, they never log. Lines go to stderr, a file or syslog;
// under journald stderr lines carry the `<N>` priority it understands.
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

struct log_options {
	const char *ident;  // for syslog, and for people: "weir"
	const char *level;  // "error" "warning" "info" "debug"
	const char *to;	    // "auto", "stderr", "syslog", or "file:PATH" / an absolute path
	const char *folder; // with "auto": FOLDER/log is written too (NULL: no)
	bool quiet;	    // with "auto": only errors on stderr (a console owns the terminal)
};

// Opens the log, replacing what was open. 0, or -ERR_MISSING where the file cannot be opened (the
// log then stays as it was) or -ERR_RANGE for a level that does not exist. Before the first
// log_open() lines of level info and above go to stderr.
int log_open(const struct log_options *options);
void log_close(void);

// Level by name; -ERR_RANGE where there is no such level.
int log_level_parse(const char *name, enum log_level *out);
const char *log_level_name(enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
