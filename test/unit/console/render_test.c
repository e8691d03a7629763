// JSON to text.
#include "common/render.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void renders(const char *json, const char *want)
{
	json_error_t error;
	json_t *document = json_loads(json, 0, &error);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(document);
	render_document(document, out);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
	json_decref(document);
}

static void objects_are_lines(void **state)
{
	(void)state;
	renders("{\"data\":{\"state\":\"forwarding\",\"n\":5,\"reasons\":{\"bad_ack\":1200},"
		"\"huge\":false,\"none\":null,\"empty\":{}}}",
		"state            forwarding\n"
		"n                5\n"
		"reasons.bad_ack  1200\n"
		"huge             no\n"
		"none             -\n"
		"empty            {}\n");
	// Numbers alone are a column.
	renders("{\"data\":{\"n\":5,\"reasons\":{\"bad_ack\":1200}}}", "n                   5\n"
								       "reasons.bad_ack  1200\n");
}

static void lists_of_objects_are_tables(void **state)
{
	(void)state;
	renders("{\"data\":{\"ports\":[{\"name\":\"outside\",\"rx\":5,\"p\":{\"mss\":1460}},"
		"{\"name\":\"in\",\"rx\":12345,\"p\":{\"mss\":9}}]}}",
		"name        rx  p.mss\n"
		"outside      5   1460\n"
		"in       12345      9\n");
}

static void a_row_may_lack_a_cell(void **state)
{
	(void)state;
	renders("{\"data\":{\"rows\":[{\"a\":\"x\",\"flow\":null},{\"a\":\"y\",\"b\":1.5}]}}",
		"a  flow     b\n"
		"x  -        -\n"
		"y  -     1.50\n");
}

static void lists_of_values_are_joined(void **state)
{
	(void)state;
	renders("{\"data\":{\"to\":[\"a\",\"b\"],\"none\":[]}}", "to    a,b\n"
								 "none  -\n");
}

static void two_things_get_titles(void **state)
{
	(void)state;
	renders("{\"data\":{\"rows\":[{\"a\":1}],\"more\":true}}", "more  yes\n"
								   "\nrows\n"
								   "a\n"
								   "1\n");
}

#define FLOW(protocol, client, cport, server, sport, state, mode, service, d, e, ts, rest)         \
	"{\"protocol\":\"" protocol "\",\"client\":\"" client "\",\"client_port\":" cport          \
	",\"server\":\"" server "\",\"server_port\":" sport ",\"state\":\"" state                  \
	"\",\"mode\":\"" mode "\",\"service\":" service ",\"d\":" d ",\"e\":" e                    \
	",\"ts_offset\":" ts "," rest "}"

// Everything a flow has, in 120 columns at most for IPv4.
static void flows_fit_a_terminal(void **state)
{
	(void)state;
	renders("{\"data\":{\"flows\":[" FLOW("tcp", "192.0.2.10", "59958", "198.51.100.10", "80",
			"established", "proxy", "\"web\"", "4123574945", "0", "3797989301",
			"\"worker\":0,\"owner\":0,\"copy\":\"own\",\"generation\":1,\"half\":false,"
			"\"idle_ms\":7439282") "," FLOW("udp", "10.1.2.3", "53", "198.51.100.10",
			"53", "other", "track", "null", "0", "0", "0",
			"\"worker\":1,\"owner\":2,\"copy\":\"finder\",\"generation\":3,\"half\":"
			"true,"
			"\"idle_ms\":7") "]}}",
		"proto  client            server            state        mode   service  idle_ms"
		"           d  e          ts  copy             w\n"
		"tcp    192.0.2.10:59958  198.51.100.10:80  established  proxy  web      7439282"
		"  4123574945  0  3797989301  own 0.1          0\n"
		"udp    10.1.2.3:53       198.51.100.10:53  other        track  -              7"
		"           0  0           0  finder 2.3 half  1\n");
	renders("{\"data\":{\"flows\":[" FLOW("tcp", "2001:db8:1::10", "1", "2001:db8::10", "80",
			"closing", "bypass", "null", "0", "0", "0",
			"\"worker\":0,\"owner\":0,\"copy\":\"own\",\"generation\":1,\"half\":false,"
			"\"idle_ms\":1000") "]}}",
		"proto  client              server             state    mode    service  idle_ms  "
		"d  e  ts  copy     w\n"
		"tcp    [2001:db8:1::10]:1  [2001:db8::10]:80  closing  bypass  -           1000  "
		"0  0   0  own 0.1  0\n");
}

static void long_text_is_verbatim(void **state)
{
	(void)state;
	renders("{\"data\":{\"text\":\"node = \\\"a\\\";\\n\\tx\\n\"}}", "node = \"a\";\n\tx\n");
}

