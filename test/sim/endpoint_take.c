// What an end makes of a segment that arrived.
#include "endpoint_internal.h"

#include "base/check.h"
#include "base/serial.h"
#include "scheduler.h"

#include <string.h>

#define SCALE_MAX      14
#define WINDOW_MAX     (1u << 20) // more than any of ours
#define TIME_WAIT_STEP 65537	  // from the last number of a connection to the first of the next
#define MSYN_BITS      15	  // of a client's ISN that a node replaces

// What the peer's SYN says.
static void learn(struct endpoint *e, const struct segment *in)
{
	const struct endpoint_config *config = &e->config;
	bool scales = in->wscale != SEGMENT_NO_SCALE && config->wscale != SEGMENT_NO_SCALE;

	if (in->wscale != SEGMENT_NO_SCALE && in->wscale > SCALE_MAX)
		endpoint_complain(e, "a window scale above 14");
	if (config->client &&
		((in->wscale != SEGMENT_NO_SCALE && config->wscale == SEGMENT_NO_SCALE) ||
			(in->sack_ok && !config->sack) || (in->timestamps && !config->timestamps)))
		endpoint_complain(e, "an option in a SYN/ACK that was not offered");
	e->irs = in->seq;
	e->receive_next = e->receive_edge = in->seq + 1;
	e->send_scale = scales ? in->wscale : SEGMENT_NO_SCALE;
	e->receive_scale = scales ? config->wscale : 0;
	e->sack = in->sack_ok && config->sack;
	e->timestamps = in->timestamps && config->timestamps;
	e->ts_recent = in->tsval;
	e->peer_mss = in->mss != 0 ? in->mss : 536;
	e->peer_mss = e->peer_mss < config->mss ? e->peer_mss : config->mss;
}

static void set_edge(struct endpoint *e, const struct segment *in)
{
	unsigned scale =
		in->flags & FLAG_SYN || e->send_scale == SEGMENT_NO_SCALE ? 0 : e->send_scale;

	e->edge = in->ack + ((uint32_t)in->window << scale);
}

static void take_in_syn_sent(struct endpoint *e, const struct segment *in)
{
	bool acks = in->ack == e->iss + 1;

	if ((in->flags & FLAG_ACK) && !acks) {
		endpoint_send_reset_for(e, in);
		return;
	}
	if (in->flags & FLAG_RST) {
		if (in->flags & FLAG_ACK) {
			e->resets_received++;
			endpoint_end(e, END_RESET);
		}
		return;
	}
	if ((in->flags & (FLAG_SYN | FLAG_ACK)) != (FLAG_SYN | FLAG_ACK))
		return;
	learn(e, in);
	e->state = END_OPEN;
	e->was_open = e->synack_received = true;
	e->una = in->ack;
	set_edge(e, in);
	endpoint_progress(e);
	e->timer_ns = UINT64_MAX;
	endpoint_send_ack(e);
	endpoint_send_some(e);
}

// The SYN of the client's next connection, or one of a former one that was late: then it is not
// judged as strictly.
static void start_anew(struct endpoint *e, const struct segment *in)
{
	struct endpoint_config config = e->anew;
	uint64_t now_ns = e->now_ns;

	if (endpoint_is_done(e))
		config.iss = e->high + TIME_WAIT_STEP;
	endpoint_init(e, &config);
	e->now_ns = now_ns;
	e->is_older = (in->seq ^ config.peer_iss) >> MSYN_BITS != 0;
	e->lives = e->is_older;
}

static void take_in_listen(struct endpoint *e, const struct segment *in)
{
	if (in->flags & FLAG_RST)
		return;
	if (in->flags & FLAG_ACK) {
		if (e->lives == 0 && !e->config.is_reused && !e->reset_sent)
			endpoint_complain(e, "a segment for a server that was never asked");
		endpoint_send_reset_for(e, in);
		return;
	}
	if (!(in->flags & FLAG_SYN))
		return;
	if (in->payload_len > 0)
		endpoint_complain(e, "data in a SYN");
	if (e->is_former)
		start_anew(e, in);
	if (e->config.refuses) {
		endpoint_send_reset_for(e, in);
		e->reset_sent = true;
		return;
	}
	endpoint_begin(e, END_SYN_RECEIVED);
	learn(e, in);
	set_edge(e, in); // in->ack is not valid yet: the window counts from our first number
	e->edge = e->iss + 1 + in->window;
	endpoint_send_syn(e);
	endpoint_arm(e, RTO_SYN_NS);
	e->rto_ns = RTO_SYN_NS;
}

static void drop_early(struct endpoint *e, unsigned index)
{
	e->gap_count--;
	memmove(&e->early[index], &e->early[index + 1],
		(e->gap_count - index) * sizeof(e->early[0]));
}

