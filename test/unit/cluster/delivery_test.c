// Records between two nodes: each is handled once and in order, whatever the network does; memory
// is bounded; what is lost is sent again in time. Proves: RELIABILITY 17 (the memory of a slow
// peer).
#include "base/bytes.h"
#include "cluster/delivery.h"

#include <stdarg.h>
#include <stdlib.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define MS	      1000000ULL
#define FLIGHT_MAX    512
#define ITEMS	      4000
#define NEAR_THE_WRAP (UINT32_MAX - 700ULL)
#define ROOM	      64

struct flight {
	uint64_t at_ns;
	bool to_b;
	uint16_t len;
	uint8_t data[RECORD_BYTES_MAX];
};

struct pair {
	struct delivery a, b;
	uint64_t now_ns;
	uint32_t random;
	unsigned loss; // percent
	unsigned flights;
	struct flight flight[FLIGHT_MAX];
	uint32_t expected; // next item b is to handle in order
	uint32_t items;	   // made by a
	uint64_t sent, resent;
};

static struct pair *make_pair(uint32_t seed, uint64_t number)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	delivery_start(&pair->a, ROOM, number);
	delivery_start(&pair->b, ROOM, number);
	pair->now_ns = 1000 * MS;
	pair->random = seed;
	return pair;
}

static uint32_t choose(struct pair *pair, uint32_t bound)
{
	pair->random = pair->random * 1664525 + 1013904223;
	return (pair->random >> 8) % bound;
}

static bool add_item(struct pair *pair)
{
	struct cursor *out = delivery_room(&pair->a, 1, 7);

	if (out == NULL)
		return false;
	cursor_put32(out, pair->items++);
	if (choose(pair, 3) == 0 || cursor_left(out) < 4)
		delivery_close(&pair->a);
	return true;
}

static void fly(struct pair *pair, bool to_b, const uint8_t *data, size_t len)
{
	for (unsigned copies = choose(pair, 20) == 0 ? 2 : 1; copies > 0; copies--) {
		struct flight *flight = &pair->flight[pair->flights];

		if (choose(pair, 100) < pair->loss || pair->flights == FLIGHT_MAX)
			continue;
		pair->flights++;
		flight->to_b = to_b;
		flight->len = (uint16_t)len;
		memcpy(flight->data, data, len);
		// Up to 3 ms apart: later ones overtake.
		flight->at_ns = pair->now_ns + MS + choose(pair, 3000) * 1000ULL;
	}
}

static void send_all(struct pair *pair, struct delivery *from)
{
	uint8_t data[RECORD_BYTES_MAX];
	struct record_head head = {0};
	struct cursor out = cursor_write(data, sizeof(data));
	size_t len;
	bool again;

	delivery_close(from);
	while ((len = delivery_next(from, pair->now_ns, data, &again)) > 0) {
		fly(pair, from == &pair->a, data, len);
		pair->sent++;
		pair->resent += again;
	}
	if (!delivery_ack_is_due(from, pair->now_ns))
		return;
	delivery_head(from, &head);
	record_head_put(&out, &head);
	fly(pair, from == &pair->a, data, RECORD_HEADER_BYTES);
}

// b handles what it can, and looks at records ahead of their turn as the cluster does.
static void handle(struct pair *pair)
{
	struct arrived_record *record;

	while ((record = delivery_turn(&pair->b)) != NULL) {
		assert_int_equal(record->rows, 1);
		assert_int_equal(record->tick, 7);
		for (unsigned at = 0; at < record->len; at += 4)
			assert_int_equal(be32_get(record->data + at), pair->expected++);
		delivery_turn_done(&pair->b);
	}
	while ((record = delivery_early(&pair->b)) != NULL) {
		assert_true(be32_get(record->data) > pair->expected);
		assert_int_equal(record->early_at, 0);
		record->early_at = record->len;
		delivery_early_done(&pair->b, record);
	}
}

static void arrive(struct pair *pair, const struct flight *flight)
{
	struct delivery *to = flight->to_b ? &pair->b : &pair->a;
	struct cursor in = cursor_read(flight->data, flight->len);
	struct record_head head;

	assert_true(record_head_get(&in, &head));
	assert_true(delivery_acked(to, pair->now_ns, &head));
	if (head.number != 0)
		delivery_arrive(to, pair->now_ns, &head, in.at, cursor_left(&in));
}

static void pass(struct pair *pair, uint64_t ns)
{
	pair->now_ns += ns;
	for (unsigned i = 0; i < pair->flights;) {
		struct flight flight = pair->flight[i];

		if (flight.at_ns > pair->now_ns) {
			i++;
			continue;
		}
		pair->flight[i] = pair->flight[--pair->flights];
		arrive(pair, &flight);
	}
	handle(pair);
	send_all(pair, &pair->a);
	send_all(pair, &pair->b);
}

