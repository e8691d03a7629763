// Any frame under any translation: nothing is read or written outside the frame, checksums that
// were right stay right, and the inverse translation gives every byte back where nothing was lost.
#include "fuzz.h"

#include "base/check.h"
#include "pkt/edit.h"
#include "seq/translation.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 16 // d, e, ts_offset, bits, direction, two pairs of shifts

static struct rescale rescale_from(uint8_t byte)
{
	return (struct rescale){.left = byte & 15, .right = byte >> 4};
}

static struct translation inverse_of(const struct translation *t)
{
	return (struct translation){
		.d = -t->d, .e = -t->e, .ts_offset = -t->ts_offset, .bits = t->bits};
}

static void apply(const struct translation *t, enum direction dir, const struct frame *frame)
{
	struct view view;
	struct options options;
	bool whole;

	CHECK(view_parse(&view, frame) == REASON_NONE);
	whole = options_parse(&options, &view) == 0;
	translation_apply(t, dir, &view, whole ? &options : NULL);
	CHECK(view_verify(&view, frame) == REASON_NONE);
}

static void run(const struct translation *t, enum direction dir, struct frame *frame)
{
	const struct translation inverse = inverse_of(t);
	bool lossless = (t->bits & ~TRANSLATE_TIMESTAMPS) == 0;
	uint8_t *before;
	struct view view;

	if (view_parse(&view, frame) != REASON_NONE || !(view.bits & VIEW_TCP))
		return;
	edit_checksums(&view);
	if (view_verify(&view, frame) != REASON_NONE)
		return;
	// A fragment's checksum is whatever the input says, and 0xffff may come back as 0.
	lossless = lossless && !(view.bits & VIEW_FRAGMENT);
	before = malloc(frame->len);
	CHECK(before != NULL);
	memcpy(before, frame->data, frame->len);
	apply(t, dir, frame);
	if (translation_is_identity(t))
		CHECK(memcmp(before, frame->data, frame->len) == 0);
	if (lossless) {
		apply(&inverse, dir, frame);
		CHECK(memcmp(before, frame->data, frame->len) == 0);
	}
	free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len <= HEAD_BYTES || len - HEAD_BYTES > UINT16_MAX)
		return 0;
	struct frame frame = {.len = (uint16_t)(len - HEAD_BYTES)};
	const struct translation t = {.d = be32_get(data),
		.e = be32_get(data + 4),
		.ts_offset = be32_get(data + 8),
		.bits = data[12] & 15,
		.to_client = rescale_from(data[14]),
		.to_server = rescale_from(data[15])};

	frame.data = malloc(frame.len); // of its own, so that a sanitizer sees its end
	CHECK(frame.data != NULL);
	memcpy(frame.data, data + HEAD_BYTES, frame.len);
	run(&t, data[13] & 1 ? TO_CLIENT : TO_SERVER, &frame);
	free(frame.data);
	return 0;
}
