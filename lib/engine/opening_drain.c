// The queued segments, translated and sent in order (P4, TCP.md 3.3, 3.8), and the window update
// that follows where none was promised.
#include "engine/internal.h"

// Tells the client that the window is open now (TCP.md 3.4), if it may have been told otherwise.
static void window_update(struct engine *engine, struct flow *flow, struct opening *opening)
{
	struct craft craft = {.reply = true, .tcp_flags = TCP_ACK};
	uint64_t low_ns = engine->pool_low_ns;
	struct view model;

	if (low_ns == 0 || engine->now_ns - low_ns > 4 * KEYRING_TICK_NS)
		return;
	craft.seq = opening->cookie + 1;
	craft.ack = opening->isn_client + 1;
	// The window of a SYN/ACK is not scaled; on the way to the client it becomes so.
	craft.window = translation_window(
		(struct rescale){0, flow->translation.to_client.right}, opening->server_window);
	if (opening->agreed.timestamps) {
		craft.options.bits = OPTION_TIMESTAMPS;
		craft.options.tsval = opening->tsecr;
		craft.options.tsecr = opening->tsval;
	}
	opening_model(opening, &model);
	opening_craft(engine, &model, &craft, opening->in_port);
}

// One queued segment into the lent buffer, judged, translated. The reason it was dropped for, or
// REASON_NONE.
static enum reason drain_one(
	struct engine *engine, struct flow *flow, const struct opening *opening, struct frame *out)
{
	struct tcp_track before = flow->track;
	struct options options;
	struct tcp_segment segment;
	struct tcp_result result;
	struct view view;
	uint32_t last;

	if (opening->delay)
		return REASON_NONE; // judged before it was queued
	if (view_parse(&view, out) != REASON_NONE)
		return REASON_malformed;
	last = view.seq + view_seg_len(&view) - (opening->isn_client + 1);
	if (view_payload_len(&view) > 0 && last > opening->server_window)
		return REASON_out_of_window;
	if (options_parse(&options, &view) != 0)
		return REASON_bad_option;
	segment = tcp_segment_of(flow, &view, TO_SERVER);
	result = ending_judge(flow, TO_SERVER, &segment);
	entry_count_state(engine, flow, before.state);
	if (engine->policy->clustered)
		share_changed(engine, flow, &before);
	if (result.outcome == TCP_DROP)
		return result.reason;
	translation_apply(&flow->translation, TO_SERVER, &view, &options);
	return REASON_NONE;
}

void opening_drain(struct engine *engine, struct flow *flow, struct opening *opening)
{
	while (opening->hold.frames > 0) {
		struct frame *out = engine_lend(engine);
		enum reason reason;

		if (out == NULL || !hold_pop(engine->pool, &opening->hold, out))
			return;
		counter_sub(&engine->stats.queued, 1);
		reason = drain_one(engine, flow, opening, out);
		if (reason == REASON_NONE) {
			engine_sent(engine, out, opening->out_port);
		} else {
			counter_add(&engine->stats.dropped[reason], 1);
			out->tailroom = (uint16_t)(out->tailroom + out->len);
			out->len = 0;
		}
	}
	if (!opening->delay)
		window_update(engine, flow, opening);
	opening_free(engine, flow, REASON_hold_timeout);
}
