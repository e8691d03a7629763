#include "weir/replay/output.h"

#include "base/reason.h"
#include "weir/console/pcapng.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BUFFER_BYTES (1 << 20)

struct held {
	uint16_t len;
	uint8_t port;
};

int replay_output_open(struct replay_output *output, const char *path, const struct policy *policy)
{
	static const char *const names[2] = {"outside", "inside"};

	*output = (struct replay_output){.policy = policy};
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
	for (unsigned i = 0; i < 2; i++)
		fwrite(output->block, 1, pcapng_interface_whole(output->block, names[i]),
			output->draft.file);
	return 0;
}

static void put(struct replay_output *output, uint64_t time_ns, uint8_t port, const uint8_t *data,
	uint16_t len, const char *comment)
{
	struct pcapng_packet packet = {.interface = port,
		.time_ns = time_ns,
		.len = len,
		.kept = len,
		.data = data,
		.comment = comment};

	fwrite(output->block, 1, pcapng_packet(output->block, &packet), output->draft.file);
}

void replay_output_sent(struct replay_output *output, uint64_t time_ns, const struct frame *frame,
	uint8_t port, const char *how)
{
	char comment[PCAPNG_COMMENT_BYTES];

	if (output->draft.file == NULL)
		return;
	snprintf(comment, sizeof(comment), "stage=tx how=%s", how);
	put(output, time_ns, port, frame->data, frame->len, comment);
}

void replay_output_dropped(struct replay_output *output, uint64_t time_ns,
	const struct frame *frame, const struct verdict *verdict)
{
	char comment[PCAPNG_COMMENT_BYTES];
	const char *rule = verdict->rule == RULE_NONE
				   ? "none"
				   : policy_rule_name(output->policy, verdict->rule);

	if (output->draft.file == NULL)
		return;
	snprintf(comment, sizeof(comment), "stage=drop reason=%s rule=%s",
		reason_name(verdict->reason), rule);
	put(output, time_ns, frame->port, frame->data, frame->len, comment);
}

static bool make_room(struct replay_output *output, size_t bytes)
{
	size_t size = 2 * (output->held_used + bytes);
	void *held;

	if (output->held_used + bytes <= output->held_size)
		return true;
	held = realloc(output->held, size);
	if (held == NULL)
		return false;
	output->held = held;
	output->held_size = size;
	return true;
}

void replay_output_made(struct replay_output *output, const struct frame *frame)
{
	struct held held = {.len = frame->len, .port = frame->port};

	if (output->draft.file == NULL)
		return;
	if (!make_room(output, sizeof(held) + frame->len)) {
		output->short_of_memory = true;
		return;
	}
	memcpy(output->held + output->held_used, &held, sizeof(held));
	memcpy(output->held + output->held_used + sizeof(held), frame->data, frame->len);
	output->held_used += sizeof(held) + frame->len;
}

void replay_output_settle(struct replay_output *output, uint64_t time_ns)
{
	struct held held;

	for (size_t at = 0; at < output->held_used; at += sizeof(held) + held.len) {
		memcpy(&held, output->held + at, sizeof(held));
		put(output, time_ns, held.port, output->held + at + sizeof(held), held.len,
			"stage=tx how=made");
	}
	output->held_used = 0;
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
	free(output->held);
	*output = (struct replay_output){0};
}
