#include "cluster/update.h"

#include "base/bytes.h"
#include "cluster/update_create.h"

#include <string.h>

#define CHANGE_BITS  (CHANGE_FIN_CLIENT | CHANGE_FIN_SERVER | CHANGE_CLOSED)
#define CHANGE_SHIFT 4	  // of the bits in the first byte
#define CHANGE_ZERO  0x0f // bits of the first byte that say nothing

#define FRAME_HEAD_BYTES (1 + FLOW_DIGEST_BYTES + 2)

static void digest_put(uint8_t *p, uint64_t digest)
{
	be16_put(p, (uint16_t)(digest >> 32));
	be32_put(p + 2, (uint32_t)digest);
}

static void put_digest(struct cursor *out, uint64_t digest)
{
	uint8_t *bytes = cursor_give(out, FLOW_DIGEST_BYTES);

	if (bytes != NULL)
		digest_put(bytes, digest);
}

static uint64_t digest_get(const uint8_t *p)
{
	return (uint64_t)be16_get(p) << 32 | be32_get(p + 2);
}

static uint64_t digest_of(
	const struct update_codec *codec, const struct message *message, uint32_t incarnation)
{
	uint64_t hash =
		codec->hash != 0 ? codec->hash : flow_key_hash(codec->key, &message->body.flow.key);

	return flow_digest(hash, incarnation);
}

static bool put_change(
	struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	const struct message_flow *flow = &message->body.flow;
	uint8_t *bytes;

	if (flow->bits & ~CHANGE_BITS)
		return false;
	bytes = cursor_give(out, 1 + FLOW_DIGEST_BYTES);
	if (bytes == NULL)
		return false;
	bytes[0] = (uint8_t)(UPDATE_CHANGE | flow->bits << CHANGE_SHIFT);
	digest_put(bytes + 1, digest_of(codec, message, flow->incarnation));
	return true;
}

static void put_head(struct cursor *out, enum update_type type, size_t len)
{
	uint8_t *head = cursor_give(out, 3);

	if (head == NULL)
		return;
	head[0] = (uint8_t)type;
	be16_put(head + 1, (uint16_t)len);
}

static bool put_confirmed(
	struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	const struct message_flow *flow = &message->body.flow;
	uint8_t *bytes;

	put_head(out, UPDATE_CONFIRMED, FLOW_DIGEST_BYTES + 2);
	bytes = cursor_give(out, FLOW_DIGEST_BYTES + 2);
	if (bytes == NULL)
		return false;
	digest_put(bytes, digest_of(codec, message, flow->incarnation));
	be16_put(bytes + FLOW_DIGEST_BYTES, flow->generation);
	return true;
}

static bool put_frame(
	struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	if (message->frame_len == 0 || message->frame_len > MESSAGE_FRAME_MAX ||
		message->frame_side > SIDE_INSIDE)
		return false;
	put_head(out, message->type == MESSAGE_EMIT ? UPDATE_EMIT : UPDATE_FRAME,
		FRAME_HEAD_BYTES + message->frame_len);
	cursor_put8(out, message->frame_side);
	put_digest(out, digest_of(codec, message, 0));
	cursor_put16(out, message->body.flow.generation);
	cursor_put(out, message->frame, message->frame_len);
	return true;
}

static bool put_none(
	struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	put_head(out, UPDATE_NONE, FLOW_DIGEST_BYTES);
	put_digest(out, digest_of(codec, message, 0));
	return true;
}

static bool put_any(
	struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_OPENED:
		return create_put(out, codec, message);
	case MESSAGE_CHANGED:
		return put_change(out, codec, message);
	case MESSAGE_CONFIRMED:
		return put_confirmed(out, codec, message);
	case MESSAGE_FRAME:
	case MESSAGE_EMIT:
		return put_frame(out, codec, message);
	case MESSAGE_NONE:
		return put_none(out, codec, message);
	default:
		return false;
	}
}

bool update_put(struct cursor *out, const struct update_codec *codec, const struct message *message)
{
	uint8_t *start = out->at;

	if (put_any(out, codec, message) && !out->failed)
		return true;
	out->at = start;
	out->failed = false;
	return false;
}

