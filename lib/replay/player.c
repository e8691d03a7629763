// Life of a played connection:
//
//  - Its first SYN makes it known, and leaves at once as it is. A SYN with another ISN begins the
//    next connection of the tuple; what the old one held is withheld.
//  - A segment leaves when the box has greeted its end (sent the client a SYN/ACK, the server a
//    SYN) and sent it all that the segment acknowledges. Until then it is held, and all segments
//    behind it with it. An ICMP error leaves when the box has sent what it quotes.
//  - Each packet the box sends moves what its receiver knows, and puts the connection into the list
//    that next() looks through. A RST that is not the peer's doing ends its receiver.
//
// Two things are sent that the capture does not have, because an end would send them: the SYN/ACK
// once more, where the box reset the server and asked again; and the data of a SYN (Fast Open),
// where the captured server had acknowledged it and the box does not. That data is the first packet
// of the client's queue from the SYN on, and not counted as held.
//
// A connection of which only the other end could be a played server is remembered as not played:
// without that its server's segments would look like a client's.
#include "replay/player.h"

#include "base/check.h"
#include "replay/connections.h"
#include "replay/fast_open.h"
#include "replay/held.h"
#include "replay/segment.h"
#include "replay/timestamps.h"

#include <string.h>

#define NS_PER_MS  1000000u
#define LINE_BYTES 64

struct player {
	struct player_config config;
	struct player_counts counts;
	uint64_t now_ns;
	uint32_t ordinal; // of the packet offered last
	struct connections connections;
	struct hold_pool *pool;
};

