// What is accepted and hardly meant, and what a --set hides: neither too little nor too much.
#include "text.h"

#define RULE(name, rest)    "{ name = \"" name "\"; action = \"allow\"; " rest " },\n"
#define DENY(name, rest)    "{ name = \"" name "\"; action = \"deny\"; " rest " },\n"
#define SERVICE(name, rest) "{ name = \"" name "\"; " rest " },\n"
#define LAST		    "{ name = \"last\"; action = \"deny\"; } );\n"
// A service that the rules below leave alone.
#define OTHER                                                                                      \
	"{ name = \"other\"; to = \"203.0.113.1\"; protocol = \"udp\"; mode = \"track\"; } );\n"
#define OTHER_RULE RULE("other", "protocol = \"udp\"; to = \"203.0.113.1\";")

static void expect_warnings(const char *text, const char *const *expected, unsigned count)
{
	struct config *config = text_accept(text, NULL, 0);
	struct config_errors warnings = {0};

	config_warn(config, &warnings);
	errors_print(&warnings);
	assert_int_equal(warnings.count, count);
	for (unsigned i = 0; i < count; i++)
		assert_string_equal(warnings.list[i].text, expected[i]);
	config_errors_free(&warnings);
	config_free(config);
}

static void expect_one(const char *text, const char *expected)
{
	expect_warnings(text, &expected, 1);
}

static void expect_none(const char *text)
{
	expect_warnings(text, NULL, 0);
}

static void shipped_files_have_none(void **state)
{
	static const char *const files[] = {
		CFG_CONF_FOLDER "/single.cfg", CFG_CONF_FOLDER "/reference.cfg"};

	for (unsigned i = 0; i < 2; i++) {
		char *text = text_read(files[i]);

		expect_none(text);
		free(text);
	}
	expect_none(MINIMAL);
	(void)state;
}

// With these rules, is the service told to be out of reach? Another one never is.
static bool warns_of_web(const char *rules)
{
	struct config_errors warnings = {0};
	struct config *config;
	bool found = false;
	char text[2048];

	snprintf(text, sizeof(text), "%s%s%s%s", MINIMAL "rules = (" OTHER_RULE, rules,
		LAST "services = (\n",
		SERVICE("web", "to = \"192.0.2.0/24\"; ports = \"80,443\";") OTHER);
	print_message("%s\n", rules);
	config = text_accept(text, NULL, 0);
	config_warn(config, &warnings);
	for (unsigned i = 0; i < warnings.count; i++) {
		assert_null(strstr(warnings.list[i].text, "services.other"));
		found = found || strstr(warnings.list[i].text,
					 ": services.web: warning: no rule allows anything");
	}
	config_errors_free(&warnings);
	config_free(config);
	return found;
}

