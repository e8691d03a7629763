// The configuration as a whole: values, --set, errors, dump, reference. What the policy says is in
// config_policy_test.c, broken files are in config_corpus_test.c.
#include "text.h"

#include "cfg/schema.h"

static void defaults(void **state)
{
	struct config *config = text_accept(MINIMAL, NULL, 0);

	assert_string_equal(config->file, "t.cfg");
	assert_string_equal(config->node, "a");
	assert_string_equal(config->runtime, "/run/weir/a");
	assert_int_equal(config->eal.workers, 1);
	assert_string_equal(config->eal.cpus, "any");
	assert_int_equal(config->eal.memory_mb, 128);
	assert_int_equal(config->eal.hugepages, CHOICE_AUTO);
	assert_int_equal(config->eal.idle, CHOICE_AUTO);
	assert_int_equal(config->port_count, 2);
	assert_int_equal(config->ports[0].mtu, 1500);
	assert_false(config->follow_link);
	assert_int_equal(config->flow_capacity, 65536);
	assert_string_equal(config->log_level, "info");
	assert_string_equal(config->log_to, "auto");
	config_free(config);
	(void)state;
}

static void values_of_the_file(void **state)
{
	struct config *config = text_accept(
		"node = \"pop-a\"; runtime = \"/tmp/x\"; follow_link = true;\n"
		"eal = { workers = 2; cpus = \"2-3\"; memory_mb = 512; hugepages = \"off\"; idle = "
		"\"on\"; };\n"
		"ports = ( { name = \"o1\"; side = \"outside\"; device = \"pci:0000:03:00.0\"; mtu "
		"= 9000; },\n"
		"{ name = \"i1\"; side = \"inside\"; device = \"tap:eth0\"; } );\n"
		"flows = { capacity = 1024; }; log = { level = \"debug\"; to = \"stderr\"; };",
		NULL, 0);

	assert_string_equal(config->node, "pop-a");
	assert_string_equal(config->runtime, "/tmp/x");
	assert_true(config->follow_link);
	assert_int_equal(config->eal.workers, 2);
	assert_string_equal(config->eal.cpus, "2-3");
	assert_int_equal(config->eal.memory_mb, 512);
	assert_int_equal(config->eal.hugepages, CHOICE_OFF);
	assert_int_equal(config->eal.idle, CHOICE_ON);
	assert_string_equal(config->ports[0].name, "o1");
	assert_string_equal(config->ports[0].device, "pci:0000:03:00.0");
	assert_int_equal(config->ports[0].side, SIDE_OUTSIDE);
	assert_int_equal(config->ports[0].mtu, 9000);
	assert_string_equal(config->ports[1].device, "tap:eth0");
	assert_int_equal(config->ports[1].side, SIDE_INSIDE);
	assert_int_equal(config->flow_capacity, 1024);
	assert_string_equal(config->log_level, "debug");
	assert_string_equal(config->log_to, "stderr");
	config_free(config);
	(void)state;
}

static void file_names_are_relative_to_the_file(void **state)
{
	const char *sets[] = {"ports.o.device=pcap:in.pcap,loop",
		"ports.i.device=memif:/run/m.sock", "log.to=./weir.log"};
	struct config_errors errors;
	struct config *config = config_parse("/etc/weir/a.cfg", MINIMAL, sets, 3, &errors);

	assert_non_null(config);
	assert_string_equal(config->ports[0].device, "pcap:/etc/weir/in.pcap,loop");
	assert_string_equal(config->ports[1].device, "memif:/run/m.sock");
	assert_string_equal(config->log_to, "/etc/weir/./weir.log");
	config_free(config);
	config_errors_free(&errors);
	(void)state;
}

static void sets_replace_values(void **state)
{
	const char *sets[] = {"services.lab.mode=track", "eal.workers=3", "rules.out.action=deny",
		"ports.follow_link=true", "services.lab.to=192.0.2.0/24,2001:db8::/32",
		"services.lab.profile.wscale=3", "eal.workers=4"};
	char *text = text_read(CFG_CONF_FOLDER "/single.cfg");
	struct config *config = text_accept(text, sets, 7);
	const struct service *service = &config->policy->services[0];

	assert_int_equal(service->mode, MODE_TRACK);
	assert_int_equal(service->to_count, 2);
	assert_int_equal(service->to[0].bits, 96 + 24);
	assert_int_equal(service->to[1].bits, 32);
	assert_int_equal(service->profile.wscale, 3);
	assert_false(service->learn);
	assert_int_equal(config->eal.workers, 4);
	assert_true(config->follow_link);
	assert_int_equal(config->policy->rules[2].action, RULE_DENY);
	config_free(config);
	free(text);
	(void)state;
}

