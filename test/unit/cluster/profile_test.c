// PROFILES and LEARNT, byte by byte (WIRE.md section 6), and what of them is refused.
#include "cluster/profile.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define HEAD_BYTES 3

static const struct profile_set two = {.valid = true,
	.author = 5,
	.epoch = 0x01020304,
	.count = 2,
	.list = {{"web", {.mss = 1460,
				 .wscale = 9,
				 .sack = true,
				 .ecn = true,
				 .known = PROFILE_ALL}},
		{"mx", {.mss = 536, .wscale = OPTIONS_WSCALE_NONE, .timestamps = true}}}};

// clang-format off
static const uint8_t two_bytes[] = {0x15, 0x00, 0x18, 0x01, 0x02, 0x03, 0x04, 0x00, 0x05, 0x03,
	3, 'w', 'e', 'b', 0x05, 0xb4, 9, 0x05, 0x1f,
	2, 'm', 'x', 0x02, 0x18, 15, 0x02, 0x00};
static const uint8_t learnt_bytes[] = {0x16, 0x00, 0x09, 3, 'w', 'e', 'b', 0x05, 0xb4, 9, 0x05, 0x1f};
// clang-format on

static struct profile_set got;

static bool get(const uint8_t *bytes, size_t len, bool *whole)
{
	return profile_get_set(&got, bytes + HEAD_BYTES, len - HEAD_BYTES, whole);
}

static void golden_bytes(void **state)
{
	uint8_t wire[128];
	struct cursor out = cursor_write(wire, sizeof(wire));
	struct named_profile learnt;
	unsigned next = 0;
	bool whole;

	(void)state;
	assert_true(profile_put_set(&out, &two, &next));
	assert_int_equal(out.at - wire, sizeof(two_bytes));
	assert_memory_equal(wire, two_bytes, sizeof(two_bytes));
	assert_int_equal(next, PROFILE_SET_DONE);
	assert_false(profile_put_set(&out, &two, &next));
	assert_true(get(two_bytes, sizeof(two_bytes), &whole));
	assert_true(whole && got.valid && got.author == 5 && got.epoch == two.epoch);
	assert_true(profile_set_equal(&got, &two));

	out = cursor_write(wire, sizeof(wire));
	assert_true(profile_put_learnt(&out, &two.list[0]));
	assert_int_equal(out.at - wire, sizeof(learnt_bytes));
	assert_memory_equal(wire, learnt_bytes, sizeof(learnt_bytes));
	assert_true(
		profile_get_learnt(&learnt, wire + HEAD_BYTES, sizeof(learnt_bytes) - HEAD_BYTES));
	assert_string_equal(learnt.name, "web");
	assert_true(profile_equal(&learnt.profile, &two.list[0].profile));
}

static void make_large(struct profile_set *set, unsigned count)
{
	*set = (struct profile_set){.valid = true, .author = 63, .epoch = 7};
	for (; set->count < count; set->count++) {
		struct named_profile *entry = &set->list[set->count];

		snprintf(entry->name, sizeof(entry->name), "service-%03u", set->count);
		memset(entry->name + 11, 'x', set->count % 53);
		entry->profile = (struct profile){.mss = (uint16_t)(64 + 37 * set->count),
			.wscale = (uint8_t)(set->count % 16),
			.sack = set->count & 1,
			.timestamps = set->count & 2,
			.ecn = set->count & 4,
			.known = (uint8_t)(set->count % (PROFILE_ALL + 1))};
	}
}

// Any number of entries, in records of any room: as many messages as it takes, none too long.
static void sets_of_any_size(void **state)
{
	static struct profile_set set;

	(void)state;
	for (unsigned count = 0; count <= SERVICE_COUNT_MAX; count += count < 4 ? 1 : 63) {
		for (size_t room = 80; room < 1500; room += 97) {
			unsigned next = 0, messages = 0;
			bool whole = false;

			make_large(&set, count);
			got.valid = false;
			while (next != PROFILE_SET_DONE) {
				uint8_t *wire = malloc(room); // the sanitizer watches its end
				struct cursor out = cursor_write(wire, room);

				assert_false(whole);
				assert_true(profile_put_set(&out, &set, &next));
				assert_true(get(wire, (size_t)(out.at - wire), &whole));
				messages++;
				free(wire);
			}
			assert_true(whole && profile_set_equal(&got, &set));
			assert_true(count < 100 || room > 1000 || messages > 1);
		}
	}
}

