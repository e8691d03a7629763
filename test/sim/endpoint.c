#include "endpoint.h"

#include "base/check.h"
#include "base/serial.h"
#include "scheduler.h"

#include <string.h>

#define RTO_FIRST_NS (200 * SIM_MS)
#define RTO_SYN_NS   (300 * SIM_MS)
#define RTO_MAX_NS   (800 * SIM_MS)
#define FLIGHT_MAX   6 // segments on the way at once
#define SCALE_MAX    14
#define SACKS_MAX    3 // beside timestamps

static void complain(struct endpoint *e, const char *text)
{
	if (e->complaint == NULL)
		e->complaint = text;
}

const uint8_t *endpoint_pattern(uint32_t at)
{
	static uint8_t pattern[PATTERN_BYTES + PATTERN_RUN_MAX];
	static bool made;
	uint32_t x = 0x12345678;

	for (size_t i = 0; !made && i < sizeof(pattern); i++) {
		x = x * 1664525 + 1013904223;
		pattern[i] = i < PATTERN_BYTES ? (uint8_t)(x >> 24) : pattern[i - PATTERN_BYTES];
	}
	made = true;
	return pattern + at % PATTERN_BYTES;
}

static uint32_t clock_of(const struct endpoint *e)
{
	return e->config.clock_ms + (uint32_t)(e->now_ns / SIM_MS);
}

static uint32_t fin_of(const struct endpoint *e)
{
	return e->iss + 1 + e->config.send_bytes;
}

bool endpoint_is_done(const struct endpoint *e)
{
	return e->state == END_OPEN && e->una == fin_of(e) + 1 && e->fin_received;
}

static void arm(struct endpoint *e, uint64_t after_ns)
{
	e->timer_ns = e->now_ns + after_ns;
}

static void progress(struct endpoint *e)
{
	e->progress_ns = e->now_ns;
	e->rto_ns = RTO_FIRST_NS;
}

void endpoint_init(struct endpoint *e, const struct endpoint_config *config)
{
	*e = (struct endpoint){.config = *config,
		.state = config->client ? END_CLOSED : END_LISTEN,
		.timer_ns = UINT64_MAX};
	CHECK(config->send_bytes <= PATTERN_RUN_MAX && config->receive_bytes <= PATTERN_RUN_MAX);
}

// --- sending ---

static unsigned sacks_of(const struct endpoint *e)
{
	if (!e->sack)
		return 0;
	return e->gap_count < SACKS_MAX ? e->gap_count : SACKS_MAX;
}

static void add_sacks(const struct endpoint *e, struct segment *segment)
{
	segment->sack_count = sacks_of(e);
	for (unsigned i = 0; i < segment->sack_count; i++) {
		segment->sack[i][0] = e->early[i].start;
		segment->sack[i][1] = e->early[i].end;
	}
}

static void send(struct endpoint *e, uint8_t flags, uint32_t seq, const uint8_t *data, uint32_t len)
{
	bool syn = flags & FLAG_SYN;
	uint32_t window = syn ? e->config.window : e->config.window >> e->receive_scale;
	struct segment segment = {.src = e->config.local,
		.dst = e->config.remote,
		.sport = e->config.local_port,
		.dport = e->config.remote_port,
		.seq = seq,
		.ack = e->receive_next,
		.flags = flags,
		.wscale = SEGMENT_NO_SCALE,
		.window = (uint16_t)(window < UINT16_MAX ? window : UINT16_MAX),
		.timestamps = syn && !(flags & FLAG_ACK) ? e->config.timestamps : e->timestamps,
		.tsval = clock_of(e),
		.tsecr = flags & FLAG_ACK ? e->ts_recent : 0,
		.payload = data,
		.payload_len = (uint16_t)len};
	uint32_t end = seq + segment_len(&segment);

	if (syn) {
		segment.mss = e->config.mss;
		segment.wscale = e->config.wscale;
		if ((flags & FLAG_ACK) && e->send_scale == SEGMENT_NO_SCALE)
			segment.wscale = SEGMENT_NO_SCALE; // not offered
		segment.sack_ok = flags & FLAG_ACK ? e->sack : e->config.sack;
	} else if (!(flags & FLAG_RST)) {
		add_sacks(e, &segment);
	}
	if (serial_after(end, e->high))
		e->high = end;
	e->receive_edge = serial_max(e->receive_edge,
		e->receive_next + ((uint32_t)segment.window << (syn ? 0 : e->receive_scale)));
	e->config.send(e, &segment);
}

