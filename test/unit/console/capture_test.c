// The copies a capture takes: what is wanted, what is not, and a full ring.
#include "weir/capture.h"

#include "base/error.h"
#include "weir/console/match.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

// Ethernet, IPv4, UDP 192.0.2.1:1000 -> 198.51.100.1:53, no payload.
static const uint8_t udp[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0,
	64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1, 3, 232, 0, 53, 0, 8, 0, 0};

static struct capture_cell last;

static void take(void *context, const struct capture_cell *cell)
{
	(void)context;
	last = *cell;
}

static unsigned drain(void)
{
	unsigned total = 0, taken;

	while ((taken = capture_drain(take, NULL, 100)))
		total += taken;
	return total;
}

static void offer(unsigned worker, enum capture_stage stage, uint8_t port)
{
	capture_offer(
		worker, &(struct capture_packet){.data = udp,
				.len = sizeof(udp),
				.stage = (uint8_t)stage,
				.port = port,
				.reason = stage == CAPTURE_DROP ? REASON_no_flow : REASON_NONE,
				.rule = 3});
}

static void nothing_without_a_capture(void **state)
{
	(void)state;
	assert_false(capture_wants());
	offer(0, CAPTURE_RX, 0);
	assert_int_equal(drain(), 0);
}

static void a_port_in_both_directions(void **state)
{
	const struct capture_want want = {.port = 1};

	(void)state;
	assert_int_equal(capture_open(&want, 2), 0);
	assert_true(capture_wants());
	assert_int_equal(capture_open(&want, 2), -ERR_EXISTS);
	offer(0, CAPTURE_RX, 1);
	offer(1, CAPTURE_TX, 1);
	offer(0, CAPTURE_RX, 0);
	offer(0, CAPTURE_DROP, 1);
	assert_int_equal(drain(), 2);
	assert_int_equal(last.stage, CAPTURE_TX);
	assert_int_equal(last.kept, sizeof(udp));
	assert_memory_equal(last.data, udp, sizeof(udp));
	capture_close();
	offer(0, CAPTURE_RX, 1);
	assert_int_equal(drain(), 0);
}

static void drops_that_match(void **state)
{
	struct match match;
	struct capture_want want = {.port = CAPTURE_PORT_ANY, .drops = true, .match = &match};

	(void)state;
	match_init(&match);
	assert_int_equal(match_parse_protocol(&match, "udp"), 0);
	match.source_port = 53; // the other direction matches, too
	assert_int_equal(capture_open(&want, 1), 0);
	offer(0, CAPTURE_DROP, 0);
	offer(0, CAPTURE_RX, 0);
	assert_int_equal(drain(), 1);
	assert_int_equal(last.reason, REASON_no_flow);
	assert_int_equal(last.rule, 3);
	capture_close();
	match.source_port = 54;
	assert_int_equal(capture_open(&want, 1), 0);
	offer(0, CAPTURE_DROP, 0);
	assert_int_equal(drain(), 0);
	capture_close();
}

static void a_full_ring_loses_copies_and_counts(void **state)
{
	const struct capture_want want = {.port = 0};

	(void)state;
	assert_int_equal(capture_open(&want, 1), 0);
	for (unsigned i = 0; i < CAPTURE_CELLS + 7; i++)
		offer(0, CAPTURE_RX, 0);
	assert_int_equal(capture_lost(), 7);
	capture_close();
	assert_int_equal(capture_open(&want, 1), 0);
	assert_int_equal(capture_lost(), 0);
	assert_int_equal(drain(), 0); // copies of the session before are not this one's
	offer(0, CAPTURE_RX, 0);
	assert_int_equal(drain(), 1);
	capture_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_without_a_capture),
		cmocka_unit_test(a_port_in_both_directions),
		cmocka_unit_test(drops_that_match),
		cmocka_unit_test(a_full_ring_loses_copies_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
