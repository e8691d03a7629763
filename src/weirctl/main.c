// weirctl: the console of a running appliance.
#include "common/client.h"

#include "common/render.h"
#include "weir/console/help.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STDIN_NAME    "stdin"
#define TIMEOUT_MAX_S 86400

static const char usage_text[] =
	"usage: weirctl [-s SOCKET] [-j] [-t SECONDS] [-f FILE] [COMMAND...]\n"
	"  -s, --socket SOCKET  console of the appliance; else $WEIR_SOCKET, else the only\n"
	"                       /run/weir/*/console.sock\n"
	"  -j, --json           print one JSON document per command\n"
	"  -t, --timeout SECONDS  give up where the appliance says nothing for so long (10; 0:\n"
	"                       never)\n"
	"  -f, --file FILE      run the commands in FILE (- for stdin) until one fails\n"
	"  -h, --help           this text; `weirctl help all' explains every command\n"
	"  -V, --version\n"
	"Without a command it asks for them: TAB completes, ? lists, quit leaves.\n"
	"Exit status: 0 done; 1 a command failed, or FILE cannot be read; 2 an unknown option,\n"
	"command or argument; 3 the appliance cannot be reached, or does not answer.\n";

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	{"timeout", required_argument, NULL, 't'},
	{"file", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

// One command line of the arguments; one with blanks in it is a word of its own.
static char *join(int count, char **words)
{
	size_t len = 1;
	char *line, *to;

	for (int i = 0; i < count; i++)
		len += strlen(words[i]) + 3;
	line = to = malloc(len);
	if (!line)
		return NULL;
	*to = '\0';
	for (int i = 0; i < count; i++) {
		// A whole command given as one argument is what it says.
		bool quote = count > 1 && (strpbrk(words[i], " \t") || !*words[i]);

		to += snprintf(to, len - (size_t)(to - line), quote ? "%s\"%s\"" : "%s%s",
			i ? " " : "", words[i]);
	}
	return line;
}

static enum client_status run_file(struct client *client, const char *path)
{
	enum client_status status;
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

	if (!file) {
		fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
		return CLIENT_FAILED;
	}
	status = client_batch(client, file, file == stdin ? STDIN_NAME : path);
	if (file != stdin)
		fclose(file);
	return status;
}

static enum client_status run_words(struct client *client, int count, char **words)
{
	char *line = join(count, words);
	enum client_status status = CLIENT_FAILED;

	if (line)
		status = client_is_quit(line) ? CLIENT_OK : client_command(client, line);
	free(line);
	return status;
}

static enum client_status run(struct client *client, const char *file, int count, char **words)
{
	bool quit;

	if (file)
		return run_file(client, file);
	if (count)
		return run_words(client, count, words);
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return client_interact(client, &quit);
	return client_batch(client, stdin, STDIN_NAME);
}

// Help is the same without an appliance. In JSON it is one's own answer, with its name.
static enum client_status print_help(int count, char **words)
{
	json_t *rows = help_rows((const char *const *)words, (unsigned)count);
	json_t *document = json_pack("{s:{s:o}}", "data", "commands", rows);
	bool found = json_array_size(rows) > 0;

	if (found)
		render_document(document, stdout);
	else
		fprintf(stderr, "error: no command starts with these words\n"
				"hint: `weirctl help' lists all\n");
	json_decref(document);
	return found ? CLIENT_OK : CLIENT_USAGE;
}

// No word of a command begins with a dash: it was meant as an option.
static bool has_late_option(int count, char **words)
{
	for (int i = 1; i < count; i++) {
		if (words[i][0] != '-' || !words[i][1])
			continue;
		fprintf(stderr, "error: %s: options come before the command: weirctl %s %s ...\n",
			words[i], words[i], words[0]);
		return true;
	}
	return false;
}

static bool parse_timeout(const char *text, unsigned *out)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	*out = (unsigned)seconds;
	return *text >= '0' && *text <= '9' && !*end && seconds <= TIMEOUT_MAX_S;
}

struct options {
	const char *socket, *file;
	unsigned timeout_s;
	bool json;
};

static int usage(const char *why, const char *what)
{
	if (why)
		fprintf(stderr, "error: %s: %s\n", what, why);
	fputs(usage_text, stderr);
	return CLIENT_USAGE;
}

// Takes the options; -1, or the exit status where nothing is left to do.
static int parse(int argc, char **argv, struct options *options)
{
	int option;

	while ((option = getopt_long(argc, argv, "+s:jt:f:hV", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			options->socket = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 't':
			if (!parse_timeout(optarg, &options->timeout_s))
				return usage("is no number of seconds", optarg);
			break;
		case 'f':
			options->file = optarg;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return CLIENT_OK;
		case 'V':
			printf("weirctl %s\n", WEIR_VERSION);
			return CLIENT_OK;
		default:
			return usage(NULL, NULL);
		}
	}
	if (options->file && optind < argc)
		return usage("a command beside -f FILE", argv[optind]);
	return has_late_option(argc - optind, argv + optind) ? CLIENT_USAGE : -1;
}

int main(int argc, char **argv)
{
	struct options options = {.timeout_s = CLIENT_TIMEOUT_S};
	int status = parse(argc, argv, &options);
	struct client client;
	char *socket;

	if (status >= 0)
		return status;
	argc -= optind;
	argv += optind;
	setlocale(LC_CTYPE, "");
	if (argc && !options.json && strcmp(argv[0], "help") == 0)
		return (int)print_help(argc - 1, argv + 1);
	socket = client_find_socket(options.socket, stderr);
	if (!socket)
		return CLIENT_UNREACHABLE;
	client_init(&client, socket, options.json, options.timeout_s);
	status = (int)run(&client, options.file, argc, argv);
	client_finish(&client);
	free(socket);
	return status;
}