static void send_ack(struct endpoint *e)
{
	send(e, FLAG_ACK, e->next, NULL, 0);
}

// The reset a segment without a connection gets (RFC 9293 3.5.2), or one that cannot be.
static void send_reset_for(struct endpoint *e, const struct segment *in)
{
	struct segment segment = {.src = e->config.local,
		.dst = e->config.remote,
		.sport = e->config.local_port,
		.dport = e->config.remote_port,
		.wscale = SEGMENT_NO_SCALE,
		.flags = FLAG_RST | FLAG_ACK,
		.ack = in->seq + segment_len(in)};

	if (in->flags & FLAG_RST)
		return;
	if (in->flags & FLAG_ACK) {
		segment.flags = FLAG_RST;
		segment.seq = in->ack;
	}
	e->reset_sent = true;
	e->config.send(e, &segment);
}

static bool may_speak(const struct endpoint *e)
{
	return e->config.client || e->config.speaks_first || e->receive_next != e->irs + 1 ||
	       e->fin_received;
}

static bool may_close(const struct endpoint *e)
{
	return !e->config.closes_last || e->fin_received;
}

static void send_some(struct endpoint *e)
{
	uint32_t first = e->iss + 1, end = fin_of(e);
	// Options take their room (RFC 6691).
	uint32_t mss = e->peer_mss - (e->timestamps ? 12 : 0) -
		       (sacks_of(e) > 0 ? 4 + 8 * sacks_of(e) : 0);

	while (may_speak(e) && serial_before(e->next, end)) {
		uint32_t len = end - e->next, room = e->edge - e->next;
		const uint8_t *data = endpoint_pattern(e->config.send_at) + (e->next - first);

		if (!serial_after(e->edge, e->next) || e->next - e->una >= FLIGHT_MAX * mss)
			break;
		len = len < mss ? len : mss;
		len = len < room ? len : room;
		send(e, FLAG_ACK | FLAG_PSH, e->next, data, len);
		e->next += len;
	}
	if (e->next == end && may_speak(e) && may_close(e)) {
		send(e, FLAG_ACK | FLAG_FIN, e->next, NULL, 0);
		e->next++;
	}
	if (e->next == e->una && !(serial_before(e->next, end) && may_speak(e)))
		e->timer_ns = UINT64_MAX; // nothing waits for an answer
	else if (e->timer_ns == UINT64_MAX)
		arm(e, e->rto_ns);
}

static void send_syn(struct endpoint *e)
{
	send(e, e->config.client ? FLAG_SYN : FLAG_SYN | FLAG_ACK, e->iss, NULL, 0);
	e->next = e->iss + 1;
}

static void begin(struct endpoint *e, enum endpoint_state state)
{
	e->state = (uint8_t)state;
	e->iss = e->config.iss + 0x3000007u * e->lives++;
	e->una = e->next = e->high = e->iss;
	e->ts_first = clock_of(e);
	e->gap_count = 0;
	e->fin_received = e->fin_early = false;
	e->opened_ns = e->now_ns;
	progress(e);
}

void endpoint_open(struct endpoint *e, uint64_t now_ns)
{
	e->now_ns = now_ns;
	begin(e, END_SYN_SENT);
	e->receive_scale = e->config.wscale == SEGMENT_NO_SCALE ? 0 : e->config.wscale;
	send_syn(e);
	e->rto_ns = RTO_SYN_NS;
	arm(e, e->rto_ns);
}

