// What is known of a sender comes from two directions: `end` and its largest window from its own
// segments, `acked` and `limit` from its peer's. A node that sees only one direction (TCP.md 4.0)
// judges it by that one alone: numbers may then lie as far from the last ones as the largest window
// the other side could have advertised. What would be dropped in an imported connection of which
// one direction was not seen yet (TRACK_LIBERAL) is passed, but not recorded.
#include "tcp/window.h"

#include "base/serial.h"
#include "pkt/options.h"
#include "pkt/view.h"

static unsigned shift_of(const struct tcp_track *track, enum direction dir)
{
	return track->wscale[dir] <= OPTIONS_WSCALE_MAX ? track->wscale[dir] : 0;
}

uint32_t window_bound(const struct tcp_track *track, enum direction dir)
{
	return (uint32_t)UINT16_MAX << shift_of(track, dir);
}

// Largest window `dir`'s sender has advertised, in bytes.
static uint32_t window_max(const struct tcp_track *track, enum direction dir)
{
	return (uint32_t)track->window_max[dir] << shift_of(track, dir);
}

// The same, but 1 where it was always 0: what a keep-alive may lie behind (TCP.md 4.5).
static uint32_t window_slack(const struct tcp_track *track, enum direction dir)
{
	uint32_t window = window_max(track, dir);

	return window > 0 ? window : 1;
}

static void window_max_put(struct tcp_track *track, enum direction dir, uint32_t bytes)
{
	unsigned shift = shift_of(track, dir);
	uint32_t units = (bytes + (1u << shift) - 1) >> shift;

	track->window_max[dir] = units < UINT16_MAX ? (uint16_t)units : UINT16_MAX;
}

void tcp_track_promise(struct tcp_track *track, enum direction dir, uint32_t window_bytes)
{
	if (window_bytes > window_max(track, dir))
		window_max_put(track, dir, window_bytes);
}

// What was advertised so far stays, rounded up to the new unit.
static void window_set_shift(struct tcp_track *track, enum direction dir, uint8_t wscale)
{
	uint32_t bytes = window_max(track, dir);

	track->wscale[dir] = wscale;
	window_max_put(track, dir, bytes);
}

static uint32_t end_of(const struct tcp_segment *segment)
{
	return segment->seq + segment->len;
}

// low <= number <= high, modulo 2^32.
static bool between(uint32_t low, uint32_t number, uint32_t high)
{
	return !serial_before(number, low) && !serial_after(number, high);
}

// True where number lies at most `distance` from `from`, before or after it. 64 bits: two windows
// of 2^30 are more than any serial difference.
static bool near(uint32_t number, uint32_t from, uint64_t distance)
{
	int64_t difference = (int32_t)(number - from);

	return (uint64_t)(difference < 0 ? -difference : difference) <= distance;
}

void window_start(struct tcp_track *track, enum direction dir, const struct tcp_segment *syn)
{
	track->sender[dir] = (struct tcp_sender){
		.end = end_of(syn),
		.acked = syn->seq,
		.limit = end_of(syn),
	};
	window_max_put(track, dir, syn->window); // unscaled in a SYN (RFC 7323 2.2)
}

void window_answer(const struct step *step)
{
	struct tcp_track *track = step->track;
	enum direction back = direction_back(step->dir);
	uint8_t wscale = step->segment->wscale;

	if (wscale > OPTIONS_WSCALE_MAX || track->wscale[back] > OPTIONS_WSCALE_MAX) {
		wscale = OPTIONS_WSCALE_NONE;
		window_set_shift(track, back, OPTIONS_WSCALE_NONE);
	}
	track->wscale[step->dir] = wscale;
	window_start(track, step->dir, step->segment);
	step->sender->limit = step->segment->seq + 1 + window_max(track, back);
}

bool window_acks_anew(const struct step *step)
{
	return serial_after(step->segment->ack, step->peer->acked) &&
	       !serial_after(step->segment->ack, step->peer->end);
}

void window_record_synack(const struct step *step)
{
	const struct tcp_segment *segment = step->segment;

	step->peer->acked = segment->ack;
	step->peer->limit = serial_max(step->peer->limit, segment->ack + segment->window);
}

// Sequence number against the window its receiver gave, or, where the receiver's own segments are
// not seen here, against what the sender sent before.
static bool seq_fits(const struct step *step)
{
	const struct tcp_sender *sender = step->sender;
	const struct tcp_segment *segment = step->segment;
	enum direction back = direction_back(step->dir);

	if (segment->elsewhere || !track_seen(step->track, back))
		return near(segment->seq, sender->end, window_bound(step->track, back));
	// An ACK after a zero-window probe carries the number behind the probe.
	if (serial_after(segment->seq, sender->limit) &&
		(segment->len > 0 || segment->seq != sender->end))
		return false;
	return !serial_before(end_of(segment), sender->acked - window_slack(step->track, back));
}

// RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT, for the sender being acknowledged.
// MAX.SND.WND is the largest window that sender was given: by whoever sent this segment.
static bool ack_fits(const struct step *step)
{
	const struct tcp_sender *peer = step->peer;
	uint32_t low = peer->acked - window_slack(step->track, step->dir);

	if (!track_seen(step->track, step->dir))
		low = peer->end - window_bound(step->track, step->dir);
	return between(low, step->segment->ack, peer->end);
}

