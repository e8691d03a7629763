// weirctl: the console of a running appliance.
#include "common/client.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STDIN_NAME "stdin"

static const char usage_text[] =
	"usage: weirctl [-s SOCKET] [-j] [-f FILE] [COMMAND...]\n"
	"  -s, --socket SOCKET  console of the appliance; else $WEIR_SOCKET, else the only\n"
	"                       /run/weir/*/console.sock\n"
	"  -j, --json           print one JSON document per command\n"
	"  -f, --file FILE      run the commands in FILE (- for stdin) until one fails\n"
	"  -h, --help           this text; `weirctl help all' explains every command\n"
	"  -V, --version\n"
	"Without a command it asks for them: TAB completes, ? lists, quit leaves.\n"
	"Exit status: 0 done, 1 the command failed, 2 usage, 3 the appliance cannot be reached.\n";

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
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
		return CLIENT_USAGE;
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

int main(int argc, char **argv)
{
	const char *given = NULL, *file = NULL;
	enum client_status status;
	struct client client;
	bool json = false;
	char *socket;
	int option;

	while ((option = getopt_long(argc, argv, "+s:jf:hV", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			given = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'f':
			file = optarg;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return CLIENT_OK;
		case 'V':
			printf("weirctl %s\n", WEIR_VERSION);
			return CLIENT_OK;
		default:
			fputs(usage_text, stderr);
			return CLIENT_USAGE;
		}
	}
	if (file && optind < argc) {
		fputs(usage_text, stderr);
		return CLIENT_USAGE;
	}
	setlocale(LC_CTYPE, "");
	socket = client_find_socket(given, stderr);
	if (!socket)
		return CLIENT_UNREACHABLE;
	client_init(&client, socket, json);
	status = run(&client, file, argc - optind, argv + optind);
	client_finish(&client);
	free(socket);
	return status;
}
