// The console's grammar. Proves: B2.
#include "weir/console/table.h"

#include "base/check.h"
#include "base/error.h"
#include "base/reason.h"
#include "pkt/view.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void values(void *context, enum grammar_type type, struct grammar_choices *out)
{
	(void)context;
	if (type == TYPE_PORT) {
		grammar_choice_add(out, "outside");
		grammar_choice_add(out, "inside");
		grammar_choice_add(out, "sync");
	}
	if (type == TYPE_SERVICE)
		grammar_choice_add(out, "lab");
	if (type == TYPE_PEER)
		grammar_choice_add(out, "pop-b");
}

static void no_values(void *context, enum grammar_type type, struct grammar_choices *out)
{
	(void)context;
	(void)type;
	(void)out;
}

static const struct grammar grammar = {
	.commands = command_table, .command_count = COMMAND_COUNT, .values = values};

static struct grammar_line line;
static struct grammar_args args;
static struct grammar_error error;

static int parse(const char *text)
{
	int rc = grammar_split(&line, text, &error);

	return rc ? rc : grammar_parse(&grammar, &line, &args, &error);
}

static void accepts(const char *text, unsigned command)
{
	if (parse(text))
		fail_msg("%s: %s (%s)", text, error.message, error.hint);
	if (args.command != command)
		fail_msg("%s: taken for %s", text, command_table[args.command].form);
}

static void refuses(const char *text, const char *code, const char *word, const char *hint)
{
	if (!parse(text))
		fail_msg("%s: taken for %s", text, command_table[args.command].form);
	assert_string_equal(error.code, code);
	if (strncmp(text + error.column, word, strlen(word)) != 0 || error.length != strlen(word))
		fail_msg("%s: marks column %u+%u", text, error.column, error.length);
	if (!strstr(error.hint, hint))
		fail_msg("%s: hint is \"%s\"", text, error.hint);
}

static void every_example_is_its_command(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		accepts(command_table[i].example, i);
}

static void words_may_be_shortened(void **state)
{
	(void)state;
	accepts("sh po st all", COMMAND_show_port_stats);
	assert_false(args.given >> TYPE_PORT & 1);
	accepts("show port stats 1", COMMAND_show_port_stats);
	assert_true(args.given >> TYPE_PORT & 1);
	accepts("  sh\tdr  ", COMMAND_show_drop);
	accepts("show rule", COMMAND_show_rule);
	accepts("sh ru h", COMMAND_show_rule_hits);
	accepts("show flow", COMMAND_show_flow);
	accepts("sh fl st", COMMAND_show_flow_stats);
	accepts("sh st", COMMAND_show_status);
}

static void errors_name_the_word_and_the_nearest(void **state)
{
	(void)state;
	refuses("shwo drop", "unknown_command", "shwo", "`show'");
	refuses("show dorp", "unknown_command", "dorp", "`drop'");
	refuses("st", "unknown_command", "st", "start, stop");
	refuses("show xyzzyx", "unknown_command", "xyzzyx", "status");
	refuses("show flow stast", "bad_argument", "stast", "`stats'");
	refuses("show flow tpc any any any any", "bad_argument", "tpc", "`tcp'");
	refuses("show port stats insdie", "bad_argument", "insdie", "`inside'");
	refuses("show port stats 3", "bad_argument", "3", "");
	refuses("set log loud", "bad_argument", "loud", "info");
	refuses("set cluster wait finders", "bad_argument", "finders", "`finder'");
	refuses("show cluster peer pop-c", "bad_argument", "pop-c", "`pop-b'");
	refuses("cluster rekye", "unknown_command", "rekye", "`rekey'");
	refuses("show flow limit x", "bad_argument", "x", "");
	refuses("show drop now", "bad_argument", "now", "");
	assert_int_not_equal(parse("show port stats"), 0);
	assert_string_equal(error.code, "bad_argument");
	assert_int_not_equal(parse(""), 0);
	assert_string_equal(error.code, "unknown_command");
}

static void matches_are_typed(void **state)
{
	(void)state;
	accepts("show flow tcp 192.0.2.0/24 any 198.51.100.10 80 in inside limit 7",
		COMMAND_show_flow);
	assert_int_equal(args.match.protocol, PROTOCOL_TCP);
	assert_int_equal(args.match.source.bits, 96 + 24);
	assert_int_equal(args.match.source_port, 0);
	assert_int_equal(args.match.destination_port, 80);
	assert_string_equal(args.match.in, "inside");
	assert_int_equal(args.number, 7);
	accepts("show flow limit 0", COMMAND_show_flow);
	assert_false(args.given >> TYPE_PROTOCOL & 1);
	refuses("show flow tcp 192.0.2.1/24 any any any", "bad_argument", "192.0.2.1/24", "");
	assert_non_null(strstr(error.message, "bits set"));
	refuses("show flow tcp any 65536 any any", "bad_argument", "65536", "");
	refuses("show flow tcp any any any any in nowhere", "bad_argument", "nowhere", "");
	refuses("show flow tcp any any any any limit 18446744073709551616", "bad_argument",
		"18446744073709551616", "");
	assert_int_not_equal(parse("show flow tcp any any any"), 0);
}