static void keep_early(struct endpoint *e, uint32_t start, uint32_t end_at)
{
	for (unsigned i = 0; i < e->gap_count;) {
		if (serial_after(start, e->early[i].end) ||
			serial_before(end_at, e->early[i].start)) {
			i++;
			continue;
		}
		start = serial_before(e->early[i].start, start) ? e->early[i].start : start;
		end_at = serial_max(e->early[i].end, end_at);
		drop_early(e, i);
	}
	if (e->gap_count == ENDPOINT_GAPS_MAX)
		drop_early(e, ENDPOINT_GAPS_MAX - 1); // forgotten: the peer sends it again
	memmove(&e->early[1], &e->early[0], e->gap_count * sizeof(e->early[0]));
	e->early[0].start = start;
	e->early[0].end = end_at;
	e->gap_count++;
}

static void advance(struct endpoint *e, uint32_t to)
{
	e->receive_next = to;
	for (unsigned i = 0; i < e->gap_count;) {
		if (serial_after(e->early[i].start, e->receive_next)) {
			i++;
			continue;
		}
		e->receive_next = serial_max(e->receive_next, e->early[i].end);
		drop_early(e, i);
		i = 0;
	}
	endpoint_progress(e);
}

static void check_bytes(struct endpoint *e, const struct segment *in)
{
	uint32_t at = in->seq - (e->irs + 1);

	if (e->is_older)
		return;
	if (in->seq + in->payload_len - (e->irs + 1) > e->config.receive_bytes ||
		at > e->config.receive_bytes)
		endpoint_complain(e, "more bytes than the peer has sent");
	else if (memcmp(endpoint_pattern(e->config.receive_at) + at, in->payload,
			 in->payload_len) != 0)
		endpoint_complain(e, "bytes the peer has not sent");
	else if (serial_after(in->seq + in->payload_len, e->receive_edge + e->config.slack))
		endpoint_complain(e, "bytes behind the window");
}

static void take_data(struct endpoint *e, const struct segment *in)
{
	uint32_t stop = in->seq + in->payload_len;

	if (in->payload_len > 0)
		check_bytes(e, in);
	if (in->flags & FLAG_FIN) {
		if (stop - (e->irs + 1) != e->config.receive_bytes && !e->is_older)
			endpoint_complain(e, "a FIN in the middle of the stream");
		e->fin_early = true;
		e->fin_at = stop;
	}
	if (e->complaint != NULL)
		return;
	if (serial_after(in->seq, e->receive_next)) {
		if (in->payload_len > 0)
			keep_early(e, in->seq, stop);
	} else if (serial_after(stop, e->receive_next)) {
		advance(e, stop);
	}
	if (e->fin_early && e->fin_at == e->receive_next && !e->fin_received) {
		e->fin_received = true;
		e->receive_next++;
		endpoint_progress(e);
	}
}

static void check_sacks(struct endpoint *e, const struct segment *in)
{
	for (unsigned i = 0; i < in->sack_count; i++)
		if (serial_before(in->sack[i][0], e->iss) ||
			serial_after(in->sack[i][1], e->high) ||
			!serial_before(in->sack[i][0], in->sack[i][1]))
			endpoint_complain(e, "a SACK block of what was never sent");
	e->unagreed |= in->sack_count > 0 && !e->sack;
}

// False where the segment ends here.
static bool take_ack(struct endpoint *e, const struct segment *in)
{
	if (!(in->flags & FLAG_ACK))
		return false;
	if (serial_after(in->ack, e->high)) {
		// A node that has an older connection's end may say its last word, or one that had
		// the client's SYN before another did.
		if (e->lives == 1 &&
			!(segment_len(in) == 0 && (e->config.is_reused || e->repeated)))
			e->odd_ack = true;
		endpoint_send_ack(e);
		return false;
	}
	// RFC 5961 5.2
	if (serial_before(in->ack, e->una - WINDOW_MAX)) {
		endpoint_send_ack(e);
		return false;
	}
	check_sacks(e, in);
	if (serial_after(in->ack, e->una)) {
		e->una = in->ack;
		if (serial_before(e->next, e->una))
			e->next = e->una;
		endpoint_progress(e);
		e->timer_ns = UINT64_MAX;
	}
	if (in->ack == e->una)
		set_edge(e, in);
	return true;
}

