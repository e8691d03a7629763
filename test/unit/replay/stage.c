#include "stage.h"

#include "base/bytes.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define LINE_NS 1000000u

void stage_init(struct stage *stage, enum stage_mode mode)
{
	memset(stage, 0, sizeof(*stage));
	stage->node = node_make();
	stage->node->services[0].mode = mode == STAGE_MSYN ? MODE_MSYN : MODE_PROXY;
	stage->node->policy.clustered = mode != STAGE_PROXY;
	stage->node->policy.node_id = 3;
	stage->node->policy.max_id = 15;
	stage->isn_client = STAGE_ISN_CLIENT;
	stage->isn_server = STAGE_ISN_SERVER;
	stage->config = (struct player_config){.connections = 16,
		.hold_bytes = 1 << 18,
		.connection_bytes = 1 << 16,
		.connection_frames = 64};
}

void stage_go(struct stage *stage)
{
	size_t bytes;

	node_go(stage->node);
	if (stage->node->policy.clustered)
		node_view(stage->node, 1u << stage->node->policy.node_id);
	stage->config.services = stage->node->services;
	stage->config.service_count = stage->node->policy.service_count;
	bytes = (player_bytes(&stage->config) + 63) & ~(size_t)63;
	stage->memory = aligned_alloc(64, bytes);
	CHECK(stage->memory != NULL);
	memset(stage->memory, 0, bytes);
	stage->player = player_init(stage->memory, &stage->config);
}

static void check_counts(const struct stage *stage)
{
	const struct player_counts *counts = player_counts(stage->player);

	CHECK(counts->offered ==
		counts->passed + counts->played + counts->held + stage_withheld(stage));
}

void stage_finish(struct stage *stage)
{
	player_finish(stage->player);
	check_counts(stage);
	CHECK(player_counts(stage->player)->held == 0);
	CHECK(node_end(stage->node));
	free(stage->memory);
}

static void put_stream(struct stream *stream, const struct view *view)
{
	uint16_t len = view_payload_len(view);
	uint32_t at = view->seq - stream->base;

	if (view->tcp_flags & TCP_SYN) {
		if (!stream->open || stream->base != view->seq + 1)
			*stream = (struct stream){.base = view->seq + 1, .open = true};
		return;
	}
	if (len == 0 || view->limit < view->end)
		return;
	if (at > stream->len)
		stream->hole = true;
	if (at + len > STAGE_BYTES_MAX)
		return;
	memcpy(stream->bytes + at, view->data + view->payload, len);
	stream->len = at + len > stream->len ? at + len : stream->len;
}

static void note(struct stage *stage, const struct sent *sent)
{
	const struct view *view = &sent->view;
	struct departure *departure = &stage->log[stage->log_count++];

	CHECK(stage->log_count <= STAGE_LOG_MAX);
	*departure = (struct departure){.side = sent->port, .options = sent->options};
	departure->tos = view->bits & VIEW_IP4 ? view->data[view->l3 + 1]
					       : (uint8_t)(be16_get(view->data + view->l3) >> 4);
	if (!(view->bits & VIEW_TCP))
		return;
	departure->flags = view->tcp_flags;
	departure->window = view->window;
	departure->payload_len = view_payload_len(view);
	departure->seq = view->seq;
	departure->ack = view->ack;
	if (sent->options.bits & OPTION_SACK) {
		departure->sack[0] = be32_get(view->data + sent->options.sack_at);
		departure->sack[1] = be32_get(view->data + sent->options.sack_at + 4);
	}
	put_stream(&stage->to[sent->port], view);
}

// What the engine sent in its last call, told to the player.
static void tell(struct stage *stage, bool truncated)
{
	struct node *node = stage->node;

	for (unsigned i = 0; i < node->sent_count; i++) {
		const struct sent *sent = &node->sent[i];

		CHECK(truncated || packet_good(&sent->frame));
		note(stage, sent);
		player_emitted(stage->player, &sent->frame, sent->port, node->now_ns);
	}
}

static void run(struct stage *stage, struct frame frame)
{
	stage->engine_kind = node_offer_frame(stage->node, frame);
	tell(stage, frame.flags & FRAME_TRUNCATED);
}

static void drain(struct stage *stage)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame;

	for (;;) {
		frame = (struct frame){.data = room + PACKET_HEADROOM_BYTES,
			.headroom = PACKET_HEADROOM_BYTES,
			.tailroom = PACKET_ROOM_BYTES - PACKET_HEADROOM_BYTES};
		if (!player_next(stage->player, &frame))
			break;
		run(stage, frame);
		check_counts(stage);
	}
}

enum player_verdict stage_frame(struct stage *stage, struct frame *frame, enum side side)
{
	stage->node->now_ns += LINE_NS;
	frame->port = (uint8_t)side;
	stage->verdict = player_offer(stage->player, frame, side, stage->node->now_ns);
	check_counts(stage);
	if (stage->verdict == PLAYER_PLAY)
		run(stage, *frame);
	drain(stage);
	return stage->verdict;
}

enum player_verdict stage_line(struct stage *stage, const struct line *line)
{
	uint8_t room[PACKET_ROOM_BYTES];
	struct packet packet = {.ip6 = stage->ip6,
		.from_server = line->server,
		.client_port = stage->client_port,
		.flags = line->flags,
		.seq = line->seq + (line->server ? stage->isn_server : stage->isn_client),
		.window = line->window != 0 ? line->window : 1000,
		.tos = line->tos,
		.options = line->options};
	struct frame frame;

	memcpy(packet.tags, stage->tags, sizeof(stage->tags));
	if (line->flags & TCP_ACK)
		packet.ack = line->ack + (line->server ? stage->isn_client : stage->isn_server);
	if (line->payload != NULL)
		packet.payload = (struct bytes){line->payload, (uint16_t)strlen(line->payload)};
	frame = packet_build(room, &packet);
	if (line->truncated) {
		frame.len = (uint16_t)(frame.len - packet.payload.len);
		frame.tailroom = (uint16_t)(frame.tailroom + packet.payload.len);
		frame.flags = FRAME_TRUNCATED;
	}
	if (line->broken)
		frame.data[frame.len - 1] ^= 1;
	return stage_frame(stage, &frame, line->server ? SIDE_INSIDE : SIDE_OUTSIDE);
}

void stage_lines(struct stage *stage, const struct line *lines, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		stage_line(stage, &lines[i]);
}

void stage_pass_ms(struct stage *stage, uint32_t ms)
{
	for (; ms >= 100; ms -= 100) {
		node_pass_ms(stage->node, 100);
		tell(stage, false);
		drain(stage);
	}
}

bool stage_got(const struct stage *stage, enum side side, const char *text)
{
	const struct stream *stream = &stage->to[side];

	return !stream->hole && stream->len == strlen(text) &&
	       memcmp(stream->bytes, text, stream->len) == 0;
}

const struct departure *stage_last(const struct stage *stage, enum side side, uint8_t flags)
{
	for (unsigned i = stage->log_count; i-- > 0;)
		if (stage->log[i].side == side && (stage->log[i].flags & flags) == flags)
			return &stage->log[i];
	return NULL;
}

unsigned stage_left(const struct stage *stage, enum side side, uint8_t flags)
{
	unsigned count = 0;

	for (unsigned i = 0; i < stage->log_count; i++)
		count += stage->log[i].side == side && (stage->log[i].flags & flags) == flags;
	return count;
}

uint64_t stage_withheld(const struct stage *stage)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PLAYER_CAUSE_COUNT; i++)
		sum += player_counts(stage->player)->withheld[i];
	return sum;
}