static size_t lines(size_t bytes)
{
	return (bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
}

size_t player_bytes(const struct player_config *config)
{
	return lines(sizeof(struct player)) + lines(connections_bytes(config->connections)) +
	       hold_pool_bytes(config->hold_bytes);
}

struct player *player_init(void *memory, const struct player_config *config)
{
	struct player *player = memory;
	uint8_t *at = (uint8_t *)memory + lines(sizeof(*player));

	player->config = *config;
	connections_init(&player->connections, at, config->connections);
	at += lines(connections_bytes(config->connections));
	player->pool = hold_pool_init(at, config->hold_bytes);
	return player;
}

static enum side other(enum side side)
{
	return side == SIDE_OUTSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

static bool plays_to(
	const struct player *player, const struct addr *dst, uint16_t dport, enum side side)
{
	const struct service *services = player->config.services;
	uint16_t i = service_find(
		services, player->config.service_count, dst, dport, PROTOCOL_TCP, side);

	return i != SERVICE_NONE &&
	       (services[i].mode == MODE_PROXY || services[i].mode == MODE_MSYN);
}

// Whether the receiver, or the sender, could be the server of a played connection.
static bool plays_receiver(const struct player *player, const struct segment *segment)
{
	return plays_to(player, &segment->view.dst, segment->view.dport, segment->side);
}

static bool plays_sender(const struct player *player, const struct segment *segment)
{
	return plays_to(player, &segment->view.src, segment->view.sport, other(segment->side));
}

static enum player_verdict withhold(struct player *player, enum player_cause cause, uint64_t frames)
{
	player->counts.withheld[cause] += frames;
	return PLAYER_WITHHELD;
}

static enum player_verdict pass(struct player *player)
{
	player->counts.passed++;
	return PLAYER_PLAY;
}

static void withhold_queue(struct player *player, struct connection *connection, unsigned queue,
	enum player_cause cause)
{
	unsigned frames = hold_clear(player->pool, &connection->held[queue]);

	if (connection->resend && queue == held_queue(connection->client_side, false)) {
		connection->resend = false;
		frames--;
	}
	player->counts.held -= frames;
	withhold(player, cause, frames);
}

static void forget(struct player *player, struct connection *connection, enum player_cause cause)
{
	for (unsigned queue = 0; queue < HELD_QUEUES; queue++)
		withhold_queue(player, connection, queue, cause);
	connections_remove(&player->connections, connection);
}

// The SYN of a connection that is known: repeated, or crossing the client's in a simultaneous open.
static bool belongs(const struct connection *connection, const struct segment *segment)
{
	const struct endpoint *self = &connection->ends[segment->side];

	if (segment->side != connection->client_side)
		return !(self->bits & ENDPOINT_SPOKE);
	return self->isn == segment->view.seq && !(self->bits & ENDPOINT_RESET);
}

// What the first data segment would be, if the SYN's data had to be sent again. As captured: it is
// rewritten like the others when it leaves.
static void keep_data(
	struct player *player, struct connection *connection, const struct segment *segment)
{
	if (view_payload_len(&segment->view) > 0)
		connection->resend = held_push(player->pool, connection, segment, player->ordinal);
}

// The connection of a first SYN: the one that is known, a new one, or NULL where none is played.
static struct connection *open(
	struct player *player, struct connection *connection, const struct segment *segment)
{
	bool played = plays_receiver(player, segment);
	struct connection *victim;

	if (connection != NULL && belongs(connection, segment))
		return connection;
	if (connection != NULL)
		forget(player, connection, PLAYER_NOT_CAUSED);
	if (!played && !plays_sender(player, segment))
		return NULL;
	victim = connections_victim(&player->connections);
	if (victim != NULL)
		forget(player, victim, PLAYER_EVICTED);
	connection = connections_add(&player->connections, &segment->key);
	connection->client_side = (uint8_t)segment->side;
	connection->played = played;
	connection->syn_ns = player->now_ns;
	endpoint_init(&connection->ends[segment->side], true);
	endpoint_init(&connection->ends[other(segment->side)], false);
	held_init(connection);
	if (played)
		keep_data(player, connection, segment);
	return connection;
}

// Without a connection: of a played service's the SYN is missing.
static enum player_verdict stranger(struct player *player, const struct segment *segment)
{
	bool from_server, to_server;

	if (segment->is_quote)
		return pass(player);
	from_server = plays_sender(player, segment);
	to_server = !(segment->view.tcp_flags & TCP_SYN) && plays_receiver(player, segment);
	return from_server || to_server ? withhold(player, PLAYER_NO_SYN, 1) : pass(player);
}

static bool is_caused(const struct connection *connection, const struct segment *segment)
{
	const struct endpoint *self = &connection->ends[segment->side];
	const struct endpoint *peer = &connection->ends[other(segment->side)];

	if (segment->is_quote)
		return endpoint_quote_is_caused(self, peer, segment->quote_end);
	return endpoint_is_caused(self, peer, &segment->view, segment_options(segment));
}

// The clock of a client that gives timestamps although it did not in the capture.
static uint32_t clock_of(const struct player *player, const struct connection *connection)
{
	const struct endpoint *client = &connection->ends[connection->client_side];

	return client->own.tsval + (uint32_t)((player->now_ns - connection->syn_ns) / NS_PER_MS);
}

static void rewrite(struct player *player, struct connection *connection, struct segment *segment)
{
	struct endpoint *self = &connection->ends[segment->side];
	struct endpoint *peer = &connection->ends[other(segment->side)];

	if (segment->is_quote) {
		endpoint_rewrite_quote(self, peer, &segment->view, &segment->quote);
		return;
	}
	endpoint_rewrite(self, peer, &segment->view, &segment->options);
	if (endpoint_lacks_timestamps(self, peer, &segment->view, &segment->options))
		timestamps_insert(segment->frame, &segment->view, clock_of(player, connection),
			self->tsval_last);
}

static enum player_verdict play(struct player *player)
{
	player->counts.played++;
	return PLAYER_PLAY;
}

static enum player_verdict hold(
	struct player *player, struct connection *connection, const struct segment *segment)
{
	const struct player_config *config = &player->config;

	if (held_frames(connection) >= config->connection_frames ||
		held_bytes(connection) + segment->frame->len > config->connection_bytes ||
		!held_push(player->pool, connection, segment, player->ordinal))
		return withhold(player, PLAYER_NO_ROOM, 1);
	player->counts.held++;
	return PLAYER_HELD;
}

static void keep_answer(struct connection *connection, const struct segment *segment)
{
	const struct frame *frame = segment->frame;

	connection->answer_len = 0;
	if (frame->len > sizeof(connection->answer))
		return;
	memcpy(connection->answer, frame->data, frame->len);
	connection->answer_len = frame->len;
	connection->answer_flags = frame->flags;
}

// What the capture shows of the sender, before anything is decided.
static void spoke(
	struct player *player, struct connection *connection, const struct segment *segment)
{
	bool from_server = segment->side != connection->client_side;

	if (segment->is_quote)
		return;
	endpoint_spoke(&connection->ends[segment->side], &segment->view, segment_options(segment));
	if (from_server && (segment->view.tcp_flags & TCP_SYN))
		keep_answer(connection, segment);
	if (connection->resend)
		connections_make_ready(&player->connections, connection);
}

static enum player_verdict played(
	struct player *player, struct connection *connection, struct segment *segment)
{
	const struct endpoint *self = &connection->ends[segment->side];
	const struct hold *queue = &connection->held[held_queue(segment->side, segment->is_quote)];

	spoke(player, connection, segment);
	if (!segment->is_quote && view_is_first_syn(&segment->view))
		return play(player);
	if (!segment->is_quote && (self->bits & ENDPOINT_RESET))
		return withhold(player, PLAYER_RESET, 1);
	if (queue->frames > 0 || !is_caused(connection, segment))
		return hold(player, connection, segment);
	rewrite(player, connection, segment);
	return play(player);
}

enum player_verdict player_offer(
	struct player *player, struct frame *frame, enum side side, uint64_t now_ns)
{
	struct connection *connection;
	struct segment segment;

	player->now_ns = now_ns;
	player->ordinal++;
	player->counts.offered++;
	if (!segment_parse(&segment, frame, side))
		return pass(player);
	connection = connections_find(&player->connections, &segment.key);
	if (!segment.is_quote && view_is_first_syn(&segment.view)) {
		connection = open(player, connection, &segment);
		if (connection == NULL)
			return pass(player);
	}
	if (connection == NULL)
		return stranger(player, &segment);
	connections_touch(&player->connections, connection);
	if (!connection->played)
		return pass(player);
	return played(player, connection, &segment);
}

static void reset_by_box(
	struct player *player, struct connection *connection, const struct segment *segment)
{
	struct endpoint *self = &connection->ends[segment->side];
	const struct endpoint *peer = &connection->ends[other(segment->side)];

	if ((peer->bits & ENDPOINT_HAS_RESET) || !endpoint_believes_reset(self, &segment->view))
		return;
	self->bits |= ENDPOINT_RESET;
	withhold_queue(player, connection, held_queue(segment->side, false), PLAYER_RESET);
	if (segment->side != connection->client_side)
		connection->repeat = false;
}

void player_emitted(
	struct player *player, const struct frame *frame, enum side side, uint64_t now_ns)
{
	struct frame copy = *frame;
	struct connection *connection;
	struct segment segment;
	struct endpoint *self;

	player->now_ns = now_ns;
	// It comes from the other side, as far as its key goes.
	if (!segment_parse(&segment, &copy, other(side)) || segment.is_quote)
		return;
	connection = connections_find(&player->connections, &segment.key);
	if (connection == NULL || !connection->played)
		return;
	segment.side = side;
	self = &connection->ends[side];
	if (segment.view.tcp_flags & TCP_RST)
		reset_by_box(player, connection, &segment);
	else if (!(segment.view.tcp_flags & TCP_SYN))
		endpoint_heard(self, &segment.view, segment_options(&segment));
	else if (endpoint_is_greeting(self, &segment.view) &&
		 endpoint_greeted(self, &segment.view, segment_options(&segment)))
		connection->repeat = connection->answer_len > 0;
	connections_touch(&player->connections, connection);
	connections_make_ready(&player->connections, connection);
}

// The SYN/ACK again, as captured, and rewritten for what the box says now.
static bool repeat_answer(struct player *player, struct connection *connection, struct frame *out)
{
	struct segment segment;

	connection->repeat = false;
	CHECK(out->len + out->tailroom >= connection->answer_len);
	memcpy(out->data, connection->answer, connection->answer_len);
	out->tailroom = (uint16_t)(out->len + out->tailroom - connection->answer_len);
	out->len = connection->answer_len;
	out->flags = connection->answer_flags;
	out->port = !connection->client_side;
	CHECK(segment_parse(&segment, out, other(connection->client_side)));
	rewrite(player, connection, &segment);
	player->counts.made++;
	return true;
}

// True where the client's SYN data leaves now.
static bool resend(struct player *player, struct connection *connection, struct frame *out)
{
	unsigned queue = held_queue(connection->client_side, false);
	struct segment segment;
	enum fast_open decision;

	CHECK(held_peek(player->pool, connection, queue, &segment, out));
	decision = fast_open_decide(connection, &segment);
	if (decision == FAST_OPEN_WAIT)
		return false;
	held_take(player->pool, connection, queue, &segment, out);
	connection->resend = false;
	if (decision == FAST_OPEN_NOT) {
		out->tailroom = (uint16_t)(out->tailroom + out->len);
		out->len = 0;
		return false;
	}
	fast_open_make(connection, &segment);
	rewrite(player, connection, &segment);
	player->counts.made++;
	return true;
}

// The queue whose first packet is caused now; of several the one captured first. HELD_QUEUES where
// there is none.
static unsigned caused_queue(
	const struct player *player, const struct connection *connection, const struct frame *out)
{
	unsigned blocked =
		connection->resend ? held_queue(connection->client_side, false) : HELD_QUEUES;
	unsigned first = HELD_QUEUES;
	struct segment segment;

	for (unsigned queue = 0; queue < HELD_QUEUES; queue++) {
		if (queue == blocked ||
			!held_peek(player->pool, connection, queue, &segment, out) ||
			!is_caused(connection, &segment))
			continue;
		if (first == HELD_QUEUES || held_before(player->pool, connection, queue, first))
			first = queue;
	}
	return first;
}

static bool next_of(struct player *player, struct connection *connection, struct frame *out)
{
	struct segment segment;
	unsigned queue;

	if (connection->repeat)
		return repeat_answer(player, connection, out);
	if (connection->resend && resend(player, connection, out))
		return true;
	queue = caused_queue(player, connection, out);
	if (queue == HELD_QUEUES)
		return false;
	held_take(player->pool, connection, queue, &segment, out);
	player->counts.held--;
	rewrite(player, connection, &segment);
	play(player);
	return true;
}

bool player_next(struct player *player, struct frame *out)
{
	struct connection *connection;

	while ((connection = connections_ready(&player->connections)) != NULL) {
		if (next_of(player, connection, out))
			return true;
		connections_end_ready(&player->connections, connection);
	}
	return false;
}

void player_finish(struct player *player)
{
	struct connection *connection;

	while ((connection = connections_first(&player->connections)) != NULL)
		forget(player, connection, PLAYER_NOT_CAUSED);
}

const struct player_counts *player_counts(const struct player *player)
{
	return &player->counts;
}

const char *player_cause_name(enum player_cause cause)
{
	static const char *const names[PLAYER_CAUSE_COUNT] = {
		[PLAYER_NO_SYN] = "no_syn",
		[PLAYER_NOT_CAUSED] = "not_caused",
		[PLAYER_NO_ROOM] = "no_room",
		[PLAYER_EVICTED] = "evicted",
		[PLAYER_RESET] = "reset",
	};

	return names[cause];
}

const char *player_cause_text(enum player_cause cause)
{
	static const char *const texts[PLAYER_CAUSE_COUNT] = {
		[PLAYER_NO_SYN] = "the capture begins in the middle of its connection",
		[PLAYER_NOT_CAUSED] = "the box never sent what it answers to",
		[PLAYER_NO_ROOM] = "too much was waiting for what the box sends",
		[PLAYER_EVICTED] = "its connection waited longest, and made room for others",
		[PLAYER_RESET] = "the box reset its end, which would have sent nothing more",
	};

	return texts[cause];
}
