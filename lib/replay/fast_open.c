#include "replay/fast_open.h"

#include "pkt/edit.h"
#include "replay/held.h"

#define TSECR_BEHIND_TSVAL 4

enum fast_open fast_open_decide(const struct connection *connection, const struct segment *segment)
{
	const struct endpoint *client = &connection->ends[connection->client_side];
	const struct endpoint *server = &connection->ends[!connection->client_side];
	// What follows cannot wait for what is not known.
	bool behind = connection->held[held_queue(connection->client_side, false)].frames > 1;
	uint32_t end = client->isn + 1 + view_payload_len(&segment->view);

	if (!(server->bits & ENDPOINT_OPENED))
		return behind ? FAST_OPEN_NOT : FAST_OPEN_WAIT;
	if (server->own_ack != end)
		return FAST_OPEN_NOT;
	if (!(client->bits & ENDPOINT_GREETED))
		return FAST_OPEN_WAIT;
	return client->box_ack == end ? FAST_OPEN_NOT : FAST_OPEN_NOW;
}

void fast_open_make(const struct connection *connection, struct segment *segment)
{
	const struct endpoint *client = &connection->ends[connection->client_side];
	const struct endpoint *server = &connection->ends[!connection->client_side];
	bool scaled = client->own.bits & server->own.bits & OPTION_WSCALE;
	const struct rescale rescale = {.right = scaled ? client->own.wscale & 15u : 0};
	struct view *view = &segment->view;

	options_strip(view, (uint16_t)~OPTION_TIMESTAMPS);
	if (segment->options_good && (segment->options.bits & OPTION_TIMESTAMPS))
		edit_tcp32(view, (uint16_t)(segment->options.timestamps_at + TSECR_BEHIND_TSVAL),
			server->own.tsval);
	edit_seq(view, client->isn + 1);
	edit_ack(view, server->isn + 1);
	edit_tcp_flags(view, TCP_ACK | TCP_PSH);
	edit_window(view, translation_window(rescale, view->window));
}