static void storm(uint32_t seed, uint64_t number, unsigned loss)
{
	struct pair *pair = make_pair(seed, number);

	pair->loss = loss;
	for (unsigned step = 0; step < 60000 && pair->expected < ITEMS; step++) {
		for (unsigned n = choose(pair, 4); n > 0 && pair->items < ITEMS; n--)
			add_item(pair);
		pass(pair, choose(pair, 1000) * 1000ULL);
		assert_in_range(delivery_queued(&pair->a), 0, DELIVERY_RECORDS);
	}
	assert_int_equal(pair->expected, ITEMS);
	pair->loss = 0;
	for (unsigned i = 0; i < 1000; i++)
		pass(pair, MS);
	assert_int_equal(delivery_queued(&pair->a), 0);
	assert_int_equal(delivery_due_ns(&pair->a, true), UINT64_MAX);
	assert_true(loss == 0 || pair->resent > 0);
	free(pair);
}

static void storms_lose_and_repeat_nothing(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 10; seed++)
		storm(seed, 1, 30);
	storm(11, 1, 0);
}

// The number whose 32 bits are 0 does not exist, on either side.
static void numbers_wrap(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 10; seed++)
		storm(seed, NEAR_THE_WRAP + seed * 37, 20);
}

static void window_is_bounded(void **state)
{
	struct pair *pair = make_pair(1, 1);
	struct record_head head = {.rows = 1, .number = DELIVERY_RECORDS + 1, .tick = 7};
	uint8_t data[4] = {0};
	unsigned made = 0;

	(void)state;
	while (add_item(pair))
		delivery_close(&pair->a), made++;
	assert_int_equal(made, DELIVERY_RECORDS);
	assert_int_equal(delivery_queued(&pair->a), DELIVERY_RECORDS);
	// Nothing arrives: it sends, and waits, and makes no room.
	for (unsigned i = 0; i < 10; i++) {
		pair->loss = 100;
		pass(pair, 1000 * MS);
		assert_false(add_item(pair));
	}
	// The receiver takes what fits into its window, and no more.
	assert_null(delivery_arrive(&pair->b, pair->now_ns, &head, data, sizeof(data)));
	head.number--;
	assert_non_null(delivery_arrive(&pair->b, pair->now_ns, &head, data, sizeof(data)));
	assert_null(delivery_arrive(&pair->b, pair->now_ns, &head, data, sizeof(data)));
	assert_null(delivery_turn(&pair->b));
	free(pair);
}

// Sends one record of a to b; true where it arrived.
static uint32_t step_record(struct pair *pair, bool arrives)
{
	uint8_t data[RECORD_BYTES_MAX];
	struct flight flight = {.to_b = true};
	struct record_head head;
	struct cursor in;
	bool again;

	flight.len = (uint16_t)delivery_next(&pair->a, pair->now_ns, data, &again);
	if (flight.len == 0)
		return 0;
	memcpy(flight.data, data, flight.len);
	in = cursor_read(data, flight.len);
	assert_true(record_head_get(&in, &head));
	if (arrives)
		arrive(pair, &flight);
	return head.number;
}

static void step_ack(struct pair *pair)
{
	struct record_head head = {0};

	delivery_head(&pair->b, &head);
	assert_true(delivery_acked(&pair->a, pair->now_ns, &head));
}

static void make_records(struct pair *pair, unsigned count)
{
	for (; count > 0; count--) {
		assert_true(add_item(pair));
		delivery_close(&pair->a);
	}
}

// A round trip of 1 ms is known afterwards.
static void measure(struct pair *pair)
{
	make_records(pair, 1);
	step_record(pair, true);
	handle(pair);
	pair->now_ns += MS;
	step_ack(pair);
	assert_int_equal(pair->a.rtt_ns, MS);
}

static void acknowledgements_wait_for_company(void **state)
{
	struct pair *pair = make_pair(1, 1);

	(void)state;
	make_records(pair, 4);
	step_record(pair, true);
	assert_false(delivery_ack_is_due(&pair->b, pair->now_ns));
	assert_int_equal(delivery_due_ns(&pair->b, true), pair->now_ns + DELIVERY_ACK_WAIT_NS);
	assert_true(delivery_ack_is_due(&pair->b, pair->now_ns + DELIVERY_ACK_WAIT_NS));
	// A gap is said at once.
	step_record(pair, false);
	step_record(pair, true);
	assert_true(delivery_ack_is_due(&pair->b, pair->now_ns));
	// Any record carries it.
	step_ack(pair);
	assert_false(delivery_ack_is_due(&pair->b, pair->now_ns + 1000 * MS));
	assert_int_equal(delivery_queued(&pair->a), 3);
	free(pair);
}