// RFC 7323 5.3, 3.2. False: not acceptable.
static bool take_timestamps(struct endpoint *e, const struct segment *in)
{
	if (!e->timestamps || (in->flags & FLAG_RST))
		return true;
	if (!in->timestamps) {
		endpoint_complain(e, "a segment without the timestamps that were agreed");
		return false;
	}
	if ((in->flags & FLAG_ACK) && (serial_before(in->tsecr, e->ts_first) ||
					      serial_after(in->tsecr, endpoint_clock(e)))) {
		e->odd_echo |= e->lives == 1;
		return false;
	}
	if (serial_before(in->tsval, e->ts_recent)) {
		endpoint_send_ack(e);
		return false;
	}
	if (!serial_after(in->seq, e->receive_next))
		e->ts_recent = in->tsval;
	return true;
}

static bool in_window(const struct endpoint *e, const struct segment *in)
{
	uint32_t len = segment_len(in), slack = e->config.slack;

	return !serial_after(in->seq, e->receive_edge + slack) &&
	       !serial_before(in->seq + len, e->receive_next - (len == 0 ? 1 : 0));
}

static void take_reset(struct endpoint *e, const struct segment *in)
{
	if (in->seq != e->receive_next) {
		// Nothing answers a reset in TIME-WAIT.
		if (in_window(e, in) && !(e->is_former && endpoint_is_done(e)))
			endpoint_send_ack(e);
		return;
	}
	e->resets_received++;
	endpoint_end(e, e->state == END_SYN_RECEIVED ? END_LISTEN : END_RESET);
}

static void take_open(struct endpoint *e, const struct segment *in)
{
	if (!take_ack(e, in))
		return;
	take_data(e, in);
	if (e->complaint != NULL)
		return;
	if (e->config.abort_after > 0 && e->receive_next - (e->irs + 1) >= e->config.abort_after) {
		endpoint_abort(e);
		return;
	}
	if (segment_len(in) > 0)
		endpoint_send_ack(e);
	endpoint_send_some(e);
	if (endpoint_is_done(e) && e->done_ns == 0)
		e->done_ns = e->now_ns;
}

// False: no segment of this connection's.
static bool take_syn(struct endpoint *e, const struct segment *in)
{
	bool synack = in->flags & FLAG_ACK;

	if (e->state == END_SYN_RECEIVED && !synack && in->seq == e->irs) {
		endpoint_send_syn(e);
		return false;
	}
	if (!e->config.client && synack)
		endpoint_complain(e, "a SYN/ACK for a server");
	endpoint_send_ack(e); // a challenge (RFC 5961 4)
	return false;
}

// In TIME-WAIT: RFC 9293 MAY-2 and RFC 6191, as Linux does.
static bool may_start_anew(const struct endpoint *e, const struct segment *in)
{
	bool both = e->timestamps && in->timestamps;

	if (!e->is_former || !endpoint_is_done(e) || (in->flags & FLAG_ACK))
		return false;
	if (both && serial_before(in->tsval, e->ts_recent))
		return false;
	return serial_after(in->seq, e->receive_next) ||
	       (both && serial_after(in->tsval, e->ts_recent));
}

static void take_synchronized(struct endpoint *e, const struct segment *in)
{
	if (in->flags & FLAG_RST) {
		take_reset(e, in);
		return;
	}
	if ((in->flags & FLAG_SYN) && may_start_anew(e, in)) {
		take_in_listen(e, in);
		return;
	}
	if (in->flags & FLAG_SYN) {
		e->kept_former |= e->is_former;
		take_syn(e, in);
		return;
	}
	// Before the timestamps: what a blind forger sends is no complaint.
	if (!in_window(e, in)) {
		endpoint_send_ack(e);
		return;
	}
	if (!take_timestamps(e, in))
		return;
	if (e->state == END_SYN_RECEIVED) {
		if (!(in->flags & FLAG_ACK))
			return;
		if (in->ack != e->iss + 1) {
			if (e->lives == 1)
				endpoint_complain(e, "a handshake that ends with the wrong number");
			endpoint_send_reset_for(e, in);
			return;
		}
		e->state = END_OPEN;
		e->was_open = true;
		e->timer_ns = UINT64_MAX;
		endpoint_progress(e);
	}
	take_open(e, in);
}

void endpoint_take(struct endpoint *e, uint64_t now_ns, const struct segment *in)
{
	e->now_ns = now_ns;
	switch ((enum endpoint_state)e->state) {
	case END_CLOSED:
		endpoint_complain(e, "a segment for a client that never opened");
		return;
	case END_LISTEN:
		take_in_listen(e, in);
		return;
	case END_SYN_SENT:
		take_in_syn_sent(e, in);
		return;
	case END_SYN_RECEIVED:
	case END_OPEN:
		take_synchronized(e, in);
		return;
	case END_RESET:
	case END_ABORTED:
	case END_TIMED_OUT:
		if (!e->config.client && (in->flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN) {
			e->state = END_LISTEN;
			take_in_listen(e, in);
			return;
		}
		endpoint_send_reset_for(e, in);
		return;
	}
}
