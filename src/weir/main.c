// The appliance's command line: a table of subcommands, from which the usage text comes.
#include "base/check.h"
#include "cfg/config.h"
#include "weir/boot.h"
#include "weir/node.h"
#include "weir/replay/replay.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

struct subcommand {
	const char *name;
	const char *arguments;
	const char *help;
	int (*run)(int argc, char **argv); // argv[0] is the subcommand; returns the exit status
};

static int run_run(int argc, char **argv);
static int run_check(int argc, char **argv);

static const struct subcommand subcommands[] = {
	{"run", "-c FILE [-i] [--set PATH=VALUE]...",
		"runs the appliance; -i gives it a console on this terminal", run_run},
	{"check", "-c FILE [--set PATH=VALUE]... | --reference",
		"checks a configuration, or prints one with every key; warnings leave status 0",
		run_check},
	{"replay", "-c FILE [-c FILE] (--in X.pcap | --synthetic LOAD) [--seed S] [--write F]...",
		"runs a capture, or packets it makes, through the engine: no root, no interfaces",
		replay_main},
};

static void print_usage(FILE *out)
{
	fprintf(out, "usage:\n");
	for (unsigned i = 0; i < ARRAY_LEN(subcommands); i++)
		fprintf(out, "  weir %s %s\n      %s\n", subcommands[i].name,
			subcommands[i].arguments, subcommands[i].help);
	fprintf(out, "  weir --version\n");
}

// --help asked for it: the usage is what was wanted, and nothing is run.
static int print_help(void)
{
	print_usage(stdout);
	exit(EXIT_SUCCESS);
}

static int usage_error(const char *why, const char *what)
{
	fprintf(stderr, "weir: %s%s%s\n", why, what ? ": " : "", what ? what : "");
	print_usage(stderr);
	return EXIT_USAGE;
}

struct command_line {
	const char *file;
	const char **sets; // points into argv; heap
	unsigned set_count;
	bool interactive;
	bool reference;
};

// Fills `options` from the command line; 0 or the exit status after an error message.
static int parse_options(int argc, char **argv, const char *letters, struct command_line *options)
{
	static const struct option names[] = {
		{"set", required_argument, NULL, 's'},
		{"reference", no_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	*options = (struct command_line){.sets = calloc((size_t)argc, sizeof(char *))};
	if (!options->sets)
		return usage_error("out of memory", NULL);
	opterr = 0;
	while ((letter = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		if (letter == 'c' && options->file)
			return usage_error(
				"one file at a time: -c is given twice, now with", optarg);
		if (letter == 'c')
			options->file = optarg;
		else if (letter == 's')
			options->sets[options->set_count++] = optarg;
		else if (letter == 'i')
			options->interactive = true;
		else if (letter == 'r')
			options->reference = true;
		else if (letter == 'h')
			return print_help();
		else if (letter == ':')
			return usage_error("a value is missing behind", argv[optind - 1]);
		else
			return usage_error("unknown option", argv[optind - 1]);
	}
	if (optind < argc)
		return usage_error("unexpected argument", argv[optind]);
	if (!options->file && !options->reference)
		return usage_error("-c FILE is missing", NULL);
	return 0;
}

// A node of its own for the subcommands that need one: static, for it is large and there is one.
static struct node *make_node(const struct command_line *options)
{
	static struct node node;

	node.file = options->file;
	node.sets = options->sets;
	node.set_count = options->set_count;
	node.interactive = options->interactive;
	node.lock = (struct lock_file)LOCK_FILE_NONE;
	return &node;
}

static int run_run(int argc, char **argv)
{
	struct command_line options;
	int status = parse_options(argc, argv, ":c:ih", &options);

	if (status == 0 && !options.file)
		status = usage_error("-c FILE is missing", NULL);
	if (status == 0)
		status = boot_run(make_node(&options));
	free(options.sets);
	return status;
}

static int print_reference(void)
{
	char *text = config_reference();

	if (!text)
		return EXIT_FAILURE;
	fputs(text, stdout);
	free(text);
	return EXIT_SUCCESS;
}

static int run_check(int argc, char **argv)
{
	struct command_line options;
	int status = parse_options(argc, argv, ":c:h", &options);

	if (status == 0 && options.reference)
		status = print_reference();
	else if (status == 0)
		status = boot_check(make_node(&options));
	free(options.sets);
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage_error("which command?", NULL);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
		printf("weir %s\n", WEIR_VERSION);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	for (unsigned i = 0; i < ARRAY_LEN(subcommands); i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	}
	return usage_error("unknown command", argv[1]);
}
