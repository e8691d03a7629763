// What an endpoint chooses itself (its sequence numbers, its TSvals) stays as captured. What it
// answers to is shifted by what the box announced to it:
//
//	captured:  peer_isn   ...  ack, SACK edges      TSecr
//	played:    box_isn    ...  the same distance    the same distance from the first TSval, and
//	                                                none that was never sent
//
// peer_isn is the captured peer's, unless the endpoint's own first acknowledgement tells of another
// one (a capture from behind another box, or without the SYN/ACK). What was announced counts until
// that first acknowledgement leaves: an endpoint that repeats its SYN has not seen the answer.
//
// Where the box announced less than the captured peer had, options are taken out and windows are
// scaled anew.
#include "replay/endpoint.h"

#include "base/serial.h"
#include "pkt/edit.h"

#include <string.h>

#define NEAR		   (1u << 20) // a first acknowledgement this far behind an ISN belongs to it
#define ECN_SETUP	   (TCP_ECE | TCP_CWR)
#define TSECR_BEHIND_TSVAL 4
#define SACK_EDGE_BYTES	   4

// Options that may only be used where both ends announced them.
#define AGREED_OPTIONS                                                                             \
	(OPTION_WSCALE | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_FAST_OPEN | OPTION_MPTCP)

void endpoint_init(struct endpoint *self, bool client)
{
	memset(self, 0, sizeof(*self));
	self->bits = client ? ENDPOINT_CLIENT : 0;
	self->own.wscale = OPTIONS_WSCALE_NONE;
	self->box.wscale = OPTIONS_WSCALE_NONE;
}

static bool is_client(const struct endpoint *self)
{
	return self->bits & ENDPOINT_CLIENT;
}

static void offer_set(struct offer *offer, const struct view *view, const struct options *options)
{
	uint8_t ecn = view->tcp_flags & ECN_SETUP;

	*offer = (struct offer){.wscale = OPTIONS_WSCALE_NONE};
	offer->ecn = view->tcp_flags & TCP_ACK ? ecn != 0 : ecn == ECN_SETUP;
	if (options == NULL)
		return;
	offer->bits = options->bits & AGREED_OPTIONS;
	offer->wscale = options->wscale;
	offer->tsval = options->tsval;
}

static uint32_t end_of(const struct view *view)
{
	return view->seq + view_seg_len(view);
}

// A SYN that is repeated with fewer options takes none back: its answer may have been to an earlier
// one.
static void opened(struct endpoint *self, const struct view *view, const struct options *options)
{
	struct offer before = self->own;
	bool again = (self->bits & ENDPOINT_OPENED) && self->isn == view->seq;

	offer_set(&self->own, view, options);
	self->isn = view->seq;
	self->own_ack = view->ack;
	self->bits |= ENDPOINT_OPENED;
	if (!again)
		return;
	if (!(self->own.bits & OPTION_WSCALE))
		self->own.wscale = before.wscale;
	if (!(self->own.bits & OPTION_TIMESTAMPS))
		self->own.tsval = before.tsval;
	self->own.bits |= before.bits;
}

void endpoint_spoke(struct endpoint *self, const struct view *view, const struct options *options)
{
	if (view->tcp_flags & TCP_SYN)
		opened(self, view, options);
	if (view->tcp_flags & TCP_RST)
		return; // its number need not be one of the connection's
	self->end =
		self->bits & ENDPOINT_SPOKE ? serial_max(self->end, end_of(view)) : end_of(view);
	self->bits |= ENDPOINT_SPOKE;
}

bool endpoint_is_greeting(const struct endpoint *self, const struct view *view)
{
	if (!(view->tcp_flags & TCP_SYN) || (view->tcp_flags & TCP_RST))
		return false;
	if (!is_client(self))
		return !(view->tcp_flags & TCP_ACK);
	// What the client never asked for, it does not take.
	return (view->tcp_flags & TCP_ACK) && serial_after(view->ack, self->isn) &&
	       !serial_after(view->ack, self->end);
}

static void greet(struct endpoint *self, const struct view *view, const struct options *options)
{
	self->bits &= (uint16_t) ~(ENDPOINT_SETTLED | ENDPOINT_ACKED | ENDPOINT_RESET |
				   ENDPOINT_HAS_RESET | ENDPOINT_LOOSE);
	self->bits |= ENDPOINT_GREETED;
	offer_set(&self->box, view, options);
	self->box_isn = view->seq;
	self->box_ack = view->ack;
	self->box_end = end_of(view);
	self->tsval_first = self->box.tsval;
	self->tsval_last = self->box.tsval;
}

