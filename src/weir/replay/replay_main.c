// The command line of `weir replay`.
#include "weir/replay/replay.h"

#include "weir/replay/box.h"
#include "weir/replay/load.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXIT_USAGE     2
#define COUNT_MAX      1000000000000
#define RATE_MAX       1000000000
#define DURATION_MAX_S 1e6

enum option_letter {
	OPTION_IN = 256,
	OPTION_IN_OUTSIDE,
	OPTION_IN_INSIDE,
	OPTION_INSIDE,
	OPTION_LOOP,
	OPTION_BURST,
	OPTION_PACE,
	OPTION_FRESH,
	OPTION_SEED,
	OPTION_RAW,
	OPTION_WRITE,
	OPTION_JSON,
	OPTION_HTML,
	OPTION_SET,
	OPTION_TAKES,
	OPTION_SYNTHETIC,
	OPTION_COUNT,
	OPTION_DURATION,
	OPTION_RATE,
	OPTION_CLIENTS,
	OPTION_HELP,
};

static const struct option names[] = {
	{"in", required_argument, NULL, OPTION_IN},
	{"in-outside", required_argument, NULL, OPTION_IN_OUTSIDE},
	{"in-inside", required_argument, NULL, OPTION_IN_INSIDE},
	{"inside", required_argument, NULL, OPTION_INSIDE},
	{"loop", required_argument, NULL, OPTION_LOOP},
	{"burst", required_argument, NULL, OPTION_BURST},
	{"pace", required_argument, NULL, OPTION_PACE},
	{"fresh", no_argument, NULL, OPTION_FRESH},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"raw", no_argument, NULL, OPTION_RAW},
	{"write", required_argument, NULL, OPTION_WRITE},
	{"json", required_argument, NULL, OPTION_JSON},
	{"html", required_argument, NULL, OPTION_HTML},
	{"set", required_argument, NULL, OPTION_SET},
	{"takes", required_argument, NULL, OPTION_TAKES},
	{"synthetic", required_argument, NULL, OPTION_SYNTHETIC},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"duration", required_argument, NULL, OPTION_DURATION},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"clients", required_argument, NULL, OPTION_CLIENTS},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static void print_usage(FILE *out)
{
	fputs("usage: weir replay -c FILE [-c FILE] INPUT [OPTION]...\n"
	      "       INPUT: --in X | --in-outside X --in-inside Y | --synthetic LOAD[:FLOWS]\n"
	      "Plays a capture to the engine of `weir run', without interfaces and without root:\n"
	      "what would the box do with this traffic, and how fast?\n"
	      "\n"
	      "  --in X           a capture (pcap, pcapng, also gzipped; `-': standard input);\n"
	      "                   the side of a packet is found by its source\n"
	      "  --inside PREFIX  sources on the inside (repeatable); else what services protect\n"
	      "  --in-outside X --in-inside Y  one capture of each side, of what arrives\n"
	      "                   there, merged by time\n"
	      "  --synthetic LOAD[:FLOWS]  packets are made: LOAD is syn, ack (forged ones), mix "
	      "or\n"
	      "                   established; FLOWS connections (up to 100M) are opened first\n"
	      "  --count N | --duration S  how many of them (10M), or seconds of the virtual "
	      "clock\n"
	      "  --rate N         of them in such a second (10M)\n"
	      "  --clients PREFIX where they come from (10.0.0.0/8, 2001:db8::/32)\n"
	      "  -c A -c B        two nodes of one cluster: A takes what comes from the outside, "
	      "B\n"
	      "                   what comes from the inside\n"
	      "  --takes outside|inside  behind a -c: the side whose packets that node takes\n"
	      "  --set PATH=VALUE overrides the configuration, of both nodes (repeatable)\n"
	      "  --loop N         plays it N times\n"
	      "  --fresh          each loop is of other clients: addresses outside change, below\n"
	      "                   what rules and services tell apart\n"
	      "  --pace max|wire|xK  as fast as it goes (default), as captured, or K times that\n"
	      "  --burst N        packets of one turn at most: 1 to 32 (default); the results are\n"
	      "                   the same\n"
	      "  --seed S         nothing is random: the same input gives the same output\n"
	      "  --raw            packets as they are; else the captured ends of connections to\n"
	      "                   services in mode proxy and msyn are played: what they "
	      "acknowledge\n"
	      "                   is what this run's box said, and what it never caused is "
	      "withheld\n"
	      "  --write F        pcapng of what left and was dropped, with stage, reason, rule\n"
	      "  --json F         the report there instead of on standard output\n"
	      "  --html F         the report as a page\n"
	      "\n"
	      "Exit status: 0 done; 1 failed, or the capture ends early: it is played as far as "
	      "it\n"
	      "goes, and the report says `truncated'; 2 wrong usage; 130, 143 interrupted by "
	      "SIGINT,\n"
	      "SIGTERM: the report is of what was played by then, and says `interrupted'.\n",
		out);
}