static void a_service_that_no_rule_allows(void **state)
{
	static const char *const wrong[] = {
		"", // no rule
		RULE("r", "to = \"192.0.3.0/24\";"),
		RULE("r", "to = \"192.0.2.0/24\"; from = \"inside\";"),
		RULE("r", "to = \"192.0.2.0/24\"; protocol = \"tcp\"; ports = \"22,81-442\";"),
		RULE("r", "protocol = \"udp\";"),
		RULE("r", "protocol = 47;"),
		RULE("r", "to = \"2001:db8::/32\";"),
		DENY("d", "to = \"192.0.0.0/16\";") RULE("r", "to = \"192.0.2.0/24\";"),
		DENY("d", "protocol = \"tcp\"; ports = \"80-443\";")
			RULE("r", "protocol = \"tcp\"; ports = \"1-443\";"),
		DENY("d", "source = \"10.0.0.0/8\";") RULE("r", "source = \"10.1.0.0/16\";"),
	};
	static const char *const right[] = {
		RULE("r", ""),
		RULE("r", "to = \"192.0.2.9\";"),
		RULE("r", "to = \"192.0.0.0/16\"; from = \"outside\";"),
		RULE("r", "protocol = \"tcp\"; ports = \"22,443-500\";"),
		RULE("r", "source = \"10.0.0.0/8\";"),
		DENY("d", "to = \"192.0.2.0/25\";") RULE("r", "to = \"192.0.2.0/24\";"),
		DENY("d", "source = \"10.1.0.0/16\";") RULE("r", "source = \"10.0.0.0/8\";"),
		DENY("d", "protocol = \"udp\";") RULE("r", "to = \"192.0.2.0/24\";"),
		DENY("d", "from = \"inside\";") RULE("r", "to = \"192.0.2.0/24\";"),
	};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(warns_of_web(wrong[i]));
	for (unsigned i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		assert_false(warns_of_web(right[i]));
	(void)state;
}

static void a_rule_behind_one_that_holds_all_of_it(void **state)
{
	expect_one(MINIMAL "rules = (\n" RULE("all", "to = \"192.0.2.0/24\";") RULE("web",
			   "to = [ \"192.0.2.1\", \"192.0.2.2\" ]; protocol = \"tcp\"; ports = "
			   "\"80,443\";") LAST,
		"t.cfg:6: rules.web: warning: shadowed: what it matches is decided by earlier "
		"rules, such as `all'");
	expect_one(MINIMAL "rules = (\n" RULE("a", "protocol = \"tcp\"; ports = \"80\";")
			   RULE("b", "protocol = \"tcp\"; ports = \"443\";")
				   RULE("c", "protocol = \"tcp\"; ports = \"80,443\";") LAST,
		"t.cfg:7: rules.c: warning: shadowed: what it matches is decided by earlier rules, "
		"such as `b'");
	expect_one(MINIMAL "rules = (\n" DENY("all", "") LAST,
		"t.cfg:6: rules.last: warning: shadowed: what it matches is decided by earlier "
		"rules, such as `all'");
	(void)state;
}

static void rules_that_still_decide(void **state)
{
	expect_none(MINIMAL "rules = (\n" RULE("one", "to = \"192.0.2.1\";")
			RULE("net", "to = \"192.0.2.0/24\";") LAST);
	expect_none(MINIMAL "rules = (\n" RULE("out", "from = \"outside\"; protocol = \"tcp\";")
			RULE("any", "protocol = \"tcp\";") LAST);
	expect_none(MINIMAL "rules = (\n" RULE("tcp", "protocol = \"tcp\";")
			RULE("udp", "protocol = \"udp\";") RULE("gre", "protocol = 47;")
				RULE("esp", "protocol = 50;") LAST);
	expect_none(MINIMAL "rules = (\n" RULE("four", "to = \"0.0.0.0/0\";")
			RULE("six", "to = \"::/0\";") LAST);
	expect_none(MINIMAL "rules = (\n" RULE("web", "protocol = \"tcp\"; ports = \"80\";")
			RULE("both", "protocol = \"tcp\"; ports = \"80,443\";") LAST);
	expect_none(MINIMAL "rules = (\n" RULE("echo", "protocol = \"icmp\"; icmp_types = [ 8 ];")
			RULE("icmp", "protocol = \"icmp\";") LAST);
	expect_none(MINIMAL "rules = (\n" RULE("a", "protocol = \"udp\"; source_ports = \"53\";")
			RULE("b", "protocol = \"udp\"; ports = \"53\";") LAST);
	(void)state;
}

static void a_service_behind_one_that_holds_all_of_it(void **state)
{
	static const char *const both[] = {
		"t.cfg:7: services.tls: warning: shadowed: what it matches goes to earlier "
		"services, "
		"such as `all'",
		"t.cfg:8: services.udp: warning: no rule allows anything to reach it",
	};

	expect_warnings(MINIMAL "rules = (" RULE("r", "protocol = \"tcp\";") LAST
		"services = ( " SERVICE(
			"all", "to = \"192.0.2.0/24\"; ports = \"80,400-500\";") SERVICE("tls",
			"to = \"192.0.2.1\"; ports = \"443,80\";") "{ name = \"udp\"; to = "
								   "\"any\"; protocol = \"udp\"; "
								   "mode = \"track\"; } );",
		both, 2);
	expect_none(
		MINIMAL "rules = ( { name = \"r\"; action = \"allow\"; } ); services = ( " SERVICE(
			"web", "to = \"192.0.2.1\"; ports = \"80\";") "{ name = \"all\"; to = "
								      "\"192.0.2.1\"; "
								      "ports = \"80,443\"; } );");
	(void)state;
}

static void what_a_set_hides(void **state)
{
	const char *sets[] = {"limits.prefix4=32", "services.a.mode=track", "limits.prefix6=64",
		"eal.workers=2", "services.a.ports=80,443", "log.level=info"};
	static const char *const expected[] = {
		"t.cfg:4: limits.prefix4: note: overridden by --set: 32 is in force",
		"t.cfg:6: services.a.mode: note: overridden by --set: \"track\" is in force",
		"t.cfg:7: services.a.ports: note: overridden by --set: \"80,443\" is in force",
	};
	struct config *config = text_accept(MINIMAL
		"limits = { prefix4 = 24; prefix6 = 64; };\n"
		"services = ( { name = \"a\"; to = \"any\";\n mode = \"proxy\";\n"
		"ports = \"80\"; } );\n log = { level = \"info\"; };",
		sets, 6);
	struct config_errors notes = {0};

	config_overrides(config, &notes);
	errors_print(&notes);
	assert_int_equal(notes.count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(notes.list[i].text, expected[i]);
	config_errors_free(&notes);
	config_free(config);
	config = text_accept(MINIMAL "eal = { workers = 2; };", NULL, 0);
	config_overrides(config, &notes);
	assert_int_equal(notes.count, 0);
	config_errors_free(&notes);
	config_free(config);
	(void)state;
}

static void an_mss_that_does_not_fit(void **state)
{
	static const struct {
		const char *service, *set;
		const char *warning; // NULL: none
	} cases[] = {
		{"mss = 1460;", "ports.i.mtu=1500", NULL},
		{"mss = 1460;", "ports.i.mtu=1499",
			"t.cfg:4: services.web.mss: warning: does not fit the mtu 1499 of port "
			"`i': 1459 at most is announced"},
		{"mss = 1460;", "ports.o.mtu=1400",
			"t.cfg:4: services.web.mss: warning: does not fit the mtu 1400 of port "
			"`o': 1360 at most is announced"},
		{"", "ports.o.mtu=1400", NULL},
		{"mss = 1300;", "services.web.mss=1461",
			"--set:1: services.web.mss: warning: does not fit the mtu 1500 of port "
			"`o': 1460 at most is announced"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config_errors warnings = {0};
		struct config *config;
		char text[1024];

		snprintf(text, sizeof(text),
			MINIMAL "services = ( { name = \"web\"; to = \"192.0.2.0/24\"; %s } );\n"
				"rules = (" RULE("web", "to = \"192.0.2.0/24\";") LAST,
			cases[i].service);
		config = text_accept(text, &cases[i].set, 1);
		config_warn(config, &warnings);
		errors_print(&warnings);
		assert_int_equal(warnings.count, cases[i].warning != NULL);
		if (cases[i].warning)
			assert_string_equal(warnings.list[0].text, cases[i].warning);
		config_errors_free(&warnings);
		config_free(config);
	}
	(void)state;
}

#define SYNC_PORTS                                                                                 \
	"node = \"a\";\n"                                                                          \
	"ports = ( { name = \"o\"; side = \"outside\"; device = \"null\"; },\n"                    \
	"          { name = \"i\"; side = \"inside\"; device = \"null\"; },\n"                     \
	"          { name = \"sync\"; side = \"sync\"; device = \"null\"; } );\n"
#define CLUSTER(rest)                                                                              \
	"cluster = { id = 0; name = \"lab\"; address = \"203.0.113.225/28\"; psk_file = \"p\";\n"  \
	"peers = ( { name = \"b\"; id = 1; address = \"203.0.113.226\"; } );\n" rest " };\n"
#define UNUSED "t.cfg:4: ports.sync: warning: nothing uses it: "

static void what_a_cluster_does_not_use(void **state)
{
	static const char *const leftovers[] = {UNUSED "cluster.transport is \"socket\"",
		"t.cfg:7: cluster.port: warning: nothing uses it: cluster.transport is "
		"\"socket\""};

	expect_one(SYNC_PORTS, UNUSED "there is no group `cluster'");
	expect_none(SYNC_PORTS CLUSTER("port = \"sync\";"));
	expect_warnings(
		SYNC_PORTS CLUSTER("transport = \"socket\"; port = \"sync\";"), leftovers, 2);
	expect_none(MINIMAL CLUSTER("transport = \"socket\"; port = \"\";"));
	(void)state;
}

static void sharing_with_nobody(void **state)
{
	static const char *const both[] = {
		"t.cfg:7: cluster.share: warning: with \"none\" a connection works only "
		"where both directions lead through the same node",
		"t.cfg:8: cluster.wait: warning: has no effect with share = \"none\": "
		"there is nothing to wait for"};

	expect_none(SYNC_PORTS CLUSTER("port = \"sync\"; share = \"all\"; wait = \"finder\";"));
	expect_one(SYNC_PORTS CLUSTER("port = \"sync\"; share = \"none\";"), both[0]);
	expect_one(
		SYNC_PORTS CLUSTER("port = \"sync\"; share = \"none\"; wait = \"none\";"), both[0]);
	expect_warnings(
		SYNC_PORTS CLUSTER("port = \"sync\"; share = \"none\";\nwait = \"all\";"), both, 2);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shipped_files_have_none),
		cmocka_unit_test(a_service_that_no_rule_allows),
		cmocka_unit_test(a_rule_behind_one_that_holds_all_of_it),
		cmocka_unit_test(rules_that_still_decide),
		cmocka_unit_test(a_service_behind_one_that_holds_all_of_it),
		cmocka_unit_test(what_a_set_hides),
		cmocka_unit_test(an_mss_that_does_not_fit),
		cmocka_unit_test(what_a_cluster_does_not_use),
		cmocka_unit_test(sharing_with_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