bool endpoint_greeted(struct endpoint *self, const struct view *view, const struct options *options)
{
	bool answered = self->bits & ENDPOINT_SETTLED;
	bool again =
		!is_client(self) && ((self->bits & ENDPOINT_RESET) || view->seq != self->box_isn);

	if (answered && !again)
		return false;
	greet(self, view, options);
	return answered;
}

void endpoint_heard(struct endpoint *self, const struct view *view, const struct options *options)
{
	if (!(self->bits & ENDPOINT_GREETED))
		return;
	if ((view->tcp_flags & (TCP_ACK | TCP_SYN)) == TCP_ACK)
		self->bits |= ENDPOINT_ACKED;
	if (view->bits & VIEW_FRAGMENT)
		self->bits |= ENDPOINT_LOOSE;
	self->box_end = serial_max(self->box_end, end_of(view));
	if (options != NULL && (options->bits & OPTION_TIMESTAMPS))
		self->tsval_last = serial_max(self->tsval_last, options->tsval);
}

bool endpoint_believes_reset(const struct endpoint *self, const struct view *view)
{
	if (!(self->bits & ENDPOINT_GREETED))
		return (view->tcp_flags & TCP_ACK) && view->ack == self->isn + 1;
	return !serial_before(view->seq, self->box_isn) && !serial_after(view->seq, self->box_end);
}

// The ISN of its peer as its own acknowledgement tells it.
static uint32_t isn_seen(
	const struct endpoint *self, const struct endpoint *peer, const struct view *view)
{
	if (self->bits & ENDPOINT_SETTLED)
		return self->peer_isn;
	if ((peer->bits & ENDPOINT_OPENED) && view->ack - (peer->isn + 1) < NEAR)
		return peer->isn;
	return view->ack - 1;
}

// The highest number it says it has.
static uint32_t reach(const struct view *view, const struct options *options)
{
	uint32_t reach = view->ack;
	unsigned at;

	if (options == NULL || !(options->bits & OPTION_SACK))
		return reach;
	at = options->sack_at + SACK_EDGE_BYTES;
	for (unsigned i = 0; i < options->sack_count; i++, at += 2 * SACK_EDGE_BYTES)
		reach = serial_max(reach, be32_get(view->data + at));
	return reach;
}

// True where the box has sent it that many numbers, the SYN's included.
static bool is_sent(const struct endpoint *self, uint32_t distance)
{
	return (self->bits & ENDPOINT_LOOSE) ||
	       !serial_after(distance, self->box_end - self->box_isn);
}

bool endpoint_is_caused(const struct endpoint *self, const struct endpoint *peer,
	const struct view *view, const struct options *options)
{
	if (!(self->bits & ENDPOINT_GREETED))
		return false;
	if (view->tcp_flags & TCP_SYN)
		return true;
	if (!is_client(self) && !(self->bits & ENDPOINT_ACKED) && !(view->tcp_flags & TCP_RST))
		return false;
	if (!(view->tcp_flags & TCP_ACK))
		return true;
	return is_sent(self, reach(view, options) - isn_seen(self, peer, view));
}

static bool both(const struct endpoint *a, const struct offer *b, unsigned bit)
{
	return (a->own.bits & bit) && (b->bits & bit);
}

// Windows as captured were scaled where both captured SYNs said so; they are to be where its own
// and the box's did. A captured SYN/ACK that is missing is taken to have agreed.
static void set_windows(struct endpoint *self, const struct endpoint *peer)
{
	struct translation *t = &self->translation;
	bool known = peer->bits & ENDPOINT_OPENED;

	if (!(self->own.bits & OPTION_WSCALE))
		return;
	if (!known || both(self, &peer->own, OPTION_WSCALE))
		t->to_server.left = self->own.wscale & 15u;
	if (both(self, &self->box, OPTION_WSCALE))
		t->to_server.right = self->own.wscale & 15u;
	if (t->to_server.left != t->to_server.right)
		t->bits |= TRANSLATE_WINDOW;
}

static void settle(struct endpoint *self, const struct endpoint *peer, const struct view *view,
	const struct options *options)
{
	struct translation *t = &self->translation;

	self->peer_isn = isn_seen(self, peer, view);
	self->bits |= ENDPOINT_SETTLED;
	*t = (struct translation){.d = self->peer_isn - self->box_isn};
	// The box sends the client's timestamps as they are, so the server's echoes need no shift.
	if (is_client(self) && options != NULL && (options->bits & OPTION_TIMESTAMPS))
		t->ts_offset = options->tsecr - self->tsval_first;
	if (self->own.ecn && peer->own.ecn && !self->box.ecn)
		t->bits |= TRANSLATE_ECN_STRIP;
	set_windows(self, peer);
}

