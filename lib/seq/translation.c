#include "seq/translation.h"

#include "pkt/edit.h"

#define WINDOW_MAX	   65535u
#define TSECR_BEHIND_TSVAL 4
#define SACK_HEAD_BYTES	   2 // kind and length
#define SACK_BLOCK_BYTES   8

uint16_t translation_window(struct rescale rescale, uint16_t window)
{
	uint32_t w = (uint32_t)window << rescale.left >> rescale.right;

	if (window == 0)
		return 0;
	if (w == 0)
		return 1;
	return w > WINDOW_MAX ? (uint16_t)WINDOW_MAX : (uint16_t)w;
}

// Takes `delta` from both edges of every block.
static void shift_sack(struct view *view, const struct options *options, uint32_t delta)
{
	unsigned end = options->sack_at + options->sack_count * SACK_BLOCK_BYTES;

	if (delta == 0)
		return;
	for (unsigned at = options->sack_at; at < end; at += 4)
		edit_tcp32(view, (uint16_t)at, be32_get(view->data + at) - delta);
}

static void translate_sack(const struct translation *t, enum direction dir, struct view *view,
	const struct options *options)
{
	if (dir == TO_CLIENT)
		shift_sack(view, options, t->e);
	else if (t->bits & TRANSLATE_SACK_STRIP)
		edit_nop(view, (uint16_t)(options->sack_at - SACK_HEAD_BYTES),
			(uint16_t)(SACK_HEAD_BYTES + options->sack_count * SACK_BLOCK_BYTES));
	else
		shift_sack(view, options, t->d);
}

static void translate_timestamps(const struct translation *t, enum direction dir,
	const struct view *view, const struct options *options, struct edit *edit)
{
	unsigned at = (unsigned)(options->timestamps_at - view->l4);

	if (t->ts_offset == 0)
		return;
	if (dir == TO_CLIENT)
		edit_put32(edit, at, options->tsval + t->ts_offset);
	else if (view->tcp_flags & TCP_ACK) // else TSecr is not valid (RFC 7323 3.2)
		edit_put32(edit, at + TSECR_BEHIND_TSVAL, options->tsecr - t->ts_offset);
}

// Sequence and acknowledgement number and window; view's copies keep step.
static void translate_header(
	const struct translation *t, enum direction dir, struct view *view, struct edit *edit)
{
	const uint32_t seq_delta = dir == TO_CLIENT ? t->d : t->e;
	const uint32_t ack_delta = dir == TO_CLIENT ? t->e : t->d;
	const struct rescale rescale = dir == TO_CLIENT ? t->to_client : t->to_server;

	// A zero delta is common (one of the two in most modes) and costs a branch, not an edit.
	if (seq_delta != 0) {
		view->seq += seq_delta;
		edit_put32(edit, EDIT_SEQ, view->seq);
	}
	if (ack_delta != 0 && (view->tcp_flags & TCP_ACK)) {
		view->ack -= ack_delta;
		edit_put32(edit, EDIT_ACK, view->ack);
	}
	if ((t->bits & TRANSLATE_WINDOW) && rescale.left != rescale.right &&
		!(view->tcp_flags & TCP_SYN)) {
		view->window = translation_window(rescale, view->window);
		edit_put16(edit, EDIT_WINDOW, view->window);
	}
}

void translation_apply(const struct translation *t, enum direction dir, struct view *view,
	const struct options *options)
{
	struct edit edit = edit_begin(view);

	translate_header(t, dir, view, &edit);
	if (options != NULL && (options->bits & OPTION_TIMESTAMPS) &&
		(t->bits & TRANSLATE_TIMESTAMPS))
		translate_timestamps(t, dir, view, options, &edit);
	edit_end(&edit);
	if (options != NULL && (options->bits & OPTION_SACK))
		translate_sack(t, dir, view, options);
	if (dir == TO_SERVER && (t->bits & TRANSLATE_ECN_STRIP))
		edit_clear_ecn(view);
}

static bool rescales(struct rescale rescale)
{
	return rescale.left != rescale.right;
}

bool translation_is_identity(const struct translation *t)
{
	if (t->d != 0 || t->e != 0 || (t->bits & (TRANSLATE_SACK_STRIP | TRANSLATE_ECN_STRIP)))
		return false;
	if ((t->bits & TRANSLATE_TIMESTAMPS) && t->ts_offset != 0)
		return false;
	return !(t->bits & TRANSLATE_WINDOW) || !(rescales(t->to_client) || rescales(t->to_server));
}
