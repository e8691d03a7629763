// Holds against a plain array queue; quotas to the cell.
// Proves: P2 (the queue itself).
#include "base/check.h"
#include "base/error.h"
#include "flow/hold.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define CELL_DATA (HOLD_CELL_BYTES - 16) // bytes of a frame in one cell

static struct hold_pool *pool_new(uint64_t limit_bytes)
{
	void *memory = malloc(hold_pool_bytes(limit_bytes));

	assert_non_null(memory);
	memset(memory, 0xa5, hold_pool_bytes(limit_bytes));
	return hold_pool_init(memory, limit_bytes);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

// A frame of `len` bytes that depend on `number`.
static struct frame frame_make(uint8_t *bytes, uint16_t len, uint32_t number)
{
	for (unsigned i = 0; i < len; i++)
		bytes[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
	return (struct frame){.data = bytes, .len = len, .port = number % 5, .flags = number % 16};
}

static unsigned cells_for(unsigned len)
{
	return (len + CELL_DATA - 1) / CELL_DATA;
}

static void frames_come_back_in_order(void **state)
{
	static const uint16_t lens[] = {1, 60, CELL_DATA - 1, CELL_DATA, CELL_DATA + 1, 1514,
		2 * CELL_DATA, 9018, UINT16_MAX};
	struct hold_pool *pool = pool_new(1 << 20);
	static uint8_t in[UINT16_MAX], got[UINT16_MAX];
	struct hold hold;
	uint32_t bytes = 0;

	(void)state;
	hold_init(&hold);
	assert_int_equal(hold_front_len(pool, &hold), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct frame frame = frame_make(in, lens[i], i);

		assert_int_equal(hold_push(pool, &hold, &frame, i), 0);
		bytes += lens[i];
		assert_int_equal(hold.bytes, bytes);
		assert_int_equal(hold.frames, i + 1);
	}
	for (uint32_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct frame frame = frame_make(in, lens[i], i);
		struct frame out = {.data = got, .headroom = 5, .tailroom = UINT16_MAX};

		assert_int_equal(hold_front_len(pool, &hold), lens[i]);
		assert_int_equal(hold_front_number(pool, &hold), i);
		assert_true(hold_pop(pool, &hold, &out));
		assert_int_equal(out.len, lens[i]);
		assert_int_equal(out.tailroom, UINT16_MAX - lens[i]);
		assert_int_equal(out.headroom, 5);
		assert_int_equal(out.port, frame.port);
		assert_int_equal(out.flags, frame.flags);
		assert_memory_equal(got, in, lens[i]);
	}
	assert_false(hold_pop(pool, &hold, &(struct frame){.data = got, .tailroom = 100}));
	assert_int_equal(hold_pool_used_bytes(pool), 0);
	assert_int_equal(hold_pool_frames(pool), 0);
	free(pool);
}

static void room_too_small_keeps_the_frame(void **state)
{
	struct hold_pool *pool = pool_new(1 << 16);
	uint8_t in[600], got[600];
	struct frame frame = frame_make(in, sizeof(in), 1);
	struct frame out = {.data = got, .len = 100, .tailroom = 499};
	struct hold hold;

	(void)state;
	hold_init(&hold);
	assert_int_equal(hold_push(pool, &hold, &frame, 1), 0);
	assert_false(hold_pop(pool, &hold, &out));
	assert_int_equal(out.len, 100);
	assert_int_equal(hold.frames, 1);
	out.tailroom = 500; // len and tailroom together are the room
	assert_true(hold_pop(pool, &hold, &out));
	assert_int_equal(out.len, 600);
	assert_int_equal(out.tailroom, 0);
	free(pool);
}

static void peek_copies_the_headers(void **state)
{
	struct hold_pool *pool = pool_new(1 << 16);
	uint8_t in[1500], got[2000];
	struct frame frame = frame_make(in, sizeof(in), 3);
	struct hold hold;

	(void)state;
	hold_init(&hold);
	assert_int_equal(hold_peek(pool, &hold, got, sizeof(got)), 0);
	assert_int_equal(hold_push(pool, &hold, &frame, 1), 0);
	memset(got, 0, sizeof(got));
	assert_int_equal(hold_peek(pool, &hold, got, 54), 54);
	assert_memory_equal(got, in, 54);
	assert_int_equal(got[54], 0);
	assert_int_equal(hold_peek(pool, &hold, got, 700), 700); // crosses a cell
	assert_memory_equal(got, in, 700);
	assert_int_equal(hold_peek(pool, &hold, got, sizeof(got)), 1500);
	assert_memory_equal(got, in, 1500);
	assert_int_equal(hold.frames, 1);
	free(pool);
}

static void t3_5_duplicates_are_found(void **state)
{
	struct hold_pool *pool = pool_new(1 << 16);
	uint8_t in[100], got[100];
	struct frame frame = frame_make(in, 100, 0);
	struct hold hold, other;

	(void)state;
	hold_init(&hold);
	hold_init(&other);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(hold_push(pool, &hold, &frame, 1000 + i), 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_true(hold_find(pool, &hold, 1000 + i, 100));
	assert_false(hold_find(pool, &hold, 1005, 100));
	assert_false(hold_find(pool, &hold, 1000, 99));
	assert_false(hold_find(pool, &other, 1000, 100)); // the pool is common, the hold is not
	assert_true(hold_pop(pool, &hold, &(struct frame){.data = got, .tailroom = 100}));
	assert_false(hold_find(pool, &hold, 1000, 100));
	free(pool);
}

// Whole cells: to the last one, and not one more; a frame that finds no room leaves nothing.
static void quota_is_exact(void **state)
{
	struct hold_pool *pool = pool_new(10 * HOLD_CELL_BYTES + 511);
	uint8_t in[3 * CELL_DATA];
	struct frame three = frame_make(in, 2 * CELL_DATA + 1, 1);
	struct frame one = frame_make(in, CELL_DATA, 2);
	struct hold hold, before;

	(void)state;
	hold_init(&hold);
	assert_int_equal(hold_pool_limit_bytes(pool), 10 * HOLD_CELL_BYTES + 511);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(hold_push(pool, &hold, &three, i), 0);
	assert_int_equal(hold_pool_used_bytes(pool), 9 * HOLD_CELL_BYTES);
	before = hold;
	assert_int_equal(hold_push(pool, &hold, &three, 3), -ERR_FULL);
	assert_memory_equal(&hold, &before, sizeof(hold));
	assert_int_equal(hold_pool_used_bytes(pool), 9 * HOLD_CELL_BYTES);
	assert_int_equal(hold_pool_frames(pool), 3);
	assert_int_equal(hold_push(pool, &hold, &one, 4), 0);
	assert_int_equal(hold_push(pool, &hold, &one, 5), -ERR_FULL);
	assert_int_equal(hold_pool_used_bytes(pool), 10 * HOLD_CELL_BYTES);
	assert_int_equal(hold_clear(pool, &hold), 4);
	assert_int_equal(hold_pool_used_bytes(pool), 0);
	assert_int_equal(hold_pool_frames(pool), 0);
	assert_int_equal(hold.frames, 0);
	assert_int_equal(hold.bytes, 0);
	assert_int_equal(hold_clear(pool, &hold), 0);
	for (unsigned i = 0; i < 10; i++) // every cell came back
		assert_int_equal(hold_push(pool, &hold, &one, i), 0);
	assert_int_equal(hold_push(pool, &hold, &one, 10), -ERR_FULL);
	free(pool);
}

// Frames are counted in 16 bits.
static void frame_count_does_not_wrap(void **state)
{
	struct hold_pool *pool = pool_new((uint64_t)70000 * HOLD_CELL_BYTES);
	uint8_t in[1] = {7};
	struct frame frame = {.data = in, .len = 1};
	struct hold hold;

	(void)state;
	hold_init(&hold);
	for (unsigned i = 0; i < UINT16_MAX; i++)
		assert_int_equal(hold_push(pool, &hold, &frame, i), 0);
	assert_int_equal(hold_push(pool, &hold, &frame, 0), -ERR_FULL);
	assert_int_equal(hold_clear(pool, &hold), UINT16_MAX);
	free(pool);
}

#define HOLDS	4
#define CELLS	200
#define LEN_MAX 1600

// What the model keeps of a frame: frame_make() gives its bytes.
struct item {
	uint32_t number;
	uint16_t len;
};

struct model {
	struct item items[CELLS];
	unsigned count;
};

static unsigned model_cells(const struct model models[HOLDS])
{
	unsigned cells = 0;

	for (unsigned h = 0; h < HOLDS; h++)
		for (unsigned i = 0; i < models[h].count; i++)
			cells += cells_for(models[h].items[i].len);
	return cells;
}

static void model_push(struct hold_pool *pool, struct hold *hold, struct model models[HOLDS],
	struct model *model, struct item item)
{
	uint8_t in[LEN_MAX];
	struct frame frame = frame_make(in, item.len, item.number);
	bool fits = model_cells(models) + cells_for(item.len) <= CELLS;

	assert_int_equal(hold_push(pool, hold, &frame, item.number), fits ? 0 : -ERR_FULL);
	if (fits)
		model->items[model->count++] = item;
}

static void model_pop(struct hold_pool *pool, struct hold *hold, struct model *model)
{
	uint8_t in[LEN_MAX], got[LEN_MAX];
	struct frame out = {.data = got, .tailroom = LEN_MAX};
	struct frame frame;

	assert_int_equal(hold_pop(pool, hold, &out), model->count > 0);
	if (model->count == 0)
		return;
	frame = frame_make(in, model->items[0].len, model->items[0].number);
	assert_int_equal(out.len, frame.len);
	assert_int_equal(out.port, frame.port);
	assert_int_equal(out.flags, frame.flags);
	assert_memory_equal(got, in, frame.len);
	model->count--;
	memmove(model->items, model->items + 1, model->count * sizeof(model->items[0]));
}

static void model_check(
	const struct hold_pool *pool, const struct hold *hold, const struct model *model)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < model->count; i++) {
		bytes += model->items[i].len;
		assert_true(hold_find(pool, hold, model->items[i].number, model->items[i].len));
	}
	assert_int_equal(hold->bytes, bytes);
	assert_int_equal(hold->frames, model->count);
	assert_int_equal(hold_front_len(pool, hold), model->count > 0 ? model->items[0].len : 0);
}

// Several holds in one pool, 50000 random operations.
static void random_operations(void **state)
{
	struct hold_pool *pool = pool_new(CELLS * HOLD_CELL_BYTES);
	static struct model models[HOLDS];
	struct hold holds[HOLDS];
	uint64_t seed = 99;

	(void)state;
	for (unsigned h = 0; h < HOLDS; h++)
		hold_init(&holds[h]);
	for (uint32_t i = 0; i < 50000; i++) {
		unsigned h = (unsigned)(random_next(&seed) % HOLDS);
		unsigned action = (unsigned)(random_next(&seed) % 100);
		struct item item = {i, (uint16_t)(1 + random_next(&seed) % LEN_MAX)};

		if (action < 55) {
			model_push(pool, &holds[h], models, &models[h], item);
		} else if (action < 99) {
			model_pop(pool, &holds[h], &models[h]);
		} else {
			assert_int_equal(hold_clear(pool, &holds[h]), models[h].count);
			models[h].count = 0;
		}
		model_check(pool, &holds[h], &models[h]);
		assert_int_equal(hold_pool_used_bytes(pool), model_cells(models) * HOLD_CELL_BYTES);
		assert_int_equal(hold_pool_frames(pool),
			models[0].count + models[1].count + models[2].count + models[3].count);
	}
	free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_in_order),
		cmocka_unit_test(room_too_small_keeps_the_frame),
		cmocka_unit_test(peek_copies_the_headers),
		cmocka_unit_test(t3_5_duplicates_are_found),
		cmocka_unit_test(quota_is_exact),
		cmocka_unit_test(frame_count_does_not_wrap),
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
