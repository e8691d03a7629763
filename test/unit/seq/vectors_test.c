// Proves: P5, M8 against an independent computation: test/vectors/translation.py, which builds
// every frame anew with full checksums.
#include "reader.h"

#include "pkt/options.h"
#include "pkt/view.h"
#include "seq/translation.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES_MAX 256
#define LINE_BYTES_MAX	2048

static uint16_t next_frame(struct reader *reader, uint8_t out[FRAME_BYTES_MAX])
{
	size_t len = next_bytes(reader, out, FRAME_BYTES_MAX);

	assert_true(len > 0);
	return (uint16_t)len;
}

static struct rescale next_rescale(struct reader *reader)
{
	struct rescale rescale;

	rescale.left = next_number(reader, 10) & 15;
	rescale.right = next_number(reader, 10) & 15;
	return rescale;
}

static struct translation next_translation(struct reader *reader)
{
	struct translation t = {0};

	t.d = next_number(reader, 16);
	t.e = next_number(reader, 16);
	t.ts_offset = next_number(reader, 16);
	t.bits = (uint8_t)next_number(reader, 16);
	t.to_client = next_rescale(reader);
	t.to_server = next_rescale(reader);
	return t;
}

// The view is kept in step with the bytes.
static void assert_view_in_step(const struct view *view, const struct frame *frame)
{
	struct view again;

	assert_int_equal(view_parse(&again, frame), REASON_NONE);
	assert_int_equal(view->seq, again.seq);
	assert_int_equal(view->ack, again.ack);
	assert_int_equal(view->window, again.window);
	assert_int_equal(view->tcp_flags, again.tcp_flags);
	assert_int_equal(view_verify(&again, frame), REASON_NONE);
}

static void check_line(char *line)
{
	struct reader reader = {line};
	uint8_t in[FRAME_BYTES_MAX], out[FRAME_BYTES_MAX];

	assert_string_equal(next_text(&reader), "segment");
	enum direction dir = next_number(&reader, 10) ? TO_CLIENT : TO_SERVER;
	struct translation t = next_translation(&reader);
	struct frame frame = {.data = in, .len = next_frame(&reader, in)};
	struct view view;
	struct options options;

	assert_int_equal(next_frame(&reader, out), frame.len);
	assert_string_equal(reader.rest, "");
	assert_int_equal(view_parse(&view, &frame), REASON_NONE);
	assert_true(view.bits & VIEW_TCP);
	assert_int_equal(view_verify(&view, &frame), REASON_NONE);
	bool whole = options_parse(&options, &view) == 0;

	translation_apply(&t, dir, &view, whole ? &options : NULL);
	assert_memory_equal(in, out, frame.len);
	assert_view_in_step(&view, &frame);
}

static void vectors(void **state)
{
	FILE *file = fopen(VECTORS "/translation.txt", "r");
	char line[LINE_BYTES_MAX];
	unsigned rows = 0;

	(void)state;
	assert_non_null(file);
	for (; fgets(line, sizeof(line), file) != NULL; rows++)
		check_line(line);
	fclose(file);
	assert_true(rows >= 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
