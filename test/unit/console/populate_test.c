// Pages made in the background: all of them, in order, without a change of what is in them, and
// none behind the end.
#include "weir/populate.h"

#include "base/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1u << 20)

static uint64_t plenty(void)
{
	return UINT64_MAX;
}

static uint64_t nothing(void)
{
	return 0;
}

static uint8_t *map(struct populate *populate, size_t bytes)
{
	uint8_t *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	madvise(memory, bytes, MADV_NOHUGEPAGE); // no more pages than were asked for
	populate_add(populate, memory, bytes);
	return memory;
}

static void unmap(const struct populate *populate)
{
	for (unsigned i = 0; i < populate->range_count; i++)
		munmap(populate->ranges[i].memory, populate->ranges[i].bytes);
}

static bool is_there(const uint8_t *byte)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char there;

	byte -= (uintptr_t)byte % page;
	assert_int_equal(mincore((void *)(uintptr_t)byte, page, &there), 0);
	return there & 1;
}

static bool all_there(const uint8_t *memory, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += (size_t)sysconf(_SC_PAGESIZE))
		if (!is_there(memory + at))
			return false;
	return true;
}

static void wait_for(const struct populate *populate, uint64_t bytes)
{
	while (populate_done_bytes(populate) < bytes)
		sched_yield();
	assert_int_equal(populate_done_bytes(populate), bytes);
}

// A small table has its pages when it starts, and there is no thread.
static void small_ones_at_once(void **state)
{
	struct populate populate = {0};
	uint8_t *memory = map(&populate, 5 * MIB + 12345);

	(void)state;
	assert_false(is_there(memory));
	assert_int_equal(populate_start(&populate, nothing), 0);
	assert_int_equal(populate_done_bytes(&populate), 5 * MIB + 12345);
	assert_true(all_there(memory, 5 * MIB + 12345));
	assert_false(populate.running);
	populate_stop(&populate);
	unmap(&populate);
}

// What was written meanwhile stays, zeros stay zeros, and lengths that are no multiple of anything
// are walked to their ends.
static void all_of_large_ones(void **state)
{
	const size_t bytes[] = {40 * MIB, 3 * MIB + 4097, 25 * MIB + 1};
	struct populate populate = {0};
	uint64_t sum = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bytes); i++) {
		map(&populate, bytes[i])[bytes[i] - 1] = (uint8_t)(i + 1);
		sum += bytes[i];
	}
	assert_int_equal(populate_start(&populate, plenty), 0);
	memcpy(populate.ranges[0].memory + 39 * MIB, "written", 8);
	wait_for(&populate, sum);
	populate_stop(&populate);
	for (unsigned i = 0; i < ARRAY_LEN(bytes); i++) {
		const uint8_t *memory = populate.ranges[i].memory;

		assert_true(all_there(memory, bytes[i]));
		assert_int_equal(memory[bytes[i] - 1], i + 1);
		assert_int_equal(memory[0], 0);
	}
	assert_string_equal((char *)populate.ranges[0].memory + 39 * MIB, "written");
	unmap(&populate);
}

// The fronts of all before anything behind them; and what the system needs for itself is left to
// it.
static void fronts_first_and_no_more_than_there_is(void **state)
{
	struct populate populate = {0};
	uint8_t *first = map(&populate, 40 * MIB), *second = map(&populate, 30 * MIB);

	(void)state;
	assert_int_equal(populate_start(&populate, nothing), 0);
	assert_true(populate.running);
	pthread_join(populate.thread, NULL); // it ends by itself
	assert_int_equal(populate_done_bytes(&populate), POPULATE_FIRST_BYTES);
	assert_true(all_there(first, 16 * MIB));
	assert_true(all_there(second, 16 * MIB));
	assert_false(is_there(first + 16 * MIB));
	assert_false(is_there(second + 16 * MIB));
	unmap(&populate);
}

// Keeps the thread from its next chunk until it has been told to stop.
static struct populate stopped;

static uint64_t plenty_behind_the_stop(void)
{
	while (!atomic_load(&stopped.stop))
		sched_yield();
	return UINT64_MAX;
}

// It ends when it is told to, behind the chunk it is in, however much is left.
static void stops_behind_a_chunk(void **state)
{
	uint8_t *memory = map(&stopped, 64 * MIB);

	(void)state;
	assert_int_equal(populate_start(&stopped, plenty_behind_the_stop), 0);
	populate_stop(&stopped);
	uint64_t done = populate_done_bytes(&stopped);
	assert_in_range(done, POPULATE_FIRST_BYTES, POPULATE_FIRST_BYTES + POPULATE_CHUNK_BYTES);
	assert_true(all_there(memory, done));
	assert_false(is_there(memory + done));
	unmap(&stopped);
}

static void nothing_to_do(void **state)
{
	struct populate populate = {0};

	(void)state;
	populate_stop(&populate); // a start that failed before
	assert_int_equal(populate_start(&populate, plenty), 0);
	assert_int_equal(populate_done_bytes(&populate), 0);
	populate_stop(&populate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_ones_at_once),
		cmocka_unit_test(all_of_large_ones),
		cmocka_unit_test(fronts_first_and_no_more_than_there_is),
		cmocka_unit_test(stops_behind_a_chunk),
		cmocka_unit_test(nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
