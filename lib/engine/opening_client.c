// The client's segments while the server has not answered: queued within the room that was promised
// as a window, probes answered, a reset ends both sides (TCP.md 3.4, 3.5).
#include "engine/internal.h"

#include "base/serial.h"

#define QUEUE_FRAMES_MIN 16 // segments queued per opening however small its room

// A reset may come before or behind what is queued: the client has sent that already.
static bool is_exact_reset(const struct opening *opening, const struct view *view)
{
	return view->seq == opening->isn_client + 1 || view->seq == opening->client_end;
}

bool opening_claims(const struct opening *opening, const struct view *view)
{
	if (view->tcp_flags & TCP_RST)
		return is_exact_reset(opening, view);
	return view->ack == opening->cookie + 1;
}

static uint32_t room_of(const struct engine *engine, const struct flow *flow)
{
	const struct service *service = policy_service(engine->policy, flow->service);

	return service != NULL ? service->queue_bytes : 0;
}

// True where the segment adds nothing: a bare repetition of the acknowledgement.
static bool is_bare(const struct view *view)
{
	return view_payload_len(view) == 0 && !(view->tcp_flags & TCP_FIN);
}

// A keep-alive or window probe: nothing, or a byte, of what was acknowledged already.
static bool is_probe(const struct opening *opening, const struct view *view)
{
	return view->seq == opening->isn_client && view_payload_len(view) <= 1 &&
	       !(view->tcp_flags & TCP_FIN);
}

// The window is the SYN/ACK's once more, but scaled now, unless the pool ran low since.
static uint16_t probe_window(
	struct engine *engine, const struct flow *flow, const struct opening *opening)
{
	const struct service *service = policy_service(engine->policy, flow->service);
	bool scaled = opening->agreed.wscale != OPTIONS_WSCALE_NONE;

	if (service == NULL)
		return 0;
	return (uint16_t)(syn_queue_window(engine, service) >>
			  (scaled ? opening->announced_wscale : 0));
}

static void answer_probe(struct engine *engine, struct arrival *arrival, const struct flow *flow,
	struct opening *opening)
{
	struct craft craft = {.reply = true, .tcp_flags = TCP_ACK};

	craft.seq = opening->cookie + 1;
	craft.ack = opening->isn_client + 1;
	craft.window = probe_window(engine, flow, opening);
	if (opening->agreed.timestamps) {
		struct options options;

		if (options_parse(&options, &arrival->view) == 0) {
			craft.options.bits = OPTION_TIMESTAMPS;
			craft.options.tsval = opening->tsecr;
			craft.options.tsecr = options.tsval;
		}
	}
	if (!engine_may_reset(engine) || craft_tcp(arrival->frame, &arrival->view, &craft) != 0) {
		verdict_drop(arrival, REASON_rate_limited);
		return;
	}
	verdict_reply(engine, arrival);
}

// Headers and cells cost room too: what is promised as window is bounded in bytes of frames, and in
// frames, because a frame of a few bytes takes a whole cell.
static bool hold_has_room(const struct hold *hold, const struct frame *frame, uint32_t room)
{
	return hold->bytes + frame->len <= 2 * room + MESSAGE_FRAME_MAX &&
	       hold->frames < QUEUE_FRAMES_MIN + room / HOLD_CELL_BYTES;
}

static void queue_more(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct opening *opening)
{
	const struct view *view = &arrival->view;
	uint32_t room = room_of(engine, flow);
	uint32_t end = view->seq + view_seg_len(view);
	uint32_t last = end - (opening->isn_client + 1);
	bool tiny = view_payload_len(view) == 1;
	// By the end: a FIN is as long as the ACK before it, and has its number.
	bool known = hold_find(engine->pool, &opening->hold, end, arrival->frame->len);

	if (serial_before(view->seq, opening->isn_client)) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	// Window probes get an answer, so that a client that was given no window keeps trying.
	if (tiny && (known || last > room)) {
		answer_probe(engine, arrival, flow, opening);
		return;
	}
	if (known) {
		verdict_drop(arrival, REASON_queue_replaced);
		return;
	}
	if (last > room || opening_pool_is_low(engine) ||
		!hold_has_room(&opening->hold, arrival->frame, room) ||
		!opening_queue(engine, opening, arrival))
		verdict_drop(arrival, REASON_queue_full);
}

// A reset from the client ends both sides (TCP.md 3.5): the server may have seen our SYN.
static void client_reset(
	struct engine *engine, struct arrival *arrival, struct flow *flow, struct opening *opening)
{
	struct craft craft = {.tcp_flags = TCP_RST, .seq = opening->syn_seq + 1};
	struct view model;

	if (!is_exact_reset(opening, &arrival->view)) {
		verdict_drop(arrival, REASON_out_of_window);
		return;
	}
	opening_model(opening, &model);
	opening_craft(engine, &model, &craft, opening->out_port);
	verdict_consume(engine, arrival);
	opening_close(engine, flow, REASON_client_reset);
}

void opening_client(struct engine *engine, struct arrival *arrival, struct flow *flow)
{
	struct opening *opening = opening_of(engine, flow);
	const struct view *view = &arrival->view;

	if (view->tcp_flags & TCP_RST) {
		client_reset(engine, arrival, flow, opening);
		return;
	}
	if (!(view->tcp_flags & TCP_ACK) || view->ack != opening->cookie + 1) {
		verdict_drop(arrival, REASON_bad_ack);
		return;
	}
	if (is_probe(opening, view)) {
		answer_probe(engine, arrival, flow, opening);
		return;
	}
	if (is_bare(view)) {
		verdict_consume(engine, arrival); // the queued one says the same
		return;
	}
	queue_more(engine, arrival, flow, opening);
}