static void lost_records_are_sent_again_when_three_passed(void **state)
{
	struct pair *pair = make_pair(1, 1);

	(void)state;
	measure(pair);
	make_records(pair, 4);
	assert_int_equal(step_record(pair, false), 2);
	for (uint32_t number = 3; number <= 5; number++) {
		assert_int_equal(step_record(pair, true), number);
		step_ack(pair);
	}
	assert_int_equal(step_record(pair, true), 2);
	assert_int_equal(step_record(pair, true), 0);
	step_ack(pair);
	assert_int_equal(delivery_queued(&pair->a), 0);
	free(pair);
}

static void two_later_ones_prove_nothing(void **state)
{
	struct pair *pair = make_pair(1, 1);

	(void)state;
	measure(pair);
	make_records(pair, 3);
	assert_int_equal(step_record(pair, false), 2);
	assert_int_equal(step_record(pair, true), 3);
	assert_int_equal(step_record(pair, true), 4);
	step_ack(pair);
	assert_int_equal(step_record(pair, true), 0);
	pair->now_ns += DELIVERY_RTO_MIN_NS;
	assert_int_equal(step_record(pair, true), 2);
	free(pair);
}

static void retransmission_backs_off(void **state)
{
	static const uint64_t waits_ms[] = {5, 10, 20, 40, 80, 80, 80};
	struct pair *pair = make_pair(1, 1);

	(void)state;
	measure(pair);
	make_records(pair, 1);
	step_record(pair, false);
	for (unsigned i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
		assert_int_equal(delivery_due_ns(&pair->a, true), pair->now_ns + waits_ms[i] * MS);
		assert_int_equal(delivery_due_ns(&pair->a, false), UINT64_MAX);
		pair->now_ns += waits_ms[i] * MS - 1;
		assert_int_equal(step_record(pair, false), 0);
		pair->now_ns++;
		assert_int_equal(step_record(pair, false), 2);
		assert_int_equal(step_record(pair, false), 0);
	}
	free(pair);
}

static void impossible_acknowledgements_are_refused(void **state)
{
	struct pair *pair = make_pair(1, 1);
	struct record_head head = {.ack = 2, .seen = UINT32_MAX};

	(void)state;
	make_records(pair, 2);
	step_record(pair, false);
	assert_false(delivery_acked(&pair->a, pair->now_ns, &head));
	assert_int_equal(delivery_queued(&pair->a), 2);
	head.ack = 1;
	assert_true(delivery_acked(&pair->a, pair->now_ns, &head));
	assert_int_equal(delivery_queued(&pair->a), 1);
	// What was not sent cannot have been seen.
	assert_int_equal(step_record(pair, false), 2);
	head.ack = 0;
	assert_true(delivery_acked(&pair->a, pair->now_ns, &head));
	assert_int_equal(delivery_queued(&pair->a), 1);
	free(pair);
}

static void head_has_its_bytes(void **state)
{
	static const uint8_t expected[RECORD_HEADER_BYTES] = {
		1, 9, 0, 0, 1, 2, 0, 0, 3, 4, 0x80, 0, 0, 1, 0, 0, 5, 6};
	struct record_head head = {
		.rows = 9, .number = 0x102, .ack = 0x304, .seen = 0x80000001, .tick = 0x506};
	struct record_head back;
	uint8_t data[RECORD_HEADER_BYTES];
	struct cursor out = cursor_write(data, sizeof(data));
	struct cursor in = cursor_read(data, sizeof(data));

	(void)state;
	record_head_put(&out, &head);
	assert_memory_equal(data, expected, sizeof(data));
	assert_true(record_head_get(&in, &back));
	assert_int_equal(back.rows, head.rows);
	assert_int_equal(back.number, head.number);
	assert_int_equal(back.ack, head.ack);
	assert_int_equal(back.seen, head.seen);
	assert_int_equal(back.tick, head.tick);
	in = cursor_read(data, sizeof(data) - 1);
	assert_false(record_head_get(&in, &back));
	data[0] = 2;
	in = cursor_read(data, sizeof(data));
	assert_false(record_head_get(&in, &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storms_lose_and_repeat_nothing),
		cmocka_unit_test(numbers_wrap),
		cmocka_unit_test(window_is_bounded),
		cmocka_unit_test(acknowledgements_wait_for_company),
		cmocka_unit_test(lost_records_are_sent_again_when_three_passed),
		cmocka_unit_test(two_later_ones_prove_nothing),
		cmocka_unit_test(retransmission_backs_off),
		cmocka_unit_test(impossible_acknowledgements_are_refused),
		cmocka_unit_test(head_has_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
