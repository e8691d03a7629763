#include "weir/replay/source.h"

#include "weir/replay/interrupt.h"
#include "weir/replay/link.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S     1000000000ULL
#define RECORD_BYTES 16 // in front of a packet, at least

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

int source_open(struct source *source, const char *path)
{
	char what[128];

	*source = (struct source){.path = path};
	if (open_pcap(source))
		return 1;
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
	free(source->room);
	source->room = NULL;
}

int source_rewind(struct source *source)
{
	if (source->pcap != NULL)
		pcap_close(source->pcap);
	source->pcap = NULL;
	source->taken_bytes = 0;
	return open_pcap(source);
}

static void set_frame(struct source *source, struct replay_packet *packet,
	const struct pcap_pkthdr *header, const uint8_t *data)
{
	size_t kept = header->caplen, size = UINT16_MAX;

	packet->data = data;
	packet->truncated = header->caplen < header->len || kept > size;
	if (!link_is_ethernet(source->link_type)) {
		kept = link_to_ethernet(source->link_type, data, kept, source->room, size);
		packet->data = source->room;
		packet->truncated |= kept == size;
	}
	packet->len = (uint16_t)(kept < size ? kept : size);
}

// The end: it was expected only where nothing is wrong.
static bool finish(struct source *source, int got)
{
	const char *error = pcap_geterr(source->pcap);

	if (interrupt_signal() != 0)
		return false; // that it ends here is not the capture's fault
	source->cut |= got == PCAP_ERROR || source->stream.cut;
	if (!source->cut || source->complained)
		return false;
	source->complained = true;
	if (source->stream.cut)
		complain(source, "its compressed form ends early, or is damaged", "");
	else
		complain(source, error, hint_for(error));
	return false;
}

bool source_next(struct source *source, struct replay_packet *packet)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	int got = pcap_next_ex(source->pcap, &header, &data);

	if (got != 1)
		return finish(source, got);
	// Opened with nanosecond precision: tv_usec holds nanoseconds.
	packet->time_ns = (uint64_t)header->ts.tv_sec * NS_PER_S + (uint64_t)header->ts.tv_usec;
	set_frame(source, packet, header, data);
	source->taken_bytes += header->caplen + RECORD_BYTES;
	return true;
}

uint64_t source_at_bytes(const struct source *source)
{
	uint64_t at = stream_at_bytes(&source->stream), given = source->stream.given_bytes;

	// Not what lies in buffers still.
	if (source->taken_bytes < given)
		at = (uint64_t)((double)at * (double)source->taken_bytes / (double)given);
	return at;
}