static void sets_are_checked_like_the_file(void **state)
{
	static const struct {
		const char *set;
		const char *error;
	} cases[] = {
		{"eal.workers=17", "--set:2: eal.workers: 17 is outside 1..16"},
		{"eal.workers=two", "--set:2: eal.workers: expected a whole number such as 1, "
				    "found the text \"two\""},
		{"eal.workres=2", "--set:2: eal.workres: unknown key (did you mean `workers'?)"},
		{"workers=2", "--set:2: workers: unknown key (did you mean `eal.workers'?)"},
		{"nat.id=1", "--set:2: nat.id: not part of this version; remove the group"},
		{"ports.oo.mtu=1500", "--set:2: ports.oo.mtu: there is no element of this name "
				      "(did you mean `o'?)"},
		{"eal=1", "--set:2: eal: names a group: set one of its keys"},
		{"follow_link=yes",
			"--set:2: follow_link: expected true or false, found the text \"yes\""},
		{"node", "--set:2: node: is not PATH=VALUE, such as services.lab.mode=track"},
		{"node.x=1", "--set:2: node.x: the path goes on behind a value"},
		{"ports=1", "--set:2: ports: is a list: name an element and a key, such as "
			    "services.lab.mode"},
		{"ports.o.side=insid",
			"--set:2: ports.o.side: `insid' is none of outside|inside|sync "
			"(did you mean `inside'?)"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *sets[] = {"eal.memory_mb=64", cases[i].set};

		text_refuse(MINIMAL, sets, 2, cases[i].error);
	}
	(void)state;
}

static void errors_name_file_line_and_path(void **state)
{
	text_refuse(MINIMAL "eal = {\n\tworkers = 2;\n\twokers = 3;\n};\n", NULL, 0,
		"t.cfg:6: eal.wokers: unknown key (did you mean `workers'?)");
	text_refuse(MINIMAL "rules = (\n { name = \"r\";\n action = \"permit\"; } );", NULL, 0,
		"t.cfg:6: rules.r.action: `permit' is none of allow|deny");
	text_refuse(MINIMAL "rules = (\n { name = \"r\"; } );", NULL, 0,
		"t.cfg:5: rules.r.action: is missing: give one of allow|deny, in quotes");
	text_refuse(MINIMAL "log = {\n level = ;\n};", NULL, 0,
		"t.cfg:5: syntax error at or before `level = ;'");
	text_refuse(MINIMAL "log = {\n", NULL, 0,
		"t.cfg:5: syntax error at or before the end of the file");
	(void)state;
}

static void all_errors_at_once(void **state)
{
	struct config_errors errors;

	assert_null(config_parse(
		"t.cfg", "nod = 1; eal = { workers = 0; }; flows = 2;", NULL, 0, &errors));
	// Unknown key, range, type, and the two that are missing.
	assert_int_equal(errors.count, 5);
	config_errors_free(&errors);
	(void)state;
}

// Reading finds some and the checks behind it others: the reader of the file sees one order.
static void errors_come_in_the_order_of_lines(void **state)
{
	static const char *const expected[] = {"t.cfg:4: eal.cpus: ", "t.cfg:6: rules.r.nam: ",
		"t.cfg:7: rules.r.ports: ", "t.cfg:9: services.a.mode: ", "t.cfg:9: services.a.x: ",
		"t.cfg:11: log.level: ", "--set:1: eal.idle: ", "--set:2: fragments: "};
	const char *sets[] = {"eal.idle=maybe", "fragments=some"};
	struct config_errors errors;

	assert_null(config_parse("t.cfg",
		MINIMAL
		"eal = { workers = 2; cpus = \"1\"; };\n"
		"rules = (\n { name = \"r\"; nam = \"s\"; action = \"deny\";\n"
		"ports = \"80,x\"; } );\n"
		"services = (\n { name = \"a\"; to = \"any\"; mode = \"non\"; x = 1; }\n );\n"
		"log = { level = \"loud\"; };",
		sets, 2, &errors));
	errors_print(&errors);
	assert_int_equal(errors.count, sizeof(expected) / sizeof(expected[0]));
	for (unsigned i = 0; i < errors.count; i++)
		assert_ptr_equal(strstr(errors.list[i].text, expected[i]), errors.list[i].text);
	config_errors_free(&errors);
	(void)state;
}

static void errors_are_bounded_and_printable(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct config_errors errors;

	assert_non_null(out);
	fprintf(out, "%s", MINIMAL "node2 = \"\x1b[31m\";\n");
	for (unsigned i = 0; i < 2000; i++)
		fprintf(out, "k%u = 1;\n", i);
	fclose(out);
	assert_null(config_parse("t\x1b.cfg", text, NULL, 0, &errors));
	assert_true(errors.count > 100 && errors.count < 2000);
	for (unsigned i = 0; i < errors.count; i++)
		assert_null(strchr(errors.list[i].text, '\x1b'));
	config_errors_free(&errors);
	free(text);
	(void)state;
}

// In JSON they must be UTF-8, whatever the file is.
static void errors_are_utf8(void **state)
{
	text_refuse(MINIMAL "log = { to = \"\xe9t\xc3\xa9\xed\xa0\x80\"; };", NULL, 0,
		"t.cfg:4: log.to: `?t\xc3\xa9?\?\?' is none of auto, stderr, syslog, nor a file "
		"name "
		"with a slash");
	(void)state;
}

// A check must not open what the text names.
static void includes_are_refused(void **state)
{
	text_refuse(MINIMAL "  @include \"/etc/hostname\"\n", NULL, 0,
		"t.cfg:4: @include is not supported: a node has one file");
	(void)state;
}

static void assert_dump_is_stable(struct config *config)
{
	char *first = config_dump(config);
	struct config *again;
	char *second;

	assert_non_null(first);
	again = text_accept(first, NULL, 0);
	second = config_dump(again);
	assert_string_equal(first, second);
	free(first);
	free(second);
	config_free(again);
}

static void a_dump_reads_back_as_the_same(void **state)
{
	const char *sets[] = {"eal.workers=2", "limits.queue_total_bytes=1099511627776"};
	char *text = text_read(CFG_CONF_FOLDER "/single.cfg");
	struct config *config = text_accept(text, NULL, 0);

	assert_dump_is_stable(config);
	config_free(config);
	config = text_accept(text, sets, 2);
	assert_dump_is_stable(config);
	config_free(config);
	free(text);
	(void)state;
}

static void a_dump_shows_what_is_in_force(void **state)
{
	const char *sets[] = {"eal.workers=2", "log.to=./a\"b\\c"};
	struct config *config = text_accept(MINIMAL, sets, 2);
	struct policy *policy = config_take_policy(config);
	char *dump = config_dump(config);

	assert_null(config->policy);
	assert_non_null(strstr(dump, "workers = 2;"));
	assert_non_null(strstr(dump, "to = \"./a\\\"b\\\\c\";"));
	assert_non_null(strstr(dump, "capacity = 65536;"));
	assert_null(strstr(dump, "profile"));
	free(dump);
	assert_dump_is_stable(config);
	config_free(config);
	policy_finish(policy);
	free(policy);
	(void)state;
}

static void the_reference_has_every_key_and_reads_cleanly(void **state)
{
	char *reference = config_reference();
	char *file = text_read(CFG_CONF_FOLDER "/reference.cfg");
	struct config *config;

	assert_non_null(reference);
	// If this fails: weir check --reference >conf/reference.cfg
	assert_string_equal(reference, file);
	config = text_accept(reference, NULL, 0);
	for (enum key key = 0; key < KEY_COUNT; key++) {
		char line[128];

		snprintf(line, sizeof(line), "%s = ", schema_name(key));
		assert_non_null(strstr(reference, line));
		assert_non_null(strstr(reference, schema[key].doc));
	}
	assert_dump_is_stable(config);
	config_free(config);
	free(reference);
	free(file);
	(void)state;
}

static void the_digest_covers_text_and_sets(void **state)
{
	const char *sets[] = {"eal.workers=2", "eal.memory_mb=64"};
	struct config *plain = text_accept(MINIMAL, NULL, 0);
	struct config *same = text_accept(MINIMAL, NULL, 0);
	struct config *other = text_accept(MINIMAL "\n", NULL, 0);
	struct config *one_set = text_accept(MINIMAL, sets, 1);
	struct config *two_sets = text_accept(MINIMAL, sets, 2);

	assert_int_equal(strlen(plain->sha256), 64);
	assert_string_equal(plain->sha256, same->sha256);
	assert_string_not_equal(plain->sha256, other->sha256);
	assert_string_not_equal(plain->sha256, one_set->sha256);
	assert_string_not_equal(one_set->sha256, two_sets->sha256);
	config_free(plain);
	config_free(same);
	config_free(other);
	config_free(one_set);
	config_free(two_sets);
	(void)state;
}

// Without --set it is what sha256sum says of the file.
static void the_digest_of_a_file_is_the_usual_one(void **state)
{
	struct config *config = text_accept(MINIMAL, NULL, 0);

	assert_string_equal(config->sha256, MINIMAL_SHA256);
	config_free(config);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values_of_the_file),
		cmocka_unit_test(file_names_are_relative_to_the_file),
		cmocka_unit_test(sets_replace_values),
		cmocka_unit_test(sets_are_checked_like_the_file),
		cmocka_unit_test(errors_name_file_line_and_path),
		cmocka_unit_test(all_errors_at_once),
		cmocka_unit_test(errors_come_in_the_order_of_lines),
		cmocka_unit_test(errors_are_bounded_and_printable),
		cmocka_unit_test(errors_are_utf8),
		cmocka_unit_test(includes_are_refused),
		cmocka_unit_test(a_dump_reads_back_as_the_same),
		cmocka_unit_test(a_dump_shows_what_is_in_force),
		cmocka_unit_test(the_reference_has_every_key_and_reads_cleanly),
		cmocka_unit_test(the_digest_covers_text_and_sets),
		cmocka_unit_test(the_digest_of_a_file_is_the_usual_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
