// Proves: TCP.md 2.4, 10 (a small window never becomes zero).
#include "base/check.h"
#include "seq/translation.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void t2_4_window(void **state)
{
	static const struct {
		struct rescale rescale;
		uint16_t in, out;
	} rows[] = {
		{{0, 0}, 0, 0},
		{{0, 0}, 1, 1},
		{{0, 0}, 65535, 65535},
		{{0, 7}, 0, 0},
		{{0, 7}, 1, 1}, // never zero (TCP.md 10)
		{{0, 7}, 127, 1},
		{{0, 7}, 128, 1},
		{{0, 7}, 255, 1}, // rounded down
		{{0, 7}, 256, 2},
		{{7, 0}, 0, 0},
		{{7, 0}, 1, 128},
		{{7, 0}, 511, 65408},
		{{7, 0}, 512, 65535}, // clamped
		{{14, 0}, 65535, 65535},
		{{0, 14}, 65535, 3},
		{{0, 14}, 1, 1},
		{{14, 7}, 511, 65408},
		{{14, 7}, 512, 65535},
		{{15, 15}, 65535, 65535},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(translation_window(rows[i].rescale, rows[i].in), rows[i].out);
}

// Against the formula with room to spare, and the promise that goes with it.
static void t2_4_never_beyond_the_edge(void **state)
{
	(void)state;
	for (unsigned left = 0; left < 15; left++)
		for (unsigned right = 0; right < 15; right++)
			for (unsigned w = 0; w <= UINT16_MAX; w += 1 + w / 16) {
				struct rescale rescale = {.left = (uint8_t)(left & 15),
					.right = (uint8_t)(right & 15)};
				uint64_t out = translation_window(rescale, (uint16_t)w);
				uint64_t edge = (uint64_t)w << left;

				assert_int_equal(out == 0, w == 0);
				assert_true(out << right <= edge || out == 1);
				assert_true(out == 65535 || edge - (out << right) < 1u << right ||
					    out == 1);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t2_4_window),
		cmocka_unit_test(t2_4_never_beyond_the_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
