#include "weir/replay/source.h"

#include "weir/replay/interrupt.h"
#include "weir/replay/link.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const struct source *source, const char *what, const char *hint)
{
	fprintf(stderr, "weir: replay: %s: %s%s%s\n",
		strcmp(source->path, "-") == 0 ? "standard input" : source->path, what,
		hint[0] ? "; " : "", hint);
	return 1;
}

// What somebody can do about an error of libpcap.
static const char *hint_for(const char *error)
{
	if (strstr(error, "different from the type of the first interface"))
		return "one capture has one link type: take out one interface with `tshark -r IN "
		       "-Y frame.interface_id==0 -w PART', then `editcap -T ether -F pcap PART "
		       "OUT' (or -T rawip)";
	if (strstr(error, "snapshot length") && strstr(error, "first interface"))
		return "rewrite it with one snapshot length: `editcap -F pcap IN OUT'";
	if (strstr(error, "unknown file format") || strstr(error, "bad dump file format"))
		return "it is no pcap or pcapng file: capture with `tcpdump -w', or convert with "
		       "`editcap -F pcapng IN OUT'";
	if (strstr(error, "file header bytes, only got 0"))
		return "the file is empty";
	if (strstr(error, "truncated dump file"))
		return "the end of the file is missing";
	return "";
}

static int open_pcap(struct source *source)
{
	char error[PCAP_ERRBUF_SIZE];
	FILE *file = stream_open(&source->stream, source->path);

	if (file == NULL)
		return 1;
	source->pcap =
		pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (source->pcap == NULL) {
		if (interrupt_signal() != 0)
			complain(source, "interrupted before a packet came", "");
		else
			complain(source,
				source->stream.cut ? "its compressed form is damaged" : error,
				hint_for(error));
		fclose(file);
		return 1;
	}
	source->link_type = pcap_datalink(source->pcap);
	source->compressed = source->stream.compressed;
	return 0;
}

// Standard input may begin anywhere. Of what another byte order cooked, libpcap knows what to turn.
static void open_records(struct source *source)
{
	bool ethernet = link_is_ethernet(source->link_type);

	if (!source->stream.regular || source->compressed || strcmp(source->path, "-") == 0 ||
		(!ethernet && pcap_is_swapped(source->pcap)))
		return;
	source->plain = records_open(
		&source->records, source->stream.fd, (uint32_t)pcap_snapshot(source->pcap));
}

int source_open(struct source *source, const char *path)
{
	char what[128];

	*source = (struct source){.path = path};
	if (open_pcap(source))
		return 1;
	open_records(source);
	if (!link_is_known(source->link_type)) {
		snprintf(what, sizeof(what), "link type %s", link_name(source->link_type));
		return complain(source, what,
			"capture Ethernet, IP (`tcpdump -i any') or loopback packets");
	}
	if (link_is_ethernet(source->link_type))
		return 0;
	source->room = malloc(UINT16_MAX);
	return source->room == NULL ? complain(source, "not enough memory", "") : 0;
}

void source_close(struct source *source)
{
	if (source->pcap != NULL)
		pcap_close(source->pcap); // and the stream with it
	source->pcap = NULL;
	records_close(&source->records);
	free(source->room);
	source->room = NULL;
}

int source_rewind(struct source *source)
{
	if (source->plain) {
		records_rewind(&source->records);
		return 0;
	}
	records_close(&source->records);
	if (source->pcap != NULL)
		pcap_close(source->pcap);
	source->pcap = NULL;
	source->taken_bytes = 0;
	if (open_pcap(source))
		return 1;
	open_records(source);
	return 0;
}

// As it stands in the capture, where that is an Ethernet frame.
static inline void set_frame(struct replay_packet *packet, const struct record *record)
{
	bool fits = record->kept <= UINT16_MAX;

	packet->time_ns = record->time_ns;
	packet->data = record->data;
	packet->len = fits ? (uint16_t)record->kept : UINT16_MAX;
	packet->truncated = record->kept < record->len || !fits;
}

static void set_packet(
	struct source *source, struct replay_packet *packet, const struct record *record)
{
	size_t kept;

	set_frame(packet, record);
	if (link_is_ethernet(source->link_type))
		return;
	kept = link_to_ethernet(
		source->link_type, record->data, record->kept, source->room, UINT16_MAX);
	packet->data = source->room;
	packet->len = (uint16_t)kept;
	packet->truncated |= kept == UINT16_MAX;
}

// The end: it was expected only where nothing is wrong.
static void finish(struct source *source, const char *error)
{
	if (interrupt_signal() != 0)
		return; // that it ends here is not the capture's fault
	source->cut |= error != NULL || source->stream.cut;
	if (!source->cut || source->complained)
		return;
	source->complained = true;
	if (source->stream.cut)
		complain(source, "its compressed form ends early, or is damaged", "");
	else
		complain(source, error, hint_for(error));
}

static unsigned take_one(struct source *source, struct replay_packet *packet)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	int got = pcap_next_ex(source->pcap, &header, &data);

	if (got != 1) {
		finish(source, got == PCAP_ERROR ? pcap_geterr(source->pcap) : NULL);
		return 0;
	}
	// Opened with nanosecond precision: tv_usec holds nanoseconds.
	set_packet(source, packet,
		&(struct record){.time_ns = (uint64_t)header->ts.tv_sec * NS_PER_S +
					    (uint64_t)header->ts.tv_usec,
			.data = data,
			.kept = header->caplen,
			.len = header->len});
	source->taken_bytes += header->caplen + RECORD_BYTES;
	return 1;
}

// libpcap goes on where the records end.
static unsigned leave(struct source *source, struct replay_packet *packet)
{
	uint64_t at = records_at(&source->records);

	source->plain = false;
	source->taken_bytes = at;
	if (fseeko(pcap_file(source->pcap), (off_t)at, SEEK_SET) == 0)
		return take_one(source, packet);
	finish(source, strerror(errno));
	return 0;
}

static unsigned take_frames(struct records *records, struct replay_packet *packets, unsigned most)
{
	struct records here = *records; // in registers: each record says where the next one is
	struct record record;
	unsigned count = 0;

	while (count < most && records_next(&here, &record))
		set_frame(&packets[count++], &record);
	records->at = here.at;
	return count;
}

// Of what is no Ethernet frame one: there is one room.
static unsigned take_records(struct source *source, struct replay_packet *packets, unsigned most)
{
	struct record record;

	if (link_is_ethernet(source->link_type))
		return take_frames(&source->records, packets, most);
	if (!records_next(&source->records, &record))
		return 0;
	set_packet(source, packets, &record);
	return 1;
}

unsigned source_take(struct source *source, struct replay_packet *packets, unsigned most)
{
	enum records_filled filled = RECORDS_MORE;
	unsigned count = 0;

	if (!source->plain)
		return take_one(source, packets);
	while (filled == RECORDS_MORE && (count = take_records(source, packets, most)) == 0)
		filled = records_fill(&source->records);
	return filled == RECORDS_LEFT ? leave(source, packets) : count;
}

uint64_t source_at_bytes(const struct source *source)
{
	uint64_t at = stream_at_bytes(&source->stream), given = source->stream.given_bytes;

	if (source->plain)
		return records_at(&source->records);
	// Not what lies in buffers still.
	if (source->taken_bytes < given)
		at = (uint64_t)((double)at * (double)source->taken_bytes / (double)given);
	return at;
}
