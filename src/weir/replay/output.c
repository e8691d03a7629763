#include "weir/replay/output.h"

#include "base/reason.h"
#include "weir/console/pcapng.h"

#include <errno.h>
#include <string.h>

int replay_output_open(struct replay_output *output, const char *path, const char *const names[2],
	const struct policy *policy)
{
	uint8_t block[PCAPNG_BLOCK_BYTES];

	output->file = NULL;
	output->policy = policy;
	if (path == NULL)
		return 0;
	output->file = fopen(path, "wb");
	if (output->file == NULL) {
		fprintf(stderr, "weir: replay: cannot write %s: %s\n", path, strerror(errno));
		return 1;
	}
	fwrite(block, 1, pcapng_section(block, "weir replay"), output->file);
	for (unsigned i = 0; i < 2; i++)
		fwrite(block, 1, pcapng_interface(block, names[i]), output->file);
	return 0;
}

static void put(struct replay_output *output, uint64_t time_ns, uint8_t port, const uint8_t *data,
	uint16_t len, const char *comment)
{
	uint8_t block[PCAPNG_BLOCK_BYTES];
	struct pcapng_packet packet = {.interface = port,
		.time_ns = time_ns,
		.len = len,
		.kept = len < PCAPNG_SNAP_BYTES ? len : PCAPNG_SNAP_BYTES,
		.data = data,
		.comment = comment};

	fwrite(block, 1, pcapng_packet(block, &packet), output->file);
}

void replay_output_sent(struct replay_output *output, uint64_t time_ns, uint8_t port,
	const uint8_t *data, uint16_t len, const char *how)
{
	char comment[PCAPNG_COMMENT_BYTES];

	if (output->file == NULL)
		return;
	snprintf(comment, sizeof(comment), "stage=tx how=%s", how);
	put(output, time_ns, port, data, len, comment);
}

void replay_output_dropped(struct replay_output *output, uint64_t time_ns, uint8_t port,
	const uint8_t *data, uint16_t len, const struct verdict *verdict)
{
	char comment[PCAPNG_COMMENT_BYTES];
	const char *rule = verdict->rule == RULE_NONE
				   ? "none"
				   : policy_rule_name(output->policy, verdict->rule);

	if (output->file == NULL)
		return;
	snprintf(comment, sizeof(comment), "stage=drop reason=%s rule=%s",
		reason_name(verdict->reason), rule);
	put(output, time_ns, port, data, len, comment);
}

int replay_output_close(struct replay_output *output)
{
	int failed;

	if (output->file == NULL)
		return 0;
	failed = ferror(output->file);
	failed |= fclose(output->file);
	if (failed)
		fprintf(stderr, "weir: replay: the capture could not be written whole\n");
	return failed != 0;
}
