// Proves: of `weir replay`, that buckets keep their sums however long the capture turns out to be.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "weir/replay/timeline.h"

#define MS 1000000ULL

static uint64_t offered(const struct timeline *timeline)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < TIMELINE_BUCKETS; i++)
		sum += timeline->buckets[i].offered;
	return sum;
}

static void first_buckets(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline);
	assert_ptr_equal(timeline_at(&timeline, 0), &timeline.buckets[0]);
	assert_int_equal(timeline.used, 1);
	assert_ptr_equal(timeline_at(&timeline, MS - 1), &timeline.buckets[0]);
	assert_ptr_equal(timeline_at(&timeline, MS), &timeline.buckets[1]);
	assert_ptr_equal(timeline_at(&timeline, 0), &timeline.buckets[0]);
	assert_int_equal(timeline.used, 2);
}

static void sums_stay(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline);
	for (uint64_t i = 0; i < 10000; i++) {
		struct timeline_bucket *bucket = timeline_at(&timeline, i * MS);

		bucket->offered++;
		bucket->dropped += 2;
	}
	assert_int_equal(offered(&timeline), 10000);
	assert_int_equal(timeline.width_ns, 64 * MS);
	assert_int_equal(timeline.used, 10000 / 64 + 1);
	for (unsigned i = 0; i + 1 < timeline.used; i++) {
		assert_int_equal(timeline.buckets[i].offered, 64);
		assert_int_equal(timeline.buckets[i].dropped, 128);
	}
}

static void far_away(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline);
	timeline_at(&timeline, 0)->offered++;
	timeline_at(&timeline, UINT64_MAX / 4)->offered++;
	assert_int_equal(timeline.buckets[0].offered, 1);
	assert_int_equal(offered(&timeline), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_buckets),
		cmocka_unit_test(sums_stay),
		cmocka_unit_test(far_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