// What its segment must not carry, because the box did not announce it.
static uint16_t refused(const struct endpoint *self, const struct view *view)
{
	unsigned bits = self->own.bits & ~(unsigned)self->box.bits;

	if (bits & OPTION_SACK_OK)
		bits |= OPTION_SACK;
	if (!(view->tcp_flags & TCP_SYN))
		bits &= OPTION_SACK | OPTION_TIMESTAMPS | OPTION_MPTCP;
	return (uint16_t)bits;
}

// The echoed timestamp: shifted, and one that the box can have sent.
static void echo(struct endpoint *self, struct view *view, const struct options *options)
{
	uint32_t tsecr = options->tsecr - self->translation.ts_offset;

	if (serial_before(tsecr, self->tsval_first))
		tsecr = self->tsval_first;
	if (serial_after(tsecr, self->tsval_last))
		tsecr = self->tsval_last;
	edit_tcp32(view, (uint16_t)(options->timestamps_at + TSECR_BEHIND_TSVAL), tsecr);
}

static void rewrite_flags(const struct endpoint *self, struct view *view)
{
	uint8_t flags = view->tcp_flags;

	if (flags & TCP_SYN)
		flags &= self->box.ecn ? (uint8_t)0xff : (uint8_t)~ECN_SETUP;
	else if (self->translation.bits & TRANSLATE_ECN_STRIP)
		flags &= (uint8_t)~ECN_SETUP;
	if (flags != view->tcp_flags)
		edit_tcp_flags(view, flags);
}

void endpoint_rewrite(struct endpoint *self, const struct endpoint *peer, struct view *view,
	struct options *options)
{
	uint16_t strip = refused(self, view);
	bool good;

	if (view->tcp_flags & TCP_RST)
		self->bits |= ENDPOINT_HAS_RESET;
	options_strip(view, strip);
	good = options_parse(options, view) == 0;
	if ((view->tcp_flags & TCP_ACK) && !(self->bits & ENDPOINT_SETTLED))
		settle(self, peer, view, good ? options : NULL);
	if (!(self->bits & ENDPOINT_SETTLED))
		return; // acknowledges nothing
	translation_apply(&self->translation, TO_SERVER, view, good ? options : NULL);
	rewrite_flags(self, view);
	if (!(view->tcp_flags & TCP_ACK))
		return;
	if (good && (options->bits & OPTION_TIMESTAMPS) &&
		both(self, &self->box, OPTION_TIMESTAMPS))
		echo(self, view, options);
	// Data in a captured SYN that the box took out is not acknowledged.
	if ((view->tcp_flags & TCP_SYN) && serial_after(view->ack, self->box_end))
		edit_ack(view, self->box_end);
}

bool endpoint_lacks_timestamps(const struct endpoint *self, const struct endpoint *peer,
	const struct view *view, const struct options *options)
{
	if (view->tcp_flags & (TCP_SYN | TCP_RST) || !(self->bits & ENDPOINT_SETTLED))
		return false;
	return both(self, &self->box, OPTION_TIMESTAMPS) && !(peer->own.bits & OPTION_TIMESTAMPS) &&
	       !(options->bits & OPTION_TIMESTAMPS);
}

// The packet an ICMP error quotes went to it from its peer: in the capture as the peer sent it, in
// this run as the box did.
static uint32_t quote_isn(const struct endpoint *self, const struct endpoint *peer)
{
	return self->bits & ENDPOINT_SETTLED ? self->peer_isn : peer->isn;
}

bool endpoint_quote_is_caused(
	const struct endpoint *self, const struct endpoint *peer, uint32_t quote_end)
{
	if (!(self->bits & ENDPOINT_GREETED) || !(peer->bits & ENDPOINT_OPENED))
		return false;
	return is_sent(self, quote_end - quote_isn(self, peer));
}

void endpoint_rewrite_quote(const struct endpoint *self, const struct endpoint *peer,
	struct view *view, struct quote *quote)
{
	const struct quote_shift shift = {.seq = self->box_isn - quote_isn(self, peer),
		.tsval = 0 - self->translation.ts_offset};

	quote_translate(view, quote, &shift);
}