static void tuples_are_exact(void **state)
{
	(void)state;
	accepts("show why icmp 2001:db8::1 7 2001:db8::2 128", COMMAND_show_why);
	assert_int_equal(match_protocol(&args.match), PROTOCOL_ICMP6);
	accepts("show why icmp 192.0.2.1 7 192.0.2.2 8", COMMAND_show_why);
	assert_int_equal(match_protocol(&args.match), PROTOCOL_ICMP);
	accepts("show why 47 192.0.2.1 0 192.0.2.2 0", COMMAND_show_why);
	assert_int_equal(match_protocol(&args.match), 47);
	refuses("show why tcp any 1 192.0.2.2 2", "bad_argument", "any", "");
	refuses("show why any 192.0.2.1 1 192.0.2.2 2", "bad_argument", "any", "");
	refuses("show why tcp 192.0.2.0/24 1 192.0.2.2 2", "bad_argument", "192.0.2.0/24", "");
	refuses("show why tcp 192.0.2.1 any 192.0.2.2 2", "bad_argument", "any", "");
	assert_int_not_equal(parse("show why"), 0);
}

static void captures_take_all_their_parts(void **state)
{
	(void)state;
	accepts("capture start inside file \"/tmp/a b\" count 5", COMMAND_capture_start);
	assert_string_equal(args.file, "/tmp/a b");
	assert_string_equal(args.port, "inside");
	assert_int_equal(args.number, 5);
	accepts("capture start drop udp any any any 53 file x", COMMAND_capture_start);
	assert_false(args.given >> TYPE_PORT & 1);
	assert_true(args.given >> TYPE_PROTOCOL & 1);
	refuses("capture start drop fiel x", "bad_argument", "fiel", "`file'");
}

static void lines_are_clean(void **state)
{
	char longer[GRAMMAR_LINE_BYTES + 1];

	(void)state;
	assert_int_equal(parse("show \033[2J"), -ERR_MALFORMED);
	assert_int_equal(error.column, 5);
	assert_int_equal(parse("show \xc2\x9b"), -ERR_MALFORMED);
	assert_int_equal(parse("show \xff"), -ERR_MALFORMED);
	assert_int_equal(parse("show \xc0\xaf"), -ERR_MALFORMED);
	assert_int_equal(parse("show \"drop"), -ERR_MALFORMED);
	assert_int_equal(grammar_split(&line, "capture \xc3\xa4 \"\"", &error), 0);
	assert_int_equal(line.count, 3);
	assert_string_equal(line.word[2], "");
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(parse(longer), -ERR_RANGE);
	for (unsigned i = 0; i < 2 * (GRAMMAR_WORDS_MAX + 1); i += 2)
		longer[i + 1] = ' ';
	longer[2 * (GRAMMAR_WORDS_MAX + 1)] = '\0';
	assert_int_equal(parse(longer), -ERR_RANGE);
}

// `want` lists the words, each followed by a blank.
static void completes(const char *text, const char *want)
{
	struct grammar_choices choices;
	char have[1024] = "";
	size_t used = 0;

	grammar_complete(&grammar, text, &choices);
	for (unsigned i = 0; i < choices.count; i++)
		used += (size_t)snprintf(have + used, sizeof(have) - used, "%s ", choices.word[i]);
	if (strcmp(have, want) != 0)
		fail_msg("\"%s\" completes to \"%s\", not \"%s\"", text, have, want);
}

static void completion_knows_words_and_names(void **state)
{
	(void)state;
	completes("sho", "show ");
	completes("show po", "port ");
	completes("sh po ", "info stats xstats ");
	completes("sh po st ", "all inside outside sync ");
	completes("sh po st o", "outside ");
	completes("set log ", "debug error info warning ");
	completes("set ", "cluster log ");
	completes("set cluster wait ", "all finder none ");
	completes("cluster ", "rekey rotate ");
	completes("show cluster peer ", "pop-b ");
	completes("show flow ", "any icmp in limit stats tcp udp ");
	completes("show flow tcp any any any any ", "in limit ");
	completes("show flow tcp any any any any in i", "inside ");
	completes("show why ", "icmp tcp udp ");
	completes("show why tcp ", "");
	completes("show service ", "lab ");
	completes("capture start drop ", "any file icmp in tcp udp ");
	completes("capture start drop file x ", "count ");
	completes("help sh", "show ");
	completes("help show r", "rule ");
	completes("show dorp ", "");
	completes("show drop ", "");
	completes("shwo ", "");
}

