#include "replay/segment.h"

#include "base/bytes.h"

#define IP6_HEADER_BYTES 40
#define TCP_HEADER_BYTES 20
#define TCP_OFFSET	 12

enum {
	IP4_TOTAL = 2,
	IP6_PAYLOAD = 4,
};

// Flags that no endpoint sends, or not in a fragment.
static bool is_odd(const struct view *view)
{
	uint8_t flags = view->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST);

	if (!(view->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) || (flags & (flags - 1)) != 0)
		return true;
	return (flags & TCP_SYN) && (view->bits & VIEW_FRAGMENT);
}

static bool parse_tcp(struct segment *segment)
{
	flow_key_from_view(&segment->key, &segment->view, segment->side);
	segment->options_good = options_parse(&segment->options, &segment->view) == 0;
	return !is_odd(&segment->view);
}

// By the quoted headers' word; what is quoted of the segment itself may be less.
static uint32_t quote_end(const struct view *view, const struct quote *quote)
{
	const uint8_t *ip = view->data + quote->l3;
	unsigned head_bytes = (unsigned)(quote->l4 - quote->l3) + TCP_HEADER_BYTES;
	unsigned bytes = view->bits & VIEW_IP6 ? IP6_HEADER_BYTES + be16_get(ip + IP6_PAYLOAD)
					       : be16_get(ip + IP4_TOTAL);
	uint32_t end = quote->seq;

	if (view->limit - quote->l4 > TCP_OFFSET)
		head_bytes = (unsigned)(quote->l4 - quote->l3) +
			     (view->data[quote->l4 + TCP_OFFSET] >> 4) * 4u;
	if (bytes > head_bytes)
		end += bytes - head_bytes;
	return end + ((quote->tcp_flags & TCP_SYN) != 0) + ((quote->tcp_flags & TCP_FIN) != 0);
}

bool segment_parse(struct segment *segment, struct frame *frame, enum side side)
{
	struct view *view = &segment->view;

	segment->frame = frame;
	segment->side = side;
	segment->is_quote = false;
	if (view_parse(view, frame) != REASON_NONE)
		return false;
	if (view->bits & VIEW_TCP)
		return parse_tcp(segment);
	if (!view_is_icmp_error(view) || (view->bits & VIEW_FRAGMENT) ||
		quote_parse(&segment->quote, view) != 0 || segment->quote.protocol != PROTOCOL_TCP)
		return false;
	segment->is_quote = true;
	segment->quote_end = quote_end(view, &segment->quote);
	flow_key_from_quote(&segment->key, &segment->quote, side);
	return true;
}