// One-way view: whether an acknowledgement is right cannot be known here, and so it is no reason to
// drop. But one that is further from the last than any window can carry it must not move our
// numbers: a blind attacker could put them where his RST is exact.
static bool ack_plausible(const struct step *step)
{
	return near(step->segment->ack, step->peer->acked,
		2 * (uint64_t)window_bound(step->track, step->dir));
}

struct tcp_result window_judge(const struct step *step)
{
	const struct tcp_track *track = step->track;
	bool peer_seen = track_seen(track, direction_back(step->dir)) && !step->segment->elsewhere;
	bool liberal = track_is_liberal(track);

	if (liberal && !track_seen(track, step->dir) && !peer_seen)
		return (struct tcp_result){TCP_PASS, REASON_NONE};
	if (step->segment->elsewhere && !(seq_fits(step) && ack_plausible(step)))
		return (struct tcp_result){TCP_PASS_STALE, REASON_NONE};
	if (!seq_fits(step) && !liberal)
		return (struct tcp_result){TCP_DROP, REASON_out_of_window};
	if (peer_seen && !ack_fits(step) && !liberal)
		return (struct tcp_result){TCP_DROP, REASON_bad_ack};
	if (!seq_fits(step) || !(peer_seen ? ack_fits(step) : ack_plausible(step)))
		return (struct tcp_result){TCP_PASS_IDLE, REASON_NONE};
	return (struct tcp_result){TCP_PASS, REASON_NONE};
}

void window_record(const struct step *step)
{
	struct tcp_track *track = step->track;
	const struct tcp_segment *segment = step->segment;
	enum direction back = direction_back(step->dir);
	uint32_t limit = segment->ack + ((uint32_t)segment->window << shift_of(track, step->dir));

	// What came from the handshake, or from nowhere, may be more than 2^31 behind by the time a
	// direction is first seen here: then it is replaced, not compared.
	if (!track_seen(track, step->dir)) {
		step->sender->end = end_of(segment);
		step->peer->acked = segment->ack;
		if (track_is_liberal(track))
			step->peer->limit = limit;
	}
	step->sender->end = serial_max(step->sender->end, end_of(segment));
	step->peer->acked = serial_max(step->peer->acked, segment->ack);
	step->peer->limit = serial_max(step->peer->limit, limit);
	if (track->window_max[step->dir] < segment->window)
		track->window_max[step->dir] = segment->window;
	track->bits |= track_bit(TRACK_SEEN_CLIENT, step->dir);
	if (segment->flags & TCP_FIN)
		track->bits |= track_bit(TRACK_FIN_CLIENT, step->dir);
	if ((track->bits & track_bit(TRACK_FIN_CLIENT, back)) &&
		!serial_before(segment->ack, step->peer->end))
		track->bits |= track_bit(TRACK_FIN_ACKED_CLIENT, back);
	if (track_seen(track, back))
		track->bits &= (uint8_t)~TRACK_LIBERAL;
}

bool window_take_usual(
	struct tcp_track *track, enum direction dir, const struct tcp_segment *segment)
{
	const struct step step = {.track = track,
		.segment = segment,
		.sender = &track->sender[dir],
		.peer = &track->sender[direction_back(dir)],
		.dir = dir};
	struct tcp_sender *sender = step.sender, *peer = step.peer;
	uint32_t limit = segment->ack + ((uint32_t)segment->window << shift_of(track, dir));
	uint32_t end = serial_max(sender->end, end_of(segment));
	uint32_t acked = serial_max(peer->acked, segment->ack);

	if (!seq_fits(&step) || !(segment->elsewhere ? ack_plausible(&step) : ack_fits(&step)))
		return false;
	limit = serial_max(peer->limit, limit);
	// Most change nothing, and then the line stays clean.
	if (((end ^ sender->end) | (acked ^ peer->acked) | (limit ^ peer->limit)) != 0) {
		sender->end = end;
		peer->acked = acked;
		peer->limit = limit;
	}
	if (track->window_max[dir] < segment->window)
		track->window_max[dir] = segment->window;
	return true;
}

// The receiver's RCV.NXT is the highest ACK it sent, if those are seen here; but data may be under
// way, so the sender's own end is as good. Where neither is known, the endpoint decides.
enum reset_place window_place_reset(const struct step *step)
{
	const struct tcp_sender *sender = step->sender;
	enum direction back = direction_back(step->dir);
	bool end_known = track_seen(step->track, step->dir) || !track_is_liberal(step->track);
	bool peer_seen = track_seen(step->track, back);
	uint32_t seq = step->segment->seq;
	bool inside;

	if ((end_known && seq == sender->end) || (peer_seen && seq == sender->acked))
		return RESET_EXACT;
	if (peer_seen)
		inside = between(sender->acked, seq, sender->limit);
	else
		inside = !end_known || near(seq, sender->end, window_bound(step->track, back));
	if (inside || track_is_liberal(step->track) || step->segment->elsewhere)
		return RESET_INSIDE;
	return RESET_OUTSIDE;
}

bool tcp_track_in_flight(const struct tcp_track *track, enum direction dir, uint32_t seq)
{
	const struct tcp_sender *sender = &track->sender[dir];
	bool handshake = track->state == TCP_SYN_SENT || track->state == TCP_SYN_RECV;
	enum direction back = direction_back(dir);

	if (track_seen(track, back) || (handshake && !track_is_liberal(track)))
		return between(sender->acked, seq, serial_max(sender->end, sender->limit));
	if (track_seen(track, dir) || !track_is_liberal(track))
		return near(seq, sender->end, window_bound(track, back));
	return true; // nothing is known here
}
