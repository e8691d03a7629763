// A frame through the whole of lib/pkt: whatever parses has its offsets inside the frame, and the
// answer made from it parses again with right checksums. The first byte gives the frame's flags.
#include "base/check.h"
#include "fuzz.h"
#include "pkt/craft.h"
#include "pkt/edit.h"
#include "pkt/options.h"
#include "pkt/quote.h"
#include "pkt/view.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES CRAFT_BYTES_MAX(14 + 4 * VIEW_TAGS_MAX)

// The short cuts for what usually arrives say what the others do.
static void check_usual(const struct view *view, const struct frame *frame)
{
	struct view any;

	CHECK(view_parse_any(&any, frame) == REASON_NONE);
	CHECK(memcmp(view, &any, offsetof(struct view, dst) + sizeof(any.dst)) == 0);
	CHECK(view_verify(view, frame) == view_verify_any(view, frame));
}

static void check_offsets(const struct view *view, const struct frame *frame)
{
	CHECK(view->l3 <= view->l4 && view->l4 <= view->payload && view->payload <= view->limit);
	CHECK(view->limit <= view->end && view->limit <= frame->len);
	CHECK(view->end == view->limit || (frame->flags & FRAME_TRUNCATED));
}

static void check_options(const struct view *view, struct options *options)
{
	options_parse(options, view);
	CHECK(options->wscale <= OPTIONS_WSCALE_NONE && options->sack_count <= OPTIONS_SACK_MAX);
	if (options->bits & OPTION_SACK)
		CHECK(options->sack_at + 8 * options->sack_count <= view->payload);
	if (options->bits & OPTION_TIMESTAMPS)
		CHECK(options->timestamps_at + 8 <= view->payload);
	if (options->bits & OPTION_FAST_OPEN)
		CHECK(options->fast_open_at + 2 <= view->payload);
}

static void check_answer(const struct view *model, const struct options *options)
{
	uint8_t *out_bytes = malloc(OUT_BYTES);
	struct frame out = {.data = out_bytes, .tailroom = OUT_BYTES};
	struct craft craft;
	struct view view;

	CHECK(out_bytes != NULL);
	craft_reset_for(&craft, model);
	craft.options = *options;
	CHECK(craft_tcp(&out, model, &craft) == 0 && out.len <= CRAFT_BYTES_MAX(model->l3));
	CHECK(view_parse(&view, &out) == REASON_NONE && (view.bits & VIEW_TCP));
	CHECK(view_verify(&view, &out) == REASON_NONE && view_payload_len(&view) == 0);
	CHECK(view.sport == model->dport && addr_equal(&view.src, &model->dst));
	free(out_bytes);
}

// A good frame stays good under edits.
static void check_edits(struct view *view, const struct frame *frame, const struct options *options)
{
	bool good = view_verify(view, frame) == REASON_NONE;

	edit_seq(view, ~view->seq);
	edit_tcp_flags(view, TCP_ACK);
	if (options->bits & OPTION_TIMESTAMPS)
		edit_tcp32(view, options->timestamps_at, ~options->tsval);
	edit_nop(view, (uint16_t)(view->l4 + 20), (uint16_t)(view->payload - view->l4 - 20));
	edit_clear_ecn(view);
	CHECK(good == (view_verify(view, frame) == REASON_NONE));
}

static void check_quote(struct view *view, const struct frame *frame)
{
	static const struct quote_shift shift = {1, 0x80000000, 0xffff, 0xffffffff};
	bool good = view_verify(view, frame) == REASON_NONE;
	struct quote quote;

	if (quote_parse(&quote, view) != 0)
		return;
	CHECK(quote.l3 == view->payload && quote.l4 + 8 <= view->limit);
	if (quote.protocol != PROTOCOL_TCP)
		return;
	quote_translate(view, &quote, &shift);
	CHECK(good == (view_verify(view, frame) == REASON_NONE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct frame frame = {0};
	struct options options;
	struct view view;

	if (len < 1 || len > UINT16_MAX)
		return 0;
	frame.len = (uint16_t)(len - 1);
	frame.flags = data[0];
	frame.data = malloc(frame.len > 0 ? frame.len : 1);
	CHECK(frame.data != NULL);
	memcpy(frame.data, data + 1, frame.len);
	if (view_parse(&view, &frame) == REASON_NONE) {
		check_offsets(&view, &frame);
		view_check_addresses(&view);
		check_usual(&view, &frame);
		if (view.bits & VIEW_TCP) {
			check_options(&view, &options);
			check_answer(&view, &options);
			check_edits(&view, &frame, &options);
		} else if (view_is_icmp_error(&view)) {
			check_quote(&view, &frame);
		}
		if (view.bits & (VIEW_IP4 | VIEW_IP6))
			edit_checksums(&view);
	}
	free(frame.data);
	return 0;
}
