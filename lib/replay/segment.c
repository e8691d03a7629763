#include "replay/segment.h"

#include <stddef.h>

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
	flow_key_from_quote(&segment->key, &segment->quote, side);
	return true;
}
