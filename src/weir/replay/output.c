#include "weir/replay/output.h"

#include "base/reason.h"
#include "cfg/config.h"
#include "weir/console/pcapng.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BUFFER_BYTES (1 << 20)

struct held {
	uint16_t len;
	uint8_t port;
};

static void put_interfaces(struct replay_output *output)
{
	static const char *const ports[2] = {"outside", "inside"};
	char name[CONFIG_TEXT_BYTES + 16];

	for (unsigned i = 0; i < 2 * output->node_count; i++) {
		snprintf(name, sizeof(name), "%s %s", output->nodes[i / 2].name, ports[i % 2]);
		fwrite(output->block, 1,
			pcapng_interface_whole(
				output->block, output->node_count > 1 ? name : ports[i % 2]),
			output->draft.file);
	}
}

int replay_output_open(struct replay_output *output, const char *path)
{
	if (draft_open(&output->draft, path))
		return 1;
	if (output->draft.file == NULL)
		return 0;
	output->block = malloc(PCAPNG_BLOCK_BYTES + UINT16_MAX);
	if (output->block == NULL) {
		fprintf(stderr, "weir: replay: not enough memory\n");
		return 1;
	}
	setvbuf(output->draft.file, NULL, _IOFBF, FILE_BUFFER_BYTES);
	fwrite(output->block, 1, pcapng_section(output->block, "weir replay"), output->draft.file);
	put_interfaces(output);
	return 0;
}

static void put(struct replay_output *output, uint64_t time_ns, uint32_t interface,
	const uint8_t *data, uint16_t len, const char *comment)
{
	struct pcapng_packet packet = {.interface = interface,
		.time_ns = time_ns,
		.len = len,
		.kept = len,
		.data = data,
		.comment = comment};

	fwrite(output->block, 1, pcapng_packet(output->block, &packet), output->draft.file);
}

static void put_drop(struct replay_output *output, unsigned node, uint64_t time_ns,
	const struct frame *frame, const struct verdict *verdict)
{
	char comment[PCAPNG_COMMENT_BYTES];
	const char *rule = verdict->rule == RULE_NONE
				   ? "none"
				   : policy_rule_name(output->nodes[node].policy, verdict->rule);

	snprintf(comment, sizeof(comment), "stage=drop reason=%s rule=%s",
		reason_name(verdict->reason), rule);
	put(output, time_ns, 2 * node + frame->port, frame->data, frame->len, comment);
}

void replay_output_decided(struct replay_output *output, unsigned node, uint64_t time_ns,
	const struct frame *frame, const struct verdict *verdict)
{
	uint32_t interface = 2 * node + verdict->port;

	if (output->draft.file == NULL)
		return;
	if (verdict->kind == VERDICT_FORWARD)
		put(output, time_ns, interface, frame->data, frame->len, "stage=tx how=forwarded");
	else if (verdict->kind == VERDICT_REPLY)
		put(output, time_ns, interface, frame->data, frame->len, "stage=tx how=reply");
	else if (verdict->kind == VERDICT_DROP)
		put_drop(output, node, time_ns, frame, verdict);
}

static bool make_room(struct output_node *node, size_t bytes)
{
	size_t size = 2 * (node->held_used + bytes);
	void *held;

	if (node->held_used + bytes <= node->held_size)
		return true;
	held = realloc(node->held, size);
	if (held == NULL)
		return false;
	node->held = held;
	node->held_size = size;
	return true;
}

void replay_output_made(struct replay_output *output, unsigned node, const struct frame *frame)
{
	struct held held = {.len = frame->len, .port = frame->port};
	struct output_node *of = &output->nodes[node];

	if (output->draft.file == NULL)
		return;
	if (!make_room(of, sizeof(held) + frame->len)) {
		output->short_of_memory = true;
		return;
	}
	memcpy(of->held + of->held_used, &held, sizeof(held));
	memcpy(of->held + of->held_used + sizeof(held), frame->data, frame->len);
	of->held_used += sizeof(held) + frame->len;
}

static void settle(struct replay_output *output, unsigned node, uint64_t time_ns)
{
	struct output_node *of = &output->nodes[node];
	struct held held;

	for (size_t at = 0; at < of->held_used; at += sizeof(held) + held.len) {
		memcpy(&held, of->held + at, sizeof(held));
		put(output, time_ns, 2 * node + held.port, of->held + at + sizeof(held), held.len,
			"stage=tx how=made");
	}
	of->held_used = 0;
}

void replay_output_settle(struct replay_output *output, uint64_t time_ns)
{
	for (unsigned i = 0; i < output->node_count; i++)
		settle(output, i, time_ns);
}

int replay_output_finish(struct replay_output *output)
{
	if (!output->short_of_memory)
		return draft_finish(&output->draft);
	fprintf(stderr, "weir: replay: not enough memory for --write\n");
	return 1;
}

void replay_output_close(struct replay_output *output)
{
	draft_discard(&output->draft);
	free(output->block);
	for (unsigned i = 0; i < REPLAY_NODES_MAX; i++)
		free(output->nodes[i].held);
	*output = (struct replay_output){0};
}
