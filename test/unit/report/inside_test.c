// Proves: of `weir replay`, that the side of a packet is that of the prefix its source lies in, and
// that the short way for most packets finds the source that the view has.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "pkt/view.h"
#include "weir/replay/inside.h"

#include <stdlib.h>

static bool has(const struct inside *inside, const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return inside_has(inside, &addr);
}

static void open_with(struct inside *inside, const char *one, const char *other)
{
	struct prefix prefixes[2];

	assert_int_equal(prefix_parse(&prefixes[0], one), 0);
	assert_int_equal(prefix_parse(&prefixes[1], other), 0);
	assert_int_equal(inside_open(inside, prefixes, 2, NULL), 0);
}

static void both_families(void **state)
{
	struct inside inside;

	(void)state;
	open_with(&inside, "198.51.100.0/25", "2001:db8:2::/47");
	assert_true(has(&inside, "198.51.100.0"));
	assert_true(has(&inside, "198.51.100.127"));
	assert_false(has(&inside, "198.51.100.128"));
	assert_true(has(&inside, "2001:db8:3::1"));
	assert_false(has(&inside, "2001:db8:4::1"));
	inside_close(&inside);
	open_with(&inside, "2001:db8::1/128", "2001:db8:0:1::/65");
	assert_true(has(&inside, "2001:db8::1"));
	assert_false(has(&inside, "2001:db8::2"));
	assert_true(has(&inside, "2001:db8:0:1:7fff::"));
	assert_false(has(&inside, "2001:db8:0:1:8000::"));
	inside_close(&inside);
}

// Every address of one family is none of the other's.
static void all_of_a_family(void **state)
{
	struct inside inside;

	(void)state;
	open_with(&inside, "::/0", "::/0");
	assert_true(has(&inside, "2001:db8::1"));
	assert_true(has(&inside, "::1"));
	assert_false(has(&inside, "192.0.2.1"));
	inside_close(&inside);
	open_with(&inside, "0.0.0.0/0", "192.0.2.0/24");
	assert_true(has(&inside, "192.0.2.1"));
	assert_true(has(&inside, "1.2.3.4"));
	assert_false(has(&inside, "2001:db8::1"));
	inside_close(&inside);
	open_with(&inside, "any", "any");
	assert_true(has(&inside, "192.0.2.1"));
	assert_true(has(&inside, "2001:db8::1"));
	inside_close(&inside);
}

static void of_services(void **state)
{
	static struct service services[2] = {{.to_count = 1}, {.to_count = 1}};
	const struct policy policy = {.services = services, .service_count = 2};
	struct inside inside;

	(void)state;
	prefix_parse(&services[0].to[0], "192.0.2.0/24");
	prefix_parse(&services[1].to[0], "2001:db8::/32");
	assert_int_equal(inside_open(&inside, NULL, 0, &policy), 0);
	assert_true(has(&inside, "192.0.2.1"));
	assert_true(has(&inside, "2001:db8::1"));
	assert_false(has(&inside, "192.0.3.1"));
	inside_close(&inside);
	assert_int_equal(inside_open(&inside, services[1].to, 1, &policy), 0);
	assert_false(has(&inside, "192.0.2.1")); // the services' own do not count then
	inside_close(&inside);
}

// TCP in IPv4 with timestamps, from 192.0.2.1 or 192.0.3.1.
static unsigned make_frame(uint8_t data[128], bool in)
{
	static const uint8_t usual[66] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,	 // Ethernet
		0x45, 0, 0, 53, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 18, 0, 1, // IPv4
		156, 64, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x80, 16, 1, 0, 0, 0, 0, 0,	 // TCP
		1, 1, 8, 10, 0, 0, 0, 1, 0, 0};

	memset(data, 0, 128);
	memcpy(data, usual, sizeof(usual));
	data[28] = in ? 2 : 3;
	return sizeof(usual) + 2;
}

// Whatever is changed: it agrees with the view, or says nothing.
static void agrees_with_the_view(void **state)
{
	static const uint8_t values[] = {
		0, 1, 5, 6, 0x20, 0x40, 0x45, 0x46, 0x50, 0x80, 0xf0, 0xff};
	unsigned said = 0, silent = 0, ins = 0;
	struct inside inside;
	uint8_t data[128];

	(void)state;
	open_with(&inside, "192.0.2.0/24", "2001:db8::/32");
	srand(1);
	for (unsigned turn = 0; turn < 100000; turn++) {
		struct frame frame = {.data = data, .len = (uint16_t)make_frame(data, turn % 2)};
		struct view view;
		bool in;

		for (unsigned i = 0; i < turn % 4; i++)
			data[12 + rand() % 36] = values[(size_t)rand() % sizeof(values)];
		if (turn % 5 == 0)
			frame.len = (uint16_t)(rand() % 128);
		if (!inside_has_source(&inside, data, frame.len, &in)) {
			silent++;
			continue;
		}
		said++;
		ins += in;
		assert_int_equal(view_parse(&view, &frame), REASON_NONE);
		assert_true(view.bits & VIEW_IP4);
		assert_int_equal(in, inside_has(&inside, &view.src));
	}
	assert_in_range(said, 30000, 70000);
	assert_in_range(silent, 30000, 70000);
	assert_in_range(ins, said / 3, said - said / 3);
	inside_close(&inside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families),
		cmocka_unit_test(all_of_a_family),
		cmocka_unit_test(of_services),
		cmocka_unit_test(agrees_with_the_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
