#include "endpoint_internal.h"

#include "base/check.h"
#include "base/serial.h"
#include "scheduler.h"

#include <string.h>

#define RTO_FIRST_NS (200 * SIM_MS)
#define RTO_MAX_NS   (800 * SIM_MS)
#define FLIGHT_MAX   6 // segments on the way at once
#define SACKS_MAX    3 // beside timestamps

void endpoint_complain(struct endpoint *e, const char *text)
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

uint32_t endpoint_clock(const struct endpoint *e)
{
	return e->config.clock_ms + (uint32_t)(e->now_ns / SIM_MS);
}

static uint32_t endpoint_fin(const struct endpoint *e)
{
	return e->iss + 1 + e->config.send_bytes;
}

bool endpoint_is_done(const struct endpoint *e)
{
	return e->state == END_OPEN && e->una == endpoint_fin(e) + 1 && e->fin_received;
}

void endpoint_arm(struct endpoint *e, uint64_t after_ns)
{
	e->timer_ns = e->now_ns + after_ns;
}

void endpoint_progress(struct endpoint *e)
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

void endpoint_expect(struct endpoint *e, const struct endpoint_config *config)
{
	if (endpoint_is_done(e) && !e->closed_first)
		e->state = END_LISTEN;
	e->anew = *config;
	e->is_former = true;
	e->was_open = false;
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
		.tsval = endpoint_clock(e),
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

void endpoint_send_ack(struct endpoint *e)
{
	send(e, FLAG_ACK, e->next, NULL, 0);
}

// What is left of a former connection is reset, and must not end the one that is.
static bool is_stray(const struct endpoint *e)
{
	return e->is_former ||
	       (e->config.is_reused && (e->state == END_LISTEN || e->state == END_SYN_SENT ||
					       e->state == END_SYN_RECEIVED));
}

// The reset a segment without a connection gets (RFC 9293 3.5.2), or one that cannot be.
void endpoint_send_reset_for(struct endpoint *e, const struct segment *in)
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
	e->reset_sent |= !is_stray(e);
	e->config.send(e, &segment);
}

static bool may_speak(const struct endpoint *e)
{
	return e->config.client || e->config.speaks_first || e->receive_next != e->irs + 1 ||
	       e->fin_received;
}

static bool may_close(const struct endpoint *e)
{
	return (!e->config.closes_last || e->fin_received) && e->now_ns >= e->config.close_ns;
}

// When there is something to do though nothing waits for an answer.
static uint64_t wake_ns(const struct endpoint *e)
{
	bool closes = !e->config.closes_last || e->fin_received;

	return e->next == endpoint_fin(e) && may_speak(e) && closes ? e->config.close_ns
								    : UINT64_MAX;
}

void endpoint_send_some(struct endpoint *e)
{
	uint32_t first = e->iss + 1, end = endpoint_fin(e);
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
		e->closed_first |= !e->fin_received;
		send(e, FLAG_ACK | FLAG_FIN, e->next, NULL, 0);
		e->next++;
	}
	if (e->next == e->una && !(serial_before(e->next, end) && may_speak(e)))
		e->timer_ns = wake_ns(e); // nothing waits for an answer
	else if (e->timer_ns == UINT64_MAX)
		endpoint_arm(e, e->rto_ns);
}

void endpoint_send_syn(struct endpoint *e)
{
	send(e, e->config.client ? FLAG_SYN : FLAG_SYN | FLAG_ACK, e->iss, NULL, 0);
	e->next = e->iss + 1;
}

void endpoint_begin(struct endpoint *e, enum endpoint_state state)
{
	e->state = (uint8_t)state;
	e->iss = e->config.iss + 0x3000007u * e->lives++;
	e->una = e->next = e->high = e->iss;
	e->ts_first = endpoint_clock(e);
	e->gap_count = 0;
	e->fin_received = e->fin_early = false;
	e->opened_ns = e->now_ns;
	endpoint_progress(e);
}

void endpoint_open(struct endpoint *e, uint64_t now_ns)
{
	e->now_ns = now_ns;
	endpoint_begin(e, END_SYN_SENT);
	e->receive_scale = e->config.wscale == SEGMENT_NO_SCALE ? 0 : e->config.wscale;
	endpoint_send_syn(e);
	e->rto_ns = RTO_SYN_NS;
	endpoint_arm(e, e->rto_ns);
}

void endpoint_end(struct endpoint *e, enum endpoint_state state)
{
	e->state = (uint8_t)state;
	e->timer_ns = UINT64_MAX;
}

void endpoint_abort(struct endpoint *e)
{
	e->reset_sent = true;
	send(e, FLAG_RST | FLAG_ACK, e->next, NULL, 0);
	endpoint_end(e, END_ABORTED);
}

void endpoint_timer(struct endpoint *e, uint64_t now_ns)
{
	e->now_ns = now_ns;
	e->timer_ns = UINT64_MAX;
	if (now_ns - e->progress_ns >= e->config.give_up_ns) {
		endpoint_end(e, END_TIMED_OUT);
		return;
	}
	e->rto_ns = e->rto_ns * 2 < RTO_MAX_NS ? e->rto_ns * 2 : RTO_MAX_NS;
	if (e->state == END_SYN_SENT || e->state == END_SYN_RECEIVED) {
		e->repeated = true;
		endpoint_send_syn(e);
		endpoint_arm(e, e->rto_ns);
		return;
	}
	if (e->state != END_OPEN)
		return;
	e->next = e->una;
	// A closed window is probed.
	if (!serial_after(e->edge, e->next))
		e->edge = e->next + 1;
	endpoint_send_some(e);
}