static void sentences_are_lines(void **state)
{
	(void)state;
	renders("{\"data\":{\"applied\":true,\"notes\":[\"f:1: a b\",\"f:2: c\"]}}",
		"applied  yes\n\nnotes\nf:1: a b\nf:2: c\n");
	renders("{\"data\":{\"applied\":true,\"notes\":[]}}", "applied  yes\nnotes    -\n");
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	renders("{\"data\":{\"a\\u001bb\":\"\\u001b[2J\\u009b\\u00e4\\u007f\"}}",
		"a\\x1bb  \\x1b[2J\\xc2\\x9b\xc3\xa4\\x7f\n");
	renders("{\"data\":{\"text\":\"x\\n\\u001b\\r\\n\"}}", "x\n\\x1b\\x0d\n");
}

static void columns_count_characters(void **state)
{
	(void)state;
	renders("{\"data\":{\"r\":[{\"a\":\"\\u00e4\\u00e4\",\"b\":\"x\"},{\"a\":\"cc\",\"b\":"
		"\"y\"}]}}",
		"a   b\n"
		"\xc3\xa4\xc3\xa4  x\n"
		"cc  y\n");
}

static void errors_mark_the_word(void **state)
{
	json_t *document = json_loads("{\"error\":{\"code\":\"c\",\"message\":\"unknown word\","
				      "\"hint\":\"did you\",\"column\":5,\"length\":3}}",
		0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	render_error(document, "", "show drp", out);
	fclose(out);
	assert_string_equal(text, "error: unknown word\n  show drp\n       ^^^\nhint: did you\n");
	free(text);
	json_decref(document);
}

static void details_are_lines(void **state)
{
	json_t *document = json_loads("{\"error\":{\"code\":\"c\",\"message\":\"f:1: a\\nf:2: b\","
				      "\"details\":[\"f:1: a\",\"f:2: b\\u001b\"],\"hint\":\"h\"}}",
		0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	render_error(document, "b:7: ", "reload", out);
	fclose(out);
	assert_string_equal(text, "b:7: error: f:1: a\nb:7: error: f:2: b\\x1b\nhint: h\n");
	free(text);
	json_decref(document);
}

static void wide_tables_are_turned(void **state)
{
	char json[2048], cell[161];

	(void)state;
	memset(cell, 'x', sizeof(cell));
	cell[160] = '\0';
	snprintf(json, sizeof(json),
		"{\"data\":{\"r\":[{\"id\":1,\"w\":\"%s\"},{\"id\":22,\"n\":3}]}}", cell);
	char want[2048];
	snprintf(want, sizeof(want), "id  %160s  22\nw   %s   -\nn   %160s   3\n", "1", cell, "-");
	renders(json, want);
}

static void help_is_a_manual(void **state)
{
	(void)state;
	renders("{\"data\":{\"commands\":[{\"command\":\"show drop\",\"help\":"
		"\"What became of every packet, and the dropped ones by reason. It goes on and "
		"on.\","
		"\"example\":\"show drop\"}]}}",
		"show drop\n"
		"    What became of every packet, and the dropped ones by reason. It goes on and\n"
		"    on.\n"
		"    example: show drop\n");
}

static void fields_are_lines(void **state)
{
	(void)state;
	renders("{\"data\":{\"commands\":[{\"command\":\"show x\",\"help\":\"What.\",\"example\":"
		"\"show x\",\"fields\":{\"a\":\"one thing\",\"long\":\"another\\u001b\"}}]}}",
		"show x\n"
		"    What.\n"
		"    example: show x\n"
		"      a     one thing\n"
		"      long  another\\x1b\n");
}

// With their meanings, reasons are a table; JSON keeps them as an object.
static void reasons_have_meanings(void **state)
{
	(void)state;
	renders("{\"data\":{\"dropped\":1207,\"reasons\":{\"bad_ack\":1200,\"stopped\":7},"
		"\"meanings\":{\"bad_ack\":\"never sent\",\"stopped\":\"not now\"}}}",
		"dropped  1207\n"
		"\nreasons\n"
		"reason   packets  meaning\n"
		"bad_ack     1200  never sent\n"
		"stopped        7  not now\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_lines),
		cmocka_unit_test(lists_of_objects_are_tables),
		cmocka_unit_test(a_row_may_lack_a_cell),
		cmocka_unit_test(lists_of_values_are_joined),
		cmocka_unit_test(two_things_get_titles),
		cmocka_unit_test(flows_fit_a_terminal),
		cmocka_unit_test(long_text_is_verbatim),
		cmocka_unit_test(sentences_are_lines),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(columns_count_characters),
		cmocka_unit_test(errors_mark_the_word),
		cmocka_unit_test(details_are_lines),
		cmocka_unit_test(wide_tables_are_turned),
		cmocka_unit_test(help_is_a_manual),
		cmocka_unit_test(fields_are_lines),
		cmocka_unit_test(reasons_have_meanings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