static void end(struct endpoint *e, enum endpoint_state state)
{
	e->state = (uint8_t)state;
	e->timer_ns = UINT64_MAX;
}

static void abort_connection(struct endpoint *e)
{
	e->reset_sent = true;
	send(e, FLAG_RST | FLAG_ACK, e->next, NULL, 0);
	end(e, END_ABORTED);
}

void endpoint_timer(struct endpoint *e, uint64_t now_ns)
{
	e->now_ns = now_ns;
	e->timer_ns = UINT64_MAX;
	if (now_ns - e->progress_ns >= e->config.give_up_ns) {
		end(e, END_TIMED_OUT);
		return;
	}
	e->rto_ns = e->rto_ns * 2 < RTO_MAX_NS ? e->rto_ns * 2 : RTO_MAX_NS;
	if (e->state == END_SYN_SENT || e->state == END_SYN_RECEIVED) {
		send_syn(e);
		arm(e, e->rto_ns);
		return;
	}
	if (e->state != END_OPEN)
		return;
	e->next = e->una;
	// A closed window is probed.
	if (!serial_after(e->edge, e->next))
		e->edge = e->next + 1;
	send_some(e);
}

// --- receiving ---

// What the peer's SYN says.
static void learn(struct endpoint *e, const struct segment *in)
{
	const struct endpoint_config *config = &e->config;
	bool scales = in->wscale != SEGMENT_NO_SCALE && config->wscale != SEGMENT_NO_SCALE;

	if (in->wscale != SEGMENT_NO_SCALE && in->wscale > SCALE_MAX)
		complain(e, "a window scale above 14");
	if (config->client &&
		((in->wscale != SEGMENT_NO_SCALE && config->wscale == SEGMENT_NO_SCALE) ||
			(in->sack_ok && !config->sack) || (in->timestamps && !config->timestamps)))
		complain(e, "an option in a SYN/ACK that was not offered");
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
		send_reset_for(e, in);
		return;
	}
	if (in->flags & FLAG_RST) {
		if (in->flags & FLAG_ACK) {
			e->resets_received++;
			end(e, END_RESET);
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
	progress(e);
	e->timer_ns = UINT64_MAX;
	send_ack(e);
	send_some(e);
}

static void take_in_listen(struct endpoint *e, const struct segment *in)
{
	if (in->flags & FLAG_RST)
		return;
	if (in->flags & FLAG_ACK) {
		if (e->lives == 0)
			complain(e, "a segment for a server that was never asked");
		send_reset_for(e, in);
		return;
	}
	if (!(in->flags & FLAG_SYN))
		return;
	if (in->payload_len > 0)
		complain(e, "data in a SYN");
	if (e->config.refuses) {
		send_reset_for(e, in);
		return;
	}
	begin(e, END_SYN_RECEIVED);
	learn(e, in);
	set_edge(e, in); // in->ack is not valid yet: the window counts from our first number
	e->edge = e->iss + 1 + in->window;
	send_syn(e);
	arm(e, RTO_SYN_NS);
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
	progress(e);
}

static void check_bytes(struct endpoint *e, const struct segment *in)
{
	uint32_t at = in->seq - (e->irs + 1);

	if (in->seq + in->payload_len - (e->irs + 1) > e->config.receive_bytes ||
		at > e->config.receive_bytes)
		complain(e, "more bytes than the peer has sent");
	else if (memcmp(endpoint_pattern(e->config.receive_at) + at, in->payload,
			 in->payload_len) != 0)
		complain(e, "bytes the peer has not sent");
	else if (serial_after(in->seq + in->payload_len, e->receive_edge + e->config.slack))
		complain(e, "bytes behind the window");
}

static void take_data(struct endpoint *e, const struct segment *in)
{
	uint32_t stop = in->seq + in->payload_len;

	if (in->payload_len > 0)
		check_bytes(e, in);
	if (in->flags & FLAG_FIN) {
		if (stop - (e->irs + 1) != e->config.receive_bytes)
			complain(e, "a FIN in the middle of the stream");
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
		progress(e);
	}
}

static void check_sacks(struct endpoint *e, const struct segment *in)
{
	for (unsigned i = 0; i < in->sack_count; i++)
		if (serial_before(in->sack[i][0], e->iss) ||
			serial_after(in->sack[i][1], e->high) ||
			!serial_before(in->sack[i][0], in->sack[i][1]))
			complain(e, "a SACK block of what was never sent");
	e->unagreed |= in->sack_count > 0 && !e->sack;
}

// False where the segment ends here.
static bool take_ack(struct endpoint *e, const struct segment *in)
{
	if (!(in->flags & FLAG_ACK))
		return false;
	if (serial_after(in->ack, e->high)) {
		if (e->lives == 1)
			complain(e, "an acknowledgement of what was never sent");
		send_ack(e);
		return false;
	}
	check_sacks(e, in);
	if (serial_after(in->ack, e->una)) {
		e->una = in->ack;
		if (serial_before(e->next, e->una))
			e->next = e->una;
		progress(e);
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
		complain(e, "a segment without the timestamps that were agreed");
		return false;
	}
	if ((in->flags & FLAG_ACK) &&
		(serial_before(in->tsecr, e->ts_first) || serial_after(in->tsecr, clock_of(e)))) {
		e->odd_echo |= e->lives == 1;
		return false;
	}
	if (serial_before(in->tsval, e->ts_recent)) {
		send_ack(e);
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
		if (in_window(e, in))
			send_ack(e);
		return;
	}
	e->resets_received++;
	end(e, e->state == END_SYN_RECEIVED ? END_LISTEN : END_RESET);
}

static void take_open(struct endpoint *e, const struct segment *in)
{
	if (!take_ack(e, in))
		return;
	take_data(e, in);
	if (e->complaint != NULL)
		return;
	if (e->config.abort_after > 0 && e->receive_next - (e->irs + 1) >= e->config.abort_after) {
		abort_connection(e);
		return;
	}
	if (segment_len(in) > 0)
		send_ack(e);
	send_some(e);
	if (endpoint_is_done(e) && e->done_ns == 0)
		e->done_ns = e->now_ns;
}

// False: no segment of this connection's.
static bool take_syn(struct endpoint *e, const struct segment *in)
{
	bool synack = in->flags & FLAG_ACK;

	if (e->state == END_SYN_RECEIVED && !synack && in->seq == e->irs) {
		send_syn(e);
		return false;
	}
	if (!e->config.client && synack)
		complain(e, "a SYN/ACK for a server");
	send_ack(e); // a challenge (RFC 5961 4)
	return false;
}

static void take_synchronized(struct endpoint *e, const struct segment *in)
{
	if (in->flags & FLAG_RST) {
		take_reset(e, in);
		return;
	}
	if (in->flags & FLAG_SYN) {
		take_syn(e, in);
		return;
	}
	// Before the timestamps: what a blind forger sends is no complaint.
	if (!in_window(e, in)) {
		send_ack(e);
		return;
	}
	if (!take_timestamps(e, in))
		return;
	if (e->state == END_SYN_RECEIVED) {
		if (!(in->flags & FLAG_ACK))
			return;
		if (in->ack != e->iss + 1) {
			if (e->lives == 1)
				complain(e, "a handshake that ends with the wrong number");
			send_reset_for(e, in);
			return;
		}
		e->state = END_OPEN;
		e->was_open = true;
		e->timer_ns = UINT64_MAX;
		progress(e);
	}
	take_open(e, in);
}

void endpoint_take(struct endpoint *e, uint64_t now_ns, const struct segment *in)
{
	e->now_ns = now_ns;
	switch ((enum endpoint_state)e->state) {
	case END_CLOSED:
		complain(e, "a segment for a client that never opened");
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
		send_reset_for(e, in);
		return;
	}
}