static int usage(const char *why, const char *what)
{
	print_usage(stderr);
	fprintf(stderr, "\nweir: replay: %s%s%s\n", why, what ? ": " : "", what ? what : "");
	return EXIT_USAGE;
}
static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *out <= most;
}

static bool parse_pace(const char *text, double *pace)
{
	char *end;

	if (strcmp(text, "max") == 0) {
		*pace = 0;
		return true;
	}
	if (strcmp(text, "wire") == 0) {
		*pace = 1;
		return true;
	}
	if (text[0] != 'x')
		return false;
	*pace = strtod(text + 1, &end);
	return end != text + 1 && *end == '\0' && *pace > 0;
}

// NULL, or what is wrong.
static const char *parse_prefix(
	struct prefix *out, const char *text, const char *none, const char *host_bits)
{
	int status = prefix_parse(out, text);

	if (status == -ERR_EXISTS)
		return host_bits;
	return status != 0 ? none : NULL;
}

static const char *take_inside(struct replay_options *options, const char *text)
{
	if (options->inside_count == REPLAY_PREFIXES_MAX)
		return "too many --inside prefixes";
	return parse_prefix(&options->inside[options->inside_count++], text,
		"--inside takes ADDRESS/BITS, such as 192.0.2.0/24",
		"--inside takes ADDRESS/BITS without host bits");
}

// Said of the -c in front of it.
static const char *take_side(struct replay_options *options, const char *text)
{
	unsigned inside = strcmp(text, "inside") == 0;

	if (!inside && strcmp(text, "outside") != 0)
		return "--takes is followed by outside or inside";
	if (options->config_count == 0)
		return "--takes stands behind the -c of the node that takes that side's packets";
	if (options->said[inside])
		return "--takes names one side twice";
	options->said[inside] = true;
	options->taker[inside] = (uint8_t)(options->config_count - 1);
	return NULL;
}

static const char *take_number(struct replay_options *options, int letter)
{
	uint64_t number;

	if (letter == OPTION_LOOP) {
		if (!parse_number(optarg, 1000000, &number) || number == 0)
			return "--loop takes a number from 1 to 1000000";
		options->loops = (uint32_t)number;
		return NULL;
	}
	if (letter == OPTION_BURST) {
		if (!parse_number(optarg, BOX_BURST_MAX, &number) || number == 0)
			return "--burst takes a number from 1 to 32";
		options->burst = (unsigned)number;
		return NULL;
	}
	if (!parse_number(optarg, INT64_MAX, &options->seed))
		return "--seed takes a number";
	options->seeded = true;
	return NULL;
}