// Whatever can be completed word by word is accepted as far as it goes: no dead ends.
static void completion_walks_every_command(void **state)
{
	struct grammar_choices choices;
	char text[512];

	(void)state;
	for (unsigned i = 0; i < COMMAND_COUNT; i++) {
		const char *form = command_table[i].form;
		size_t len = strcspn(form, "ABCDEFGHIJKLMNOPQRSTUVWXYZ[");
		const char *next;

		for (next = form; next < form + len; next += strcspn(next, " ") + 1) {
			size_t word = strcspn(next, " ");
			bool found = false;

			if (memchr(next, '|', word))
				break;
			snprintf(text, sizeof(text), "%.*s", (int)(next - form), form);
			grammar_complete(&grammar, text, &choices);
			for (unsigned c = 0; c < choices.count; c++)
				found |= strlen(choices.word[c]) == word &&
					 memcmp(choices.word[c], next, word) == 0;
			if (!found)
				fail_msg("\"%s\" does not lead to %s", text, form);
		}
	}
}

static void nearest_is_near(void **state)
{
	struct grammar_choices choices = {.count = 0};

	(void)state;
	grammar_choice_add(&choices, "inside");
	grammar_choice_add(&choices, "outside");
	grammar_choice_add(&choices, "inside");
	assert_int_equal(choices.count, 2);
	assert_string_equal(grammar_nearest(&choices, "isnide"), "inside");
	assert_string_equal(grammar_nearest(&choices, "outsid"), "outside");
	assert_null(grammar_nearest(&choices, "zzzzzz"));
}

static void help_takes_shortened_paths(void **state)
{
	const char *const port[] = {"sh", "po"};
	const char *const none[] = {"show", "status", "all"};

	(void)state;
	assert_true(grammar_path_starts(&command_table[COMMAND_show_port_info], port, 2));
	assert_false(grammar_path_starts(&command_table[COMMAND_show_drop], port, 2));
	assert_false(grammar_path_starts(&command_table[COMMAND_show_status], none, 3));
}

// Each field is said once, in a line.
static void fields_are_of_their_commands(void **state)
{
	const struct command_field *field, *before;
	unsigned of[COMMAND_COUNT] = {0};

	(void)state;
	for (field = command_fields; field->name; field++) {
		assert_in_range(field->command, 0, COMMAND_COUNT - 1);
		assert_in_range(strlen(field->meaning), 1, 80);
		assert_null(strchr(field->meaning, '\n'));
		of[field->command]++;
		for (before = command_fields; before != field; before++)
			assert_false(before->command == field->command &&
				     strcmp(before->name, field->name) == 0);
	}
	assert_true(of[COMMAND_show_cluster] > 0 && of[COMMAND_show_flow] > 0);
	assert_true(of[COMMAND_show_drop] >= REASON_COUNT - 1);
}

// A node on its own has no peers: the command itself says so.
static void no_peer_where_there_is_none(void **state)
{
	const struct grammar alone = {
		.commands = command_table, .command_count = COMMAND_COUNT, .values = no_values};

	(void)state;
	assert_int_equal(grammar_split(&line, "show cluster peer pop-b", &error), 0);
	assert_int_equal(grammar_parse(&alone, &line, &args, &error), 0);
	assert_int_equal(args.command, COMMAND_show_cluster_peer);
	refuses("show cluster peer pop-c", "bad_argument", "pop-c", "`pop-b'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_is_its_command),
		cmocka_unit_test(words_may_be_shortened),
		cmocka_unit_test(errors_name_the_word_and_the_nearest),
		cmocka_unit_test(matches_are_typed),
		cmocka_unit_test(tuples_are_exact),
		cmocka_unit_test(captures_take_all_their_parts),
		cmocka_unit_test(lines_are_clean),
		cmocka_unit_test(completion_knows_words_and_names),
		cmocka_unit_test(completion_walks_every_command),
		cmocka_unit_test(nearest_is_near),
		cmocka_unit_test(help_takes_shortened_paths),
		cmocka_unit_test(fields_are_of_their_commands),
		cmocka_unit_test(no_peer_where_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