struct update_head update_peek(const struct cursor *in)
{
	struct cursor at = *in;
	uint8_t first = cursor_get8(&at);

	if (first & UPDATE_CHANGE)
		return (struct update_head){.type = UPDATE_CHANGE};
	if (first & UPDATE_CREATE)
		return (struct update_head){.type = UPDATE_CREATE, .early = true};
	return (struct update_head){
		.type = first, .early = first >= UPDATE_CONFIRMED && first <= UPDATE_EMIT};
}

static void set_flow(struct message_flow *flow, uint64_t digest, uint16_t generation, uint8_t bits)
{
	flow->digest = digest;
	flow->incarnation = 0;
	flow->generation = generation;
	flow->bits = bits;
	flow->spare = 0;
}

static bool get_change(struct cursor *in, uint8_t first, struct message *message)
{
	const uint8_t *bytes = cursor_take(in, FLOW_DIGEST_BYTES);

	message->type = MESSAGE_CHANGED;
	if (bytes == NULL)
		return false;
	set_flow(&message->body.flow, digest_get(bytes), 0, first >> CHANGE_SHIFT & CHANGE_BITS);
	return (first & CHANGE_ZERO) == 0;
}

static bool get_confirmed(const uint8_t *bytes, size_t len, struct message *message)
{
	message->type = MESSAGE_CONFIRMED;
	if (len != FLOW_DIGEST_BYTES + 2)
		return false;
	set_flow(&message->body.flow, digest_get(bytes), be16_get(bytes + FLOW_DIGEST_BYTES), 0);
	return true;
}

static bool get_none(const uint8_t *bytes, size_t len, struct message *message)
{
	message->type = MESSAGE_NONE;
	if (len != FLOW_DIGEST_BYTES)
		return false;
	set_flow(&message->body.flow, digest_get(bytes), 0, 0);
	return true;
}

static bool get_frame(
	const uint8_t *bytes, size_t len, enum message_type type, struct message *message)
{
	const size_t head = FRAME_HEAD_BYTES;

	message->type = (uint8_t)type;
	if (len <= head || len - head > MESSAGE_FRAME_MAX || bytes[0] > SIDE_INSIDE)
		return false;
	message->frame_side = bytes[0];
	set_flow(&message->body.flow, digest_get(bytes + 1),
		be16_get(bytes + 1 + FLOW_DIGEST_BYTES), 0);
	message->frame_len = (uint16_t)(len - head);
	memcpy(message->frame, bytes + head, message->frame_len);
	return true;
}

// Messages with a length of their own bytes, of which `first` is already read.
static bool get_sized(struct cursor *in, uint8_t first, struct message *message,
	const uint8_t **body, size_t *body_len)
{
	size_t len = cursor_get16(in);
	const uint8_t *bytes = cursor_take(in, len);

	if (bytes == NULL)
		return false;
	switch (first) {
	case UPDATE_CONFIRMED:
		return get_confirmed(bytes, len, message);
	case UPDATE_FRAME:
		return get_frame(bytes, len, MESSAGE_FRAME, message);
	case UPDATE_EMIT:
		return get_frame(bytes, len, MESSAGE_EMIT, message);
	case UPDATE_NONE:
		return get_none(bytes, len, message);
	default:
		*body = bytes;
		*body_len = len;
		return true;
	}
}

// Field by field: the cell is large, and what no message uses is left as it is.
static void start(struct message *message, uint16_t sender)
{
	message->type = 0;
	message->why = 0;
	message->node = sender;
	message->worker = 0;
	message->frame_len = 0;
	message->frame_side = 0;
	message->flow_count = 0;
}

bool update_get(struct cursor *in, const struct update_codec *codec, struct message *message,
	const uint8_t **body, size_t *body_len)
{
	uint8_t first = cursor_get8(in);

	start(message, codec->sender);
	*body = NULL;
	*body_len = 0;
	if (in->failed)
		return false;
	if (first & UPDATE_CHANGE)
		return get_change(in, first, message);
	if (!(first & UPDATE_CREATE))
		return get_sized(in, first, message, body, body_len);
	message->type = MESSAGE_INSTALL;
	return create_get(in, codec, first, message);
}