// What --synthetic makes.
static const char *take_load(struct replay_options *options, int letter)
{
	char *end;

	switch (letter) {
	case OPTION_COUNT:
		return replay_parse_count(optarg, COUNT_MAX, &options->count) && options->count
			       ? NULL
			       : "--count takes a number of packets, such as 500k or 10M";
	case OPTION_RATE:
		return replay_parse_count(optarg, RATE_MAX, &options->rate) && options->rate
			       ? NULL
			       : "--rate takes packets per second, up to 1G, such as 500k or 10M";
	case OPTION_DURATION:
		options->duration_s = strtod(optarg, &end);
		return end != optarg && *end == '\0' && options->duration_s > 0 &&
				       options->duration_s <= DURATION_MAX_S
			       ? NULL
			       : "--duration takes seconds of the virtual clock, such as 2 or 0.5";
	case OPTION_CLIENTS:
		options->has_clients = true;
		if (strcmp(optarg, "any") == 0)
			return "--clients takes ADDRESS/BITS, such as 10.0.0.0/8";
		return parse_prefix(&options->clients, optarg,
			"--clients takes ADDRESS/BITS, such as 10.0.0.0/8",
			"--clients takes ADDRESS/BITS without host bits");
	default:
		if (options->synthetic != NULL)
			return "--synthetic is given twice";
		options->synthetic = optarg;
		return load_check(optarg);
	}
}

static const char *take_file(const char **out, const char *twice)
{
	if (*out != NULL)
		return twice;
	*out = optarg;
	return NULL;
}

// NULL, or what is wrong.
static const char *take(struct replay_options *options, int letter)
{
	switch (letter) {
	case 'c':
		if (options->config_count == REPLAY_NODES_MAX)
			return "more than two -c: a replay is of one node, or of two";
		options->config_files[options->config_count++] = optarg;
		return NULL;
	case OPTION_TAKES:
		return take_side(options, optarg);
	case OPTION_IN:
		return take_file(&options->in, "--in is given twice: join captures with mergecap");
	case OPTION_IN_OUTSIDE:
		return take_file(&options->in_outside, "--in-outside is given twice");
	case OPTION_IN_INSIDE:
		return take_file(&options->in_inside, "--in-inside is given twice");
	case OPTION_INSIDE:
		return take_inside(options, optarg);
	case OPTION_BURST:
	case OPTION_LOOP:
	case OPTION_SEED:
		return take_number(options, letter);
	case OPTION_SYNTHETIC:
	case OPTION_COUNT:
	case OPTION_DURATION:
	case OPTION_RATE:
	case OPTION_CLIENTS:
		return take_load(options, letter);
	case OPTION_PACE:
		return parse_pace(optarg, &options->pace) ? NULL : "--pace takes max, wire or xK";
	case OPTION_FRESH:
		options->fresh = true;
		return NULL;
	case OPTION_RAW:
		options->raw = true;
		return NULL;
	case OPTION_WRITE:
		options->write = optarg;
		return NULL;
	case OPTION_JSON:
		options->json = optarg;
		return NULL;
	case OPTION_HTML:
		options->html = optarg;
		return NULL;
	case OPTION_SET:
		options->sets[options->set_count++] = optarg;
		return NULL;
	case OPTION_HELP:
	case 'h':
		print_usage(stdout);
		exit(EXIT_SUCCESS);
	default:
		return "unknown option, or its value is missing";
	}
}

static bool is_standard_input(const char *path)
{
	return path != NULL && strcmp(path, "-") == 0;
}

// The first node takes what comes from the outside, unless --takes says otherwise.
static void divide(struct replay_options *options)
{
	if (options->config_count < 2)
		return;
	if (!options->said[0])
		options->taker[0] = options->said[1] ? !options->taker[1] : 0;
	if (!options->said[1])
		options->taker[1] = !options->taker[0];
}

static const char *complete_nodes(const struct replay_options *options)
{
	if (options->config_count == 0)
		return "-c FILE is missing";
	if (options->config_count == 1 && (options->said[0] || options->said[1]))
		return "--takes divides packets between two nodes: give a second -c";
	if (options->config_count == 2 && options->taker[0] == options->taker[1])
		return "--takes gives one node both sides: replay that one alone, or give one side "
		       "to each";
	return NULL;
}

