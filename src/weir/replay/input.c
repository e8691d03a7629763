#include "weir/replay/input.h"

#include "flow/key.h"
#include "pkt/view.h"
#include "policy/policy.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_BY_ADDRESS 2

static int out_of_memory(void)
{
	fprintf(stderr, "weir: replay: not enough memory for the capture\n");
	return 1;
}

static int make_room(struct replay_input *input, size_t len)
{
	if (input->count == input->room) {
		size_t room = input->room ? 2 * input->room : 1024;
		void *packets = realloc(input->packets, room * sizeof(*input->packets));

		if (packets == NULL)
			return out_of_memory();
		input->packets = packets;
		input->room = room;
	}
	if (input->used + len > input->size) {
		size_t size = 2 * input->size + len + 65536;
		void *bytes = realloc(input->bytes, size);

		if (bytes == NULL)
			return out_of_memory();
		input->bytes = bytes;
		input->size = size;
	}
	return 0;
}

static bool is_inside(
	const struct replay_options *options, const struct policy *policy, const struct addr *addr)
{
	for (unsigned i = 0; i < options->inside_count; i++)
		if (prefix_contains(&options->inside[i], addr))
			return true;
	for (unsigned s = 0; options->inside_count == 0 && s < policy->service_count; s++)
		for (unsigned i = 0; i < policy->services[s].to_count; i++)
			if (prefix_contains(&policy->services[s].to[i], addr))
				return true;
	return false;
}

// The side a packet arrives on is its source's. What is not IP counts as from the outside.
static uint8_t side_of(const struct replay_options *options, const struct policy *policy,
	const uint8_t *data, uint16_t len)
{
	struct frame frame = {.data = (uint8_t *)(uintptr_t)data, .len = len};
	struct view view;

	if (view_parse(&view, &frame) != REASON_NONE || view.bits == 0)
		return SIDE_OUTSIDE;
	return is_inside(options, policy, &view.src) ? SIDE_INSIDE : SIDE_OUTSIDE;
}

static int append(struct replay_input *input, const struct pcap_pkthdr *header, const uint8_t *data,
	uint8_t side)
{
	uint16_t len = header->caplen < UINT16_MAX ? (uint16_t)header->caplen : UINT16_MAX;

	if (make_room(input, len))
		return 1;
	memcpy(input->bytes + input->used, data, len);
	input->packets[input->count++] = (struct replay_packet){
		// The file was opened with nanosecond precision: tv_usec holds nanoseconds.
		.time_ns = (uint64_t)header->ts.tv_sec * 1000000000u + (uint64_t)header->ts.tv_usec,
		.at = input->used,
		.len = len,
		.side = side,
		.truncated = header->caplen < header->len,
	};
	input->used += len;
	return 0;
}

static pcap_t *open_capture(const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	bool named;
	pcap_t *pcap =
		pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);

	if (pcap == NULL) {
		// Where the file cannot be opened, the text has its name already.
		named = strncmp(error, path, strlen(path)) == 0;
		fprintf(stderr, "weir: replay: %s%s%s\n", named ? "" : path, named ? "" : ": ",
			error);
		return NULL;
	}
	if (pcap_datalink(pcap) != DLT_EN10MB) {
		fprintf(stderr,
			"weir: replay: %s: link type %s: only Ethernet captures can be replayed\n",
			path, pcap_datalink_val_to_name(pcap_datalink(pcap)));
		pcap_close(pcap);
		return NULL;
	}
	return pcap;
}

static int read_capture(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy, const char *path, uint8_t side)
{
	pcap_t *pcap = open_capture(path);
	struct pcap_pkthdr *header;
	const uint8_t *data;
	int got, failed = 0;

	if (pcap == NULL)
		return 1;
	while (!failed && (got = pcap_next_ex(pcap, &header, &data)) == 1) {
		uint8_t at = side;

		if (side == SIDE_BY_ADDRESS)
			at = side_of(options, policy, data,
				header->caplen < UINT16_MAX ? (uint16_t)header->caplen
							    : UINT16_MAX);
		failed = append(input, header, data, at);
	}
	if (!failed && got == PCAP_ERROR) {
		fprintf(stderr, "weir: replay: %s: %s\n", path, pcap_geterr(pcap));
		input->cut = true;
	}
	pcap_close(pcap);
	return failed;
}

static int by_time(const void *left, const void *right)
{
	const struct replay_packet *a = left, *b = right;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

int replay_input_read(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy)
{
	int failed;

	if (options->in != NULL)
		return read_capture(input, options, policy, options->in, SIDE_BY_ADDRESS);
	failed = read_capture(input, options, policy, options->in_outside, SIDE_OUTSIDE) ||
		 read_capture(input, options, policy, options->in_inside, SIDE_INSIDE);
	if (!failed && input->count > 0)
		qsort(input->packets, input->count, sizeof(*input->packets), by_time);
	return failed;
}

void replay_input_free(struct replay_input *input)
{
	free(input->packets);
	free(input->bytes);
	*input = (struct replay_input){0};
}