static void what_does_not_fit_is_not_written(void **state)
{
	(void)state;
	for (size_t room = 0; room < 19; room++) {
		uint8_t wire[19];
		struct cursor out = cursor_write(wire, room);
		unsigned next = 0;

		assert_false(profile_put_set(&out, &two, &next));
		assert_false(room < sizeof(learnt_bytes) && profile_put_learnt(&out, &two.list[0]));
		assert_true(out.at == wire && !out.failed && next == 0);
	}
}

static void find_by_name(void **state)
{
	(void)state;
	for (unsigned hint = 0; hint < 5; hint++) {
		assert_ptr_equal(profile_find(&two, "web", hint), &two.list[0].profile);
		assert_ptr_equal(profile_find(&two, "mx", hint), &two.list[1].profile);
		assert_null(profile_find(&two, "we", hint));
	}
	assert_null(profile_find(&(struct profile_set){.valid = true}, "web", 3));
}

// With one byte changed: refused, and nothing is left of the set.
static void refuse(size_t at, uint8_t value)
{
	uint8_t bytes[sizeof(two_bytes)];
	bool whole;

	memcpy(bytes, two_bytes, sizeof(bytes));
	bytes[at] = value;
	got.valid = false;
	assert_false(get(bytes, sizeof(bytes), &whole));
	assert_false(got.valid || whole);
}

static void nonsense_is_refused(void **state)
{
	struct named_profile learnt;
	uint8_t bytes[sizeof(two_bytes) + 1] = {0};
	bool whole;

	(void)state;
	refuse(3, 0x80);  // an epoch that does not exist
	refuse(8, 64);	  // a node that does not exist
	refuse(9, 0x02);  // the end of a set that did not begin
	refuse(9, 0x07);  // an unknown flag
	refuse(10, 0);	  // a service without a name
	refuse(10, 64);	  // a name that is too long
	refuse(12, 0);	  // a name that ends early
	refuse(22, 0);	  // (0x18 below it) an MSS nobody announces
	refuse(16, 16);	  // a scale that does not exist
	refuse(17, 0x08); // an unknown bit
	refuse(18, 0x20);
	for (size_t len = HEAD_BYTES; len < sizeof(two_bytes); len++)
		if (len != 10 && len != 19) // whole entries
			assert_false(get(two_bytes, len, &whole));
	for (size_t len = HEAD_BYTES; len < sizeof(learnt_bytes); len++)
		assert_false(
			profile_get_learnt(&learnt, learnt_bytes + HEAD_BYTES, len - HEAD_BYTES));
	memcpy(bytes, learnt_bytes, sizeof(learnt_bytes));
	assert_false(profile_get_learnt(&learnt, bytes + HEAD_BYTES, sizeof(learnt_bytes) - 2));
}

// A set goes on where it stopped, and only there.
static void only_the_continuation_is_added(void **state)
{
	uint8_t bytes[sizeof(two_bytes)];
	bool whole;

	(void)state;
	memcpy(bytes, two_bytes, sizeof(bytes));
	bytes[9] = 0x01;
	got.valid = false;
	assert_true(get(bytes, sizeof(bytes), &whole));
	assert_false(whole);
	assert_true(got.valid);
	bytes[9] = 0;
	assert_true(get(bytes, 19, &whole));
	assert_int_equal(got.count, 3);
	bytes[8] = 6; // another author's
	assert_false(get(bytes, 19, &whole));
	assert_false(got.valid);
	// A beginning replaces what was there; and there is an end to all.
	assert_true(get(two_bytes, sizeof(two_bytes), &whole));
	assert_int_equal(got.count, 2);
	memcpy(bytes, two_bytes, sizeof(bytes));
	bytes[9] = 0;
	for (unsigned i = 1; i < SERVICE_COUNT_MAX / 2; i++)
		assert_true(get(bytes, sizeof(bytes), &whole));
	assert_int_equal(got.count, SERVICE_COUNT_MAX);
	assert_false(get(bytes, 19, &whole));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_bytes),
		cmocka_unit_test(sets_of_any_size),
		cmocka_unit_test(what_does_not_fit_is_not_written),
		cmocka_unit_test(find_by_name),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(only_the_continuation_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