static const char *complete_load(const struct replay_options *options)
{
	if (options->synthetic == NULL) {
		if (options->count || options->rate || options->duration_s > 0 ||
			options->has_clients)
			return "--count, --duration, --rate and --clients say what --synthetic "
			       "makes: it is missing";
		return NULL;
	}
	if (options->in != NULL || options->in_outside != NULL || options->in_inside != NULL)
		return "--synthetic makes packets instead of reading them: leave --in away";
	if (options->count > 0 && options->duration_s > 0)
		return "--count and --duration say the same: give one of them";
	if (options->loops > 1)
		return "--synthetic has no loops: give it a larger --count";
	if (options->fresh || options->raw || options->inside_count > 0)
		return "--fresh, --raw and --inside are of captures, not of --synthetic";
	return NULL;
}

static const char *complete_captures(const struct replay_options *options)
{
	if (options->synthetic != NULL)
		return NULL;
	if (options->in != NULL && (options->in_outside != NULL || options->in_inside != NULL))
		return "--in and --in-outside/--in-inside exclude each other";
	if (options->in == NULL && (options->in_outside == NULL || options->in_inside == NULL))
		return "--in FILE, --in-outside FILE and --in-inside FILE, or --synthetic, is "
		       "missing";
	if (is_standard_input(options->in_outside) && is_standard_input(options->in_inside))
		return "only one capture can come from standard input";
	if (options->loops > 1 &&
		(is_standard_input(options->in) || is_standard_input(options->in_outside) ||
			is_standard_input(options->in_inside)))
		return "--loop reads a capture again: save it to a file first";
	return NULL;
}

static const char *complete(const struct replay_options *options)
{
	const char *wrong = complete_nodes(options);

	if (wrong == NULL)
		wrong = complete_load(options);
	return wrong != NULL ? wrong : complete_captures(options);
}

// True where both name one file, by whatever links. Devices and pipes lose nothing by that.
static bool is_same_file(const char *one, const char *other)
{
	struct stat a, b;

	if (one == NULL || other == NULL)
		return false;
	if (stat(one, &a) || stat(other, &b))
		return strcmp(one, other) == 0;
	return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// The output that would destroy something: a file that is read, or the other output. NULL: none.
static const char *overwriting(const struct replay_options *options)
{
	const char *const kept[] = {options->config_files[0], options->config_files[1], options->in,
		options->in_outside, options->in_inside};

	const char *const made[] = {options->write, options->json, options->html};

	for (unsigned i = 0; i < ARRAY_LEN(made); i++) {
		for (unsigned k = 0; k < ARRAY_LEN(kept); k++)
			if (is_same_file(made[i], kept[k]))
				return made[i];
		for (unsigned k = 0; k < i; k++)
			if (is_same_file(made[i], made[k]))
				return made[i];
	}
	return NULL;
}

// As a shell would have to be given it.
static void put_word(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-+=./,:@%";

	if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			fputs("'\\'", out);
		fputc(*word, out);
	}
	fputc('\'', out);
}

static char *join(int argc, char **argv)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fputs("weir", out);
	for (int i = 0; i < argc; i++) {
		fputc(' ', out);
		put_word(out, argv[i]);
	}
	return fclose(out) == 0 ? text : NULL;
}

int replay_main(int argc, char **argv)
{
	char *command = join(argc, argv);
	struct replay_options options = {.loops = 1, .burst = BOX_BURST_MAX, .command = command};
	const char *wrong = NULL, *what;
	int letter = -1, status;

	options.sets = calloc((size_t)argc, sizeof(char *));
	if (options.sets == NULL || command == NULL)
		return usage("not enough memory", NULL);
	opterr = 0;
	while (wrong == NULL && (letter = getopt_long(argc, argv, "c:h", names, NULL)) != -1)
		wrong = take(&options, letter);
	// What options say together is wrong because of no single word.
	what = wrong != NULL ? argv[optind - 1] : optind < argc ? argv[optind] : NULL;
	if (wrong == NULL && optind < argc)
		wrong = "unexpected argument";
	divide(&options);
	if (wrong == NULL)
		wrong = complete(&options);
	if (wrong == NULL) {
		what = overwriting(&options);
		wrong = what != NULL ? "the output would overwrite a file that is used already"
				     : NULL;
	}
	status = wrong != NULL ? usage(wrong, what) : replay_run(&options);
	free(options.sets);
	free(command);
	return status;
}
